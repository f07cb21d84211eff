"""Making a Neo4j graph equal to a whole other one, for a backup that is restored.

In: `Contents`, a writer that holds the lock, a reader. Out: the statements and batches (`neo4j_write.py`).

What the contents have is merged, what they lack is deleted afterwards; so this can be repeated after it was killed, and costs
no more memory than one part of a frame. All releases, of before and after, are incomplete from first to last.
"""

from collections.abc import Iterator

import polars as pl

from gfe_assets.graph.frames import ENDS, node_schema
from gfe_assets.graph.model import EDGES, NODES, RELEASE
from gfe_assets.graph.neo4j_write import BatchWriter, Step, delete_edges, delete_nodes, merge_edges, merge_nodes
from gfe_assets.graph.store import Contents, GraphReader
from gfe_assets.progress import Progress

PART_ROWS = 10_000
"""Rows that are in memory at once: 35 MB of sequences."""


def replace_graph(writer: BatchWriter, reader: GraphReader, contents: Contents, progress: Progress) -> None:
    """Write everything; the `Release` nodes first as incomplete, last as they should be.

    Raises:
        as `BatchWriter.write`.
    """
    total = {
        kind: sum(_rows(frame) for frame in frames.values())
        for kind, frames in (("nodes", contents.nodes), ("edges", contents.edges))
    }
    done = dict.fromkeys(total, 0)
    final = contents.nodes[RELEASE.label].collect()
    _write(writer, _releases(_incomplete(reader, final)))
    for step in _merges(contents):
        for rows in writer.write(step):
            done[step.kind] += rows
            progress(f"{step.kind} written", done[step.kind], total[step.kind])
    for step in _deletions(reader, contents):
        _write(writer, step)
    _write(writer, _releases(final))
    progress("nodes written", total["nodes"], total["nodes"])


def _incomplete(reader: GraphReader, final: pl.DataFrame) -> pl.DataFrame:
    """The releases that the graph has and will have, all incomplete."""
    present = reader.read_nodes(RELEASE, list(node_schema(RELEASE)))
    return pl.concat([final, present]).unique(RELEASE.key, keep="first").with_columns(complete=pl.lit(False))


def _releases(frame: pl.DataFrame) -> Step:
    return Step("nodes", RELEASE.label, merge_nodes(RELEASE, frame.columns), frame)


def _merges(contents: Contents) -> Iterator[Step]:
    """All nodes but the releases, then all edges."""
    for node in NODES:
        if node != RELEASE:
            for part in _parts(contents.nodes[node.label]):
                yield Step("nodes", node.label, merge_nodes(node, part.columns), part)
    for edge in EDGES:
        for part in _parts(contents.edges[edge.type]):
            yield Step("edges", edge.type, merge_edges(edge, part.columns), part)


def _deletions(reader: GraphReader, contents: Contents) -> Iterator[Step]:
    """What the graph has besides: edges, then nodes, which have none left."""
    for edge in EDGES:
        wanted = contents.edges[edge.type].select(ENDS).collect()
        surplus = reader.read_edges(edge).select(ENDS).join(wanted, on=ENDS, how="anti")
        yield Step("edges", edge.type, delete_edges(edge, surplus.columns), surplus, whole=False)
    for node in NODES:
        wanted = contents.nodes[node.label].select(node.key).collect()
        surplus = reader.read_nodes(node, [node.key]).join(wanted, on=node.key, how="anti")
        yield Step("nodes", node.label, delete_nodes(node, surplus.columns), surplus, whole=False)


def _parts(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    for start in range(0, _rows(frame), PART_ROWS):
        yield frame.slice(start, PART_ROWS).collect()


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _write(writer: BatchWriter, step: Step) -> None:
    for _ in writer.write(step):
        pass
