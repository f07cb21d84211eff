"""Whether a run that a commit asked for has anything to do.

In: the decision, once the files are here, from what runs before it left in their tags. Out: which commits ask for runs
(`source/changes.py`), fetching (`source/fetch.py`).

The sensor sees ids of packed files and of folders, so it also asks for runs whose unpacked content is what is loaded already.
"""

import hashlib

import dagster as dg

from gfe_assets.commits import asked_by_commit
from gfe_assets.resources import LaunchParameters
from gfe_assets.settings import Settings
from gfe_assets.source.changes import is_excluded
from gfe_assets.source.models import ALIGNMENTS_FOLDER
from gfe_assets.source.pinned import RawRelease, content_digest
from gfe_assets.statuses import COMMIT_TAG, RELEASE_TAG, STAGE_TAG, Stage, Status, status_of

CONTENT_TAG = ".dagster/gfe/content"  # not shown in the UI


def needless(instance: dg.DagsterInstance, run: dg.DagsterRun, raw: RawRelease, settings: Settings, content: str) -> str:
    """Why a run that a commit asked for has nothing to do; empty when it has. Runs that a person asked for always go on.

    `content` is the run's `content_key`.
    """
    if not asked_by_commit(run):
        return ""
    if raw.superseded_by and not is_excluded(raw.superseded_by, settings.excluded_shas):
        return f"release {raw.release}: commit {raw.superseded_by[:10]} replaced {raw.commit.sha[:10]} before it was built"
    loaded = last_load(instance, raw.release)
    if loaded is None or loaded.tags.get(CONTENT_TAG) != content:
        return ""
    return (
        f"release {raw.release}: commit {raw.commit.sha[:10]} holds the same content as "
        f"{loaded.tags.get(COMMIT_TAG, '')[:10]}, which is loaded (the same sha256 after unpacking)"
    )


def last_load(instance: dg.DagsterInstance, release: str) -> dg.DagsterRun | None:
    """The run whose load of the release the graph holds: the last that came to loading, if all went well and stayed so."""
    loading = {STAGE_TAG: [Stage.LOAD.value, Stage.VALIDATE.value], RELEASE_TAG: release}
    for record in instance.get_run_records(dg.RunsFilter(tags=loading), limit=1):
        run = record.dagster_run
        if status_of(run.status, dict(run.tags)) is Status.LOAD_SUCCESS:
            return run if (record.end_time or 0) > _restored_at(instance) else None
    return None


def _restored_at(instance: dg.DagsterInstance) -> float:
    """When the graph was last taken back to a backup (`stages/backup.py` says so as an observation of it); 0 for never."""
    found = instance.fetch_observations(dg.AssetKey("gfe_graph"), limit=1).records
    return found[0].timestamp if found else 0.0


def content_key(raw: RawRelease, settings: Settings, parameters: LaunchParameters) -> str:
    """Identity of what a run would put into which graph, as a run tag; alignments are never loaded, so they do not count."""
    files = [file for file in raw.files if not file.path.startswith(f"{ALIGNMENTS_FOLDER}/")]
    wanted = f"{settings.loci} {parameters.limit} {parameters.kir} {settings.graph_location}"
    return hashlib.sha256(f"{content_digest(files)} {wanted}".encode()).hexdigest()[:40]
