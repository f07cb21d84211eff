"""In a backfill, older releases number their features first, whatever order their runs start in."""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from gfe_assets.errors import ReleaseRefused, SourceUnavailable
from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.features import EXON, FeatureKey
from gfe_assets.stages.numbering import InTurn, Turn
from gfe_assets.statuses import RELEASE_TAG

BACKFILL = "dagster/backfill"
KEY = FeatureKey("HLA-A", EXON, 2)
ASSET = dg.AssetKey("gfe_csvs")
QUEUED, STARTED, CANCELED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), "__ASSET_JOB")
LOG = logging.getLogger(__name__)

SEQUENCES = {"390": ["ACGT", "AAAA"], "3100": ["AAAA", "CCCC", "GGGG"], "3580": ["TTTT", "CCCC", "ACGT", "GATTACA"]}
NUMBERS = {"ACGT": 1, "AAAA": 2, "CCCC": 3, "GGGG": 4, "TTTT": 5, "GATTACA": 6}
"""By hand: 3.9.0, 3.10.0 and 3.58.0 one after the other."""


class Batch:
    """A backfill that is not finished."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.id = uuid.uuid4().hex[:8]

    def add_run(self, release: str, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
        """A run of the backfill; such runs have no partition but a range of one."""
        place = {"dagster/asset_partition_range_start": release, "dagster/asset_partition_range_end": release}
        tags = {BACKFILL: self.id, **place, **tags}
        run = dg.DagsterRun("__ASSET_JOB", run_id=str(uuid.uuid4()), status=status, tags=tags, remote_job_origin=ORIGIN)
        return self.instance.add_run(run)

    def add_backfill(self, *releases: str, status: BulkActionStatus = BulkActionStatus.REQUESTED) -> None:
        backfill = PartitionBackfill(self.id, status, False, {}, time.time(), partition_names=list(releases))
        self.instance.add_backfill(backfill)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


@pytest.fixture
def batch(instance: dg.DagsterInstance) -> Batch:
    return Batch(instance)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path / 'accessions.sqlite'}")


class Numbering:
    """How a build numbers a release whose own run has not begun; remembers which, and with which tags."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.asked: list[str] = []
        self.tags: list[dict[str, str]] = []

    def __call__(self, release: str, tags: dict[str, str]) -> None:
        self.asked.append(release)
        self.tags.append(dict(tags))
        self.registry.allocate([(KEY, sequence) for sequence in SEQUENCES[release]])


def build(batch: Batch, run: dg.DagsterRun, registry: Registry, release: str, number: Numbering) -> dict[str, int]:
    """What the build of a release asks of the registry; its numbers by sequence."""
    turn = Turn(batch.instance, run, ASSET, LOG, poll_seconds=0.01)
    numbers = InTurn(registry, turn, number).allocate(iter([(KEY, sequence) for sequence in SEQUENCES[release]]))
    return {sequence: accession for (_, sequence), accession in numbers.items()}


def test_a_run_outside_any_backfill_numbers_at_once(batch: Batch, registry: Registry):
    batch.add_run("390", STARTED)
    alone = dg.DagsterRun("release_job", run_id=str(uuid.uuid4()), tags={RELEASE_TAG: "3580"})
    number = Numbering(registry)
    assert build(batch, alone, registry, "3580", number)["TTTT"] == 1
    assert number.asked == []


def test_an_older_release_that_waits_in_the_queue_is_numbered_by_the_newer_build_in_release_order(
    batch: Batch, registry: Registry
):
    newest = batch.add_run("3580", STARTED)
    batch.add_run("3100", QUEUED, **{"gfe/commit_sha": "c" * 40})
    batch.add_run("390", QUEUED)
    number = Numbering(registry)
    assert build(batch, newest, registry, "3580", number) == {s: NUMBERS[s] for s in SEQUENCES["3580"]}
    assert number.asked == ["390", "3100"]
    assert number.tags[1]["gfe/commit_sha"] == "c" * 40


def test_an_older_release_whose_run_is_not_even_submitted_is_numbered_first(batch: Batch, registry: Registry):
    batch.add_backfill("3580", "390", "3100")
    number = Numbering(registry)
    assert build(batch, batch.add_run("3580", STARTED), registry, "3580", number)["GATTACA"] == 6
    assert number.asked == ["390", "3100"]


def test_runs_that_a_canceled_backfill_will_not_submit_are_not_numbered(batch: Batch, registry: Registry):
    batch.add_backfill("3580", "390", status=BulkActionStatus.CANCELING)
    number = Numbering(registry)
    assert build(batch, batch.add_run("3580", STARTED), registry, "3580", number)["TTTT"] == 1
    assert number.asked == []


def test_each_release_is_numbered_once_for_all_builds_that_are_newer(batch: Batch, registry: Registry):
    batch.add_backfill("3580", "3100", "390")
    number = Numbering(registry)
    build(batch, batch.add_run("3580", STARTED), registry, "3580", number)
    build(batch, batch.add_run("3100", STARTED), registry, "3100", number)
    build(batch, batch.add_run("390", STARTED), registry, "390", number)
    assert number.asked == ["390", "3100"]


def test_a_newer_build_waits_for_an_older_one_that_is_under_way(batch: Batch, registry: Registry):
    older, newer = batch.add_run("390", STARTED), batch.add_run("3100", STARTED)
    number, numbers = Numbering(registry), {}
    thread = threading.Thread(target=lambda: numbers.update(build(batch, newer, registry, "3100", number)))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    build(batch, older, registry, "390", number)
    thread.join(20)
    assert numbers == {"AAAA": 2, "CCCC": 3, "GGGG": 4}
    assert number.asked == []


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_a_newer_build_goes_on_when_the_older_run_has_ended_without_numbers(batch: Batch, registry: Registry, end: str):
    older, newer = batch.add_run("390", STARTED), batch.add_run("3100", STARTED)
    number, numbers = Numbering(registry), {}
    thread = threading.Thread(target=lambda: numbers.update(build(batch, newer, registry, "3100", number)))
    thread.start()
    if end == "failed":
        batch.instance.report_run_failed(older)
    else:
        batch.instance.report_run_canceled(older)
    thread.join(20)
    assert numbers == {"AAAA": 1, "CCCC": 2, "GGGG": 3}


def test_a_release_that_is_refused_keeps_nobody_waiting(batch: Batch, registry: Registry):
    batch.add_run("390", QUEUED)

    def refuse(release: str, _tags: dict[str, str]) -> None:
        raise ReleaseRefused(f"release {release}: its file says 3.8.0")

    assert build(batch, batch.add_run("3100", STARTED), registry, "3100", refuse) == {"AAAA": 1, "CCCC": 2, "GGGG": 3}


def test_a_source_that_is_down_is_no_reason_to_number_out_of_turn(batch: Batch, registry: Registry):
    batch.add_run("390", QUEUED)

    def down(release: str, _tags: dict[str, str]) -> None:
        raise SourceUnavailable(f"release {release}: the source does not answer")

    newer = batch.add_run("3100", STARTED)
    with pytest.raises(SourceUnavailable, match="390"):
        build(batch, newer, registry, "3100", down)
    number = Numbering(registry)
    assert build(batch, newer, registry, "3100", number) == {"AAAA": 2, "CCCC": 3, "GGGG": 4}  # tried again


def test_a_build_that_fails_to_get_its_numbers_has_not_had_its_turn(batch: Batch, registry: Registry):
    older, newer = batch.add_run("390", STARTED), batch.add_run("3100", STARTED)
    number, numbers = Numbering(registry), {}

    class Down(Registry):
        def allocate(self, _features: object, _progress: object = None) -> dict[object, int]:
            raise SourceUnavailable("the registry does not answer")

    with pytest.raises(SourceUnavailable):
        build(batch, older, Down("sqlite:////nowhere"), "390", number)
    thread = threading.Thread(target=lambda: numbers.update(build(batch, newer, registry, "3100", number)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    build(batch, older, registry, "390", number)  # tried again
    thread.join(20)
    assert numbers == {"AAAA": 2, "CCCC": 3, "GGGG": 4}


@pytest.mark.parametrize("order", [("390", "3100", "3580"), ("3580", "3100", "390"), ("3100", "3580", "390")])
@pytest.mark.parametrize("begun", [(), ("390",), ("3100", "3580"), ("390", "3100", "3580")])
def test_builds_side_by_side_give_the_numbers_of_one_after_the_other(
    batch: Batch, registry: Registry, order: tuple[str, ...], begun: tuple[str, ...]
):
    """Runs that Dagster still calls queued may have begun, and the other way round: the numbers do not depend on it."""
    batch.add_backfill(*order)
    runs = {release: batch.add_run(release, STARTED if release in begun else QUEUED) for release in order}
    found: dict[str, dict[str, int]] = {}

    def one(release: str) -> None:
        found[release] = build(batch, runs[release], registry, release, Numbering(registry))

    threads = [threading.Thread(target=one, args=(release,)) for release in order]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(30)
    assert found == {release: {s: NUMBERS[s] for s in SEQUENCES[release]} for release in order}


def test_the_runs_of_one_look_at_the_repository_take_their_turns_too(batch: Batch, registry: Registry):
    tick = {"dagster/tick": batch.id}
    runs = [
        batch.instance.add_run(
            dg.DagsterRun("release_job", run_id=str(uuid.uuid4()), status=STARTED, tags={RELEASE_TAG: release, **tick})
        )
        for release in ("3580", "390")
    ]
    number, numbers = Numbering(registry), {}
    thread = threading.Thread(target=lambda: numbers.update(build(batch, runs[0], registry, "3580", number)))
    thread.start()
    build(batch, runs[1], registry, "390", number)
    thread.join(20)
    assert numbers == {"TTTT": 3, "CCCC": 4, "ACGT": 1, "GATTACA": 5}
