"""Making a backup: the whole graph and the accession registry, read under the writer's lock.

In: a store and a registry. Out: the files' format (`backup_format.py`), the folder of backups (`backup_folder.py`), the way
back (`restore.py`), when it happens (`schedules.py`, `backups.py`).

One label or type is in memory at a time; the largest are the sequences, 160 MB at 46,000 alleles. The registry is read after
the graph, so that it knows every accession that the graph uses.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl

from gfe_assets import __version__
from gfe_assets.errors import BackupError
from gfe_assets.graph.backup_folder import new_backup, newest_of, prune
from gfe_assets.graph.backup_format import ACCESSIONS, PARTS, BackupFile, BackupManifest, described, file_name, write_manifest
from gfe_assets.graph.frames import ENDS, edge_schema, node_schema, shaped
from gfe_assets.graph.model import EDGES, GFE, NODES, RELEASE, Edge, Node
from gfe_assets.graph.store import GraphReader, GraphStore
from gfe_assets.hla.registry import Registry
from gfe_assets.hla.release import sort_names
from gfe_assets.progress import Progress

_BULKY_ROWS = 5_000
_ROWS = 250_000


def back_up(
    root: Path, store: GraphStore, registry: Registry, *, reason: str, keep: int, wait_seconds: float, progress: Progress
) -> BackupManifest:
    """Make a backup in the folder `root`, then remove the oldest until `keep` are left.

    Raises:
        BackupError: the graph is empty, or the backup cannot be written; nothing is left of it.
        GraphBusy: the graph is being written and was not free in `wait_seconds`.
        GraphError: the graph cannot be read.
        RegistryError: the registry cannot be read.
    """
    with store.writing(f"backup ({reason})", wait_seconds), store.reader() as reader:
        if is_empty(reader):
            raise BackupError(
                f"graph {store.location} is empty, so there is nothing to back up; load a release or restore a backup first "
                "(the accession registry alone is written to a file by `gfe-assets accessions export FILE`)"
            )
        manifest = write_backup(root, reader, store.location, registry, reason=reason, wait=wait_seconds, progress=progress)
        prune(root, keep)
    return manifest


def write_backup(
    root: Path, reader: GraphReader, location: str, registry: Registry, *, reason: str, wait: float, progress: Progress
) -> BackupManifest:
    """Make a backup while the caller holds the writer's lock of the graph at `location`; removes no older one.

    Raises:
        as `back_up`.
    """
    moment = datetime.now(timezone.utc)
    with new_backup(root, reason, moment, wait) as new:
        files: dict[str, BackupFile] = {}
        for done, what in enumerate(PARTS, start=1):
            files[_name(what)] = _write(reader, what, new.folder)
            progress("labels and types backed up", done, len(PARTS))
        releases = pl.read_parquet(new.folder / file_name(RELEASE), glob=False).get_column("name").to_list()
        accessions = described(new.folder / ACCESSIONS, registry.export(new.folder / ACCESSIONS))
        manifest = BackupManifest(
            name=new.name,
            reason=reason,
            created_at=moment,
            code_version=__version__,
            graph=location,
            registry=registry.name,
            authority=registry.authority(),
            releases=tuple(sort_names(releases)),
            nodes={node.label: files[node.label].rows for node in NODES},
            edges={edge.type: files[edge.type].rows for edge in EDGES},
            accessions=accessions.rows,
            files=(*files.values(), accessions),
        )
        write_manifest(new.folder, manifest)
    return manifest


def back_up_before(
    root: Path,
    reader: GraphReader,
    location: str,
    registry: Registry,
    *,
    reason: str,
    keep: int,
    wait: float,
    progress: Progress,
) -> BackupManifest | None:
    """Back up a graph that is about to be changed, while the caller holds its lock; None where there is nothing to do.

    Raises:
        as `back_up`.
    """
    if not needs_backup(root, reader):
        return None
    manifest = write_backup(root, reader, location, registry, reason=reason, wait=wait, progress=progress)
    prune(root, keep)
    return manifest


def needs_backup(root: Path, reader: GraphReader) -> bool:
    """Whether no intact backup holds the graph as it is, as far as its `Release` nodes tell: a load renews `loaded_at`.

    There is nothing to save of an empty graph, nor of one that a killed load left half: what was before that load is
    backed up, or never was. (Releases of an adopted graph are not complete either, but were never loaded.)
    """
    releases = reader.read_nodes(RELEASE, ["name", "loaded_at", "complete"])
    half = releases.filter(pl.col("loaded_at").is_not_null() & ~pl.col("complete").fill_null(False))
    if is_empty(reader) or len(half):
        return False
    names = sort_names(releases.get_column("name").to_list())
    loaded = [datetime.fromisoformat(text) for text in releases.get_column("loaded_at").drop_nulls()]
    # `loaded_at` has no fractions and is the moment at which a load begins to write
    return not loaded or newest_of(root, names, max(loaded) + timedelta(seconds=1)) is None


def is_empty(reader: GraphReader) -> bool:
    """Whether the graph has no node at all."""
    return all(reader.read_nodes(node, [node.key]).is_empty() for node in (RELEASE, GFE, *NODES))


def _write(reader: GraphReader, what: Node | Edge, folder: Path) -> BackupFile:
    if isinstance(what, Node):
        schema = node_schema(what)
        frame = shaped(reader.read_nodes(what, list(schema)), schema).sort(what.key)
    else:
        frame = shaped(reader.read_edges(what), edge_schema(what)).sort(ENDS)
    path = folder / file_name(what)
    bulky = any(each.bulky for each in what.properties)
    frame.write_parquet(path, row_group_size=_BULKY_ROWS if bulky else _ROWS, statistics=False)
    return described(path, frame.height)


def _name(what: Node | Edge) -> str:
    return what.label if isinstance(what, Node) else what.type
