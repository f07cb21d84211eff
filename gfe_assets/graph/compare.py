"""Whether a graph equals the CSV files of a release, or another graph, by key and property.

In: what a release wants (`ReleaseGraph`), what the graph holds (`GraphFrames` from `frames.read_graph`). Out: making it so
(`sync.py`), whether a graph is sound in itself (`integrity.py`), and showing the results (`stages/validate.py`).

Every check is a function without side effects that gives one or more `Finding`s.
"""

import polars as pl

from gfe_assets.graph.desired import ReleaseGraph
from gfe_assets.graph.frames import ENDS, GraphFrames, node_schema, read_graph
from gfe_assets.graph.integrity import (
    EXAMPLES,
    Finding,
    counts_not_lower,
    features_make_sequences,
    no_duplicates,
    no_orphans,
    releases_in_order,
)
from gfe_assets.graph.model import (
    EDGES,
    FEATURE,
    GFE,
    HAS_FEATURE,
    HAS_IPD_ACCESSION,
    HAS_IPD_ALLELE,
    HAS_SEQUENCE,
    IPD_ACCESSION,
    IPD_ALLELE,
    NODE_BY_LABEL,
    NODES,
    RELEASE,
    SEQUENCE,
    SUBMITTED,
)
from gfe_assets.graph.store import GraphReader
from gfe_assets.graph.timeline import Timeline

__all__ = [
    "Finding",
    "counts_not_lower",
    "features_make_sequences",
    "no_duplicates",
    "no_orphans",
    "release_complete",
    "release_equals_csvs",
    "releases_in_order",
    "same_graph",
]


def release_equals_csvs(desired: ReleaseGraph, present: GraphFrames) -> list[Finding]:
    """The graph restricted to the release holds the nodes and edges of its CSV files, no more and no less; one result each.

    Values (groups, sequence) are compared where the release is the newest one that has the node: elsewhere they
    are a newer release's by design.
    """
    edges = _edges_of_release(desired, present)
    in_graph = {
        GFE.label: edges[HAS_IPD_ALLELE.type].get_column("source"),
        SEQUENCE.label: edges[HAS_SEQUENCE.type].get_column("target"),
        FEATURE.label: edges[HAS_FEATURE.type].get_column("target"),
        IPD_ALLELE.label: edges[HAS_IPD_ALLELE.type].get_column("target"),
        IPD_ACCESSION.label: edges[HAS_IPD_ACCESSION.type].get_column("target"),
    }
    newest = {
        IPD_ALLELE.label: _newest_here(desired, present, "target"),
        SEQUENCE.label: _newest_here(desired, present, "source"),
    }
    results = []
    for label, names in in_graph.items():
        key = NODE_BY_LABEL[label].key
        wanted, nodes = desired.nodes[label], present.nodes[label]
        found = nodes.filter(pl.col(key).is_in(names.unique().implode()))
        wrong = _differing(wanted, found, label, newest[label]) if label in newest else None
        results.append(_same_keys(f"{label}_equal_csv", wanted, found, [key], wrong))
    for type_, found in edges.items():
        results.append(_same_keys(f"{type_}_equal_csv", desired.edges[type_], found, ENDS))
    return results


def release_complete(desired: ReleaseGraph, present: GraphFrames) -> Finding:
    """The `Release` node is there, once, with the provenance of this build, and complete."""
    wanted = desired.nodes[RELEASE.label]
    found = present.nodes[RELEASE.label].filter(pl.col("name") == desired.release)
    rows = {"found": found.to_dicts(), "wanted": wanted.to_dicts()}
    wrong = [f"there are {len(found)} Release nodes named {desired.release}"] if len(found) != 1 else []
    if not wrong:
        wrong = [
            f"{name} is {rows['found'][0][name]!r} instead of {value!r}"
            for name, value in rows["wanted"][0].items()
            if name != "loaded_at" and rows["found"][0][name] != value
        ]
    return Finding("release_complete", not wrong, {"releases": len(present.nodes[RELEASE.label])}, wrong)


def same_graph(a: GraphReader, b: GraphReader) -> list[str]:
    """What differs between two graphs, by key and property (sequences too), but for `Release.loaded_at`; empty: nothing."""
    first, second = read_graph(a, bulky=True), read_graph(b, bulky=True)
    differences: list[str] = []
    for node in NODES:
        columns = [name for name in node_schema(node) if name != "loaded_at"]
        differences += _differences(
            node.label, first.nodes[node.label].select(columns), second.nodes[node.label].select(columns), [node.key]
        )
    for edge in EDGES:
        differences += _differences(edge.type, first.edges[edge.type], second.edges[edge.type], ENDS)
    return differences


def _edges_of_release(desired: ReleaseGraph, present: GraphFrames) -> dict[str, pl.DataFrame]:
    """Edges that list the release, and the other edges of the GFEs that it wants."""
    gfes = desired.nodes[GFE.label].get_column("name").implode()
    listed = pl.col("releases").list.contains(desired.release)
    return {
        HAS_IPD_ALLELE.type: present.edges[HAS_IPD_ALLELE.type].filter(listed),
        HAS_IPD_ACCESSION.type: present.edges[HAS_IPD_ACCESSION.type].filter(listed),
        HAS_SEQUENCE.type: present.edges[HAS_SEQUENCE.type].filter(pl.col("source").is_in(gfes)),
        HAS_FEATURE.type: present.edges[HAS_FEATURE.type].filter(pl.col("source").is_in(gfes)),
        SUBMITTED.type: present.edges[SUBMITTED.type].filter(pl.col("target").is_in(gfes)),
    }


def _newest_here(desired: ReleaseGraph, present: GraphFrames, end: str) -> pl.Series:
    """Names of the nodes at one end of HAS_IPD_ALLELE that no newer release has."""
    edges = present.edges[HAS_IPD_ALLELE.type]
    timeline = Timeline({desired.release, *edges.get_column("releases").explode(empty_as_null=False).drop_nulls().unique()})
    newest = edges.group_by(end).agg(newest=timeline.encode(pl.col("releases")).list.max().max())
    return newest.filter(pl.col("newest") <= timeline.position(desired.release)).get_column(end)


def _differing(wanted: pl.DataFrame, found: pl.DataFrame, label: str, names: pl.Series) -> pl.Series:
    """Keys, among `names`, of nodes whose small properties differ."""
    key = NODE_BY_LABEL[label].key
    both = wanted.filter(pl.col(key).is_in(names.implode())).join(found, on=key, how="inner", suffix="_found")
    small = [name for name in node_schema(NODE_BY_LABEL[label], bulky=False) if name != key]
    return both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in small)).get_column(key)


def _same_keys(
    name: str, wanted: pl.DataFrame, found: pl.DataFrame, keys: list[str], differing: pl.Series | None = None
) -> Finding:
    missing = wanted.join(found, on=keys, how="anti").select(keys).sort(keys)
    extra = found.join(wanted, on=keys, how="anti").select(keys).sort(keys)
    numbers = {"in_csv": len(wanted), "in_graph": len(found), "missing": len(missing), "extra": len(extra)}
    examples = [f"missing {' → '.join(row)}" for row in missing.head(EXAMPLES).rows()]
    examples += [f"extra {' → '.join(row)}" for row in extra.head(EXAMPLES).rows()]
    if differing is not None:
        numbers["differing"] = len(differing)
        examples += [f"other values {each}" for each in differing.sort().head(EXAMPLES)]
    passed = not examples and len(wanted) == len(found)
    return Finding(name, passed, numbers, examples[:EXAMPLES])


def _differences(name: str, first: pl.DataFrame, second: pl.DataFrame, keys: list[str]) -> list[str]:
    found = []
    for here, there, which in ((first, second, "first"), (second, first, "second")):
        only = here.join(there, on=keys, how="anti").select(keys).sort(keys)
        if len(only):
            found.append(f"{name}: {len(only)} only in the {which} graph, such as {' → '.join(only.row(0))}")
    if len(first) != len(second) and not found:
        found.append(f"{name}: {len(first)} and {len(second)}, some of them repeated")
    both = first.join(second, on=keys, how="inner", suffix="_other")
    for column in first.columns:
        if column not in keys:
            differ = both.filter(pl.col(column).ne_missing(pl.col(f"{column}_other"))).sort(keys)
            if len(differ):
                found.append(
                    f"{name}.{column}: {len(differ)} differ, such as {' → '.join(differ.select(keys).row(0))}: "
                    f"{str(differ.item(0, column))[:80]} and {str(differ.item(0, f'{column}_other'))[:80]}"
                )
    return found
