"""Writing to a Neo4j graph: changes as batches, each of them a transaction that may be repeated without harm.

In: `Changes`, a driver, the lock that is held. Out: what to write (`sync.py`), constraints (`neo4j_schema.py`).

Batches are not atomic together, so the order tells what a killed load leaves: the `Release` node says `complete: false`
before anything else is touched and `true` after everything is. One thread writes: parallel writers would dead-lock on features
that thousands of GFEs share. Before each batch, repeated ones too, the lock is checked: whoever has lost it writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import neo4j
import polars as pl
from neo4j import exceptions

from gfe_assets.errors import GraphError
from gfe_assets.graph.frames import ENDS, node_schema
from gfe_assets.graph.model import EDGE_BY_TYPE, NODE_BY_LABEL, RELEASE, Edge, Node
from gfe_assets.graph.neo4j_batches import batches
from gfe_assets.graph.neo4j_errors import reason
from gfe_assets.graph.neo4j_lock import WriterLock
from gfe_assets.graph.store import Changes, NodeChanges
from gfe_assets.progress import Progress

BATCH_SECONDS = 300.0
"""Longest time of one batch; reached only when another client holds nodes that the batch needs."""
_UNDELETABLE = "still has relationships"


@dataclass(frozen=True)
class Step:
    """A statement to run on every batch of a frame; `whole` says that it must find every row (deletions need not)."""

    kind: str
    name: str
    statement: str
    frame: pl.DataFrame
    whole: bool = True


class BatchWriter:
    """Runs steps, batch by batch, while the lock is held."""

    def __init__(self, session: neo4j.Session, lock: WriterLock, batch_seconds: float) -> None:
        self._session = session
        self._lock = lock
        self._seconds = batch_seconds

    def write(self, step: Step) -> Iterator[int]:
        """Write the rows of a step; gives the number of rows of each batch when it is in the graph.

        Raises:
            GraphError: a row did not find the nodes it belongs to, or a node cannot be deleted.
            GraphUnavailable: the lock was lost.
            neo4j errors: the server failed or refused.
        """
        for batch in batches(step.frame):
            rows = batch.rows()

            @neo4j.unit_of_work(timeout=self._seconds)
            def work(transaction: neo4j.ManagedTransaction, rows: list[tuple[Any, ...]] = rows) -> int:
                self._lock.check()
                return int(transaction.run(step.statement, rows=rows).single(strict=True)[0])

            try:
                found = self._session.execute_write(work)
            except exceptions.ConstraintError as error:
                raise _undeletable(step, error) from error
            if step.whole and found != len(rows):
                raise GraphError(
                    f"{len(rows) - found} of {len(rows)} {step.name} {step.kind} could not be written, because nodes they "
                    "need are gone: another client changes the graph"
                )
            yield len(rows)


def apply_changes(writer: BatchWriter, changes: Changes, progress: Progress) -> None:
    """Write all changes; the `Release` node first as incomplete, last as it should be.

    Raises:
        as `BatchWriter.write`.
    """
    final = pl.DataFrame([dict(changes.release_row)], schema=node_schema(RELEASE))
    first = _release(final.with_columns(complete=pl.lit(False)))
    steps = [first, *(step for step in _steps(changes) if len(step.frame))]
    totals: dict[str, int] = {}
    for step in steps:
        totals[step.kind] = totals.get(step.kind, 0) + len(step.frame)
    done = dict.fromkeys(totals, 0)
    for step in steps:
        for rows in writer.write(step):
            done[step.kind] += rows
            progress(f"{step.kind} written", done[step.kind], totals[step.kind])
    for _ in writer.write(_release(final)):
        pass


def _release(row: pl.DataFrame) -> Step:
    return Step("nodes", RELEASE.label, merge_nodes(RELEASE, row.columns), row)


def _steps(changes: Changes) -> Iterator[Step]:
    """What to write between the two states of the `Release` node, in the order in which it can be done."""
    nodes = {NODE_BY_LABEL[label]: change for label, change in changes.nodes.items()}
    if RELEASE in nodes:
        nodes[RELEASE] = _others(nodes[RELEASE], changes.release)
    edges = {EDGE_BY_TYPE[type_]: change for type_, change in changes.edges.items()}
    for node, change in nodes.items():
        yield Step("nodes", node.label, merge_nodes(node, change.insert.columns), change.insert)
        yield Step("nodes", node.label, set_nodes(node, change.update.columns), change.update)
    for edge, edge_change in edges.items():
        for frame in (edge_change.insert, edge_change.update):
            yield Step("edges", edge.type, merge_edges(edge, frame.columns), frame)
    for edge, edge_change in edges.items():
        yield Step("edges", edge.type, delete_edges(edge, edge_change.delete.columns), edge_change.delete, whole=False)
    for node, change in nodes.items():
        yield Step("nodes", node.label, delete_nodes(node, change.delete.columns), change.delete, whole=False)


def _others(change: NodeChanges, release: str) -> NodeChanges:
    """Changes of `Release` nodes without the node of the release that is written first and last."""
    insert, update, delete = (
        frame.filter(pl.col(RELEASE.key) != release) if len(frame) else frame
        for frame in (change.insert, change.update, change.delete)
    )
    return NodeChanges(insert, update, delete)


def merge_nodes(node: Node, columns: list[str]) -> str:
    """Statement that makes nodes where they are missing and sets the other columns."""
    return f"UNWIND $rows AS row MERGE {_node('n', node, columns)}{_set('n', columns, {node.key})} RETURN count(*)"


def set_nodes(node: Node, columns: list[str]) -> str:
    """Statement that sets columns of nodes that exist; properties that are no column stay."""
    return f"UNWIND $rows AS row MATCH {_node('n', node, columns)}{_set('n', columns, {node.key})} RETURN count(*)"


def delete_nodes(node: Node, columns: list[str]) -> str:
    """Statement that deletes nodes; fails where one has a relationship."""
    return f"UNWIND $rows AS row MATCH {_node('n', node, columns)} DELETE n RETURN count(*)"


def merge_edges(edge: Edge, columns: list[str]) -> str:
    """Statement that makes relationships where they are missing and sets their columns."""
    made = f"MERGE (a)-[r:{edge.type}]->(b){_set('r', columns, set(ENDS))}"
    return f"UNWIND $rows AS row {_ends(edge, columns)} {made} RETURN count(*)"


def delete_edges(edge: Edge, columns: list[str]) -> str:
    """Statement that deletes relationships."""
    return f"UNWIND $rows AS row {_ends(edge, columns)} MATCH (a)-[r:{edge.type}]->(b) DELETE r RETURN count(*)"


def _node(variable: str, node: Node, columns: list[str], column: str = "") -> str:
    """Pattern of a node whose key is in `column` (default: the column of that name)."""
    return f"({variable}:{node.label} {{{node.key}: {_value(columns, column or node.key)}}})"


def _ends(edge: Edge, columns: list[str]) -> str:
    source, target = ENDS
    a = _node("a", NODE_BY_LABEL[edge.source], columns, source)
    return f"MATCH {a} MATCH {_node('b', NODE_BY_LABEL[edge.target], columns, target)}"


def _set(variable: str, columns: list[str], besides: set[str]) -> str:
    """Assignments of all other columns; null removes a property."""
    values = [f"{variable}.{name} = {_value(columns, name)}" for name in columns if name not in besides]
    return f" SET {', '.join(values)}" if values else ""


def _value(columns: list[str], name: str) -> str:
    """A value of a row; rows are lists in the order of `columns`, which is a third faster than maps."""
    return f"row[{columns.index(name) if name in columns else 'null'}]"


def _undeletable(step: Step, error: exceptions.ConstraintError) -> GraphError:
    if _UNDELETABLE not in str(error):
        return GraphError(f"{step.name} {step.kind} cannot be written: {reason(error)}")
    return GraphError(
        f"{step.name} nodes that no release has any more cannot be deleted, because other programs have tied relationships to "
        f"them ({reason(error)}); delete those relationships: MATCH (n:{step.name})-[r]-() WHERE NOT type(r) IN "
        f"{sorted(EDGE_BY_TYPE)} RETURN n, r finds them"
    )
