"""Writing a graph file anew when most of it is free pages.

In: the path of a graph file that nobody else has open. Out: when to do it in a load (`ladybug_load.py`).

Every load that adds sequences writes the whole column of sequences to new pages (about 150 MB at 46,000 alleles) and
frees the old ones, but a column that grows never fits into what the one before it left. Measured: 160 MB more with every
release. So now and then all tables are exported and copied into a new file, which takes 7 s at that size.
"""

import os
from pathlib import Path

import ladybug

from gfe_assets.errors import GraphError
from gfe_assets.graph.ladybug_open import connection, create, run
from gfe_assets.graph.ladybug_schema import (
    column_names,
    count_statement,
    export_statement,
    match_statement,
    write_statement,
)
from gfe_assets.graph.model import EDGE_BY_TYPE, NODE_BY_LABEL, Edge, Node

MOST_FREE = 2 / 3
"""How much of a file may be free pages: it is at most three times as large as a new one."""
SMALL_FILE = 64 * 2**20
"""Files below this size, in bytes, are left as they are."""


def mostly_free(path: Path) -> bool:
    """Whether the file is worth writing anew."""
    if path.stat().st_size < SMALL_FILE:
        return False
    with connection(path, read_only=True) as connected:
        pages = number(connected, "CALL file_info() RETURN *")
        free = number(connected, "CALL fsm_info() RETURN CAST(sum(num_pages) AS INT64)")
    return free > MOST_FREE * pages


def compact(path: Path) -> None:
    """Replace the file by one with the same tables and rows and no free pages; works in the current folder.

    Raises:
        GraphError: the new file does not hold every row with its values.
        RuntimeError: the library's own words.
    """
    tables: dict[str, Node | Edge] = {**NODE_BY_LABEL, **EDGE_BY_TYPE}
    with connection(path, read_only=True) as connected:
        rows = {name: number(connected, count_statement(what)) for name, what in tables.items()}
        for name, what in tables.items():
            run(connected, export_statement(what, _file(name)))
    new = path.with_name(f"{path.name}.new")
    create(new)
    with connection(new, read_only=False) as connected:
        for name, what in tables.items():
            if rows[name]:
                run(connected, write_statement(what, "insert", column_names(what), _file(name)))
        run(connected, "CHECKPOINT")
    with connection(new, read_only=True) as connected:
        for name, what in tables.items():
            found = number(connected, match_statement(what, column_names(what), _file(name))) if rows[name] else 0
            if found != rows[name] or number(connected, count_statement(what)) != rows[name]:
                raise GraphError(f"the file written anew holds {found} of {rows[name]} {name}")
            Path(_file(name)).unlink()
    os.replace(new, path)  # noqa: PTH105 - both are relative


def number(connected: ladybug.Connection, statement: str) -> int:
    """The one number that the statement answers."""
    return int(run(connected, statement).get_as_arrow().column(0)[0].as_py() or 0)


def _file(name: str) -> str:
    return f"{name}.all.parquet"
