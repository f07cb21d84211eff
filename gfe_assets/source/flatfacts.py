"""What the text of a flat file says about itself, seen in one pass.

In: the bytes of `hla.dat`, in pieces. Out: entries, features, lengths (`hla/flatfile.py`), fetching.

Every entry begins with a line `ID   …` and carries, in all releases since 3.0.0, a comment such as

    CC   IPD-IMGT/HLA Release Version 3.22.0

The comment decides whether a file is the one that its branch promises: branch 3200 really holds the file
of 3.21.0. IPD-KIR writes the same comment (`IPD-KIR Release Version 2.10.0`) with numbers of its own.
"""

import re
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

from gfe_assets.errors import ReleaseNameError, ReleaseRefused
from gfe_assets.hla.release import parse_release
from gfe_assets.source.gitobjects import CHUNK

_VERSION = re.compile(rb"Release Version +(\d+(?:\.\d+)+)")
_COMMENT = re.compile(rb"^CC   [^\n]*?Release Version +(\d+(?:\.\d+)+)", re.MULTILINE)
_LONGEST_LINE = 4 * CHUNK
"""A line longer than this is cut where it is looked at, so that a file without line ends cannot fill the memory."""


class FlatFileFacts(BaseModel):
    """Size in bytes, number of entries, and the release versions found, the one of the first comment first."""

    model_config = ConfigDict(frozen=True)

    size: int
    records: int
    versions: tuple[str, ...]

    @property
    def version(self) -> str | None:
        """The version in the first comment that has one; None if no entry has one."""
        return self.versions[0] if self.versions else None


class FlatFileInspector:
    """Collects the facts of a file that passes by in pieces: `feed` each, then ask for `facts`."""

    def __init__(self) -> None:
        self._size = 0
        self._records = 0
        self._versions: dict[bytes, None] = {}
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Look at the next piece; pieces may end anywhere."""
        self._size += len(chunk)
        text = self._rest + chunk
        end = text.rfind(b"\n") + 1
        if not end and len(text) > _LONGEST_LINE:
            end = len(text)
        self._look_at(text[:end])
        self._rest = text[end:]

    def facts(self) -> FlatFileFacts:
        """The facts of all that was fed."""
        self._look_at(self._rest)
        self._rest = b""
        versions = tuple(version.decode() for version in self._versions)
        return FlatFileFacts(size=self._size, records=self._records, versions=versions)

    def _look_at(self, lines: bytes) -> None:
        self._records += lines.count(b"\nID   ") + lines.startswith(b"ID   ")
        if set(_VERSION.findall(lines)) - self._versions.keys():  # cheap; the exact pattern runs only where it may find more
            self._versions.update(dict.fromkeys(_COMMENT.findall(lines)))


def inspect_flat_file(file: Path | BinaryIO) -> FlatFileFacts:
    """The facts of a flat file, read once from its path or from an open binary stream."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return inspect_flat_file(stream)
    inspector = FlatFileInspector()
    while chunk := file.read(CHUNK):
        inspector.feed(chunk)
    return inspector.facts()


def check_version(facts: FlatFileFacts, release: str, name: str = "hla.dat") -> str:
    """The version that a flat file says it is, e.g. `3.22.0`, once it is known to fit the release.

    Raises:
        ReleaseRefused: the file has no entry, names no version, or names one that differs from the release in major
            or minor number (a patch such as 3.13.1 lives in branch 3130).
    """
    if not facts.records:
        what = "holds no entry (no line begins with 'ID   ')" if facts.size else "is empty"
        raise ReleaseRefused(f"release {release} is refused: its {name} {what}; wait for a complete file or correct the source")
    version = facts.version
    if version is None:
        raise ReleaseRefused(
            f"release {release} is refused: no entry of its {name} says which release it is of "
            "(a line such as 'CC   IPD-IMGT/HLA Release Version 3.22.0')"
        )
    expected = parse_release(release)
    try:
        agrees = expected.agrees_with(parse_release(version))
    except ReleaseNameError:
        agrees = False
    if not agrees:
        raise ReleaseRefused(
            f"release {release} is refused: its {name} is of release {version}, not of {expected.version} "
            "('CC   … Release Version' in its entries); nothing of it is loaded until the source holds the right file"
        )
    return version
