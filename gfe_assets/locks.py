"""One holder at a time across processes: a lock file that the system takes back from a process that dies.

In: `locked`, which waits for the present holder and says whom it waits for. Out: what is guarded (the build
of a release, the raw files of a release, the writing of a graph).

A lock can be shared by several who only read; who does not share it waits for all of them.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gfe_assets.errors import Busy

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, purpose: str, wait_seconds: float, error: type[Busy] = Busy, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock file at `path`, which is made where it is missing and never removed; gives its open descriptor.

    A child process that inherits the descriptor holds the lock too, until it ends.

    `purpose` ("load of release 3580") is what others are shown who wait. A thread or process that holds the
    lock already and asks again waits for itself: do not nest.

    Raises:
        Busy: (or `error`) another process still held it after `wait_seconds`; names that process and its purpose.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, path, wait_seconds, error, shared=shared)
        file.seek(0)
        file.truncate()
        file.write(f"{purpose}, process {os.getpid()}")
        file.flush()
        yield file.fileno()  # closing the file releases the lock


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    try:
        with path.open("r", encoding="utf-8") as file:
            return not _try(file)
    except FileNotFoundError:
        return False


def _acquire(file: IO[str], path: Path, wait_seconds: float, error: type[Busy], *, shared: bool) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while not _try(file, shared=shared):
        holder = path.read_text(encoding="utf-8") or "another process"
        if time.monotonic() >= deadline:
            raise error(f"{path} is still held by the {holder} after {wait_seconds:g} s; try again when that has ended")
        if not told:
            _log.info("waiting for the %s", holder)
            told = True
        time.sleep(_POLL_SECONDS)


def _try(file: IO[str], *, shared: bool = False) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
