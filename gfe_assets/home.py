"""Where Dagster keeps runs and events, for the UI and the command line alike.

In: choosing and preparing that folder, opening the instance, and finding runs whose process died. Out: what runs do.

It is `DAGSTER_HOME` when that is set, else `dagster` in the data folder. A folder without `dagster.yaml` gets the
project's own.
"""

import os
import shutil
import sys
from pathlib import Path

import dagster as dg

from gfe_assets.locks import is_locked
from gfe_assets.settings import Settings

FOREGROUND_TAG = "gfe/foreground"
"""Marks a run that lives in a command line's own process; its lock file says whether that process still lives."""
_PROJECT_FILES = (Path(__file__).parents[1], Path(sys.prefix) / "share" / "gfe-assets")


def dagster_home(settings: Settings) -> Path:
    """The folder, made and with a `dagster.yaml`; from now on `DAGSTER_HOME` names it."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.data_folder / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        ours = next(folder / "dagster.yaml" for folder in _PROJECT_FILES if (folder / "dagster.yaml").is_file())
        shutil.copyfile(ours, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of the deployment; runs of command lines that were killed are marked failed first."""
    instance = dg.DagsterInstance.from_config(str(dagster_home(settings)))
    fail_dead_runs(instance)
    return instance


def foreground_lock(instance: dg.DagsterInstance, run_id: str) -> Path:
    """The lock file that the process of a foreground run holds as long as it lives."""
    return Path(instance.root_directory) / "foreground" / f"{run_id}.lock"


def fail_dead_runs(instance: dg.DagsterInstance) -> None:
    """Give the runs of dead command lines their end, and their place in the pools back."""
    alive = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=alive, tags={FOREGROUND_TAG: "true"})):
        lock = foreground_lock(instance, run.run_id)
        if not is_locked(lock):
            instance.report_run_failed(run, "The command line's process that ran this died before the run had ended.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            lock.unlink(missing_ok=True)
