"""The difference that makes a graph equal to a release, computed once, in polars, for every store.

In: what the release wants (`desired.py`), what the graph holds (`GraphReader`), and for corrections what older releases
want. Out: how edges change (`sync_edges.py`), and how a store reads and writes (`ladybug.py`, `neo4j.py`).

The rule (DESIGN.md 3, "Graph"): after any loads in any order, repeats and corrections included, the graph is the one
that the last version of each release gives when they are loaded in release order into an empty graph. So:

- an edge with `releases` gains this release where the release wants it, loses it where not, and goes with its last one;
- a GFE without alleles goes with all its edges; so does any node that no living GFE points at;
- `G`, `lg`, `lgx` and the sequence come from the newest release that has the node;
- `submit_date` is the commit's date of the oldest release that has the GFE;
- features follow from the GFE's name, so the edges to them change only when a crash left them incomplete.

Real nodes and edges are read, so what a killed load left behind (nodes without edges, missing edges) is repaired.
"""

from collections.abc import Callable, Mapping

import polars as pl

from gfe_assets.errors import GraphError
from gfe_assets.graph.desired import Provenance, ReleaseGraph, desired_graph, order_dependent_nodes
from gfe_assets.graph.frames import GraphFrames, node_schema, read_graph
from gfe_assets.graph.model import (
    FEATURE,
    GFE,
    HAS_FEATURE,
    HAS_IPD_ACCESSION,
    HAS_IPD_ALLELE,
    HAS_SEQUENCE,
    IPD_ACCESSION,
    IPD_ALLELE,
    NODE_BY_LABEL,
    RELEASE,
    SEQUENCE,
    SUBMITTED,
    Node,
)
from gfe_assets.graph.store import Changes, EdgeChanges, GraphReader, NodeChanges
from gfe_assets.graph.sync_edges import Dated, dated_edges, feature_edges, sequence_edges, submitted_edges
from gfe_assets.graph.timeline import Timeline

__all__ = ["OlderRelease", "Provenance", "ReleaseGraph", "desired_graph", "order_dependent_nodes", "plan"]

OlderRelease = Callable[[str], ReleaseGraph | None]
"""Branch name → what that release, as it is loaded, wants (its `IPD_Allele` and `Sequence` nodes suffice, see
`order_dependent_nodes`), or None when its files are gone."""

KEPT_WITHOUT_SOURCE = "kept_without_source"
UNCHECKED_WITHOUT_SOURCE = "unchecked_without_source"


def plan(desired: ReleaseGraph, reader: GraphReader, older_release: OlderRelease) -> Changes:
    """What to write so that the graph equals the release; empty when it does already (`loaded_at` is no difference).

    `older_release` is asked only where a correction takes a node out of the newest release that had it, or where the last
    load of this release was killed on a store that is not transactional. When it knows no answer, the present
    values stay and are counted as `kept_without_source` (`unchecked_without_source` after a killed load).

    Raises:
        GraphError: a limited build would replace a release that is loaded whole; or the graph lists what is no release.
    """
    present = read_graph(reader)
    _refuse_cut(desired, present)
    timeline = _timeline(desired, present)
    alleles = dated_edges(HAS_IPD_ALLELE.type, desired, present, timeline, None)
    living = alleles.after.get_column("source").unique()
    accessions = dated_edges(HAS_IPD_ACCESSION.type, desired, present, timeline, living)
    sequences = pl.concat([present.nodes["Sequence"].get_column("name"), desired.nodes["Sequence"].get_column("name")])
    features, targets = feature_edges(desired, present, living)
    edges = {
        HAS_IPD_ALLELE.type: alleles.changes,
        HAS_IPD_ACCESSION.type: accessions.changes,
        HAS_SEQUENCE.type: sequence_edges(present, living, sequences),
        HAS_FEATURE.type: features,
        SUBMITTED.type: submitted_edges(desired, present, alleles.after, timeline),
    }
    values, counts = _values(desired, present, alleles, timeline, older_release)
    alive = {
        GFE.label: living,
        SEQUENCE.label: living,
        FEATURE.label: targets,
        IPD_ALLELE.label: alleles.after.get_column("target").unique(),
        IPD_ACCESSION.label: accessions.after.get_column("target").unique(),
    }
    nodes = {
        label: _node_changes(node, desired.nodes[label], present.nodes[label], values.get(label), alive.get(label))
        for label, node in NODE_BY_LABEL.items()
        if node is not RELEASE
    }
    return _assembled(desired, present, nodes, edges, counts)


def _refuse_cut(desired: ReleaseGraph, present: GraphFrames) -> None:
    limit = desired.nodes[RELEASE.label].item(0, "entries_limit")
    whole = present.nodes[RELEASE.label].filter(pl.col("name") == desired.release, pl.col("entries_limit").fill_null(0) == 0)
    if limit and len(whole):
        raise GraphError(
            f"release {desired.release} is in the graph whole, and this build has only its first {limit} entries, so loading "
            "it would remove the others: run without --limit, or with --skip-load"
        )


def _timeline(desired: ReleaseGraph, present: GraphFrames) -> Timeline:
    names = {desired.release, *present.nodes[RELEASE.label].get_column("name")}
    for type_ in (HAS_IPD_ALLELE.type, HAS_IPD_ACCESSION.type):
        names.update(present.edges[type_].get_column("releases").explode(empty_as_null=False).drop_nulls().unique())
    return Timeline(names)


def _values(
    desired: ReleaseGraph, present: GraphFrames, alleles: Dated, timeline: Timeline, older_release: OlderRelease
) -> tuple[dict[str, pl.DataFrame], dict[str, int]]:
    """Label → rows with the right values of nodes whose properties depend on the order of releases, and counts."""
    here = timeline.position(desired.release)
    crashed = present.nodes[RELEASE.label].filter(pl.col("name") == desired.release, ~pl.col("complete").fill_null(True))
    rows: dict[str, list[pl.DataFrame]] = {}
    to_check = []
    for label, end in ((IPD_ALLELE.label, "target"), (SEQUENCE.label, "source")):
        newest = _newest(alleles.after, end)
        mine = newest.filter(pl.col("newest") == here)
        rows[label] = [desired.nodes[label].join(mine, on="name", how="semi")]
        was_mine = _newest(alleles.before, end).filter(pl.col("newest") == here)
        others = newest.filter(pl.col("newest") != here).join(
            was_mine.select("name", lost=True), on="name", how="left", maintain_order="left"
        )
        to_check.append(others if len(crashed) else others.filter("lost"))
    counts = {KEPT_WITHOUT_SOURCE: 0, UNCHECKED_WITHOUT_SOURCE: 0}
    for position in sorted(set(pl.concat(to_check).get_column("newest"))):
        source = older_release(timeline.names[position])
        for (label, found), check in zip(rows.items(), to_check, strict=True):
            asked = check.filter(pl.col("newest") == position)
            if source is not None:
                answers = source.nodes[label].join(asked, on="name", how="semi")
                found.append(answers)
                asked = asked.join(answers, on="name", how="anti")
            lost = int(asked.get_column("lost").sum())
            counts[KEPT_WITHOUT_SOURCE] += lost
            counts[UNCHECKED_WITHOUT_SOURCE] += len(asked) - lost
    return {label: pl.concat(frames) for label, frames in rows.items()}, counts


def _newest(edges: pl.DataFrame, end: str) -> pl.DataFrame:
    """`name` of the node at one end and the position of the `newest` release that has it."""
    return edges.group_by(pl.col(end).alias("name")).agg(newest=pl.col("positions").list.max().max())


def _node_changes(
    node: Node, wanted: pl.DataFrame, present: pl.DataFrame, values: pl.DataFrame | None, alive: pl.Series | None
) -> NodeChanges:
    """Insert what is missing, bring the rest to `values` (None: to `wanted`), delete what is not `alive` (None: all is)."""
    key = node.key
    rows = wanted if values is None else values
    small = [name for name in node_schema(node, bulky=False) if name != key]
    both = rows.join(present, on=key, how="inner", suffix="_present")
    differ = [pl.col(name).ne_missing(pl.col(f"{name}_present")) for name in small]
    insert = wanted.join(present, on=key, how="anti")
    if alive is None:
        delete = present.clear()
    else:
        insert = insert.filter(pl.col(key).is_in(alive.implode()))
        delete = present.filter(~pl.col(key).is_in(alive.implode()))
        both = both.filter(pl.col(key).is_in(alive.implode()))
    update = both.filter(pl.any_horizontal(differ)) if differ else both.clear()
    return NodeChanges(insert, update.select(rows.columns), delete.select(key))


def _assembled(
    desired: ReleaseGraph,
    present: GraphFrames,
    nodes: Mapping[str, NodeChanges],
    edges: Mapping[str, EdgeChanges],
    counts: Mapping[str, int],
) -> Changes:
    """All of it as one piece; `Release` is written whenever anything is, so that `loaded_at` tells of the last change."""
    wanted = desired.nodes[RELEASE.label]
    before = present.nodes[RELEASE.label].filter(pl.col("name") == desired.release)
    same = [name for name in wanted.columns if name != "loaded_at"]
    changed_nodes = {label: change for label, change in nodes.items() if _rows(change)}
    changed_edges = {type_: change for type_, change in edges.items() if _rows(change)}
    if changed_nodes or changed_edges or not wanted.select(same).equals(before.select(same)):
        nothing = wanted.clear()
        insert, update = (nothing, wanted) if len(before) else (wanted, nothing)
        changed_nodes[RELEASE.label] = NodeChanges(insert, update, nothing.select("name"))
    everything: dict[str, NodeChanges | EdgeChanges] = {**nodes, RELEASE.label: _NO_CHANGE, **edges, **changed_nodes}
    numbers = {
        f"{name}.{what}": len(frame)
        for name, change in everything.items()
        for what, frame in (("inserted", change.insert), ("updated", change.update), ("deleted", change.delete))
    }
    return Changes(desired.release, changed_nodes, changed_edges, wanted.row(0, named=True), {**numbers, **counts})


_NO_CHANGE = NodeChanges(pl.DataFrame(), pl.DataFrame(), pl.DataFrame())


def _rows(change: NodeChanges | EdgeChanges) -> int:
    return len(change.insert) + len(change.update) + len(change.delete)
