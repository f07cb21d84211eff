"""Backfills in any order, through the queue and the daemon, end in the graph of loading release by release."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gfe_assets.graph.backup_folder import list_backups
from gfe_assets.graph.compare import same_graph
from gfe_assets.graph.open import open_store
from gfe_assets.hla.accessions import open_registry
from gfe_assets.partitions import add_releases
from gfe_assets.simulate import SimulatedDatabase
from gfe_assets_tests.sites import Site
from gfe_assets_tests.ui_server import Ui, running_ui

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

NAMES = ("390", "3100", "3110", "3120")
"""In release order, which is not that of their names as texts."""


def publish(site: Site) -> None:
    """Four simulated releases, each with alleles of its own: their numbers depend on who comes first."""
    database = SimulatedDatabase.create(60, scale=0.1)
    for number, name in enumerate(NAMES):
        site.publish(name, database)
        database = database.evolve(seed=number, new=8, renamed=1, resequenced=2, deleted=1)


def differences(first: Site, second: Site) -> list[str]:
    """What differs between the graphs and between the registries of two deployments."""
    with open_store(first.settings).reader() as one, open_store(second.settings).reader() as other:
        found = same_graph(one, other)
    texts = []
    for site in (first, second):
        path = site.folder / "accessions.csv"
        with open_registry(site.settings) as registry:
            registry.export(path)
        texts.append(path.read_text())
    return found if texts[0] == texts[1] else [*found, "the registries differ"]


@pytest.fixture(scope="module")
def numeric(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The releases loaded one after the other, in numeric order, by the command line."""
    site = Site(tmp_path_factory.mktemp("numeric"))
    publish(site)
    for name in NAMES:
        assert [outcome.status.value for outcome in site.run(name)] == ["LOAD_SUCCESS"]
    return site


@pytest.fixture
def served(tmp_path: Path, numeric: Site) -> Iterator[tuple[Ui, Site]]:
    """A new deployment on the same releases, whose partitions were added in a bad order, being served."""
    site = Site(tmp_path)
    shutil.copytree(numeric.source, site.source)
    site.home = site.data / "dagster"
    with site.instance() as instance:
        for name in ("3110", "390", "3120", "3100"):
            add_releases(instance, [name])
    with running_ui(tmp_path, GFE_BACKUP_AROUND_LOADS="true") as ui:
        yield ui, site


def statuses(runs: list[dict[str, Any]]) -> dict[str, str]:
    """Release → status; a backup is of no release."""
    return {run["tags"]["gfe/release"]: run["tags"]["gfe/status"] for run in runs if "gfe/release" in run["tags"]}


def test_the_command_line_runs_releases_in_numeric_order_however_they_are_named(numeric: Site, tmp_path: Path):
    site = Site(tmp_path)
    shutil.copytree(numeric.source, site.source)
    outcomes = site.run("3110", "3.9.0", "3120", "3100", "390")
    assert [outcome.release for outcome in outcomes] == list(NAMES)
    assert differences(site, numeric) == []


@pytest.mark.parametrize("job", [None, "release_job"])
def test_a_scrambled_backfill_gives_the_same_graph_and_the_same_accessions(
    served: tuple[Ui, Site], numeric: Site, job: str | None
):
    """Of assets (as the asset graph launches it) and of a job (as its page does); builds go side by side; a backup follows."""
    ui, site = served
    ui.backfill(["3120", "390", "3110", "3100"], job=job)
    runs = ui.finished_runs(len(NAMES))
    assert statuses(runs) == dict.fromkeys(NAMES, "LOAD_SUCCESS"), ui.tail()
    assert differences(site, numeric) == []
    with open_store(site.settings).reader() as reader:
        rows = reader.query("MATCH (:GFE)-[e:HAS_IPD_ALLELE]->(:IPD_Allele) RETURN e.releases").rows
    assert {name for (names,) in rows for name in names} == set(NAMES)
    ui.wait("a backup", lambda: list_backups(site.settings.backups_folder))
    [backup] = list_backups(site.settings.backups_folder)
    assert (backup.record()["reason"], backup.record()["releases"]) == ("after loads", list(NAMES))


def test_a_backfill_is_gone_on_with_after_what_it_has_done(served: tuple[Ui, Site]):
    """Releases that are built are not built again when `use_existing_build` is asked for, and the graph is the same."""
    ui, site = served
    ui.backfill(["390", "3110"], job="build_job")
    ui.finished_runs(2)
    with site.instance() as instance:
        known = {run.run_id for run in instance.get_runs()}
    config = {"resources": {"parameters": {"config": {"use_existing_build": True}}}}
    ui.backfill(["3110", "3100", "390", "3120"], job="release_job", config=config)
    runs = [run for run in ui.finished_runs(2 + len(NAMES)) if run["runId"] not in known]
    assert statuses(runs) == dict.fromkeys(NAMES, "LOAD_SUCCESS"), ui.tail()
    reused = {}
    with site.instance() as instance:
        for name in NAMES:
            wanted = dg.AssetRecordsFilter(dg.AssetKey("gfe_csvs"), asset_partitions=[name])
            record = instance.fetch_materializations(wanted, limit=1).records[0]
            reused[name] = record.asset_materialization.metadata["reused"].value
    assert reused == {"390": True, "3100": False, "3110": True, "3120": False}
    # 3.11.0 was numbered before 3.10.0 here, so the numbers are others; each release is whole all the same.
    with open_store(site.settings).reader() as reader:
        assert len(reader.query("MATCH (r:Release) WHERE r.complete RETURN r.name").rows) == len(NAMES)


# the official releases


@pytest.mark.shared
def test_a_scrambled_backfill_of_official_releases_gives_the_same_graph_and_reports_the_one_it_refuses(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The branch of 3.20.0 holds the file of 3.21.0: it is refused."""
    numeric, scrambled = (Site(tmp_path_factory.mktemp(name)) for name in ("numeric", "scrambled"))
    for site in (numeric, scrambled):
        site.changed["source_uri"] = (shared / "imgthla").as_uri()
        site.home = site.data / "dagster"
    names = ["3190", "3200", "3210", "3220"]
    expected = {"3190": "LOAD_SUCCESS", "3200": "EXECUTION_FAILED", "3210": "LOAD_SUCCESS", "3220": "LOAD_SUCCESS"}
    assert {outcome.release: outcome.status.value for outcome in numeric.run(*names)} == expected
    with scrambled.instance() as instance:
        add_releases(instance, names)
    with running_ui(scrambled.folder, GFE_SOURCE_URI=(shared / "imgthla").as_uri()) as ui:
        ui.backfill(["3220", "3200", "3190", "3210"], job="release_job")
        runs = ui.finished_runs(4, seconds=900)
    assert statuses(runs) == expected
    (refused,) = [run for run in runs if run["tags"]["gfe/release"] == "3200"]
    assert "3.21.0" in refused["tags"]["gfe/reason"]
    assert differences(scrambled, numeric) == []
