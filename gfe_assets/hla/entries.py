"""One entry of a flat file: its text in; an `Entry`, `Skipped` or `BadEntry` out.

In: identity, sequence, and what the feature table says. Out: cutting a file into entries (`flatfile.py`, which also
draws one), the feature table itself (`feature_table.py`).

An entry of a locus that nobody asked for is skipped before anything else is looked at, so that oddities there never stop a
build. Deleted alleles have 0 bases and no sequence; until 2024 files had an `x` in its place (ANHIG/IMGTHLA issue 370).
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from gfe_assets.hla.feature_table import Feature, Problem, read_feature_table

SHORTEST_SEQUENCE = 6
"""Entries with fewer bases are deleted alleles (DESIGN.md 3)."""
DELETED = "deleted"
OTHER_LOCUS = "locus not asked for"

# the second form of the ID line is that of EMBL before 2006: `ID   HLA00001   standard; DNA; HUM; 3503 BP.`
_ID = re.compile(rb"\s*ID   ([A-Za-z0-9]{1,40})[; ][^\n]*?([0-9]{1,9}) BP\.")
_ID_VERSION = re.compile(rb"\s*ID   [^\n]*?; SV ([0-9]{1,9});")
_NAME = re.compile(rb"\s*ID   ([^;\s]{1,40})")
_SV = re.compile(rb"\nSV +(?:([A-Za-z0-9]+)\.)?([0-9]{1,9})\s")
_DE = re.compile(rb"\nDE   ([^,\n]+)")
_ALLELE = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)?\*[0-9]+(?::[0-9]+)*[A-Z]?")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"
_NOT_BASES = b" \t\r\n0123456789"
_BASES = b"ACGTUNRYSWKMBDHV"  # with the ambiguity codes of IUPAC


class Entry(NamedTuple):
    """An allele with its annotated parts in gene order; `left_out` names those that its locus does not have."""

    accession: str
    acc_name: str
    hla_name: str
    locus: str
    sequence: str
    features: tuple[Feature, ...]
    cds: tuple[tuple[int, int], ...]
    translation: str
    line: int
    left_out: tuple[str, ...] = ()

    def bases(self, start: int, end: int) -> str:
        """The sequence from base `start` to base `end`, both included."""
        return self.sequence[start - 1 : end]

    @property
    def covered(self) -> bool:
        """Whether the features cover every base exactly once, in gene order."""
        next_base = 1
        for part in self.features:
            if part.start != next_base:
                return False
            next_base = part.end + 1
        return next_base == len(self.sequence) + 1


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


def parse_entry(record: bytes, line: int, loci: Collection[str]) -> Entry | Skipped | BadEntry:
    """Read one entry (bytes up to its `//`) that starts at `line`. Never raises: a problem makes it a `BadEntry`.

    `loci` are the loci asked for, all known to `features.structure`.
    """
    accession = hla_name = ""
    try:
        accession, declared = _accession_and_length(record)
        hla_name = _allele_name(record)
        locus = hla_name.partition("*")[0]
        if locus not in loci:
            return Skipped(accession, hla_name, locus, OTHER_LOCUS)
        _check_name(hla_name)
        sequence = _sequence(record, declared)
        if not sequence:
            return Skipped(accession, hla_name, locus, DELETED)
        acc_name = _versioned(record, accession)
        table = read_feature_table(record, locus, len(sequence))
    except Problem as problem:
        return BadEntry(accession or name_of(record), hla_name, line, str(problem))
    return Entry(
        accession, acc_name, hla_name, locus, sequence, table.features, table.cds, table.translation, line, table.left_out
    )


def length_problem(record: bytes) -> str:
    """Say what is wrong with the length of an entry: its ID line and its sequence must agree; empty when they do."""
    try:
        _sequence(record, _accession_and_length(record)[1])
    except Problem as problem:
        return str(problem)
    return ""


def name_of(record: bytes) -> str:
    """The accession of an entry as far as it can be read, for messages."""
    match = _NAME.match(record)
    return match[1].decode("ascii", "replace") if match else "without an ID line"


def _accession_and_length(record: bytes) -> tuple[str, int]:
    if len(record.translate(None, _CONTROL)) != len(record):
        raise Problem("it holds control characters, so the file is damaged")
    match = _ID.match(record)
    if not match:
        raise Problem("its ID line is missing or has no accession and length (ID   HLA00001; …; 3503 BP.)")
    return match[1].decode(), int(match[2])


def _allele_name(record: bytes) -> str:
    match = _DE.search(record)
    name = match[1].decode("ascii", "replace").strip() if match else ""
    if not name:
        raise Problem("it has no DE line with the allele name")
    if "*" not in name:
        _check_name(name)
    return name


def _check_name(name: str) -> None:
    if not _ALLELE.fullmatch(name):
        raise Problem(f"its DE line names {name[:60]!r}, which is not an allele name")


def _versioned(record: bytes, accession: str) -> str:
    """The accession with its sequence version, from the SV line, else from the ID line, else version 1."""
    match = _SV.search(record)
    if match:
        if match[1] and match[1].decode() != accession:
            raise Problem(f"its SV line is of another entry, {match[1][:40].decode()}")
        return f"{accession}.{match[2].decode()}"
    version = _ID_VERSION.match(record)
    return f"{accession}.{version[1].decode() if version else 1}"


def _sequence(record: bytes, declared: int) -> str:
    """The bases in capitals, as many as the ID line says; empty for a deleted allele."""
    header = record.find(b"\nSQ ")
    line_end = record.find(b"\n", header + 1) if header >= 0 else -1
    bases = record[line_end:].translate(None, _NOT_BASES).upper() if line_end >= 0 else b""
    if max(len(bases), declared) < SHORTEST_SEQUENCE:
        return ""
    if header < 0:
        raise Problem(f"its ID line says {declared} bases but it has no sequence (no SQ line)")
    if other := bases.translate(None, _BASES):
        if b"\nID   " in record[line_end:]:
            raise Problem("another entry begins inside it (no // between them)")
        raise Problem(f"its sequence holds {other[:1].decode('ascii', 'replace')!r}, which is no base")
    if len(bases) != declared:
        raise Problem(f"its ID line says {declared} bases but its sequence has {len(bases)}")
    return bases.decode()
