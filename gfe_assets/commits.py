"""What follows in Dagster from one look at the source repository; the sensor and `gfe-assets sync` share it.

In: recording every commit seen as an event, the tags of a run that a commit asks for, the cursor, and calling off
queued runs that a newer commit replaces. Out: looking and deciding (`source/tick.py`, `source/changes.py`), when that is
done (`sensors.py`, `synchronise.py`).

The cursor has two homes, the sensor's own (which Dagster advances only when all runs were submitted) and one for the
command line; whichever counts more ticks is the present one.
"""

import dagster as dg

from gfe_assets.partitions import RELEASES, priority
from gfe_assets.source.cursor import Cursor, Decision, Outcome, Tick
from gfe_assets.stages.common import OWNERS
from gfe_assets.state import COMMITS_ASSET
from gfe_assets.statuses import COMMIT_TAG, RELEASE_TAG, STATUS_TAG, Status, mark

SENSOR_NAME = "imgt_hla_commits"
TRIGGER_TAG = "gfe/trigger"
COMMIT_TRIGGER = "commit"
RUN_KEY_TAG = "dagster/run_key"
_CURSOR_KEY = "gfe_assets/commit_cursor"

release_commits = dg.AssetSpec(
    COMMITS_ASSET,
    group_name="raw",
    owners=OWNERS,
    kinds={"git"},
    tags={"domain": "immunogenetics", "stage": "raw"},
    partitions_def=RELEASES,
    description="Commits of the source repository, one event for each that was seen, with what was decided about it and why.",
)

_STATUS = {
    Outcome.NO_TRACKED_CHANGE: Status.SKIPPED,
    Outcome.EXCLUDED: Status.SKIPPED,
    Outcome.INCOMPLETE: Status.NOT_PROCESSED,
}


def observations(tick: Tick, *, runs: bool = True) -> list[dg.AssetObservation]:
    """One event for every commit that the tick saw; `runs` false says that the runs it asks for are not started."""
    return [_observation(decision, runs=runs) for decision in tick.decisions if decision.commit]


def _observation(decision: Decision, *, runs: bool) -> dg.AssetObservation:
    asked = Status.PENDING if decision.run_key and runs else Status.NOT_PROCESSED
    commit = decision.commit
    return dg.AssetObservation(
        release_commits.key,
        partition=decision.branch,
        description=decision.reason,
        metadata={
            "commit_sha": commit.sha if commit else "",
            "commit_date": commit.date.isoformat() if commit else "",
            "commit_message": commit.message if commit else "",
            "commit": dg.MetadataValue.url(commit.url) if commit and commit.url else "",
            "outcome": decision.outcome.value,
            "status": _STATUS.get(decision.outcome, asked).value,
            "reason": decision.reason,
        },
    )


def run_tags(decision: Decision) -> dict[str, str]:
    """The tags of the run that a decision asks for; older releases have priority."""
    return {
        RELEASE_TAG: decision.branch,
        COMMIT_TAG: decision.commit.sha if decision.commit else "",
        STATUS_TAG: Status.PENDING.value,
        TRIGGER_TAG: COMMIT_TRIGGER,
        "dagster/priority": priority(decision.branch),
    }


def asked_by_commit(run: dg.DagsterRun) -> bool:
    """Whether a commit asked for a run, and not a person: re-executing one is a person's wish, though the tags are the same."""
    return run.tags.get(TRIGGER_TAG) == COMMIT_TRIGGER and not run.parent_run_id


def newest_cursor(instance: dg.DagsterInstance, sensor_cursor: str | None = None) -> Cursor:
    """The cursor of the last tick, whoever made it.

    Raises:
        SourceError: a cursor cannot be read.
    """
    texts = [sensor_cursor, instance.run_storage.get_cursor_values({_CURSOR_KEY}).get(_CURSOR_KEY)]
    if sensor_cursor is None:
        texts += [
            state.instigator_data.cursor  # type: ignore[union-attr] # only sensors' data has one
            for state in instance.all_instigator_state()
            if state.name == SENSOR_NAME and state.instigator_data
        ]
    return max((Cursor.parse(text) for text in texts), key=lambda cursor: cursor.ticks)


def keep_cursor(instance: dg.DagsterInstance, cursor: Cursor) -> None:
    """Remember the cursor of a tick that the command line made."""
    instance.run_storage.set_cursor_values({_CURSOR_KEY: cursor.model_dump_json()})


def call_off_replaced(instance: dg.DagsterInstance, tick: Tick) -> list[str]:
    """Cancel runs that still wait in the queue for a commit that this tick replaces; their commit shows SKIPPED."""
    canceled = []
    for decision in tick.runs:
        waiting = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED], tags={RELEASE_TAG: decision.branch}
        )
        for run in instance.get_runs(waiting):
            sha = run.tags.get(COMMIT_TAG, "")
            if decision.commit and sha and sha != decision.commit.sha:
                reason = f"release {decision.branch}: commit {decision.commit.sha[:10]} replaced it before it ran"
                mark(instance, run.run_id, Status.SKIPPED, reason=reason)
                instance.run_coordinator.cancel_run(run.run_id)
                canceled.append(run.run_id)
    return canceled


def summary(tick: Tick) -> str:
    """A sentence about a tick for people."""
    counted: dict[str, int] = {}
    for decision in tick.decisions:
        counted[decision.outcome.value] = counted.get(decision.outcome.value, 0) + 1
    return f"{len(tick.runs)} runs asked for; " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(counted.items()))
