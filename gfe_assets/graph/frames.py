"""Frames of a graph: their column types, derived from `model.py`, and the whole graph read into them.

In: the polars schema of each label's and type's frame, and `read_graph`, a consistent picture of all keys, edges
and small properties. Out: what should be in the frames (`sync.py`, `compare.py`) and how a store fills them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gfe_assets.graph.model import EDGES, NODES, Edge, Node, PropertyType
from gfe_assets.graph.store import GraphReader

ENDS = ["source", "target"]
"""Columns that identify an edge of one type: the keys of the nodes at both ends."""

_TYPES: dict[PropertyType, pl.DataType] = {
    "STRING": pl.String(),
    "INT64": pl.Int64(),
    "BOOL": pl.Boolean(),
    "STRING[]": pl.List(pl.String()),
}


@dataclass(frozen=True)
class GraphFrames:
    """Nodes by label and edges by type; every label and type of the schema is there, bulky properties may be missing."""

    nodes: Mapping[str, pl.DataFrame]
    edges: Mapping[str, pl.DataFrame]


def node_schema(node: Node, *, bulky: bool = True) -> dict[str, pl.DataType]:
    """Column → polars type of a frame of `node`, in the order of the declaration; without bulky properties on request."""
    return {each.name: _TYPES[each.type] for each in node.properties if bulky or not each.bulky}


def edge_schema(edge: Edge) -> dict[str, pl.DataType]:
    """Column → polars type of a frame of `edge`: `source`, `target`, then its properties."""
    return {**dict.fromkeys(ENDS, pl.String()), **{each.name: _TYPES[each.type] for each in edge.properties}}


def shaped(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns of `schema`, in its order and types."""
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def read_graph(reader: GraphReader, *, bulky: bool = False) -> GraphFrames:
    """Read every node and edge; sequences only when `bulky` (about 200 MB at 46,000 alleles)."""
    nodes = {}
    for node in NODES:
        schema = node_schema(node, bulky=bulky)
        nodes[node.label] = shaped(reader.read_nodes(node, list(schema)), schema)
    return GraphFrames(nodes, {edge.type: shaped(reader.read_edges(edge), edge_schema(edge)) for edge in EDGES})
