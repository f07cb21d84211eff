"""The graph schema in Ladybug's Cypher, derived from `model.py`: tables, and the statements that read, write and verify.

In: labels, types, properties; rows in Parquet files named in the statements. Out: running them (`ladybug.py` reads,
`ladybug_load.py` writes).

Ladybug's tables are typed and have one primary key; a table's comment carries the mark by which a file of another
version of this schema is known.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

from gfe_assets.graph.model import EDGES, NODE_BY_LABEL, NODES, RELEASE, Edge, Node

Action = Literal["delete", "insert", "update"]

MARK = "gfe-assets graph, schema "


def create_statements() -> list[str]:
    """Statements that make the tables of an empty graph and mark it."""
    statements = [f"CREATE NODE TABLE {node.label}({_columns(node)}, PRIMARY KEY({node.key}))" for node in NODES]
    statements += [
        f"CREATE REL TABLE {edge.type}({', '.join(filter(None, [f'FROM {edge.source} TO {edge.target}', _columns(edge)]))})"
        for edge in EDGES
    ]
    return [*statements, f"COMMENT ON TABLE {RELEASE.label} IS '{mark()}'"]


def mark() -> str:
    """The mark of this version's schema: it changes with any label, type or property."""
    declared = "\n".join(f"{_name(each)} {_columns(each)}" for each in (*NODES, *EDGES))
    return MARK + hashlib.sha256(declared.encode()).hexdigest()[:12]


def count_statement(what: Node | Edge) -> str:
    """Number of nodes of a label or edges of a type."""
    return f"MATCH {_pattern(what)} RETURN count(*)"


def read_statement(what: Node | Edge, columns: Sequence[str]) -> str:
    """The named columns of all nodes of a label, or of all edges of a type (`source`, `target` and properties)."""
    return f"MATCH {_pattern(what)} RETURN {', '.join(f'{_value(what, name)} AS {name}' for name in columns)}"


def column_names(what: Node | Edge) -> list[str]:
    """The columns of a file with everything: a node's properties, or an edge's ends and properties."""
    return [*(_keys(what) if isinstance(what, Edge) else ()), *(each.name for each in what.properties)]


def export_statement(what: Node | Edge, file: str) -> str:
    """Write all nodes of a label or edges of a type to a Parquet file."""
    return f"COPY ({read_statement(what, column_names(what))}) TO '{file}'"


def write_statement(what: Node | Edge, action: Action, columns: Sequence[str], file: str) -> str:
    """Delete, insert or update the nodes or edges whose rows are in a Parquet file with these columns, in this order."""
    if action == "insert":
        return f"COPY {_name(what)} FROM '{file}'"
    found = f"LOAD FROM '{file}' MATCH {_pattern(what, keyed=True)}"
    if action == "delete":
        return f"{found} DELETE x"
    return f"{found} SET {', '.join(f'x.{name} = {name}' for name in columns if name not in _keys(what))}"


def match_statement(what: Node | Edge, columns: Sequence[str], file: str) -> str:
    """How many rows of the file are in the graph, by index and with all their values."""
    same = [f"(x.{name} = {name} OR (x.{name} IS NULL AND {name} IS NULL))" for name in columns if name not in _keys(what)]
    where = f" WHERE {' AND '.join(same)}" if same else ""
    return f"LOAD FROM '{file}' MATCH {_pattern(what, keyed=True)}{where} RETURN count(*)"


def _name(what: Node | Edge) -> str:
    return what.label if isinstance(what, Node) else what.type


def _columns(what: Node | Edge) -> str:
    return ", ".join(f"{each.name} {each.type}" for each in what.properties)


def _keys(what: Node | Edge) -> list[str]:
    return [what.key] if isinstance(what, Node) else ["source", "target"]


def _pattern(what: Node | Edge, *, keyed: bool = False) -> str:
    """A pattern that binds the node or edge to `x`; `keyed` matches it to the key columns of a file."""
    if isinstance(what, Node):
        return f"(x:{what.label} {{{what.key}: {what.key}}})" if keyed else f"(x:{what.label})"
    source, target = NODE_BY_LABEL[what.source], NODE_BY_LABEL[what.target]
    ends = (f" {{{source.key}: source}}", f" {{{target.key}: target}}") if keyed else ("", "")
    return f"(a:{source.label}{ends[0]})-[x:{what.type}]->(b:{target.label}{ends[1]})"


def _value(what: Node | Edge, column: str) -> str:
    if isinstance(what, Edge) and column in _keys(what):
        node = NODE_BY_LABEL[what.source if column == "source" else what.target]
        return f"{'a' if column == 'source' else 'b'}.{node.key}"
    return f"x.{column}"
