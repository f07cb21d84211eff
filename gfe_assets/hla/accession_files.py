"""Accessions as CSV or Parquet files: reading, writing, and nothing in between.

In: a path and rows. Out: whether rows agree with each other or with a registry (`registry.py`).

Both formats have the columns `locus, term, rank, accession, sequence`; the ending of the name chooses. Other
columns are ignored on reading, so an `all_features` CSV of a build can be read as well:

    locus,term,rank,accession,sequence
    HLA-A,FIVE_PRIME_UTR,1,1,CAGGAGCAGAGGGGTCAGGGCGAAGTCCCAG…
    HLA-A,EXON,1,1,ATGGCCGTCATGGCGCCCCGAACCCTCC…
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import polars as pl

from gfe_assets.errors import RegistryError
from gfe_assets.hla.accession_rows import COLUMNS, AccessionRow

_PARQUET_SCHEMA = {
    "locus": pl.String,
    "term": pl.String,
    "rank": pl.Int64,
    "accession": pl.Int64,
    "sequence": pl.String,
}


def read_accessions(path: str | Path) -> Iterator[AccessionRow]:
    """Rows of an accessions file, each with its place (`file line 7`, in Parquet `file row 7`).

    Raises:
        RegistryError: the file cannot be read, its ending is not known, a column is missing, or a rank or
            accession is not a number; names file and line. Letters and ranges are checked on import.
    """
    path = Path(path)
    read = {".csv": _read_csv, ".parquet": _read_parquet}[_format(path)]
    try:
        yield from read(path)
    except OSError as error:
        raise RegistryError(f"accessions file {path} cannot be read: {error.strerror or error}") from None


def write_accessions(rows: Iterable[AccessionRow], path: str | Path) -> int:
    """Write rows in the order given, whole or not at all, and return how many there were.

    Raises:
        RegistryError: the ending is neither `.csv` nor `.parquet`, or the file cannot be written.
    """
    path = Path(path)
    write = {".csv": _write_csv, ".parquet": _write_parquet}[_format(path)]
    try:
        return _replaced(path, lambda file: write(rows, file))
    except OSError as error:
        raise RegistryError(f"accessions file {path} cannot be written: {error.strerror or error}") from None


def _format(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise RegistryError(f"accessions file {path} must end in .csv or .parquet, which chooses its format")
    return ending


def _replaced(path: Path, write: Callable[[IO[bytes]], int]) -> int:
    """Let `write` fill a temporary file beside `path`, then give it its name."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            count = write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):  # it has its name now, or was never made, or the first error says more
            part.unlink(missing_ok=True)
    return count


def _read_csv(path: Path) -> Iterator[AccessionRow]:
    # Spreadsheets write a byte order mark; what is not UTF-8 becomes a sign that no check accepts, so its line is named.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(lines, [])
            places = _places(path, header)
            for fields in lines:
                yield _row(
                    path, lines.line_num, header, [fields[place] for place in places] if len(fields) == len(header) else []
                )
        except csv.Error as error:
            raise RegistryError(f"{path.name} line {lines.line_num}: not a CSV file ({error})") from None


def _places(path: Path, columns: Sequence[str]) -> list[int]:
    if missing := [name for name in COLUMNS if name not in columns]:
        raise RegistryError(
            f"{path.name} line 1: no column {', '.join(missing)}; an accessions file has the columns {','.join(COLUMNS)}"
        )
    return [columns.index(name) for name in COLUMNS]


def _row(path: Path, line: int, header: Sequence[str], fields: Sequence[str]) -> AccessionRow:
    place = f"{path.name} line {line}"
    if not fields:
        raise RegistryError(f"{place}: not the {len(header)} fields that its header has; the file may be cut off")
    locus, term, rank, accession, sequence = fields
    for name, number in (("rank", rank), ("accession", accession)):
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise RegistryError(f"{place}: {name} {number!r} of {locus} {term} is not a whole number")
    return AccessionRow(locus, term, int(rank), int(accession), sequence, place)


def _read_parquet(path: Path) -> Iterator[AccessionRow]:
    try:
        columns = pl.scan_parquet(path, glob=False).collect_schema().names()
        _places(path, columns)
        frame = pl.read_parquet(path, columns=list(COLUMNS), glob=False).select(
            pl.col(name).cast(kind) for name, kind in _PARQUET_SCHEMA.items()
        )
    except pl.exceptions.PolarsError as error:
        raise RegistryError(f"accessions file {path} is not a usable Parquet file: {str(error).splitlines()[0]}") from None
    for number, values in enumerate(frame.iter_rows(), start=1):
        if None in values:
            empty = ", ".join(name for name, value in zip(COLUMNS, values, strict=True) if value is None)
            raise RegistryError(f"{path.name} row {number}: {empty} is empty")
        locus, term, rank, accession, sequence = values
        yield AccessionRow(locus, term, rank, accession, sequence, f"{path.name} row {number}")


def _write_csv(rows: Iterable[AccessionRow], file: IO[bytes]) -> int:
    count = 0
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(row[:5])
        count += 1
    text.detach()  # flushes, and leaves the file open for its fsync
    return count


def _write_parquet(rows: Iterable[AccessionRow], file: IO[bytes]) -> int:
    frame = pl.DataFrame([row[:5] for row in rows], schema=_PARQUET_SCHEMA, orient="row")
    buffer = io.BytesIO()  # a few MB; polars would call a full disk an "Invalid thrift: transport error"
    frame.write_parquet(buffer)
    file.write(buffer.getbuffer())
    return frame.height
