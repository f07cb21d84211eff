"""The embedded graph: one Ladybug file, read as it is, replaced as a whole.

In: `ladybug:///path/file`, and changes from `sync.py`. Out: what should change, and the library's own statements and
errors (`ladybug_schema.py`, `ladybug_open.py`).

The library's bulk loading is safe against neither crashes nor roll-backs, so the graph file is never written in
place: a subprocess (`ladybug_load.py`) copies it into a working folder beside it, changes and verifies the copy, and only
then the copy takes the file's name in one step. A load is therefore all or nothing, and whoever reads meanwhile goes on
seeing the old graph. Working folders of killed loads are removed by the next writer.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ladybug
import polars as pl

from gfe_assets.errors import GraphBusy, GraphError
from gfe_assets.graph.frames import edge_schema, node_schema, shaped
from gfe_assets.graph.ladybug_load import COPY_NAME, Job
from gfe_assets.graph.ladybug_open import connection, empty_connection, run
from gfe_assets.graph.ladybug_query import answer
from gfe_assets.graph.ladybug_schema import read_statement
from gfe_assets.graph.ladybug_steps import change_steps, whole_steps
from gfe_assets.graph.model import Edge, Node
from gfe_assets.graph.store import Changes, Contents, QueryResult
from gfe_assets.locks import locked
from gfe_assets.progress import Progress

SCHEME = "ladybug://"


class LadybugReader:
    """A `GraphReader` of an open file; keeps seeing that file when a load replaces it."""

    def __init__(self, connected: ladybug.Connection, path: Path) -> None:
        self._connected = connected
        self._path = path

    def read_nodes(self, node: Node, columns: Sequence[str]) -> pl.DataFrame:
        """See `GraphReader`."""
        schema = node_schema(node)
        return self._frame(read_statement(node, columns), {name: schema[name] for name in columns})

    def read_edges(self, edge: Edge) -> pl.DataFrame:
        """See `GraphReader`."""
        schema = edge_schema(edge)
        return self._frame(read_statement(edge, list(schema)), schema)

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """See `GraphReader`."""
        return answer(self._connected, statement, parameters or {})

    def _frame(self, statement: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        try:
            result: pl.DataFrame = run(self._connected, statement).get_as_pl()
        except RuntimeError as error:
            raise GraphError(
                f"graph file {self._path} cannot be read ({error}); if it is damaged, restore a backup, or move it away and "
                "load the releases again"
            ) from error
        return shaped(result, schema)


class LadybugStore:
    """A `GraphStore` in one file."""

    def __init__(self, uri: str) -> None:
        """Name the graph; nothing is opened or made yet.

        Raises:
            GraphError: `uri` does not name a file by an absolute path.
        """
        text = uri.removeprefix(SCHEME)
        if text == uri or not Path(text).is_absolute() or text.endswith("/"):
            raise GraphError(f"graph {uri!r} does not name a file: write it as ladybug:///folder/file")
        self._path = Path(text)
        self._lock: int | None = None

    @property
    def location(self) -> str:
        """The URI of the graph file."""
        return f"{SCHEME}{self._path}"

    @property
    def path(self) -> Path:
        """The graph file."""
        return self._path

    @contextmanager
    def reader(self) -> Iterator[LadybugReader]:
        """See `GraphStore`."""
        opened = connection(self._path, read_only=True) if self._path.exists() else empty_connection()
        with opened as connected:
            yield LadybugReader(connected, self._path)

    @contextmanager
    def writing(self, purpose: str, wait_seconds: float) -> Iterator[None]:
        """See `GraphStore`; removes what killed loads left behind."""
        with ExitStack() as stack:
            lock = self._path.with_name(f"{self._path.name}.lock")
            try:
                descriptor = stack.enter_context(locked(lock, purpose, wait_seconds, GraphBusy))
            except OSError as error:
                raise GraphError(
                    f"{purpose}: the graph's lock file {lock} cannot be opened ({error.strerror}); give this user write access "
                    "to its folder, or set GFE_GRAPH_URI to another one"
                ) from error
            for left in self._path.parent.glob(f"{_glob_escaped(self._work_prefix)}*"):
                shutil.rmtree(left, ignore_errors=True)
            self._refuse_pending()
            self._lock = descriptor
            try:
                yield
            finally:
                self._lock = None

    def apply(self, changes: Changes, progress: Progress) -> None:
        """See `GraphStore`; the graph is as it was unless everything was written, verified and is on disk."""
        lock = self._held_lock()
        if changes.empty:
            return
        present = str(self._path) if self._path.exists() else ""
        with self._remade(f"release {changes.release}") as folder:
            Job(present, change_steps(changes, folder)).write(folder)
            _run(folder, lock, progress)

    def replace(self, contents: Contents, progress: Progress) -> None:
        """See `GraphStore`; the graph is as it was unless everything was written, verified and is on disk."""
        lock = self._held_lock()
        with self._remade("a whole graph") as folder:
            Job("", whole_steps(contents, folder)).write(folder)
            _run(folder, lock, progress)

    def _held_lock(self) -> int:
        if self._lock is None:
            raise GraphError(
                f"graph {self.location} is to be changed without holding its lock; use `writing` around the change"
            )
        return self._lock

    @contextmanager
    def _remade(self, what: str) -> Iterator[Path]:
        """A working folder beside the graph; the graph that was made in it takes the graph's place at the end."""
        try:
            with tempfile.TemporaryDirectory(prefix=self._work_prefix, dir=self._path.parent) as name:
                yield Path(name)
                (Path(name) / COPY_NAME).replace(self._path)
            _sync_folder(self._path.parent)
        except (OSError, pl.exceptions.PolarsError, _LoadFailed) as error:
            raise GraphError(
                f"{what} cannot be written to graph file {self._path}: {error}; the graph is as it was before. "
                f"{_advice(self._path.parent)}"
            ) from error

    @property
    def _work_prefix(self) -> str:
        return f".{self._path.name}.loading-"

    def _refuse_pending(self) -> None:
        """A log beside the file belongs to a program that wrote it in place; it would spoil a new file of that name."""
        log = self._path.with_name(f"{self._path.name}.wal")
        if log.exists() and log.stat().st_size:
            raise GraphError(
                f"another program has changes in {log} that are not in the graph file yet: close it, or open and close the "
                "graph with it once more, then try again"
            )


class _LoadFailed(Exception):
    """The subprocess did not make the new graph; the message says why."""


def _run(folder: Path, lock: int, progress: Progress) -> None:
    """Run the loading process; it shares the lock, so that it is held as long as that process lives, should this one die."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "gfe_assets.graph.ladybug_load", str(folder)]
    with (folder / "stderr").open("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, pass_fds=(lock,), text=True
        )
        try:
            reason = _follow(process, progress)
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        if status:
            errors.seek(0)
            died = f"the loading process was ended by {signal.Signals(-status).name}" if status < 0 else ""
            raise _LoadFailed(reason or died or errors.read().strip()[-500:] or f"the loading process ended with {status}")


def _follow(process: "subprocess.Popen[str]", progress: Progress) -> str:
    """Pass on the progress that the process tells; gives the reason of its failure, if it tells one."""
    reason = ""
    for line in process.stdout or ():
        message = json.loads(line)
        if "error" in message:
            reason = message["error"]
        else:
            progress(message["what"], message["done"], message["total"])
    return reason


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(folder: Path) -> str:
    free = shutil.disk_usage(folder).free // 2**20
    return f"{folder} has {free:,} MB free; a load needs room for a second graph file and the rows it writes."


def _glob_escaped(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
