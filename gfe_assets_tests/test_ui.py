"""A curator's morning in the real Dagster UI, in a real browser. Screenshots are written to `screenshots/`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gfe_assets.simulate import correct_demo, demo_releases
from gfe_assets_tests.browser import NoBrowser, Page, chromium
from gfe_assets_tests.ui_server import Ui, running_ui

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

STAGES = ("raw", "build", "load", "validate")
ASSETS = ("raw_sequences", "gfe_csvs", "gfe_graph", "graph_validation", "release_report")
RELEASES = ("3580", "3590", "3600")
SENSOR = "imgt_hla_commits"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The demo's simulated repository, served as `gfe-assets ui` does, looking for commits as often as it may."""
    folder = tmp_path_factory.mktemp("ui")
    demo_releases(folder / "source", align=False)
    with running_ui(folder, GFE_POLL_SECONDS="30") as ui:
        yield ui


@pytest.fixture(scope="module")
def page(served: Ui) -> Iterator[Page]:
    try:
        with chromium(served.url) as page:
            yield page
    except NoBrowser as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def statuses(runs: list[dict[str, Any]]) -> dict[str, str]:
    return {run["tags"]["gfe/release"]: run["tags"].get("gfe/status", "") for run in runs}


def launch(page: Page, *releases: str) -> None:
    """Launch releases from the page of the job, in its dialog."""
    page.open("/locations/gfe_assets/jobs/release_job").press("Materialize all")
    page.click("//*[contains(text(), 'Select a partition')]")
    page.choose(*releases)


def test_a_curator_sees_runs_and_checks_releases_and_lets_the_sensor_do_it(served: Ui, page: Page):
    see_the_flow(page)
    materialize_one_release(served, page)
    read_what_it_shows(page)
    backfill_three(served, page)
    let_the_sensor_see_a_correction(served, page)
    read_checks_and_report(page)
    read_where_everything_stands(page)


def see_the_flow(page: Page) -> None:
    """The asset graph: four groups that open into the assets, each with its name."""
    page.open("/asset-groups")
    for stage in STAGES:
        page.wait(stage, lambda stage=stage: page.shown(f"//*[@data-tooltip='{stage}']"))
    page.shoot("01-flow")
    page.click("//*[@data-tooltip='raw']")
    page.text("raw_sequences")
    expanded = page.driver.current_url.partition("expanded=")[2]  # the UI keeps in its address which groups are open
    assert "raw" in expanded
    page.open(f"/asset-groups?expanded={'%2C'.join(expanded.replace('raw', stage) for stage in STAGES)}")
    for asset in (*ASSETS, "release_commits", "graph_backup", "execution_state"):
        page.text(asset)
    page.shoot("02-asset-graph")


def materialize_one_release(ui: Ui, page: Page) -> None:
    launch(page, "3580")
    page.shoot("03-launch-one")
    page.press("Launch 1 run")
    (run,) = ui.finished_runs(1)
    assert statuses([run]) == {"3580": "LOAD_SUCCESS"}, ui.tail()
    assert run["jobName"] == "release_job"
    page.open("/runs")
    page.text("LOAD_SUCCESS")
    page.shoot("04-runs")
    page.open(f"/runs/{run['runId']}")
    page.text("release_report")
    page.shoot("05-run")


def read_what_it_shows(page: Page) -> None:
    """Each asset has its description, and the metadata that people look for."""
    expected = {
        "raw_sequences": ("Flat file, G groups", "3.58.0", "hla.dat.zip"),
        "gfe_csvs": ("The release as CSV files", "locus not asked for", "Name of the GFE", "Source code"),
        "gfe_graph": ("The graph of GFEs", "HAS_FEATURE", "before"),
        "graph_validation": ("The verdict on the graph", "checks_failed"),
        "release_report": ("One page a release", "There is no"),
    }
    for number, asset in enumerate(ASSETS):
        page.open(f"/assets/{asset}?view=overview")
        for text in expected[asset]:
            page.text(text)
        page.text("immunogenetics")
        page.shoot(f"{6 + number:02}-{asset}", height=2200)


def backfill_three(ui: Ui, page: Page) -> None:
    launch(page, *reversed(RELEASES))
    page.shoot("11-launch-backfill")
    page.press("Launch")
    runs = ui.finished_runs(4)
    assert statuses(runs[1:]) == dict.fromkeys(RELEASES, "LOAD_SUCCESS"), ui.tail()
    page.open("/runs")
    page.text("3 partitions")
    page.shoot("12-backfill")
    page.open("/assets/gfe_csvs?view=overview")
    page.press("Plots")
    page.text("alleles")
    page.shoot("13-trends", height=2200)


def let_the_sensor_see_a_correction(ui: Ui, page: Page) -> None:
    """Switched on in the UI; its first look records what is there, and a later commit is run."""
    page.open(f"/locations/gfe_assets/sensors/{SENSOR}")
    page.text("Looks for new commits")
    page.click("//label[.//input[@type='checkbox']] | //*[@role='switch']")
    ticks = """{ sensorOrError(sensorSelector: {repositoryName: "__repository__", repositoryLocationName: "gfe_assets",
                 sensorName: "%s"}) { ... on Sensor { sensorState { ticks(limit: 5) { status skipReason } } } } }"""
    ui.wait("a first look", lambda: ui.ask(ticks % SENSOR)["sensorOrError"]["sensorState"]["ticks"])
    before = len(ui.runs())
    correct_demo(ui.source, align=False)
    runs = ui.finished_runs(before + 1)
    (new,) = runs[before:]
    assert (new["tags"]["gfe/release"], new["tags"]["gfe/trigger"]) == ("3590", "commit")
    assert statuses([new]) == {"3590": "LOAD_SUCCESS"}, ui.tail()
    page.open(f"/locations/gfe_assets/sensors/{SENSOR}")
    page.text("1 run")
    page.shoot("14-sensor")
    page.open("/automation")
    page.text("commit_watchdog")
    page.shoot("15-automation")


def read_checks_and_report(page: Page) -> None:
    page.open("/assets/graph_validation?view=checks")
    page.text("features_make_sequences").click()
    page.text("GFEs are spelled by their features")
    page.text("Passed")
    page.text("3590")
    page.shoot("16-checks")
    page.open("/assets/release_report?view=partitions&partition=3590")
    page.text("Compared with 3.58.0")
    page.shoot("17-report-summary")
    page.click("//*[contains(text(), 'Show Markdown')]")
    page.text("What changed")
    page.text("Renamed alleles")
    pictures = page.wait("three pictures", lambda: _drawn(page) == 3)
    assert pictures
    page.shoot("18-report", height=2600)
    page.driver.execute_script("arguments[0].scrollIntoView()", page.shown("//img")[0])
    page.shoot("19-report-pictures", height=2600)


def _drawn(page: Page) -> int:
    """How many pictures the browser could draw."""
    images = "[...document.querySelectorAll('img')].filter(i => i.src.startsWith('data:image/png') && i.naturalWidth > 400)"
    return int(page.driver.execute_script(f"return {images}.length"))


def read_where_everything_stands(page: Page) -> None:
    page.open("/assets/execution_state?view=overview")
    page.text("LOAD_SUCCESS")
    page.shoot("20-execution-state", height=1600)
    page.open("/assets/release_commits?view=overview")
    page.text("commit_message")
    page.shoot("21-commits", height=1600)
    page.open("/jobs")
    page.text("backup_job")
    page.shoot("22-jobs")
    page.open("/locations/gfe_assets/resources").text("registry").click()
    page.text("The accession registry")
    page.shoot("23-resources")


def test_the_screenshots_are_where_git_does_not_look():
    assert "/screenshots/" in (Path(__file__).parents[1] / ".gitignore").read_text().splitlines()
