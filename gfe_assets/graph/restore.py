"""Restoring a backup: a graph equal to the one that was backed up, and a registry that knows at least as much.

In: a backup, a store, a registry. Out: the backup's files (`backup_format.py`), how a store is filled (`GraphStore.replace`).

Everything that can be refused is refused before anything is written. A graph that is there is replaced only on request, and
backed up before. The registry is a system of record: it takes in what the backup has more, in one transaction, and never
loses or changes an accession; it comes before the graph, for a graph must not use numbers that its registry does not know.
"""

from pathlib import Path

from pydantic import BaseModel

from gfe_assets.errors import BackupError, GraphError, GraphUnavailable
from gfe_assets.graph.backup import is_empty, write_backup
from gfe_assets.graph.backup_format import ACCESSIONS, BackupManifest, contents, read_manifest, verify
from gfe_assets.graph.model import RELEASE
from gfe_assets.graph.store import GraphStore
from gfe_assets.hla.accession_files import read_accessions
from gfe_assets.hla.accession_rows import AccessionRow
from gfe_assets.hla.registry import Registry
from gfe_assets.hla.release import sort_names
from gfe_assets.progress import Progress

REASON = "before-restore"


class Restored(BaseModel):
    """What a restore did.

    `gone` are the releases that the graph had before and has no more; `before` names the backup of the graph that was
    replaced (empty: there was none); `accessions_added` is how many accessions the registry took in.
    """

    backup: str
    releases: tuple[str, ...]
    gone: tuple[str, ...]
    nodes: int
    edges: int
    accessions_added: int
    before: str


def restore(
    path: Path, store: GraphStore, registry: Registry, *, root: Path, replace: bool, wait_seconds: float, progress: Progress
) -> Restored:
    """Make the graph equal to the backup in the folder `path`; the graph that was there is backed up in the folder `root`.

    Raises:
        BackupError: the backup is damaged or of another version, the graph is not empty and `replace` is not given, or the
            registry has given accessions that the backup contradicts or does not know.
        GraphBusy: the graph is being written and was not free in `wait_seconds`.
        GraphError: the graph cannot be written; the message says in which state it was left.
        RegistryError: the registry cannot be used, or belongs to another authority.
    """
    manifest = read_manifest(path)
    verify(path, manifest)
    graph = contents(path, manifest)
    with store.writing(f"restore of backup {manifest.name}", wait_seconds):
        missing = _missing_accessions(path, manifest, registry)
        gone, before = _set_aside(manifest, store, registry, root, replace, wait_seconds, progress)
        added = registry.import_rows(missing, manifest.authority).new if missing else 0
        store.replace(graph, progress)
    return Restored(
        backup=manifest.name,
        releases=manifest.releases,
        gone=gone,
        nodes=sum(manifest.nodes.values()),
        edges=sum(manifest.edges.values()),
        accessions_added=added,
        before=before,
    )


def _missing_accessions(path: Path, manifest: BackupManifest, registry: Registry) -> list[AccessionRow]:
    """The backup's accessions, if the registry lacks any of them and has none besides them; else none.

    Raises:
        BackupError: each has accessions that the other lacks.
    """
    rows = list(read_accessions(path / ACCESSIONS))
    compared = registry.compare(rows)
    if not compared.missing:
        return []
    if compared.extra:
        raise BackupError(
            f"backup {manifest.name} is not restored: the registry {registry.name} has given {compared.extra:,} accessions "
            f"that the backup does not know, and lacks {compared.missing:,} of the backup's. Accessions are never taken back: "
            f"add the backup's with `gfe-assets accessions import {path / ACCESSIONS}`, or, if they contradict each other, set "
            "GFE_REGISTRY_URI to a new registry; then restore again"
        )
    return rows


def _set_aside(
    manifest: BackupManifest,
    store: GraphStore,
    registry: Registry,
    root: Path,
    replace: bool,
    wait_seconds: float,
    progress: Progress,
) -> tuple[tuple[str, ...], str]:
    """Back up the graph that is there: the releases that will be gone, and the name of the new backup."""
    try:
        with store.reader() as reader:
            if is_empty(reader):
                return (), ""
            present = sort_names(reader.read_nodes(RELEASE, ["name"]).get_column("name").to_list())
            if not replace:
                raise BackupError(
                    f"backup {manifest.name} is not restored: graph {store.location} is not empty "
                    f"(it has {_listed(present)}); say --replace to back it up and replace it"
                )
            saved = write_backup(root, reader, store.location, registry, reason=REASON, wait=wait_seconds, progress=progress)
    except GraphUnavailable:
        raise
    except GraphError as error:
        raise BackupError(
            f"backup {manifest.name} is not restored: the graph that it would replace cannot be backed up before, for {error}. "
            "Put that graph out of the way, then restore again"
        ) from error
    return tuple(name for name in present if name not in manifest.releases), saved.name


def _listed(releases: list[str]) -> str:
    if len(releases) == 1:
        return f"release {releases[0]}"
    return f"{len(releases)} releases, {releases[0]} to {releases[-1]}" if releases else "nodes, but no release"
