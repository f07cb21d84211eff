"""Reading a Neo4j graph: whole labels and types into frames, and read-only questions of users.

In: a driver and what to read. Out: what is done with it. Neo4j isolates transactions only as far as "read committed":
a reader sees no write that was not committed, but may see one that is committed while it reads. Whoever needs a
graph that stands still (a load, a check, a backup) holds the writer's lock or the pool that guards it.

A record costs the driver about 20 µs, whatever it holds, so records are lists of many rows: rows are spread by chance over a
fixed number of groups and each group is one record. Rows with sequences come one by one, to spare the server's memory.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import neo4j
import neo4j.graph
import neo4j.time
import polars as pl

from gfe_assets.errors import GraphError
from gfe_assets.graph.frames import edge_schema, node_schema
from gfe_assets.graph.model import NODE_BY_LABEL, Edge, Node
from gfe_assets.graph.neo4j_errors import Address, translated
from gfe_assets.graph.store import QueryResult

_GROUPED = "WITH row, toInteger(rand() * 64) AS part WITH part, collect(row) AS rows RETURN rows"
_ENDS_OTHERS = re.compile(r"\bTERMINATE\s+TRANSACTION|\bdbms\.kill", re.IGNORECASE)
"""What a server does for readers too: ending a load, for instance."""
_BULKY_FETCH = 500
_FETCH = 10_000


class Neo4jReader:
    """A `GraphReader` of one database."""

    def __init__(self, driver: neo4j.Driver, address: Address, bookmarks: neo4j.api.BookmarkManager) -> None:
        self._driver = driver
        self._address = address
        self._bookmarks = bookmarks

    def read_nodes(self, node: Node, columns: Sequence[str]) -> pl.DataFrame:
        """See `GraphReader`."""
        schema = node_schema(node)
        listed = ", ".join(f"n.{name}" for name in columns)
        bulky = any(each.bulky and each.name in columns for each in node.properties)
        statement = f"MATCH (n:{node.label}) " + (f"RETURN [{listed}]" if bulky else f"WITH [{listed}] AS row {_GROUPED}")
        records = self._values(statement, _BULKY_FETCH if bulky else _FETCH)
        rows: Iterable[list[Any]] = records if bulky else chain.from_iterable(records)
        return self._frame(node.label, rows, {name: schema[name] for name in columns})

    def read_edges(self, edge: Edge) -> pl.DataFrame:
        """See `GraphReader`."""
        source, target = NODE_BY_LABEL[edge.source], NODE_BY_LABEL[edge.target]
        listed = ", ".join([f"b.{target.key}", *(f"r.{each.name}" for each in edge.properties)])
        pairs = f"[(a)-[r:{edge.type}]->(b:{target.label}) | [{listed}]]"
        statement = f"MATCH (a:{source.label}) WITH [a.{source.key}, {pairs}] AS row WHERE size(row[1]) > 0 {_GROUPED}"
        groups = chain.from_iterable(self._values(statement, _FETCH))
        rows = ([key, *others] for key, group in groups for others in group)
        return self._frame(edge.type, rows, edge_schema(edge))

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """See `GraphReader`; nodes are dicts of their properties and `_label`, edges of theirs and `_type`."""
        if not statement.strip():
            raise GraphError("the query is empty; write one Cypher statement such as MATCH (g:GFE) RETURN count(*)")
        if _ENDS_OTHERS.search(statement):
            raise GraphError("this query would end the work of others; queries only read")

        def answer(transaction: neo4j.ManagedTransaction) -> QueryResult:
            result = transaction.run(statement, dict(parameters or {}))
            return QueryResult(list(result.keys()), [[_plain(value) for value in row] for row in result.values()])

        with translated(self._address), self._session(_FETCH) as session:
            return session.execute_read(answer)

    def _values(self, statement: str, fetch: int) -> list[Any]:
        """The one column of the result."""

        def read(transaction: neo4j.ManagedTransaction) -> list[Any]:
            return transaction.run(statement).value()

        with translated(self._address), self._session(fetch) as session:
            return session.execute_read(read)

    def _session(self, fetch: int) -> neo4j.Session:
        """A session that the server lets only read; the bookmarks make it see at least what the store has seen before."""
        return self._driver.session(
            database=self._address.database,
            default_access_mode=neo4j.READ_ACCESS,
            fetch_size=fetch,
            bookmark_manager=self._bookmarks,
        )

    def _frame(self, name: str, rows: Iterable[list[Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        try:
            return pl.DataFrame(list(rows), schema=dict(schema), orient="row")
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise GraphError(
                f"graph server {self._address.location}: some {name} have values of other types than this program writes "
                f"({error}); correct them, or delete them and load the releases again"
            ) from error


def _plain(value: Any) -> Any:
    """A value as Python, JSON and the other store have it."""
    match value:
        case neo4j.graph.Node():
            plain: Any = {"_label": min(value.labels, default=""), **_properties(value)}
        case neo4j.graph.Relationship():
            plain = {"_type": value.type, **_properties(value)}
        case neo4j.graph.Path():
            plain = {"nodes": [*map(_plain, value.nodes)], "relationships": [*map(_plain, value.relationships)]}
        case neo4j.time.Date() | neo4j.time.Time() | neo4j.time.DateTime() | neo4j.time.Duration():
            plain = value.iso_format()
        case list() | tuple():
            plain = [*map(_plain, value)]
        case dict():
            plain = {key: _plain(each) for key, each in value.items()}
        case _:
            plain = value
    return plain


def _properties(entity: neo4j.graph.Entity) -> dict[str, Any]:
    return {name: _plain(value) for name, value in entity.items()}
