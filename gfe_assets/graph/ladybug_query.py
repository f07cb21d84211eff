"""Questions of users to the embedded graph: read-only Cypher in, plain Python out.

In: a statement and its parameters, on a connection that was opened read-only. Out: our own statements.

Read-only is not enough: `COPY … TO` and `EXPORT` would still write files, `LOAD FROM` read them and `INSTALL` fetch code,
so only statements that begin like a question are passed on, one at a time.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import ladybug

from gfe_assets.errors import GraphError
from gfe_assets.graph.ladybug_open import run
from gfe_assets.graph.store import QueryResult

_FIRST_WORDS = {"MATCH", "OPTIONAL", "RETURN", "UNWIND", "WITH", "CALL"}
_ASIDES = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`|/\*.*?\*/|//[^\n]*", re.DOTALL)
_FILES = re.compile(r"\bLOAD\s+(?:WITH\s+HEADERS\b.*?)?FROM\b", re.IGNORECASE | re.DOTALL)


def answer(connected: ladybug.Connection, statement: str, parameters: Mapping[str, Any]) -> QueryResult:
    """Answer one read-only statement; see `GraphReader.query`.

    Nodes are dicts of their properties and `_label`, edges of theirs and `_type`; properties without a value are left out.

    Raises:
        GraphError: the statement is wrong, or would write.
    """
    _refuse(statement)
    try:
        result = run(connected, statement, dict(parameters))
        names, rows = result.get_column_names(), result.get_all()
    except RuntimeError as error:
        if "read-only" in str(error):
            raise GraphError("this query would change the graph; queries only read, releases are loaded by `run`") from None
        raise GraphError(f"the graph cannot answer this query: {error}") from None
    return QueryResult(list(names), [[_plain(value) for value in row] for row in rows])


def _refuse(statement: str) -> None:
    bare = _ASIDES.sub(" '' ", statement).strip().rstrip(";").strip()
    bare = re.sub(r"^(?:''\s*)+", "", bare)
    first = re.match(r"[A-Za-z]*", bare)
    word = first.group().upper() if first else ""
    if not bare:
        raise GraphError("the query is empty; write one Cypher statement such as MATCH (g:GFE) RETURN count(*)")
    if ";" in bare:
        raise GraphError("the query has more than one statement; ask them one by one")
    if word not in _FIRST_WORDS or _FILES.search(bare):
        raise GraphError(
            f"a query only reads the graph, so it begins with {', '.join(sorted(_FIRST_WORDS))}; this one does not: "
            f"{statement.strip()[:80]}"
        )


def _plain(value: Any) -> Any:
    """A value as Python, JSON and the other store have it."""
    if isinstance(value, Decimal):  # sum() of integers
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _plain_mapping(value) if isinstance(value, dict) else value


def _plain_mapping(value: dict[str, Any]) -> dict[str, Any]:
    """A path, edge, node, or any other mapping."""
    if "_NODES" in value:
        return {"nodes": _plain(value["_NODES"]), "relationships": _plain(value["_RELS"])}
    if "_LABEL" not in value:
        return {key: _plain(each) for key, each in value.items()}
    kind = "_type" if "_SRC" in value else "_label"
    properties = {key: _plain(each) for key, each in value.items() if each is not None and key not in _INTERNAL}
    return {kind: value["_LABEL"], **properties}


_INTERNAL = {"_ID", "_LABEL", "_SRC", "_DST"}
