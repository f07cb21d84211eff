"""Aligned sequences of alleles, from the MSF files of a release.

In: which file holds which alignment of a locus, and the rows of `all_alignments`. Out: the format of a file
(`msf.py`), GFE names (the caller maps them), fetching files (`source/`), judging the rows (`checks.py`).

An allele has up to three alignments: of its genomic sequence, of its coding sequence and of its protein, each in a file of
its locus, `msf/<gene>_{gen,nuc,prot}.msf`. Most alleles have no genomic one, and a missing file is noted, not fatal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gfe_assets.hla.csvs import CsvWriter
from gfe_assets.hla.gfe import seq_id
from gfe_assets.hla.msf import read_msf
from gfe_assets.hla.records import AlignmentRow
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import Progress, silent

LABELS = {"GEN_ALIGN": "gen", "NUC_ALIGN": "nuc", "PROT_ALIGN": "prot"}
"""Label of an alignment → how its file name ends, before `.msf`."""
OLDER_NAMES = {"DQA1": "DQA", "DPA1": "DPA", "DQB1": "DQB", "DPB1": "DPB", "DRB3": "DRB345", "DRB4": "DRB345", "DRB5": "DRB345"}
"""Gene → what files are called where there is none of its own: genomic ones of old releases (3.22.0 still), and `DRB345` for
nucleotides and proteins of these three in all releases."""
_PREFIX = "HLA-"


def msf_files(locus: str, available: Iterable[str]) -> dict[str, str]:
    """Label → path of the alignments of a locus, out of `available` (`msf/A_gen.msf`); labels without a file are absent."""
    paths = {PurePosixPath(path).name: path for path in available}
    gene = locus.removeprefix(_PREFIX)
    found = {}
    for label, ending in LABELS.items():
        for stem in (gene, OLDER_NAMES.get(gene, gene)):
            if path := paths.get(f"{stem}_{ending}.msf"):
                found[label] = path
                break
    return found


@dataclass
class AlignmentCounts:
    """What came of one alignment of one locus; an allele that was not aligned is normal, most have no genomic sequence."""

    written: int = 0
    not_in_build: int = 0
    not_aligned: int = 0


def alignment_rows(
    locus: str,
    label: str,
    sequences: Iterable[tuple[str, str]],
    *,
    gfe_names: Mapping[str, str],
    version: str,
    counts: AlignmentCounts,
) -> Iterator[AlignmentRow]:
    """Rows of those `sequences` (name without `HLA-`, aligned sequence) that are alleles of the build.

    `gfe_names` maps hla_name → gfe_name of the build; `version` is the dotted release. Alleles of other loci, with which
    a locus may share its file, are passed over. `counts` is complete when the rows are exhausted.
    """
    gene = f"{locus.removeprefix(_PREFIX)}*"
    counts.not_aligned = sum(name.startswith(f"{locus}*") for name in gfe_names)
    protein = label == "PROT_ALIGN"
    for name, sequence in sequences:
        if not name.startswith(gene):
            continue
        hla_name = _PREFIX + name
        if (gfe_name := gfe_names.get(hla_name)) is None:
            counts.not_in_build += 1
            continue
        counts.written += 1
        counts.not_aligned -= 1
        yield AlignmentRow(
            label=label,
            seq_id=seq_id(sequence),
            gfe_name=gfe_name,
            hla_name=hla_name,
            length=len(sequence),
            rank=0,
            imgt_release=version,
            bp_sequence="" if protein else sequence,
            aa_sequence=sequence if protein else "",
        )


class _Given(NamedTuple):
    """What all alignments of a build share."""

    release: str
    files: Mapping[str, Path]
    gfe_names: Mapping[str, str]


def write_alignments(
    folder: Path,
    release: str,
    loci: Iterable[str],
    files: Mapping[str, Path],
    gfe_names: Mapping[str, str],
    *,
    progress: Progress = silent,
) -> list[str]:
    """Write `all_alignments.<release>.csv` and return a sentence for every alignment that is missing or incomplete.

    `files` maps repository path (`msf/A_gen.msf`) → where it is kept. A locus without alleles in the build is not read.

    Raises:
        BuildError: a file cannot be understood; the message names release, file, line and allele.
    """
    given = _Given(release, files, gfe_names)
    notes: list[str] = []
    built = {name.partition("*")[0] for name in gfe_names}
    with CsvWriter(folder, "all_alignments", release) as writer:
        for locus in loci:
            if locus in built:
                notes += _write_locus(writer, locus, given)
                progress("alignments written", writer.rows, None)
    return notes


def _write_locus(writer: CsvWriter, locus: str, given: _Given) -> Iterator[str]:
    """Write the rows of a locus; yields notes."""
    version = parse_release(given.release).version
    found = msf_files(locus, given.files)
    for label, ending in LABELS.items():
        if label not in found:
            gene = locus.removeprefix(_PREFIX)
            yield f"{locus} {label}: release {given.release} has no msf/{gene}_{ending}.msf, so there are no such alignments"
            continue
        path = found[label]
        counts = AlignmentCounts()
        with given.files[path].open("rb") as lines:
            sequences = read_msf(lines, f"release {given.release}, {path}")
            rows = alignment_rows(locus, label, sequences, gfe_names=given.gfe_names, version=version, counts=counts)
            writer.write(rows)
        if counts.not_in_build or counts.not_aligned:
            yield (
                f"{locus} {label}: {counts.written:,} alleles; {counts.not_aligned:,} of the build are not in {path}, "
                f"{counts.not_in_build:,} of it are not in the build"
            )
