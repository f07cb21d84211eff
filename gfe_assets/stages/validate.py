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
from gfe_assets.resources import ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.stages.build import build_lock, csv_folder
from gfe_assets.stages.common import (
    check_result,
    check_specs,
    commit_link,
    first_failure,
    newest,
    release_asset,
    stage,
    table,
)
from gfe_assets.stages.load import GRAPH_WRITER, gfe_graph, loadable, node_counts_of, wanted_graph
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
    "counts_not_lower": "Loading a release that the graph did not have took no node away; a correction may do that.",
}
_PASSED = {
    "release_complete": "complete, with the commit of this build; {releases:,} releases in the graph",
    "no_orphans": "no node stands alone",
    "no_duplicates": "every key and every edge is there once",
    "releases_in_order": "every list of releases is in order",
    "features_make_sequences": "{checked:,} GFEs are spelled by their features; the entries of {excepted:,} leave bases out",
    "counts_not_lower": "no label has lost nodes",
}
"""What a check says when it passes, with its numbers."""


@release_asset(
    Stage.VALIDATE,
    deps=[gfe_graph],
    kinds={"graph"},
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
    with stage(context, settings, Stage.VALIDATE, Status.LOAD_COMPLETE, Status.EXECUTION_FAILED) as clock:
        with build_lock(settings, release, "validation", shared=True):
            manifest = loadable(settings, release)
            checks, nodes = validate(settings, wanted_graph(settings, manifest), graph)
        checks.append(counts_check(context.instance, context.run.run_id, release))
        progress(context.log)("checks done", len(checks), len(checks))
        failure = first_failure(checks)
        reason = f"release {release}: the graph is not what was loaded, {failure}" if failure else ""
        mark(context.instance, context.run.run_id, Status.LOAD_INVALID if failure else Status.LOAD_SUCCESS, reason=reason)
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": nodes,
                "version": manifest.version,
                "commit": commit_link(manifest.commit),
                "checks": len(checks),
                "checks_failed": sum(not check.passed for check in checks),
                "verdicts": table(
                    ("check", "verdict", "what it found"),
                    [(c.name, "passed" if c.passed else "**FAILED**", c.summary[:200]) for c in checks],
                ),
                **clock.metadata(),
            },
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
    return [_worded(check) for check in checks], sum(frame.height for frame in present.nodes.values())


def counts_check(instance: dg.DagsterInstance, run_id: str, release: str) -> CheckResult:
    """Whether the load of this run took nodes away that it must not."""
    load = newest(instance, gfe_graph, release)
    counts = node_counts_of(load.materialization) if load and load.run_id == run_id else None
    if counts is None:
        return CheckResult(name="counts_not_lower", passed=True, summary="this run has loaded nothing")
    checked = _worded(compare.counts_not_lower(counts.before, counts.after, new=counts.new))
    again = "the release was in the graph already, so nodes may go"
    return checked if counts.new else checked.model_copy(update={"summary": again})


def _worded(check: compare.Finding) -> CheckResult:
    """The result of a check of the graph with a sentence for people."""
    numbers = dict(check.numbers)
    if check.passed and check.name in _PASSED:
        summary = _PASSED[check.name].format(**numbers)
    elif check.passed:
        summary = f"{numbers['in_csv']:,} in the CSV files, the same in the graph"
    else:
        summary = "; ".join(check.examples) or ", ".join(f"{number:,} {name}" for name, number in numbers.items())
    return CheckResult(name=check.name, passed=check.passed, summary=summary, numbers=numbers, examples=tuple(check.examples))


def partly_annotated(settings: Settings, releases: list[str]) -> set[str]:
    """The GFEs whose entries leave bases out of their features, as the manifests of these releases declare them."""
    names: set[str] = set()
    for release in releases:
        with suppress(BuildError):  # the files of an older release may be gone; then its GFEs have no excuse
            names.update(allele.gfe_name for allele in read_manifest(csv_folder(settings, release), release).partly_annotated)
    return names
