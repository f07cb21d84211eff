"""The commit sensor and the queue through the real thing: `dagster dev` with its daemon, on a GitHub that speaks HTTP.

Tests wait for events and then look at their times; they are slow, since the daemon looks every few seconds and every run is a
process of its own.
"""

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from gfe_assets.commits import SENSOR_NAME
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.open import open_store
from gfe_assets.home import foreground_lock
from gfe_assets.progress import silent
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets.synchronise import synchronise
from gfe_assets_tests.deployment import Deployment, publish, small_database, wait_for
from gfe_assets_tests.github_server import GitHubServer

pytestmark = [pytest.mark.slow, pytest.mark.daemon]
FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@pytest.fixture
def deployment(tmp_path: Path, server: GitHubServer) -> Iterator[Deployment]:
    with Deployment(tmp_path, server, poll_seconds=30) as made:
        made.configure("poll_interval_seconds: 30", "poll_interval_seconds: 2")
        yield made


def runs_of(deployment: Deployment, release: str) -> list[dg.DagsterRun]:
    """The runs of a release, oldest first."""
    return list(deployment.instance.get_runs(dg.RunsFilter(tags={"gfe/release": release}), ascending=True))


def steps(deployment: Deployment, run_id: str) -> dict[str, tuple[float, float]]:
    """Step → when it began and ended."""
    stats = deployment.instance.get_run_step_stats(run_id)
    return {each.step_key: (each.start_time or 0.0, each.end_time or 0.0) for each in stats}


def skip_reasons(deployment: Deployment) -> list[str]:
    """What the commit sensor's ticks said, newest first."""
    [state] = [each for each in deployment.instance.all_instigator_state() if each.name == SENSOR_NAME]
    ticks = deployment.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    return [tick.tick_data.skip_reason or "" for tick in ticks]


def process_of(deployment: Deployment, run_id: str) -> int:
    """The process that executes a run, as its lock file names it."""
    match = re.search(r"process (\d+)", foreground_lock(deployment.instance, run_id).read_text())
    assert match
    return int(match[1])


def all_finished(deployment: Deployment, count: int) -> bool:
    runs = deployment.instance.get_runs()
    return len(runs) == count and all(run.status in FINISHED for run in runs)


def test_three_releases_at_once_with_a_kill_and_a_cancellation_in_a_load(
    deployment: Deployment, server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They build side by side and load one at a time, oldest first by number; a killed one is a failure until run again."""
    publish(server, "300", small_database())
    large = SimulatedDatabase.create(1500, seed=1)  # its load takes long enough to be killed in
    databases = {"390": large.evolve(seed=2), "3100": large.evolve(seed=3, new=200), "3110": small_database()}
    with deployment.dagster_dev() as ui:
        ui.start_sensor(SENSOR_NAME)
        wait_for(lambda: deployment.statuses("300") == ["NOT_PROCESSED"])
        assert deployment.instance.get_runs() == []
        shas = {release: publish(server, release, database) for release, database in databases.items()}
        server.fail(f"/raw/{shas['390']}/hla.dat.zip", delay=20)
        wait_for(lambda: len(deployment.instance.get_runs()) == 3)
        first, second, third = (runs_of(deployment, release)[0] for release in databases)
        assert [run.status for run in (first, second, third)].count(dg.DagsterRunStatus.QUEUED) >= 1  # two places, three runs
        wait_for(lambda: deployment.statuses("3100") == ["LOAD_IN_PROGRESS"], every=0.02)
        os.kill(process_of(deployment, second.run_id), signal.SIGKILL)
        wait_for(lambda: all_finished(deployment, 3))

        assert deployment.statuses("390") == ["LOAD_SUCCESS"]
        assert deployment.statuses("3110") == ["LOAD_SUCCESS"]
        [killed] = deployment.states("3100")
        assert killed.status.value == "LOAD_FAILED"
        assert "release 3100: " in killed.reason
        launched = [deployment.instance.get_run_stats(run.run_id).launch_time or 0 for run in (first, second, third)]
        assert launched == sorted(launched)
        times = [steps(deployment, run.run_id) for run in (first, second, third)]
        assert times[1]["raw_sequences"][1] < times[0]["raw_sequences"][1]  # the second was the quicker one, beside the first,
        loads = [each["gfe_graph"] for each in times]
        assert loads[0][1] <= loads[1][0]  # but the loads came one after the other, and in order
        assert loads[1][0] < loads[2][0]
        wait_for(lambda: deployment.instance.get_run_by_id(second.run_id).tags["gfe/status"] == "LOAD_FAILED")

        again = ui.execute_again(second.run_id)
        wait_for(lambda: deployment.statuses("3100") == ["LOAD_SUCCESS"])
        assert deployment.states("3100")[0].run_id == again
        assert deployment.states("3100")[0].reason == ""

        corrected = publish(server, "3110", large.evolve(seed=4, new=100))
        wait_for(lambda: deployment.statuses("3110") == ["LOAD_SUCCESS", "LOAD_IN_PROGRESS"], every=0.02)
        canceled = runs_of(deployment, "3110")[1].run_id
        ui.terminate(canceled)
        wait_for(lambda: deployment.statuses("3110") == ["LOAD_SUCCESS", "ABORTED"])
        pool = deployment.instance.event_log_storage.get_concurrency_info
        wait_for(lambda: pool("graph_writer").active_slot_count == 0)
        ui.execute_again(canceled)
        wait_for(lambda: deployment.statuses("3110") == ["LOAD_SUCCESS", "LOAD_SUCCESS"])
        assert deployment.states("3110")[1].commit_sha == corrected
    folder = tmp_path / "clean"
    folder.mkdir()
    with Deployment(folder, server, registry_uri=deployment.settings.registry_location) as clean:
        monkeypatch.setenv("DAGSTER_HOME", str(clean.home))
        server.branches.pop("300")
        _, outcomes = synchronise(clean.settings, silent, process="all")
        assert [outcome.release for outcome in outcomes] == ["390", "3100", "3110"]
        with open_store(deployment.settings).reader() as graph, open_store(clean.settings).reader() as wanted:
            assert same_graph(graph, wanted) == []


def test_ticks_corrections_and_cancellations_through_the_daemon(deployment: Deployment, server: GitHubServer):
    """A correction runs once however often the sensor looks; newer commits call off waiting ones; failures change nothing."""
    database = small_database()
    publish(server, "390", database)
    with deployment.dagster_dev() as ui:
        ui.start_sensor(SENSOR_NAME)
        wait_for(lambda: deployment.statuses("390") == ["NOT_PROCESSED"])
        wait_for(lambda: [request.status for request in server.asked("/branches")].count(304) >= 1)

        corrections = [database.evolve(seed=n, new=n, renamed=0, resequenced=0, deleted=0) for n in (1, 2, 3)]
        first = publish(server, "390", corrections[0])
        server.fail(f"/raw/{first}/", delay=28, times=3)  # keeps the first run busy for three ticks
        wait_for(lambda: deployment.statuses("390") == ["SKIPPED", "BUILD_IN_PROGRESS"])
        second = publish(server, "390", corrections[1])
        wait_for(lambda: [run.status for run in runs_of(deployment, "390")][1:] == [dg.DagsterRunStatus.QUEUED])
        third = publish(server, "390", corrections[2])
        wait_for(lambda: all_finished(deployment, 3), 240)
        states = {state.commit_sha: state for state in deployment.states("390")}
        assert states[third].status.value == "LOAD_SUCCESS"
        assert states[second].status.value == "SKIPPED"
        assert states[second].reason == f"release 390: commit {third[:10]} replaced it before it ran"
        assert states[first].status.value == "SKIPPED"  # it had begun, but was replaced before it was built
        assert states[first].reason == f"release 390: commit {third[:10]} replaced {first[:10]} before it was built"
        assert runs_of(deployment, "390")[1].status is dg.DagsterRunStatus.CANCELED

        server.fail("/branches", status=500, times=3)  # one tick's attempts
        wait_for(lambda: any(reason.startswith("nothing was decided: ") for reason in skip_reasons(deployment)), 90)
        wait_for(lambda: skip_reasons(deployment)[0] == "the repository is unchanged since the last look", 90)
        assert len(deployment.instance.get_runs()) == 3

        fourth = server.change("390", {"wmda/other.txt": b"a change that no build reads"})
        wait_for(lambda: all_finished(deployment, 4), 90)
        [skipped] = [state for state in deployment.states("390") if state.commit_sha == fourth]
        assert skipped.status.value == "SKIPPED"
        assert f"same content as {third[:10]}" in skipped.reason

        server.fail("/raw/.*hla.dat.zip", delay=60, times=1)
        canceled = ui.launch("390")
        server.change("390", {"hla.dat.zip": b"never fetched"})  # another fingerprint, so that it has to be fetched
        wait_for(lambda: deployment.instance.get_run_by_id(canceled).status is dg.DagsterRunStatus.STARTED)
        ui.terminate(canceled)
        wait_for(lambda: deployment.instance.get_run_by_id(canceled).status is dg.DagsterRunStatus.CANCELED)
        assert [state.status.value for state in deployment.states("390") if state.run_id == canceled] == ["ABORTED"]
        table = deployment.instance.fetch_materializations(dg.AssetKey("execution_state"), limit=1).records
        assert "| LOAD_SUCCESS |" in table[0].asset_materialization.metadata["states"].value


def test_dagsters_own_monitoring_frees_the_place_of_a_killed_run(deployment: Deployment):
    """The backstop for runs on other machines, whose locks cannot be seen from here."""
    deployment.configure("free_slots_after_run_end_seconds: 300", "free_slots_after_run_end_seconds: 3")
    instance, storage = deployment.instance, deployment.instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("graph_writer")
    job = deployment.definitions.resolve_job_def("release_job")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert storage.claim_concurrency_slot("graph_writer", run.run_id, "gfe_graph").is_claimed
    instance.report_run_failed(run)
    assert storage.get_concurrency_info("graph_writer").active_slot_count == 1
    began = datetime.now()
    with deployment.dagster_dev():
        wait_for(lambda: storage.get_concurrency_info("graph_writer").active_slot_count == 0)
    assert (datetime.now() - began).total_seconds() < 120
