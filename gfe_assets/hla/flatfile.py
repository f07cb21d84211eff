"""Reading `hla.dat`: EMBL-like text in, entries out.

In: a binary stream of the flat file; `Entry` for each entry that can be used, `Skipped` for one that is
not for us, `BadEntry` for one that contradicts itself. Out: reading one entry (`entries.py`, `feature_table.py`),
numbering features (`accessions.py`), naming GFEs (`gfe.py`), where the file comes from (`source/`).

An entry, shortened, with what is read from it on the right:

    ID   HLA00001; SV 4; standard; DNA; HUM; 3503 BP.     accession, length
    SV   HLA00001.4                                       accession with sequence version
    DE   HLA-A*01:01:01:01, Human MHC Class I sequence    allele name; the locus is what stands before `*`
    CC   IPD-IMGT/HLA Release Version 3.22.0              (the raw stage compares it with the release)
    FT   CDS             join(301..373,504..773,          coding sequence, may go on in the next line;
    FT                   1015..1290)                      `<` and `>` mark partial ends and are ignored
    FT                   /translation="MAVMAPRTLL         protein, over many lines
    FT                   LLLSGALALTQTWA"
    FT   UTR             1..300                           5'UTR before the first exon, 3'UTR after the last
    FT   exon            301..373
    FT                   /number="1"                      rank; KIR has fused introns, "3/4": the first counts
    SQ   Sequence 3503 BP; 666 A; 1012 C; 1070 G; 755 T; 0 other;
         caggagcaga ggggtcaggg cgaagtccca gggccccagg cgtggctctc agggtctcag        60
    //

The layout is that of the EMBL user manual, section 3, as IPD-IMGT/HLA uses it. Positions count from 1
and include both ends. Line numbers count from 1 in the whole file. Lines may end with CR LF.
"""

import re
from collections.abc import Collection, Iterator
from typing import BinaryIO

from gfe_assets.errors import FlatFileError
from gfe_assets.hla.entries import (
    DELETED,
    OTHER_LOCUS,
    SHORTEST_SEQUENCE,
    BadEntry,
    Entry,
    Skipped,
    length_problem,
    name_of,
    parse_entry,
)
from gfe_assets.hla.feature_table import Feature

__all__ = [
    "DELETED",
    "OTHER_LOCUS",
    "SHORTEST_SEQUENCE",
    "BadEntry",
    "Entry",
    "Feature",
    "Skipped",
    "length_problem",
    "parse_entry",
    "read_entries",
    "read_records",
]

LARGEST_ENTRY = 32 * 1024 * 1024
"""Bytes; real entries end at about 50 kB. More without an end of entry is not a flat file."""
_BLOCK = 4 * 1024 * 1024
_END = re.compile(rb"//[ \t]*\r?\n")


def read_entries(stream: BinaryIO, file: str, loci: Collection[str]) -> Iterator[Entry | Skipped | BadEntry]:
    """Read the entries of a flat file, in file order; exactly one item for each entry of the file.

    `loci` are the loci asked for (`HLA-A`, …, all known to `features.structure`). `file` is what messages call the file.

    Raises:
        FlatFileError: the file as a whole cannot be read, see `read_records`.
    """
    for line, record in read_records(stream, file):
        yield parse_entry(record, line, loci)


def read_records(stream: BinaryIO, file: str) -> Iterator[tuple[int, bytes]]:
    """Cut a flat file into entries: (line number of its first line, its bytes without the `//`).

    Memory is bounded by one block and one entry.

    Raises:
        FlatFileError: the file is empty, or ends inside an entry, or an entry does not end.
    """
    buffer, line, first = b"", 1, True
    while block := stream.read(_BLOCK):
        buffer += block
        start = 0
        for end, after in _ends(buffer):
            yield line, buffer[start:end]
            line += buffer.count(b"\n", start, after)
            start, first = after, False
        buffer = buffer[start:]
        if len(buffer) > LARGEST_ENTRY:
            raise FlatFileError(
                f"{file}, line {line}: the entry {name_of(buffer)} does not end within {LARGEST_ENTRY >> 20} MB; "
                "this is not an IPD-IMGT/HLA flat file: fetch it again"
            )
    tail = buffer.strip()
    if tail.endswith(b"\n//") or tail == b"//":  # its last line has no line end
        yield line, tail[:-2]
    elif tail:
        raise FlatFileError(
            f"{file}, line {line}: the file ends inside the entry {name_of(buffer)} (no // after it), "
            "so it was cut off: fetch it again"
        )
    elif first:
        raise FlatFileError(f"{file} is empty: it has no entries; fetch it again")


def _ends(buffer: bytes) -> Iterator[tuple[int, int]]:
    """Where the end-of-entry lines of `buffer` begin and end; one that may go on in the next block is left out."""
    at = 0 if buffer.startswith(b"//") else _after_newline(buffer, 0)
    while at >= 0:
        end = _END.match(buffer, at)
        if end:
            yield at, end.end()
        at = _after_newline(buffer, at)


def _after_newline(buffer: bytes, start: int) -> int:
    found = buffer.find(b"\n//", start)
    return found + 1 if found >= 0 else -1
