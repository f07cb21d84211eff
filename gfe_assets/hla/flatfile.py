"""Reading `hla.dat`: EMBL-like text in, entries out.

In: a binary stream of the flat file; `Entry` for each entry that can be used, `Skipped` for one that is
not for us, `BadEntry` for one that contradicts itself. Out: numbering features (`accessions.py`), naming
GFEs (`gfe.py`), where the file comes from (`source/`).

An entry, shortened, with what is read from it on the right:

    ID   HLA00001; SV 4; standard; DNA; HUM; 3503 BP.     accession, length
    SV   HLA00001.4                                       accession with sequence version
    DE   HLA-A*01:01:01:01, Human MHC Class I sequence    allele name; the locus is what stands before `*`
    CC   IPD-IMGT/HLA Release Version 3.22.0              (the raw stage compares it with the release)
    FT   CDS             join(301..373,504..773,          coding sequence, may go on in the next line;
    FT                   1015..1290)                      `<` and `>` mark partial ends and are ignored
    FT                   /translation="MAVMAPRTLL         protein, over many lines
    FT                   LLLSGALALTQTWA"
    FT   UTR             1..300                           5'UTR before the first exon, else 3'UTR
    FT   exon            301..373
    FT                   /number="1"                      rank; KIR has fused introns, "3/4": the first counts
    SQ   Sequence 3503 BP; 666 A; 1012 C; 1070 G; 755 T; 0 other;
         caggagcaga ggggtcaggg cgaagtccca gggccccagg cgtggctctc agggtctcag        60
    //

The layout is that of the EMBL user manual, section 3, as IPD-IMGT/HLA uses it. Positions count from 1
and include both ends. Line numbers count from 1 in the whole file.
"""

import re
from collections.abc import Collection, Iterator
from typing import BinaryIO, NamedTuple

from gfe_assets.errors import FlatFileError
from gfe_assets.hla.features import EXON, FIVE_PRIME_UTR, INTRON, THREE_PRIME_UTR, structure

SHORTEST_SEQUENCE = 6
"""Entries with fewer bases are deleted alleles (DESIGN.md 3)."""
LARGEST_ENTRY = 32 * 1024 * 1024
"""Bytes; real entries end at about 50 kB. More without an end of entry is not a flat file."""
_BLOCK = 4 * 1024 * 1024
_END = re.compile(rb"//[ \t]*\r?\n")
_ID = re.compile(rb"ID   ([A-Za-z0-9]+);[^\n]*?(\d+) BP\.")
_ID_SV = re.compile(rb"ID   [^\n]*?; SV (\d+);")
_SV = re.compile(rb"\nSV   (\S+)")
_DE = re.compile(rb"\nDE   ([^,\n]+)")
_ALLELE = re.compile(r"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)?)\*[0-9]+(?::[0-9]+)*[A-Z]?")
_FEATURE_START = re.compile(rb"\nFT   (?=\S)")
_LOCATION_END = re.compile(rb"\nFT +/")
_NUMBER = re.compile(rb'/number="?(\d+)')
_TRANSLATION = re.compile(rb'/translation="([^"]*)"')
_CONTINUATION = re.compile(rb"\nFT +|\s+")
_SPAN = re.compile(rb"[<>]?(\d+)[<>]?(?:\.\.[<>]?(\d+)[<>]?)?")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"
_NOT_BASES = b" \t\r\n0123456789"
_BASES = b"ACGTUNRYSWKMBDHV"  # with the ambiguity codes of IUPAC


class Feature(NamedTuple):
    """A part of an entry: `term` of the Feature Service, `rank` from 1, first and last base."""

    term: str
    rank: int
    start: int
    end: int


class Entry(NamedTuple):
    """An allele with its annotated parts, in gene order."""

    accession: str
    acc_name: str
    hla_name: str
    locus: str
    sequence: str
    features: tuple[Feature, ...]
    cds: tuple[tuple[int, int], ...]
    translation: str
    line: int

    def bases(self, start: int, end: int) -> str:
        """The sequence from base `start` to base `end`, both included."""
        return self.sequence[start - 1 : end]


class Skipped(NamedTuple):
    """An entry that is not for this build, with the reason ("deleted", "locus not asked for")."""

    accession: str
    hla_name: str
    locus: str
    reason: str


class BadEntry(NamedTuple):
    """An entry that cannot be used; `message` is a sentence for a person, without file and line."""

    accession: str
    hla_name: str
    line: int
    message: str


class _Problem(Exception):
    """Something in an entry makes it unusable; becomes the message of a `BadEntry`."""


DELETED = "deleted"
OTHER_LOCUS = "locus not asked for"


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
                f"{file}, line {line}: the entry {_name_of(buffer)} does not end within {LARGEST_ENTRY >> 20} MB; "
                "this is not an IPD-IMGT/HLA flat file: fetch it again"
            )
    tail = buffer.strip()
    if tail.endswith(b"\n//") or tail == b"//":
        yield line, tail[:-2]
    elif tail:
        raise FlatFileError(
            f"{file}, line {line}: the file ends inside the entry {_name_of(buffer)} (no // after it), "
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


def read_entries(stream: BinaryIO, file: str, loci: Collection[str]) -> Iterator[Entry | Skipped | BadEntry]:
    """Read the entries of a flat file, in file order; exactly one item for each entry of the file.

    `loci` are the loci asked for (`HLA-A`, …, all known to `features.structure`).

    Raises:
        FlatFileError: the file as a whole cannot be read, see `read_records`.
    """
    for line, record in read_records(stream, file):
        yield parse_entry(record, line, loci)


def parse_entry(record: bytes, line: int, loci: Collection[str]) -> Entry | Skipped | BadEntry:
    """Read one entry (bytes up to its `//`) that starts at `line`. Never raises: a problem makes it a `BadEntry`."""
    accession = hla_name = ""
    try:
        accession, hla_name, locus = _identity(record)
        sequence = _sequence(record)
        if len(sequence) < SHORTEST_SEQUENCE:
            return Skipped(accession, hla_name, locus, DELETED)
        if locus not in loci:
            return Skipped(accession, hla_name, locus, OTHER_LOCUS)
        found, cds, translation = _feature_table(record, len(sequence))
        features = _in_gene_order(locus, found)
    except _Problem as problem:
        return BadEntry(accession or _name_of(record), hla_name, line, str(problem))
    return Entry(accession, _versioned(record, accession), hla_name, locus, sequence, features, cds, translation, line)


def length_problem(record: bytes) -> str:
    """Say what is wrong with the length of an entry: its ID line and its sequence must agree; empty when they do."""
    try:
        _identity(record)
        _sequence(record)
    except _Problem as problem:
        return str(problem)
    return ""


def _name_of(record: bytes) -> str:
    match = re.match(rb"\s*ID   ([^;\s]{1,40})", record)
    return match[1].decode("ascii", "replace") if match else "without an ID line"


def _identity(record: bytes) -> tuple[str, str, str]:
    """Accession, allele name and locus."""
    if len(record.translate(None, _CONTROL)) != len(record):
        raise _Problem("it holds control characters, so the file is damaged")
    match = _ID.match(record.lstrip())
    if not match:
        raise _Problem("its ID line is missing or has no accession and length (ID   HLA00001; …; 3503 BP.)")
    named = _DE.search(record)
    if not named:
        raise _Problem("it has no DE line with the allele name")
    hla_name = named[1].decode("ascii", "replace").strip()
    allele = _ALLELE.fullmatch(hla_name)
    if not allele:
        raise _Problem(f"its DE line names {hla_name[:60]!r}, which is not an allele name")
    return match[1].decode(), hla_name, allele[1]


def _versioned(record: bytes, accession: str) -> str:
    """The accession with its sequence version, from the SV line, else from the ID line, else version 1."""
    match = _SV.search(record)
    if match:
        return match[1].decode("ascii", "replace")
    version = _ID_SV.match(record.lstrip())
    return f"{accession}.{version[1].decode() if version else 1}"


def _sequence(record: bytes) -> str:
    """The bases in capitals; as many as the ID line says."""
    match = _ID.match(record.lstrip())
    declared = int(match[2]) if match else 0
    header = record.find(b"\nSQ ")
    if header < 0:
        if declared < SHORTEST_SEQUENCE:
            return ""
        raise _Problem(f"its ID line says {declared} bases but it has no sequence (no SQ line)")
    line_end = record.find(b"\n", header + 1)
    bases = record[line_end:].translate(None, _NOT_BASES).upper() if line_end >= 0 else b""
    other = bases.translate(None, _BASES)
    if other:
        raise _Problem(f"its sequence holds {other[:1].decode('ascii', 'replace')!r}, which is no base")
    if len(bases) != declared:
        raise _Problem(f"its ID line says {declared} bases but its sequence has {len(bases)}")
    return bases.decode()


class _Found(NamedTuple):
    kind: bytes
    number: int
    start: int
    end: int


def _feature_table(record: bytes, length: int) -> tuple[list[_Found], tuple[tuple[int, int], ...], str]:
    """UTRs, exons and introns in file order; the spans of the CDS; its translation."""
    found: list[_Found] = []
    cds: tuple[tuple[int, int], ...] = ()
    translation = ""
    end_of_table = record.find(b"\nSQ ")
    for text in _FEATURE_START.split(record[:end_of_table])[1:]:
        kind = text[:16].split(None, 1)[0]
        if kind in (b"exon", b"intron", b"UTR"):
            spans = _spans(text[len(kind) :], kind, length)
            if len(spans) != 1:
                raise _Problem(f"its feature {kind.decode()} has {len(spans)} spans where one is expected")
            number = _NUMBER.search(text) if kind != b"UTR" else None
            if number is None and kind != b"UTR":
                raise _Problem(f"its {kind.decode()} at {spans[0][0]}..{spans[0][1]} has no /number")
            found.append(_Found(kind, int(number[1]) if number else 1, *spans[0]))
        elif kind == b"CDS" and not cds:
            cds = _spans(text[len(kind) :], kind, length)
            protein = _TRANSLATION.search(text)
            translation = _CONTINUATION.sub(b"", protein[1]).decode("ascii", "replace") if protein else ""
    return found, cds, translation


def _spans(text: bytes, kind: bytes, length: int) -> tuple[tuple[int, int], ...]:
    """The spans of a location, e.g. `join(1..73,204..473)`, each inside the sequence."""
    end = _LOCATION_END.search(text)
    location = _CONTINUATION.sub(b"", text[: end.start()] if end else text.split(b"\nXX", 1)[0])
    inner = location[5:-1] if location.startswith(b"join(") and location.endswith(b")") else location
    spans = []
    for part in inner.split(b","):
        match = _SPAN.fullmatch(part)
        if not match:
            raise _Problem(f"its {kind.decode()} has a location that cannot be read: {location[:60].decode('ascii', 'replace')!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= length:
            raise _Problem(f"its {kind.decode()} at {first}..{last} is outside its sequence of {length} bases")
        spans.append((first, last))
    return tuple(spans)


def _in_gene_order(locus: str, found: list[_Found]) -> tuple[Feature, ...]:
    """Name the parts and put them in the order of the gene's structure; each at most once."""
    exons = [part for part in found if part.kind == b"exon"]
    if not exons:
        raise _Problem("it has no exon, so it has no GFE")
    first_exon = min(part.start for part in exons)
    positions = structure(locus).positions
    placed: dict[int, Feature] = {}
    for part in found:
        if part.kind == b"exon":
            term = EXON
        elif part.kind == b"intron":
            term = INTRON
        else:
            term = FIVE_PRIME_UTR if part.start < first_exon else THREE_PRIME_UTR
        position = positions.get((term, part.number))
        if position is None:
            raise _Problem(f"its {part.kind.decode()} {part.number} is not a part of {locus}")
        if position in placed:
            raise _Problem(f"it has {part.kind.decode()} {part.number} twice ({term})")
        placed[position] = Feature(term, part.number, part.start, part.end)
    return tuple(placed[position] for position in sorted(placed))
