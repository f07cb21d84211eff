"""What a backup is: a folder of Parquet files, and a manifest that vouches for every byte of them.

    20261122T020000Z-daily/
        nodes.GFE.parquet … nodes.Release.parquet             one a label: all properties, sorted by key
        edges.HAS_IPD_ALLELE.parquet … edges.SUBMITTED.parquet  one a type: source, target, properties
        accessions.parquet                                    locus, term, rank, accession, sequence
        manifest.json                                         what it holds; rows, size, SHA-256 of each file
        manifest.json.sha256                                  of the manifest (`sha256sum -c` reads it too)

In: names, the manifest, writing it last and checking everything against it. Out: filling the files (`backup.py`), which
backups there are (`backup_folder.py`), using one (`restore.py`).

The format knows nothing of the store: what was read from one can be restored into the other. Files of the same graph have
the same bytes.
"""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from gfe_assets.errors import BackupError
from gfe_assets.graph.frames import edge_schema, node_schema
from gfe_assets.graph.model import EDGES, NODES, Edge, Node
from gfe_assets.graph.store import Contents
from gfe_assets.hla.manifest import sha256_of

FORMAT = 1
MANIFEST = "manifest.json"
SEAL = f"{MANIFEST}.sha256"
ACCESSIONS = "accessions.parquet"
PARTS: tuple[Node | Edge, ...] = (*NODES, *EDGES)
"""What has a file each."""


class BackupFile(BaseModel):
    """A Parquet file of a backup; `size` in bytes."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    size: int
    sha256: str


class BackupManifest(BaseModel):
    """What a backup holds. `nodes` and `edges` are counts by label and type, `releases` branch names in release order.

    `authority` is who numbers in the registry (`Registry.authority`); `graph` and `registry` are where they were.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    reason: str
    created_at: datetime
    code_version: str
    graph: str
    registry: str
    authority: str
    releases: tuple[str, ...]
    nodes: dict[str, int]
    edges: dict[str, int]
    accessions: int
    files: tuple[BackupFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def file_name(what: Node | Edge) -> str:
    """Name of the file of a label or type."""
    return f"nodes.{what.label}.parquet" if isinstance(what, Node) else f"edges.{what.type}.parquet"


def described(path: Path, rows: int) -> BackupFile:
    """A file as the manifest lists it, after it is on disk for good."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return BackupFile(name=path.name, rows=rows, size=path.stat().st_size, sha256=sha256_of(path))


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Write the manifest and its seal; after that nothing in the folder may change."""
    _write(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    _write(folder / SEAL, _seal(folder))


def read_manifest(folder: Path) -> BackupManifest:
    """Read the manifest of a backup, as it was written.

    Raises:
        BackupError: it is missing, damaged or of another format.
    """
    for name in (MANIFEST, SEAL):
        if not (folder / name).is_file():
            raise BackupError(f"backup {folder} is not whole: {name} is missing; use another backup")
    try:
        if (folder / SEAL).read_bytes() != _seal(folder).encode():
            raise BackupError(f"backup {folder} is damaged: {MANIFEST} and {SEAL} do not agree; use another backup")
        text = (folder / MANIFEST).read_bytes()
        version = json.loads(text).get("format")
        if version != FORMAT:
            raise BackupError(
                f"backup {folder} has format {version}, not {FORMAT} as this program reads; restore it with the program that "
                "wrote it"
            )
        return BackupManifest.model_validate_json(text)
    except OSError as error:
        raise BackupError(f"backup {folder} cannot be read: {error.strerror or error}") from error
    except (ValueError, AttributeError, ValidationError) as error:
        raise BackupError(f"backup {folder}: its {MANIFEST} is sound, but not one that this program writes") from error


def verify(folder: Path, manifest: BackupManifest) -> None:
    """Compare every byte with the manifest.

    Raises:
        BackupError: a file is missing or is not as it was written; names the file.
    """
    for file in manifest.files:
        path = folder / file.name
        try:
            size = path.stat().st_size
            if size != file.size:
                raise BackupError(
                    f"backup {folder} is damaged: {file.name} has {size:,} bytes instead of {file.size:,}; use another backup"
                )
            if sha256_of(path) != file.sha256:
                raise BackupError(
                    f"backup {folder} is damaged: the SHA-256 of {file.name} is not the one in its manifest; use another backup"
                )
        except FileNotFoundError:
            raise BackupError(f"backup {folder} is not whole: {file.name} is missing; use another backup") from None
        except OSError as error:
            raise BackupError(f"backup {folder}: {file.name} cannot be read: {error.strerror or error}") from error


def contents(folder: Path, manifest: BackupManifest) -> Contents:
    """The graph of a verified backup, not read yet.

    Raises:
        BackupError: it was written by a version with other labels, types or properties.
    """
    scanned = dict(_scanned(folder, manifest))
    return Contents(
        nodes={node.label: scanned[node.label] for node in NODES}, edges={edge.type: scanned[edge.type] for edge in EDGES}
    )


def _scanned(folder: Path, manifest: BackupManifest) -> Iterator[tuple[str, pl.LazyFrame]]:
    listed = {file.name for file in manifest.files}
    for what in PARTS:
        name = what.label if isinstance(what, Node) else what.type
        schema = node_schema(what) if isinstance(what, Node) else edge_schema(what)
        frame = pl.scan_parquet(folder / file_name(what), glob=False) if file_name(what) in listed else None
        if frame is None or dict(frame.collect_schema()) != schema:
            raise BackupError(
                f"backup {folder} was written by version {manifest.code_version} of gfe-assets, whose graph has other "
                f"{name} than this version's; restore it with that version"
            )
        yield name, frame


def _seal(folder: Path) -> str:
    return f"{sha256_of(folder / MANIFEST)}  {MANIFEST}\n"


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
