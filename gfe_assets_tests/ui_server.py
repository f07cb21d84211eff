"""The real Dagster UI with its daemon, as `gfe-assets ui` starts it, for tests that click, wait and read mail."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

from gfe_assets_tests.mailserver import free_port

START_SECONDS, WAIT_SECONDS = 180, 300
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
_WHERE = {"repositoryLocationName": "gfe_assets", "repositoryName": "__repository__"}

ValueT = TypeVar("ValueT")


class Ui:
    """A deployment that is being served: its address, its folder, and questions to its GraphQL API."""

    def __init__(self, url: str, folder: Path, log: Path) -> None:
        self.url, self.folder, self.log = url, folder, log
        self.data = folder / "data"
        self.source = folder / "source"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of an answer; fails on GraphQL errors."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, json.dumps(answer["errors"], indent=1)
        return dict(answer["data"])

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Runs, oldest first, each with its tags as a dictionary."""
        found = self.ask(
            """query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
                 runId status jobName pipelineName startTime tags { key value } } } } }""",
            filter=filters,
        )["runsOrError"]["results"]
        for run in found:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
        return list(reversed(found))

    def wait(self, what: str, look: Callable[[], ValueT | None], seconds: float = WAIT_SECONDS) -> ValueT:
        """What `look` gives once it gives something true."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}; {self.tail()}"
            time.sleep(0.5)
        return found

    def finished_runs(self, count: int, seconds: float = WAIT_SECONDS) -> list[dict[str, Any]]:
        """All runs, once there are `count` and all have ended."""

        def look() -> list[dict[str, Any]] | None:
            runs = self.runs()
            return runs if len(runs) >= count and all(run["status"] in FINISHED for run in runs) else None

        return self.wait(f"{count} runs to end", look, seconds)

    def launch(self, job: str, tags: dict[str, str] | None = None, config: dict[str, Any] | None = None) -> str:
        """Launch a run of a job through the queue; its id."""
        told = self.ask(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
                 ... on RunConfigValidationInvalid { errors { message } } } }""",
            params={
                "selector": {**_WHERE, "jobName": job},
                "runConfigData": config or {},
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
            },
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def backfill(self, releases: list[str], *, job: str | None = None, config: dict[str, Any] | None = None) -> str:
        """Launch a backfill in the order given: of a job, or of the assets of the flow; its id."""
        params: dict[str, Any] = {"partitionNames": releases}
        if job:
            repository = {"repositoryLocationName": "gfe_assets", "repositoryName": "__repository__"}
            params["selector"] = {"partitionSetName": f"{job}_partition_set", "repositorySelector": repository}
        else:
            flow = ("raw_sequences", "gfe_csvs", "gfe_graph", "graph_validation", "release_report")
            params["assetSelection"] = [{"path": [name]} for name in flow]
        if config:
            params["runConfigData"] = config
        told = self.ask(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params=params,
        )["launchPartitionBackfill"]
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return str(told["backfillId"])

    def terminate(self, run_id: str) -> None:
        """Ask a run to stop, as the button of its page does."""
        told = self.ask("mutation($id: String!) { terminateRun(runId: $id) { __typename } }", id=run_id)["terminateRun"]
        assert told["__typename"] == "TerminateRunSuccess", told

    def tail(self) -> str:
        """The end of what the server and the daemon printed."""
        return f"the end of {self.log}:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


@contextmanager
def running_ui(folder: Path, **environment: str) -> Iterator[Ui]:
    """Serve the deployment in `folder` (`source`, `data`) until the block ends; all processes of it are gone then."""
    port = free_port()
    log = folder / "ui.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
    ours = {
        "GFE_SOURCE_URI": (folder / "source").as_uri(),
        "GFE_DATA_URI": str(folder / "data"),
        "GFE_UI_URL": f"http://127.0.0.1:{port}",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from gfe_assets.cli import main; main()", "ui", "--port", str(port)],
            env={**kept, **ours, **environment},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    ui = Ui(f"http://127.0.0.1:{port}", folder, log)
    try:
        ui.wait("the UI to answer", lambda: _answers(ui, process), START_SECONDS)
        yield ui
    finally:
        _stop(process)


def _answers(ui: Ui, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, f"gfe-assets ui ended with {process.returncode}; {ui.tail()}"
    try:
        loaded = ui.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
    except (requests.RequestException, ValueError):
        return False
    return all(entry["loadStatus"] == "LOADED" for entry in loaded["workspaceOrError"]["locationEntries"])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server, the daemon and every run they started."""
    for sign, seconds in ((signal.SIGINT, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _alive(process):
            time.sleep(0.2)


def _alive(process: "subprocess.Popen[bytes]") -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
