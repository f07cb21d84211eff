r"""Git object ids of files and folders, computed as git does, without git.

In: bytes, files, folders. Out: repositories, commits, compression. An id says what an object holds:

    blob   sha1( "blob <size>\0" + content )
    tree   sha1( "tree <size>\0" + entries ), an entry being "<mode> <name>\0" + the 20 bytes of its id,
           sorted by name as bytes, a folder's name counting as if it ended in "/"
           (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects)

So a folder of files has the ids that GitHub reports for the same files, and a download can be checked
against the id that was listed before it began.
"""

import hashlib
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
TREE_MODE = "40000"
CHUNK = 1 << 20
"""Bytes read at a time by everything in this package that streams."""


class TreeEntry(NamedTuple):
    """One line of a tree: `mode` is `100644`, `100755` or `40000`; `object_id` has 40 hexadecimal digits."""

    mode: str
    name: str
    object_id: str


def blob_id(stream: BinaryIO, size: int) -> str:
    """The git id of the `size` bytes that `stream` gives, read in pieces.

    A stream that is shorter or longer than `size` gives an id that fits nothing, as it should.
    """
    digest = hashlib.sha1(b"blob %d\0" % size)
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def file_blob_id(path: Path) -> str:
    """The git id of a file's content."""
    with path.open("rb") as stream:
        return blob_id(stream, path.stat().st_size)


def tree_id(entries: Iterable[TreeEntry]) -> str:
    """The git id of the folder that holds `entries`, given in any order."""
    body = b"".join(
        b"%s %s\0%s" % (entry.mode.encode(), entry.name.encode(), bytes.fromhex(entry.object_id))
        for entry in sorted(entries, key=_git_order)
    )
    return hashlib.sha1(b"tree %d\0%s" % (len(body), body)).hexdigest()


def _git_order(entry: TreeEntry) -> bytes:
    return (entry.name + "/" if entry.mode == TREE_MODE else entry.name).encode()


class FolderIds(NamedTuple):
    """The ids of a folder: its tree, and path relative to it → blob id of every file below."""

    tree: str
    blobs: dict[str, str]


def folder_ids(folder: Path, blob_of: Callable[[Path], str] = file_blob_id) -> FolderIds | None:
    """The ids of a folder and all below it, as git would give them; None if it holds no file (git knows no empty folder).

    Symbolic links are followed, since folders of releases are often put together from links; `.git` is left out.
    `blob_of` gives the id of one file; a caller that knows ids already passes its own.
    """
    entries: list[TreeEntry] = []
    blobs: dict[str, str] = {}
    for path in folder.iterdir():
        if path.is_file():
            executable = path.stat().st_mode & stat.S_IXUSR
            entries.append(TreeEntry(EXECUTABLE_MODE if executable else FILE_MODE, path.name, blob_of(path)))
            blobs[path.name] = entries[-1].object_id
        elif path.is_dir() and path.name != ".git" and (below := folder_ids(path, blob_of)):
            entries.append(TreeEntry(TREE_MODE, path.name, below.tree))
            blobs.update({f"{path.name}/{name}": object_id for name, object_id in below.blobs.items()})
    return FolderIds(tree_id(entries), blobs) if entries else None
