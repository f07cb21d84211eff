"""Backups and restores of the command line: runs in the foreground, like those of releases.

In: making and restoring a backup as a run of its job, and one after a batch of loads. Out: the jobs (`stages/backup.py`),
printing (`cli.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from gfe_assets.alerts import alert
from gfe_assets.definitions import build_defs
from gfe_assets.errors import BackupError
from gfe_assets.facts import read_facts
from gfe_assets.foreground import run_in_foreground
from gfe_assets.graph.backup import needs_backup
from gfe_assets.graph.backup_folder import find_backup
from gfe_assets.graph.backup_format import BackupManifest, read_manifest
from gfe_assets.graph.open import open_store
from gfe_assets.graph.restore import Restored
from gfe_assets.home import open_instance
from gfe_assets.progress import Progress
from gfe_assets.settings import Settings
from gfe_assets.stages.backup import AFTER_LOADS, backup_config


def make_backup(settings: Settings, listener: Progress, reason: str) -> BackupManifest:
    """Make a backup as a run of `backup_job`.

    Raises:
        BackupError: the run failed; says why.
    """
    definitions = build_defs(settings, progress=lambda _: listener)
    with open_instance(settings) as instance:
        return _back_up(instance, definitions, settings, reason)


def restore_backup(settings: Settings, listener: Progress, name: str, *, replace: bool) -> Restored:
    """Restore a backup (its name, or the path of its folder) as a run of `restore_job`.

    Raises:
        BackupError: there is no such backup, or the run failed; says why.
    """
    path = find_backup(settings.backups_folder, name)
    definitions = build_defs(settings, progress=lambda _: listener)
    config = {"ops": {"restore_graph": {"config": {"name": str(path), "replace": replace}}}}
    with open_instance(settings) as instance:
        result = run_in_foreground(instance, definitions, "restore_job", config=config)
        if not result.success:
            raise BackupError(_cause(instance, settings, result.run_id))
    observed = next(event for event in result.all_events if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION)
    return Restored.model_validate(observed.asset_observation_data.asset_observation.metadata["restored"].value)


@contextmanager
def backup_after(
    instance: dg.DagsterInstance, definitions: dg.Definitions, settings: Settings, *, loads: bool
) -> Iterator[None]:
    """Back up after a batch of loads, where GFE_BACKUP_AROUND_LOADS asks for it and they have changed anything.

    The backup before is the first load's affair (`stages/secure.py`): most often it is the one after the batch before.

    Raises:
        BackupError: the backup failed.
    """
    yield
    if not (loads and settings.backup_around_loads):
        return
    with open_store(settings).reader() as reader:
        needed = needs_backup(settings.backups_folder, reader)
    if needed:
        _back_up(instance, definitions, settings, AFTER_LOADS)


def _back_up(instance: dg.DagsterInstance, definitions: dg.Definitions, settings: Settings, reason: str) -> BackupManifest:
    result = run_in_foreground(instance, definitions, "backup_job", config=backup_config(reason))
    facts = read_facts(instance, result.run_id)
    if not result.success:
        raise BackupError(_cause(instance, settings, result.run_id))
    return read_manifest(Path(str(facts.metadata["graph_backup"]["folder"])))


def _cause(instance: dg.DagsterInstance, settings: Settings, run_id: str) -> str:
    """Why a run failed; those who want to be told are told, too."""
    alert(instance, settings, run_id)
    facts = read_facts(instance, run_id)
    return facts.cause or facts.error
