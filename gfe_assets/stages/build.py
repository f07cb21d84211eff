"""Stage build: the CSV files of a release, judged by every check that can keep bad data from the graph.

In: the asset `gfe_csvs` and its blocking checks. Out: how entries become rows (`hla/build.py`) and the rules
(`hla/checks.py`).
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from gfe_assets.errors import BuildError
from gfe_assets.hla.build import AccessionRegistry, BuildInput, build_release
from gfe_assets.hla.checks import CHECK_DESCRIPTIONS
from gfe_assets.hla.csvs import schema
from gfe_assets.hla.manifest import BuildParameters, Manifest, read_manifest, verify_files
from gfe_assets.hla.records import CSV_FILES
from gfe_assets.locks import locked
from gfe_assets.partitions import ONE_RUN_EACH, RELEASES
from gfe_assets.resources import LaunchParameters, ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.source.models import ALIGNMENTS_FOLDER
from gfe_assets.source.pinned import RawRelease
from gfe_assets.stages.common import OWNERS, check_result, check_specs, first_failure, stage, table
from gfe_assets.stages.raw import flat_files, pinned_release, raw_sequences
from gfe_assets.state import Stage, Status, mark


@dg.asset(
    partitions_def=RELEASES,
    deps=[raw_sequences],
    group_name="build",
    kinds={"csv", "python"},
    owners=OWNERS,
    backfill_policy=ONE_RUN_EACH,
    check_specs=check_specs("gfe_csvs", CHECK_DESCRIPTIONS),
    description="The release as CSV files: alleles with their GFE names, features, groups, coding sequences, alignments.",
)
def gfe_csvs(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    registry: dg.ResourceParam[AccessionRegistry],
    parameters: LaunchParameters,
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.MaterializeResult[None]]:
    """Build the partition's release from its pinned files."""
    release = context.partition_key
    with stage(context, Stage.BUILD, Status.BUILD_IN_PROGRESS, Status.BUILD_FAILED) as clock:
        wanted = parameters.build_parameters(settings)
        raw = pinned_release(context.instance, settings, release, align=wanted.align, kir=wanted.kir)
        folder = csv_folder(settings, release)
        with locked(folder.with_name(".build.lock"), f"build of release {release}", settings.graph_wait_seconds):
            existing = usable_build(folder, raw, wanted) if parameters.use_existing_build else None
            manifest = existing or build_release(
                build_input(raw), wanted, registry, folder, tolerance=settings.error_tolerance, progress=progress(context.log)
            )
        failure = first_failure(list(manifest.checks))
        status = Status.BUILD_FAILED if failure else Status.LOAD_SKIPPED if is_last(context) else Status.BUILD_SUCCESS
        mark(context.instance, context.run.run_id, status, reason=f"release {release}, {failure}" if failure else "")
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": manifest.counts["alleles"],
                "dagster/column_schema": column_schema("gfe_sequences"),
                **{name: count for name, count in manifest.counts.items() if name != "entries"},
                "reused": existing is not None,
                "folder": dg.MetadataValue.path(folder),
                "files": table(("file", "rows", "bytes"), [(f.name, f.rows, f.size) for f in manifest.files]),
                "skipped": table(
                    ("reason", "locus", "entries"),
                    [(reason, locus, n) for reason, loci in manifest.skipped.items() for locus, n in sorted(loci.items())],
                ),
                "errors": manifest.errors,
                "without_cds": len(manifest.without_cds),
                "partly_annotated": len(manifest.partly_annotated),
                "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in manifest.notes) or "none"),
                **clock.metadata(),
            },
            check_results=[check_result(check) for check in manifest.checks],
            data_version=dg.DataVersion(f"{manifest.fingerprint}:{manifest.code_version}"),
        )


def csv_folder(settings: Settings, release: str) -> Path:
    """Where the CSV files of a release are: `<data>/data/<release>/csv`."""
    return settings.data_folder / "data" / release / "csv"


def build_input(raw: RawRelease) -> BuildInput:
    """The pinned files as a build wants them."""
    return BuildInput(
        release=raw.release,
        version=raw.version,
        commit=raw.commit,
        fingerprint=raw.fingerprint,
        content_digest=raw.content_digest,
        flat_files=flat_files(raw),
        records=raw.records,
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
    columns = [dg.TableColumn(column, types[str(kind)]) for column, kind in schema(name).items()]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=[description]))
