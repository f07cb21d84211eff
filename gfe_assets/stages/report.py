"""The release report: one page a release, at the end of the flow; alerts link to it.

In: the asset `release_report`. Out: its words (`notify/release_report.py`), its pictures (`notify/plots.py`), what changed
between releases (`hla/changes.py`).
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import polars as pl

from gfe_assets.errors import BuildError
from gfe_assets.facts import RunFacts, read_facts
from gfe_assets.graph.model import RELEASE
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla import changes
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.manifest import Manifest, read_manifest
from gfe_assets.hla.release import parse_release, sort_names
from gfe_assets.notify import plots
from gfe_assets.notify.models import ReleaseReport
from gfe_assets.notify.release_report import as_html_page, as_markdown
from gfe_assets.partitions import ONE_RUN_EACH, RELEASES
from gfe_assets.settings import Settings
from gfe_assets.stages.build import csv_folder
from gfe_assets.stages.common import OWNERS
from gfe_assets.stages.load import GRAPH_WRITER
from gfe_assets.stages.validate import graph_validation
from gfe_assets.state import STATUS_TAG

_LABELS = ("GFE", "IPD_Allele", "IPD_Accession", "Sequence", "Feature")


@dg.asset(
    partitions_def=RELEASES,
    deps=[graph_validation],
    group_name="validate",
    kinds={"markdown", "html"},
    owners=OWNERS,
    backfill_policy=ONE_RUN_EACH,
    pool=GRAPH_WRITER,
    description="What the release is, what it changed against the one before it, its checks, timings and pictures.",
)
def release_report(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], graph: dg.ResourceParam[GraphStore]
) -> dg.MaterializeResult[None]:
    """Write the page of the partition's release."""
    release = context.partition_key
    folder = csv_folder(settings, release)
    manifest = read_manifest(folder, release)
    sequences = read_csv(folder, "gfe_sequences", release, columns=[*changes.COLUMNS, "locus"])
    with graph.reader() as reader:
        loaded = reader.read_nodes(RELEASE, ["name"])["name"].to_list()
        after = {label: int(reader.query(f"MATCH (n:{label}) RETURN count(n)").rows[0][0]) for label in _LABELS}
    run = context.instance.get_run_by_id(context.run.run_id) or context.run
    facts = read_facts(context.instance, run.run_id)
    report = assemble(settings, manifest, sequences, facts, loaded).model_copy(
        update={
            "status": run.tags.get(STATUS_TAG, ""),
            "run_id": run.run_id,
            "counts_after": after,
            "counts_before": {label: n - _net(facts, label) for label, n in after.items()},
        }
    )
    pictures = draw(settings, manifest, sequences, loaded)
    page = report_path(settings, release)
    temporary = page.with_name(f".{page.name}.partial")
    temporary.write_text(as_html_page(report, pictures), encoding="utf-8")
    temporary.replace(page)
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(as_markdown(report, pictures)),
            "page": dg.MetadataValue.path(page),
            "dagster/row_count": manifest.counts["alleles"],
            **({f"changes_{name}": count for name, count in report.changes.counts.items()} if report.changes else {}),
        }
    )


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
    return {
        "Alleles per locus": plots.png(plots.alleles_figure(sequences, manifest.version)),
        "Features known, by GFE position": plots.png(plots.features_figure(sequences, manifest.version)),
        "Growth over the releases in the graph": plots.png(plots.growth_figure(sizes(settings, loaded))),
    }


def sizes(settings: Settings, loaded: Iterable[str]) -> list[plots.ReleaseSize]:
    """How much each loaded release holds, of those whose manifests are there."""
    found = []
    for release in loaded:
        with suppress(BuildError):
            counts = read_manifest(csv_folder(settings, release), release).counts
            found.append(plots.ReleaseSize(release, counts["alleles"], counts["gfes"], counts["features"]))
    return found


def _net(facts: RunFacts, label: str) -> int:
    """Nodes of a label that the load of this run added, less those it took away."""
    return facts.counts.get(f"{label}_inserted", 0) - facts.counts.get(f"{label}_deleted", 0)
