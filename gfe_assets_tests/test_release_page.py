"""What the assets of a run show: the report of a release, the counts before and after, what a load must not take away."""

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.graph.integrity import counts_not_lower
from gfe_assets.stages.load import NODE_COUNTS
from gfe_assets_tests.sites import Site, entries, flat_file

PNG = b"\x89PNG\r\n\x1a\n"


def metadata(site: Site, asset: str, release: str) -> dict[str, object]:
    """The plain values of an asset's newest materialization for a release."""
    with site.instance() as instance:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[release])
        record = instance.fetch_materializations(wanted, limit=1).records[0]
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def nodes(shown: dict[str, object], label: str) -> tuple[int, int]:
    """How many nodes of a label a load found and left."""
    (row,) = [record.data for record in shown[NODE_COUNTS].records if record.data["label"] == label]
    return row["before"], row["after"]


@pytest.fixture(scope="module")
def after(_loaded_once: Site) -> Iterator[Site]:
    """3580 and 3590 are loaded."""
    folder = Path(tempfile.mkdtemp(prefix="gfe-after-", dir=_loaded_once.folder.parent))
    site = _loaded_once.copy_to(folder)
    site.publish("3590", Site.database.evolve(seed=2, new=4, renamed=1, resequenced=1, deleted=1))
    assert [outcome.status.value for outcome in site.run("3590")] == ["LOAD_SUCCESS"]
    yield site
    shutil.rmtree(folder)


def test_the_report_says_what_the_release_changed_with_counts_before_and_after(after: Site):
    page = str(metadata(after, "release_report", "3590")["report"])
    assert "# Release 3590 (3.59.0): LOAD\\_SUCCESS" in page
    # one that is deleted keeps an empty entry, as in the official files
    assert "Compared with 3.58.0, 4 alleles are new, 1 renamed, 1 re-sequenced, 1 deleted" in page
    counts = dict(re.findall(r"^\| (\S[^|]*?) \| ([\d,]+ \| [\d,]+ \| [^|]+) \|$", page, re.MULTILINE))
    assert counts["IPD Allele"] == "60 | 65 | +5"  # four new, one renamed; the deleted one stays with 3.58.0
    for name in ("HAS_FEATURE_equal_csv", "round_trip", "entry_lengths"):
        assert name.replace("_", "\\_") in page


def test_the_page_in_the_data_folder_and_the_one_in_the_ui_hold_the_three_pictures(after: Site):
    shown = metadata(after, "release_report", "3590")
    html = (after.data / "data" / "3590" / "report.3590.html").read_text()
    assert str(shown["page"]) == str(after.data / "data" / "3590" / "report.3590.html")
    for page in (html, str(shown["report"])):
        pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
        assert [base64.b64decode(picture)[:8] for picture in pictures] == [PNG] * 3


def test_the_load_says_how_many_nodes_there_were_before_and_after(after: Site):
    shown = metadata(after, "gfe_graph", "3590")
    assert shown["new_release"] is True
    assert (nodes(shown, "Release"), nodes(shown, "IPD_Allele")) == ((1, 2), (60, 65))


def test_a_build_shows_commit_sizes_and_what_was_skipped_and_why(after: Site):
    shown = metadata(after, "gfe_csvs", "3590")
    assert shown["version"] == "3.59.0"
    assert re.fullmatch("[0-9a-f]{40}", str(shown["commit"]))
    assert "| deleted | HLA-" in str(shown["skipped"])
    assert shown["size_mb"] > 0
    columns = {column.name: column for column in shown["dagster/column_schema"].columns}
    assert (columns["gfe_name"].type, columns["length"].type) == ("string", "int")
    assert all(column.description for column in columns.values())


@pytest.mark.parametrize("asset", ["raw_sequences", "gfe_csvs", "gfe_graph", "graph_validation", "release_report"])
def test_every_stage_shows_rows_seconds_and_peak_memory(after: Site, asset: str):
    shown = metadata(after, asset, "3580")
    assert shown["dagster/row_count"] > 0
    assert shown["seconds"] > 0
    assert 20 < shown["peak_memory_mb"] < 4000


def test_a_report_can_be_made_again_and_says_the_same(after: Site):
    before = str(metadata(after, "release_report", "3580")["report"])
    with after.instance() as instance:
        job = build_defs(after.settings).resolve_implicit_global_asset_job_def()
        again = job.execute_in_process(instance=instance, partition_key="3580", asset_selection=[dg.AssetKey("release_report")])
        assert again.success
    written = re.compile(r"- Written .*")
    assert (
        written.sub("", str(metadata(after, "release_report", "3580")["report"])).split("## Pictures")[0]
        == (written.sub("", before).split("## Pictures")[0])
    )


def test_the_report_of_a_correction_says_what_it_changed_of_the_same_release(loaded: Site):
    with_commit = loaded.states()[-1].commit_sha
    assert "What this commit corrected" not in str(metadata(loaded, "release_report", "3580")["report"])
    first, second = entries(flat_file(loaded.source / "3580"))[:2]
    name = re.search(r"DE   (HLA-\S+),", first)[1]

    def corrected(text: str) -> str:
        return text.replace(first, first.replace(f"DE   {name},", f"DE   {name}:77,")).replace(second, "")

    loaded.edit("3580", corrected)
    for _ in range(2):  # the second time nothing is new, and the page says the same
        [outcome] = loaded.run("3580")
        assert outcome.status.value == "LOAD_SUCCESS"
        page = str(metadata(loaded, "release_report", "3580")["report"])
        assert f"## What this commit corrected since {with_commit[:10]}" in page
        assert f"Compared with commit {with_commit[:10]}, which was loaded before, 0 alleles are new, 1 renamed" in page
        assert f"`{name}` is now `{name}:77`" in page
        assert "### Deleted alleles (1)" in page


def test_a_report_of_a_release_that_was_never_loaded_is_one_clear_sentence(loaded: Site):
    loaded.run("3590", job="build_job")
    with loaded.instance() as instance:
        job = build_defs(loaded.settings).resolve_implicit_global_asset_job_def()
        failed = job.execute_in_process(
            instance=instance,
            partition_key="3590",
            asset_selection=[dg.AssetKey("release_report")],
            raise_on_error=False,
        )
        description = failed.filter_events(lambda event: event.is_step_failure)[0].step_failure_data.user_failure_data
    assert "release 3590 was never loaded" in description.description


# counts after a load


def test_a_new_release_that_takes_nodes_away_is_found():
    finding = counts_not_lower({"GFE": 10, "Feature": 5}, {"GFE": 9, "Feature": 7}, new=True)
    assert not finding.passed
    assert finding.examples == ["GFE: 10 before, 9 after"]
    assert finding.numbers == {"lower": 1, "GFE_more": -1, "Feature_more": 2}


@pytest.mark.parametrize(
    ("after_load", "new"),
    [({"GFE": 10, "Feature": 5}, True), ({"GFE": 12, "Feature": 5}, True), ({"GFE": 9, "Feature": 5}, False)],
)
def test_as_many_or_more_nodes_or_a_release_that_was_there_are_well(after_load: dict[str, int], new: bool):
    assert counts_not_lower({"GFE": 10, "Feature": 5}, after_load, new=new).passed


def test_a_correction_may_take_nodes_away(loaded: Site):
    loaded.publish("3580", Site.database.evolve(seed=5, new=0, renamed=0, resequenced=0, deleted=0, removed=3))
    (outcome,) = loaded.run("3580")
    assert outcome.status.value == "LOAD_SUCCESS"
    shown = metadata(loaded, "gfe_graph", "3580")
    assert shown["new_release"] is False
    assert nodes(shown, "IPD_Allele") == (60, 57)
    assert outcome.checks["counts_not_lower"]
