"""A stage is tried again when the network or a database was the cause, and never when the data was."""

import sqlite3
import threading
import time
from collections import Counter

import dagster as dg
import pytest

from gfe_assets.definitions import build_defs
from gfe_assets.errors import (
    BuildError,
    FlatFileError,
    GfeError,
    GraphBusy,
    GraphUnavailable,
    RegistryUnavailable,
    ReleaseRefused,
    SourceUnavailable,
)
from gfe_assets.hla.accessions import Registry
from gfe_assets.runs import RunOutcome, run_release
from gfe_assets.source.folder import FolderSource
from gfe_assets.source.models import Commit
from gfe_assets.stages.common import RETRIES, retry_after
from gfe_assets_tests.sites import Site

PAUSE = 0.01


class Unreliable(FolderSource):
    """A folder that does not answer the first `failures` times that somebody asks for the newest commit."""

    failures = 0
    asked = 0

    def tip(self, branch: str) -> Commit:
        self.asked += 1
        if self.asked <= self.failures:
            raise SourceUnavailable(f"release {branch}: the source does not answer; try again later")
        return super().tip(branch)


def unreliable(site: Site, failures: int) -> Unreliable:
    source = Unreliable(site.source)
    source.failures = failures
    return source


def run(site: Site, release: str, **resources: object) -> tuple[RunOutcome, Counter[str]]:
    """Run a release with other resources; gives how it ended and how often each kind of event happened."""
    site.changed["retry_seconds"] = PAUSE
    given = {name: dg.ResourceDefinition.hardcoded_resource(each) for name, each in resources.items()}
    with site.instance() as instance:
        outcome = run_release(instance, site.settings, build_defs(site.settings, **given), release, job="build_job")
        events = Counter(
            entry.dagster_event.event_type_value for entry in instance.all_logs(outcome.run_id) if entry.dagster_event
        )
    return outcome, events


def test_a_source_that_fails_twice_and_then_answers_ends_in_success(site: Site, caplog: pytest.LogCaptureFixture):
    site.publish("3580")
    source = unreliable(site, failures=2)
    outcome, events = run(site, "3580", source=source)
    assert outcome.status.value == "LOAD_SKIPPED"
    assert events["STEP_UP_FOR_RETRY"] == 2
    assert outcome.reason == ""
    assert "the source does not answer; try again later; trying again in 0.01 s" in caplog.text


def test_a_source_that_stays_down_is_given_up_after_two_more_tries_with_its_own_words(site: Site):
    site.publish("3580")
    source = unreliable(site, failures=9)
    outcome, events = run(site, "3580", source=source)
    assert outcome.status.value == "EXECUTION_FAILED"
    assert outcome.reason == "release 3580: the source does not answer; try again later"
    assert (events["STEP_UP_FOR_RETRY"], source.asked) == (RETRIES, RETRIES + 1)


def test_a_registry_that_is_locked_for_a_while_ends_in_success(site: Site):
    site.publish("3580")
    path = site.folder / "accessions.sqlite"
    registry = Registry(f"sqlite:///{path}", wait_seconds=0.05)
    assert registry.export(site.folder / "none.csv") == 0  # makes the tables
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")

    def let_go() -> None:
        while not caught:
            time.sleep(0.005)
        holder.execute("ROLLBACK")

    caught: list[str] = []

    class Watched(Registry):
        def allocate(self, *given: object) -> dict[object, int]:
            try:
                return registry.allocate(*given)
            except RegistryUnavailable as error:
                caught.append(str(error))
                raise

    releaser = threading.Thread(target=let_go)
    releaser.start()
    outcome, events = run(site, "3580", registry=Watched(f"sqlite:///{path}"))
    releaser.join()
    holder.close()
    assert outcome.status.value == "LOAD_SKIPPED"
    assert events["STEP_UP_FOR_RETRY"] == len(caught) == 1
    assert "another process" in caught[0]


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        (lambda text: text[: len(text) // 2], "EXECUTION_FAILED"),  # the file ends inside an entry
        (lambda text: text.replace("Release Version 3.58.0", "Release Version 3.57.0"), "EXECUTION_FAILED"),  # refused
        (lambda text: text.replace("exon            ", "exon            9", 1), "BUILD_FAILED"),  # an entry that is wrong
    ],
)
def test_bad_data_is_never_tried_again(site: Site, damage, status: str):
    site.publish("3580")
    site.edit("3580", damage)
    outcome, events = run(site, "3580")
    assert outcome.status.value == status
    assert events["STEP_UP_FOR_RETRY"] == 0


def test_an_error_that_nobody_expected_is_not_tried_again(site: Site):
    site.publish("3580")

    class Wrong(FolderSource):
        def tip(self, branch: str) -> Commit:
            raise KeyError(branch)

    outcome, events = run(site, "3580", source=Wrong(site.source))
    assert outcome.status.value == "EXECUTION_FAILED"
    assert events["STEP_UP_FOR_RETRY"] == 0


@pytest.mark.parametrize(
    ("error", "tried", "pause"),
    [
        (SourceUnavailable("down"), 0, 30),
        (SourceUnavailable("down"), 1, 60),
        (SourceUnavailable("down"), 2, 0),
        (RegistryUnavailable("down"), 0, 30),
        (GraphUnavailable("down"), 0, 30),
        (GraphBusy("held for 900 s"), 0, 0),  # it has waited already
        (ReleaseRefused("says 3.57.0"), 0, 0),
        (FlatFileError("line 3"), 0, 0),
        (BuildError("nothing to build"), 0, 0),
    ],
)
def test_what_is_tried_again_and_after_how_long(error: GfeError, tried: int, pause: float):
    assert retry_after(error, tried, 30) == pause


def test_no_pause_means_no_second_try():
    assert retry_after(SourceUnavailable("down"), 0, 0) == 0
