"""The manifest of a build: what was built from what, and whether it may be loaded.

In: the record, writing it last and reading it first. Out: making the files it lists (`build.py`) and judging
them (`checks.py`).

`manifest.json` stands beside the CSV files and is renamed into place after them, so a folder with a
manifest is a whole build; its sha256 sums say that the files are still the ones that were built.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gfe_assets import __version__
from gfe_assets.errors import BuildError
from gfe_assets.source.models import Commit

MANIFEST = "manifest.json"


class BuildParameters(BaseModel):
    """What changes the content of a build besides its input. `limit` 0 means all alleles."""

    model_config = ConfigDict(frozen=True)

    loci: tuple[str, ...]
    limit: int = 0
    align: bool = False
    kir: bool = False


class CsvFile(BaseModel):
    """A file of the build."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    size: int
    sha256: str


class CheckResult(BaseModel):
    """The verdict of one check: `summary` is a sentence, `numbers` are for trends, `examples` for people.

    A check that is not `blocking` only warns.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    summary: str
    blocking: bool = True
    numbers: dict[str, int | float] = {}
    examples: tuple[str, ...] = ()


class PartlyAnnotated(BaseModel):
    """An allele whose entry annotates some bases in no feature or in two: its features do not concatenate to its sequence.

    Real: HLA-B*15:149N of 3.22.0 has 820 bases and features for 661. `spans` are the annotated parts in gene order,
    `left_out` names those that the locus does not have (`exon 8` of HLA-B*51:197).
    """

    model_config = ConfigDict(frozen=True)

    acc_name: str
    hla_name: str
    gfe_name: str
    spans: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...] = ()


class Manifest(BaseModel):
    """Everything about one build of one release."""

    model_config = ConfigDict(frozen=True)

    release: str
    version: str
    commit: Commit
    fingerprint: str
    content_digest: str
    parameters: BuildParameters
    code_version: str
    built_at: str
    files: tuple[CsvFile, ...]
    counts: dict[str, int]
    skipped: dict[str, dict[str, int]]
    errors: int
    without_cds: tuple[str, ...] = ()
    partly_annotated: tuple[PartlyAnnotated, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()

    @property
    def failed(self) -> list[CheckResult]:
        """The blocking checks that this build failed; while there is one it must not be loaded."""
        return [check for check in self.checks if check.blocking and not check.passed]

    def same_input(self, fingerprint: str, parameters: BuildParameters) -> bool:
        """Whether building again would read the same content with the same parameters and code."""
        return (self.fingerprint, self.parameters, self.code_version) == (fingerprint, parameters, __version__)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest whole or not at all."""
    temporary = folder / f".{MANIFEST}.partial"
    temporary.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path, release: str) -> Manifest:
    """Read the manifest of a build.

    Raises:
        BuildError: there is none, or it cannot be understood.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BuildError(f"release {release} has no build in {folder}: build it first (gfe-assets run {release})") from None
    except OSError as error:
        raise BuildError(f"release {release}: {path} cannot be read ({error.strerror or error})") from None
    except ValidationError:
        raise BuildError(f"release {release}: {path} cannot be understood; build the release again") from None


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        BuildError: a file is missing or is not the one that was built.
    """
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            raise BuildError(f"release {manifest.release}: {path} is not there; build the release again")
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise BuildError(
                f"release {manifest.release}: {path} is not the file that was built (its sha256 differs from the manifest); "
                "build the release again"
            )
