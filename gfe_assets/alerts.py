"""Telling people how runs ended: one message a run, and one when the commit sensor has stopped working.

In: from a run that ended to the message that is sent; the Dagster sensors that do it. Out: the words and the sending
(`notify/`).

Runs that the daemon executes are reported by run status sensors, those of a command line by that command line (it may have no
daemon). A tag on the run makes sure that it is reported once.
"""

from datetime import datetime, timedelta, timezone

import dagster as dg

from gfe_assets.commits import SENSOR_NAME
from gfe_assets.facts import read_facts
from gfe_assets.home import is_foreground
from gfe_assets.notify.models import Outcome, RunReport
from gfe_assets.notify.report import message, watchdog_message
from gfe_assets.notify.send import SendResult, send
from gfe_assets.settings import Settings
from gfe_assets.stages.report import report_path
from gfe_assets.state import COMMIT_TAG, REASON_TAG, RELEASE_TAG, Status, status_of

ALERTED_TAG = "gfe/alerted"
WILL_RETRY_TAG = "dagster/will_retry"
_CHANGE_ENDINGS = ("_inserted", "_updated", "_deleted")
_WATCHDOG_HOURS = 24


def alert(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> SendResult | None:
    """Send the message of a run that ended; None when there is nobody to tell, or nothing to tell (yet, or any more).

    A run that will be retried is not reported, its retry is. What could not be sent stands in the run's tag.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or not (settings.notify_urls or settings.notify_email):
        return None
    if ALERTED_TAG in run.tags or run.tags.get(WILL_RETRY_TAG) == "true" or not _release_of(run):
        return None
    instance.add_run_tags(run_id, {ALERTED_TAG: "sending"})
    result = send(message(run_report(instance, settings, run)), settings)
    told = "; ".join(result.problems) or f"sent to {', '.join(result.sent_to)}"
    instance.add_run_tags(run_id, {ALERTED_TAG: told})
    return result


def run_report(instance: dg.DagsterInstance, settings: Settings, run: dg.DagsterRun) -> RunReport:
    """The facts of a run that ended, as the message wants them."""
    facts = read_facts(instance, run.run_id)
    release, status = _release_of(run), status_of(run.status, dict(run.tags))
    raw = facts.metadata.get("raw_sequences", {})
    page = report_path(settings, release)
    return RunReport(
        outcome=outcome_of(run.status, any(not check.passed for check in facts.checks)),
        release=release,
        version=str(raw.get("version", "")),
        status=status.value,
        job=run.job_name,
        commit_sha=run.tags.get(COMMIT_TAG, ""),
        commit_url=str(raw.get("commit", "")) if str(raw.get("commit", "")).startswith("http") else "",
        commit_message=str(raw.get("commit_message", "")),
        checks=tuple(facts.checks),
        seconds=facts.seconds,
        run_id=run.run_id,
        ui_url=settings.ui_url,
        counts={name: n for name, n in facts.counts.items() if not name.endswith(_CHANGE_ENDINGS)},
        changes={name: n for name, n in facts.counts.items() if name.endswith(_CHANGE_ENDINGS) and n},
        cause=run.tags.get(REASON_TAG, "") or facts.cause,
        error="" if status.good else facts.error,
        report_url=str(page) if status is Status.LOAD_SUCCESS and page.is_file() else "",
    )


def outcome_of(status: dg.DagsterRunStatus, check_failed: bool) -> Outcome:
    """How people would call the end of a run."""
    if status is dg.DagsterRunStatus.CANCELED:
        return "canceled"
    if status is dg.DagsterRunStatus.FAILURE:
        return "failure"
    return "warning" if check_failed else "success"


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors that report; on from the start where there is somebody to tell."""
    on = dg.DefaultSensorStatus.RUNNING if settings.notify_urls or settings.notify_email else dg.DefaultSensorStatus.STOPPED
    ends = {
        "alert_success": dg.DagsterRunStatus.SUCCESS,
        "alert_failure": dg.DagsterRunStatus.FAILURE,
        "alert_cancel": dg.DagsterRunStatus.CANCELED,
    }
    return [*(_run_sensor(name, status, on) for name, status in ends.items()), _watchdog(on)]


def _run_sensor(name: str, status: dg.DagsterRunStatus, on: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=name,
        default_status=on,
        minimum_interval_seconds=30,
        description=f"Sends one message for every run of a release that ended with {status.value}, failed checks included.",
    )
    def report_run(context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason | None:
        run = context.dagster_run
        if is_foreground(run):
            return dg.SkipReason("the command line that ran it reports it")
        result = alert(context.instance, settings, run.run_id)
        if result is None:
            return dg.SkipReason("there is nothing to tell")
        for problem in result.problems:
            context.log.error(problem)
        return None

    return report_run


def _watchdog(on: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="commit_watchdog",
        minimum_interval_seconds=3600,
        default_status=on,
        description=f"Sends a message when the commit sensor is on and has had no good tick for {_WATCHDOG_HOURS} hours.",
    )
    def commit_watchdog(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
        now = datetime.now(timezone.utc)
        overdue = overdue_sensor(context.instance, now)
        if overdue is None:
            context.update_cursor("")
            return dg.SkipReason(f"{SENSOR_NAME} is off, or has ticked well in the last {_WATCHDOG_HOURS} hours")
        last_good, reason = overdue
        if context.cursor and now - datetime.fromisoformat(context.cursor) < timedelta(hours=_WATCHDOG_HOURS):
            return dg.SkipReason("said already today")
        result = send(watchdog_message(SENSOR_NAME, last_good, now, reason, settings.ui_url), settings)
        context.update_cursor(now.isoformat())
        return dg.SkipReason("; ".join(result.problems) or f"sent to {', '.join(result.sent_to)}")

    return commit_watchdog


def overdue_sensor(instance: dg.DagsterInstance, now: datetime) -> tuple[datetime | None, str] | None:
    """The last good tick (None: none known) and the newest error, when the sensor is on and has not ticked well for a day."""
    since = now - timedelta(hours=_WATCHDOG_HOURS)
    for state in instance.all_instigator_state():
        if state.name != SENSOR_NAME or not state.is_running:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=200)
        good = [tick.timestamp for tick in ticks if tick.status.value in ("SUCCESS", "SKIPPED") and not _put_off(tick)]
        last_good = datetime.fromtimestamp(max(good), timezone.utc) if good else None
        started = datetime.fromtimestamp(min(tick.timestamp for tick in ticks), timezone.utc) if ticks else now
        if (last_good or started) < since:
            newest = ticks[0]
            return last_good, newest.error.message if newest.error else newest.tick_data.skip_reason or ""
    return None


def _put_off(tick: object) -> bool:
    """Whether a tick ended well only in name: the source did not answer."""
    return str(getattr(getattr(tick, "tick_data", None), "skip_reason", "") or "").startswith("nothing was decided")


def _release_of(run: dg.DagsterRun) -> str:
    return run.tags.get(RELEASE_TAG) or run.tags.get("dagster/partition", "")
