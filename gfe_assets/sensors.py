"""The sensors that keep the deployment up to date: new commits come in, what became of runs is shown, and loads are backed up.

In: one tick of each as a Dagster sensor. Out: looking and deciding (`source/tick.py`), what is recorded (`commits.py`),
what the states are (`state.py`). The commit sensor never downloads data.
"""

from datetime import datetime, timezone

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus  # no public way to ask for backfills
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from gfe_assets.commits import SENSOR_NAME, call_off_replaced, newest_cursor, observations, run_tags, summary
from gfe_assets.errors import SourceUnavailable
from gfe_assets.hla.release import is_release, sort_names
from gfe_assets.home import fail_dead_runs
from gfe_assets.jobs import backup_job, release_job
from gfe_assets.overview import overview_event
from gfe_assets.partitions import RELEASES
from gfe_assets.settings import Settings
from gfe_assets.source.cursor import Tick
from gfe_assets.source.models import Source
from gfe_assets.source.tick import tick
from gfe_assets.stages.backup import AFTER_LOADS, backup_config, graph_backup
from gfe_assets.stages.load import gfe_graph
from gfe_assets.statuses import release_of, settle_all

STATE_SENSOR = "execution_states"
UNDECIDED = "nothing was decided"
"""How the skip reason of a commit sensor's tick begins that got no answer."""
_TICK_SECONDS = 45.0
"""A tick gives up before Dagster does, after 60 s, so that it can say why."""
_STATE_SECONDS = 30


def commit_sensor(poll_seconds: int) -> dg.SensorDefinition:
    """The sensor, looking every `poll_seconds`; off until somebody switches it on."""

    @dg.sensor(
        name=SENSOR_NAME,
        job=release_job,
        minimum_interval_seconds=poll_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Looks for new commits in the source repository and runs the releases whose content has changed.",
    )
    def imgt_hla_commits(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], watched_source: dg.ResourceParam[Source]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor = newest_cursor(context.instance, context.cursor or "")
        try:
            found = tick(
                watched_source,
                cursor,
                excluded=settings.excluded_shas,
                process=settings.process_existing,
                within=_TICK_SECONDS,
            )
        except SourceUnavailable as error:
            return dg.SkipReason(f"{UNDECIDED}: {error}")
        if found is None:
            return dg.SkipReason("the repository is unchanged since the last look")
        context.log.info(summary(found))
        return _result(context.instance, found)

    return imgt_hla_commits


def _result(instance: dg.DagsterInstance, found: Tick) -> dg.SensorResult:
    """All that follows from a tick; Dagster keeps the cursor once everything else was accepted."""
    call_off_replaced(instance, found)
    known = set(instance.get_dynamic_partitions(str(RELEASES.name)))
    missing = sort_names({decision.branch for decision in found.decisions if decision.commit} - known)
    events = observations(found)
    requests = [
        dg.RunRequest(run_key=decision.run_key, partition_key=decision.branch, tags=run_tags(decision))
        for decision in found.runs
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(summary(found)),
        dynamic_partitions_requests=[RELEASES.build_add_request(missing)] if missing else [],
        asset_events=[*events, overview_event(instance, events)] if events else [],
        cursor=found.cursor.model_dump_json(),
    )


def state_sensor() -> dg.SensorDefinition:
    """The sensor that looks after what runs could not say themselves; on from the start, as it starts nothing."""

    @dg.sensor(
        name=STATE_SENSOR,
        minimum_interval_seconds=_STATE_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Gives runs whose process died their end and their place in the pools back, corrects the status tags of "
        "runs that were killed or canceled, and renews the table of the asset execution_state when a run has moved on.",
    )
    def execution_states(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        dead = fail_dead_runs(context.instance)
        settled = settle_all(context.instance)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        changed = context.instance.get_run_records(
            dg.RunsFilter(updated_after=since), limit=1, order_by="update_timestamp", ascending=False
        )
        if not changed:
            return dg.SkipReason("no run has moved on since the last look")
        said = f"{len(dead)} dead runs ended, {len(settled)} runs settled; the table was renewed"
        return dg.SensorResult(
            skip_reason=dg.SkipReason(said),
            asset_events=[overview_event(context.instance)],
            cursor=changed[0].update_timestamp.astimezone(timezone.utc).isoformat(),
        )

    return execution_states


def backup_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that backs up after a batch of loads; on from the start where GFE_BACKUP_AROUND_LOADS asks for it."""
    on = dg.DefaultSensorStatus.RUNNING if settings.backup_around_loads else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="backup_after_loads",
        job=backup_job,
        minimum_interval_seconds=_STATE_SECONDS,
        default_status=on,
        description="Backs up the graph and the accession registry when the last of the runs that load has ended, if it has "
        "changed since the newest backup (GFE_BACKUP_AROUND_LOADS).",
    )
    def backup_after_loads(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if busy := _loading(context.instance):
            return dg.SkipReason(f"{busy}; the backup waits for its end")
        load = _newest_change(context.instance)
        backups = context.instance.fetch_materializations(graph_backup.key, limit=1).records
        if load is None or (backups and backups[0].timestamp > load.timestamp):
            return dg.SkipReason("nothing was loaded since the newest backup")
        return dg.RunRequest(run_key=f"after-loads:{load.run_id}", run_config=backup_config(AFTER_LOADS))

    return backup_after_loads


def _loading(instance: dg.DagsterInstance) -> str:
    """What may load yet, in words; empty when nothing does. Between two runs of a backfill none may be there."""
    if instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]), limit=1):
        return "a backfill is going on"
    runs = instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
    releases = sort_names({name for run in runs if is_release(name := release_of(run.tags))})
    return f"runs of {', '.join(releases)} have not ended" if releases else ""


def _newest_change(instance: dg.DagsterInstance) -> dg.EventLogRecord | None:
    """The newest load that changed the graph, of the newest hundred."""
    for record in instance.fetch_materializations(gfe_graph.key, limit=100).records:
        load = record.asset_materialization
        if load and not load.metadata["unchanged"].value:
            return record
    return None
