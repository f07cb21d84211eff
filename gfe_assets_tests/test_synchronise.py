"""`gfe-assets sync`: one look at the repository, what is recorded, and the runs that follow, as a process and from inside."""

import io
import json
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gfe_assets.errors import Busy, SourceUnavailable
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.open import open_store
from gfe_assets.progress import silent
from gfe_assets.settings import Settings
from gfe_assets.source.cursor import Outcome
from gfe_assets.state import Status
from gfe_assets.synchronise import synchronise
from gfe_assets_tests.deployment import Deployment, publish, release_content, small_database, wait_for
from gfe_assets_tests.github_server import GitHubServer
from gfe_assets_tests.releases import zipped


@pytest.fixture
def deployment(tmp_path: Path, server: GitHubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    with Deployment(tmp_path, server) as made:
        monkeypatch.setenv("DAGSTER_HOME", str(made.home))
        yield made


def differences_from_a_clean_load(
    settings: Settings, server: GitHubServer, folder: Path, patch: pytest.MonkeyPatch
) -> list[str]:
    """What differs between the graph and one that only ever saw the releases as they are now, with the same accessions."""
    folder.mkdir()
    with Deployment(folder, server, registry_uri=settings.registry_location) as clean, patch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(clean.home))
        _, outcomes = synchronise(clean.settings, silent, process="all")
        assert {outcome.status for outcome in outcomes} == {Status.LOAD_SUCCESS}
        with open_store(settings).reader() as graph, open_store(clean.settings).reader() as wanted:
            return same_graph(graph, wanted)


def test_a_corrective_commit_runs_once_and_what_changes_nothing_is_skipped(
    deployment: Deployment,
    server: GitHubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    database = small_database()
    first = publish(server, "390", database)
    _, outcomes = synchronise(deployment.settings, silent, process="all")
    assert [(outcome.release, outcome.status) for outcome in outcomes] == [("390", Status.LOAD_SUCCESS)]

    corrected = database.evolve(seed=2, new=0, renamed=0, resequenced=1, deleted=0)
    assert len(corrected.changes.resequenced) == 1
    correction = publish(server, "390", corrected)
    found, outcomes = synchronise(deployment.settings, silent)
    assert found is not None
    assert [decision.outcome for decision in found.decisions] == [Outcome.NEW_CONTENT]
    assert [(outcome.commit_sha, outcome.status) for outcome in outcomes] == [(correction, Status.LOAD_SUCCESS)]
    assert differences_from_a_clean_load(deployment.settings, server, tmp_path / "clean", monkeypatch) == []

    readme = server.change("390", {"README.md": b"# new\n"})
    found, outcomes = synchronise(deployment.settings, silent)
    assert found is not None
    assert ([decision.outcome for decision in found.decisions], outcomes) == ([Outcome.NO_TRACKED_CHANGE], [])

    data = tmp_path / "data"
    before = {
        path: path.stat().st_mtime_ns for name in ("data", "graph") for path in (data / name).rglob("*") if path.is_file()
    }
    again = server.change("390", {"hla.dat.zip": zipped(flat_file_of(server, "390"), level=1)})
    _, outcomes = synchronise(deployment.settings, silent)
    assert [(outcome.commit_sha, outcome.status) for outcome in outcomes] == [(again, Status.SKIPPED)], outcomes
    assert f"commit {again[:10]} holds the same content as {correction[:10]}, which is loaded" in outcomes[0].reason
    assert outcomes[0].seconds == {}
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []  # which people would see on a terminal
    after = {path: path.stat().st_mtime_ns for name in ("data", "graph") for path in (data / name).rglob("*") if path.is_file()}
    assert after == before

    states = {state.commit_sha: state for state in deployment.states("390")}
    assert {sha: state.status for sha, state in states.items()} == {
        first: Status.LOAD_SUCCESS,
        correction: Status.LOAD_SUCCESS,
        readme: Status.SKIPPED,
        again: Status.SKIPPED,
    }
    assert states[readme].reason.endswith("changes no file that a build reads")
    runs = deployment.instance.get_runs()
    assert len(runs) == 3
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}


def flat_file_of(server: GitHubServer, release: str) -> bytes:
    """The unpacked flat file at the tip."""
    packed = server.files[server.branches[release]]["hla.dat.zip"]
    with zipfile.ZipFile(io.BytesIO(packed)) as pack:
        return pack.read("hla.dat")


@pytest.mark.slow
def test_sync_runs_oldest_first_says_what_it_decided_and_exits_with_how_it_went(deployment: Deployment, server: GitHubServer):
    database = small_database()
    publish(server, "390", database)
    server.commit("3100", release_content("3110", database))  # another release inside: half-published
    server.branches["Latest"] = server.branches["390"]

    failed = deployment.cli("sync", "--process", "all", check=False)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    lines = failed.stdout.splitlines()
    table = [line for line in lines if "NEW_RELEASE" in line]
    assert [line.split("│")[1].strip() for line in table] == ["390", "3100"]
    assert "3 branches, 2 with something new, 2 to run" in lines
    ended = [line.split()[:2] for line in lines if line.startswith(("390 ", "3100 "))]
    assert ended == [["390", "LOAD_SUCCESS"], ["3100", "EXECUTION_FAILED"]]
    assert "3.11.0" in failed.stderr

    unchanged = deployment.cli("sync", "--json")
    assert json.loads(unchanged.stdout) == {"decisions": [], "runs": []}
    states = json.loads(deployment.cli("status", "--json").stdout)
    assert [(state["release"], state["commit_sha"], state["status"]) for state in states] == [
        ("390", server.branches["390"], "LOAD_SUCCESS"),
        ("3100", server.branches["3100"], "EXECUTION_FAILED"),
    ]
    assert "3.11.0" in states[1]["reason"]
    assert states[1]["error"] == states[1]["reason"]
    assert states[1]["cause"] == "ReleaseRefused"
    assert all(state["run_id"] and state["created_at"] <= state["started_at"] <= state["ended_at"] for state in states)
    assert states[0]["counts"]["alleles"] == 6
    assert states[0]["counts"]["inserted"] > 6


def test_no_run_only_records(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    found, outcomes = synchronise(deployment.settings, silent, process="all", run=False)
    assert found is not None
    assert [decision.outcome for decision in found.decisions] == [Outcome.NEW_RELEASE]
    assert outcomes == []
    assert deployment.statuses("390") == ["NOT_PROCESSED"]
    assert deployment.instance.get_runs() == []


def test_a_wrong_option_is_said_in_one_line(deployment: Deployment):
    wrong = deployment.cli("sync", "--process", "some", check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert len(wrong.stderr.splitlines()) == 1
    assert "'some' is not one of none, latest, all" in wrong.stderr


def test_sensor_and_sync_know_of_each_other(deployment: Deployment, server: GitHubServer):
    database = small_database()
    publish(server, "390", database)
    cursor = deployment.tick(None).cursor
    synchronise(deployment.settings, silent)  # no daemon has kept the sensor's cursor, so this looks for the first time
    server.change("390", {"wmda/hla_nom_g.txt": b"# nothing\n"})
    found, _ = synchronise(deployment.settings, silent, run=False)
    assert found is not None

    seen = deployment.tick(cursor)  # the sensor's own cursor is older than what the command line has seen

    assert seen.skip_message == "the repository is unchanged since the last look"
    assert seen.run_requests == []


def test_a_failing_repository_is_said_in_a_sentence_and_nothing_is_recorded(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    server.fail("/git/trees/", status=403, headers={"Retry-After": "3600"})
    with pytest.raises(SourceUnavailable, match="try again after"):
        synchronise(deployment.settings, silent)
    assert deployment.states() == []
    found, _ = synchronise(deployment.settings, silent)
    assert found is not None
    assert [decision.outcome for decision in found.decisions] == [Outcome.NEW_RELEASE]


@pytest.mark.slow
def test_a_sync_that_was_killed_is_gone_on_with_by_the_next_one_and_two_at_once_are_refused(
    deployment: Deployment, server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    database = small_database()
    for release in ("390", "3100", "3110"):
        publish(server, release, database)
    server.fail("/raw/.*hla.dat.zip", delay=60, times=1)  # the first run hangs in its raw stage
    with deployment.cli_process("sync", "--process", "all") as process:
        wait_for(lambda: deployment.statuses("390") == ["BUILD_IN_PROGRESS"])
        with pytest.raises(Busy, match="gfe-assets sync"):
            synchronise(deployment.settings, silent)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert deployment.statuses("3100") == ["PENDING"]

    found, outcomes = synchronise(deployment.settings, silent)

    assert found is None  # nothing new was published
    assert [(outcome.release, outcome.status) for outcome in outcomes] == [
        ("390", Status.LOAD_SUCCESS),
        ("3100", Status.LOAD_SUCCESS),
        ("3110", Status.LOAD_SUCCESS),
    ]
    killed = [run for run in deployment.instance.get_runs() if run.status is dg.DagsterRunStatus.FAILURE]
    assert [run.tags["gfe/release"] for run in killed] == ["390"]
    assert killed[0].tags["gfe/status"] == "EXECUTION_FAILED"
    assert "died" in killed[0].tags["gfe/reason"]
    assert synchronise(deployment.settings, silent) == (None, [])
    assert differences_from_a_clean_load(deployment.settings, server, tmp_path / "clean", monkeypatch) == []


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in members.items():
            pack.writestr(name, content)
    return buffer.getvalue()


def bad_commits(good: bytes) -> dict[str, tuple[dict[str, bytes | None], str]]:
    """What was published → the files of the commit, and what its state has to say."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234\n"
    wrong = release_content("3100", small_database())["hla.dat.zip"]
    return {
        "an HTML page": ({"hla.dat.zip": b"<html><body>Not the file you look for</body></html>"}, "no zip file"),
        "a zip that was cut": ({"hla.dat.zip": good[: len(good) // 2]}, "no zip file"),
        "a path outside": ({"hla.dat.zip": zip_of({"../hla.dat": b"ID   HLA00001"})}, r"hla\.dat"),
        "a bomb": ({"hla.dat.zip": zip_of({"hla.dat": b"\0" * 30_000_000})}, "hla.dat"),
        "a pointer": ({"hla.dat.zip": pointer}, "LFS"),
        "another release": ({"hla.dat.zip": wrong}, "3.10.0"),
        "a release that is cut short": ({"hla.dat.zip": None}, "neither hla.dat.zip nor hla.dat"),
    }


@pytest.mark.slow
def test_what_must_not_be_loaded_ends_in_a_clear_state_and_leaves_the_graph_alone(deployment: Deployment, server: GitHubServer):
    publish(server, "390", small_database())
    synchronise(deployment.settings, silent, process="all")
    graph = deployment.folder / "data" / "graph" / "gfe.lbdb"
    loaded = graph.read_bytes()
    good = server.files[server.branches["390"]]["hla.dat.zip"]
    for what, (files, said) in bad_commits(good).items():
        sha = server.change("390", files)
        found, outcomes = synchronise(deployment.settings, silent)
        if files["hla.dat.zip"] is None:  # seen by the tick: nothing is run before the files are there
            assert (found.decisions[0].outcome, outcomes) == (Outcome.INCOMPLETE, []), what
        else:
            assert [outcome.status for outcome in outcomes] == [Status.EXECUTION_FAILED], what
        [state] = [each for each in deployment.states("390") if each.commit_sha == sha]
        assert re.search(said, state.reason), (what, state.reason)
        assert graph.read_bytes() == loaded, what
    again = server.change("390", {"hla.dat.zip": good})
    _, outcomes = synchronise(deployment.settings, silent)
    assert [(outcome.commit_sha, outcome.status) for outcome in outcomes] == [(again, Status.SKIPPED)]
    assert "which is loaded" in outcomes[0].reason
