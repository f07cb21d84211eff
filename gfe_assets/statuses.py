"""The 14 statuses, and the run tags by which a run says where it stands.

In: statuses, stages, tags, writing and reading them. Out: the state of all releases (`state.py`), who writes the tags
(`stages/`, `commits.py`).

A run that goes on writes `gfe/stage` and `gfe/status` into its own tags; what it could not write any more
(it was killed, canceled) follows from the run's own status and the last stage it reached:

    run status            last stage       status
    queued, starting      any              PENDING
    started               as tagged        BUILD_IN_PROGRESS, BUILD_SUCCESS, LOAD_IN_PROGRESS, LOAD_COMPLETE
    success               as tagged        LOAD_SUCCESS, LOAD_SKIPPED, SKIPPED, BUILD_SUCCESS, LOAD_COMPLETE
    success               raw (only)       NOT_PROCESSED, unless another run says more
    failure               build, load      BUILD_FAILED, LOAD_FAILED
    failure               validate         LOAD_INVALID when a check failed, else EXECUTION_FAILED
    failure               raw or none      EXECUTION_FAILED
    canceled              any              ABORTED, or SKIPPED when a newer commit replaced it
"""

import json
from collections.abc import Mapping
from enum import Enum

import dagster as dg

from gfe_assets.failures import failure_of

RELEASE_TAG = "gfe/release"
COMMIT_TAG = "gfe/commit_sha"
STATUS_TAG = "gfe/status"
STAGE_TAG = "gfe/stage"
REASON_TAG = "gfe/reason"
CAUSE_TAG = "gfe/cause"
COUNTS_TAG = ".dagster/gfe/counts"  # with this prefix the UI does not show a tag; these are for programs
CHANGES_TAG = ".dagster/gfe/changes"
CHANGE_KINDS = ("inserted", "updated", "deleted")


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

    @property
    def bad(self) -> bool:
        """Whether a run that ended like this failed."""
        return self in (Status.BUILD_FAILED, Status.LOAD_FAILED, Status.LOAD_INVALID, Status.EXECUTION_FAILED)


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


_GOING_ON = {
    Status.PENDING.value,
    Status.BUILD_IN_PROGRESS.value,
    Status.BUILD_SUCCESS.value,
    Status.LOAD_IN_PROGRESS.value,
    Status.LOAD_COMPLETE.value,
    Status.LOAD_SUCCESS.value,
}
"""Tags that a failed or canceled run cannot have in the end."""


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
    if run_status == dg.DagsterRunStatus.SUCCESS and tags.get(STAGE_TAG) == Stage.RAW.value and tagged != Status.SKIPPED.value:
        return Status.NOT_PROCESSED
    return Status(tagged) if tagged else Status.PENDING


def release_of(tags: Mapping[str, str]) -> str:
    """The release of a run, also of one that has not begun; empty for runs of no release.

    The runs of a backfill of assets have no partition but a range of one.
    """
    return tags.get(RELEASE_TAG) or tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start", "")


def mark(
    instance: dg.DagsterInstance,
    run_id: str,
    status: Status,
    stage: Stage | None = None,
    reason: str = "",
    cause: str = "",
    counts: Mapping[str, int] | None = None,
    changes: Mapping[str, int] | None = None,
) -> None:
    """Write into the tags of a run where it stands; the tags are what `read_states` and the UI's run page show.

    `counts` are those of a build. `changes` are those of a load, by what changed and how (`GFE.inserted`); they are summed up.
    """
    told = {
        STAGE_TAG: stage.value if stage else "",
        REASON_TAG: reason,
        CAUSE_TAG: cause,
        COUNTS_TAG: json.dumps(dict(counts)) if counts else "",
        CHANGES_TAG: json.dumps(summed_up(changes)) if changes is not None else "",
    }
    instance.add_run_tags(run_id, {STATUS_TAG: status.value, **{tag: text for tag, text in told.items() if text}})


def summed_up(changes: Mapping[str, int]) -> dict[str, int]:
    """How many nodes and edges a load inserted, updated and deleted, whatever they are (`GFE.inserted` and so on)."""
    return {kind: sum(number for name, number in changes.items() if name.endswith(f".{kind}")) for kind in CHANGE_KINDS}


def forget_inherited(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Empty the tags that a re-execution has from the run before it, and that only that one may tell."""
    told = (STAGE_TAG, REASON_TAG, CAUSE_TAG, COUNTS_TAG, CHANGES_TAG)
    inherited = {tag: "" for tag in told if run.parent_run_id and run.tags.get(tag)}
    if inherited:
        instance.add_run_tags(run.run_id, inherited)


def settle(instance: dg.DagsterInstance, run_id: str) -> None:
    """Correct the tags of a run that could not do it itself, so that the UI's run page shows where it stands, too."""
    run = instance.get_run_by_id(run_id)
    if run is None or STATUS_TAG not in run.tags:
        return
    status = status_of(run.status, dict(run.tags))
    if status.value == run.tags[STATUS_TAG]:
        return
    if status is Status.PENDING:
        forget_inherited(instance, run)
    why = failure_of(instance, run_id) if status.bad and not run.tags.get(REASON_TAG) else None
    reason = f"release {run.tags.get(RELEASE_TAG, '')}: {why.message}" if why else ""
    mark(instance, run_id, status, reason=reason, cause=why.cause if why else "")


def settle_all(instance: dg.DagsterInstance) -> list[str]:
    """Settle runs that ended while their tags say that they go on, and re-executions that wait with the tags of the run before.

    Gives their ids.
    """
    ended = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED], tags={STATUS_TAG: sorted(_GOING_ON)}
    )
    others = sorted(status.value for status in Status if status not in (Status.PENDING, Status.SKIPPED))
    waiting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], tags={STATUS_TAG: others})
    unsettled = [*instance.get_runs(ended), *instance.get_runs(waiting)]
    for run in unsettled:
        settle(instance, run.run_id)
    return [run.run_id for run in unsettled]
