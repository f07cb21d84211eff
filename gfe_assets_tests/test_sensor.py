"""The commit sensor, evaluated as Dagster's daemon does it, on a GitHub that speaks HTTP."""

import json
from pathlib import Path

import dagster as dg
import pytest

from gfe_assets.errors import SourceUnavailable
from gfe_assets.partitions import RELEASES
from gfe_assets.source.cursor import Cursor
from gfe_assets.source.open import open_source
from gfe_assets.source.tick import tick
from gfe_assets.state import Status
from gfe_assets_tests.deployment import Deployment, TickFailed
from gfe_assets_tests.github_server import GitHubServer
from gfe_assets_tests.releases import release_files


@pytest.mark.shared
def test_the_first_tick_on_the_real_branches_makes_every_release_a_partition_and_runs_nothing(
    deployment: Deployment, server: GitHubServer, shared: Path
):
    server.load_payloads(shared / "github_api")
    assert len(server.branches) == 61

    found = deployment.tick(None)

    assert found.run_requests == []
    partitions = deployment.instance.get_dynamic_partitions(str(RELEASES.name))
    assert len(partitions) == 59
    assert partitions == sorted(partitions, key=int)  # the real names all have one digit of patch
    assert partitions[:10] == ["300", "310", "320", "330", "340", "350", "360", "370", "380", "390"]
    assert len(server.asked(r"/branches$")) == 1
    commits, trees = server.asked(r"/commits/"), server.asked(r"/git/trees/")
    assert len(commits) == len({request.path for request in commits}) == 59
    assert len(trees) == len({request.path for request in trees}) == 59
    assert len(server.requests) == 1 + 59 + 59
    states = deployment.states()
    assert len(states) == 59
    assert {state.status for state in states} == {Status.NOT_PROCESSED}
    assert all("recorded, not run" in state.reason and len(state.commit_sha) == 40 for state in states)

    server.forget()
    again = deployment.tick(found.cursor)

    assert [(request.path, request.status) for request in server.requests] == [("/repos/ANHIG/IMGTHLA/branches", 304)]
    assert (again.run_requests, again.cursor) == ([], found.cursor)
    assert again.skip_message == "the repository is unchanged since the last look"
    assert len(deployment.states()) == 59


def first_tick(deployment: Deployment, server: GitHubServer, *releases: str) -> str:
    """Publish releases and let the sensor see them for the first time; gives its cursor."""
    for release in releases:
        server.commit(release, release_files(release))
    return str(deployment.tick(None).cursor)


def test_new_content_asks_for_runs_oldest_release_first_by_number(deployment: Deployment, server: GitHubServer):
    cursor = first_tick(deployment, server, "300")
    shas = {release: server.commit(release, release_files(release)) for release in ("3100", "390", "3580")}

    found = deployment.tick(cursor)

    assert [request.partition_key for request in found.run_requests] == ["390", "3100", "3580"]
    assert [request.tags["gfe/release"] for request in found.run_requests] == ["390", "3100", "3580"]
    assert [request.tags["gfe/commit_sha"] for request in found.run_requests] == [
        shas[name] for name in ("390", "3100", "3580")
    ]
    assert {request.tags["gfe/status"] for request in found.run_requests} == {"PENDING"}
    priorities = [int(request.tags["dagster/priority"]) for request in found.run_requests]
    assert priorities == sorted(priorities, reverse=True)  # the queue starts the highest first
    assert len(set(priorities)) == 3
    assert deployment.instance.get_dynamic_partitions(str(RELEASES.name)) == ["300", "390", "3100", "3580"]
    for release, sha in shas.items():
        assert [(state.commit_sha, state.status) for state in deployment.states(release)] == [(sha, Status.PENDING)]


def test_a_tick_that_is_repeated_asks_with_the_same_keys_so_that_nothing_runs_twice(
    deployment: Deployment, server: GitHubServer
):
    cursor = first_tick(deployment, server, "300")
    server.commit("390", release_files("390"))
    keys = [[request.run_key for request in deployment.tick(cursor).run_requests] for _ in range(2)]
    assert keys[0] == keys[1]
    assert keys[0][0].startswith("390:")


def test_a_commit_that_touches_only_the_readme_is_skipped_and_says_why(deployment: Deployment, server: GitHubServer):
    cursor = first_tick(deployment, server, "390")
    sha = server.change("390", {"README.md": b"# new\n"})

    found = deployment.tick(cursor)

    assert found.run_requests == []
    assert "1 NO_TRACKED_CHANGE" in found.skip_message
    newest = deployment.states("390")[-1]
    assert (newest.commit_sha, newest.status) == (sha, Status.SKIPPED)
    assert newest.reason == f"release 390, commit {sha[:7]}: changes no file that a build reads"
    assert deployment.statuses("390") == ["NOT_PROCESSED", "SKIPPED"]


def test_an_excluded_commit_is_skipped_and_the_next_one_runs(tmp_path: Path, server: GitHubServer):
    server.commit("390", release_files("390"))
    bad = server.change("390", {"wmda/hla_nom_g.txt": b"bad"})
    server.commit("390", release_files("390"))
    with Deployment(tmp_path, server, excluded_shas=(bad[:10],)) as deployment:
        cursor = deployment.tick(None).cursor
        server.branches["390"] = bad
        found = deployment.tick(cursor)
        assert found.run_requests == []
        excluded = next(state for state in deployment.states("390") if state.commit_sha == bad)
        assert excluded.status is Status.SKIPPED
        assert "GFE_EXCLUDED_SHAS" in excluded.reason
        good = server.change("390", {"wmda/hla_nom_g.txt": b"good"})
        found = deployment.tick(found.cursor)
        assert [request.tags["gfe/commit_sha"] for request in found.run_requests] == [good]


FAILURES = {
    "a server error on the listing": ("/branches", {"status": 502, "times": 9}),
    "a server error on one commit": ("/commits/", {"status": 500, "times": 9}),
    "a tree that is a page for people": ("/git/trees/", {"status": 200, "body": b"<html>Unicorn!</html>", "times": 9}),
    "a refusal that says when to come back": ("/git/trees/", {"status": 403, "headers": {"Retry-After": "3600"}}),
    "an answer that is cut off": ("/branches", {"cut_after": 20, "times": 9}),
}


@pytest.mark.parametrize(("pattern", "fault"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failing_github_leaves_everything_as_it_was_and_is_said_in_a_sentence(
    deployment: Deployment, server: GitHubServer, pattern: str, fault: dict[str, object]
):
    cursor = first_tick(deployment, server, "390")
    states = deployment.states()
    server.commit("3100", release_files("3100"))
    server.commit("3110", release_files("3110"))
    server.fail(pattern, **fault)

    found = deployment.tick(cursor)

    assert found.skip_message.startswith("nothing was decided: ")
    assert "Traceback" not in found.skip_message
    assert (found.run_requests, found.asset_events, found.dynamic_partitions_requests or []) == ([], [], [])
    assert found.cursor == cursor
    assert deployment.states() == states
    server.heal()
    assert [request.partition_key for request in deployment.tick(cursor).run_requests] == ["3100", "3110"]


def test_a_slow_github_is_given_up_in_time_and_what_it_answered_is_kept(deployment: Deployment, server: GitHubServer):
    for number in range(300, 400, 10):
        server.commit(str(number), release_files(str(number)))
    server.fail("/git/trees/", delay=2, times=10)
    source = open_source(deployment.settings)
    with pytest.raises(SourceUnavailable, match=r"is slow: \d of 10 commits were looked at in 0\.5 s; the next look goes on"):
        tick(source, Cursor(), within=0.5)
    server.heal()
    asked = len(server.asked("/commits/"))
    assert asked >= 4
    found = tick(source, Cursor(), within=10)
    assert found is not None
    assert len(found.decisions) == 10
    assert len(server.asked("/commits/")) == 10  # none of them twice


def test_a_newer_commit_calls_off_the_run_of_an_older_one_that_still_waits(deployment: Deployment, server: GitHubServer):
    cursor = first_tick(deployment, server, "390", "3100")
    older = server.change("390", {"hla.dat.zip": b"first"})
    other = server.change("3100", {"hla.dat.zip": b"other"})
    found = deployment.tick(cursor)
    waiting = {request.partition_key: deployment.queue(request).run_id for request in found.run_requests}

    newer = server.change("390", {"hla.dat.zip": b"second"})
    again = deployment.tick(found.cursor)

    assert [request.tags["gfe/commit_sha"] for request in again.run_requests] == [newer]
    runs = {name: deployment.instance.get_run_by_id(run_id) for name, run_id in waiting.items()}
    assert runs["390"].status is dg.DagsterRunStatus.CANCELED
    assert runs["390"].tags["gfe/status"] == "SKIPPED"
    assert runs["3100"].status is dg.DagsterRunStatus.QUEUED
    by_sha = {state.commit_sha: state for state in deployment.states()}
    assert by_sha[older].status is Status.SKIPPED
    assert by_sha[older].reason == f"release 390: commit {newer[:10]} replaced it before it ran"
    assert by_sha[newer].status is Status.PENDING
    assert by_sha[other].status is Status.PENDING


def test_a_commit_that_never_got_a_run_shows_skipped_once_new_content_came(deployment: Deployment, server: GitHubServer):
    cursor = first_tick(deployment, server, "390")
    server.change("390", {"README.md": b"# new\n"})
    found = deployment.tick(cursor)
    server.change("390", {"hla.dat.zip": b"corrected"})
    deployment.tick(found.cursor)
    assert deployment.statuses("390") == ["SKIPPED", "SKIPPED", "PENDING"]


def test_a_branch_that_disappears_is_said_once(deployment: Deployment, server: GitHubServer):
    cursor = first_tick(deployment, server, "390", "3100")
    del server.branches["390"]
    found = deployment.tick(cursor)
    assert "1 DISAPPEARED" in found.skip_message
    assert deployment.statuses("390") == ["NOT_PROCESSED"]
    assert deployment.tick(found.cursor).skip_message == "the repository is unchanged since the last look"


@pytest.mark.parametrize(("process", "asked"), [("none", []), ("latest", ["3100"]), ("all", ["390", "3100"])])
def test_the_first_tick_processes_what_the_setting_says(tmp_path: Path, server: GitHubServer, process: str, asked: list[str]):
    for release in ("390", "3100", "Latest"):
        server.commit(release, release_files("3100" if release == "Latest" else release))
    with Deployment(tmp_path, server, process_existing=process) as deployment:
        assert [request.partition_key for request in deployment.tick(None).run_requests] == asked


def test_a_cursor_that_cannot_be_read_is_an_error_that_says_what_to_do(deployment: Deployment):
    with pytest.raises(TickFailed, match="reset it to empty") as raised:
        deployment.tick('{"something": "else"')
    assert "cursor of the commit sensor cannot be read" in str(raised.value)


def test_the_cursor_lists_every_release_it_knows(deployment: Deployment, server: GitHubServer):
    cursor = json.loads(first_tick(deployment, server, "390", "3100"))
    assert list(cursor["releases"]) == ["390", "3100"]
    assert {known["sha"] for known in cursor["releases"].values()} == set(server.branches.values())
