"""Small made-up release folders in the layout of the real repository, for tests of sources.

Not the simulator: entries have only the lines that sources look at.
"""

import io
import json
import zipfile
from pathlib import Path

from gfe_assets.source.cursor import Tick

GROUPS = b"# file: hla_nom_g.txt\nA*;01:01:01:01/01:01:01:02N;01:01:01G\n"


def flat_file(version: str | None, entries: int = 3, sequence: str = "acgt") -> bytes:
    """Text that has the lines of a flat file by which a source knows it."""
    comment = f"CC   IPD-IMGT/HLA Release Version {version}\n" if version else ""
    entry = (
        "ID   HLA{:05}; SV 1; standard; DNA; HUM; {} BP.\nXX\n"
        "DT   01-AUG-1989 (Rel. 1.00.0, Created, Version 1)\n{}SQ\n     {}\n//\n"
    )
    return "".join(entry.format(n, len(sequence), comment, sequence) for n in range(1, entries + 1)).encode()


def zipped(content: bytes, member: str = "hla.dat", level: int = 6) -> bytes:
    """A zip with one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        pack.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED, level)
    return buffer.getvalue()


def new_releases(found: Tick) -> tuple[str, ...]:
    """The releases of a tick that the tick before did not know, in the order of its decisions."""
    return tuple(d.branch for d in found.decisions if d.commit is not None and d.replaces is None)


def version_of(release: str) -> str:
    """`3580` → `3.58.0`."""
    return f"{release[0]}.{release[1:-1]}.{release[-1]}"


def release_files(release: str, changes: dict[str, bytes | None] | None = None) -> dict[str, bytes]:
    """Path → content of a complete release; `changes` replaces files, or removes them where it says None."""
    files: dict[str, bytes] = {
        "hla.dat.zip": zipped(flat_file(version_of(release))),
        "wmda/hla_nom_g.txt": GROUPS,
        "wmda/hla_nom_p.txt": b"# file: hla_nom_p.txt\n",
        "msf/A_gen.msf": b"A_gen of " + release.encode(),
        "msf/A_prot.msf": b"A_prot",
        "README.md": b"# IMGTHLA\n",
    }
    for path, content in (changes or {}).items():
        files.pop(path, None)
        if content is not None:
            files[path] = content
    return files


def write_release(
    root: Path, release: str, files: dict[str, bytes] | None = None, commit: dict[str, str] | None = None
) -> Path:
    """Write a release folder; returns it."""
    folder = root / release
    for path, content in (files if files is not None else release_files(release)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    if commit:
        (folder / "commit.json").write_text(json.dumps(commit))
    return folder
