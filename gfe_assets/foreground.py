"""One run of a job in the command line's own process, marked so that its death is noticed.

In: a job and what it is launched with. Out: preparing the instance (`home.py`), what the result means (`runs.py`,
`backups.py`).
"""

import logging
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from gfe_assets.home import FOREGROUND_TAG, foreground_lock, unusable_home
from gfe_assets.interrupts import interrupts
from gfe_assets.locks import locked
from gfe_assets.state import Status, mark

_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
_SKIPS = "dagster._core.execution.plan.active"
"""The module that warns, past a run's own log, of every check of a stage that is skipped on purpose."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM) came during the run `run_id`, which has ended: canceled, unless it was done already."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def run_in_foreground(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    job: str,
    *,
    config: dict[str, Any] | None = None,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job and wait for its end, whatever it is; Dagster's own log stays off the terminal.

    Raises:
        Interrupted: somebody asked the process to stop.
        SettingsError: Dagster's storage cannot be written any more; the next command will find the run dead.
    """
    logging.getLogger(_SKIPS).setLevel(logging.ERROR)
    run_id = str(uuid.uuid4())
    lock = foreground_lock(instance, run_id)
    with interrupts() as interrupted, locked(lock, f"run {run_id}", 0):
        try:
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                partition_key=partition_key,
                run_config={"loggers": _QUIET, **(config or {})},
                tags={FOREGROUND_TAG: run_id, **(tags or {})},
                run_id=run_id,
                raise_on_error=False,
            )
        except KeyboardInterrupt:  # before Dagster put off the signal, or a second one
            _cancel(instance, run_id)
            raise Interrupted(run_id) from None
        except SQLAlchemyError as error:
            raise unusable_home(Path(instance.root_directory), error) from error
        if interrupted():
            _cancel(instance, run_id)
            raise Interrupted(run_id)
    with suppress(FileNotFoundError):
        lock.unlink()
    return result


def _cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give an interrupted run its end; Dagster takes an interrupt from outside for a failure."""
    run = instance.get_run_by_id(run_id)
    if run and run.status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED):
        instance.report_run_canceled(run, "Stopped at the command line.")
        mark(
            instance, run_id, Status.ABORTED, reason="stopped at the command line (Ctrl-C); run it again to bring it to its end"
        )
