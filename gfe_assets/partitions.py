"""The partitions of every asset: one a release, named by its branch (`3580`).

In: the definition and adding to it in release order. Out: which releases there are (`source/`, `sensors.py`).
"""

import warnings
from collections.abc import Iterable

import dagster as dg

from gfe_assets.hla.release import is_release, parse_release, sort_names

# Betas and previews of dagster 1.13, to which setup.py pins us: known, and nothing a user can act on.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message=".*(code_references|CodeReference).*", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message=".*partitions_def on an AssetCheckSpec.*", category=dg.PreviewWarning)

ONE_RUN_EACH = dg.BackfillPolicy.multi_run(1)
"""A backfill starts one run a release; without a policy Dagster orders its runs as strings (390 after 3100)."""
RELEASES = dg.DynamicPartitionsDefinition(name="imgt_hla_release")


def priority(release: str) -> str:
    """The priority of a release's runs in the queue: the older the release, the higher."""
    parsed = parse_release(release)
    return str(-(parsed.major * 100_000 + parsed.minor * 10 + parsed.patch))


OLDEST_FIRST = dg.PartitionedConfig(
    partitions_def=RELEASES,
    run_config_for_partition_key_fn=lambda _: {},
    tags_for_partition_key_fn=lambda key: {"dagster/priority": priority(key)} if is_release(key) else {},
)
"""Of the runs of a job that wait in the queue, those of older releases start first, in whatever order they were asked for."""


def add_releases(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Make sure that these releases are partitions; new ones are added in release order."""
    known = set(instance.get_dynamic_partitions(str(RELEASES.name)))
    missing = sort_names(set(names) - known)
    if missing:
        instance.add_dynamic_partitions(str(RELEASES.name), missing)
