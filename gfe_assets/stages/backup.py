"""Backups as Dagster sees them: an asset that a run makes anew, and the op that restores one.

In: the asset `graph_backup`, the op `restore_graph`. Out: what a backup is and does (`graph/backup.py`, `graph/restore.py`).

Both run in the pool of the writer, so that they wait their turn among the loads.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from gfe_assets.graph.backup import back_up
from gfe_assets.graph.backup_folder import DEFAULT_REASON, find_backup
from gfe_assets.graph.restore import restore
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla.accessions import Registry, ServiceRegistry, local_registry
from gfe_assets.resources import ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.stages.common import OWNERS, asset_tags, clear_failures, table
from gfe_assets.stages.load import GRAPH_WRITER, gfe_graph
from gfe_assets.statuses import Stage

AFTER_LOADS = "after loads"
"""The reason of a backup that is made when a batch of loads has come to its end."""


def backup_config(reason: str) -> dict[str, Any]:
    """The configuration of a run of `backup_job`."""
    return {"ops": {"graph_backup": {"config": {"reason": reason}}}}


class BackupConfig(dg.Config):
    """What can be asked for when a backup is launched."""

    reason: str = Field(default=DEFAULT_REASON, description="Why it is made; becomes part of its name")


class RestoreConfig(dg.Config):
    """What has to be said when a backup is restored."""

    name: str = Field(description="Name of a backup, or the path of its folder")
    replace: bool = Field(default=False, description="Replace a graph that is not empty; it is backed up before")


@dg.asset(
    deps=[gfe_graph],
    group_name="load",
    kinds={"graph", "parquet"},
    owners=OWNERS,
    tags=asset_tags(Stage.LOAD),
    pool=GRAPH_WRITER,
    description="A backup of the whole graph and the accession registry: Parquet files with checksums. The newest are kept.",
)
def graph_backup(
    context: dg.AssetExecutionContext,
    config: BackupConfig,
    settings: dg.ResourceParam[Settings],
    graph: dg.ResourceParam[GraphStore],
    registry: dg.ResourceParam[Registry | ServiceRegistry],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.MaterializeResult[None]:
    """Make a backup, then remove the oldest."""
    with clear_failures(context, settings) as clock:
        root = settings.backups_folder
        manifest = back_up(
            root,
            graph,
            local_registry(registry),
            reason=config.reason,
            keep=settings.backups_kept,
            wait_seconds=settings.graph_wait_seconds,
            progress=progress(context.log),
        )
    return dg.MaterializeResult(
        metadata={
            "backup": manifest.name,
            "folder": dg.MetadataValue.path(str(root / manifest.name)),
            "releases": ", ".join(manifest.releases),
            "nodes": sum(manifest.nodes.values()),
            "edges": sum(manifest.edges.values()),
            "accessions": manifest.accessions,
            "size_mb": round(manifest.size / 1e6, 1),
            "files": table(("file", "rows", "bytes"), [(file.name, file.rows, file.size) for file in manifest.files]),
            **clock.metadata(),
        }
    )


@dg.op(
    pool=GRAPH_WRITER,
    out=dg.Out(dg.Nothing),
    description="Makes the graph equal to a backup, after a backup of the graph that is there; the registry loses nothing.",
)
def restore_graph(
    context: dg.OpExecutionContext,
    config: RestoreConfig,
    settings: dg.ResourceParam[Settings],
    graph: dg.ResourceParam[GraphStore],
    registry: dg.ResourceParam[Registry | ServiceRegistry],
    progress: dg.ResourceParam[ProgressFactory],
) -> None:
    """Restore, and say so on the graph's page."""
    with clear_failures(context, settings) as clock:
        root = settings.backups_folder
        restored = restore(
            find_backup(root, config.name),
            graph,
            local_registry(registry),
            root=root,
            replace=config.replace,
            wait_seconds=settings.graph_wait_seconds,
            progress=progress(context.log),
        )
    context.log_event(
        dg.AssetObservation(
            gfe_graph.key,
            description=f"Restored from backup {restored.backup}.",
            metadata={"restored": dg.MetadataValue.json(restored.model_dump(mode="json")), **clock.metadata()},
        )
    )
