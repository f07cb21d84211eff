"""The partitions of every asset: one a release, named by its branch (`3580`).

In: the definition and adding to it in release order. Out: which releases there are (`source/`, `sensors.py`).
"""

import warnings
from collections.abc import Iterable

import dagster as dg

from gfe_assets.hla.release import sort_names

# Betas and previews of dagster 1.13, to which setup.py pins us: known, and nothing a user can act on.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message=".*(code_references|CodeReference).*", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message=".*partitions_def on an AssetCheckSpec.*", category=dg.PreviewWarning)

ONE_RUN_EACH = dg.BackfillPolicy.multi_run(1)
"""A backfill starts one run a release; without a policy Dagster orders its runs as strings (390 after 3100)."""
RELEASES = dg.DynamicPartitionsDefinition(name="imgt_hla_release")


def add_releases(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Make sure that these releases are partitions; new ones are added in release order."""
    known = set(instance.get_dynamic_partitions(str(RELEASES.name)))
    missing = sort_names(set(names) - known)
    if missing:
        instance.add_dynamic_partitions(str(RELEASES.name), missing)
