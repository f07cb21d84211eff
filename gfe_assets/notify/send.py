"""Sending a message to everyone the settings name: e-mail addresses, and services by Apprise URL.

In: a `Message` and the settings → who got it, and what went wrong. Out: its words (`report.py`), mail
(`mail.py`), and when to send (`stages/`).

Sending never raises for a problem of delivery: an alert that cannot be sent must not fail the run it is
about. Apprise URLs carry passwords and tokens, so a service is named by its place in `GFE_NOTIFY_URLS` and its scheme,
never by its URL.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import apprise

from gfe_assets.notify import mail
from gfe_assets.notify.models import Message, Outcome
from gfe_assets.settings import Settings

_TYPES: dict[Outcome, apprise.NotifyType] = {
    "success": apprise.NotifyType.SUCCESS,
    "warning": apprise.NotifyType.WARNING,
    "failure": apprise.NotifyType.FAILURE,
    "canceled": apprise.NotifyType.WARNING,
}
_ONE_AT_A_TIME = threading.Lock()
"""Apprise has one logger a process, and its lines do not say whose they are."""
_HTML_WITHOUT_TABLES = ("tgram",)
"""Services that take HTML but no tables: plain text reads better there."""


@dataclass(frozen=True)
class SendResult:
    """Who accepted the message, and every problem as a sentence without credentials."""

    sent_to: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong; also true when nobody is to be told."""
        return not self.problems


def send(message: Message, settings: Settings) -> SendResult:
    """Send a message to every address of `GFE_NOTIFY_EMAIL` and every service of `GFE_NOTIFY_URLS`.

    One that fails does not keep the others from being told.
    """
    sent, problems = mail.deliver(message, settings) if settings.notify_email else ([], [])
    for place, url in enumerate(settings.notify_urls, 1):
        name = f"{url.partition('://')[0]}:// (number {place} of GFE_NOTIFY_URLS)"
        problem = _notify(message, url)
        if problem:
            problems.append(f"no alert was sent to {name}: {problem}")
        else:
            sent.append(name)
    return SendResult(tuple(sent), tuple(problems))


def _notify(message: Message, url: str) -> str:
    """Tell one service; gives what went wrong, empty if nothing did."""
    with _overhearing() as reasons:
        try:
            service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
            if service is None:
                return "Apprise cannot use this URL; see https://appriseit.com/services for how it is written"
            if _tell(service, message, url):
                return ""
        except Exception as error:  # a plugin is not ours, and what it raises must not cost the others their alert
            return f"the Apprise plugin failed with {type(error).__name__}"
    return without_secrets(reasons[0], url) if reasons else "the service does not say why"


@contextmanager
def _overhearing() -> Iterator[list[str]]:
    """Collect what Apprise logs at WARNING and above, and let it go nowhere else: it repeats URLs it cannot use."""
    logger, heard = logging.getLogger(apprise.LOGGER_NAME), _Heard()
    with _ONE_AT_A_TIME:
        before = logger.handlers, logger.level, logger.propagate
        logger.handlers, logger.propagate = [heard], False
        logger.setLevel(logging.WARNING)
        try:
            yield heard.lines
        finally:
            logger.handlers, level, logger.propagate = before
            logger.setLevel(level)


class _Heard(logging.Handler):
    """Keeps the lines that say anything."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [line.strip() for line in record.getMessage().splitlines() if line.strip()]


def _tell(service: apprise.NotifyBase, message: Message, url: str) -> bool:
    if "overflow=" not in url:
        # One message a run: a service with a limit gets the beginning rather than nothing or several parts.
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    body, body_format = _body(message, url, service)
    return bool(
        apprise.Apprise(service).notify(
            title=message.subject, body=body, body_format=body_format, notify_type=_TYPES[message.outcome]
        )
    )


def _body(message: Message, url: str, service: apprise.NotifyBase) -> tuple[str, apprise.NotifyFormat]:
    """HTML for services that are made for it (mail), unless the URL asks for a format; text for all others."""
    formats = service.notify_format
    first = formats[0] if isinstance(formats, (tuple, list)) else formats
    scheme = url.partition("://")[0].lower()
    if first == apprise.NotifyFormat.HTML and scheme not in _HTML_WITHOUT_TABLES and "format=" not in url:
        return message.html, apprise.NotifyFormat.HTML
    return message.text, apprise.NotifyFormat.TEXT


def without_secrets(text: str, url: str) -> str:
    """The text with every part of the URL that may be a password, token or secret path replaced by `***`.

    Everything behind the scheme may be one, so all of it goes, as it is written and unquoted; parts of fewer than four
    characters stay, else ordinary words would go too.
    """
    rest = url.partition("://")[2]
    parts = {part for form in (rest, unquote(rest)) for part in (form, *re.split(r"[:/@?&=,;+]", form)) if len(part) > 3}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return text
