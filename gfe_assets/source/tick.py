"""One look at a repository: ask what there is, look at what moved, judge.

In: a source, the cursor of the last look, settings. Out: the judgement itself (`changes.py`), what follows from it
(`sensors.py`, `cli.py`). Either all of it succeeds or an exception is raised and the old cursor stays good.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from gfe_assets.errors import ReleaseRefused
from gfe_assets.progress import Progress, silent
from gfe_assets.source.changes import Process, decide, is_excluded, moved_tips
from gfe_assets.source.cursor import Cursor, Look, Tick
from gfe_assets.source.models import Source, Tip, tick_fingerprint

_AT_ONCE = 4
"""Tips looked at at the same time; few, since GitHub asks not to be asked in bursts."""


def tick(
    source: Source,
    cursor: Cursor,
    *,
    excluded: Collection[str] = (),
    process: Process = "none",
    align: bool = False,
    kir: bool = False,
    progress: Progress = silent,
) -> Tick | None:
    """Everything that has changed since `cursor`, or None when nothing has (one request with an ETag).

    `progress` counts tips looked at: one commit and one tree each.

    Raises:
        SourceUnavailable: the source does not answer; nothing is decided.
        SourceError: it does not hold what it lists; nothing is decided.
    """
    tips = source.tips(cursor.etag_for(excluded))
    if tips is None:
        return None
    moved = moved_tips(cursor, tips, excluded)
    looks: dict[str, Look] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(_look, source, tip, excluded, align=align, kir=kir) for tip in moved]
        try:
            for tip, future in zip(moved, futures, strict=True):
                looks[tip.release] = future.result()
                progress("tips looked at", len(looks), len(moved))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after a failure nothing more is asked
    return decide(cursor, tips, looks, excluded=excluded, process=process)


def _look(source: Source, tip: Tip, excluded: Collection[str], *, align: bool, kir: bool) -> Look:
    commit = source.commit(tip.release, tip.sha)
    if is_excluded(tip.sha, excluded):
        return Look(commit=commit, problem="not looked at")
    try:
        objects = source.root_objects(tip.release, tip.sha)
        return Look(commit=commit, fingerprint=tick_fingerprint(objects, tip.release, align=align, kir=kir))
    except ReleaseRefused as incomplete:
        return Look(commit=commit, problem=str(incomplete))
