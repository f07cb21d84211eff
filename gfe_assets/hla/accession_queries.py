"""What a registry asks of its tables and adds to them, always by one feature or one locus.

In: an open transaction (`accession_database.py`). Out: who may number, and what contradicts what
(`registry.py`). Nothing here changes or removes a row.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gfe_assets.hla.accession_database import FEATURES
from gfe_assets.hla.accession_rows import AccessionRow, position
from gfe_assets.hla.features import FeatureKey
from gfe_assets.progress import Progress

Numbers = dict[FeatureKey, dict[str, int]]
"""Feature → SHA-256 of a sequence → accession."""

_INSERT_ROWS = 5000
_IN_LIST = 1000  # SQLite allows 32,766 values in a statement, SQLAlchemy compiles long lists slowly
_KEY = (FEATURES.c.locus, FEATURES.c.term, FEATURES.c.rank)
_T = TypeVar("_T")


def numbers_of(connection: Connection, keys: Iterable[FeatureKey]) -> Numbers:
    """All accessions of the loci that `keys` name, without reading a sequence."""
    loci = sorted({key.locus for key in keys})
    query = sa.select(*_KEY, FEATURES.c.sequence_sha256, FEATURES.c.accession).where(FEATURES.c.locus.in_(loci))
    numbers: Numbers = {}
    for locus, term, rank, digest, accession in connection.execute(query):
        numbers.setdefault(FeatureKey(locus, term, rank), {})[digest] = accession
    return numbers


def sequences_of(connection: Connection, key: FeatureKey, accessions: Iterable[int]) -> dict[int, str]:
    """Accession → sequence inside one feature, for those accessions that exist."""
    found: dict[int, str] = {}
    for some in _batches(accessions, _IN_LIST):
        query = sa.select(FEATURES.c.accession, FEATURES.c.sequence).where(_is_key(key), FEATURES.c.accession.in_(some))
        found.update((accession, sequence) for accession, sequence in connection.execute(query))
    return found


def count_rows(connection: Connection) -> int:
    """How many accessions there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(FEATURES)).scalar_one())


def rows_in_file_order(connection: Connection) -> Iterator[AccessionRow]:
    """All rows by locus, gene order and accession, reading one feature at a time."""
    keys = [FeatureKey(*key) for key in connection.execute(sa.select(*_KEY).distinct())]
    for key in sorted(keys, key=lambda key: (key.locus, position(key))):
        query = sa.select(FEATURES.c.accession, FEATURES.c.sequence).where(_is_key(key)).order_by(FEATURES.c.accession)
        for accession, sequence in connection.execute(query):
            yield AccessionRow(*key, accession, sequence)


def insert(connection: Connection, rows: Sequence[tuple[AccessionRow, str]], progress: Progress) -> None:
    """Add rows, each with the SHA-256 of its sequence."""
    done = 0
    for some in _batches(rows, _INSERT_ROWS):
        values = [
            {
                "locus": row.locus,
                "term": row.term,
                "rank": row.rank,
                "accession": row.accession,
                "sequence_sha256": digest,
                "sequence": row.sequence,
            }
            for row, digest in some
        ]
        connection.execute(FEATURES.insert(), values)
        done += len(some)
        progress("accessions added", done, len(rows))


def _is_key(key: FeatureKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == value for column, value in zip(_KEY, key, strict=True)))


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
