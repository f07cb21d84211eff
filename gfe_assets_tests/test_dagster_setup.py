"""What Dagster is told: it loads without touching anything, says what waits for what, and Dagster's own tools accept it.

(`test_definitions.py` sees to it that people find everything described.)
"""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
import yaml

from gfe_assets.definitions import build_defs
from gfe_assets.settings import Settings
from gfe_assets.stages.load import GRAPH_WRITER

PROJECT = Path(__file__).parents[1]

# Loads the definitions in a process in which opening a connection, or a file for writing, is an error.
QUIET_LOADING = """
import sys

def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "os.mkdir", "os.rename"):
        raise RuntimeError(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise RuntimeError(f"{event} {arguments}")

import dagster, ladybug, matplotlib.pyplot, pyarrow  # what these do at their import is theirs
sys.addaudithook(hook)
from gfe_assets.definitions import build_defs, defs
from gfe_assets.settings import Settings
build_defs(Settings.load()).resolve_all_job_defs()
defs()
print(sorted(name for name in sys.modules if name.startswith("gfe_assets.")).__len__())
"""


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs(Settings(_env_file=None, source_uri="file:///nowhere/source", data_uri="/nowhere/data"))


def test_they_load_without_touching_disk_network_or_other_processes(tmp_path):
    """For a source, a graph server and a registry server that do not exist."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
    environment |= {
        "GFE_SOURCE_URI": "github://no/where",
        "GFE_GRAPH_URI": "neo4j://graph.invalid",
        "GFE_REGISTRY_URI": "postgresql://registry.invalid/x",
        "GFE_DATA_URI": str(tmp_path / "data"),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PROJECT),
    }
    done = subprocess.run(
        [sys.executable, "-c", QUIET_LOADING], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "data").exists()


def test_the_four_stages_depend_on_each_other_in_order(definitions):
    graph = definitions.resolve_asset_graph()
    order = ["raw_sequences", "gfe_csvs", "gfe_graph", "graph_validation"]
    for before, after in pairwise(order):
        assert dg.AssetKey(before) in graph.get(dg.AssetKey(after)).parent_keys


def test_every_check_blocks_but_the_md5_list_which_official_commits_forget(definitions):
    graph = definitions.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    assert len(specs) >= 26
    for spec in specs:
        assert spec.blocking or spec.name == "md5_list", spec.name


def test_passwords_and_tokens_appear_in_no_configuration_that_the_ui_shows():
    secret = "do-not-show-me"
    settings = Settings(_env_file=None, graph_password=secret, github_token=secret, smtp_password=secret)
    repository = build_defs(settings).get_repository_def()
    for resource in repository.get_top_level_resources().values():
        assert secret not in repr(resource.config_schema.as_field().__dict__)
        assert secret not in (resource.description or "")


def test_the_pool_of_the_graph_writer_has_room_for_one(tmp_path):
    """With the project's dagster.yaml: the second of two steps that ask for a place gets none."""
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        storage.initialize_concurrency_limit_to_default(GRAPH_WRITER)
        assert storage.claim_concurrency_slot(GRAPH_WRITER, "one run", "gfe_graph").is_claimed
        assert not storage.claim_concurrency_slot(GRAPH_WRITER, "another run", "gfe_graph").is_claimed
        storage.free_concurrency_slots_for_run("one run")
        assert storage.claim_concurrency_slot(GRAPH_WRITER, "another run", "gfe_graph").is_claimed


def test_a_killed_run_gives_its_place_in_the_pool_back(tmp_path):
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert 0 < instance.run_monitoring_settings["free_slots_after_run_end_seconds"] <= 300


def test_whatever_writes_the_graph_or_reads_what_was_just_written_is_in_the_pool(definitions):
    pools = {key.to_user_string(): node.pools for key, node in nodes(definitions).items()}
    assert pools["gfe_graph"] == pools["graph_validation"] == {GRAPH_WRITER}
    assert pools["raw_sequences"] == pools["gfe_csvs"] == set()


def nodes(definitions: dg.Definitions) -> dict[dg.AssetKey, object]:
    graph = definitions.resolve_asset_graph()
    return {key: graph.get(key) for key in graph.get_all_asset_keys()}


def test_a_backfill_starts_one_run_a_release(definitions):
    for key, node in nodes(definitions).items():
        if node.is_partitioned and node.is_materializable:
            assert node.backfill_policy == dg.BackfillPolicy.multi_run(1), key


@pytest.mark.slow
def test_dagsters_own_validation_accepts_the_workspace(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GFE_", "DAGSTER_"))}
    environment |= {"DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "default"}
    dagster = Path(sys.executable).with_name("dagster")
    done = subprocess.run(
        [str(dagster), "definitions", "validate", "--workspace", str(PROJECT / "workspace.yaml"), "--log-format", "json"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line)["event"] for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    assert any("gfe_assets" in line and "success" in line.lower() for line in said)


def test_the_workspace_names_the_definitions():
    [place] = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    assert place["python_module"]["module_name"] == "gfe_assets.definitions"
