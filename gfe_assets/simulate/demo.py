"""Three small releases and one correction: what `gfe-assets demo` runs on.

In: which databases they hold, when their commits were made. Out: how a release is written (`repository.py`), what the
demo shows (`cli.py`).

3.60.0 descends from the *corrected* 3.59.0, and the correction is committed after it: as in the real repository, old
release branches get their corrections late.
"""

from collections.abc import Iterable
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gfe_assets.simulate.database import SimulatedDatabase
from gfe_assets.simulate.repository import write_release

_ALLELES = 240
_SCALE = 0.15


class DemoRelease(NamedTuple):
    """A release of the demo: branch name, folder, database (whose `changes` tell what differs from the one before)."""

    release: str
    folder: Path
    database: SimulatedDatabase


def demo_releases(root: Path, *, align: bool = True) -> list[DemoRelease]:
    """Write 3.58.0, 3.59.0 and 3.60.0, a few hundred short alleles each, below `root`."""
    first, second, _, third = _databases()
    return _write(
        root,
        align,
        [
            ("3580", first, datetime(2024, 10, 9, 9, tzinfo=timezone.utc), "Release 3.58.0"),
            ("3590", second, datetime(2025, 1, 14, 9, tzinfo=timezone.utc), "Release 3.59.0"),
            ("3600", third, datetime(2025, 4, 9, 9, tzinfo=timezone.utc), "Release 3.60.0"),
        ],
    )


def correct_demo(root: Path, *, align: bool = True) -> DemoRelease:
    """Write the correction of 3.59.0 over it: one allele renamed, one re-sequenced, one removed."""
    corrected = _databases()[2]
    date = datetime(2025, 5, 20, 9, tzinfo=timezone.utc)
    return _write(root, align, [("3590", corrected, date, "Correction of hla.dat of release 3.59.0")])[0]


def _write(root: Path, align: bool, plan: Iterable[tuple[str, SimulatedDatabase, datetime, str]]) -> list[DemoRelease]:
    return [
        DemoRelease(release, write_release(root, release, database, date=date, message=message, align=align), database)
        for release, database, date, message in plan
    ]


@cache
def _databases() -> tuple[SimulatedDatabase, SimulatedDatabase, SimulatedDatabase, SimulatedDatabase]:
    """3.58.0, 3.59.0, the correction of 3.59.0, 3.60.0."""
    first = SimulatedDatabase.create(_ALLELES, seed=1, scale=_SCALE)
    second = first.evolve(seed=2, new=25, renamed=3, resequenced=4, deleted=1)
    corrected = second.evolve(seed=3, new=0, renamed=1, resequenced=1, deleted=0, removed=1)
    third = corrected.evolve(seed=4, new=25, renamed=2, resequenced=5, deleted=2)
    return first, second, corrected, third
