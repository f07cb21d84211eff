"""The schedule of daily backups.

In: when it runs. Out: what a backup is (`stages/backup.py`).
"""

import dagster as dg

from gfe_assets.errors import SettingsError
from gfe_assets.jobs import backup_job
from gfe_assets.stages.backup import backup_config


def daily_backup(cron: str) -> dg.ScheduleDefinition:
    """The schedule, in UTC; off until somebody switches it on.

    Raises:
        SettingsError: `cron` is no cron expression.
    """
    try:
        return dg.ScheduleDefinition(
            name="daily_backup",
            job=backup_job,
            cron_schedule=cron,
            execution_timezone="UTC",
            run_config=backup_config("daily"),
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Backs up the graph and the accession registry every day and keeps the newest backups.",
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingsError(
            f"settings cannot be used: GFE_BACKUP_CRON: {cron!r} is no cron expression such as 0 2 * * * (daily at 02:00 UTC)"
        ) from None
