"""The partitions of every asset: one a release, named by its branch (`3580`).

In: the definition and adding to it in release order. Out: which releases there are (`source/`, `sensors.py`).
"""

from collections.abc import Iterable

import dagster as dg

from gfe_assets.hla.release import sort_names

RELEASES = dg.DynamicPartitionsDefinition(name="imgt_hla_release")


def add_releases(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Make sure that these releases are partitions; new ones are added in release order."""
    known = set(instance.get_dynamic_partitions(str(RELEASES.name)))
    missing = sort_names(set(names) - known)
    if missing:
        instance.add_dynamic_partitions(str(RELEASES.name), missing)
