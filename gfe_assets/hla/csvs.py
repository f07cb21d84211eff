r"""Writing and reading the CSV files of a build: header, order and types come from `records.py`.

In: rows to a file and back to a polars frame, and where a file is. Out: what the rows mean, and when a build
is whole (`manifest.py`).

A file is UTF-8, comma separated, with a header line, `\n` at line ends, quoted only where needed.
"""

import csv
import typing
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import polars as pl

from gfe_assets.errors import BuildError
from gfe_assets.hla.records import CSV_FILES, Row

_POLARS_TYPES: dict[type, pl.DataType] = {str: pl.String(), int: pl.Int64()}


def csv_path(folder: Path, name: str, release: str) -> Path:
    """The path of a CSV file in the folder of a build, e.g. `all_groups.3580.csv`."""
    return folder / f"{name}.{release}.csv"


def schema(name: str) -> dict[str, pl.DataType]:
    """Column name → polars type of a CSV file, in the order of the file."""
    return {field: _POLARS_TYPES[kind] for field, kind in typing.get_type_hints(CSV_FILES[name]).items()}


class CsvWriter:
    """Writes rows of one file as they come; counts them in `rows`. A context manager."""

    def __init__(self, folder: Path, name: str, release: str) -> None:
        self.path = csv_path(folder, name, release)
        self.rows = 0
        self._file = self.path.open("w", encoding="utf-8", newline="")
        # nearly no cell needs quotes, and joining long sequences is several times faster than having each letter looked at
        self._commas = len(CSV_FILES[name]._fields) - 1
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(CSV_FILES[name]._fields)

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows, which may be many: they are not kept."""
        for row in rows:
            line = ",".join(map(str, row))
            if line.count(",") == self._commas and '"' not in line and "\n" not in line and "\r" not in line:
                self._file.write(line + "\n")
            else:
                self._writer.writerow(row)
            self.rows += 1

    def __enter__(self) -> "CsvWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()


def read_csv(folder: Path, name: str, release: str, columns: list[str] | None = None) -> pl.DataFrame:
    """Read a CSV file of a build; an empty cell reads as an empty text. `columns` limits what is kept.

    Raises:
        BuildError: the file is not there, has another header, a line with more cells than that, or a cell of another
            type. A line with fewer cells reads as if the rest were empty; the check `csv_schema` finds it.
    """
    path = csv_path(folder, name, release)
    expected = schema(name)
    try:
        with path.open(encoding="utf-8") as file:
            header = file.readline().rstrip("\n").split(",")
        if header != list(expected):
            raise BuildError(
                f"release {release}: {path.name} has the columns {', '.join(header)[:200]} where {', '.join(expected)} "
                "are expected; build the release again"
            )
        frame = pl.read_csv(path, schema=expected, columns=columns, empty_string_is_null=False, glob=False)
    except FileNotFoundError:
        raise BuildError(f"release {release}: {path} is not there; build the release again") from None
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise BuildError(f"release {release}: {path.name} cannot be read ({reason}); build the release again") from None
    if empty := frame.null_count().sum_horizontal().item():
        raise BuildError(f"release {release}: {path.name} has {empty} empty cells where numbers are expected; build it again")
    return frame
