"""kill -9 and Ctrl-C at any moment of a run: what the next command shows, and that the next run ends well.

The graph is never half-loaded: after a kill it is as before or as after, and the next run makes it equal to a clean load.
"""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.open import open_store
from gfe_assets.home import foreground_lock
from gfe_assets.locks import is_locked
from gfe_assets.progress import silent
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets.stages.load import load_release, loadable
from gfe_assets_tests.sites import Site, json_lines, kill_group, wait_until

Moment = Callable[[Site], bool]


def fetching(site: Site) -> bool:
    return any((site.data / "raw").glob("3590/.*.partial"))


def writing_rows(site: Site) -> bool:
    return any((site.data / "data" / "3590").glob(".csv.*.partial/all_features.3590.csv"))


def numbering(site: Site) -> bool:
    """The registry is in a transaction."""
    return any((site.data / "registry").glob("*-journal")) or any((site.data / "registry").glob("*-wal"))


def built(site: Site) -> bool:
    return (site.data / "data" / "3590" / "csv" / "manifest.json").exists()


def loading(site: Site) -> bool:
    """The working folder of the loading process is there."""
    return any((site.data / "graph").glob(".gfe.lbdb.loading-*"))


def copying(site: Site) -> bool:
    """The loading process has begun to make the new graph."""
    return any((site.data / "graph").glob(".gfe.lbdb.loading-*/graph"))


MOMENTS = {
    "while it fetches": (fetching, {"EXECUTION_FAILED", "BUILD_FAILED"}),
    "while it numbers features": (numbering, {"BUILD_FAILED"}),
    "while it writes rows": (writing_rows, {"BUILD_FAILED"}),
    "when it has built": (built, {"BUILD_FAILED", "LOAD_FAILED"}),
    "when it begins to load": (loading, {"LOAD_FAILED"}),
    "while it loads": (copying, {"LOAD_FAILED"}),
}
"""When → how to see that it is so, and the statuses that may follow: the next stage may begin before the signal comes."""


@pytest.fixture
def large(loaded: Site) -> Site:
    """3590 is large enough for every stage to take some time."""
    loaded.publish("3590", SimulatedDatabase.create(1000, seed=5, scale=0.3))
    return loaded


def readable_graph(site: Site) -> list[str]:
    """Names of the releases in the graph, all of them complete."""
    rows = site.ask("MATCH (r:Release) RETURN r.name, r.complete ORDER BY r.name")
    assert all(complete for _, complete in rows)
    return [name for name, _ in rows]


def nobody_holds_anything(site: Site) -> None:
    """No place in a pool and no lock is taken any more."""
    with site.instance() as instance:
        assert not is_locked(foreground_lock(instance, site.states()[-1].run_id))
        for pool in instance.event_log_storage.get_pool_limits():
            assert instance.event_log_storage.get_concurrency_info(pool.name).active_slot_count == 0
    for lock in (site.data / "graph").glob("*.lock"):
        assert not is_locked(lock)


def assert_next_run_makes_it_equal_to_a_clean_load(site: Site, release: str, folder: Path) -> None:
    ran = site.cli("run", release)
    assert ran.code == 0, ran.err
    assert site.status(release) == "LOAD_SUCCESS"
    assert site.leftovers() == []
    clean = Site(folder)
    clean.source = site.source
    clean.changed["registry_uri"] = f"sqlite:///{site.data / 'registry' / 'accessions.sqlite'}"
    for name in ("3580", release):
        clean.run(name, job="build_job")
        load_release(clean.settings, loadable(clean.settings, name), open_store(clean.settings), silent)
    with open_store(site.settings).reader() as one, open_store(clean.settings).reader() as other:
        assert same_graph(one, other) == []


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "statuses"), MOMENTS.values(), ids=list(MOMENTS))
def test_a_run_killed_at_any_moment_shows_where_and_the_next_one_repairs_everything(large, tmp_path, moment, statuses):
    before = large.graph_digest()
    with large.started("run", "3590") as process:
        wait_until(lambda: moment(large), process)
        kill_group(process)
    assert large.status("3590") in statuses
    [state] = [state for state in large.states() if state.release == "3590"]
    assert state.reason
    assert large.graph_digest() == before
    assert readable_graph(large) == ["3580"]
    nobody_holds_anything(large)
    assert_next_run_makes_it_equal_to_a_clean_load(large, "3590", tmp_path)


@pytest.mark.slow
def test_only_the_command_killed_while_its_loading_process_lives_ends_as_well(large, tmp_path):
    """The loading process notices that nobody waits for it, and lets go of the lock that it shares."""
    with large.started("run", "3590") as process:
        wait_until(lambda: copying(large), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_next_run_makes_it_equal_to_a_clean_load(large, "3590", tmp_path)


@pytest.mark.slow
def test_only_the_loading_process_killed_fails_the_load_and_leaves_the_graph(large):
    before = large.graph_digest()
    with large.started("run", "3590") as process:
        wait_until(lambda: copying(large), process)
        [loader] = children(process, "gfe_assets.graph.ladybug_load")
        subprocess.run(["kill", "-9", str(loader)], check=True)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert out.split()[:2] == ["3590", "LOAD_FAILED"]
    [line] = err.splitlines()
    assert "the loading process was ended by SIGKILL" in line
    assert large.graph_digest() == before
    assert large.cli("run", "3590").code == 0


def children(process: "subprocess.Popen[str]", words: str) -> list[int]:
    """Processes in the group of a process whose command line holds these words."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,pgid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines())
    return [int(pid) for pid, group, command in rows if int(group) == process.pid and words in command]


@pytest.mark.parametrize("moment", [built, loading], ids=["when it has built", "while it loads"])
@pytest.mark.slow
def test_ctrl_c_ends_the_run_as_aborted_with_one_line_and_runs_nothing_more(large, moment):
    """The signal comes to all processes of the terminal; 3600 was asked for, too, and is not begun."""
    large.publish("3600")
    before = large.graph_digest()
    with large.started("run", "3590", "3600", "--json") as process:
        wait_until(lambda: moment(large), process)
        kill_group(process, signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    [outcome] = json_lines(out)
    assert (outcome["release"], outcome["status"]) == ("3590", "ABORTED")
    assert err.splitlines() == ["gfe-assets: interrupted; nothing half-done counts, so the same command can be run again"]
    assert large.graph_digest() == before
    assert [(state.release, state.status.value) for state in large.states()] == [
        ("3580", "LOAD_SUCCESS"),
        ("3590", "ABORTED"),
    ]
    nobody_holds_anything(large)
    assert large.cli("run", "3590").code == 0


@pytest.mark.slow
def test_a_run_that_waits_for_a_killed_one_goes_on_at_once(large):
    with large.started("run", "3590") as first:
        wait_until(lambda: copying(large), first)
        kill_group(first, signal.SIGSTOP)  # it holds what it holds until it is killed
        with large.started("run", "3580") as second:
            assert "waiting for the load of release 3590" in second.stderr.readline()
            kill_group(first)
            out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert out.split()[:2] == ["3580", "LOAD_SUCCESS"]
    assert large.status("3590") == "LOAD_FAILED"
