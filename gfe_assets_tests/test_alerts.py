"""One message a run, from the command line's runs, received by a real mail server; the daemon's are in `test_daemon.py`."""

import re
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo

from gfe_assets.alerts import ALERTED_TAG, alert, alert_forgotten
from gfe_assets.backups import make_backup
from gfe_assets.commits import SENSOR_NAME
from gfe_assets.errors import BackupError
from gfe_assets.foreground import Interrupted
from gfe_assets.home import FOREGROUND_TAG
from gfe_assets.progress import silent
from gfe_assets.runs import run_releases
from gfe_assets.settings import Settings
from gfe_assets.statuses import RELEASE_TAG, STAGE_TAG, STATUS_TAG
from gfe_assets.watchdog import overdue_sensor, watchdog
from gfe_assets_tests.mailserver import Inbox, free_port, mail_server
from gfe_assets_tests.sites import Site

SENDER, RECEIVER = "gfe@example.org", "curator@example.org"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    with mail_server() as (inbox, port):
        yield inbox, port


def told(site: Site, port: int) -> Site:
    """The deployment, with somebody to tell."""
    site.changed |= {
        "notify_email": RECEIVER,
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_from": SENDER,
        "ui_url": "http://gfe.example.org:3000",
    }
    return site


def only_mail(inbox: Inbox) -> tuple[EmailMessage, str]:
    """The one mail that arrived, once it is certain that it is well-formed, and its plain text."""
    assert len(inbox.mails) == 1
    mail = inbox.mails[0]
    assert parseaddr(mail["From"])[1] == SENDER
    assert parseaddr(mail["To"])[1] == RECEIVER
    assert mail["Message-ID"]
    assert abs(parsedate_to_datetime(mail["Date"]) - datetime.now(timezone.utc)) < timedelta(minutes=10)
    assert mail.get_content_type() == "multipart/alternative"
    assert not mail.defects
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert html.get_content().startswith("<!DOCTYPE html>")
    return mail, text.get_content()


def run_tags(site: Site) -> dict[str, str]:
    """The tags of the newest run."""
    with site.instance() as instance:
        return dict(instance.get_runs(limit=1)[0].tags)


def test_a_success_is_one_mail_with_commit_counts_checks_and_the_place_of_the_report(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    (outcome,) = told(loaded, port).run("3590")
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] success: release 3590 (3.59.0) LOAD_SUCCESS"
    assert re.search(rf"^  commit +{outcome.commit_sha} Release 3590\r?$", text, re.MULTILINE)
    assert f"http://gfe.example.org:3000/runs/{outcome.run_id}" in text
    assert "http://gfe.example.org:3000/assets/release_report?view=partitions&partition=3590" in text
    assert re.search(rf"^  alleles +{outcome.counts['alleles']}\r?$", text, re.MULTILINE)
    assert f"all {len(outcome.checks)} checks passed" in text
    assert run_tags(loaded)[ALERTED_TAG].endswith(f"sent to {RECEIVER}")


def test_a_failed_warning_on_a_run_that_went_through_is_one_warning(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    (loaded.source / "3590" / "md5checksum.txt").write_text(f"MD5 (hla.dat.zip) = {'0' * 32}\n")
    (loaded.source / "3590" / "commit.json").unlink()
    assert [outcome.status.value for outcome in told(loaded, port).run("3590")] == ["LOAD_SUCCESS"]
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] warning: release 3590 (3.59.0) LOAD_SUCCESS, check md5_list failed"
    assert "FAILED (WARN)  md5_list" in text


def test_a_blocked_build_is_one_failure_with_the_check_that_stopped_it(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    loaded.edit("3590", without_features_of_one_entry)
    (outcome,) = told(loaded, port).run("3590")
    assert outcome.status.value == "BUILD_FAILED"
    mail, text = only_mail(mails)
    assert mail["Subject"].startswith("[GFE] failure: release 3590 (3.59.0) BUILD_FAILED, check ")
    assert "FAILED (ERROR)" in text
    assert outcome.reason in text


def without_features_of_one_entry(text: str) -> str:
    """The first entry says that its exons lie beyond its end."""
    head, exon, rest = text.partition("FT   exon            ")
    _, newline, rest = rest.partition("\n")
    return f"{head}{exon}900000..900010{newline}{rest}"


def test_a_failed_load_is_one_failure_with_its_cause(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    loaded.graph_file.write_bytes(b"no graph at all")
    (outcome,) = told(loaded, port).run("3590")
    assert outcome.status.value == "LOAD_FAILED"
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] failure: release 3590 (3.59.0) LOAD_FAILED"
    assert str(loaded.graph_file) in text


def test_an_interrupted_run_is_one_message_that_says_canceled(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    told(loaded, port)

    def interrupt(what: str, _done: int, _total: int | None) -> None:
        if what == "entries read":
            signal.raise_signal(signal.SIGINT)

    with loaded._own_home(), pytest.raises(Interrupted):
        run_releases(loaded.settings, ["3590"], interrupt, job="release_job", parameters={})
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] canceled: release 3590 (3.59.0) ABORTED"
    assert "Ctrl-C" in text


def test_a_mail_server_that_is_down_does_not_fail_the_run_and_is_seen_on_it(loaded: Site, caplog: pytest.LogCaptureFixture):
    (outcome,) = told(loaded, free_port()).run("3590", job="build_job")
    assert outcome.status.value == "LOAD_SKIPPED"
    assert "no mail was sent" in run_tags(loaded)[ALERTED_TAG]
    assert "no mail was sent" in caplog.text


def test_without_anybody_to_tell_no_run_says_that_it_was_reported(loaded: Site):
    assert ALERTED_TAG not in run_tags(loaded)


def test_a_backup_that_fails_is_reported_though_it_is_of_no_release_and_one_that_succeeds_is_not(
    loaded: Site, inbox: tuple[Inbox, int]
):
    mails, port = inbox
    told(loaded, port)
    with loaded._own_home():
        make_backup(loaded.settings, silent, "manual")
        assert mails.mails == []
        for backup in (loaded.data / "backups").iterdir():
            if backup.is_dir():
                backup.rename(loaded.folder / f"moved-{backup.name}")
        loaded.graph_file.write_bytes(b"no graph at all")
        with pytest.raises(BackupError):
            make_backup(loaded.settings, silent, "manual")
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] failure: backup_job FAILURE"
    assert str(loaded.graph_file) in text


# runs that somebody else has to report


def ended_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> str:
    """A run of 3590 that ended without a message."""
    run_id = str(uuid.uuid4())
    tags = {RELEASE_TAG: "3590", STAGE_TAG: "load", STATUS_TAG: "LOAD_IN_PROGRESS", **tags}
    tags = {name: run_id if value == "itself" else value for name, value in tags.items()}
    instance.add_run(dg.DagsterRun("release_job", run_id=run_id, status=status, tags=tags))
    return run_id


def test_a_run_that_will_be_retried_is_not_reported(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    with told(loaded, port).instance() as instance:
        run_id = ended_run(instance, dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
        assert alert(instance, loaded.settings, run_id) is None
    assert mails.mails == []


def test_a_run_is_reported_once_however_many_look_at_it(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    with told(loaded, port).instance() as instance:
        run_id = ended_run(instance, dg.DagsterRunStatus.FAILURE)
        assert alert(instance, loaded.settings, run_id) is not None
        assert alert(instance, loaded.settings, run_id) is None
    assert only_mail(mails)[0]["Subject"] == "[GFE] failure: release 3590 LOAD_FAILED"


def test_a_re_execution_is_reported_though_it_has_the_tags_of_a_run_that_was(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    with told(loaded, port).instance() as instance:
        run_id = ended_run(instance, dg.DagsterRunStatus.CANCELED, **{ALERTED_TAG: "12345678: sent to somebody"})
        assert alert(instance, loaded.settings, run_id) is not None
    assert only_mail(mails)[0]["Subject"] == "[GFE] canceled: release 3590 ABORTED"


def test_a_run_that_is_not_at_its_end_is_not_reported(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    with told(loaded, port).instance() as instance:
        assert alert(instance, loaded.settings, ended_run(instance, dg.DagsterRunStatus.STARTED)) is None
    assert mails.mails == []


def test_the_next_command_reports_a_run_whose_command_line_was_killed(loaded: Site, inbox: tuple[Inbox, int]):
    mails, port = inbox
    with loaded.instance() as instance:
        killed = ended_run(instance, dg.DagsterRunStatus.STARTED, **{FOREGROUND_TAG: "itself"})
    with told(loaded, port).instance() as instance:  # opening it gives the dead run its end
        alert_forgotten(instance, loaded.settings)
        alert_forgotten(instance, loaded.settings)
    mail, text = only_mail(mails)
    assert mail["Subject"] == "[GFE] failure: release 3590 LOAD_FAILED"
    assert killed in text
    assert "died" in text


# the watchdog

NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def quiet_instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


class Sensor:
    """The commit sensor's record in Dagster's storage: switched on `hours` ago, with ticks."""

    def __init__(self, instance: dg.DagsterInstance, hours: float, status: InstigatorStatus = InstigatorStatus.RUNNING) -> None:
        self.instance = instance
        place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(uuid.uuid4().hex), "__repository__")
        data = SensorInstigatorData(last_sensor_start_timestamp=(NOW - timedelta(hours=hours)).timestamp())
        self.state = InstigatorState(RemoteInstigatorOrigin(place, SENSOR_NAME), InstigatorType.SENSOR, status, data)

    def tick(self, hours: float, status: TickStatus, skip_reason: str | None = None) -> None:
        """A tick `hours` ago."""
        time_ = (NOW - timedelta(hours=hours)).timestamp()
        self.instance.create_tick(
            TickData(
                self.state.instigator_origin_id,
                SENSOR_NAME,
                InstigatorType.SENSOR,
                status,
                time_,
                run_ids=[],
                skip_reason=skip_reason,
                error=SerializableErrorInfo("it failed", [], "Error") if status is TickStatus.FAILURE else None,
                selector_id=self.state.selector_id,
            )
        )

    @contextmanager
    def known(self) -> Iterator[None]:
        """Dagster knows of the sensor inside the block."""
        self.instance.add_instigator_state(self.state)
        try:
            yield
        finally:
            self.instance.delete_instigator_state(self.state.instigator_origin_id, self.state.selector_id)

    def overdue(self) -> tuple[datetime | None, str] | None:
        with self.known():
            found = overdue_sensor(self.instance, NOW)
        return (found[0], found[2]) if found else None


@pytest.fixture
def sensor_on(request: pytest.FixtureRequest, quiet_instance: dg.DagsterInstance) -> Sensor:
    return Sensor(quiet_instance, request.param)


@pytest.mark.parametrize("sensor_on", [100], indirect=True)
def test_a_sensor_with_a_good_tick_today_is_well(sensor_on: Sensor):
    sensor_on.tick(3, TickStatus.SKIPPED, "the repository is unchanged since the last look")
    sensor_on.tick(1, TickStatus.FAILURE)
    assert sensor_on.overdue() is None


@pytest.mark.parametrize("sensor_on", [100], indirect=True)
def test_a_sensor_whose_ticks_of_a_day_got_no_answer_is_overdue_since_its_last_good_one(sensor_on: Sensor):
    sensor_on.tick(30, TickStatus.SUCCESS)
    for hours in range(24):
        sensor_on.tick(hours, TickStatus.SKIPPED, "nothing was decided: the rate limit of the GitHub API is used up")
    last_good, reason = sensor_on.overdue()
    assert abs(last_good - (NOW - timedelta(hours=30))) < timedelta(seconds=1)
    assert reason.startswith("nothing was decided: the rate limit")


@pytest.mark.parametrize("sensor_on", [100], indirect=True)
def test_a_sensor_that_looks_every_half_minute_is_judged_by_a_whole_day(sensor_on: Sensor):
    sensor_on.tick(23, TickStatus.SUCCESS)
    for number in range(130):
        sensor_on.tick(number / 10, TickStatus.SKIPPED, "nothing was decided: the source does not answer")
    assert sensor_on.overdue() is None


@pytest.mark.parametrize("sensor_on", [3], indirect=True)
def test_a_sensor_that_was_switched_on_today_is_given_its_day(sensor_on: Sensor):
    sensor_on.tick(200, TickStatus.SUCCESS)
    sensor_on.tick(1, TickStatus.FAILURE)
    assert sensor_on.overdue() is None


@pytest.mark.parametrize("sensor_on", [100], indirect=True)
def test_a_sensor_that_never_ticks_is_overdue(sensor_on: Sensor):
    assert sensor_on.overdue() == (None, "it has not ticked at all; is its code location loaded?")


@pytest.mark.parametrize("sensor_on", [100], indirect=True)
def test_the_watchdog_tells_once_a_day_that_the_sensor_is_silent_and_why(
    sensor_on: Sensor, inbox: tuple[Inbox, int], tmp_path: Path
):
    mails, port = inbox
    told = {"notify_email": RECEIVER, "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_from": SENDER}
    settings = Settings(_env_file=None, data_uri=str(tmp_path), **told)
    sensor_on.tick(30, TickStatus.SUCCESS)
    sensor_on.tick(1, TickStatus.FAILURE)
    cursor, said = "", []
    with sensor_on.known():
        for _ in range(2):
            with dg.build_sensor_context(sensor_on.instance, cursor=cursor, resources={"settings": settings}) as context:
                said.append(str(watchdog(settings)(context).skip_message))
                cursor = context.cursor
    mail, text = only_mail(mails)
    assert mail["Subject"].startswith(f"[GFE] failure: no good tick of {SENSOR_NAME} since ")
    assert "it failed" in text
    assert RECEIVER in said[0]
    assert "was said within the last 24 hours" in said[1]


def test_a_sensor_that_is_off_is_not_overdue(quiet_instance: dg.DagsterInstance):
    assert Sensor(quiet_instance, 100, InstigatorStatus.STOPPED).overdue() is None
