"""The execution state of every release: 14 statuses, read from Dagster's run and event storage and kept nowhere else.

In: the statuses, the run tags that a run leaves as it goes, and the record of each (release, commit). Out: who
sets the tags (`stages/`), who shows the records (`cli.py`).

A run that goes on writes `gfe/stage` and `gfe/status` into its own tags; what it could not write any more
(it was killed, canceled) follows from the run's own status and the last stage it reached:

    run status            last stage       status
    queued, starting      any              PENDING
    started               as tagged        BUILD_IN_PROGRESS, BUILD_SUCCESS, LOAD_IN_PROGRESS, LOAD_COMPLETE
    success               as tagged        LOAD_SUCCESS, LOAD_SKIPPED, SKIPPED, BUILD_SUCCESS, LOAD_COMPLETE
    failure               build, load      BUILD_FAILED, LOAD_FAILED
    failure               validate         LOAD_INVALID when a check failed, else EXECUTION_FAILED
    failure               raw or none      EXECUTION_FAILED
    canceled              any              ABORTED, or SKIPPED when a newer commit replaced it

A commit without a run has the status that the tick which saw it gave it: NOT_PROCESSED, SKIPPED, or PENDING.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import BaseModel

from gfe_assets.hla.release import is_release, parse_release

RELEASE_TAG = "gfe/release"
COMMIT_TAG = "gfe/commit_sha"
STATUS_TAG = "gfe/status"
STAGE_TAG = "gfe/stage"
REASON_TAG = "gfe/reason"
COMMITS_ASSET = "release_commits"
"""The asset on which ticks record every commit that they see."""
_PAGE = 5_000
_LONG_AGO = datetime.fromtimestamp(0, timezone.utc)


class Status(str, Enum):
    """Where a release stands at a commit (DESIGN.md 5)."""

    NOT_PROCESSED = "NOT_PROCESSED"
    SKIPPED = "SKIPPED"
    PENDING = "PENDING"
    BUILD_IN_PROGRESS = "BUILD_IN_PROGRESS"
    BUILD_SUCCESS = "BUILD_SUCCESS"
    BUILD_FAILED = "BUILD_FAILED"
    LOAD_IN_PROGRESS = "LOAD_IN_PROGRESS"
    LOAD_COMPLETE = "LOAD_COMPLETE"
    LOAD_SUCCESS = "LOAD_SUCCESS"
    LOAD_FAILED = "LOAD_FAILED"
    LOAD_INVALID = "LOAD_INVALID"
    LOAD_SKIPPED = "LOAD_SKIPPED"
    EXECUTION_FAILED = "EXECUTION_FAILED"
    ABORTED = "ABORTED"

    @property
    def good(self) -> bool:
        """Whether a run that ended like this did what it was asked for."""
        return self in (Status.LOAD_SUCCESS, Status.LOAD_SKIPPED, Status.SKIPPED)


class Stage(str, Enum):
    """The four words of the flow."""

    RAW = "raw"
    BUILD = "build"
    LOAD = "load"
    VALIDATE = "validate"


_FAILED_IN = {
    Stage.RAW.value: Status.EXECUTION_FAILED,
    Stage.BUILD.value: Status.BUILD_FAILED,
    Stage.LOAD.value: Status.LOAD_FAILED,
    Stage.VALIDATE.value: Status.EXECUTION_FAILED,
}
_NOT_STARTED = {
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.MANAGED,
}
_CANCELED = {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING}


class ReleaseState(BaseModel):
    """The state of one release at one commit, from its newest run there. Times are UTC, None where not reached."""

    release: str
    commit_sha: str
    status: Status
    reason: str = ""
    run_id: str = ""
    job: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    parameters: dict[str, Any] = {}


def status_of(run_status: dg.DagsterRunStatus, tags: dict[str, str]) -> Status:
    """The status that a run stands for, see the table above."""
    tagged = tags.get(STATUS_TAG)
    if run_status in _NOT_STARTED:
        return Status.PENDING
    if run_status in _CANCELED:
        return Status.SKIPPED if tagged == Status.SKIPPED.value else Status.ABORTED
    if run_status == dg.DagsterRunStatus.FAILURE:
        if tagged == Status.LOAD_INVALID.value:
            return Status.LOAD_INVALID
        return _FAILED_IN.get(tags.get(STAGE_TAG, ""), Status.EXECUTION_FAILED)
    return Status(tagged) if tagged else Status.PENDING


def mark(instance: dg.DagsterInstance, run_id: str, status: Status, stage: Stage | None = None, reason: str = "") -> None:
    """Write into the tags of a run where it stands; the tags are what `read_states` and the UI's run page show."""
    tags = {STATUS_TAG: status.value}
    if stage:
        tags[STAGE_TAG] = stage.value
    if reason:
        tags[REASON_TAG] = reason
    instance.add_run_tags(run_id, tags)


def read_states(instance: dg.DagsterInstance) -> list[ReleaseState]:
    """The state of every (release, commit) seen or run, releases in order, the newest commit of each last.

    Two queries, one of the run storage and one of the commits' events, whatever the number of runs.
    """
    newest: dict[tuple[str, str], ReleaseState] = {}
    runs = (_state_of_run(record) for record in instance.get_run_records(filters=dg.RunsFilter(), ascending=True))
    for state in (*_seen_commits(instance), *(state for state in runs if state)):
        newest.pop((state.release, state.commit_sha), None)
        newest[state.release, state.commit_sha] = state
    return sorted(newest.values(), key=lambda state: (parse_release(state.release), state.created_at or _LONG_AGO))


def _seen_commits(instance: dg.DagsterInstance) -> Iterator[ReleaseState]:
    """The commits that ticks have recorded, oldest event first, each with the status it had then."""
    for record in _all_observations(instance):
        observation = record.event_log_entry.asset_observation
        if observation and observation.partition:
            values = {name: str(value.value) for name, value in observation.metadata.items()}
            yield ReleaseState(
                release=observation.partition,
                commit_sha=values["commit_sha"],
                status=Status(values["status"]),
                reason=values["reason"],
                created_at=_time(record.timestamp),
            )


def _all_observations(instance: dg.DagsterInstance) -> Iterator[dg.EventLogRecord]:
    cursor, more = None, True
    while more:
        page = instance.fetch_observations(dg.AssetKey(COMMITS_ASSET), limit=_PAGE, cursor=cursor, ascending=True)
        yield from page.records
        cursor, more = page.cursor, page.has_more


def latest_by_release(states: Iterable[ReleaseState]) -> dict[str, ReleaseState]:
    """The newest state of each release."""
    return {state.release: state for state in states}


def _state_of_run(record: dg.RunRecord) -> ReleaseState | None:
    run = record.dagster_run
    release = run.tags.get(RELEASE_TAG) or run.tags.get("dagster/partition", "")
    if not is_release(release):
        return None
    return ReleaseState(
        release=release,
        commit_sha=run.tags.get(COMMIT_TAG, ""),
        status=status_of(run.status, dict(run.tags)),
        reason=run.tags.get(REASON_TAG, ""),
        run_id=run.run_id,
        job=run.job_name,
        created_at=record.create_timestamp.replace(tzinfo=timezone.utc),
        started_at=_time(record.start_time),
        ended_at=_time(record.end_time),
        parameters=_parameters(run.run_config),
    )


def _parameters(run_config: Any) -> dict[str, Any]:
    """What was asked for at launch, as the run's configuration holds it."""
    parameters: dict[str, Any] = run_config.get("resources", {}).get("parameters", {}).get("config", {}) if run_config else {}
    return parameters


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
