"""Stage build: the CSV files of a release, judged by every check that can keep bad data from the graph.

In: the asset `gfe_csvs` and its blocking checks. Out: how entries become rows (`hla/build.py`) and the rules
(`hla/checks.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg

from gfe_assets.errors import BuildError
from gfe_assets.hla.build import AccessionRegistry, BuildInput, build_release, number_features
from gfe_assets.hla.checks import CHECK_DESCRIPTIONS
from gfe_assets.hla.csvs import schema
from gfe_assets.hla.manifest import BuildParameters, Manifest, read_manifest, verify_files
from gfe_assets.hla.records import COLUMNS, CSV_FILES
from gfe_assets.locks import locked
from gfe_assets.progress import silent
from gfe_assets.resources import LaunchParameters, ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.source.fetch import fetch
from gfe_assets.source.models import ALIGNMENTS_FOLDER, Source
from gfe_assets.source.pinned import RawRelease
from gfe_assets.stages.common import (
    check_result,
    check_specs,
    commit_link,
    first_failure,
    release_asset,
    stage,
    table,
)
from gfe_assets.stages.numbering import InTurn, Turn
from gfe_assets.stages.raw import flat_files, lengths_check, pinned_release, raw_sequences
from gfe_assets.stages.turn import wait_for_older
from gfe_assets.statuses import COMMIT_TAG, RELEASE_TAG, Stage, Status, mark


@release_asset(
    Stage.BUILD,
    deps=[raw_sequences],
    kinds={"csv", "python"},
    check_specs=check_specs("gfe_csvs", CHECK_DESCRIPTIONS),
    description="The release as CSV files: alleles with their GFE names, features, groups, coding sequences, alignments.",
)
def gfe_csvs(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    registry: dg.ResourceParam[AccessionRegistry],
    source: dg.ResourceParam[Source],
    parameters: LaunchParameters,
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.MaterializeResult[None]]:
    """Build the partition's release from its pinned files."""
    release = context.partition_key
    with stage(context, settings, Stage.BUILD, Status.BUILD_IN_PROGRESS, Status.BUILD_FAILED) as clock:
        wanted = parameters.build_parameters(settings)
        raw = pinned_release(context.instance, settings, release, align=wanted.align, kir=wanted.kir)
        context.instance.add_run_tags(context.run.run_id, {RELEASE_TAG: release, COMMIT_TAG: raw.commit.sha})
        folder = csv_folder(settings, release)
        turn = Turn(context.instance, context.run, gfe_csvs.key, context.log)
        in_turn = InTurn(registry, turn, number_ahead(settings, source, registry, wanted))
        with build_lock(settings, release, "build"):
            existing = usable_build(folder, raw, wanted) if parameters.use_existing_build else None
            manifest = existing or build_release(
                build_input(raw), wanted, in_turn, folder, tolerance=settings.error_tolerance, progress=progress(context.log)
            )
        turn.passed()
        failure = first_failure(list(manifest.checks))
        status = Status.BUILD_FAILED if failure else Status.LOAD_SKIPPED if is_last(context) else Status.BUILD_SUCCESS
        reason = f"release {release}, {failure}" if failure else ""
        mark(context.instance, context.run.run_id, status, reason=reason, counts=manifest.counts)
        yield dg.MaterializeResult(
            metadata={**shown(manifest, folder), "reused": existing is not None, **clock.metadata()},
            check_results=[check_result(check) for check in manifest.checks],
            data_version=dg.DataVersion(f"{manifest.fingerprint}:{manifest.code_version}"),
        )
    if not failure:
        wait_for_older(context.instance, context.run, settings.graph_wait_seconds, context.log)


def shown(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """What the UI shows of a build; numbers become trends over the releases."""
    skipped = [(reason, locus, n) for reason, loci in manifest.skipped.items() for locus, n in sorted(loci.items())]
    columns = {f"columns of {name}": column_schema(name) for name in CSV_FILES if name != "gfe_sequences"}
    return {
        "dagster/row_count": manifest.counts["alleles"],
        "dagster/column_schema": column_schema("gfe_sequences"),
        "version": manifest.version,
        "commit": commit_link(manifest.commit),
        **{name: count for name, count in manifest.counts.items() if name != "entries"},
        "skipped": table(("reason", "locus", "entries"), skipped) if skipped else "no entry",
        "skipped_entries": sum(n for _, _, n in skipped),
        "errors": manifest.errors,
        "without_cds": len(manifest.without_cds),
        "partly_annotated": len(manifest.partly_annotated),
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in manifest.notes) or "none"),
        "folder": dg.MetadataValue.path(folder),
        "files": table(("file", "rows", "bytes"), [(f.name, f.rows, f.size) for f in manifest.files]),
        "size_mb": round(sum(file.size for file in manifest.files) / 1e6, 1),
        **columns,
    }


def number_ahead(
    settings: Settings, source: Source, registry: AccessionRegistry, wanted: BuildParameters
) -> Callable[[str, Mapping[str, str]], None]:
    """How a build numbers the features of another release whose own run has not begun: as that run would."""

    def number(release: str, tags: Mapping[str, str]) -> None:
        sha = tags.get(COMMIT_TAG)
        commit = source.commit(release, sha) if sha else source.tip(release)
        raw = fetch(source, release, settings.data_folder, align=wanted.align, kir=wanted.kir, commit=commit)
        if lengths_check(raw, settings.error_tolerance, silent).passed:
            number_features(build_input(raw), wanted, registry)

    return number


def csv_folder(settings: Settings, release: str) -> Path:
    """Where the CSV files of a release are: `<data>/data/<release>/csv`."""
    return settings.data_folder / "data" / release / "csv"


def build_lock(settings: Settings, release: str, purpose: str, *, shared: bool = False) -> AbstractContextManager[int]:
    """Keep the CSV files of a release from being built anew by another run, or (`shared`) from changing while they are read.

    Raises:
        Busy: another run still built or read them after the time set.
    """
    lock = csv_folder(settings, release).with_name(".build.lock")
    return locked(lock, f"{purpose} of release {release}", settings.graph_wait_seconds, shared=shared)


def build_input(raw: RawRelease) -> BuildInput:
    """The pinned files as a build wants them."""
    return BuildInput(
        release=raw.release,
        version=raw.version,
        commit=raw.commit,
        fingerprint=raw.fingerprint,
        content_digest=raw.content_digest,
        flat_files=flat_files(raw),
        records=raw.records + raw.kir_records,
        groups_file=raw.groups_file,
        msf_files={f"{ALIGNMENTS_FOLDER}/{path.name}": path for path in raw.alignment_files},
    )


def usable_build(folder: Path, raw: RawRelease, parameters: BuildParameters) -> Manifest | None:
    """The build in `folder`, if it is whole and made from the same content with the same parameters and code."""
    try:
        manifest = read_manifest(folder, raw.release)
        verify_files(folder, manifest)
    except BuildError:
        return None
    return manifest if manifest.same_input(raw.fingerprint, parameters) and not manifest.failed else None


def is_last(context: dg.AssetExecutionContext) -> bool:
    """Whether the run ends with the build (skip-load)."""
    return context.run.job_name == "build_job"


def column_schema(name: str) -> dg.TableSchema:
    """Columns of a CSV file for the UI."""
    description = (CSV_FILES[name].__doc__ or "").strip()
    types = {"String": "string", "Int64": "int"}
    columns = [dg.TableColumn(column, types[str(kind)], description=COLUMNS[column]) for column, kind in schema(name).items()]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=[description]))
