"""The backup before a batch of loads: the first load of a batch that changes the graph makes it, if none holds the graph yet.

In: which runs are one batch, and backing up. Out: what a backup is (`graph/backup.py`), the backup after a batch (`backups.py`
for the command line, `sensors.py` where a daemon runs). Most often the one after a batch is the one before the next.
"""

from collections.abc import Callable

import dagster as dg

from gfe_assets.graph.backup import back_up_before
from gfe_assets.graph.store import GraphReader, GraphStore
from gfe_assets.hla.accessions import Registry, ServiceRegistry, local_registry
from gfe_assets.progress import Progress
from gfe_assets.settings import Settings
from gfe_assets.stages.numbering import BATCH_TAGS

BATCH_TAG = "gfe/batch"
"""What the runs of one command line have in common; those of a backfill or a tick have a tag of Dagster's."""
SECURED_TAG = "gfe/secured"
"""Says on a run that the graph was backed up before it was changed, for all runs of its batch."""


def backup_before(
    context: dg.AssetExecutionContext,
    settings: Settings,
    graph: GraphStore,
    registry: Registry | ServiceRegistry,
    progress: Progress,
) -> Callable[[GraphReader], None]:
    """What the run's load has to do with the graph before it changes it."""

    def secure(reader: GraphReader) -> None:
        manifest = back_up_before(
            settings.backups_folder,
            reader,
            graph.location,
            local_registry(registry),
            reason="before loads",
            keep=settings.backups_kept,
            wait=settings.graph_wait_seconds,
            progress=progress,
        )
        said = manifest.name if manifest else "nothing to back up, or backed up before"
        context.instance.add_run_tags(context.run.run_id, {SECURED_TAG: said})
        context.log.info(f"backup before loads: {said}")

    wanted = settings.backup_around_loads and not _is_secured(context.instance, context.run)
    return secure if wanted else lambda _: None


def _is_secured(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    batch = next((tag for tag in (*BATCH_TAGS, BATCH_TAG) if tag in run.tags), None)
    if batch is None:
        return False
    runs = instance.get_runs(dg.RunsFilter(tags={batch: run.tags[batch]}))
    return any(SECURED_TAG in other.tags for other in runs)
