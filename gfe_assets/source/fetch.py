"""Bringing the files of a release into the data folder, all of them or none.

In: a source, a release, the data folder. Out: what the files mean (`hla/`), whether to run (`changes.py`).

    list objects at the commit → fingerprint → already pinned? else, in a temporary folder:
    download each file → compare with its listed git id → unpack → version check → manifest → rename

Nothing that is not complete and checked ever has the name of a pinned release. Fetches of one release wait for
each other by a lock file, which the system takes back from a process that dies.
"""

import errno
import fcntl
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gfe_assets.errors import ReleaseRefused, SourceError
from gfe_assets.progress import Progress, silent
from gfe_assets.source import models
from gfe_assets.source.download import Digests, download, pieces_of, write
from gfe_assets.source.flatfacts import FlatFileInspector, check_version
from gfe_assets.source.models import Commit, Source
from gfe_assets.source.pinned import UNPACKED, PinnedFile, RawRelease, content_digest, raw_folder, read_pinned, write_manifest
from gfe_assets.source.unpack import unpacked

_PARTIAL = ".partial"
KEPT = 2
"""How many contents of a release stay pinned: the one fetched last, and the one before, which a build may be reading."""


@dataclass(frozen=True)
class _Fetch:
    """One fetch: where from, what of it, and what the source lists at that commit."""

    source: Source
    release: str
    commit: Commit
    objects: Mapping[str, str]
    align: bool
    kir: bool
    progress: Progress

    @property
    def fingerprint(self) -> str:
        return models.fingerprint(self.objects, self.release, align=self.align, kir=self.kir)

    @property
    def tick_fingerprint(self) -> str:
        return models.tick_fingerprint(self.objects, self.release, align=self.align, kir=self.kir)


def fetch(
    source: Source,
    release: str,
    data_folder: Path,
    *,
    align: bool = False,
    kir: bool = False,
    commit: Commit | None = None,
    progress: Progress = silent,
) -> RawRelease:
    """Pin the files of a release at a commit (default: its tip) in the data folder, or find them pinned already.

    `progress` counts bytes of each file. What is pinned under the same fingerprint is reused without being read
    again; its record then carries `commit`, the one asked for.

    Raises:
        ReleaseNotFound: the source has no such release.
        ReleaseRefused: the release is incomplete, is another release, or holds a file not to trust.
        SourceUnavailable: the source does not answer, or what arrives is not what was listed.
        SourceError: KIR was asked for and there is no KIR file; the disk is full.
    """
    commit = commit or source.tip(release)
    run = _Fetch(source, release, commit, source.objects(release, commit.sha), align, kir, progress)
    home = raw_folder(data_folder, release) / run.fingerprint
    with _no_space_left(home.parent), _locked(home.parent):
        raw = read_pinned(home)
        if raw is None or (align and not raw.align) or (kir and not raw.kir):  # a release that lacks them has one fingerprint
            raw = _pin(run, home)
    return raw.model_copy(
        update={"commit": commit, "tick_fingerprint": run.tick_fingerprint, "superseded_by": _superseded_by(run)}
    )


def _pin(run: _Fetch, home: Path) -> RawRelease:
    """Fetch everything into a temporary folder beside `home`, then give it that name."""
    for leftover in home.parent.glob(f".*{_PARTIAL}"):  # of fetches that were killed: the lock is ours
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{home.name}.", suffix=_PARTIAL) as partial:
        folder = Path(partial) / home.name
        raw = _gather(run, folder)
        write_manifest(raw, folder)
        if home.exists():  # pinned once, but no longer intact
            home.rename(Path(partial) / "broken")
        folder.rename(home)
    _forget_old(home)
    return raw.model_copy(update={"folder": home})


def _forget_old(home: Path) -> None:
    """Remove what was pinned of the release longest ago; unpacked, each content has up to 300 MB."""
    pinned = [path for path in home.parent.iterdir() if not path.name.startswith(".") and path != home]
    for old in sorted(pinned, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        hidden = old.rename(old.with_name(f".{old.name}{_PARTIAL}"))  # no longer pinned, however far removing it comes
        shutil.rmtree(hidden)


def _gather(run: _Fetch, folder: Path) -> RawRelease:
    kir_path = _kir_path(run) if run.kir else None
    flat, inspector = models.flat_file(run.objects, run.release), FlatFileInspector()
    files = [_fetch_flat_file(run, folder, flat, UNPACKED, inspector)]
    facts = inspector.facts()
    version = check_version(facts, run.release, flat)  # before anything else is fetched
    files += [_fetch_plain_file(run, folder, path, object_id) for path, object_id in _other_files(run).items()]
    kir_inspector = FlatFileInspector()
    if kir_path:
        files.append(_fetch_flat_file(run, folder, kir_path, kir_path, kir_inspector))
    kir_facts = kir_inspector.facts()
    return RawRelease(
        release=run.release,
        commit=run.commit,
        fingerprint=run.fingerprint,
        tick_fingerprint=run.tick_fingerprint,
        content_digest=content_digest(files),
        align=run.align,
        kir=run.kir,
        version=version,
        versions=facts.versions,
        records=facts.records,
        kir_version=kir_facts.version,
        kir_records=kir_facts.records,
        files=tuple(files),
    )


def _other_files(run: _Fetch) -> dict[str, str]:
    paths = {path: run.objects[path] for path in (models.GROUPS_FILE, models.MD5_FILE) if path in run.objects}
    if run.align:
        paths.update(run.source.files_below(run.release, run.commit.sha, models.ALIGNMENTS_FOLDER))
    return paths


def _kir_path(run: _Fetch) -> str:
    for path in models.KIR_FILES:
        if path in run.objects:
            return path
    raise SourceError(
        f"KIR was asked for, but release {run.release} in {run.source.location} has no {' or '.join(models.KIR_FILES)}: "
        f"put the IPD-KIR flat file as {models.KIR_FILES[0]} beside hla.dat in a folder source, or run without KIR"
    )


def _fetch_plain_file(run: _Fetch, folder: Path, path: str, object_id: str) -> PinnedFile:
    came = _download(run, path, object_id, folder / path)
    return _pinned(path, object_id, came, path, came)


def _fetch_flat_file(run: _Fetch, folder: Path, path: str, kept: str, inspector: FlatFileInspector) -> PinnedFile:
    """Fetch a flat file, unpack it if it is a zip, and let `inspector` see its text."""
    arrived, target = folder / f".{path}.download", folder / kept
    came = _download(run, path, run.objects[path], arrived)
    zipped = path.endswith(".zip")
    content = unpacked(arrived, UNPACKED, run.release) if zipped else pieces_of(arrived)
    lies = write(_seen(content, inspector), target if zipped else None, f"bytes read of {kept}", run.progress)
    if zipped:
        arrived.unlink()
    else:
        arrived.rename(target)
    return _pinned(path, run.objects[path], came, kept, lies)


def _download(run: _Fetch, path: str, object_id: str, target: Path) -> Digests:
    return download(
        run.source, run.commit, path, release=run.release, object_id=object_id, target=target, progress=run.progress
    )


def _seen(content: Iterable[bytes], inspector: FlatFileInspector) -> Iterator[bytes]:
    for piece in content:
        inspector.feed(piece)
        yield piece


def _pinned(path: str, object_id: str, came: Digests, kept: str, lies: Digests) -> PinnedFile:
    return PinnedFile(
        path=path,
        object_id=object_id,
        size=came.size,
        md5=came.md5,
        sha256=came.sha256,
        kept=kept,
        kept_size=lies.size,
        kept_sha256=lies.sha256,
    )


def _superseded_by(run: _Fetch) -> str | None:
    """The commit at the tip, if it holds other content by now."""
    tip = run.source.tip(run.release)
    if tip.sha == run.commit.sha:
        return None
    try:
        objects = run.source.objects(run.release, tip.sha)
        now = models.fingerprint(objects, run.release, align=run.align, kir=run.kir)
    except ReleaseRefused:  # files are missing at the tip: the release is being replaced
        return tip.sha
    return tip.sha if now != run.fingerprint else None


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the one lock of a release's raw files; waits for another fetch of the same release."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _no_space_left(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SourceError(
            f"no space is left in {home} for the files of release {home.name}: free some and run again; "
            "nothing incomplete was kept"
        ) from None
