"""The execution state: every one of the 14 statuses through real runs, and what the records tell."""

import json
from typing import Any

import dagster as dg
import ladybug
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.home import foreground_lock
from gfe_assets.overview import overview
from gfe_assets.partitions import add_releases
from gfe_assets.runs import run_release
from gfe_assets.sensors import STATE_SENSOR
from gfe_assets.state import ReleaseState, Status, status_of
from gfe_assets.statuses import REASON_TAG, STATUS_TAG
from gfe_assets_tests.deployment import Deployment, publish, release_content, small_database
from gfe_assets_tests.github_server import GitHubServer
from gfe_assets_tests.releases import release_files

R = dg.DagsterRunStatus
TABLE = [
    # run status, tag gfe/stage, tag gfe/status, what it stands for
    (R.QUEUED, "", "", Status.PENDING),
    (R.QUEUED, "load", "LOAD_FAILED", Status.PENDING),  # a re-execution inherits the tags of the run before
    (R.STARTING, "", "PENDING", Status.PENDING),
    (R.STARTED, "raw", "BUILD_IN_PROGRESS", Status.BUILD_IN_PROGRESS),
    (R.STARTED, "build", "BUILD_SUCCESS", Status.BUILD_SUCCESS),
    (R.STARTED, "load", "LOAD_IN_PROGRESS", Status.LOAD_IN_PROGRESS),
    (R.STARTED, "validate", "LOAD_COMPLETE", Status.LOAD_COMPLETE),
    (R.STARTED, "", "", Status.PENDING),
    (R.SUCCESS, "validate", "LOAD_SUCCESS", Status.LOAD_SUCCESS),
    (R.SUCCESS, "build", "LOAD_SKIPPED", Status.LOAD_SKIPPED),
    (R.SUCCESS, "build", "BUILD_SUCCESS", Status.BUILD_SUCCESS),
    (R.SUCCESS, "load", "LOAD_COMPLETE", Status.LOAD_COMPLETE),
    (R.SUCCESS, "raw", "SKIPPED", Status.SKIPPED),
    (R.SUCCESS, "raw", "BUILD_IN_PROGRESS", Status.NOT_PROCESSED),  # only the files were fetched
    (R.FAILURE, "", "", Status.EXECUTION_FAILED),
    (R.FAILURE, "raw", "BUILD_IN_PROGRESS", Status.EXECUTION_FAILED),
    (R.FAILURE, "build", "BUILD_IN_PROGRESS", Status.BUILD_FAILED),
    (R.FAILURE, "load", "LOAD_IN_PROGRESS", Status.LOAD_FAILED),
    (R.FAILURE, "load", "LOAD_COMPLETE", Status.LOAD_FAILED),
    (R.FAILURE, "validate", "LOAD_COMPLETE", Status.EXECUTION_FAILED),
    (R.FAILURE, "validate", "LOAD_SUCCESS", Status.EXECUTION_FAILED),  # killed in its last moment: never a success
    (R.FAILURE, "validate", "LOAD_INVALID", Status.LOAD_INVALID),
    (R.CANCELED, "load", "LOAD_IN_PROGRESS", Status.ABORTED),
    (R.CANCELED, "", "SKIPPED", Status.SKIPPED),
    (R.CANCELING, "build", "BUILD_IN_PROGRESS", Status.ABORTED),
]


@pytest.mark.parametrize(("run_status", "stage", "tagged", "expected"), TABLE)
def test_what_a_run_and_its_tags_stand_for(run_status: Any, stage: str, tagged: str, expected: Status):
    tags = {name: value for name, value in {"gfe/stage": stage, "gfe/status": tagged}.items() if value}
    assert status_of(run_status, tags) is expected


class Watcher:
    """A listener of progress that looks at the state of the release that makes it."""

    def __init__(self, deployment: Deployment, release: str) -> None:
        self._deployment, self._release = deployment, release
        self.seen: list[str] = []

    def __call__(self, _what: str, _done: int, _total: int | None) -> None:
        [status] = self._deployment.statuses(self._release)
        if self.seen[-1:] != [status]:
            self.seen.append(status)


def run(deployment: Deployment, release: str, definitions: dg.Definitions | None = None, job: str = "release_job") -> Status:
    definitions = definitions or deployment.definitions
    return run_release(deployment.instance, deployment.settings, definitions, release, job=job).status


def run_some(deployment: Deployment, release: str, *assets: str) -> None:
    """Materialize only some assets of a release, as somebody may in the UI."""
    add_releases(deployment.instance, [release])
    job = deployment.definitions.resolve_job_def("release_job")
    keys = [dg.AssetKey(asset) for asset in assets]
    assert job.execute_in_process(instance=deployment.instance, partition_key=release, asset_selection=keys).success


def test_every_status_is_reached_by_real_runs_and_shown(deployment: Deployment, server: GitHubServer):
    database = small_database()
    content = release_content("3100", database)
    server.commit("300", release_files("300"))
    server.commit("310", release_files("310"))
    cursor = deployment.tick(None).cursor
    server.change("310", {"README.md": b"# new\n"})
    cursor = deployment.tick(cursor).cursor
    for release in ("390", "3120"):
        publish(server, release, database)
    for release in ("3100", "3110", "3130", "3140", "3150", "3160", "3170", "3180"):
        server.commit(release, {**content, "hla.dat.zip": release_content(release, database)["hla.dat.zip"]})
    server.commit("3130", content)  # 3.10.0 inside

    watcher = Watcher(deployment, "390")
    assert run(deployment, "390", build_defs(deployment.settings, progress=lambda _: watcher)) is Status.LOAD_SUCCESS
    assert watcher.seen == ["BUILD_IN_PROGRESS", "LOAD_IN_PROGRESS", "LOAD_COMPLETE"]
    assert run(deployment, "3100", job="build_job") is Status.LOAD_SKIPPED
    run_some(deployment, "3110", "raw_sequences", "gfe_csvs")
    run_some(deployment, "3120", "raw_sequences", "gfe_csvs", "gfe_graph")
    assert run(deployment, "3130") is Status.EXECUTION_FAILED
    broken = deployment.folder / "broken.lbdb"
    broken.write_bytes(b"no graph" * 1000)
    no_registry = deployment.settings.model_copy(update={"registry_uri": f"sqlite:///{broken}"})
    assert run(deployment, "3140", build_defs(no_registry)) is Status.BUILD_FAILED
    no_graph = deployment.settings.model_copy(update={"graph_uri": f"ladybug://{broken}"})
    assert run(deployment, "3150", build_defs(no_graph)) is Status.LOAD_FAILED
    found = deployment.tick(cursor)
    asked = {request.partition_key: request for request in found.run_requests}
    waiting = {release: deployment.queue(asked[release]) for release in ("3160", "3170")}
    assert deployment.instance.run_coordinator.cancel_run(waiting["3170"].run_id)
    with ladybug.Database(str(deployment.folder / "data" / "graph" / "gfe.lbdb")) as graph, ladybug.Connection(graph) as link:
        link.execute("MATCH (s:Sequence) SET s.sequence = 'ACGT'")  # somebody's hand in the graph
    assert run(deployment, "3180") is Status.LOAD_INVALID

    states = {state.release: state for state in deployment.states()}
    assert {release: state.status.value for release, state in states.items()} == {
        "300": "NOT_PROCESSED",
        "310": "SKIPPED",
        "390": "LOAD_SUCCESS",
        "3100": "LOAD_SKIPPED",
        "3110": "BUILD_SUCCESS",
        "3120": "LOAD_COMPLETE",
        "3130": "EXECUTION_FAILED",
        "3140": "BUILD_FAILED",
        "3150": "LOAD_FAILED",
        "3160": "PENDING",
        "3170": "ABORTED",
        "3180": "LOAD_INVALID",
    }
    everything = {state.status for state in states.values()} | {Status(status) for status in watcher.seen}
    assert everything == set(Status)
    assert_the_records_tell_why(states, server)
    shown = overview(deployment.states())
    assert shown["dagster/row_count"] == 12
    assert all(f"| {state.status.value} |" in shown["states"].value for state in states.values())
    counts = {name: count for name, count in shown.items() if name in Status.__members__}
    assert sum(counts.values()) == 12
    assert counts["NOT_PROCESSED"] == 2  # 310 stands where it stood before the commit that was skipped
    assert counts["LOAD_INVALID"] == 1


def assert_the_records_tell_why(states: dict[str, ReleaseState], server: GitHubServer) -> None:
    for release, state in states.items():
        assert state.commit_sha == server.branches[release], release
        if state.status.bad:
            assert state.reason == state.error != ""
            assert state.cause or state.status is Status.LOAD_INVALID
    assert "3.10.0" in states["3130"].reason
    assert states["3130"].cause == "ReleaseRefused"
    assert states["3140"].cause.startswith("Registry")
    assert "broken.lbdb" in states["3150"].reason
    assert "features_make_sequences" in states["3180"].reason
    assert states["390"].counts["alleles"] == states["3150"].counts["alleles"] == 6
    assert states["390"].counts["inserted"] > 6
    assert "inserted" not in states["3150"].counts
    assert states["390"].job == "release_job"
    times = states["390"].created_at, states["390"].started_at, states["390"].ended_at
    assert list(times) == sorted(time for time in times if time)


@pytest.mark.slow
def test_status_shows_what_a_deployment_knows_as_table_and_as_json(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    cursor = deployment.tick(None).cursor
    server.change("390", {"README.md": b"# new\n"})
    deployment.tick(cursor)
    deployment.cli("run", "390", "--limit", "3")
    shown = json.loads(deployment.cli("status", "--json").stdout)
    assert [(state["release"], state["status"]) for state in shown] == [("390", "NOT_PROCESSED"), ("390", "LOAD_SUCCESS")]
    assert shown[1]["parameters"]["limit"] == 3
    assert {"release", "commit_sha", "status", "reason", "run_id", "created_at", "started_at", "ended_at"} <= set(shown[1])
    assert "LOAD_SUCCESS" in deployment.cli("status").stdout


def test_a_run_that_only_fetches_does_not_hide_that_the_release_is_loaded(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    run_some(deployment, "390", "raw_sequences")
    assert deployment.statuses("390") == ["NOT_PROCESSED"]
    assert run(deployment, "390", job="build_job") is Status.LOAD_SKIPPED
    run_some(deployment, "390", "raw_sequences")
    assert deployment.statuses("390") == ["LOAD_SKIPPED"]


def test_an_unreachable_source_is_forgotten_once_the_release_ran(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    server.fail("/branches", status=403, headers={"Retry-After": "3600"}, times=9)
    assert run(deployment, "390", job="build_job") is Status.EXECUTION_FAILED
    [state] = deployment.states()
    assert (state.commit_sha, state.status) == ("", Status.EXECUTION_FAILED)
    assert state.cause.startswith("TryAgain")
    server.heal()
    assert run(deployment, "390", job="build_job") is Status.LOAD_SKIPPED
    assert [(state.commit_sha, state.status) for state in deployment.states()] == [
        (server.branches["390"], Status.LOAD_SKIPPED)
    ]


def died(deployment: Deployment, stage: str, status: str) -> str:
    """A run as a process leaves it that was killed in a stage: its lock file is there, and nobody holds it."""
    job = deployment.definitions.resolve_job_def("release_job")
    tags = {"gfe/release": "390", "gfe/commit_sha": "a" * 40, "gfe/stage": stage, "gfe/status": status}
    run = deployment.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    lock = foreground_lock(deployment.instance, run.run_id)
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("")
    return run.run_id


def test_the_state_sensor_ends_dead_runs_and_gives_their_place_in_the_pool_back(deployment: Deployment):
    instance, storage = deployment.instance, deployment.instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("graph_writer")
    dead = died(deployment, "load", "LOAD_IN_PROGRESS")
    assert storage.claim_concurrency_slot("graph_writer", dead, "gfe_graph").is_claimed
    assert not storage.claim_concurrency_slot("graph_writer", "another", "gfe_graph").is_claimed
    assert deployment.statuses("390") == ["LOAD_IN_PROGRESS"]

    found = deployment.tick(None, STATE_SENSOR)

    ended = instance.get_run_by_id(dead)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert ended.tags[STATUS_TAG] == "LOAD_FAILED"
    assert ended.tags[REASON_TAG] == "release 390: the process of this run died before the run had ended"
    assert storage.claim_concurrency_slot("graph_writer", "another", "gfe_graph").is_claimed
    [state] = deployment.states()
    assert (state.status, state.cause) == (Status.LOAD_FAILED, "the run's process ended")
    [event] = found.asset_events
    assert event.asset_key == dg.AssetKey("execution_state")
    assert "| LOAD_FAILED |" in event.metadata["states"].value
    again = deployment.tick(found.cursor, STATE_SENSOR)
    assert again.asset_events == []
    assert again.skip_message == "no run has moved on since the last look"


def test_the_state_sensor_settles_what_ended_from_outside(deployment: Deployment):
    instance = deployment.instance
    canceled, failed = died(deployment, "build", "BUILD_IN_PROGRESS"), died(deployment, "load", "LOAD_COMPLETE")
    instance.report_run_canceled(instance.get_run_by_id(canceled))
    instance.report_engine_event("Run execution process was terminated by signal 9 (SIGKILL).", instance.get_run_by_id(failed))
    instance.report_run_failed(instance.get_run_by_id(failed))
    [state] = deployment.states()
    assert state.reason == "release 390: Run execution process was terminated by signal 9 (SIGKILL)."

    deployment.tick(None, STATE_SENSOR)

    tags = {run_id: instance.get_run_by_id(run_id).tags for run_id in (canceled, failed)}
    assert tags[canceled][STATUS_TAG] == "ABORTED"
    assert (tags[failed][STATUS_TAG], tags[failed][REASON_TAG]) == ("LOAD_FAILED", state.reason)
    assert [run.status.value for run in instance.get_runs()] == ["FAILURE", "CANCELED"]
