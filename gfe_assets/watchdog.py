"""Telling people that the commit sensor has stopped working.

In: whether it is on and has had no good tick for a day; the Dagster sensor that looks. Out: the words and the sending
(`notify/`), how runs ended (`alerts.py`). Sensors are ticked by the daemon: whether that runs, its host has to watch.
"""

from datetime import datetime, timedelta, timezone

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, TickStatus  # no public way to read ticks

from gfe_assets.alerts import wanted
from gfe_assets.commits import SENSOR_NAME
from gfe_assets.notify.report import watchdog_message
from gfe_assets.notify.send import send
from gfe_assets.sensors import UNDECIDED
from gfe_assets.settings import Settings

HOURS = 24
_PATIENCE = timedelta(hours=HOURS)
_GOOD = [TickStatus.SUCCESS, TickStatus.SKIPPED]
_PAGE = 100


def watchdog(settings: Settings) -> dg.SensorDefinition:
    """The sensor that watches the commit sensor; on from the start where there is somebody to tell."""

    @dg.sensor(
        name="commit_watchdog",
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING if wanted(settings) else dg.DefaultSensorStatus.STOPPED,
        description=f"Sends a message when the commit sensor is on and has had no good tick for {HOURS} hours; one a day.",
    )
    def commit_watchdog(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
        now = datetime.now(timezone.utc)
        overdue = overdue_sensor(context.instance, now)
        if overdue is None:
            context.update_cursor("")
            return dg.SkipReason(f"{SENSOR_NAME} is off, or has ticked well in the last {HOURS} hours")
        if context.cursor and now - datetime.fromisoformat(context.cursor) < _PATIENCE:
            return dg.SkipReason(f"{SENSOR_NAME} is overdue; that was said within the last {HOURS} hours")
        result = send(watchdog_message(SENSOR_NAME, *overdue, settings.ui_url), settings)
        if result.sent_to or result.ok:  # else it is tried again in an hour
            context.update_cursor(now.isoformat())
        for problem in result.problems:
            context.log.error(problem)
        told = [f"told {address}" for address in result.sent_to]
        return dg.SkipReason(f"{SENSOR_NAME} is overdue: {'; '.join([*told, *result.problems])}")

    return commit_watchdog


def overdue_sensor(instance: dg.DagsterInstance, now: datetime) -> tuple[datetime | None, datetime, str] | None:
    """When the commit sensor is on and has had no good tick for a day: the last good one (None: none known), now, and why.

    A sensor that was switched on within the last day is given its day.
    """
    since = now - _PATIENCE
    for state in instance.all_instigator_state():
        if state.name != SENSOR_NAME or not state.is_running or _switched_on(state) > since:
            continue
        last_good = _last_good(instance, state)
        if last_good and last_good > since:
            continue
        newest = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if not newest:
            return None, now, "it has not ticked at all; is its code location loaded?"
        why = newest[0].error.message if newest[0].error else newest[0].tick_data.skip_reason
        return last_good, now, why or f"its newest tick is {newest[0].status.value}"
    return None


def _last_good(instance: dg.DagsterInstance, state: InstigatorState) -> datetime | None:
    """When the source answered last: where it does not, a tick ends well only in name. Dagster keeps ticks for a week."""
    before = None
    while ticks := instance.get_ticks(
        state.instigator_origin_id, state.selector_id, before=before, limit=_PAGE, statuses=_GOOD
    ):
        for tick in ticks:  # the newest first
            if not str(tick.tick_data.skip_reason or "").startswith(UNDECIDED):
                return _time(tick.timestamp)
        before = ticks[-1].timestamp
    return None


def _switched_on(state: InstigatorState) -> datetime:
    """When it was switched on; long ago where that is not known."""
    return _time(getattr(state.instigator_data, "last_sensor_start_timestamp", None) or 0)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
