"""Raw files of a release as they lie in the data folder, and the manifest that makes them count.

    <data>/raw/<release>/<fingerprint>/hla.dat   wmda/hla_nom_g.txt   msf/…   md5checksum.txt   KIR.dat   manifest.json

In: the record `RawRelease`, writing and reading its manifest, and the md5 list. Out: how the files get there
(`fetch.py`). The manifest is written last and the folder renamed into place after it: a folder without a
manifest that fits its files is no pinned release.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gfe_assets.source.models import ALIGNMENTS_FOLDER, FLAT_FILES, GROUPS_FILE, KIR_FILES, MD5_FILE, Commit

MANIFEST = "manifest.json"
UNPACKED = "hla.dat"
_MD5_LINE = re.compile(r"MD5 \((?P<name>.+)\) = (?P<md5>[0-9a-fA-F]{32})")


class PinnedFile(BaseModel):
    """A file of the release. `path` is its name in the repository; the other fields are of the content that came from there.

    `kept` is where it lies below the pinned folder: the same path, but `hla.dat` for a zip, which is kept unpacked.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    object_id: str
    size: int
    md5: str
    sha256: str
    kept: str
    kept_size: int
    kept_sha256: str


class RawRelease(BaseModel):
    """Files of one release at one commit, complete and checked.

    `version` is what the flat file says it is (`3.22.0`), `records` its number of entries. `kir_version` is the IPD-KIR
    release of the KIR file, None without one, `kir_records` its number of entries. `content_digest` identifies what a
    build reads after unpacking: a commit that only packs the same `hla.dat` again has another fingerprint and the same
    digest. `superseded_by` says, right after a fetch, that the tip of the release holds other content by now, and which
    commit; `reused` that nothing had to be fetched.
    """

    model_config = ConfigDict(frozen=True)

    release: str
    commit: Commit
    fingerprint: str
    tick_fingerprint: str
    content_digest: str
    align: bool
    kir: bool
    version: str
    versions: tuple[str, ...]
    records: int
    kir_version: str | None = None
    kir_records: int = 0
    files: tuple[PinnedFile, ...]
    folder: Path = Field(default=Path(), exclude=True)
    superseded_by: str | None = Field(default=None, exclude=True)
    reused: bool = Field(default=False, exclude=True)

    @property
    def flat_file(self) -> Path:
        """The unpacked flat file."""
        return self.folder / UNPACKED

    @property
    def groups_file(self) -> Path:
        """`wmda/hla_nom_g.txt`."""
        return self.folder / GROUPS_FILE

    @property
    def alignment_files(self) -> tuple[Path, ...]:
        """The files of `msf/`, sorted by name; none if alignments were not asked for or the release has none."""
        return tuple(sorted(self.folder / file.kept for file in self.files if file.path.startswith(f"{ALIGNMENTS_FOLDER}/")))

    @property
    def kir_file(self) -> Path | None:
        """The IPD-KIR flat file, if KIR was asked for."""
        return next((self.folder / file.kept for file in self.files if file.path in KIR_FILES), None)


def content_digest(files: Iterable[PinnedFile]) -> str:
    """Identity of the unpacked content that a build reads: SHA-256 over name and SHA-256 of each file, 64 digits.

    The md5 list does not count, since no build reads it.
    """
    lines = sorted(f"{file.kept} {file.kept_sha256}\n" for file in files if file.path != MD5_FILE)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def raw_folder(data_folder: Path, release: str) -> Path:
    """Where the pinned files of a release are, one folder a fingerprint."""
    return data_folder / "raw" / release


def write_manifest(raw: RawRelease, folder: Path) -> None:
    """Write the manifest of the files in `folder`, to be done last."""
    (folder / MANIFEST).write_text(raw.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_pinned(folder: Path) -> RawRelease | None:
    """The release pinned in `folder`, or None if there is none that is intact.

    Intact means a manifest of this version of the program, and every file there with the size it had; the content is
    not read again.
    """
    try:
        raw = RawRelease.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None
    if any(not _has_size(folder / file.kept, file.kept_size) for file in raw.files):
        return None
    return raw.model_copy(update={"folder": folder, "reused": True})


class Md5Mismatch(NamedTuple):
    """A file whose MD5 is not the listed one."""

    file: str
    expected: str
    found: str


class Md5Check(NamedTuple):
    """What the md5 list says: `ok` if nothing contradicts it, the `mismatches`, and a `note` in words."""

    ok: bool
    mismatches: list[Md5Mismatch]
    note: str


def check_md5(raw: RawRelease) -> Md5Check:
    """Compare the files that were fetched with the release's `md5checksum.txt` (lines `MD5 (name) = digits`).

    A mismatch is a reason to warn only: a third of the real data commits forget to update the list. A release
    without a list, or a list that names none of the files, contradicts nothing and is noted.
    """
    path = raw.folder / MD5_FILE
    if not path.is_file():
        return Md5Check(True, [], f"release {raw.release} has no {MD5_FILE}")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {match["name"]: match["md5"].lower() for line in lines if (match := _MD5_LINE.fullmatch(line.strip()))}
    checked = [file for file in raw.files if file.path in listed]
    wrong = [Md5Mismatch(file.path, listed[file.path], file.md5) for file in checked if listed[file.path] != file.md5]
    if wrong:
        note = f"{MD5_FILE} of release {raw.release} lists another MD5 for {', '.join(file.file for file in wrong)}"
    elif not any(file.path in FLAT_FILES for file in checked):
        note = f"{MD5_FILE} of release {raw.release} does not list the flat file"
    else:
        note = f"{len(checked)} of {len(raw.files)} files are listed in {MD5_FILE} and agree with it"
    return Md5Check(not wrong, wrong, note)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
