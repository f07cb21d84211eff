"""Folders that look like branches of the IPD-IMGT/HLA repository, and are clearly none.

In: a simulated database, a release, a date; out comes `<root>/<release>/` with every file a build may read. Out: the
content of the files (`flatfile.py`, `wmda.py`, `msf.py`).

A release appears whole: it is written into a hidden folder beside its place and moved there at the end.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from gfe_assets.hla.release import Release, parse_release
from gfe_assets.progress import Progress, silent
from gfe_assets.simulate import flatfile, msf, wmda
from gfe_assets.simulate.alleles import LABEL, Allele
from gfe_assets.simulate.database import SimulatedDatabase

LABEL_FILE = "SIMULATED_DATA_NOT_FROM_IPD-IMGT-HLA.txt"
"""A file that says so at a glance; it also labels `md5checksum.txt`, which lists it and has no room for a comment."""
_JOINT = {"HLA-DRB3": "DRB345", "HLA-DRB4": "DRB345", "HLA-DRB5": "DRB345"}
_COMPRESSION = 4
_ZIP64_FROM = 100_000
"""Entries (about 7 kB each) from which on the file may pass the 2 GiB of a plain zip."""


def write_release(
    root: Path,
    release: str,
    database: SimulatedDatabase,
    *,
    date: datetime,
    message: str,
    align: bool = True,
    progress: Progress = silent,
) -> Path:
    """Write `database` as the release with branch name `release`; gives its folder, replacing one that is there.

    `align` adds the alignments in `msf/`. `date` and `message` are those of the commit; its sha follows from them and from
    all content. The same arguments give the same bytes.

    Raises:
        ReleaseNameError: `release` is no release.
    """
    parsed = parse_release(release)
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{parsed.name}.", dir=root))
    try:
        folder.chmod(0o755)
        _write_text(folder / LABEL_FILE, [f"{LABEL}.\nNothing in this folder describes a real allele.\n"])
        _write_flat_file(folder / "hla.dat.zip", database.alleles, parsed, progress)
        _write_text(folder / "Allelelist.txt", wmda.allele_list(database.alleles, parsed, date))
        _write_text(folder / "wmda" / "hla_nom_g.txt", wmda.groups_file(database.alleles, database.loci, parsed, date))
        if align:
            _write_alignments(folder / "msf", database, date, progress)
        _write_checksums(folder)
        _write_commit(folder, date, message)
        return _move_into_place(folder, root / parsed.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_flat_file(path: Path, alleles: tuple[Allele, ...], release: Release, progress: Progress) -> None:
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        archive.comment = LABEL.encode()
        # Opened by name the member is dated 1980-01-01, so that the same alleles give the same bytes.
        with archive.open("hla.dat", "w", force_zip64=len(alleles) > _ZIP64_FROM) as stream:
            for done, entry in enumerate(flatfile.entries(alleles, release), 1):
                stream.write(entry.encode("ascii"))
                if done % 1000 == 0:
                    progress("entries simulated", done, len(alleles))
    progress("entries simulated", len(alleles), len(alleles))


def _write_alignments(folder: Path, database: SimulatedDatabase, date: datetime, progress: Progress) -> None:
    nucleotide: dict[str, list[msf.AlignedRow]] = {}
    protein: dict[str, list[msf.AlignedRow]] = {}
    loci = sorted(database.loci)
    for done, locus in enumerate(loci, 1):
        alleles = [allele for allele in database.alleles if allele.gene.locus == locus]
        name = _JOINT.get(locus, locus.removeprefix("HLA-"))
        _write_alignment(folder / f"{locus.removeprefix('HLA-')}_gen.msf", msf.genomic(alleles), "N", date)
        nucleotide.setdefault(name, []).extend(msf.nucleotide(alleles))
        protein.setdefault(name, []).extend(msf.protein(alleles, database.ancestors[locus]))
        if done == len(loci) or name != _JOINT.get(loci[done]):
            _write_alignment(folder / f"{name}_nuc.msf", nucleotide.pop(name), "N", date)
            _write_alignment(folder / f"{name}_prot.msf", protein.pop(name), "P", date)
        progress("loci aligned", done, len(loci))


def _write_alignment(path: Path, rows: list[msf.AlignedRow], kind: str, date: datetime) -> None:
    if rows:
        _write_text(path, msf.lines(rows, kind, date))


def _write_text(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(lines)


def _write_checksums(folder: Path) -> None:
    """`md5checksum.txt` of the files in the folder itself and in `wmda`, as the repository has them."""
    for place in (folder, folder / "wmda"):
        files = sorted(path for path in place.iterdir() if path.is_file())
        if place != folder:
            shutil.copy(folder / LABEL_FILE, place)
            files = sorted([*files, place / LABEL_FILE])
        _write_text(place / "md5checksum.txt", [f"MD5 ({path.name}) = {_digest(path, 'md5')}\n" for path in files])


def _write_commit(folder: Path, date: datetime, message: str) -> None:
    labelled = f"{message}\n\n{LABEL}"
    digest = hashlib.sha1(f"{date.isoformat()}\n{labelled}\n".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {_digest(path, 'sha1')}\n".encode())
    commit = {"sha": digest.hexdigest(), "date": date.isoformat(), "message": labelled}
    _write_text(folder / "commit.json", [json.dumps(commit, indent=1) + "\n"])


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        digest = hashlib.new(algorithm)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _move_into_place(folder: Path, target: Path) -> Path:
    """Rename; a folder cannot replace one that is not empty, so the old one steps aside first."""
    aside = folder.with_name(folder.name + ".old")
    if target.exists():
        target.replace(aside)
    placed = folder.replace(target)
    shutil.rmtree(aside, ignore_errors=True)
    return placed
