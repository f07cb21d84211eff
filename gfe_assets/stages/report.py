"""The release report: one page a release, at the end of the flow; alerts link to it.

In: the asset `release_report`. Out: its words (`notify/release_report.py`), its pictures (`notify/plots.py`), what changed
between releases (`hla/changes.py`).
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import polars as pl

from gfe_assets.errors import BuildError, GfeError
from gfe_assets.facts import RunFacts, read_facts
from gfe_assets.graph.model import RELEASE
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla import changes
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.loaded import loaded_before, remember
from gfe_assets.hla.manifest import Manifest, read_manifest
from gfe_assets.hla.release import parse_release, sort_names
from gfe_assets.notify.models import ReleaseReport, ReleaseSize
from gfe_assets.notify.release_report import as_html_page, as_markdown, summary
from gfe_assets.settings import Settings
from gfe_assets.stages.build import build_lock, csv_folder
from gfe_assets.stages.common import Clock, newest, release_asset
from gfe_assets.stages.load import GRAPH_WRITER, gfe_graph, node_counts_of
from gfe_assets.stages.validate import graph_validation
from gfe_assets.statuses import REASON_TAG, Stage, status_of

_LABELS = ("GFE", "IPD_Allele", "IPD_Accession", "Sequence", "Feature")


@release_asset(
    Stage.VALIDATE,
    deps=[graph_validation],
    kinds={"markdown", "html"},
    pool=GRAPH_WRITER,
    description="One page a release: commit, counts before and after, what it changed against the release before it, checks, "
    "timings and pictures. Open `report`; the same page is an HTML file in the data folder.",
)
def release_report(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], graph: dg.ResourceParam[GraphStore]
) -> dg.MaterializeResult[None]:
    """Write the page of the partition's release."""
    clock, release = Clock(), context.partition_key
    try:
        with build_lock(settings, release, "report", shared=True):
            manifest, sequences = built(settings, release)
            report, pictures = describe(context.instance, settings, graph, manifest, sequences)
        page = write_page(settings, release, as_html_page(report, pictures))
        remember(loaded_folder(settings, release), manifest, sequences)
    except GfeError as error:
        reason = f"{error} (only the report is missing: the graph holds what the checks say)"
        context.instance.add_run_tags(context.run.run_id, {REASON_TAG: reason})
        raise dg.Failure(description=reason, allow_retries=False) from error
    changed = report.changes.counts if report.changes else {}
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(f"**{report.status}**, {sequences.height:,} alleles. {summary(report)}"),
            "report": dg.MetadataValue.md(as_markdown(report, pictures)),
            "page": dg.MetadataValue.path(page),
            "version": report.version,
            "commit": dg.MetadataValue.url(report.commit_url) if report.commit_url else report.commit_sha,
            "dagster/row_count": sequences.height,
            **changed,
            **clock.metadata(),
        }
    )


def built(settings: Settings, release: str) -> tuple[Manifest, pl.DataFrame]:
    """The manifest of a build, and what a report needs of its `gfe_sequences`.

    Raises:
        BuildError: its CSV files are gone or changed.
    """
    folder = csv_folder(settings, release)
    return read_manifest(folder, release), read_csv(folder, "gfe_sequences", release, columns=[*changes.COLUMNS, "locus"])


def loaded_folder(settings: Settings, release: str) -> Path:
    """Where it is kept what was loaded of a release: `<data>/data/<release>/loaded`."""
    return csv_folder(settings, release).with_name("loaded")


def describe(
    instance: dg.DagsterInstance, settings: Settings, graph: GraphStore, manifest: Manifest, sequences: pl.DataFrame
) -> tuple[ReleaseReport, dict[str, bytes]]:
    """The facts of a release as it was loaded last, and its pictures.

    Raises:
        BuildError: it was never loaded, or what was loaded of it before cannot be read.
        GraphError: the graph cannot be read.
    """
    with graph.reader() as reader:
        loaded = reader.read_nodes(RELEASE, ["name"])["name"].to_list()
    load = last_load(instance, manifest.release)
    run = instance.get_run_by_id(load.run_id)
    report = assemble(settings, manifest, sequences, read_facts(instance, load.run_id), loaded).model_copy(
        update={
            "status": status_of(run.status, dict(run.tags)).value if run else "",
            "run_id": load.run_id,
            "counts_before": load.before,
            "counts_after": load.after,
            **corrected(settings, manifest, sequences),
        }
    )
    return report, draw(settings, manifest, sequences, loaded)


def corrected(settings: Settings, manifest: Manifest, sequences: pl.DataFrame) -> dict[str, object]:
    """What the release changed against itself as it was loaded before.

    Raises:
        BuildError: what is kept of that cannot be read.
    """
    before = loaded_before(loaded_folder(settings, manifest.release), manifest)
    if before is None:
        return {}
    return {"corrected": before.commit, "correction": changes.release_changes(before.alleles, sequences)}


class LastLoad(NamedTuple):
    """The run that loaded a release last, and how many nodes of each label the graph had before and after."""

    run_id: str
    before: dict[str, int]
    after: dict[str, int]


def last_load(instance: dg.DagsterInstance, release: str) -> LastLoad:
    """Read from the newest materialization of the graph for this release.

    Raises:
        BuildError: there is none.
    """
    load = newest(instance, gfe_graph, release)
    if load is None:
        raise BuildError(f"release {release} was never loaded, so there is nothing to report: gfe-assets run {release}")
    counts = node_counts_of(load.materialization)
    return LastLoad(load.run_id, _shown(counts.before if counts else {}), _shown(counts.after if counts else {}))


def _shown(counts: dict[str, int]) -> dict[str, int]:
    return {label: counts[label] for label in _LABELS if label in counts}


def write_page(settings: Settings, release: str, html: str) -> Path:
    """Write the page whole or not at all; gives its place.

    Raises:
        BuildError: it cannot be written.
    """
    page = report_path(settings, release)
    temporary = page.with_name(f".{page.name}.partial")
    try:
        temporary.write_text(html, encoding="utf-8")
        temporary.replace(page)
    except OSError as error:
        raise BuildError(
            f"release {release}: its report cannot be written to {page} ({error.strerror or error}); make room and materialize "
            "release_report again"
        ) from error
    return page


def report_path(settings: Settings, release: str) -> Path:
    """Where the page of a release is: `<data>/data/<release>/report.<release>.html`."""
    return csv_folder(settings, release).parent / f"report.{release}.html"


def assemble(
    settings: Settings, manifest: Manifest, sequences: pl.DataFrame, facts: RunFacts, loaded: list[str]
) -> ReleaseReport:
    """The facts of a release; it is compared with the release before it in the graph, if its CSV files are there."""
    earlier = [name for name in sort_names(set(loaded)) if parse_release(name) < parse_release(manifest.release)]
    changed, compared_with = None, ""
    if earlier:
        with suppress(BuildError):
            before = read_csv(csv_folder(settings, earlier[-1]), "gfe_sequences", earlier[-1], columns=changes.COLUMNS)
            changed, compared_with = changes.release_changes(before, sequences), parse_release(earlier[-1]).version
    return ReleaseReport(
        release=manifest.release,
        version=manifest.version,
        commit_sha=manifest.commit.sha,
        commit_date=manifest.commit.date,
        commit_url=manifest.commit.url,
        commit_message=manifest.commit.message,
        checks=tuple(facts.checks),
        seconds=facts.seconds,
        ui_url=settings.ui_url,
        compared_with=compared_with,
        changes=changed,
        skipped=manifest.skipped,
        notes=manifest.notes,
        created_at=datetime.now(timezone.utc),
    )


def draw(settings: Settings, manifest: Manifest, sequences: pl.DataFrame, loaded: Iterable[str]) -> dict[str, bytes]:
    """The pictures of a release as PNG, by title."""
    from gfe_assets.notify import plots  # noqa: PLC0415 - matplotlib takes a fifth of the start of every command and run

    return {
        "Alleles per locus": plots.png(plots.alleles_figure(sequences, manifest.version)),
        "Features known, by GFE position": plots.png(plots.features_figure(sequences, manifest.version)),
        "Growth over the releases in the graph": plots.png(plots.growth_figure(sizes(settings, loaded))),
    }


def sizes(settings: Settings, loaded: Iterable[str]) -> list[ReleaseSize]:
    """How much each loaded release holds, of those whose manifests are there."""
    found = []
    for release in loaded:
        with suppress(BuildError):
            counts = read_manifest(csv_folder(settings, release), release).counts
            found.append(ReleaseSize(release, counts["alleles"], counts["gfes"], counts["features"]))
    return found
