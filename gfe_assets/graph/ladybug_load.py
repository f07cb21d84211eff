"""The subprocess that loads: copies the graph file, applies changes to the copy, verifies it, makes it durable.

In: a working folder with `job.json` (a `Job`) and one Parquet file a step; `python -m gfe_assets.graph.ladybug_load FOLDER`.
Out: deciding what changes (`sync.py`) and putting the copy in place of the graph (`ladybug.py`), so that this process may
die at any moment, by the native library's fault too, and nothing has happened.

Standard output has one JSON object a line: `{"what", "done", "total"}` for progress and `{"error"}` at the end of a load
that failed. Standard input is the parent's life line: when it ends, so does this process.
"""

import json
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import ladybug

from gfe_assets.errors import GfeError, GraphError
from gfe_assets.graph.ladybug_compact import compact, mostly_free, number
from gfe_assets.graph.ladybug_open import connection, create, run
from gfe_assets.graph.ladybug_schema import Action, count_statement, match_statement, write_statement
from gfe_assets.graph.model import EDGE_BY_TYPE, NODE_BY_LABEL, Edge, Node

JOB_FILE = "job.json"
COPY_NAME = "graph"
_SCHEMA: Mapping[str, Node | Edge] = {**NODE_BY_LABEL, **EDGE_BY_TYPE}


@dataclass(frozen=True)
class Step:
    """Rows of one label or type that are deleted, inserted or updated; they are in `file`, relative to the folder."""

    kind: Literal["nodes", "edges"]
    name: str
    action: Action
    columns: list[str]
    rows: int

    @property
    def file(self) -> str:
        """Name of the Parquet file."""
        return f"{self.name}.{self.action}.parquet"


@dataclass(frozen=True)
class Job:
    """The graph file to copy (empty: there is none yet) and the steps in the order in which they can be done."""

    graph: str
    steps: list[Step]

    def write(self, folder: Path) -> None:
        """Write it where the subprocess looks for it."""
        (folder / JOB_FILE).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read what `write` wrote."""
        data = json.loads((folder / JOB_FILE).read_text())
        return cls(data["graph"], [Step(**step) for step in data["steps"]])


def load(job: Job) -> None:
    """Make `COPY_NAME` in the current folder: the graph with all steps applied, verified, on disk.

    Raises:
        GraphError: the copy does not hold what it should.
        RuntimeError: the library's own words.
        OSError: the disk is full, for example.
    """
    copy = Path(COPY_NAME)
    if job.graph:
        shutil.copy(job.graph, copy)
    else:
        create(copy)
    with connection(copy, read_only=False) as connected:
        before = _counts(connected)
        _apply(connected, job.steps)
        run(connected, "CHECKPOINT")
    left = copy.with_name(f"{COPY_NAME}.wal")
    if left.exists() and left.stat().st_size:
        raise GraphError("the embedded database left changes outside its file")
    if mostly_free(copy):
        compact(copy)
    with connection(copy, read_only=True) as connected:
        _verify(connected, job.steps, before)
    descriptor = os.open(copy, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _apply(connected: ladybug.Connection, steps: list[Step]) -> None:
    total = {kind: sum(step.rows for step in steps if step.kind == kind) for kind in ("nodes", "edges")}
    done = {"nodes": 0, "edges": 0}
    for step in steps:
        run(connected, write_statement(_SCHEMA[step.name], step.action, step.columns, step.file))
        done[step.kind] += step.rows
        _say(what=f"{step.kind} written", done=done[step.kind], total=total[step.kind])


def _counts(connected: ladybug.Connection) -> dict[str, int]:
    return {name: number(connected, count_statement(what)) for name, what in _SCHEMA.items()}


def _verify(connected: ladybug.Connection, steps: list[Step], before: dict[str, int]) -> None:
    """Count every label and type; find every written row by its key with its values, and no deleted one."""
    expected = dict(before)
    for step in steps:
        expected[step.name] += {"insert": step.rows, "delete": -step.rows, "update": 0}[step.action]
    counts = _counts(connected)
    wrong = [f"{name} {counts[name]} instead of {number}" for name, number in expected.items() if counts[name] != number]
    for step in steps:
        wanted = 0 if step.action == "delete" else step.rows
        found = number(connected, match_statement(_SCHEMA[step.name], step.columns, step.file))
        if found != wanted:
            wrong.append(f"{found} of the rows to {step.action} in {step.name} instead of {wanted}")
    if wrong:
        raise GraphError(f"after writing, the copy does not hold what it should: {'; '.join(wrong)}")


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def _die_with_parent() -> None:
    """Wait for the end of standard input; the parent never writes to it."""
    sys.stdin.buffer.read()
    os._exit(1)


def main(folder: str) -> int:
    """Run the job of a working folder; 0 when the copy is ready."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.chdir(folder)
    try:
        load(Job.read(Path()))
    except (GfeError, RuntimeError, OSError) as error:
        _say(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(status)  # the thread that waits for the parent holds standard input, which a normal exit would wait for
