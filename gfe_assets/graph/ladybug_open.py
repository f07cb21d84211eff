"""Opening a Ladybug file safely: only graphs of this project's schema, and every error of the library as a sentence.

In: a path, and whether it is read or written. Out: statements (`ladybug_schema.py`) and what is done with a connection.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ladybug

from gfe_assets.errors import GraphError, GraphUnavailable
from gfe_assets.graph.ladybug_schema import MARK, create_statements, mark
from gfe_assets.graph.model import RELEASE

_MIB = 2**20


@contextmanager
def connection(path: Path, *, read_only: bool) -> Iterator[ladybug.Connection]:
    """Open a graph file that exists.

    Raises:
        GraphUnavailable: another program has it open for writing.
        GraphError: it is damaged, not a Ladybug database, of another storage version, or not of this schema.
    """
    with _database(path, read_only=read_only) as connected:
        _check_mark(connected, path)
        yield connected


@contextmanager
def empty_connection() -> Iterator[ladybug.Connection]:
    """A read-only graph without nodes, for a graph that was never written."""
    with tempfile.TemporaryDirectory(prefix="gfe-empty-graph-") as folder:
        path = Path(folder) / "empty.lbdb"
        create(path)
        with connection(path, read_only=True) as connected:
            yield connected


def run(connected: ladybug.Connection, statement: str, parameters: dict[str, Any] | None = None) -> ladybug.QueryResult:
    """Run one statement; fails with the library's `RuntimeError`."""
    result = connected.execute(statement, parameters)
    if isinstance(result, list):
        raise RuntimeError("more than one statement at once")  # noqa: TRY004 - the one error that callers translate
    return result


def create(path: Path) -> None:
    """Make a new graph file with all tables and no node."""
    with _database(path, read_only=False) as connected:
        for statement in create_statements():
            connected.execute(statement)


@contextmanager
def _database(path: Path, *, read_only: bool) -> Iterator[ladybug.Connection]:
    try:
        database = ladybug.Database(path, read_only=read_only, buffer_pool_size=_buffer_pool_size(read_only=read_only))
    except RuntimeError as error:
        raise _opening_error(path, error) from error
    try:
        connected = ladybug.Connection(database)
        try:
            yield connected
        finally:
            connected.close()
    finally:
        database.close()


def _buffer_pool_size(*, read_only: bool) -> int:
    """The most memory the library may take for pages: half of the machine's, but not below 512 MiB.

    Loading takes up to 4 GiB (1 GiB was too small for the sequences of 46,000 alleles), reading up to 1 GiB.
    """
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return max(512 * _MIB, min(half, (1024 if read_only else 4096) * _MIB))


def _opening_error(path: Path, error: RuntimeError) -> GraphError:
    reason = str(error)
    if "lock" in reason.lower() and "could not set" in reason.lower():
        return GraphUnavailable(f"graph file {path} is open for writing in another program; close it there and try again")
    if "different version" in reason:
        return GraphError(
            f"graph file {path} was made by another version of the embedded database ({reason}); move it away and load the "
            "releases again, or restore a backup"
        )
    if "not a valid" in reason or "directory" in reason:
        return GraphError(f"{path} is not a graph file; set GFE_GRAPH_URI to one, or move it away")
    return GraphError(
        f"graph file {path} cannot be opened ({reason}); if it is damaged, restore a backup, or move it away and load the "
        "releases again"
    )


def _names_and_comments(connected: ladybug.Connection) -> list[tuple[str, str]]:
    result = run(connected, "CALL show_tables() RETURN name, comment")
    return [(str(name), str(comment)) for name, comment in result.get_all()]


def _check_mark(connected: ladybug.Connection, path: Path) -> None:
    """Refuse a database whose tables are not those of this version."""
    try:
        rows = _names_and_comments(connected)
    except RuntimeError as error:
        raise _opening_error(path, error) from error
    found = next((comment for name, comment in rows if name == RELEASE.label), None)
    if found is None or not found.startswith(MARK):
        raise GraphError(f"{path} is a database, but not a graph of gfe-assets; set GFE_GRAPH_URI to one, or move it away")
    if found != mark():
        raise GraphError(
            f"graph file {path} was made by another version of gfe-assets ({found}; this version has {mark()}); use that "
            "version, or move the file away and load the releases again"
        )
