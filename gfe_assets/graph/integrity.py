"""Whether a graph is sound in itself, whatever releases it holds.

In: what the graph holds (`GraphFrames` from `frames.read_graph`, or a reader where sequences are needed). Out: comparing it
with a release or another graph (`compare.py`), and showing the results (`stages/validate.py`).

Every check is a function without side effects that gives a `Finding`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from gfe_assets.graph.frames import ENDS, GraphFrames
from gfe_assets.graph.model import (
    EDGE_BY_TYPE,
    EDGES,
    FEATURE,
    HAS_FEATURE,
    HAS_IPD_ACCESSION,
    HAS_IPD_ALLELE,
    HAS_SEQUENCE,
    NODE_BY_LABEL,
    NODES,
    RELEASE,
    SEQUENCE,
    SUBMITTED,
)
from gfe_assets.graph.store import GraphReader
from gfe_assets.graph.timeline import Timeline
from gfe_assets.hla.features import EXON, FIVE_PRIME_UTR, INTRON

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """What a check found, without words for people: a stable name, the verdict, its numbers, a few things that are wrong."""

    name: str
    passed: bool
    numbers: Mapping[str, int]
    examples: list[str] = field(default_factory=list)


def node_counts(reader: GraphReader) -> dict[str, int]:
    """How many nodes of each label the graph has."""
    return {node.label: int(reader.query(f"MATCH (n:{node.label}) RETURN count(n)").rows[0][0]) for node in NODES}


def counts_not_lower(before: Mapping[str, int], after: Mapping[str, int], *, new: bool) -> Finding:
    """Loading a release that the graph did not have (`new`) takes no node away; loading one again may (a correction).

    `before` and `after` are `node_counts` right before and after the load; without them nothing was loaded.
    """
    lower = [label for label in before if after.get(label, 0) < before[label]] if new else []
    numbers = {"lower": len(lower), **{f"{label}_more": after[label] - before[label] for label in before}}
    examples = [f"{label}: {before[label]} before, {after.get(label, 0)} after" for label in sorted(lower)]
    return Finding("counts_not_lower", not lower, numbers, examples)


def no_orphans(present: GraphFrames) -> Finding:
    """Every GFE has an allele, an accession and its sequence; every other node but submitters and releases has a GFE."""
    lacking = {}
    for type_, end in (
        (HAS_IPD_ALLELE.type, "source"),
        (HAS_IPD_ACCESSION.type, "source"),
        (HAS_SEQUENCE.type, "source"),
        (SUBMITTED.type, "target"),
        (HAS_IPD_ALLELE.type, "target"),
        (HAS_IPD_ACCESSION.type, "target"),
        (HAS_SEQUENCE.type, "target"),
        (HAS_FEATURE.type, "target"),
    ):
        edge = EDGE_BY_TYPE[type_]
        node = NODE_BY_LABEL[edge.source if end == "source" else edge.target]
        keys = present.nodes[node.label].get_column(node.key)
        alone = keys.filter(~keys.is_in(present.edges[type_].get_column(end).unique().implode()))
        lacking[f"{node.label} without {type_}"] = alone
    numbers = {what: len(names) for what, names in lacking.items()}
    examples = [f"{what}: {name}" for what, names in lacking.items() for name in names.sort().head(EXAMPLES)]
    return Finding("no_orphans", not any(numbers.values()), numbers, examples[:EXAMPLES])


def no_duplicates(present: GraphFrames) -> Finding:
    """No two nodes of a label have one key, and no two edges of a type the same ends."""
    frames = {node.label: present.nodes[node.label].select(node.key) for node in NODES}
    frames.update({edge.type: present.edges[edge.type].select(ENDS) for edge in EDGES})
    double = {name: frame.filter(frame.is_duplicated()).unique() for name, frame in frames.items()}
    numbers = {name: len(rows) for name, rows in double.items()}
    examples = [
        f"{name} {' → '.join(row)}" for name, rows in double.items() for row in rows.sort(rows.columns).head(EXAMPLES).rows()
    ]
    return Finding("no_duplicates", not any(numbers.values()), numbers, examples[:EXAMPLES])


def releases_in_order(present: GraphFrames) -> Finding:
    """Every `releases` list is in release order, without repeats, not empty, and names releases that are in the graph."""
    known = present.nodes[RELEASE.label].get_column("name")
    numbers, examples = {}, []
    for type_ in (HAS_IPD_ALLELE.type, HAS_IPD_ACCESSION.type):
        edges = present.edges[type_]
        listed = edges.get_column("releases").explode(empty_as_null=False).drop_nulls().unique()
        timeline = Timeline(listed)
        right = timeline.decode(timeline.encode(pl.col("releases")).list.unique().list.sort())
        unknown = pl.col("releases").list.set_difference(pl.lit(known.implode()).first()).list.len() > 0
        wrong = edges.filter((pl.col("releases").list.len().fill_null(0) == 0) | right.ne_missing(pl.col("releases")) | unknown)
        numbers[type_] = len(wrong)
        examples += [
            f"{row[0]} → {row[1]}: {row[2]}" for row in wrong.select(*ENDS, "releases").sort(ENDS).head(EXAMPLES).rows()
        ]
    return Finding("releases_in_order", not any(numbers.values()), numbers, examples[:EXAMPLES])


def features_make_sequences(reader: GraphReader, exceptions: Collection[str] = ()) -> Finding:
    """The features of every GFE, joined in gene order, are its sequence; all GFEs, not a sample.

    `exceptions` are the GFEs whose entries do not annotate every base (3.22.0 has 8).
    """
    sequences = reader.read_nodes(SEQUENCE, ["name", "locus", "sequence"])
    features = reader.read_nodes(FEATURE, ["fid", "locus", "term", "rank", "sequence"])
    edges = reader.read_edges(HAS_FEATURE).select(name="source", fid="target")
    place = (
        pl.when(pl.col("term") == FIVE_PRIME_UTR)
        .then(0)
        .when(pl.col("term") == EXON)
        .then(2 * pl.col("rank") - 1)
        .when(pl.col("term") == INTRON)
        .then(2 * pl.col("rank"))
        .otherwise(2 * pl.col("rank").max() + 1)  # 3'UTR: after all others
    )
    features = features.with_columns(place=place)
    wrong: list[str] = []
    checked = excepted = 0
    for (locus,), group in sequences.group_by("locus"):  # one locus at a time: their joined sequences are large
        parts = edges.join(features.filter(pl.col("locus") == locus), on="fid").sort("name", "place")
        joined = parts.group_by("name").agg(joined=pl.col("sequence").str.join(""))
        both = group.join(joined, on="name", how="left")
        differ = both.filter(pl.col("sequence").ne_missing(pl.col("joined"))).get_column("name").to_list()
        allowed = [name for name in differ if name in exceptions]
        checked, excepted = checked + len(both), excepted + len(allowed)
        wrong += [name for name in differ if name not in exceptions]
    numbers = {"checked": checked, "wrong": len(wrong), "excepted": excepted}
    return Finding("features_make_sequences", not wrong, numbers, sorted(wrong)[:EXAMPLES])
