"""Stage load: the graph, made equal to the release.

In: the asset `gfe_graph`. Out: what differs (`graph/sync.py`) and how it is written (`graph/ladybug.py`, `graph/neo4j.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

import dagster as dg

from gfe_assets.errors import BuildError
from gfe_assets.facts import CHANGES
from gfe_assets.graph.desired import Provenance, ReleaseGraph, desired_graph, order_dependent_nodes
from gfe_assets.graph.integrity import node_counts
from gfe_assets.graph.model import RELEASE
from gfe_assets.graph.store import Changes, GraphReader, GraphStore
from gfe_assets.graph.sync import plan
from gfe_assets.hla.accessions import Registry, ServiceRegistry
from gfe_assets.hla.csvs import read_csv
from gfe_assets.hla.manifest import Manifest, read_manifest, verify_files
from gfe_assets.progress import Progress
from gfe_assets.resources import ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.stages.build import build_lock, csv_folder, gfe_csvs
from gfe_assets.stages.common import commit_link, release_asset, stage
from gfe_assets.stages.secure import backup_before
from gfe_assets.statuses import CHANGE_KINDS, COMMIT_TAG, RELEASE_TAG, Stage, Status, mark, summed_up

GRAPH_WRITER = "graph_writer"
"""The pool of everything that writes the graph or reads what was just written; its limit is 1 (dagster.yaml)."""
NODE_COUNTS = "nodes"
"""Metadata of a load: a table of `label`, `before` and `after`."""
NEW_RELEASE = "new_release"
"""Metadata of a load: whether the graph did not have the release."""


@release_asset(
    Stage.LOAD,
    deps=[gfe_csvs],
    kinds={"graph"},
    pool=GRAPH_WRITER,
    description="The graph of GFEs, features, sequences, allele names and accessions, equal to every release it has loaded.",
)
def gfe_graph(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    graph: dg.ResourceParam[GraphStore],
    registry: dg.ResourceParam[Registry | ServiceRegistry],
    progress: dg.ResourceParam[ProgressFactory],
) -> Iterator[dg.MaterializeResult[None]]:
    """Load the partition's CSV files."""
    release = context.partition_key
    with stage(context, settings, Stage.LOAD, Status.LOAD_IN_PROGRESS, Status.LOAD_FAILED) as clock:
        with build_lock(settings, release, "load", shared=True):
            manifest = loadable(settings, release)
            context.instance.add_run_tags(context.run.run_id, {RELEASE_TAG: release, COMMIT_TAG: manifest.commit.sha})
            listener = progress(context.log)
            secure = backup_before(context, settings, graph, registry, listener)
            loaded = load_release(settings, manifest, graph, listener, secure)
        changes = loaded.changes
        mark(context.instance, context.run.run_id, Status.LOAD_COMPLETE, changes=changes.counts)
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": manifest.counts["alleles"],
                "graph": graph.location,
                "version": manifest.version,
                "commit": commit_link(manifest.commit),
                NEW_RELEASE: loaded.new,
                "unchanged": changes.empty,
                NODE_COUNTS: node_counts_table(loaded),
                CHANGES: changes_table(changes.counts),
                **summed_up(changes.counts),
                **{name: count for name, count in changes.counts.items() if not name.endswith(CHANGE_KINDS)},
                **clock.metadata(),
            },
            data_version=dg.DataVersion(manifest.fingerprint),
        )


class NodeCounts(NamedTuple):
    """How many nodes of each label there were before and after a load, and whether its release was new in the graph."""

    before: dict[str, int]
    after: dict[str, int]
    new: bool


def node_counts_of(load: dg.AssetMaterialization) -> NodeCounts | None:
    """What a load said about its nodes; None for loads that said nothing."""
    shown = load.metadata.get(NODE_COUNTS)
    if not isinstance(shown, dg.TableMetadataValue):
        return None
    before, after = (
        {str(record.data["label"]): int(str(record.data[when])) for record in shown.records} for when in ("before", "after")
    )
    return NodeCounts(before, after, bool(load.metadata[NEW_RELEASE].value))


def node_counts_table(loaded: "Loaded") -> dg.MetadataValue[Any]:
    """What `node_counts_of` reads."""
    rows = [dg.TableRecord({"label": label, "before": n, "after": loaded.after[label]}) for label, n in loaded.before.items()]
    columns = [dg.TableColumn("label"), dg.TableColumn("before", "int"), dg.TableColumn("after", "int")]
    return dg.MetadataValue.table(rows, dg.TableSchema(columns))


def changes_table(counts: Mapping[str, int]) -> dg.MetadataValue[Any]:
    """A row for each label and type, a column for what happened to it; `facts.py` reads it, too."""
    labels = sorted({name.split(".")[0] for name in counts if name.endswith(CHANGE_KINDS)})
    rows = [
        dg.TableRecord({"what": label, **{kind: counts.get(f"{label}.{kind}", 0) for kind in CHANGE_KINDS}}) for label in labels
    ]
    columns = [dg.TableColumn("what"), *(dg.TableColumn(kind, "int") for kind in CHANGE_KINDS)]
    return dg.MetadataValue.table(rows, dg.TableSchema(columns))


def loadable(settings: Settings, release: str) -> Manifest:
    """The manifest of the release's build, once it is certain that it may be loaded.

    Raises:
        BuildError: there is no build, its files are not those that were built, or it failed a blocking check.
    """
    folder = csv_folder(settings, release)
    manifest = read_manifest(folder, release)
    verify_files(folder, manifest)
    if manifest.failed:
        check = manifest.failed[0]
        raise BuildError(
            f"release {release}: its build failed the check {check.name} ({check.summary}), so it is not loaded; "
            "correct the cause and build it again"
        )
    return manifest


class Loaded(NamedTuple):
    """What a load changed, how many nodes of each label there were before and after, and whether the release was new."""

    changes: Changes
    before: dict[str, int]
    after: dict[str, int]
    new: bool


def load_release(
    settings: Settings,
    manifest: Manifest,
    graph: GraphStore,
    progress: Progress,
    secure: Callable[[GraphReader], None] = lambda _: None,
) -> Loaded:
    """Make the graph equal to a build; one writer at a time, and nodes are counted while nobody else can write.

    `secure` is called with the graph as it is before anything is changed, unless nothing will be.
    """
    with graph.writing(f"load of release {manifest.release}", settings.graph_wait_seconds):
        with graph.reader() as reader:
            new = manifest.release not in reader.read_nodes(RELEASE, ["name"])["name"]
            before = node_counts(reader)
            changes = plan(wanted_graph(settings, manifest), reader, _older(settings, reader))
            if not changes.empty:
                secure(reader)
        if changes.empty:
            return Loaded(changes, before, before, new)
        graph.apply(changes, progress)
        with graph.reader() as reader:
            return Loaded(changes, before, node_counts(reader), new)


def wanted_graph(settings: Settings, manifest: Manifest) -> ReleaseGraph:
    """What a build wants the graph to hold."""
    folder, release = csv_folder(settings, manifest.release), manifest.release
    return desired_graph(
        release,
        read_csv(folder, "gfe_sequences", release),
        read_csv(folder, "all_features", release),
        read_csv(folder, "all_groups", release),
        Provenance(
            name=release,
            version=manifest.version,
            commit_sha=manifest.commit.sha,
            commit_date=manifest.commit.date.isoformat(),
            fingerprint=manifest.fingerprint,
            loaded_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            entries_limit=manifest.parameters.limit,
        ),
    )


def _older(settings: Settings, reader: GraphReader) -> Callable[[str], ReleaseGraph | None]:
    """Look up the build of another release, if it is the one that the graph was loaded from."""
    loaded = dict(reader.read_nodes(RELEASE, ["name", "fingerprint"]).iter_rows())

    def look_up(release: str) -> ReleaseGraph | None:
        folder = csv_folder(settings, release)
        try:
            manifest = read_manifest(folder, release)
            if manifest.fingerprint != loaded.get(release):
                return None
            verify_files(folder, manifest)
            return order_dependent_nodes(
                release, read_csv(folder, "gfe_sequences", release), read_csv(folder, "all_groups", release)
            )
        except BuildError:
            return None

    return look_up
