"""The sensors that keep the deployment up to date: new commits come in, and what became of runs is shown.

In: one tick of each as a Dagster sensor. Out: looking and deciding (`source/tick.py`), what is recorded (`commits.py`),
what the states are (`state.py`). The commit sensor never downloads data.
"""

from datetime import datetime, timezone

import dagster as dg

from gfe_assets.commits import SENSOR_NAME, call_off_replaced, newest_cursor, observations, run_tags, summary
from gfe_assets.errors import SourceUnavailable
from gfe_assets.hla.release import sort_names
from gfe_assets.home import fail_dead_runs
from gfe_assets.jobs import release_job
from gfe_assets.overview import overview_event
from gfe_assets.partitions import RELEASES
from gfe_assets.settings import Settings
from gfe_assets.source.cursor import Tick
from gfe_assets.source.models import Source
from gfe_assets.source.tick import tick
from gfe_assets.statuses import settle_all

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
