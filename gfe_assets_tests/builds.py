"""Small builds for tests: hand-made or simulated releases, with a real registry."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from zipfile import ZipFile

from gfe_assets.hla.accessions import Registry
from gfe_assets.hla.build import BuildInput, build_release
from gfe_assets.hla.features import DEFAULT_LOCI
from gfe_assets.hla.manifest import BuildParameters, Manifest
from gfe_assets.simulate import SimulatedDatabase, write_release
from gfe_assets.source.models import Commit

RELEASE, VERSION = "3580", "3.58.0"
COMMIT = Commit(sha="5" * 40, date=datetime(2024, 10, 9, tzinfo=timezone.utc), message="a release for tests")
GROUPS = "# file: hla_nom_g.txt\nA*;01:01/01:02;01:01:01G\nA*;01:03;\n"


def registry(folder: Path) -> Registry:
    """The registry of the tests in `folder`."""
    return Registry(f"sqlite:///{folder / 'accessions.sqlite'}")


def given(folder: Path, content: bytes, groups: str = GROUPS, **changes: object) -> BuildInput:
    """The input of a build of a flat file with `content`."""
    folder.mkdir(parents=True, exist_ok=True)
    flat_file, groups_file = folder / "hla.dat", folder / "hla_nom_g.txt"
    flat_file.write_bytes(content)
    groups_file.write_text(groups)
    digest = hashlib.sha1(content).hexdigest()
    values = {
        "release": RELEASE,
        "version": VERSION,
        "commit": COMMIT,
        "fingerprint": digest,
        "content_digest": digest,
        "flat_files": (flat_file,),
        "records": content.count(b"ID   "),
        "groups_file": groups_file,
        "msf_files": {},
    }
    return BuildInput(**{**values, **changes})


def simulated(folder: Path, database: SimulatedDatabase, *, align: bool = False) -> BuildInput:
    """The input of a build of a simulated release, its files unpacked in `folder`."""
    release = write_release(folder / "source", RELEASE, database, date=COMMIT.date, message=COMMIT.message, align=align)
    with ZipFile(release / "hla.dat.zip") as pack:
        content = pack.read("hla.dat")
    msf = {f"msf/{path.name}": path for path in sorted(release.glob("msf/*.msf"))}
    return given(folder / "raw", content, (release / "wmda/hla_nom_g.txt").read_text(), msf_files=msf)


def build(source: BuildInput, folder: Path, **options: object) -> tuple[Manifest, Path]:
    """Build below `folder` with the registry of the tests; gives the manifest and the folder of the CSV files."""
    parameters = {key: options.pop(key) for key in ("loci", "limit", "align", "kir") if key in options}
    csv = folder / "data" / source.release / "csv"
    with registry(folder) as accessions:
        manifest = build_release(source, BuildParameters(**{"loci": DEFAULT_LOCI, **parameters}), accessions, csv, **options)
    return manifest, csv
