"""Telling people how runs ended: one message a run.

In: from a run that ended to the message that is sent; the Dagster sensors that do it. Out: the words and the sending
(`notify/`), the commit sensor that has stopped (`watchdog.py`).

Runs are reported by whoever sees their end first: run status sensors where a daemon runs, the command line for its own. A tag
on the run says that it was reported, and by a lock only one at a time looks at it. Runs of no release (backups) are reported
when they do not go well.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg

from gfe_assets.errors import BuildError, Busy
from gfe_assets.facts import RunFacts, read_facts
from gfe_assets.failures import failure_of
from gfe_assets.hla.manifest import read_manifest
from gfe_assets.hla.release import is_release
from gfe_assets.home import is_foreground
from gfe_assets.locks import locked
from gfe_assets.notify.models import Outcome, RunReport
from gfe_assets.notify.report import message
from gfe_assets.notify.send import SendResult, send
from gfe_assets.settings import Settings
from gfe_assets.stages.build import csv_folder
from gfe_assets.statuses import COMMIT_TAG, REASON_TAG, STAGE_TAG, release_of, status_of

ALERTED_TAG = "gfe/alerted"
WILL_RETRY_TAG = "dagster/will_retry"
_CHANGE_ENDINGS = ("_inserted", "_updated", "_deleted")
_SEND_SECONDS = 300
"""How long one who has something to tell waits for another who is telling something."""
_FORGOTTEN = timedelta(days=1)


def alert(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> SendResult | None:
    """Send the message of a run that ended; None when there is nobody to tell, or nothing to tell (yet, or any more).

    A run that will be retried is not reported, its retry is. What could not be sent stands in the run's tag.
    """
    if not wanted(settings):
        return None
    try:
        with locked(Path(instance.root_directory) / "alerts.lock", f"alert of run {run_id}", _SEND_SECONDS):
            return _alert_once(instance, settings, run_id)
    except Busy as error:
        return SendResult(problems=(f"no alert was sent: {error}",))


def _alert_once(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> SendResult | None:
    run = instance.get_run_by_id(run_id)
    if run is None or not run.is_finished or is_reported(run) or run.tags.get(WILL_RETRY_TAG) == "true":
        return None
    report = run_report(instance, settings, run)
    if not report.release and report.outcome == "success":
        return None
    result = send(message(report), settings)
    told = "; ".join(result.problems) or f"sent to {', '.join(result.sent_to)}"
    instance.add_run_tags(run_id, {ALERTED_TAG: f"{run_id[:8]}: {told}"})
    return result


def wanted(settings: Settings) -> bool:
    """Whether there is anybody to tell."""
    return bool(settings.notify_urls or settings.notify_email)


def is_reported(run: dg.DagsterRun) -> bool:
    """Whether a run has had its message; the tag of a re-execution may be that of the run before it."""
    return run.tags.get(ALERTED_TAG, "").startswith(f"{run.run_id[:8]}: ")


def alert_forgotten(instance: dg.DagsterInstance, settings: Settings) -> list[SendResult]:
    """Report runs of command lines that were killed before they could, within the last day."""
    if not wanted(settings):
        return []
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    since = datetime.now(timezone.utc) - _FORGOTTEN
    runs = instance.get_runs(dg.RunsFilter(statuses=ended, updated_after=since))
    results = [alert(instance, settings, run.run_id) for run in runs if is_foreground(run) and not is_reported(run)]
    return [result for result in results if result]


def run_report(instance: dg.DagsterInstance, settings: Settings, run: dg.DagsterRun) -> RunReport:
    """The facts of a run that ended, as the message wants them."""
    facts = read_facts(instance, run.run_id)
    release = release_of(run.tags)
    status = status_of(run.status, dict(run.tags))
    bad = run.status is dg.DagsterRunStatus.FAILURE
    cause = run.tags.get(REASON_TAG, "") or facts.cause or (failure_of(instance, run.run_id).message if bad else "")
    return RunReport(
        outcome=outcome_of(run.status, any(not check.passed for check in facts.checks)),
        release=release,
        # A run of one asset alone reaches no stage, and a backup is of no release: Dagster's word is the only one then.
        status=status.value if STAGE_TAG in run.tags or (release and bad) else run.status.value,
        job=run.job_name,
        checks=tuple(facts.checks),
        seconds=facts.seconds,
        run_id=run.run_id,
        ui_url=settings.ui_url,
        counts={name: n for name, n in facts.counts.items() if not name.endswith(_CHANGE_ENDINGS)},
        changes={name: n for name, n in facts.counts.items() if name.endswith(_CHANGE_ENDINGS) and n},
        cause=cause,
        error=facts.error if bad else "",
        report_url=report_url(settings, release) if "release_report" in facts.metadata else "",
        **_commit_of(settings, run, facts),
    )


def report_url(settings: Settings, release: str) -> str:
    """Where people read the report of a release: in the UI."""
    return f"{settings.ui_url}/assets/release_report?view=partitions&partition={release}" if settings.ui_url else ""


def _commit_of(settings: Settings, run: dg.DagsterRun, facts: RunFacts) -> dict[str, object]:
    """Version and commit, from what the run says or else from the build it worked on."""
    sha, release = run.tags.get(COMMIT_TAG, ""), release_of(run.tags)
    raw: Mapping[str, object] = facts.metadata.get("raw_sequences", {})
    if raw:
        url = str(raw.get("commit", ""))
        return {
            "version": str(raw.get("version", "")),
            "commit_sha": sha,
            "commit_url": url if url.startswith("http") else "",
            "commit_message": str(raw.get("commit_message", "")),
            "commit_date": datetime.fromisoformat(str(raw["commit_date"])) if raw.get("commit_date") else None,
        }
    with suppress(BuildError):
        if is_release(release):
            built = read_manifest(csv_folder(settings, release), release)
            if built.commit.sha == sha:
                commit = built.commit
                said = {"commit_url": commit.url, "commit_message": commit.message, "commit_date": commit.date}
                return {"version": built.version, "commit_sha": sha, **said}
    return {"commit_sha": sha}


def outcome_of(status: dg.DagsterRunStatus, check_failed: bool) -> Outcome:
    """How people would call the end of a run."""
    if status is dg.DagsterRunStatus.CANCELED:
        return "canceled"
    if status is dg.DagsterRunStatus.FAILURE:
        return "failure"
    return "warning" if check_failed else "success"


def alert_sensors(settings: Settings) -> Iterable[dg.SensorDefinition]:
    """The sensors that report; on from the start where there is somebody to tell."""
    on = dg.DefaultSensorStatus.RUNNING if wanted(settings) else dg.DefaultSensorStatus.STOPPED
    yield _run_sensor(
        "alert_success", dg.DagsterRunStatus.SUCCESS, on, "went through, be it with failed checks that only warn (release runs)"
    )
    yield _run_sensor("alert_failure", dg.DagsterRunStatus.FAILURE, on, "failed and will not be retried (backups, too)")
    yield _run_sensor("alert_cancel", dg.DagsterRunStatus.CANCELED, on, "was canceled (backups, too)")


def _run_sensor(name: str, status: dg.DagsterRunStatus, on: dg.DefaultSensorStatus, when: str) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=name,
        default_status=on,
        minimum_interval_seconds=30,
        description=f"Sends one message for every run that {when}, by mail (GFE_NOTIFY_EMAIL) and services (GFE_NOTIFY_URLS).",
    )
    def report_run(context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason | None:
        result = alert(context.instance, settings, context.dagster_run.run_id)
        if result is None:
            return dg.SkipReason("there is nothing to tell, or it was told already")
        for problem in result.problems:
            context.log.error(problem)
        return None

    return report_run
