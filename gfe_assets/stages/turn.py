"""Whose turn it is to load: of the runs that commits asked for, the oldest release goes first.

In: waiting, between build and load. Out: the pool that lets one run write at a time (`load.py`), the order in which runs
start (their priority, `commits.py`).

Builds go side by side and end in any order, and a free place in the pool goes to whoever asks first: without this, 3.10.0 is
loaded before 3.9.0 whenever its build is the quicker one. The graph would be the same, but people read it as it grows.
"""

import time
from logging import Logger

import dagster as dg

from gfe_assets.commits import COMMIT_TRIGGER, TRIGGER_TAG, asked_by_commit
from gfe_assets.hla.release import parse_release, sort_names
from gfe_assets.home import fail_dead_runs, is_foreground
from gfe_assets.statuses import RELEASE_TAG

_POLL_SECONDS = 1.0
_UNDER_WAY = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def wait_for_older(instance: dg.DagsterInstance, run: dg.DagsterRun, wait_seconds: float, log: Logger) -> None:
    """Wait until no run of an older release is under way that a commit asked for, at most `wait_seconds`.

    A run that a person asked for does not wait, nor does anybody wait for it. No two runs can wait for each other.
    """
    if not asked_by_commit(run) or is_foreground(run):
        return
    deadline = time.monotonic() + wait_seconds
    told = False
    while (older := _older_under_way(instance, run.tags[RELEASE_TAG])) and time.monotonic() < deadline:
        if not told:
            log.info(f"built; waiting with the load for the runs of {', '.join(older)}")
            told = True
        time.sleep(_POLL_SECONDS)
        fail_dead_runs(instance)  # nobody waits for the dead


def _older_under_way(instance: dg.DagsterInstance, release: str) -> list[str]:
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY, tags={TRIGGER_TAG: COMMIT_TRIGGER}))
    own = parse_release(release)
    releases = {run.tags[RELEASE_TAG] for run in runs if asked_by_commit(run)}
    return sort_names({name for name in releases if parse_release(name) < own})
