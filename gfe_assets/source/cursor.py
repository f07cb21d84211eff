"""What one look at a repository hands to the next, and what it found.

In: records and their JSON form. Out: judging (`changes.py`), asking the source (`tick.py`).
"""

from collections.abc import Collection
from datetime import datetime
from enum import Enum

from pydantic import BaseModel, ConfigDict, ValidationError

from gfe_assets.errors import SourceError
from gfe_assets.source.models import Commit


class Outcome(str, Enum):
    """What became of one branch at one tick."""

    NEW_RELEASE = "NEW_RELEASE"
    NEW_CONTENT = "NEW_CONTENT"
    NO_TRACKED_CHANGE = "NO_TRACKED_CHANGE"
    EXCLUDED = "EXCLUDED"
    INCOMPLETE = "INCOMPLETE"
    UNCHANGED = "UNCHANGED"
    NOT_A_RELEASE = "NOT_A_RELEASE"
    DISAPPEARED = "DISAPPEARED"


class Look(BaseModel):
    """A tip looked at: its commit and tick fingerprint, or in place of that the `problem` that there is none."""

    model_config = ConfigDict(frozen=True)

    commit: Commit
    fingerprint: str | None = None
    problem: str = ""


class Known(BaseModel):
    """A release as the last tick left it.

    `sha` and `date` are of the last tip seen; `fingerprint` of the last content accepted, None before there was one;
    `asked` lists the fingerprints that runs were asked for, in order, with repeats; `gone` says that the branch was away.
    """

    model_config = ConfigDict(frozen=True)

    sha: str
    date: datetime
    fingerprint: str | None = None
    asked: tuple[str, ...] = ()
    gone: bool = False


class Cursor(BaseModel):
    """All that one tick hands to the next; JSON in and out. `ticks` counts them, so that of two cursors one is the newer."""

    model_config = ConfigDict(frozen=True)

    ticks: int = 0
    etag: str = ""
    excluded: tuple[str, ...] = ()
    releases: dict[str, Known] = {}

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a cursor as `model_dump_json` wrote it; none gives that of a new deployment.

        Raises:
            SourceError: the text is no cursor of this version.
        """
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            raise SourceError(
                "the cursor of the commit sensor cannot be read: reset it to empty; the next tick then records every release "
                "as a new deployment does"
            ) from None

    def etag_for(self, excluded: Collection[str]) -> str:
        """The ETag to show, empty when the exclusion list has changed: then unmoved tips are judged again."""
        return self.etag if set(excluded) == set(self.excluded) else ""


class Decision(BaseModel):
    """What is done about one branch, and why, in a sentence.

    `run_key` is set when a run is asked for. `replaces` is the sha of the tip known before; `moved_back` says that it is newer
    than the present one, as after a force-push.
    """

    model_config = ConfigDict(frozen=True)

    branch: str
    outcome: Outcome
    reason: str
    commit: Commit | None = None
    fingerprint: str | None = None
    run_key: str | None = None
    replaces: str | None = None
    moved_back: bool = False


class Tick(BaseModel):
    """All decisions of one tick, releases first in numeric order, and the cursor to keep if everything else succeeded."""

    model_config = ConfigDict(frozen=True)

    decisions: tuple[Decision, ...]
    cursor: Cursor

    @property
    def runs(self) -> tuple[Decision, ...]:
        """The decisions that ask for a run, oldest release first."""
        return tuple(decision for decision in self.decisions if decision.run_key)
