"""One look at a repository: ask what there is, look at what moved, judge.

In: a source, the cursor of the last look, settings. Out: the judgement itself (`changes.py`), what follows from it
(`sensors.py`, `cli.py`). Either all of it succeeds or an exception is raised and the old cursor stays good.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from time import monotonic

from gfe_assets.errors import ReleaseRefused, SourceUnavailable
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
    within: float | None = None,
    progress: Progress = silent,
) -> Tick | None:
    """Everything that has changed since `cursor`, or None when nothing has (one request with an ETag).

    `progress` counts tips looked at: one commit and one tree each. `within` is how many seconds all may take; what a slow
    source has answered by then is remembered, so that the next look is quicker.

    Raises:
        SourceUnavailable: the source does not answer, or not in time; nothing is decided.
        SourceError: it does not hold what it lists; nothing is decided.
    """
    deadline = None if within is None else monotonic() + within
    tips = source.tips(cursor.etag_for(excluded))
    if tips is None:
        return None
    moved = moved_tips(cursor, tips, excluded)
    looks: dict[str, Look] = {}
    pool = ThreadPoolExecutor(_AT_ONCE)
    futures = [pool.submit(_look, source, tip, excluded, align=align, kir=kir) for tip in moved]
    try:
        for tip, future in zip(moved, futures, strict=True):
            looks[tip.release] = future.result(None if deadline is None else max(0.0, deadline - monotonic()))
            progress("tips looked at", len(looks), len(moved))
    except OutOfTime:
        raise SourceUnavailable(
            f"{source.location} is slow: {len(looks)} of {len(moved)} commits were looked at in {within:g} s; the next look "
            "goes on from there"
        ) from None
    finally:
        pool.shutdown(wait=within is None, cancel_futures=True)  # after a failure nothing more is asked
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
