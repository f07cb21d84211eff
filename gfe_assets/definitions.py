"""Everything Dagster needs to know, bound in one place.

In: assets in flow order, jobs, resources, put together for given settings. Out: each of them. Nothing is opened
or read here except the settings.
"""

from typing import Any

import dagster as dg

from gfe_assets.alerts import alert_sensors
from gfe_assets.commits import release_commits
from gfe_assets.jobs import JOBS
from gfe_assets.overview import execution_state
from gfe_assets.resources import bind
from gfe_assets.schedules import daily_backup
from gfe_assets.sensors import backup_sensor, commit_sensor, state_sensor
from gfe_assets.settings import Settings
from gfe_assets.stages.backup import graph_backup
from gfe_assets.stages.build import gfe_csvs
from gfe_assets.stages.load import gfe_graph
from gfe_assets.stages.raw import raw_sequences
from gfe_assets.stages.report import release_report
from gfe_assets.stages.validate import graph_validation
from gfe_assets.watchdog import watchdog


def build_defs(settings: Settings, **overrides: Any) -> dg.Definitions:
    """The definitions of a deployment; `overrides` replace resources by name (tests, the command line's progress bars)."""
    return dg.Definitions(
        assets=dg.with_source_code_references(
            [
                release_commits,
                raw_sequences,
                gfe_csvs,
                gfe_graph,
                graph_validation,
                release_report,
                graph_backup,
                execution_state,
            ]
        ),
        jobs=JOBS,
        sensors=[
            commit_sensor(settings.poll_seconds),
            state_sensor(),
            backup_sensor(settings),
            *alert_sensors(settings),
            watchdog(settings),
        ],
        schedules=[daily_backup(settings.backup_cron)],
        resources={**bind(settings), **overrides},
        executor=dg.in_process_executor,  # of runs that the UI makes of single assets; as the jobs do
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads: the definitions for the settings of the environment."""
    return build_defs(Settings.load())
