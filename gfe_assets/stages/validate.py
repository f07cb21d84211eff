"""Stage validate: whether the graph really is what was loaded, and sound as a whole.

In: the asset `graph_validation` with one check a rule. Out: the rules (`graph/compare.py`).

Runs in the pool of the writer, so that no load comes between a load and its validation.
"""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from gfe_assets.errors import BuildError
from gfe_assets.graph import compare
from gfe_assets.graph.desired import ReleaseGraph
from gfe_assets.graph.frames import read_graph
from gfe_assets.graph.model import EDGES, RELEASE
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla.manifest import CheckResult, read_manifest
from gfe_assets.partitions import ONE_RUN_EACH, RELEASES
from gfe_assets.resources import ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.stages.build import csv_folder
from gfe_assets.stages.common import OWNERS, check_result, check_specs, first_failure, stage
from gfe_assets.stages.load import GRAPH_WRITER, gfe_graph, loadable, wanted_graph
from gfe_assets.state import Stage, Status, mark

CHECKS = {
    **{
        f"{label}_equal_csv": f"The {label} nodes of this release are those of its CSV files, by key, count and value."
        for label in ("GFE", "Sequence", "Feature", "IPD_Allele", "IPD_Accession")
    },
    **{
        f"{edge.type}_equal_csv": f"The {edge.type} edges of this release are those of its CSV files, by key and count."
        for edge in EDGES
    },
    "release_complete": "The Release node is there, complete, with the commit and fingerprint of this build.",
    "no_orphans": "No GFE without allele, accession and sequence; no other node without a GFE; in the whole graph.",
    "no_duplicates": "No two nodes with one key and no two edges between the same nodes; in the whole graph.",
    "releases_in_order": "Every list of releases is in release order, without repeats, and names loaded releases.",
    "features_make_sequences": "The features of every GFE, joined, are its sequence (but where entries leave bases out).",
}


@dg.asset(
    partitions_def=RELEASES,
    deps=[gfe_graph],
    group_name="validate",
    kinds={"graph"},
    owners=OWNERS,
    backfill_policy=ONE_RUN_EACH,
    pool=GRAPH_WRITER,
    check_specs=check_specs("graph_validation", CHECKS),
    description="The verdict on the graph after a load: equal to the CSV files of the release, and sound as a whole.",
)
def graph_validation(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    graph: dg.ResourceParam[GraphStore],
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.MaterializeResult[None]]:
    """Compare the graph with the partition's CSV files."""
    release = context.partition_key
    with stage(context, Stage.VALIDATE, Status.LOAD_COMPLETE, Status.EXECUTION_FAILED) as clock:
        manifest = loadable(settings, release)
        checks, nodes = validate(settings, wanted_graph(settings, manifest), graph)
        progress(context.log)("checks done", len(checks), len(checks))
        failure = first_failure(checks)
        reason = f"release {release}: the graph is not what was loaded, {failure}" if failure else ""
        mark(context.instance, context.run.run_id, Status.LOAD_INVALID if failure else Status.LOAD_SUCCESS, reason=reason)
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": nodes, "checks": len(checks), **clock.metadata()},
            check_results=[check_result(check) for check in checks],
        )


def validate(settings: Settings, desired: ReleaseGraph, graph: GraphStore) -> tuple[list[CheckResult], int]:
    """Ask every rule; also the number of nodes in the graph."""
    with graph.reader() as reader:
        present = read_graph(reader)
        exceptions = partly_annotated(settings, present.nodes[RELEASE.label]["name"].to_list())
        checks = [
            *compare.release_equals_csvs(desired, present),
            compare.release_complete(desired, present),
            compare.no_orphans(present),
            compare.no_duplicates(present),
            compare.releases_in_order(present),
            compare.features_make_sequences(reader, exceptions),
        ]
    checks = [
        CheckResult(
            name=c.name,
            passed=c.passed,
            summary="; ".join(c.examples) or "ok",
            numbers=dict(c.numbers),
            examples=tuple(c.examples),
        )
        for c in checks
    ]
    return checks, sum(frame.height for frame in present.nodes.values())


def partly_annotated(settings: Settings, releases: list[str]) -> set[str]:
    """The GFEs whose entries leave bases out of their features, as the manifests of these releases declare them."""
    names: set[str] = set()
    for release in releases:
        with suppress(BuildError):  # the files of an older release may be gone; then its GFEs have no excuse
            names.update(allele.gfe_name for allele in read_manifest(csv_folder(settings, release), release).partly_annotated)
    return names
