"""One message a run, from the real sensors and daemon to a real mail server."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gfe_assets.locks import locked
from gfe_assets_tests.mailserver import Inbox, mail_server
from gfe_assets_tests.sites import Site
from gfe_assets_tests.test_alerts import RECEIVER, SENDER, without_features_of_one_entry
from gfe_assets_tests.ui_server import Ui, running_ui

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

_SENSOR_SECONDS = 30


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Ui, Site, Inbox]]:
    """A deployment with somebody to tell; of its releases one is good, one has a wrong md5 list, one has a wrong entry."""
    site = Site(tmp_path)
    for release in ("3580", "3590", "3600", "3620"):
        site.publish(release)
    (site.source / "3590" / "md5checksum.txt").write_text(f"MD5 (hla.dat.zip) = {'0' * 32}\n")
    (site.source / "3590" / "commit.json").unlink()
    site.edit("3600", without_features_of_one_entry)
    with mail_server() as (inbox, port):
        told = {
            "GFE_NOTIFY_EMAIL": RECEIVER,
            "GFE_SMTP_HOST": "127.0.0.1",
            "GFE_SMTP_PORT": str(port),
            "GFE_SMTP_FROM": SENDER,
        }
        with running_ui(tmp_path, **told) as ui:
            yield ui, site, inbox


def subjects(inbox: Inbox) -> Counter[str]:
    return Counter(str(mail["Subject"]).split(", check")[0] for mail in inbox.mails)


def test_every_run_that_the_daemon_executes_is_reported_by_exactly_one_mail(served: tuple[Ui, Site, Inbox]):
    ui, site, inbox = served
    lock = site.data / "data" / "3620" / ".build.lock"
    with locked(lock, "a build that never ends", 0):
        ui.backfill(["3580"])  # of assets, as the asset graph launches it
        ui.backfill(["3590", "3600"], job="release_job")
        ui.backfill(["3620"], job="release_job")

        def building() -> str | None:
            runs = ui.runs(tags=[{"key": "gfe/release", "value": "3620"}])
            return runs[0]["runId"] if runs and runs[0]["tags"].get("gfe/stage") == "build" else None

        ui.terminate(ui.wait("the build of 3620 to wait for its lock", building))
        runs = ui.finished_runs(4)
    expected = Counter(
        {
            "[GFE] success: release 3580 (3.58.0) LOAD_SUCCESS": 1,
            "[GFE] warning: release 3590 (3.59.0) LOAD_SUCCESS": 1,
            "[GFE] failure: release 3600 (3.60.0) BUILD_FAILED": 1,
            "[GFE] canceled: release 3620 (3.62.0) ABORTED": 1,
        }
    )
    assert {run["jobName"] for run in runs} == {"__ASSET_JOB", "release_job"}
    ui.wait("four mails", lambda: subjects(inbox) == expected or len(inbox.mails) > 4, 120)

    # A run that fails and is tried again by Dagster is two runs, of which the last one is reported.
    retried = ui.launch("release_job", tags={"dagster/max_retries": "1", "dagster/partition": "3600"})
    runs = ui.finished_runs(6)
    assert [run["status"] for run in runs[4:]] == ["FAILURE", "FAILURE"]
    assert next(run for run in runs if run["runId"] == retried)["tags"]["dagster/will_retry"] == "true"
    expected["[GFE] failure: release 3600 (3.60.0) BUILD_FAILED"] += 1
    ui.wait("the mail of the retry", lambda: subjects(inbox) == expected, 120)

    # With a graph that is damaged, loads fail, and backups too, which are of no release.
    site.graph_file.write_bytes(b"no graph at all")
    ui.backfill(["3580"], job="release_job")
    ui.launch("backup_job")
    ui.finished_runs(8)
    expected["[GFE] failure: release 3580 (3.58.0) LOAD_FAILED"] += 1
    expected["[GFE] failure: backup_job FAILURE"] += 1
    ui.wait("the mails of load and backup", lambda: subjects(inbox) == expected, 120)

    time.sleep(2 * _SENSOR_SECONDS)
    assert subjects(inbox) == expected  # nobody is told twice
    for mail in inbox.mails:
        assert not mail.defects
        assert mail.get_body(("plain",)) is not None
        assert mail.get_body(("html",)) is not None
    for run in ui.runs():
        told = run["tags"].get("gfe/alerted", "")
        assert told == ("" if run["runId"] == retried else f"{run['runId'][:8]}: sent to {RECEIVER}")
