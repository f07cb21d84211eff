"""When a server wants to be asked again, by what its answer's headers say.

In: status and headers of an HTTP answer. Out: waiting (`patience.py`), asking (`http.py`).

GitHub answers 403 or 429 when it was asked too much. `Retry-After` (seconds or a date) names the pause; if
`X-RateLimit-Remaining` is 0, `X-RateLimit-Reset` names the moment in seconds since 1970 by GitHub's clock; if neither does, its
manual asks for a minute (https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_UNNAMED_PAUSE = 60.0


def asked_too_much(status: int, headers: Mapping[str, str], body: str) -> bool:
    """Whether an answer is a refusal for now, rather than for good."""
    if status == 429:
        return True
    limited = "Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0" or "rate limit" in body.lower()
    return status == 403 and limited


def pause_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next request, None if the answer asks for none."""
    if (after := _retry_after(headers)) is not None:
        return after
    if headers.get("X-RateLimit-Remaining") == "0" and (reset := _number(headers.get("X-RateLimit-Reset"))) is not None:
        return max(0.0, reset - _server_time(headers).timestamp())
    return None


def pause_of_refusal(headers: Mapping[str, str]) -> float:
    """Seconds to wait after a refusal; a minute when the server names no pause."""
    pause = pause_of(headers)
    return _UNNAMED_PAUSE if pause is None else pause


def moment(pause: float) -> str:
    """The time in `pause` seconds, for people: `2024-04-10 09:02:11 UTC`."""
    return (datetime.now(timezone.utc) + timedelta(seconds=pause)).strftime("%Y-%m-%d %H:%M:%S UTC")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After")
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date - _server_time(headers)).total_seconds())


def _server_time(headers: Mapping[str, str]) -> datetime:
    """The server's own clock, so that a wrong clock here does not matter."""
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return datetime.now(timezone.utc)


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
