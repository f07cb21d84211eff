"""Names of IPD-IMGT/HLA releases: the only place that reads or writes them.

In: branch names (`3580`), versions (`3.58.0`) and their order. Out: what a release contains.

A release has two spellings. The branch name joins major, minor and patch without dots; the minor
number has one to three digits. So `390` is 3.9.0, `3100` is 3.10.0 and `31000` is 3.100.0: the first
digit is the major number, the last one the patch, what lies between the minor. Releases are ordered by
these three numbers, never as strings (`390` would follow `3100`) nor as integers (`31000` would follow
`4000`).

A version may have a fourth number: official files said `3.26.0.1` and `3.29.0.1` after corrections (ANHIG/IMGTHLA
pull requests 86 and 112). It has no branch of its own and is not kept.
"""

import re
from dataclasses import dataclass
from functools import total_ordering

from gfe_assets.errors import ReleaseNameError

# [0-9], for \d also matches the digits of other scripts
_BRANCH = re.compile(r"([1-9])(0|[1-9][0-9]{0,2})([0-9])")
_VERSION = re.compile(r"([1-9])\.([0-9]{1,3})\.([0-9])(?:\.[0-9]{1,3})?")


@total_ordering
@dataclass(frozen=True)
class Release:
    """One release, e.g. `Release(3, 58, 0)`; compares and sorts by its numbers."""

    major: int
    minor: int
    patch: int

    @property
    def name(self) -> str:
        """The branch name and partition key, e.g. `3580`."""
        return f"{self.major}{self.minor}{self.patch}"

    @property
    def version(self) -> str:
        """The dotted version, e.g. `3.58.0`."""
        return f"{self.major}.{self.minor}.{self.patch}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Release):
            return NotImplemented
        return (self.major, self.minor, self.patch) < (other.major, other.minor, other.patch)

    def __str__(self) -> str:
        return self.name

    def agrees_with(self, other: "Release") -> bool:
        """Whether both share major and minor: a patch (3.13.1) lives in the branch of its minor (3130)."""
        return (self.major, self.minor) == (other.major, other.minor)


def parse_release(text: str) -> Release:
    """Read a branch name (`3580`) or a version (`3.58.0`, `3.29.0.1`).

    Raises:
        ReleaseNameError: `text` is neither.
    """
    text = text.strip()
    match = _BRANCH.fullmatch(text) or _VERSION.fullmatch(text)
    if not match:
        raise ReleaseNameError(
            f"{text[:60]!r} is not an IPD-IMGT/HLA release: write it as a branch name such as 3580 or a version such as 3.58.0"
        )
    major, minor, patch = (int(number) for number in match.groups())
    return Release(major, minor, patch)


def is_release(text: str) -> bool:
    """Whether `text` is the branch name of a release (`Latest` and `testing` are not)."""
    return bool(_BRANCH.fullmatch(text))


def sort_names(names: list[str] | set[str] | tuple[str, ...]) -> list[str]:
    """Sort branch names in release order."""
    return sorted(names, key=parse_release)
