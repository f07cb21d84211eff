"""A download that goes on where it was cut.

In: a client and a URL whose content never changes (it names a commit). Out: whether the content is right (`download.py`
compares its git id). When a connection breaks, the rest is asked for with `Range`; a server that sends everything again
instead is read past what is known already.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

import requests
import urllib3

from gfe_assets.errors import SourceUnavailable
from gfe_assets.source.gitobjects import CHUNK
from gfe_assets.source.http import HttpClient
from gfe_assets.source.patience import TryAgain

_PARTIAL_CONTENT = 206
_MOST_CUTS = 100
_PIECE = 1 << 16
"""Bytes read at a time; what is lost of one when a connection breaks is fetched again."""


class _Resuming(io.RawIOBase):
    """The body as a stream of bytes; every read may quietly open a new connection."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self._open = ExitStack()
        self._response: requests.Response | None = None
        self._position = 0
        self._cuts = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        piece = self._client.patience.run(lambda: self._read_once(len(view)))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._open.close()
        super().close()

    def connect(self) -> None:
        """Ask for the content now, so that a file that is not there is known before anything is read."""
        self._client.patience.run(self._connect_once)

    def _connect_once(self) -> None:
        if self._response is None:
            headers = {"Accept-Encoding": "identity"}  # so that positions count bytes of the file
            if self._position:
                headers["Range"] = f"bytes={self._position}-"
            response = self._open.enter_context(self._client.get(self._url, headers))
            going_on = response.headers.get("Content-Range", "").startswith(f"bytes {self._position}-")
            if self._position and not (response.status_code == _PARTIAL_CONTENT and going_on):
                self._guarded(lambda: _skip(response, self._position))
            self._response = response

    def _read_once(self, size: int) -> bytes:
        self._connect_once()
        response = self._response
        return self._guarded(lambda: cast(bytes, response.raw.read(min(size, _PIECE)))) if response else b""

    def _guarded(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._open.close()
            self._response = None
            self._cuts += 1
            message = f"{self._url} was cut after {self._position:,} bytes ({type(error).__name__}); try again later"
            if self._cuts > _MOST_CUTS:
                raise SourceUnavailable(message) from None
            raise TryAgain(message) from None


def _skip(response: requests.Response, size: int) -> bytes:
    while size > 0:
        piece = response.raw.read(min(size, CHUNK))
        if not piece:
            raise urllib3.exceptions.ProtocolError("the body ended before the position where it was cut")
        size -= len(piece)
    return b""


@contextmanager
def resuming(client: HttpClient, url: str) -> Iterator[BinaryIO]:
    """The content of `url` as a stream.

    Raises:
        NotFound: there is no such content.
        SourceError: the server refuses to give it.
        SourceUnavailable: the server does not answer or breaks off again and again, here or while it is read.
    """
    with _Resuming(client, url) as raw:
        raw.connect()
        yield cast(BinaryIO, io.BufferedReader(raw, CHUNK))
