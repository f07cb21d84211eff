"""The commit sensor: new commits come in by themselves.

In: one tick as a Dagster sensor. Out: looking and deciding (`source/tick.py`), what is recorded (`commits.py`). It
never downloads data.
"""

import dagster as dg

from gfe_assets.commits import SENSOR_NAME, call_off_replaced, newest_cursor, observations, run_tags, summary
from gfe_assets.errors import SourceUnavailable
from gfe_assets.hla.release import sort_names
from gfe_assets.jobs import release_job
from gfe_assets.partitions import RELEASES
from gfe_assets.settings import Settings
from gfe_assets.source.models import Source
from gfe_assets.source.tick import tick


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
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], source: dg.ResourceParam[Source]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor = newest_cursor(context.instance, context.cursor or "")
        try:
            found = tick(source, cursor, excluded=settings.excluded_shas, process=settings.process_existing)
        except SourceUnavailable as error:
            return dg.SkipReason(f"nothing was decided: {error}")
        if found is None or (not found.runs and not any(decision.commit for decision in found.decisions)):
            return dg.SkipReason("the repository is unchanged since the last look")
        call_off_replaced(context.instance, found)
        known = set(context.instance.get_dynamic_partitions(str(RELEASES.name)))
        missing = sort_names({decision.branch for decision in found.decisions if decision.commit} - known)
        context.log.info(summary(found))
        requests = [
            dg.RunRequest(run_key=decision.run_key, partition_key=decision.branch, tags=run_tags(decision))
            for decision in found.runs
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(summary(found)),
            dynamic_partitions_requests=[RELEASES.build_add_request(missing)] if missing else [],
            asset_events=observations(found),
            cursor=found.cursor.model_dump_json(),
        )

    return imgt_hla_commits
