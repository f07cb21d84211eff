"""Building a release: its pinned files in, a folder of CSV files with a manifest out.

In: the order of the work: collect entries, allocate accessions for the whole release in one transaction, write rows,
judge them, publish the folder. Out: how each is done (`collect.py`, `accessions.py`, `alleles.py`, `groups.py`,
`alignments.py`, `checks.py`), and where the files come from (`source/fetch.py`).

The folder appears whole: it is written beside its place under a temporary name and renamed, manifest included.
A bad entry does not stop a build: it is a line in `errors.<release>.ndjson` and counts against the tolerance.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from gfe_assets import __version__
from gfe_assets.errors import BuildError, RegistryError
from gfe_assets.hla.accession_files import write_accessions
from gfe_assets.hla.accession_rows import accession_rows
from gfe_assets.hla.alignments import write_alignments
from gfe_assets.hla.alleles import Accessions, Named, write_alleles
from gfe_assets.hla.checks import BuildUnderTest, run_checks
from gfe_assets.hla.collect import Collected, collect, features_of, write_errors
from gfe_assets.hla.features import KIR_LOCI, FeatureKey
from gfe_assets.hla.groups import Groups, parse_groups
from gfe_assets.hla.manifest import BuildParameters, CsvFile, Manifest, sha256_of, write_manifest
from gfe_assets.progress import Progress, silent
from gfe_assets.source.models import Commit


@dataclass(frozen=True)
class BuildInput:
    """The pinned files of a release. `records` is the number of entries that the raw stage counted in `flat_files`."""

    release: str
    version: str
    commit: Commit
    fingerprint: str
    content_digest: str
    flat_files: tuple[Path, ...]
    records: int
    groups_file: Path
    msf_files: Mapping[str, Path]


class AccessionRegistry(Protocol):
    """What a build asks of the registry, see `accessions.py`."""

    def allocate(
        self, features: Iterator[tuple[FeatureKey, str]], progress: Progress = silent
    ) -> dict[tuple[FeatureKey, str], int]:
        """The accession of every distinct feature; new ones get the next number, in the order given."""

    def sequences(self, keys: Iterator[tuple[FeatureKey, int]]) -> dict[tuple[FeatureKey, int], str]:
        """The sequence of every accession asked for that exists."""


def build_release(
    given: BuildInput,
    parameters: BuildParameters,
    registry: AccessionRegistry,
    folder: Path,
    *,
    tolerance: int = 0,
    progress: Progress = silent,
) -> Manifest:
    """Build `given` into `folder` and return its manifest, which holds the verdict of every build check.

    Raises:
        FlatFileError: the flat file as a whole cannot be read.
        RegistryError: the registry refuses.
        BuildError: there is nothing to build, or no space to write it, or a pinned file cannot be used.
    """
    collected, groups = _read(given, parameters, progress)
    accessions = registry.allocate(features_of(collected.entries), progress)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        partial.mkdir()
        manifest = _write(given, parameters, collected, groups, accessions, partial, progress)
        checks = run_checks(BuildUnderTest(partial, manifest, given.records, tolerance, registry.sequences))
        manifest = manifest.model_copy(update={"checks": tuple(checks)})
        write_manifest(partial, manifest)
        _publish(partial, folder)
    except OSError as error:
        raise BuildError(
            f"release {given.release}: its CSV files cannot be written to {folder.parent} ({error.strerror or error}); "
            "make room or choose another GFE_DATA_URI and run it again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def number_features(
    given: BuildInput, parameters: BuildParameters, registry: AccessionRegistry, progress: Progress = silent
) -> None:
    """Give the features of `given` the accessions that its build will find, without building it.

    Raises:
        FlatFileError: the flat file as a whole cannot be read.
        RegistryError: the registry refuses.
        BuildError: there is nothing to build, or a pinned file cannot be used.
    """
    collected, _groups = _read(given, parameters, progress)
    registry.allocate(features_of(collected.entries), progress)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed builds of this folder left; the caller is the only builder of it."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _publish(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place; a crash between the two renames leaves no build rather than half of one."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _read(given: BuildInput, parameters: BuildParameters, progress: Progress) -> tuple[Collected, Groups]:
    """Everything that is read before the first accession is given."""
    loci = (*parameters.loci, *(KIR_LOCI if parameters.kir else ()))
    try:
        collected = collect(given.flat_files, given.release, loci, parameters.limit, given.records, progress)
        with given.groups_file.open(encoding="utf-8") as lines:
            groups = parse_groups(lines, given.release)
    except OSError as error:
        raise BuildError(
            f"release {given.release}: its pinned file {error.filename or 'of this release'} cannot be read "
            f"({error.strerror or error}); run the release again, which fetches what is missing"
        ) from error
    if not collected.entries:
        raise BuildError(
            f"release {given.release}: none of its {given.records} entries gives an allele of {', '.join(parameters.loci)}; "
            "check GFE_LOCI" + (f" (first problem: {collected.rejected[0]})" if collected.rejected else "")
        )
    return collected, groups


def _write(
    given: BuildInput,
    parameters: BuildParameters,
    collected: Collected,
    groups: Groups,
    accessions: Accessions,
    folder: Path,
    progress: Progress,
) -> Manifest:
    """Write every file of the build but the manifest, which is returned without checks."""
    release = given.release
    named = write_alleles(release, collected.entries, accessions, groups, folder, progress)
    notes = list(named.notes)
    if parameters.align:
        notes += write_alignments(folder, release, parameters.loci, given.msf_files, named.names, progress=progress)
    errors = folder / f"errors.{release}.ndjson"
    write_errors(errors, release, collected.rejected)
    used = folder / f"accessions.{release}.parquet"
    try:
        write_accessions(accession_rows(accessions), used)
    except RegistryError as error:  # nothing is wrong with the registry; this is a file like the others
        raise BuildError(f"release {release}: {error}; make room or choose another GFE_DATA_URI and run it again") from error
    rows = {**named.rows, errors.name: len(collected.rejected), used.name: len(accessions)}
    return _manifest(given, parameters, collected, named, _listed(folder, rows), len(accessions), notes)


def _listed(folder: Path, rows: Mapping[str, int]) -> tuple[CsvFile, ...]:
    """The files of a build; rows that nobody counted are lines."""
    return tuple(
        CsvFile(
            name=path.name,
            rows=rows[path.name] if path.name in rows else _lines(path) - 1,
            size=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(folder.iterdir())
    )


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _manifest(
    given: BuildInput,
    parameters: BuildParameters,
    collected: Collected,
    named: Named,
    files: tuple[CsvFile, ...],
    features: int,
    notes: list[str],
) -> Manifest:
    """The manifest of a build, without the verdicts of its checks; `features` is the number of distinct ones."""
    return Manifest(
        release=given.release,
        version=given.version,
        commit=given.commit,
        fingerprint=given.fingerprint,
        content_digest=given.content_digest,
        parameters=parameters,
        code_version=__version__,
        built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        files=files,
        counts={
            "entries": given.records,
            "alleles": len(collected.entries),
            "gfes": len(set(named.names.values())),
            "features": features,
            **{file.name.split(".")[0]: file.rows for file in files if file.name.endswith(".csv")},
        },
        skipped={reason: dict(by_locus) for reason, by_locus in collected.skipped.items()},
        errors=len(collected.rejected),
        without_cds=tuple(named.without_cds),
        partly_annotated=tuple(named.partly_annotated),
        notes=tuple(notes),
    )
