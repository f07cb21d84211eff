"""A folder of releases as a source: for sites without a network, for tests, for the demo.

In: `<root>/<release>/…` with the files of a release branch under their repository-relative names, and
perhaps a `commit.json` beside them:

    <root>/3580/hla.dat.zip (or hla.dat)   wmda/hla_nom_g.txt   msf/*.msf   md5checksum.txt   commit.json

`commit.json` holds `sha`, `date` (ISO 8601) and `message` of the commit that the files are from. Without it
the commit is derived from the content: its sha is the git id of a tree of the tracked files, so the same
files always give the same sha and another content another one; its date is that of the newest file.
Object ids are computed as git does, so fingerprints are those of the GitHub source for the same files.
Out: keeping files (`fetch.py`), what is new (`changes.py`).

A folder has no history: only the commit that it holds now can be read.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from gfe_assets.errors import ReleaseNotFound, SourceError
from gfe_assets.hla.release import is_release, sort_names
from gfe_assets.source.gitobjects import FILE_MODE, TREE_MODE, TreeEntry, file_blob_id, folder_ids, tree_id
from gfe_assets.source.models import (
    ALIGNMENTS_FOLDER,
    GROUPS_FILE,
    GROUPS_FOLDER,
    ROOT_PATHS,
    Commit,
    Tip,
    Tips,
)

COMMIT_FILE = "commit.json"
_SETTLED_SECONDS = 2.0
"""A file changed less than this before it was read may change again under the same time stamp: its id is not remembered."""


class _CommitFile(BaseModel):
    sha: str
    date: datetime
    message: str = ""
    url: str = ""


class FolderSource:
    """Releases in a folder. Thread-safe as far as the file system is; remembers the ids of files that did not change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    @property
    def location(self) -> str:
        """The folder as a `file://` URI."""
        return self.root.absolute().as_uri()

    def releases(self) -> list[str]:
        """Names of the releases in the folder, in release order.

        Raises:
            SourceError: the folder is not there.
        """
        return sort_names([name for name in self._subfolders() if is_release(name)])

    def tips(self, etag: str = "") -> Tips | None:
        """All releases with their commits, or None when they are as they were at `etag` (see `Source.tips`)."""
        tips = tuple(Tip(release=release, sha=self.tip(release).sha) for release in self.releases())
        others = tuple(sorted(name for name in self._subfolders() if not is_release(name)))
        now = hashlib.sha1(repr([(tip.release, tip.sha) for tip in tips]).encode()).hexdigest()
        return None if now == etag else Tips(tips=tips, others=others, etag=now)

    def tip(self, release: str) -> Commit:
        """The commit that the folder of a release holds (see `Source.tip`)."""
        folder = self._folder(release)
        described = folder / COMMIT_FILE
        if not described.is_file():
            return self._derived_commit(folder)
        try:
            content = _CommitFile.model_validate_json(described.read_bytes())
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "the file"
            raise SourceError(
                f"{described} does not describe a commit: {where}: {problem['msg']}; write sha, date and message, or delete it"
            ) from None
        return Commit(sha=content.sha, date=_with_zone(content.date), message=content.message, url=content.url)

    def commit(self, release: str, sha: str) -> Commit:
        """The commit `sha`, if it is the one that the folder holds (see `Source.commit`)."""
        commit = self.tip(release)
        if commit.sha != sha:
            raise SourceError(
                f"{self.root / release} does not hold commit {sha} of release {release} but {commit.sha}: "
                "the folder has changed, or the commit is of another source; run the release again"
            )
        return commit

    def root_objects(self, release: str, sha: str) -> Mapping[str, str]:
        """Ids of the files and folders at the root of a release (see `Source.root_objects`)."""
        self.commit(release, sha)
        return self._root_objects(self._folder(release))

    def objects(self, release: str, sha: str) -> Mapping[str, str]:
        """Ids of all that a build may read (see `Source.objects`)."""
        objects = dict(self.root_objects(release, sha))
        groups = self._folder(release) / GROUPS_FILE
        return {**objects, GROUPS_FILE: self._blob_id(groups)} if groups.is_file() else objects

    def files_below(self, release: str, sha: str, folder: str) -> Mapping[str, str]:
        """Ids of the files in one folder of a release (see `Source.files_below`)."""
        self.commit(release, sha)
        path = self._folder(release) / _inside(folder)
        found = folder_ids(path, self._blob_id) if path.is_dir() else None
        return {f"{folder}/{name}": blob for name, blob in sorted(found.blobs.items())} if found else {}

    @contextmanager
    def open(self, release: str, sha: str, path: str) -> Iterator[BinaryIO]:
        """Open one file of a release (see `Source.open`); whoever reads checks what was read against its listed id."""
        self.commit(release, sha)
        file = self._folder(release) / _inside(path)
        try:
            stream = file.open("rb")
        except OSError as error:
            raise SourceError(f"{file} of release {release} cannot be read: {error.strerror}") from None
        with stream:
            yield stream

    def _subfolders(self) -> list[str]:
        if not self.root.is_dir():
            raise SourceError(f"the folder of releases {self.root} is not there: check GFE_SOURCE_URI")
        return [path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".")]

    def _folder(self, release: str) -> Path:
        folder = self.root / release
        if not is_release(release) or not folder.is_dir():
            there = ", ".join(self.releases()) or "none"
            raise ReleaseNotFound(
                f"release {release} is not in {self.root}: there is no folder {folder}; releases there: {there}"
            )
        return folder

    def _derived_commit(self, folder: Path) -> Commit:
        objects = self._root_objects(folder)
        folders = (GROUPS_FOLDER, ALIGNMENTS_FOLDER)
        sha = tree_id(TreeEntry(TREE_MODE if path in folders else FILE_MODE, path, oid) for path, oid in objects.items())
        times = [file.stat().st_mtime for path in objects for file in _files(folder / path)]
        return Commit(
            sha=sha,
            date=datetime.fromtimestamp(int(max(times, default=folder.stat().st_mtime)), timezone.utc),
            message=f"Derived from the content of {folder.name}, which has no {COMMIT_FILE}",
        )

    def _root_objects(self, folder: Path) -> dict[str, str]:
        objects: dict[str, str] = {}
        for name in ROOT_PATHS:
            path = folder / name
            if path.is_file():
                objects[name] = self._blob_id(path)
            elif path.is_dir() and (found := folder_ids(path, self._blob_id)):
                objects[name] = found.tree
        return objects

    def _blob_id(self, path: Path) -> str:
        before = path.stat()
        stamp = (before.st_size, before.st_mtime_ns, before.st_ino)
        known = self._known.get(path)
        if known and known[0] == stamp:
            return known[1]
        object_id = file_blob_id(path)
        if time.time() - max(before.st_mtime, before.st_ctime) > _SETTLED_SECONDS:
            self._known[path] = (stamp, object_id)
        return object_id


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _inside(path: str) -> PurePosixPath:
    """A repository-relative path; refuses one that leads out of the release."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise SourceError(f"{path!r} is not a path inside a release")
    return relative


def _with_zone(date: datetime) -> datetime:
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
