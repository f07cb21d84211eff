"""What a graph store must do, so that `sync.py` and the stages need not know which one it is.

In: the `GraphStore` protocol, the changes it applies, and `open_store`, which picks one by
`GFE_GRAPH_URI`. Out: how a store does it (`ladybug.py`, `neo4j.py`) and what should change (`sync.py`).

Frames are polars. A frame of nodes has one column a property, named as in `model.py`; a frame of edges has
`source` and `target` (the key values of both ends) and one column an edge property.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import polars as pl

from gfe_assets.graph.model import Edge, Node
from gfe_assets.progress import Progress


@dataclass(frozen=True)
class NodeChanges:
    """What happens to the nodes of one label.

    `insert` and `update` have every property of the label (an update may lack bulky ones that stay as
    they are); `delete` has the key column only. Deleted nodes have lost all their edges before.
    """

    insert: pl.DataFrame
    update: pl.DataFrame
    delete: pl.DataFrame


@dataclass(frozen=True)
class EdgeChanges:
    """What happens to the edges of one type; `insert` and `update` have all columns, `delete` only both ends."""

    insert: pl.DataFrame
    update: pl.DataFrame
    delete: pl.DataFrame


@dataclass(frozen=True)
class Changes:
    """The difference between the graph and the graph that has the release; applied as one piece.

    `release` is the branch name; `nodes` and `edges` hold only labels and types that change at all.
    `release_row` is the final `Release` node (`complete` true): a store that is not transactional writes
    it with `complete` false first and true at the very end.
    """

    release: str
    nodes: Mapping[str, NodeChanges]
    edges: Mapping[str, EdgeChanges]
    release_row: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write, the `Release` node included."""
        return not self.nodes and not self.edges


@dataclass(frozen=True)
class Contents:
    """A whole graph that is not read yet: a lazy frame for every label and every type, with all columns in order.

    No key comes twice, no edge either, and every edge has both its nodes.
    """

    nodes: Mapping[str, pl.LazyFrame]
    edges: Mapping[str, pl.LazyFrame]


class QueryResult(NamedTuple):
    """Rows of a query in the order of `columns`; values are plain Python (nodes and edges as dicts)."""

    columns: list[str]
    rows: list[list[Any]]


class GraphReader(Protocol):
    """A consistent view of the graph; sees no later write."""

    def read_nodes(self, node: Node, columns: Sequence[str]) -> pl.DataFrame:
        """All nodes of a label, the named properties; an empty frame of the right types where there are none."""

    def read_edges(self, edge: Edge) -> pl.DataFrame:
        """All edges of a type: `source`, `target` and every edge property."""

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """Answer a read-only Cypher statement.

        Raises:
            GraphError: the statement is wrong, or would write.
        """


class GraphStore(Protocol):
    """A place that holds one graph. Opening it does not touch anything until the first call."""

    @property
    def location(self) -> str:
        """Where the graph is, for messages: the URI without credentials."""

    def reader(self) -> AbstractContextManager[GraphReader]:
        """Open the graph for reading; a graph that was never written reads as empty.

        Raises:
            GraphUnavailable: it does not answer.
            GraphError: it is not a graph of this project's schema (for example made by another version).
        """

    def writing(self, purpose: str, wait_seconds: float) -> AbstractContextManager[None]:
        """Hold the one writer's lock; it dies with its holder, however the holder dies.

        `purpose` ("load of release 3580") is shown to whoever waits; while waiting, says so once by logging
        at INFO with the holder's purpose.

        Raises:
            GraphBusy: another process still held it after `wait_seconds`; names that process and its purpose.
        """

    def apply(self, changes: Changes, progress: Progress) -> None:
        """Write `changes`; the caller holds `writing`. Afterwards the release is complete in the graph, or it is not marked so.

        Raises:
            GraphError: could not be written; the message says in which state the graph was left.
        """

    def replace(self, contents: Contents, progress: Progress) -> None:
        """Make the graph hold `contents` and nothing else, reading them bit by bit; the caller holds `writing`.

        A store that is not transactional marks all releases incomplete before it touches anything else, and puts the
        `Release` nodes of `contents` in place last; doing it again repairs one that was killed.

        Raises:
            GraphError: could not be written; the message says in which state the graph was left.
        """
