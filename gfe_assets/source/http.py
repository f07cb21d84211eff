"""HTTP as this package needs it: JSON answers and long downloads from servers that fail now and then.

In: URLs, a token, a `Patience`. Out: what the answers mean (`github.py`). Failures that may pass are tried again;
those that will not are `SourceError`s with a sentence. The token goes only to the host it is meant for, and into
no message, log or `repr`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from gfe_assets.errors import SourceError, SourceUnavailable
from gfe_assets.source.patience import Patience, TryAgain
from gfe_assets.source.ratelimit import asked_too_much, moment, pause_of, pause_of_refusal

_NOT_MODIFIED = 304
_SERVER_ERRORS = range(500, 600)
_CONNECTIONS = 8


class NotFound(SourceError):
    """The server has no such thing; callers that know what it is say so in their own words."""


@dataclass(frozen=True)
class Answer:
    """A JSON answer: its content (None when nothing has changed since the ETag shown), its ETag, the URL of the next page."""

    content: Any
    etag: str
    next_url: str | None

    @property
    def not_modified(self) -> bool:
        """Whether the server said that the content is what it was at the ETag shown."""
        return self.content is None


class HttpClient:
    """One server and its token; keeps connections open, may be used by several threads at once."""

    def __init__(self, api_url: str, token: SecretStr, patience: Patience) -> None:
        self.patience = patience
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS))
        self._session.mount("http://", HTTPAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS))
        self._session.auth = _TokenAuth(urlsplit(api_url).netloc, token)
        self._session.headers["User-Agent"] = "gfe-assets"
        self._resting_until = 0.0
        self._has_token = bool(token.get_secret_value())

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def get_json(self, url: str, params: Mapping[str, str] | None = None, etag: str = "") -> Answer:
        """One answer of the API; with `etag`, only if it has changed since.

        Raises:
            NotFound: the server has no such thing.
            SourceError: it refuses to give it, or the request makes no sense to it.
            SourceUnavailable: it does not answer, or wants a longer pause than there is patience for.
        """
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if etag:
            headers["If-None-Match"] = etag
        return self.patience.run(lambda: self._get_json_once(url, params, headers))

    def _get_json_once(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Answer:
        self._rest()
        with self._request(url, headers, params) as response:
            self._note_limit(response)
            self._check(response)
            fresh = response.headers.get("ETag", "")
            if response.status_code == _NOT_MODIFIED:
                return Answer(None, headers.get("If-None-Match", ""), None)
            try:
                content = response.json()
            except (requests.RequestException, ValueError):
                raise TryAgain(f"{_place(response)} answered with something that is not JSON; try again later") from None
            return Answer(content, fresh, response.links.get("next", {}).get("url"))

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """One attempt at an answer whose body is read while it comes; good answers only (2xx).

        Raises:
            TryAgain: no good answer, but asking again may help.
            NotFound, SourceError: asking again will not help.
        """
        with self._request(url, headers, None) as response:
            self._check(response)
            yield response

    @contextmanager
    def _request(self, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None) -> Iterator[requests.Response]:
        timeouts = (self.patience.connect_timeout, self.patience.read_timeout)
        try:
            response = self._session.get(url, headers=dict(headers), params=params, timeout=timeouts, stream=True)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise TryAgain(f"{_host(url)} does not answer ({_kind(error)}); try again later") from None
        except requests.RequestException as error:
            raise SourceError(f"{_host(url)} cannot be asked: {_kind(error)}; check the GFE_GITHUB_* settings") from None
        with response:
            yield response

    def _check(self, response: requests.Response) -> None:
        """Turn every answer that is not a good one into its exception."""
        status, place = response.status_code, _place(response)
        if response.ok:
            return
        body = _text(response)
        if asked_too_much(status, response.headers, body):
            pause = pause_of_refusal(response.headers)
            advice = "" if self._has_token else "; a token in GFE_GITHUB_TOKEN raises the limit"
            raise TryAgain(
                f"{place} wants no more requests for now (HTTP {status}): try again after {moment(pause)}{advice}", after=pause
            )
        if status in _SERVER_ERRORS or status == 408:
            raise TryAgain(f"{place} failed (HTTP {status}); try again later", after=pause_of(response.headers))
        if status == 404:
            raise NotFound(f"{place} was not found (HTTP 404)")
        if status in (401, 403):
            cause = "GFE_GITHUB_TOKEN is wrong or has expired" if status == 401 else "the token, if any, may not read it"
            raise SourceError(f"{place} was refused (HTTP {status}{_message(body)}): {cause}")
        raise SourceError(f"{place} was refused (HTTP {status}{_message(body)})")

    def _note_limit(self, response: requests.Response) -> None:
        if response.ok and (pause := pause_of(response.headers)):
            self._resting_until = time.monotonic() + pause

    def _rest(self) -> None:
        """Wait until the server's limit is renewed, when its last good answer used it up."""
        pause = self._resting_until - time.monotonic()
        if pause <= 0:
            return
        if pause > self.patience.max_wait:
            advice = "" if self._has_token else "; a token in GFE_GITHUB_TOKEN raises the limit"
            raise SourceUnavailable(f"the rate limit of the GitHub API is used up: try again after {moment(pause)}{advice}")
        time.sleep(pause)


class _TokenAuth(AuthBase):
    """Adds the token to requests to one host. Being there at all, it also keeps `.netrc` out of it."""

    def __init__(self, host: str, token: SecretStr) -> None:
        self._host = host
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token.get_secret_value() and urlsplit(str(request.url)).netloc == self._host:
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _place(response: requests.Response) -> str:
    return f"{_host(response.url)}{urlsplit(response.url).path}"


def _kind(error: Exception) -> str:
    return "time-out" if isinstance(error, requests.Timeout) else type(error).__name__


def _text(response: requests.Response) -> str:
    try:
        return response.raw.read(10_000, decode_content=True).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""


def _message(body: str) -> str:
    """GitHub's own explanation, if the body has one."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f", {message}" if isinstance(message, str) else ""
