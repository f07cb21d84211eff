"""`gfe-assets sync`: one tick of the commit sensor from the shell, then its runs, oldest release first.

In: the tick, recording it, and running what it asks for in the foreground. Out: looking and deciding
(`source/tick.py`), one run (`runs.py`), printing.

What was asked for is written down before the first run starts, and crossed out when its run has ended, so that a `sync` that
is killed is gone on with by the next one, the run in which it was killed included. A run key that the sensor has run, or that
was tried three times, is not run again. One `sync` at a time.
"""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import dagster as dg

from gfe_assets.alerts import alert_forgotten
from gfe_assets.backups import backup_after
from gfe_assets.commits import (
    RUN_KEY_TAG,
    call_off_replaced,
    keep_cursor,
    newest_cursor,
    observations,
    run_tags,
)
from gfe_assets.definitions import build_defs
from gfe_assets.errors import SettingsError
from gfe_assets.home import is_foreground, open_instance
from gfe_assets.locks import locked
from gfe_assets.partitions import add_releases
from gfe_assets.progress import Progress
from gfe_assets.runs import RunOutcome, run_release
from gfe_assets.settings import Settings
from gfe_assets.source.changes import Process
from gfe_assets.source.cursor import Decision, Tick
from gfe_assets.source.open import open_source
from gfe_assets.source.tick import tick
from gfe_assets.stages.secure import BATCH_TAG

_PENDING_KEY = "gfe_assets/sync_pending"
_ATTEMPTS = 3
_UNFINISHED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def checked_process(text: str | None) -> Process | None:
    """The value of `--process`.

    Raises:
        SettingsError: it is none of the three.
    """
    if text is None:
        return None
    for value in get_args(Process):
        if text == value:
            return value  # type: ignore[no-any-return] # one of Process's own values
    raise SettingsError(f"--process {text!r} is not one of {', '.join(get_args(Process))}")


def synchronise(
    settings: Settings,
    listener: Progress,
    *,
    process: Process | None = None,
    run: bool = True,
    decided: Callable[[Tick | None], None] | None = None,
    ended: Callable[[RunOutcome], None] | None = None,
) -> tuple[Tick | None, list[RunOutcome]]:
    """Look once, record what was found, then run what it asks for; None when nothing has changed.

    Raises:
        Busy: another `sync` is under way.
        SourceUnavailable: the source does not answer; nothing is recorded.
        Interrupted: somebody asked the process to stop; the next `sync` goes on.
        BackupError: the backup after the loads was asked for and failed.
    """
    with (
        open_instance(settings) as instance,
        locked(Path(instance.root_directory) / "sync.lock", "gfe-assets sync", 0),
    ):
        alert_forgotten(instance, settings)
        found = tick(
            open_source(settings),
            newest_cursor(instance),
            excluded=settings.excluded_shas,
            process=process or settings.process_existing,
            progress=listener,
        )
        if found:
            _record(instance, found, run=run)
        if decided:
            decided(found)
        return found, _run_pending(instance, settings, listener, ended) if run else []


def _record(instance: dg.DagsterInstance, found: Tick, *, run: bool) -> None:
    """Partitions, events, what is still to run, and the cursor last."""
    call_off_replaced(instance, found)
    add_releases(instance, [decision.branch for decision in found.decisions if decision.commit])
    for event in observations(found, runs=run):
        instance.report_runless_asset_event(event)
    if run:
        _keep_pending(instance, [*_pending(instance), *found.runs])
    keep_cursor(instance, found.cursor)


def _run_pending(
    instance: dg.DagsterInstance, settings: Settings, listener: Progress, ended: Callable[[RunOutcome], None] | None
) -> list[RunOutcome]:
    definitions = build_defs(settings, progress=lambda _: listener)
    outcomes = []
    batch = {BATCH_TAG: str(uuid.uuid4())}
    with backup_after(instance, definitions, settings, loads=bool(_pending(instance))):
        while waiting := _pending(instance):
            decision = waiting[0]
            if _is_to_run(instance, str(decision.run_key)):
                tags = {**run_tags(decision), **batch, RUN_KEY_TAG: str(decision.run_key)}
                outcomes.append(run_release(instance, settings, definitions, decision.branch, tags=tags, ended=ended))
            _keep_pending(instance, waiting[1:])
    return outcomes


def _is_to_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether a key that still waits has no run but such as were killed in the middle of a `sync`, and fewer than three."""
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return len(runs) < _ATTEMPTS and all(is_foreground(run) and run.status in _UNFINISHED for run in runs)


def _pending(instance: dg.DagsterInstance) -> list[Decision]:
    """What was asked for and not run yet, oldest release first; of one release only the newest commit."""
    text = instance.run_storage.get_cursor_values({_PENDING_KEY}).get(_PENDING_KEY)
    return [Decision.model_validate(each) for each in json.loads(text)] if text else []


def _keep_pending(instance: dg.DagsterInstance, decisions: list[Decision]) -> None:
    newest = {decision.branch: decision for decision in decisions}
    ordered = sorted(newest.values(), key=lambda decision: int(run_tags(decision)["dagster/priority"]), reverse=True)
    texts = [decision.model_dump(mode="json") for decision in ordered]
    instance.run_storage.set_cursor_values({_PENDING_KEY: json.dumps(texts)})
