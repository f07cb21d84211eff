"""Whose turn it is to number features: in a backfill, the older release always goes first.

In: a registry that waits for its turn. Out: giving numbers (`hla/registry.py`), what a build numbers (`hla/build.py`), the
order of loads (`turn.py`).

A new feature gets the next free number, so numbers, and with them GFE names, depend on the order in which releases are
numbered. The runs of a backfill are submitted in any order and go side by side; yet the same releases shall get the same
numbers. So a build makes sure, before it numbers its features, that every older release of its backfill has been numbered:

    its run is under way     wait: it depends on nothing but runs of still older releases
    its run has not begun    number it here, from its own files: no run ever waits for one that waits for a place
    its run has ended        it has been numbered, or never will be (refused, canceled)

The runs that one tick of the commit sensor asks for are treated like a backfill. Across batches the order is the one in which
runs are launched, as nothing else is known about it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from logging import Logger

import dagster as dg

from gfe_assets.errors import GfeError
from gfe_assets.hla.build import AccessionRegistry
from gfe_assets.hla.features import FeatureKey
from gfe_assets.hla.release import is_release, parse_release, sort_names
from gfe_assets.home import fail_dead_runs
from gfe_assets.progress import Progress, silent
from gfe_assets.statuses import release_of

BATCH_TAGS = ("dagster/backfill", "dagster/tick")
NumberRelease = Callable[[str, Mapping[str, str]], None]
"""Numbers a release whose run has not begun, given the run's tags (none when it is not even submitted)."""
_CALLED_OFF = {dg.DagsterRunStatus.CANCELING}
_WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}


class Turn:
    """The place of a run among those of its batch; a run without a batch never waits."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        run: dg.DagsterRun,
        asset: dg.AssetKey,
        log: Logger,
        poll_seconds: float = 1.0,
    ) -> None:
        self._instance, self._run, self._asset, self._log, self._poll = instance, run, asset, log, poll_seconds
        self._tag = next((tag for tag in BATCH_TAGS if tag in run.tags), "")
        self._batch = run.tags.get(self._tag, "")
        self._release = release_of(run.tags)

    def wait(self, number: NumberRelease) -> None:
        """Come back when every older release of the batch has been numbered; `number` is called for those that cannot yet.

        Raises:
            GfeError: a release that has to be numbered first cannot be, but may be later (the source is down).
        """
        told: list[str] = []
        while self._batch:
            ahead, waiting = self._older()
            if waiting:
                release, tags = waiting[0]
                self._log.info(
                    f"release {release} of the same batch is older and waits for a place: its features are numbered first"
                )
                self._number(release, tags, number)
            elif not ahead:
                return
            else:
                if ahead != told:
                    self._log.info(f"waiting with new numbers for the builds of {', '.join(ahead)}, which are older")
                    told = ahead
                time.sleep(self._poll)
                fail_dead_runs(self._instance)  # nobody waits for the dead

    def passed(self) -> None:
        """Say that this release has been numbered."""
        if self._batch:
            self._mark(self._release)

    def _number(self, release: str, tags: Mapping[str, str], number: NumberRelease) -> None:
        try:
            number(release, tags)
        except GfeError as error:
            if error.transient:
                raise
            self._log.info(f"it cannot be numbered, as its own run will say: {error}")
        self._mark(release)

    def _older(self) -> tuple[list[str], list[tuple[str, Mapping[str, str]]]]:
        """Older releases that are not numbered: those whose run is under way, and those whose run has not begun; in order."""
        batch = self._instance.get_runs(dg.RunsFilter(tags={self._tag: self._batch}), ascending=True)
        runs = {release_of(run.tags): run for run in batch}  # the newest of each release
        wanted = {name for name in (*runs, *self._to_be_submitted()) if is_release(name)}
        older = sort_names({name for name in wanted if parse_release(name) < parse_release(self._release)})
        numbered = self._instance.run_storage.get_cursor_values({self._key(name) for name in older}) if older else {}
        ahead: list[str] = []
        waiting: list[tuple[str, Mapping[str, str]]] = []
        for name in older:
            run = runs.get(name)
            if self._key(name) in numbered or (run and (run.is_finished or run.status in _CALLED_OFF)):
                continue
            if run and run.status not in _WAITING:
                ahead.append(name)
            elif not ahead:  # what is older than it is numbered: now it can be
                waiting.append((name, run.tags if run else {}))
        return ahead, waiting

    def _to_be_submitted(self) -> Iterator[str]:
        """The releases of a backfill, whether their runs are submitted or not."""
        backfill = self._instance.get_backfill(self._batch) if self._tag == BATCH_TAGS[0] else None
        if backfill is None or backfill.status.value != "REQUESTED":
            return
        yield from backfill.partition_names or ()
        if backfill.asset_backfill_data:
            targets = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
            if self._asset in targets:
                yield from targets[self._asset].get_partition_keys()

    def _mark(self, release: str) -> None:
        self._instance.run_storage.set_cursor_values({self._key(release): "numbered"})

    def _key(self, release: str) -> str:
        return f"gfe_assets/numbered/{self._tag}/{self._batch}/{release}"


class InTurn:
    """A registry that gives numbers when it is its run's turn, and says so afterwards."""

    def __init__(self, registry: AccessionRegistry, turn: Turn, number: NumberRelease) -> None:
        self._registry, self._turn, self._number = registry, turn, number

    def allocate(
        self, features: Iterator[tuple[FeatureKey, str]], progress: Progress = silent
    ) -> dict[tuple[FeatureKey, str], int]:
        """As the registry does.

        Raises:
            GfeError: as `Turn.wait`; RegistryError as the registry.
        """
        self._turn.wait(self._number)
        numbers = self._registry.allocate(features, progress)
        self._turn.passed()
        return numbers

    def sequences(self, keys: Iterator[tuple[FeatureKey, int]]) -> dict[tuple[FeatureKey, int], str]:
        """As the registry does; needs no turn."""
        return self._registry.sequences(keys)
