"""Runs in the foreground: what the command line does is a Dagster run, so that the UI shows it too.

In: running releases with one of the jobs in this process, oldest first, and what came out of it. Out: runs that
Dagster's daemon starts; how things are printed (`cli.py`).
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from logging import Logger
from typing import Any

import dagster as dg
from pydantic import BaseModel

from gfe_assets.alerts import alert, alert_forgotten
from gfe_assets.backups import backup_after
from gfe_assets.definitions import build_defs
from gfe_assets.facts import read_facts
from gfe_assets.failures import failure_of
from gfe_assets.foreground import Interrupted, run_in_foreground
from gfe_assets.hla.release import parse_release
from gfe_assets.home import open_instance
from gfe_assets.partitions import add_releases
from gfe_assets.progress import Progress
from gfe_assets.settings import Settings
from gfe_assets.source.open import open_source
from gfe_assets.stages.secure import BATCH_TAG
from gfe_assets.state import COMMIT_TAG, REASON_TAG, RELEASE_TAG, Status, status_of

_log = logging.getLogger(__name__)


class RunOutcome(BaseModel):
    """What a run came to; `model_dump` of it is the JSON object of `gfe-assets run --json`.

    `counts` are the numbers of the build and what the load inserted, updated and deleted; `checks` says which passed;
    `seconds` are those of each stage that finished.
    """

    release: str
    commit_sha: str
    status: Status
    reason: str
    run_id: str
    counts: dict[str, int]
    checks: dict[str, bool]
    seconds: dict[str, float]


def run_release(
    instance: dg.DagsterInstance,
    settings: Settings,
    definitions: dg.Definitions,
    release: str,
    *,
    job: str = "release_job",
    parameters: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    ended: Callable[[RunOutcome], None] | None = None,
) -> RunOutcome:
    """Run a release in this process, wait for its end and report it. Never raises for a failed run: the outcome says why.

    `parameters` are those of `LaunchParameters`; `ended` is told the outcome, an interrupted run's too.

    Raises:
        Interrupted: somebody asked the process to stop; nothing else should be run then.
    """
    add_releases(instance, [release])
    config = {"resources": {"parameters": {"config": parameters}}} if parameters and job != "load_job" else None
    run_tags = {RELEASE_TAG: release, **(tags or {})}
    interrupted: Interrupted | None = None
    try:
        run_id = run_in_foreground(instance, definitions, job, config=config, partition_key=release, tags=run_tags).run_id
    except Interrupted as error:
        interrupted, run_id = error, error.run_id
    sent = alert(instance, settings, run_id)
    for problem in sent.problems if sent else ():
        _log.warning("%s", problem)
    found = outcome(instance, run_id, release)
    if ended:
        ended(found)
    if interrupted:
        raise interrupted
    return found


def run_releases(
    settings: Settings,
    releases: Sequence[str],
    listener: Progress,
    *,
    job: str,
    parameters: dict[str, Any],
    ended: Callable[[RunOutcome], None] | None = None,
) -> list[RunOutcome]:
    """Run releases (names or versions) oldest first, each once; one that fails does not stop the next.

    Raises:
        Interrupted: somebody asked the process to stop; later releases are not run.
        ReleaseNameError: a text is no release.
        ReleaseNotFound: the source does not have one of them; nothing is run then.
        BackupError: a backup after them was asked for and failed; without the one before nothing is loaded.
    """
    names = [release.name for release in sorted({parse_release(text) for text in releases})]
    source = open_source(settings)
    for name in names:
        source.tip(name)

    def progress(_logger: Logger) -> Progress:
        return listener

    definitions = build_defs(settings, progress=progress)
    tags = {BATCH_TAG: str(uuid.uuid4())}
    with open_instance(settings) as instance, backup_after(instance, definitions, settings, loads=job != "build_job"):
        alert_forgotten(instance, settings)
        return [
            run_release(instance, settings, definitions, name, job=job, parameters=parameters, tags=tags, ended=ended)
            for name in names
        ]


def outcome(instance: dg.DagsterInstance, run_id: str, release: str) -> RunOutcome:
    """Read what a run came to from its tags and events."""
    run = instance.get_run_by_id(run_id)
    tags = dict(run.tags) if run else {}
    status = status_of(run.status, tags) if run else Status.EXECUTION_FAILED
    facts = read_facts(instance, run_id)
    reason = tags.get(REASON_TAG, "") or facts.cause
    if status.bad and not reason:
        reason = f"release {release}: {failure_of(instance, run_id).message}"
    return RunOutcome(
        release=release,
        commit_sha=tags.get(COMMIT_TAG, ""),
        status=status,
        reason=reason,
        run_id=run_id,
        counts=facts.counts,
        checks={check.name: check.passed for check in facts.checks},
        seconds=facts.seconds,
    )
