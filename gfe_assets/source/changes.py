"""What is new in a repository, and what is to be done about it: the decision, without asking anybody.

In: what was known after the last tick (`Cursor`), all tips now, and a `Look` at each tip that moved; from them one
`Decision` a branch with a sentence that says why, and the next cursor. Out: asking the source (`tick.py`), runs and
partitions (`sensors.py`).

    tip as known                                             UNCHANGED
    tip on the exclusion list                                EXCLUDED            recorded, not run
    files that every build needs are not there (yet)         INCOMPLETE          recorded, runs when they are
    release never seen                                       NEW_RELEASE         runs (the first tick: as the setting says)
    other content than the last that was accepted            NEW_CONTENT         runs
    same content                                             NO_TRACKED_CHANGE   recorded, not run
    branch is no release (Latest, testing)                   NOT_A_RELEASE
    known release whose branch is gone                       DISAPPEARED         said once; what is loaded stays

The branch is the truth: a tip that was moved back to an older commit (force-push) is judged by its content like any
other, and its sentence says so. A content that comes back after another one runs again, under a key of its own, since
Dagster never runs a key twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from gfe_assets.hla.release import sort_names
from gfe_assets.source.cursor import Cursor, Decision, Known, Look, Outcome, Tick
from gfe_assets.source.models import Tip, Tips

_SHORTEST_SHA = 7
Process = Literal["none", "latest", "all"]
"""What the first tick of a new deployment runs (`GFE_PROCESS_EXISTING`)."""


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
    rules = _Rules(tuple(excluded), process, None if cursor.releases else _first_runs(looks, excluded, process))
    decisions = [_judge(tip, cursor.releases.get(tip.release), looks.get(tip.release), rules) for tip in tips.tips]
    releases = {
        tip.release: _known_after(tip, decision, cursor.releases.get(tip.release))
        for tip, decision in zip(tips.tips, decisions, strict=True)
    }
    for name in sort_names(cursor.releases.keys() - releases.keys()):
        if not cursor.releases[name].gone:
            decisions.append(_disappeared(name))
        releases[name] = cursor.releases[name].model_copy(update={"gone": True})
    decisions += [_no_release(name) for name in tips.others]
    ordered = {name: releases[name] for name in sort_names(set(releases))}
    after = Cursor(ticks=cursor.ticks + 1, etag=tips.etag, excluded=tuple(sorted(excluded)), releases=ordered)
    return Tick(decisions=tuple(decisions), cursor=after)


@dataclass(frozen=True)
class _Rules:
    """What holds for all branches of one tick; `first_runs` is None except at the first tick of a deployment."""

    excluded: tuple[str, ...]
    process: Process
    first_runs: frozenset[str] | None


def _first_runs(looks: Mapping[str, Look], excluded: Collection[str], process: Process) -> frozenset[str]:
    ready = [name for name, look in looks.items() if look.fingerprint and not is_excluded(look.commit.sha, excluded)]
    chosen = {"none": [], "latest": sort_names(ready)[-1:], "all": ready}[process]
    return frozenset(chosen)


def _judge(tip: Tip, known: Known | None, look: Look | None, rules: _Rules) -> Decision:
    if look is None:
        what = "its branch is back, at the commit known before" if known and known.gone else "its branch has not moved"
        return Decision(branch=tip.release, outcome=Outcome.UNCHANGED, reason=f"release {tip.release}: {what}")
    outcome, why = _outcome(tip, known, look, rules)
    moved_back = known is not None and look.commit.date < known.date
    if moved_back and known:
        why += f"; the branch was moved back to a commit older than {known.sha[:_SHORTEST_SHA]}, the one known before"
    if known and known.gone:
        why += "; the branch had disappeared and is back"
    return Decision(
        branch=tip.release,
        outcome=outcome,
        reason=f"release {tip.release}, commit {look.commit.sha[:_SHORTEST_SHA]}: {why}",
        commit=look.commit,
        fingerprint=look.fingerprint,
        run_key=_run_key(tip.release, known, look) if _runs(tip.release, outcome, rules) else None,
        replaces=known.sha if known else None,
        moved_back=moved_back,
    )


def _outcome(tip: Tip, known: Known | None, look: Look, rules: _Rules) -> tuple[Outcome, str]:
    if is_excluded(tip.sha, rules.excluded):
        return Outcome.EXCLUDED, "is on the exclusion list (GFE_EXCLUDED_SHAS), so nothing is run"
    if look.fingerprint is None:
        return Outcome.INCOMPLETE, f"{look.problem or 'files are missing'}; it runs when they are there"
    if known is None:
        setting = f"GFE_PROCESS_EXISTING is {rules.process}"
        old = f"the release was there before this deployment and is recorded, not run ({setting})"
        return Outcome.NEW_RELEASE, "the release is new" if _runs(tip.release, Outcome.NEW_RELEASE, rules) else old
    if known.fingerprint is None:
        return Outcome.NEW_CONTENT, "this is the first commit of the release that can be run"
    if known.fingerprint == look.fingerprint:
        return Outcome.NO_TRACKED_CHANGE, "changes no file that a build reads"
    return Outcome.NEW_CONTENT, "changes files that a build reads"


def _runs(release: str, outcome: Outcome, rules: _Rules) -> bool:
    if outcome is Outcome.NEW_RELEASE:
        return rules.first_runs is None or release in rules.first_runs
    return outcome is Outcome.NEW_CONTENT


def _run_key(release: str, known: Known | None, look: Look) -> str:
    before = known.asked.count(str(look.fingerprint)) if known else 0
    return f"{release}:{look.fingerprint}" + (f":{before + 1}" if before else "")


def _known_after(tip: Tip, decision: Decision, known: Known | None) -> Known:
    """The release as the next tick shall know it; what was not accepted leaves the accepted content as it was."""
    if decision.commit is None:  # unchanged, so known
        assert known is not None  # noqa: S101 (a tip without a look is one that was known)
        return known.model_copy(update={"gone": False})
    accepted = decision.outcome in (Outcome.NEW_RELEASE, Outcome.NEW_CONTENT, Outcome.NO_TRACKED_CHANGE)
    asked = known.asked if known else ()
    return Known(
        sha=tip.sha,
        date=decision.commit.date,
        fingerprint=decision.fingerprint if accepted else (known.fingerprint if known else None),
        asked=(*asked, str(decision.fingerprint)) if decision.run_key else asked,
    )


def _disappeared(name: str) -> Decision:
    reason = f"release {name}: its branch has disappeared; what was loaded from it stays"
    return Decision(branch=name, outcome=Outcome.DISAPPEARED, reason=reason)


def _no_release(name: str) -> Decision:
    return Decision(branch=name, outcome=Outcome.NOT_A_RELEASE, reason=f"branch {name} does not name a release")
