"""Building a release: its pinned files in, a folder of CSV files with a manifest out.

In: the order of the work: read entries, allocate accessions for the whole release in one transaction, write rows,
judge them, publish the folder. Out: how each is done (`flatfile.py`, `accessions.py`, `gfe.py`, `groups.py`,
`alignments.py`, `checks.py`), and where the files come from (`source/fetch.py`).

The folder appears whole: it is written beside its place under a temporary name and renamed, manifest included.
A bad entry does not stop a build: it is a line in `errors.<release>.ndjson` and counts against the tolerance.
"""

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from gfe_assets import __version__
from gfe_assets.errors import BuildError
from gfe_assets.hla.accession_files import write_accessions
from gfe_assets.hla.alignments import write_alignments
from gfe_assets.hla.checks import BuildUnderTest, run_checks
from gfe_assets.hla.csvs import CsvWriter
from gfe_assets.hla.features import KIR_LOCI, FeatureKey
from gfe_assets.hla.flatfile import BadEntry, Entry, Skipped, read_entries
from gfe_assets.hla.gfe import gfe_name, seq_id
from gfe_assets.hla.groups import Groups, parse_groups
from gfe_assets.hla.manifest import BuildParameters, CsvFile, Manifest, PartlyAnnotated, sha256_of, write_manifest
from gfe_assets.hla.records import CdsRow, FeatureRow, GfeSequence, GroupRow
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import Progress, silent
from gfe_assets.source.models import Commit

BEYOND_LIMIT = "beyond the limit"
_EVERY = 1000


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

    def allocate(self, features: Iterator[tuple[FeatureKey, str]], progress: Progress = silent) -> dict[tuple[FeatureKey, str], int]:
        """The accession of every distinct feature; new ones get the next number, in the order given."""

    def sequences(self, keys: Iterator[tuple[FeatureKey, int]]) -> dict[tuple[FeatureKey, int], str]:
        """The sequence of every accession asked for that exists."""


@dataclass
class _Collected:
    """What reading the flat files gave."""

    entries: list[Entry] = field(default_factory=list)
    bad: list[BadEntry] = field(default_factory=list)
    skipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


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
        BuildError: there is nothing to build, or no space to write it.
    """
    collected = _collect(given, parameters, progress)
    if not collected.entries:
        raise BuildError(
            f"release {given.release}: none of its {given.records} entries gives an allele of {', '.join(parameters.loci)}; "
            "check GFE_LOCI" + (f" (first problem: {_where(collected.bad[0])})" if collected.bad else "")
        )
    accessions = registry.allocate(_features(collected.entries), progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        manifest = _write(given, parameters, collected, accessions, partial, progress)
        manifest = manifest.model_copy(
            update={"checks": tuple(run_checks(BuildUnderTest(partial, manifest, given.records, tolerance, registry.sequences)))}
        )
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


def _collect(given: BuildInput, parameters: BuildParameters, progress: Progress) -> _Collected:
    """Read entries in file order, up to the limit; the second of two with one name or accession is a bad entry."""
    loci = (*parameters.loci, *(KIR_LOCI if parameters.kir else ()))
    collected = _Collected()
    seen: dict[str, int] = {}
    read = 0
    for path in given.flat_files:
        with path.open("rb") as stream:
            for item in read_entries(stream, f"release {given.release}, {path.name}", loci):
                read += 1
                if read % _EVERY == 0:
                    progress("entries read", read, given.records)
                if isinstance(item, Skipped):
                    collected.skipped[item.reason][item.locus] += 1
                elif isinstance(item, BadEntry):
                    collected.bad.append(item)
                elif twin := seen.get(item.acc_name) or seen.get(item.accession) or seen.get(item.hla_name):
                    message = f"its accession or allele name is that of the entry at line {twin} too"
                    collected.bad.append(BadEntry(item.accession, item.hla_name, item.line, message))
                else:
                    seen[item.accession] = seen[item.acc_name] = seen[item.hla_name] = item.line
                    collected.entries.append(item)
                    if len(collected.entries) == parameters.limit:
                        break
        if parameters.limit and len(collected.entries) >= parameters.limit:
            break
    progress("entries read", read, given.records)
    if read < given.records and parameters.limit:
        collected.skipped[BEYOND_LIMIT]["any"] = given.records - read
    return collected


def _features(entries: list[Entry]) -> Iterator[tuple[FeatureKey, str]]:
    for entry in entries:
        for part in entry.features:
            yield FeatureKey(entry.locus, part.term, part.rank), entry.bases(part.start, part.end)


def _write(
    given: BuildInput,
    parameters: BuildParameters,
    collected: _Collected,
    accessions: Mapping[tuple[FeatureKey, str], int],
    folder: Path,
    progress: Progress,
) -> Manifest:
    """Write every file of the build but the manifest, which is returned without checks."""
    with given.groups_file.open(encoding="utf-8") as lines:
        groups = parse_groups(lines, given.release)
    named = _write_alleles(given.release, collected.entries, accessions, groups, folder, progress)
    notes: list[str] = []
    if parameters.align:
        notes += write_alignments(folder, given.release, parameters.loci, given.msf_files, named.names, progress=progress)
    _write_errors(folder / f"errors.{given.release}.ndjson", given.release, collected.bad)
    write_accessions(
        sorted((key.locus, key.term, key.rank, number, sequence) for (key, sequence), number in accessions.items()),
        folder / f"accessions.{given.release}.parquet",
    )
    files = tuple(
        CsvFile(name=path.name, rows=named.rows.get(path.name, _lines(path)), size=path.stat().st_size, sha256=sha256_of(path))
        for path in sorted(folder.iterdir())
    )
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
            "features": len(accessions),
            **{file.name.split(".")[0]: file.rows for file in files if file.name.endswith(".csv")},
        },
        skipped={reason: dict(by_locus) for reason, by_locus in collected.skipped.items()},
        errors=len(collected.bad),
        without_cds=tuple(named.without_cds),
        partly_annotated=tuple(named.partly_annotated),
        notes=tuple(notes),
    )


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return lines - 1 if path.suffix == ".csv" else lines


@dataclass
class _Named:
    """The GFE name of every allele, and what was noticed while naming."""

    names: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    without_cds: list[str] = field(default_factory=list)
    partly_annotated: list[PartlyAnnotated] = field(default_factory=list)


def _write_alleles(
    release: str,
    entries: list[Entry],
    accessions: Mapping[tuple[FeatureKey, str], int],
    groups: Groups,
    folder: Path,
    progress: Progress,
) -> _Named:
    """Write sequences, features, groups and CDS, one allele after the other."""
    version = parse_release(release).version
    named = _Named()
    coding: set[tuple[str, str, str]] = set()
    with ExitStack() as stack:
        sequences, features, grouped, cds = writers = [
            stack.enter_context(CsvWriter(folder, name, release))
            for name in ("gfe_sequences", "all_features", "all_groups", "all_cds")
        ]
        for count, entry in enumerate(entries, 1):
            parts = [
                (part, sequence, accessions[FeatureKey(entry.locus, part.term, part.rank), sequence])
                for part in entry.features
                for sequence in (entry.bases(part.start, part.end),)
            ]
            name = gfe_name(entry.locus, ((part.term, part.rank, number) for part, _, number in parts))
            named.names[entry.hla_name] = name
            sequences.write([_sequence_row(entry, name, version)])
            features.write(
                FeatureRow(
                    number, "none", entry.locus, part.rank, sequence, part.term, name, entry.acc_name, entry.hla_name, version
                )
                for part, sequence, number in parts
            )
            grouped.write(
                GroupRow(name, entry.acc_name, entry.hla_name, ard_id, ard_name, entry.locus, version)
                for ard_name, ard_id in groups.of(entry.hla_name)
            )
            if entry.translation and entry.cds:
                bases = "".join(entry.bases(*span) for span in entry.cds)
                if (name, bases, entry.translation) not in coding:
                    coding.add((name, bases, entry.translation))
                    cds.write([CdsRow(name, seq_id(bases), bases, seq_id(entry.translation), entry.translation)])
            else:
                named.without_cds.append(entry.hla_name)
            if not _tiles(entry):
                named.partly_annotated.append(
                    PartlyAnnotated(
                        acc_name=entry.acc_name,
                        hla_name=entry.hla_name,
                        gfe_name=name,
                        spans=tuple((part.start, part.end) for part in entry.features),
                    )
                )
            if count % _EVERY == 0 or count == len(entries):
                progress("alleles written", count, len(entries))
        named.rows = {writer.path.name: writer.rows for writer in writers}
    return named


def _sequence_row(entry: Entry, name: str, version: str) -> GfeSequence:
    return GfeSequence(
        gfe_name=name,
        acc_name=entry.acc_name,
        locus=entry.locus,
        hla_name=entry.hla_name,
        seq_id=seq_id(entry.sequence),
        sequence=entry.sequence,
        length=len(entry.sequence),
        imgt_release=version,
    )


def _tiles(entry: Entry) -> bool:
    """Whether the features cover every base exactly once, in gene order."""
    next_base = 1
    for part in entry.features:
        if part.start != next_base:
            return False
        next_base = part.end + 1
    return next_base == len(entry.sequence) + 1


def _write_errors(path: Path, release: str, bad: list[BadEntry]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for item in bad:
            line = {
                "release": release,
                "entry": item.hla_name,
                "accession": item.accession,
                "line": item.line,
                "error": item.message,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _where(item: BadEntry) -> str:
    return f"line {item.line}, entry {item.accession} {item.hla_name}: {item.message}"
