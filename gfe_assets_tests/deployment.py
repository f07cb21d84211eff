"""A whole deployment in a folder of its own: settings, Dagster's storage, the command line, the daemon and the web server.

    with GitHubServer() as server, Deployment(folder, server) as deployment:
        publish(server, "390", small_database())
        deployment.cli("sync", "--process", "all")
        with deployment.dagster_dev() as ui:
            ui.start_sensor(SENSOR_NAME)
            wait_for(lambda: deployment.statuses("390") == ["LOAD_SUCCESS"])

Releases are simulated and small. Everything runs for real, in processes of its own where a process is what matters; every
process is in a group that ends with the deployment.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external_data import SensorExecutionErrorSnap
from dagster._grpc.impl import get_external_sensor_execution  # what the code server does when the daemon asks it

from gfe_assets.commits import SENSOR_NAME
from gfe_assets.definitions import build_defs
from gfe_assets.settings import Settings
from gfe_assets.simulate import SimulatedDatabase, write_release
from gfe_assets.source.open import open_source
from gfe_assets.source.patience import Patience
from gfe_assets.state import ReleaseState, read_states
from gfe_assets_tests.github_server import GitHubServer

PROJECT = Path(__file__).resolve().parents[1]
DATE = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
_LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "gfe_assets.definitions"}


def small_database(alleles: int = 6, seed: int = 1) -> SimulatedDatabase:
    """A few short alleles of two loci: a run on it takes a second or two."""
    return SimulatedDatabase.create(alleles, seed=seed, loci=("HLA-A", "HLA-DRB1"), scale=0.1, outside=1, deleted=1)


def release_content(release: str, database: SimulatedDatabase) -> dict[str, bytes]:
    """Path → content of a simulated release."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_release(Path(folder), release, database, date=DATE, message="Release", align=False)
        files = [path for path in root.rglob("*") if path.is_file() and path.name != "commit.json"]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def publish(server: GitHubServer, release: str, database: SimulatedDatabase) -> str:
    """Commit a simulated release to the branch of its name; gives the sha."""
    return server.commit(release, release_content(release, database), message=f"Release {release}")


class TickFailed(Exception):
    """A sensor raised; the message is what the UI shows."""


class Deployment:
    """One deployment on a server; Dagster's storage lies in shared memory where there is some, as its SQLite files are slow."""

    def __init__(self, folder: Path, server: GitHubServer, **settings: Any) -> None:
        shared_memory = Path("/dev/shm")
        self.home = Path(tempfile.mkdtemp(prefix="gfe-", dir=shared_memory if os.access(shared_memory, os.W_OK) else folder))
        self.folder = folder
        self.settings = Settings(
            _env_file=None,
            source_uri="github://ANHIG/IMGTHLA",
            data_uri=str(folder / "data"),
            github_api_url=server.url,
            github_raw_url=server.url,
            **{"retry_seconds": 0, **settings},
        )
        shutil.copyfile(PROJECT / "dagster.yaml", self.home / "dagster.yaml")
        self._opened: dg.DagsterInstance | None = None

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened:
            self._opened.dispose()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance as the daemon and the UI have it."""
        self._opened = self._opened or dg.DagsterInstance.from_config(str(self.home))
        return self._opened

    @property
    def definitions(self) -> dg.Definitions:
        """Those of the deployment, but for a sensor that gives up sooner, so that tests are quick."""
        impatient = open_source(self.settings, Patience(attempts=2, pause=0.01, max_wait=1))
        return build_defs(self.settings, watched_source=dg.ResourceDefinition.hardcoded_resource(impatient))

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this deployment is started with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
        given = {f"GFE_{name.upper()}": _as_text(getattr(self.settings, name)) for name in self.settings.model_fields_set}
        return {**kept, **given, "DAGSTER_HOME": str(self.home), "PYTHONPATH": str(PROJECT), "NO_COLOR": "1"}

    def configure(self, old: str, new: str) -> None:
        """Change a line of this deployment's `dagster.yaml`."""
        path = self.home / "dagster.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    # states

    def states(self, release: str | None = None) -> list[ReleaseState]:
        return [state for state in read_states(self.instance) if release in (None, state.release)]

    def statuses(self, release: str) -> list[str]:
        return [state.status.value for state in self.states(release)]

    # the commit sensor, as the daemon evaluates it

    def tick(self, cursor: str | None, name: str = SENSOR_NAME) -> Any:
        """Evaluate a sensor and take its result as the daemon does, but for starting runs."""
        repository = self.definitions.get_repository_def()
        found = get_external_sensor_execution(repository, None, self.instance.get_ref(), name, None, None, cursor, None, None)
        if isinstance(found, SensorExecutionErrorSnap):
            raise TickFailed(str(found.error))
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in found.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        return found

    def queue(self, request: dg.RunRequest) -> dg.DagsterRun:
        """Put the run that a tick asked for into the queue; no daemon takes it out."""
        job = self.definitions.resolve_job_def("release_job")
        tags = {**request.tags, "dagster/partition": str(request.partition_key)}
        place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("gfe_assets.definitions"), "__repository__")
        return self.instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.QUEUED,
            tags=tags,
            remote_job_origin=RemoteJobOrigin(place, job.name),
            job_code_origin=None,
        )

    # processes

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `gfe-assets` and wait for its end."""
        with self.cli_process(*arguments) as process:
            out, err = process.communicate(timeout=120)
        assert not check or process.returncode == 0, (process.returncode, out, err)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def cli_process(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start `gfe-assets`; it is gone at the end of the block, with all that it started."""
        command = [sys.executable, "-c", "from gfe_assets.cli import main; main()", *arguments]
        with _group(command, self, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            yield process

    @contextmanager
    def dagster_dev(self) -> Iterator["Ui"]:
        """Daemon, web server and code server, as `dagster dev` starts them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "dagster", "dev", "-m", "gfe_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
        log = self.folder / f"dagster-dev-{port}.log"
        with log.open("w") as out, _group(command, self, stdout=out, stderr=out) as process:
            ui = Ui(f"http://127.0.0.1:{port}")
            try:
                wait_for(lambda: process.poll() is not None or ui.is_up(), 90)
                yield ui
            except BaseException:
                said = [line for line in log.read_text().splitlines() if "DEBUG" not in line and "INFO" not in line]
                sys.stderr.write("\n".join(said[-200:]))
                raise


class Ui:
    """The web server's GraphQL, as the pages use it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def is_up(self) -> bool:
        """Whether the code is loaded and the sensors are known."""
        query = "query Up($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { __typename } }"
        try:
            found = self.ask(query, s={**_LOCATION, "sensorName": SENSOR_NAME})
        except OSError:
            return False
        return bool(found["sensorOrError"]["__typename"] == "Sensor")

    def start_sensor(self, name: str) -> None:
        query = "mutation Start($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
        assert self.ask(query, s={**_LOCATION, "sensorName": name})["startSensor"]["__typename"] == "Sensor"

    def launch(self, release: str, job: str = "release_job") -> str:
        """Launch a run of a partition as from the Launchpad; gives its id."""
        query = """mutation Launch($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } } }"""
        tags = [{"key": "dagster/partition", "value": release}]
        parameters = {
            "selector": {**_LOCATION, "pipelineName": job},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        found = self.ask(query, p=parameters)["launchPipelineExecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def execute_again(self, run_id: str) -> str:
        """The button `Re-execute all` of a run's page; gives the new run's id."""
        query = """mutation Again($p: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } } }"""
        parameters = {"parentRunId": run_id, "strategy": "ALL_STEPS", "useParentRunTags": True}
        found = self.ask(query, p=parameters)["launchPipelineReexecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """The button `Terminate` of a run's page."""
        query = "mutation Stop($id: String!) { terminateRun(runId: $id) { __typename } }"
        assert self.ask(query, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"


def wait_for(condition: Callable[[], Any], seconds: float = 240, every: float = 0.1) -> Any:
    """Ask until the answer is true; that answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(every)
    return answer


@contextmanager
def _group(command: list[str], deployment: Deployment, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process in a session of its own, all of which is ended with the block."""
    process = subprocess.Popen(command, env=deployment.environment, cwd=deployment.folder, start_new_session=True, **options)
    try:
        yield process
    finally:
        for number, seconds in ((signal.SIGINT, 15), (signal.SIGKILL, 15)):
            try:
                os.killpg(process.pid, number)
                process.wait(seconds)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _as_text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
