"""The jobs: all four stages, only the build, only the load; backup, restore, adoption.

In: which assets a job runs and how. Out: what the assets do (`stages/`), when jobs run (`sensors.py`).

A run is one process: its stages follow each other strictly, and runs go side by side, not stages.
"""

import dagster as dg

from gfe_assets.partitions import OLDEST_FIRST
from gfe_assets.stages.adopt import adopt_database
from gfe_assets.stages.backup import graph_backup, restore_graph
from gfe_assets.stages.build import gfe_csvs
from gfe_assets.stages.load import gfe_graph
from gfe_assets.stages.raw import raw_sequences
from gfe_assets.stages.report import release_report
from gfe_assets.stages.validate import graph_validation

release_job = dg.define_asset_job(
    "release_job",
    config=OLDEST_FIRST,
    selection=dg.AssetSelection.assets(raw_sequences, gfe_csvs, gfe_graph, graph_validation, release_report),
    executor_def=dg.in_process_executor,
    description="A release from its source into the graph: raw → build → load → validate, and its report.",
)
build_job = dg.define_asset_job(
    "build_job",
    config=OLDEST_FIRST,
    selection=dg.AssetSelection.assets(raw_sequences, gfe_csvs),
    executor_def=dg.in_process_executor,
    description="Only the CSV files of a release; the graph is not touched (skip-load).",
)
load_job = dg.define_asset_job(
    "load_job",
    config=OLDEST_FIRST,
    selection=dg.AssetSelection.assets(gfe_graph, graph_validation, release_report),
    executor_def=dg.in_process_executor,
    description="Load and validate the CSV files that are built already.",
)
backup_job = dg.define_asset_job(
    "backup_job",
    selection=dg.AssetSelection.assets(graph_backup),
    executor_def=dg.in_process_executor,
    description="A backup of the graph and the accession registry.",
)


@dg.job(
    executor_def=dg.in_process_executor,
    description="The graph made equal to a backup, after a backup of the graph that is there.",
)
def restore_job() -> None:
    """One op."""
    restore_graph()


@dg.job(
    executor_def=dg.in_process_executor,
    description="A Neo4j database that gfe-db filled, brought to this schema.",
)
def adopt_job() -> None:
    """One op."""
    adopt_database()


JOBS = (release_job, build_job, load_job, backup_job, restore_job, adopt_job)
