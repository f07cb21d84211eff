"""What is new in a repository, and what is to be done about it: the decision, without asking anybody.

In: what was known after the last tick (`Cursor`), all tips now, and a `Look` at each tip that moved. Out: one
`Decision` a branch with a sentence that says why, and the next cursor. Out of it: asking the source (`tick.py`),
runs and partitions (`sensors.py`).

    tip as known                                             UNCHANGED
    tip on the exclusion list                                EXCLUDED            recorded, not run
    files that every build needs are not there (yet)         INCOMPLETE          recorded, runs when they are
    release never seen                                       NEW_RELEASE         runs (the first tick: as the setting says)
    other content than the last that was accepted            NEW_CONTENT         runs
    same content                                             NO_TRACKED_CHANGE   recorded, not run
    branch is no release (Latest, testing)                   NOT_A_RELEASE
    known release whose branch is gone                       DISAPPEARED         said once; what is loaded stays

The branch is the truth: a tip that was moved back to an older commit (force-push) is judged by its content like any other, and
its sentence says so. A content that comes back after another one runs again under a key of its own,
since Dagster never runs a key twice.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gfe_assets.errors import SourceError
from gfe_assets.hla.release import parse_release, sort_names
from gfe_assets.source.models import Commit, Tip, Tips

_SHORTEST_SHA = 7
Process = Literal["none", "latest", "all"]
"""What the first tick of a new deployment runs (`GFE_PROCESS_EXISTING`)."""


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
    """All that one tick hands to the next; JSON in and out."""

    model_config = ConfigDict(frozen=True)

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

    @property
    def new_releases(self) -> tuple[str, ...]:
        """Releases that the last cursor did not know, in numeric order: the partitions to make."""
        return tuple(d.branch for d in self.decisions if d.commit is not None and d.replaces is None)


def is_excluded(sha: str, excluded: Collection[str]) -> bool:
    """Whether a commit is on the exclusion list, as a whole sha or as its first seven digits or more."""
    return any(len(each) >= _SHORTEST_SHA and sha.startswith(each.lower()) for each in excluded)


def moved_tips(cursor: Cursor, tips: Tips, excluded: Collection[str] = ()) -> list[Tip]:
    """The tips that have to be looked at: new ones, moved ones, and those that came off the exclusion list."""
    came_off = set(cursor.excluded) - set(excluded)
    return [
        tip
        for tip in tips.tips
        if (known := cursor.releases.get(tip.release)) is None
        or known.sha != tip.sha
        or (is_excluded(tip.sha, came_off) and not is_excluded(tip.sha, excluded))
    ]


def decide(
    cursor: Cursor,
    tips: Tips,
    looks: Mapping[str, Look],
    *,
    excluded: Collection[str] = (),
    process: Process = "none",
) -> Tick:
    """Judge every branch. `looks` has one entry, by release, for each of `moved_tips`.

    `process` counts at the first tick of a deployment only (an empty cursor): it says which of the releases found
    are run; all are recorded.
    """
    runnable = _runnable_at_first(looks, excluded, process) if not cursor.releases else None
    decisions = [
        _judge(tip, cursor.releases.get(tip.release), looks.get(tip.release), excluded=excluded, runnable=runnable, process=process)
        for tip in tips.tips
    ]
    gone = sort_names([name for name in cursor.releases if name not in {tip.release for tip in tips.tips}])
    releases = {decision.branch: _known_after(decision, cursor.releases.get(decision.branch)) for decision in decisions}
    releases.update({name: cursor.releases[name].model_copy(update={"gone": True}) for name in gone})
    decisions += [_disappeared(name) for name in gone if not cursor.releases[name].gone]
    decisions += [_no_release(name) for name in tips.others]
    next_cursor = Cursor(etag=tips.etag, excluded=tuple(excluded), releases={name: releases[name] for name in sort_names(set(releases))})
    return Tick(decisions=tuple(decisions), cursor=next_cursor)
