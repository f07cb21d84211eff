"""What a release held when it was loaded, kept so that the report of a correction can say what the correction changed.

    <data>/data/<release>/loaded/<start of the sha256 of gfe_sequences>.<start of the commit's sha>.parquet

In: the columns that `changes.py` compares, of the present build and the one that was loaded before it; no more are kept. Out:
comparing them, and the builds themselves (`build.py` replaces a build by the next one).
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from gfe_assets.errors import BuildError
from gfe_assets.hla.changes import COLUMNS
from gfe_assets.hla.csvs import csv_path
from gfe_assets.hla.manifest import Manifest

_KEPT = 2


class LoadedBefore(NamedTuple):
    """The alleles of the release as they were loaded before, with the columns of `changes.COLUMNS`, and from which commit."""

    commit: str
    alleles: pl.DataFrame


def loaded_before(folder: Path, manifest: Manifest) -> LoadedBefore | None:
    """What was loaded of the release before the content of `manifest`; None where that is not known.

    Raises:
        BuildError: it is there and cannot be read.
    """
    own = _name(folder, manifest)
    for path in _newest_first(folder):
        if path.name != own.name:
            try:
                return LoadedBefore(path.name.split(".")[1], pl.read_parquet(path, columns=COLUMNS, glob=False))
            except (OSError, pl.exceptions.PolarsError) as error:
                raise BuildError(f"release {manifest.release}: {path} cannot be read ({error}); delete it") from error
    return None


def remember(folder: Path, manifest: Manifest, alleles: pl.DataFrame) -> None:
    """Keep what is loaded now, and what was loaded before it.

    Raises:
        BuildError: it cannot be written.
    """
    path = _name(folder, manifest)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        alleles.select(COLUMNS).write_parquet(temporary)
        temporary.replace(path)
        for old in _newest_first(folder)[_KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        cause = getattr(error, "strerror", None) or error
        raise BuildError(
            f"release {manifest.release}: what it holds cannot be kept in {folder} ({cause}); make room and materialize "
            "release_report again"
        ) from error


def _name(folder: Path, manifest: Manifest) -> Path:
    """The file of a build: of its content, since one commit can be built with other loci or another limit."""
    sequences = csv_path(folder, "gfe_sequences", manifest.release).name
    content = next(file.sha256 for file in manifest.files if file.name == sequences)
    return folder / f"{content[:16]}.{manifest.commit.sha[:10]}.parquet"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
