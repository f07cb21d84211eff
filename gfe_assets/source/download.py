"""One file of a release from the source to the disk, checked.

In: a source, a commit, a path with the git id that was listed for it, a target. Out: which files, what they
mean, where they stay (`fetch.py`). A file that does not arrive as listed is fetched again a few times.

Where a repository keeps a file in Git LFS, git lists the id of a pointer to it. GitHub's raw address gives the file itself,
which is checked against that id through the pointer that belongs to it; a source that gives the pointer is refused.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gfe_assets.errors import ReleaseRefused, SourceUnavailable
from gfe_assets.progress import Progress
from gfe_assets.source.gitobjects import CHUNK, blob_id, file_blob_id
from gfe_assets.source.models import Commit, Source

ATTEMPTS = 3
"""How often a file is fetched that does not arrive as it was listed."""
_LFS = b"version https://git-lfs"
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
"""A pointer to be written out in this form only, so that equal content has equal ids (git-lfs, docs/spec.md)."""
_HTML = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Digests:
    """Size in bytes, MD5 and SHA-256 of what was written."""

    size: int
    md5: str
    sha256: str


def download(
    source: Source, commit: Commit, path: str, *, release: str, object_id: str, target: Path, progress: Progress
) -> Digests:
    """Stream a file to `target` until it arrives with the git id that was listed for it.

    Raises:
        ReleaseRefused: the file is a Git LFS pointer.
        SourceUnavailable: what arrives is cut, corrupt, or a page about an error, every time.
    """
    problem = ""
    for _ in range(ATTEMPTS):
        with source.open(release, commit.sha, path) as stream:
            digests = write(pieces(stream), target, f"bytes fetched of {path}", progress)
        start = _start_of(target)
        if start.startswith(_LFS):
            raise ReleaseRefused(
                f"release {release} is refused: {path} at commit {commit.sha} in {source.location} is a Git LFS "
                "pointer, not the file; use a source that holds the files themselves"
            )
        found = file_blob_id(target)
        if object_id in (found, _pointer_id(digests)):
            return digests
        what = "an HTML page instead of the file" if start.lstrip().lower().startswith(_HTML) else "a cut or corrupt file"
        problem = f"{what}: its {digests.size:,} bytes have the git id {found}"
    raise SourceUnavailable(
        f"{path} of release {release} from {source.location} arrived {ATTEMPTS} times as {problem}, but commit {commit.sha} "
        f"lists {object_id}; try again later"
    )


def write(content: Iterable[bytes], target: Path | None, what: str, progress: Progress) -> Digests:
    """Write `content` to `target` (None: only look at it), digest it on the way, and report progress in bytes."""
    size, md5, sha256 = 0, hashlib.md5(), hashlib.sha256()
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
    with (target or Path(os.devnull)).open("wb") as out:
        for piece in content:
            size += len(piece)
            md5.update(piece)
            sha256.update(piece)
            out.write(piece)
            progress(what, size, None)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """The content of a stream in pieces of at most `CHUNK` bytes."""
    while piece := stream.read(CHUNK):
        yield piece


def pieces_of(path: Path) -> Iterator[bytes]:
    """The content of a file in pieces of at most `CHUNK` bytes."""
    with path.open("rb") as stream:
        yield from pieces(stream)


def _pointer_id(content: Digests) -> str:
    """The git id of the LFS pointer to a content."""
    pointer = _POINTER.format(content.sha256, content.size).encode()
    return blob_id(io.BytesIO(pointer), len(pointer))


def _start_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(200)
