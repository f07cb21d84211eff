"""Hand-made entries of a flat file, for tests: short, in the official layout, and easy to spoil.

Not the simulator: every line is given here, so that a test sees all of what it reads.
"""

from collections.abc import Sequence
from typing import NamedTuple

QUALIFIER = "FT" + " " * 19
Table = Sequence[tuple[str, str] | tuple[str, str, str]]

SEQUENCE = "GATTACAGCCATGGCTAAACGTAAGTTTAGCCCTTTGGGAAATTTCCCGGTGATAAGCTC"
"""60 bases: 5'UTR 1..10, exon 1 11..20, intron 1 21..30, exon 2 31..52, 3'UTR 53..60."""
TABLE: Table = (
    ("UTR", "1..10"),
    ("exon", "11..20", "1"),
    ("intron", "21..30", "1"),
    ("exon", "31..52", "2"),
    ("UTR", "53..60"),
)


class Parts(NamedTuple):
    """What an entry is made of; a test changes what it wants with `_replace`."""

    accession: str = "HLA00001"
    name: str = "HLA-A*01:01"
    sequence: str = SEQUENCE
    table: Table = TABLE
    cds: str | None = "join(11..20,31..52)"
    translation: str | None = "MAKPFGNFPVX"
    identity: str = "ID   {accession}; SV 4; standard; DNA; HUM; {length} BP."
    version: str = "SV   {accession}.4"
    length: int | None = None
    comment: str = "CC   IPD-IMGT/HLA Release Version 3.58.0"


def entry(parts: Parts | None = None, **changes: object) -> bytes:
    """The bytes of one entry, from its ID line to its `//` line."""
    given = (parts or Parts())._replace(**changes)
    length = len(given.sequence) if given.length is None else given.length
    lines = [
        given.identity.format(accession=given.accession, length=length),
        "XX",
        given.version.format(accession=given.accession),
        "XX",
        f"DE   {given.name}, Human MHC Class I sequence",
        "XX",
        given.comment,
        "XX",
        "FH   Key             Location/Qualifiers",
        "FH",
        f"FT   source          1..{length}",
        *_table(given),
        f"SQ   Sequence {length} BP;",
        *_sequence_lines(given.sequence.lower()),
        "//",
    ]
    return ("\n".join(lines) + "\n").encode()


def _table(given: Parts) -> list[str]:
    lines = []
    if given.cds is not None:
        lines += [f"FT   CDS             {given.cds}", f"{QUALIFIER}/codon_start=1"]
        if given.translation is not None:
            lines.append(f'{QUALIFIER}/translation="{given.translation}"')
    for key, location, *number in given.table:
        lines.append(f"FT   {key:<16}{location}")
        lines += [f'{QUALIFIER}/number="{one}"' for one in number]
    return lines


def _sequence_lines(sequence: str) -> list[str]:
    lines = []
    for start in range(0, len(sequence), 60):
        row = sequence[start : start + 60]
        blocks = " ".join(row[at : at + 10] for at in range(0, len(row), 10))
        lines.append(f"     {blocks:<65}{start + len(row):>10}")
    return lines or [f"{0:>80}"]
