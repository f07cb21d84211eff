"""The execution state of every release, read from Dagster's run and event storage and kept nowhere else.

In: the record of each (release, commit), and reading all of them. Out: the statuses and the tags of runs (`statuses.py`), why a
run failed that could not say so itself (`failures.py`), who shows the records (`cli.py`, `overview.py`).

A commit without a run has the status that the tick which saw it gave it: NOT_PROCESSED, SKIPPED, or PENDING; SKIPPED
too when new content came to its release before it had a run.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import dagster as dg
from pydantic import BaseModel

from gfe_assets.failures import failure_of
from gfe_assets.hla.release import is_release, parse_release
from gfe_assets.source.cursor import Outcome
from gfe_assets.statuses import (
    CAUSE_TAG,
    CHANGES_TAG,
    COMMIT_TAG,
    COUNTS_TAG,
    REASON_TAG,
    RELEASE_TAG,
    STAGE_TAG,
    STATUS_TAG,
    Stage,
    Status,
    mark,
    release_of,
    status_of,
)

__all__ = [
    "COMMITS_ASSET",
    "COMMIT_TAG",
    "REASON_TAG",
    "RELEASE_TAG",
    "STAGE_TAG",
    "STATUS_TAG",
    "ReleaseState",
    "Stage",
    "Status",
    "latest_by_release",
    "mark",
    "read_states",
    "standing",
    "status_of",
]

COMMITS_ASSET = "release_commits"
"""The asset on which ticks record every commit that they see."""
_PAGE = 5_000
_LONG_AGO = datetime.fromtimestamp(0, timezone.utc)


class ReleaseState(BaseModel):
    """The state of one release at one commit, from its newest run there.

    Times are UTC, None where not reached. `reason` says in a sentence why it is so; after a failure that is the `error`, and
    `cause` the kind of error with what lies below it. `counts` are those of the build, and what the load `inserted`, `updated`
    and `deleted`. `parameters` are what was asked for at launch, without defaults.
    """

    release: str
    commit_sha: str
    status: Status
    reason: str = ""
    error: str = ""
    cause: str = ""
    run_id: str = ""
    job: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    counts: dict[str, int] = {}
    parameters: dict[str, Any] = {}


def read_states(instance: dg.DagsterInstance, just_seen: Sequence[dg.AssetObservation] = ()) -> list[ReleaseState]:
    """The state of every (release, commit) seen or run, releases in order, the newest commit of each last.

    Two queries, one of the run storage and one of the commits' events, whatever the number of runs; one more for each
    state whose run was killed before it could say why. `just_seen` are commits' events that are not stored yet.
    """
    newest = _seen_commits(instance, just_seen)
    for record in instance.get_run_records(filters=dg.RunsFilter(), ascending=True):
        state = _state_of_run(record)
        if state and (state.status is not Status.NOT_PROCESSED or _key(state) not in newest):
            newest[_key(state)] = state
    states = sorted(newest.values(), key=lambda state: (parse_release(state.release), state.created_at or _LONG_AGO))
    return [_explained(instance, state) for state in _without_outdated(states)]


def _key(state: ReleaseState) -> tuple[str, str]:
    return state.release, state.commit_sha


def _without_outdated(states: list[ReleaseState]) -> Iterator[ReleaseState]:
    """Leave out what ended before its commit was known, once something newer is known of the release."""
    newest = latest_by_release(states)
    for state in states:
        if state.commit_sha or newest[state.release] is state:
            yield state


def _explained(instance: dg.DagsterInstance, state: ReleaseState) -> ReleaseState:
    """A run that was killed could not say why it failed; its events do."""
    if not state.status.bad or state.reason:
        return state
    why = failure_of(instance, state.run_id)
    reason = f"release {state.release}: {why.message}"
    return state.model_copy(update={"reason": reason, "error": reason, "cause": why.cause})


def _seen_commits(
    instance: dg.DagsterInstance, just_seen: Sequence[dg.AssetObservation]
) -> dict[tuple[str, str], ReleaseState]:
    """The commits that ticks have recorded, each with the status it had at the last tick that saw it move."""
    states: dict[tuple[str, str], ReleaseState] = {}
    waiting: dict[str, dict[str, ReleaseState]] = {}
    for observation, time in _all_observations(instance, just_seen):
        state, new_content = _state_seen(observation, time)
        before = waiting.setdefault(state.release, {})
        if new_content:
            for other in before.values():
                if other.commit_sha != state.commit_sha:
                    states[_key(other)] = _replaced(other, state)
            before.clear()
        states.pop(_key(state), None)
        states[_key(state)] = state
        if state.status in (Status.PENDING, Status.NOT_PROCESSED):
            before[state.commit_sha] = state
    return states


def _state_seen(observation: dg.AssetObservation, time: datetime | None) -> tuple[ReleaseState, bool]:
    """The state that a tick gave a commit, and whether it brought new content."""
    values = {name: str(value.value) for name, value in observation.metadata.items()}
    state = ReleaseState(
        release=str(observation.partition),
        commit_sha=values["commit_sha"],
        status=Status(values["status"]),
        reason=values["reason"],
        created_at=time,
    )
    return state, values.get("outcome") == Outcome.NEW_CONTENT.value


def _replaced(state: ReleaseState, newer: ReleaseState) -> ReleaseState:
    reason = f"release {state.release}: commit {newer.commit_sha[:10]} replaced it before it ran"
    return state.model_copy(update={"status": Status.SKIPPED, "reason": reason})


def _all_observations(
    instance: dg.DagsterInstance, just_seen: Sequence[dg.AssetObservation]
) -> Iterator[tuple[dg.AssetObservation, datetime | None]]:
    cursor, more = None, True
    while more:
        page = instance.fetch_observations(dg.AssetKey(COMMITS_ASSET), limit=_PAGE, cursor=cursor, ascending=True)
        for record in page.records:
            observation = record.event_log_entry.asset_observation
            if observation and observation.partition:
                yield observation, _time(record.timestamp)
        cursor, more = page.cursor, page.has_more
    now = datetime.now(timezone.utc)
    yield from ((observation, now) for observation in just_seen)


def latest_by_release(states: Iterable[ReleaseState]) -> dict[str, ReleaseState]:
    """The newest state of each release."""
    return {state.release: state for state in states}


def standing(states: Iterable[ReleaseState]) -> list[ReleaseState]:
    """Where each release stands: at its newest commit that was not skipped, as a skipped one changes nothing; in order."""
    newest: dict[str, ReleaseState] = {}
    for state in states:
        before = newest.get(state.release)
        if before is None or before.status is Status.SKIPPED or state.status is not Status.SKIPPED:
            newest[state.release] = state
    return list(newest.values())


def _state_of_run(record: dg.RunRecord) -> ReleaseState | None:
    run = record.dagster_run
    release = release_of(run.tags)
    if not is_release(release):
        return None
    status = status_of(run.status, dict(run.tags))
    reason = run.tags.get(REASON_TAG, "") if status.bad or status in (Status.SKIPPED, Status.ABORTED) else ""
    if status is Status.ABORTED and not reason:
        reason = f"release {release}: its run was canceled in stage {run.tags.get(STAGE_TAG, '')}".removesuffix(" in stage ")
    return ReleaseState(
        release=release,
        commit_sha=run.tags.get(COMMIT_TAG, ""),
        status=status,
        reason=reason,
        error=reason if status.bad else "",
        cause=run.tags.get(CAUSE_TAG, "") if status.bad else "",
        run_id=run.run_id,
        job=run.job_name,
        created_at=record.create_timestamp.replace(tzinfo=timezone.utc),
        started_at=_time(record.start_time),
        ended_at=_time(record.end_time),
        counts={**_numbers(run.tags.get(COUNTS_TAG)), **_numbers(run.tags.get(CHANGES_TAG))},
        parameters=_parameters(run.run_config),
    )


def _parameters(run_config: Any) -> dict[str, Any]:
    """What was asked for at launch, as the run's configuration holds it."""
    parameters: dict[str, Any] = run_config.get("resources", {}).get("parameters", {}).get("config", {}) if run_config else {}
    return parameters


def _numbers(text: str | None) -> dict[str, int]:
    numbers: dict[str, int] = json.loads(text) if text else {}
    return numbers


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
