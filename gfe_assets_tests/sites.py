"""A deployment on a folder of simulated releases: its runs in this process, its command line in processes of their own.

    site.publish("3580")
    site.run("3580")                                  # [RunOutcome]
    site.cli("run", "3580", "--json").code            # a real process
    site.edit("3580", lambda text: text[:-100])       # damages hla.dat
    site.leftovers()                                  # what half-done work left behind

Nothing outside its folder is read or written. (`deployment.py` has one on a repository served by HTTP, with a daemon.)
"""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from gfe_assets.graph.open import open_store
from gfe_assets.home import open_instance
from gfe_assets.progress import silent
from gfe_assets.runs import RunOutcome, run_releases
from gfe_assets.settings import Settings
from gfe_assets.simulate import SimulatedDatabase, write_release
from gfe_assets.state import ReleaseState, read_states

PROGRAM = Path(sys.executable).with_name("gfe-assets")
_DATE = datetime(2024, 10, 9, 9, tzinfo=timezone.utc)


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


class Site:
    """A deployment: `<folder>/source` with releases, `<folder>/data`, `<folder>/dagster`."""

    database = SimulatedDatabase.create(60, scale=0.1)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.data, self.home = folder / "source", folder / "data", folder / "dagster"
        self.changed: dict[str, Any] = {}

    # settings

    @property
    def settings(self) -> Settings:
        values = {"source_uri": self.source.as_uri(), "data_uri": str(self.data), **self.changed}
        return Settings(_env_file=None, **values)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this deployment is started with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
        changed = {f"GFE_{name.upper()}": str(value) for name, value in self.changed.items()}
        places = {"GFE_SOURCE_URI": self.source.as_uri(), "GFE_DATA_URI": str(self.data), "DAGSTER_HOME": str(self.home)}
        return {**kept, "NO_COLOR": "1", **places, **changed}

    @contextmanager
    def _own_home(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(self.home))
            yield

    # the source

    def publish(self, release: str, database: SimulatedDatabase | None = None, *, align: bool = False) -> Path:
        """Write a release, replacing one that is there."""
        message = f"Release {release}"
        return write_release(self.source, release, database or self.database, date=_DATE, message=message, align=align)

    def edit(self, release: str, change: Callable[[str], str]) -> None:
        """Change the text of the flat file of a release; as a plain file, and with a commit that follows from it."""
        folder = self.source / release
        (folder / "commit.json").unlink(missing_ok=True)
        text = flat_file(folder)
        (folder / "hla.dat.zip").unlink(missing_ok=True)
        (folder / "hla.dat").write_text(change(text), newline="\n")

    def pack(self, release: str, **members: str | bytes) -> None:
        """Put a zip with these members (`{"hla.dat": text}`) in the place of the flat file of a release."""
        folder = self.source / release
        (folder / "commit.json").unlink(missing_ok=True)
        (folder / "hla.dat").unlink(missing_ok=True)
        with zipfile.ZipFile(folder / "hla.dat.zip", "w", zipfile.ZIP_DEFLATED) as pack:
            for name, content in members.items():
                pack.writestr(name, content)

    # runs

    def run(self, *releases: str, job: str = "release_job", **parameters: Any) -> list[RunOutcome]:
        """Run releases in this process."""
        with self._own_home():
            return run_releases(self.settings, releases, silent, job=job, parameters=parameters)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's storage, as the next command of the deployment opens it."""
        with self._own_home(), open_instance(self.settings) as instance:
            yield instance

    def states(self) -> list[ReleaseState]:
        with self.instance() as instance:
            return read_states(instance)

    def status(self, release: str) -> str:
        """Where a release stands, as the next command shows it."""
        return [state.status.value for state in self.states() if state.release == release][-1]

    def cli(self, *arguments: str, **environment: str) -> Ran:
        """Run `gfe-assets` as a process and wait for its end."""
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Start `gfe-assets` in a process group of its own, which is gone at the end of the block."""
        process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill_group(process)
            process.communicate()

    # what is there afterwards

    @property
    def graph_file(self) -> Path:
        return self.data / "graph" / "gfe.lbdb"

    def csv(self, release: str, name: str = "gfe_sequences") -> Path:
        return self.data / "data" / release / "csv" / f"{name}.{release}.csv"

    def graph_digest(self) -> str:
        """Identity of the graph file; empty when there is none."""
        return hashlib.sha256(self.graph_file.read_bytes()).hexdigest() if self.graph_file.exists() else ""

    def ask(self, statement: str) -> list[list[Any]]:
        with open_store(self.settings).reader() as reader:
            return reader.query(statement).rows

    def leftovers(self) -> list[str]:
        """Files and folders with names of half-done work, in the data folder."""
        hidden = [path for path in self.data.rglob("*") if path.name.startswith(".") and not path.name.endswith("lock")]
        return sorted(str(path.relative_to(self.data)) for path in hidden)

    def copy_to(self, folder: Path) -> "Site":
        """The same deployment at the same point, in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Site(folder)


def flat_file(folder: Path) -> str:
    """The text of the flat file of a release folder."""
    if (folder / "hla.dat").exists():
        return (folder / "hla.dat").read_text()
    with zipfile.ZipFile(io.BytesIO((folder / "hla.dat.zip").read_bytes())) as pack:
        return pack.read("hla.dat").decode()


def entries(text: str) -> list[str]:
    """The entries of a flat file, each with its `//` line."""
    return [f"{entry}//\n" for entry in text.split("//\n")[:-1]]


def kill_group(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    """Send a signal to a process started by `Site.started` and to all that it has started, as a terminal or a machine does."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 300) -> None:
    """Wait, looking often, until something is so while a process runs.

    Raises:
        AssertionError: the process has ended before, or time is up.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode} before it came so far"
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.005)


def json_lines(text: str) -> list[dict[str, Any]]:
    """The objects of a text with one JSON object a line and nothing else."""
    return [json.loads(line) for line in text.splitlines()]
