"""Aligned sequences of alleles, from the MSF files of a release.

In: which file holds which alignment of a locus, reading one, and the rows of `all_alignments`. Out: GFE names (the
caller maps them), fetching files (`source/`), judging the rows (`checks.py`).

A file in GCG's multiple sequence format, shortened, with what is read from it on the right:

    !!NA_MULTIPLE_ALIGNMENT                                              anything may stand before the next line
       MSF: 13655  Type: N  Oct 06, 2015  15:39  Check: 0 ..             columns of the alignment
     Name: DRB3*01:01:02:01 Len: 13655  Check: 5423  Weight:  1.00       a sequence and its length with gaps
     Name: DRB3*02:02:01:01 Len: 13655  Check: 1177  Weight:  1.00
    //                                                                   end of the header
                                                                         blocks of 50 columns, a blank line between
    DRB3*01:01:02:01  .......... .......... GTGTACCGTT ACGGTAC..G ..........
    DRB3*02:02:01:01  .......... ....TCACAA TAGCTCCCCA ATTAAAGTGT TTTACATGCA

`.` (inside) and `~` (at the ends) are gaps and become `-`, as they do in the reference pipeline, which reads with Biopython.
IPD-IMGT/HLA writes only `.`, also for what is not sequenced. Letters are kept as they are, `X` in proteins is the stop
codon of a null allele. Two deviations of published files: a sequence may be announced shorter than the alignment (C*05:206
in the first C_gen.msf of 3.36.0) and is then filled with gaps at its end, as Biopython does; a sequence that is not as
long as its own `Len:` says is an error.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gfe_assets.errors import BuildError
from gfe_assets.hla.csvs import CsvWriter
from gfe_assets.hla.gfe import seq_id
from gfe_assets.hla.records import AlignmentRow
from gfe_assets.hla.release import parse_release
from gfe_assets.progress import Progress, silent

LABELS = {"GEN_ALIGN": "gen", "NUC_ALIGN": "nuc", "PROT_ALIGN": "prot"}
"""Label of an alignment → how its file name ends, before `.msf`."""
OLDER_NAMES = {"DQA1": "DQA", "DPA1": "DPA", "DQB1": "DQB", "DPB1": "DPB", "DRB3": "DRB345", "DRB4": "DRB345", "DRB5": "DRB345"}
"""Gene → what files are called where there is none of its own: genomic files until about 3.2x, all of DRB345 until today."""
_PREFIX = "HLA-"
_WIDTH = re.compile(rb"\bMSF:\s*(\d+)\b")
_NAME = re.compile(rb"\s*Name:\s+(\S+?)\s*Len:\s*(\d+)\b")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BLANKS = b" \t\r\n"
_ALLOWED = _LETTERS + b"*.~-" + _BLANKS
_GAPS = bytes.maketrans(b".~", b"--")


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


def read_msf(lines: Iterable[bytes], file: str) -> Iterator[tuple[str, str]]:
    """Allele name (`A*01:01:01:01`) and aligned sequence (gaps are `-`, all of one length) of an MSF file, in its order.

    `lines` is the file opened in binary mode, `file` what it is called in errors. Memory is about the size of the
    sequences: an MSF file gives all of them piece by piece.

    Raises:
        BuildError: the file is not MSF, is cut, or contradicts itself; the message names file, line and allele.
    """
    numbered = _Numbered(lines)
    width, lengths = _read_header(numbered, file)
    pieces = _read_blocks(numbered, lengths, file)
    for name, length in lengths.items():
        # taken out of the dictionary, so that what was handed on is not kept twice
        sequence = bytes(pieces.pop(name)).translate(_GAPS, _BLANKS)
        if len(sequence) != length:
            raise _problem(
                file,
                numbered.line,
                f"{_text(name)} has {len(sequence)} columns where its Len: says {length} when the file ends",
            )
        yield _text(name), sequence.ljust(width, b"-").decode("ascii")


class _Numbered:
    """Lines of a stream; `line` is the number of the last one given."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.line = 0

    def __iter__(self) -> Iterator[bytes]:
        for text in self._lines:
            self.line += 1
            yield text


def _read_header(lines: _Numbered, file: str) -> tuple[int, dict[bytes, int]]:
    """Columns of the alignment, and the length of every announced sequence; stops behind `//`."""
    width: int | None = None
    lengths: dict[bytes, int] = {}
    for line in lines:
        if line.strip() == b"//":
            break
        if width is None:
            width = int(match[1]) if (match := _WIDTH.search(line)) else None
        elif match := _NAME.match(line):
            name, length = match[1], int(match[2])
            if name in lengths:
                raise _problem(file, lines.line, f"{_text(name)} is announced twice")
            if length > width:
                raise _problem(
                    file, lines.line, f"{_text(name)} is announced with {length} columns in an alignment of {width} (MSF:)"
                )
            lengths[name] = length
        elif line.strip():
            raise _problem(file, lines.line, f"{_text(line.strip()[:60])!r} announces no sequence with Name: and Len:")
    else:
        raise _problem(file, lines.line, "the file ends inside the header" if lines.line else "the file is empty")
    if width is None or not lengths:
        raise _problem(
            file, lines.line, "the header announces no alignment (MSF:)" if width is None else "no Name: in the header"
        )
    return width, lengths


def _read_blocks(lines: _Numbered, announced: Iterable[bytes], file: str) -> dict[bytes, bytearray]:
    """What stands behind each announced name, blanks included."""
    pieces = {name: bytearray() for name in announced}
    for line in lines:
        name, *rest = line.split(None, 1) or (b"",)
        if (sequence := pieces.get(name)) is None:
            if line.translate(None, b"0123456789" + _BLANKS):
                raise _problem(file, lines.line, f"{_text(name[:60])!r} is not announced in the header")
            continue  # a blank line, or one with column numbers
        if rest:
            if strange := rest[0].translate(None, _ALLOWED):
                raise _problem(file, lines.line, f"{_text(name)} holds {_text(strange[:1])!r}, which is no residue and no gap")
            sequence += rest[0]
    return pieces


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")


def _problem(file: str, line: int, problem: str) -> BuildError:
    return BuildError(f"{file}, line {line}: {problem}; fetch the release again, or build it without alignments")


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
