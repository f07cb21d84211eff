"""The folder of a deployment's backups: which there are, where a new one goes, which are old enough to go.

In: `<data>/backups`. Out: what a backup is (`backup_format.py`), making one (`backup.py`), using one (`restore.py`).

A backup is written in a hidden folder that is renamed at the end, and is renamed to a hidden one before it is removed; so
whatever has a name was once whole. Hidden folders of processes that were killed go when the next backup is made.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from gfe_assets.errors import BackupError
from gfe_assets.graph.backup_format import BackupManifest, read_manifest, verify
from gfe_assets.locks import locked

DEFAULT_REASON = "manual"
_LONGEST_REASON = 40
_LOCK = ".lock"
_TIME = "%Y%m%dT%H%M%SZ"


class BackupState(NamedTuple):
    """A folder among the backups; `problem` says why it cannot be restored, empty when it is intact."""

    path: Path
    manifest: BackupManifest | None
    problem: str

    @property
    def intact(self) -> bool:
        """Whether every byte is as it was written."""
        return not self.problem

    def record(self) -> dict[str, Any]:
        """As `gfe-assets backups --json` prints it; of a damaged one only what can still be told."""
        manifest = self.manifest
        return {
            "name": self.path.name,
            "created_at": manifest.created_at.isoformat(timespec="seconds") if manifest else None,
            "reason": manifest.reason if manifest else "",
            "releases": list(manifest.releases) if manifest else [],
            "nodes": sum(manifest.nodes.values()) if manifest else None,
            "edges": sum(manifest.edges.values()) if manifest else None,
            "accessions": manifest.accessions if manifest else None,
            "bytes": sum(file.stat().st_size for file in self.path.iterdir() if file.is_file()),
            "intact": self.intact,
            "problem": self.problem,
            "path": str(self.path),
        }


class NewBackup(NamedTuple):
    """A backup that is being written: its hidden folder, and the name that it will have."""

    folder: Path
    name: str


def list_backups(root: Path) -> list[BackupState]:
    """All backups, oldest first, each checked byte by byte."""
    return sorted((_state(path) for path in _folders(root)), key=_moment)


def newest_of(root: Path, releases: Sequence[str], since: datetime) -> Path | None:
    """The newest intact backup that was made at `since` (UTC) or later and holds these releases, in release order."""
    found = []
    for path in _folders(root):
        with suppress(BackupError):  # damaged: it counts for nothing
            found.append((read_manifest(path), path))
    for manifest, path in sorted(found, key=lambda pair: pair[0].created_at, reverse=True):
        if manifest.created_at >= since and manifest.releases == tuple(releases):
            with suppress(BackupError):
                verify(path, manifest)
                return path
    return None


def find_backup(root: Path, name: str) -> Path:
    """The folder of a backup, by its name or by a path such as `/media/copy/20261122T020000Z-daily`.

    Raises:
        BackupError: there is none; names those that there are.
    """
    path = Path(name).expanduser()
    if path.name == name and not name.startswith("."):
        path = root / name
    if name.strip() and path.is_dir():
        return path.resolve()
    known = [each.name for each in _folders(root)]
    there = f"there are {', '.join(known)}" if known else f"there are none in {root}"
    raise BackupError(f"there is no backup {name!r}; {there}")


@contextmanager
def new_backup(root: Path, reason: str, moment: datetime, wait_seconds: float) -> Iterator[NewBackup]:
    """A hidden folder for a backup made at `moment` (UTC); it takes its name at the end of the block, or goes.

    Raises:
        BackupError: the folder cannot be made or written.
        Busy: another process is writing a backup here.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / _LOCK, f"backup ({reason})", wait_seconds):
            _remove_leftovers(root)
            name = _free_name(root, f"{moment:{_TIME}}-{slug(reason)}")
            hidden = Path(tempfile.mkdtemp(prefix=f".{name}.partial-", dir=root))
            try:
                hidden.chmod(0o755)
                yield NewBackup(hidden, name)
                _sync(hidden)
                hidden.rename(root / name)
                _sync(root)
            finally:
                shutil.rmtree(hidden, ignore_errors=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        cause = getattr(error, "strerror", None) or error
        raise BackupError(
            f"backup in {root} cannot be written: {cause}; nothing of it is left. Make room, or give this user write access, "
            "then try again"
        ) from error


def prune(root: Path, keep: int) -> list[str]:
    """Remove the oldest backups until `keep` intact ones are left; gives the names of those removed.

    Damaged ones do not count, for they are no backups, and stay, for somebody may want to look at them.

    Raises:
        BackupError: one cannot be removed.
    """
    intact = [state.path for state in list_backups(root) if state.intact]
    old = intact[: max(0, len(intact) - keep)]
    for path in old:
        _remove(path)
    return [path.name for path in old]


def slug(reason: str) -> str:
    """The reason as a part of a folder's name: `after load of 3580` is `after-load-of-3580`."""
    return re.sub(r"[^a-z0-9]+", "-", reason.lower())[:_LONGEST_REASON].strip("-") or DEFAULT_REASON


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _state(path: Path) -> BackupState:
    manifest = None
    try:
        manifest = read_manifest(path)
        verify(path, manifest)
    except BackupError as error:
        return BackupState(path, manifest, str(error))
    return BackupState(path, manifest, "")


def _moment(state: BackupState) -> str:
    """When it was made; of one without a sound manifest its name says so."""
    return f"{state.manifest.created_at:%Y%m%dT%H%M%S.%f}" if state.manifest else state.path.name


def _free_name(root: Path, name: str) -> str:
    number, free = 1, name
    while (root / free).exists():
        number += 1
        free = f"{name}-{number}"
    return free


def _remove(path: Path) -> None:
    hidden = path.with_name(f".{path.name}.removed")
    try:
        path.rename(hidden)
        shutil.rmtree(hidden)
    except FileNotFoundError:
        pass  # another process was faster
    except OSError as error:
        raise BackupError(f"old backup {path} cannot be removed: {error.strerror or error}") from error


def _remove_leftovers(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir() and re.search(r"\.(partial-[^.]*|removed)$", path.name) and path.name.startswith("."):
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
