"""Numbers, durations and lists as people read them.

In: small pure functions from values to words. Out: where the words stand (`report.py`, `release_report.py`).
"""

from datetime import datetime, timezone
from urllib.parse import urlsplit

_SPELLED = {
    "gfe": "GFE",
    "gfes": "GFEs",
    "cds": "CDS",
    "csv": "CSV",
    "resequenced": "re-sequenced",
    "reannotated": "re-annotated",
}


def number(value: int) -> str:
    """`45123` → `45,123`."""
    return f"{value:,}"


def difference(before: int, after: int) -> str:
    """`+12`, `−3`, `0`."""
    change = after - before
    return "0" if not change else f"{'+' if change > 0 else '−'}{abs(change):,}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """`1 check`, `2 checks`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 05 s`, `1 h 02 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(time: datetime) -> str:
    """A time in UTC, to the minute; one without a zone is taken as UTC."""
    zoned = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return f"{zoned.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def words(name: str) -> str:
    """A key as words: `gfes_new`, `GFE.insert` → `GFEs new`, `GFE insert`."""
    return " ".join(_SPELLED.get(word, word) for word in name.replace("_", " ").replace(".", " ").split())


def cut(text: str, limit: int, rest: str) -> str:
    """The first `limit` characters, and where the rest is to be found."""
    text = text.strip()
    return text if len(text) <= limit else f"{text[:limit].rstrip()} … ({rest})"


def first_line(text: str, limit: int = 120) -> str:
    """The first line that says anything, at most `limit` characters long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def some(names: list[str], limit: int = 5) -> str:
    """The first names, and how many more there are: `a, b and 3 more`."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def is_link(text: str) -> bool:
    """Whether the text is a web address that may be made a link; `javascript:` and the like never are."""
    if any(character.isspace() for character in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
