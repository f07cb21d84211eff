"""What a source tells: releases, commits, git objects; and the fingerprint that says what is new.

In: typed records, the `Source` protocol, and pure functions of both. Out: talking to GitHub
(`github.py`), reading folders (`folder.py`), keeping files (`fetch.py`).

A commit says who touched the repository; the *fingerprint* says whether anything that a build reads has
changed. It is a digest of the git object ids of exactly those objects: the blob of `hla.dat.zip` (or of
`hla.dat`), the blob of `wmda/hla_nom_g.txt`, and with alignments the tree `msf` (DESIGN.md 4).

There are two of them, because looking costs requests. The sensor looks at many tips and may ask for one
tree each, the root, which names the folder `wmda` but not the files in it: its `tick_fingerprint` takes
the tree `wmda` in place of the blob. The raw stage asks for one release and computes the exact
`fingerprint`. Whatever changes the exact one changes the other too, so no change is missed; a change of another
file in `wmda` changes only the tick's, starts a run, and ends in the raw stage as SKIPPED.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

from pydantic import BaseModel, ConfigDict

from gfe_assets.errors import ReleaseRefused

FLAT_FILES = ("hla.dat.zip", "hla.dat")
"""The flat file, the first that exists: most branches have the zip, 3180 still has the plain file."""
GROUPS_FOLDER = "wmda"
GROUPS_FILE = f"{GROUPS_FOLDER}/hla_nom_g.txt"
ALIGNMENTS_FOLDER = "msf"
MD5_FILE = "md5checksum.txt"
KIR_FILES = ("KIR.dat", "kir.dat")
"""The IPD-KIR flat file, when a site puts one beside the release; read only when KIR is asked for."""
ROOT_PATHS = (*FLAT_FILES, GROUPS_FOLDER, ALIGNMENTS_FOLDER, MD5_FILE, *KIR_FILES)
"""What a root tree can tell: the entries of it that `Source.root_objects` reports where they exist."""


class Commit(BaseModel):
    """A commit of the source repository. `url` is its page for people, empty where there is none."""

    model_config = ConfigDict(frozen=True)

    sha: str
    date: datetime
    message: str
    url: str = ""


class Tip(BaseModel):
    """The newest commit of a release; `release` is the branch name."""

    model_config = ConfigDict(frozen=True)

    release: str
    sha: str


class Tips(BaseModel):
    """All branches at one moment: releases in release order, and the names of branches that are none (`Latest`).

    `etag` is what to show the source next time, so that nothing is sent if nothing has changed.
    """

    model_config = ConfigDict(frozen=True)

    tips: tuple[Tip, ...]
    others: tuple[str, ...] = ()
    etag: str = ""


class Source(Protocol):
    """Where releases come from. All content is asked for by commit, never by branch name."""

    @property
    def location(self) -> str:
        """The source for messages: its URI without secrets."""

    def tips(self, etag: str = "") -> Tips | None:
        """All releases with their newest commits; None if nothing has changed since the answer that carried `etag`.

        Raises:
            SourceUnavailable: the source does not answer.
        """

    def commit(self, release: str, sha: str) -> Commit:
        """Date and message of a commit.

        Raises:
            SourceError: the source has no such commit.
            SourceUnavailable: the source does not answer.
        """

    def root_objects(self, release: str, sha: str) -> Mapping[str, str]:
        """Path → git object id of those `ROOT_PATHS` that exist at this commit: enough for `tick_fingerprint`."""

    def tip(self, release: str) -> Commit:
        """The newest commit of a release.

        Raises:
            ReleaseNotFound: there is no such release; the message names some that there are.
            SourceUnavailable: the source does not answer.
        """

    def objects(self, release: str, sha: str) -> Mapping[str, str]:
        """`root_objects`, and the blob `wmda/hla_nom_g.txt` where it exists: enough for `fingerprint`."""

    def files_below(self, release: str, sha: str, folder: str) -> Mapping[str, str]:
        """Repository-relative path → git blob id of the files in a folder at this commit; empty where there is none."""

    def open(self, release: str, sha: str, path: str) -> AbstractContextManager[BinaryIO]:
        """The content of a file as a stream.

        Raises:
            SourceError: no such file at this commit.
            SourceUnavailable: the source does not answer.
        """


def flat_file(objects: Mapping[str, str], release: str) -> str:
    """Path of the flat file among `objects`.

    Raises:
        ReleaseRefused: there is none.
    """
    for path in FLAT_FILES:
        if path in objects:
            return path
    raise ReleaseRefused(
        f"release {release} has neither hla.dat.zip nor hla.dat: the release is not published completely; try again later"
    )


def fingerprint(objects: Mapping[str, str], release: str, *, align: bool = False, kir: bool = False) -> str:
    """Identity of the content that a build reads, 40 hexadecimal digits.

    `objects` maps path → git object id as `Source.objects` gives it. Two commits with the same fingerprint give the
    same build; alignments and KIR count only when they are read.

    Raises:
        ReleaseRefused: the flat file or the groups file is missing.
    """
    return _digest(objects, _tracked(objects, release, GROUPS_FILE, align=align, kir=kir))


def tick_fingerprint(root_objects: Mapping[str, str], release: str, *, align: bool = False, kir: bool = False) -> str:
    """Identity of the content as far as a root tree tells, 40 hexadecimal digits; never equal to a `fingerprint`.

    Raises:
        ReleaseRefused: the flat file or the folder `wmda` is missing.
    """
    return _digest(root_objects, _tracked(root_objects, release, GROUPS_FOLDER, align=align, kir=kir))


def _tracked(objects: Mapping[str, str], release: str, groups: str, *, align: bool, kir: bool) -> list[str]:
    paths = [flat_file(objects, release), groups]
    if groups not in objects:
        raise ReleaseRefused(f"release {release} has no {groups}: the release is not published completely; try again later")
    if align and ALIGNMENTS_FOLDER in objects:
        paths.append(ALIGNMENTS_FOLDER)
    if kir:
        paths.extend(path for path in KIR_FILES if path in objects)
    return paths


def _digest(objects: Mapping[str, str], paths: list[str]) -> str:
    return hashlib.sha1("".join(f"{path} {objects[path]}\n" for path in paths).encode()).hexdigest()
