"""One accession as a row, and what makes a row acceptable.

In: `AccessionRow`, its columns, its order in files, the checks of a feature and of a number, the digest
that stands for a sequence. Out: files (`accession_files.py`), the database (`accession_database.py`) and the
rules between rows (`registry.py`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from gfe_assets.errors import RegistryError, SettingsError
from gfe_assets.hla.features import FeatureKey, structure

COLUMNS = ("locus", "term", "rank", "accession", "sequence")
"""Columns of every accessions file, in order; the fields of `AccessionRow` that are data."""

DNA_LETTERS = b"ACGTRYSWKMBDHVN"
"""Capital nucleotide letters, ambiguity codes included (IUPAC-IUB 1984, Nucleic Acids Res 13:3021)."""

LARGEST_ACCESSION = 2**31 - 1
"""What the integer column of every supported database holds."""


class AccessionRow(NamedTuple):
    """The number of one sequence of one feature; `place` says where the row was read, for messages only."""

    locus: str
    term: str
    rank: int
    accession: int
    sequence: str
    place: str = ""

    @property
    def key(self) -> FeatureKey:
        """The feature inside which the accession is unique."""
        return FeatureKey(self.locus, self.term, self.rank)


@cache
def position(key: FeatureKey) -> int:
    """Index of `key` in the structure of its locus.

    Raises:
        RegistryError: the locus, or this part of it, is not known.
    """
    try:
        positions = structure(key.locus).positions
    except SettingsError as error:
        raise RegistryError(str(error)) from None
    if (key.term, key.rank) not in positions:
        raise RegistryError(
            f"{key.locus} has no {key.term} {key.rank}; its features are "
            + ", ".join(f"{term} {rank}" for term, rank in positions)
        )
    return positions[key.term, key.rank]


def digest_of(key: FeatureKey, sequence: str) -> str:
    """SHA-256 of `sequence` in hexadecimal digits, after checking that both arguments can be registered.

    Raises:
        RegistryError: the feature is not known, or the sequence is empty or not in capital DNA letters.
    """
    position(key)
    data = sequence.encode("ascii", errors="replace")
    if not data:
        raise RegistryError(f"the sequence of {named(key)} is empty; leave out features that are not known")
    if wrong := data.translate(None, DNA_LETTERS):
        letters = ", ".join(repr(chr(letter)) for letter in sorted(set(wrong))[:5])
        raise RegistryError(
            f"the sequence of {named(key)} holds {letters}; write it in capital DNA letters ({DNA_LETTERS.decode()})"
        )
    return hashlib.sha256(data).hexdigest()


def checked_digest(row: AccessionRow) -> str:
    """SHA-256 of the sequence of a row from outside.

    Raises:
        RegistryError: the row cannot be registered; the message starts with its place.
    """
    try:
        digest = digest_of(row.key, row.sequence)
    except RegistryError as error:
        raise RegistryError(f"{located(row)}{error}") from None
    if not 1 <= row.accession <= LARGEST_ACCESSION:
        raise RegistryError(
            f"{located(row)}accession {row.accession} of {named(row.key)} is not a number from 1 to {LARGEST_ACCESSION}"
        )
    return digest


def named(key: FeatureKey) -> str:
    """A feature as people write it: `HLA-A EXON 2`."""
    return f"{key.locus} {key.term} {key.rank}"


def located(row: AccessionRow) -> str:
    """`file line 7: ` before a message, or nothing where the row comes from no file."""
    return f"{row.place}: " if row.place else ""


def accession_rows(numbers: Mapping[tuple[FeatureKey, str], int]) -> list[AccessionRow]:
    """What `allocate` returned, as rows in file order, ready for `write_accessions`."""
    return in_file_order(AccessionRow(*key, accession, sequence) for (key, sequence), accession in numbers.items())


def in_file_order(rows: Iterable[AccessionRow]) -> list[AccessionRow]:
    """Rows sorted by locus name, feature in gene order, accession: the same rows always give the same file."""
    return sorted(rows, key=lambda row: (row.locus, position(row.key), row.accession))
