"""Where Dagster keeps runs and events, for the UI and the command line alike.

In: choosing and preparing that folder, opening the instance, and finding runs whose process died. Out: what runs do.

It is `DAGSTER_HOME` when that is set, else `dagster` in the data folder. A folder without `dagster.yaml` gets the
project's own.

Runs of the command line do not queue in the pools: a step that waits there keeps a processor busy, says nothing, and
waits for ever when the one before it was killed. They need no pool, because the store's own lock lets one of all
processes write, says for whom it waits, and dies with its holder (`locks.py`). Nor is what they print caught for the
UI: that is the terminal's, and catching takes two processes more for every step, which end with a traceback on Ctrl-C.
"""

import atexit
import fcntl
import os
import shutil
import sys
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef  # the only way to open an instance with a setting of one's own
from sqlalchemy.exc import SQLAlchemyError

from gfe_assets.errors import SettingsError
from gfe_assets.locks import is_locked
from gfe_assets.settings import Settings
from gfe_assets.statuses import settle

FOREGROUND_TAG = "gfe/foreground"
"""Marks a run that lives in a command line's own process, by its own id: a re-execution from the UI inherits the tag, but has
another id. Its lock file says whether that process still lives."""
_ALIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_OF_COMMAND_LINES = {
    "concurrency": {"pools": {"granularity": "run"}},
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}
"""What instances of command lines have instead of what stands in `dagster.yaml`."""
_PROJECT_FILES = (Path(__file__).parents[1], Path(sys.prefix) / "share" / "gfe-assets")


def dagster_home(settings: Settings) -> Path:
    """The folder, made and with a `dagster.yaml`; from now on `DAGSTER_HOME` names it.

    Raises:
        SettingsError: it cannot be made.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.data_folder / "dagster").resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(project_file("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise unusable_home(home, error) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def project_file(name: str) -> Path:
    """A file that comes with the project: in its folder, or where installing put it."""
    return next(folder / name for folder in _PROJECT_FILES if (folder / name).is_file())


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of the deployment; runs of command lines that were killed are marked failed first.

    Raises:
        SettingsError: the folder, its `dagster.yaml` or its storage cannot be used.
    """
    home = dagster_home(settings)
    try:
        instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=_OF_COMMAND_LINES))
        fail_dead_runs(instance)
    except (dg.DagsterError, OSError, SQLAlchemyError) as error:
        raise unusable_home(home, error) from error
    return instance


def unusable_home(home: Path, error: Exception) -> SettingsError:
    """What is wrong with the folder, or with what `dagster.yaml` in it says, and what to do."""
    reason = getattr(error, "strerror", None) or str(getattr(error, "orig", None) or error).splitlines()[0]
    return SettingsError(
        f"the folder {home} for Dagster's runs cannot be used ({reason}); see that there is room and that this user can "
        "write there, or set GFE_DATA_URI or DAGSTER_HOME to another one"
    )


def foreground_lock(instance: dg.DagsterInstance, run_id: str) -> Path:
    """The lock file that the process of a run holds as long as it lives."""
    return _locks(instance) / f"{run_id}.lock"


def is_foreground(run: dg.DagsterRun) -> bool:
    """Whether a run lives, or lived, in a command line's own process."""
    return run.tags.get(FOREGROUND_TAG) == run.run_id


def hold_while_alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Hold the lock file of a run until this process ends, however it ends; false where that was done before."""
    path = foreground_lock(instance, run_id)
    if is_locked(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{run_id}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_RDWR, 0o644)  # left open: the system lets go of it when we end
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, f"run {run_id}, process {os.getpid()}".encode())
    temporary.rename(path)  # never there without its lock: others would take the run for dead
    atexit.register(path.unlink, missing_ok=True)
    return True


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Give the runs whose process died their end, and their place in the pools back; the ids of those ended.

    Dead is a run whose lock file nobody holds. A command line makes one before its run begins, other runs make theirs with
    their first stage: before that, and on other machines, Dagster's own monitoring has to find out.
    """
    alive = instance.get_runs(dg.RunsFilter(statuses=_ALIVE))
    dead = [run for run in alive if is_foreground(run) and not foreground_lock(instance, run.run_id).exists()]
    for lock in _locks(instance).glob("*.lock"):
        run = instance.get_run_by_id(lock.stem)  # first this: nobody may touch the lock of a run that is about to begin
        if run and not is_locked(lock):
            dead.append(run)
            lock.unlink(missing_ok=True)
    return [run.run_id for run in dead if _end(instance, run)]


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Free the places of a dead run and settle its tags; whether it still had to be given its end."""
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    known = instance.get_run_by_id(run.run_id)
    if known is None or known.is_finished:
        return False
    died = "the process of this run died before the run had ended"
    if known.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(known, died)
    else:
        instance.report_run_failed(known, died)
    settle(instance, run.run_id)
    return True


def _locks(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "foreground"
