"""What tests of any graph store do with it: load versions of small releases, and look at all that is in it."""

from typing import Any

from gfe_assets.graph.frames import ENDS, read_graph
from gfe_assets.graph.model import NODE_BY_LABEL
from gfe_assets.graph.store import Changes, GraphStore
from gfe_assets.graph.sync import plan
from gfe_assets.progress import Progress, silent
from gfe_assets_tests.graph_worlds import Version, desired

State = tuple[dict[str, dict[str, dict[str, Any]]], dict[str, dict[tuple[str, str], dict[str, Any]]]]


def load(
    store: GraphStore, version: Version, known: dict[str, Version] | None = None, progress: Progress = silent, wait: float = 5
) -> Changes:
    """Load a version as the load stage does; `known` gets it, and answers what older releases want."""
    known = {} if known is None else known
    known[version.release] = version
    with store.writing(f"load of release {version.release}", wait):
        with store.reader() as reader:
            changes = plan(desired(version), reader, lambda name: desired(known[name]) if name in known else None)
        store.apply(changes, progress)
    return changes


def state(store: GraphStore) -> State:
    """Everything in the graph, comparable with `graph_worlds.oracle`; no two nodes or edges have the same key."""
    with store.reader() as reader:
        graph = read_graph(reader, bulky=True)
    nodes = {label: {row[NODE_BY_LABEL[label].key]: row for row in frame.to_dicts()} for label, frame in graph.nodes.items()}
    for row in nodes["Release"].values():
        del row["loaded_at"]
    edges = {
        type_: {
            (row["source"], row["target"]): {name: value for name, value in row.items() if name not in ENDS}
            for row in frame.to_dicts()
        }
        for type_, frame in graph.edges.items()
    }
    assert {name: len(rows) for name, rows in {**nodes, **edges}.items()} == {
        name: len(frame) for name, frame in {**graph.nodes, **graph.edges}.items()
    }
    return nodes, edges
