"""How the edges of a graph change so that they are those of a release and of the releases around it.

In: what the release wants, what the graph holds, and the order of releases. Out: nodes, and putting it together (`sync.py`).
"""

from dataclasses import dataclass

import polars as pl

from gfe_assets.graph.desired import ReleaseGraph
from gfe_assets.graph.frames import ENDS, GraphFrames
from gfe_assets.graph.model import EDGE_BY_TYPE, GFE, HAS_FEATURE, HAS_SEQUENCE, RELEASE, SUBMITTED, SUBMITTER_NAME
from gfe_assets.graph.store import EdgeChanges
from gfe_assets.graph.timeline import Timeline, only_positions, with_position, without_position


@dataclass(frozen=True)
class Dated:
    """An edge type with `releases`: its changes, and the edges before and after as positions on the timeline."""

    changes: EdgeChanges
    before: pl.DataFrame
    after: pl.DataFrame


def dated_edges(type_: str, desired: ReleaseGraph, present: GraphFrames, timeline: Timeline, living: pl.Series | None) -> Dated:
    """Edges with `releases`; those of GFEs that are not `living` (None: all are) go."""
    here = timeline.position(desired.release)
    before = present.edges[type_].with_columns(positions=timeline.encode(pl.col("releases")), present=True)
    wanted = desired.edges[type_].select(*ENDS, wanted=True)
    both = before.join(wanted, on=ENDS, how="full", coalesce=True).with_columns(
        pl.col("present", "wanted").fill_null(False), positions=timeline.encode(pl.col("releases"))
    )
    after = (
        pl.when("wanted").then(with_position(pl.col("positions"), here)).otherwise(without_position(pl.col("positions"), here))
    )
    both = both.with_columns(old="releases", positions=after)
    left = pl.col("positions").list.len() > 0
    if living is not None:
        left = left & pl.col("source").is_in(living.implode())
    both = both.with_columns(left=left, releases=timeline.decode(pl.col("positions")))
    columns = [*ENDS, "releases"]
    changes = EdgeChanges(
        insert=both.filter(~pl.col("present") & pl.col("left")).select(columns),
        update=both.filter("present", "left", pl.col("releases").ne_missing(pl.col("old"))).select(columns),
        delete=both.filter(pl.col("present") & ~pl.col("left")).select(ENDS),
    )
    return Dated(changes, before.select(*ENDS, "positions"), both.filter("left").select(*ENDS, "positions"))


def _plain_edges(type_: str, wanted: pl.DataFrame, present: pl.DataFrame) -> EdgeChanges:
    """Edges that shall be exactly `wanted`."""
    both = present.join(wanted, on=ENDS, how="inner", suffix="_wanted")
    properties = [each.name for each in EDGE_BY_TYPE[type_].properties]
    differ = [pl.col(name).ne_missing(pl.col(f"{name}_wanted")) for name in properties]
    update = both.filter(pl.any_horizontal(differ)) if differ else both.clear()
    return EdgeChanges(
        insert=wanted.join(present, on=ENDS, how="anti").select(*ENDS, *properties),
        update=update.select(*ENDS, *(pl.col(f"{name}_wanted").alias(name) for name in properties)),
        delete=present.join(wanted, on=ENDS, how="anti").select(ENDS),
    )


def sequence_edges(present: GraphFrames, living: pl.Series, sequences: pl.Series) -> EdgeChanges:
    """Each living GFE has the sequence of its name."""
    with_sequence = living.filter(living.is_in(sequences.implode())).sort()
    wanted = pl.DataFrame({"source": with_sequence, "target": with_sequence})
    return _plain_edges(HAS_SEQUENCE.type, wanted, present.edges[HAS_SEQUENCE.type])


def feature_edges(desired: ReleaseGraph, present: GraphFrames, living: pl.Series) -> tuple[EdgeChanges, pl.Series]:
    """Changes, and the features that some living GFE still has; edges of GFEs of other releases stay as they are."""
    edges = present.edges[HAS_FEATURE.type]
    wanted = desired.edges[HAS_FEATURE.type]
    mine = desired.nodes[GFE.label].get_column("name")
    others = edges.filter(pl.col("source").is_in(living.implode()) & ~pl.col("source").is_in(mine.implode()))
    after = pl.concat([others, wanted])
    return _plain_edges(HAS_FEATURE.type, after, edges), after.get_column("target").unique()


def submitted_edges(desired: ReleaseGraph, present: GraphFrames, after: pl.DataFrame, timeline: Timeline) -> EdgeChanges:
    """One edge to each living GFE, with the date of the oldest release that has it; a date that nobody knows stays."""
    edges = present.edges[SUBMITTED.type]
    columns = ["name", "commit_date"]
    others = present.nodes[RELEASE.label].filter(pl.col("name") != desired.release).select(columns)
    known = pl.concat([others, desired.nodes[RELEASE.label].select(columns)]).filter(
        pl.col("commit_date").str.len_chars() >= 10  # an ISO 8601 date
    )
    dates = {timeline.position(name): date[:10] for name, date in known.iter_rows()}
    oldest = only_positions(pl.col("positions"), dates).list.min().min()
    date = pl.col("oldest").replace_strict(dates, return_dtype=pl.String(), default=None)
    wanted = (
        after.group_by("source").agg(oldest=oldest).select(pl.lit(SUBMITTER_NAME).alias("source"), "oldest", target="source")
    )
    before = edges.rename({"submit_date": "present_date"})
    wanted = wanted.join(before, on=ENDS, how="left").select(*ENDS, submit_date=pl.coalesce(date, "present_date"))
    return _plain_edges(SUBMITTED.type, wanted, edges)
