"""Bringing a Neo4j database that another pipeline filled to our schema, step by step.

In: a session and the writer's lock that is held. Out: whether it may be done (`adopt_survey.py`), the statements
(`adopt_cypher.py`).

Every step asks what is left to do and does it in batches, each of them one transaction that may be repeated without harm.
So it can be killed anywhere and done again. The `Release` nodes come last: until they are there, the
database is not taken for a graph of this program.
"""

from collections.abc import Sequence
from typing import Any

import neo4j

from gfe_assets.graph import adopt_cypher as cypher
from gfe_assets.graph.adopt_release_edges import read_lists
from gfe_assets.graph.adopt_schema import drop_in_the_way, ensure_schema
from gfe_assets.graph.desired import SUBMITTER_ROW
from gfe_assets.graph.model import EDGES, HAS_IPD_ACCESSION, HAS_IPD_ALLELE, NODES, RELEASE, Edge, Node
from gfe_assets.graph.neo4j_lock import WriterLock
from gfe_assets.graph.neo4j_write import BATCH_SECONDS
from gfe_assets.hla.gfe import seq_id
from gfe_assets.hla.release import parse_release, sort_names
from gfe_assets.progress import Progress

_ROWS = 5_000
_BULKY_ROWS = 500


class Steps:
    """The steps, in the order of `run`."""

    def __init__(self, session: neo4j.Session, lock: WriterLock, location: str, progress: Progress) -> None:
        self._session = session
        self._lock = lock
        self._location = location
        self._progress = progress

    def run(self) -> None:
        """Do all that is left to do.

        Raises:
            GraphUnavailable: the lock was lost.
            neo4j errors: the server failed or refused.
        """
        drop_in_the_way(self._session)
        for node in NODES:
            self._merge_duplicates(node)
        self._compute()
        for node in NODES:
            self._convert(node)
        rows = [[list(cypher.ALIASES), SUBMITTER_ROW]] if self._ask(cypher.SUBMITTER_DIFFERS, **_SUBMITTER) else []
        self._write("submitters set", cypher.SET_SUBMITTER, rows)
        ensure_schema(self._session, self._location)
        for edge in EDGES:
            self._merge_parallel(edge)
            self._convert_edges(edge)
        others = [row[0] for row in self._ask(cypher.OTHER_SEQUENCES)]
        self._write("edges removed", cypher.REMOVE_EDGES, others)
        self._set_releases()

    def _merge_duplicates(self, node: Node) -> None:
        """Move everything to the node with the most relationships, then remove the others."""
        pairs = []
        for _, nodes in self._ask(cypher.duplicates(node)):
            keep, *others = sorted(nodes, key=lambda each: (-each[1], each[0]))
            pairs += [[keep[0], other[0]] for other in reversed(others)]  # the first one fills last, so its values stay
        for statement, outgoing in ((cypher.OUTGOING, True), (cypher.INCOMING, False)):
            moves: dict[str, list[list[str]]] = {}
            for start in range(0, len(pairs), _ROWS):
                for type_, edge, keep in self._ask(statement, rows=pairs[start : start + _ROWS]):
                    moves.setdefault(type_, []).append([edge, keep])
            for type_, rows in sorted(moves.items()):
                self._write(f"{type_} edges moved", cypher.move(type_, outgoing=outgoing), rows)
        self._write(f"{node.label} nodes completed", cypher.FILL, pairs, _BULKY_ROWS)
        self._write(f"{node.label} nodes merged", cypher.REMOVE, pairs)

    def _compute(self) -> None:
        """Keys of features; `seq_id` and length of sequences, of which only a few are in memory at once."""
        self._write("features keyed", cypher.SET_FEATURES, [row[0] for row in self._ask(cypher.FEATURES_UNSET)])
        ids = [row[0] for row in self._ask(cypher.SEQUENCES_UNSET)]
        for start in range(0, len(ids), _BULKY_ROWS):
            some = self._ask(cypher.READ_SEQUENCES, rows=ids[start : start + _BULKY_ROWS])
            rows = [[node, seq_id(sequence), len(sequence)] for node, sequence in some]
            self._run(cypher.SET_SEQUENCES, rows)
            self._progress("sequences identified", start + len(rows), len(ids))

    def _convert(self, node: Node) -> None:
        misfits = self._ask(cypher.wrong_types(node)) if len(node.properties) > 1 else []
        for property_ in node.properties:
            ids = [row[3] for row in misfits if row[0] == property_.name]
            self._write(f"{node.label}.{property_.name} converted", cypher.convert(property_), ids)

    def _merge_parallel(self, edge: Edge) -> None:
        rows = []
        for (many,) in self._ask(cypher.parallel(edge)):
            keep, *others = sorted(many, key=lambda each: str(each[0]))
            rows.append([keep[0], united([each[1] for each in many]), [each[0] for each in others]])
        self._write(f"{edge.type} edges merged", cypher.UNITE, rows)

    def _convert_edges(self, edge: Edge) -> None:
        for property_ in edge.properties:
            if property_.type == "STRING":
                ids = [row[2] for row in self._ask(cypher.wrong_type_of_edges(edge, property_))]
                self._write(f"{edge.type}.{property_.name} converted", cypher.convert_edges(property_), ids)

    def _set_releases(self) -> None:
        """The lists on both types of edges, then the `Release` nodes that are missing."""
        lists = dict(zip((HAS_IPD_ALLELE, HAS_IPD_ACCESSION), read_lists(self._session), strict=True))
        for edge, found in lists.items():
            rows = [[*ends, found.wanted[ends]] for ends in found.changed]
            self._write(f"{edge.type}.releases set", cypher.set_releases(edge), rows)
        named = {name for found in lists.values() for names in found.wanted.values() for name in names}
        present = {row[0] for row in self._ask(f"MATCH (n:{RELEASE.label}) RETURN n.name")}
        rows = [[name, parse_release(name).version] for name in sort_names(named - present)]
        self._write("Release nodes made", cypher.MAKE_RELEASES, rows, len(rows) or 1)

    def _ask(self, statement: str, **parameters: Any) -> list[list[Any]]:
        return self._session.run(statement, parameters).values()

    def _write(self, what: str, statement: str, rows: Sequence[Any], size: int = _ROWS) -> None:
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            self._run(statement, batch)
            self._progress(what, start + len(batch), len(rows))

    def _run(self, statement: str, rows: Sequence[Any]) -> None:
        @neo4j.unit_of_work(timeout=BATCH_SECONDS)
        def work(transaction: neo4j.ManagedTransaction) -> None:
            self._lock.check()
            transaction.run(statement, rows=list(rows)).consume()

        self._session.execute_write(work)


_SUBMITTER = {"aliases": list(cypher.ALIASES), "row": SUBMITTER_ROW}


def united(many: list[dict[str, Any]]) -> dict[str, Any]:
    """The properties of one edge in place of several: all releases, the earliest date, the first value of anything else."""
    merged: dict[str, Any] = {}
    for properties in reversed(many):
        merged.update(properties)
    releases = [each["releases"] for each in many if each.get("releases") is not None]
    texts = [str(text) for listed in releases for text in (listed if isinstance(listed, list) else [listed])]
    scalars = [str(each["release"]) for each in many if each.get("release") is not None]
    if releases or scalars[1:]:
        merged["releases"] = [*dict.fromkeys([*texts, *scalars[1:]])]
    if scalars:
        merged["release"] = scalars[0]
    dates = [str(each["submit_date"]) for each in many if each.get("submit_date") is not None]
    if dates:
        merged["submit_date"] = min(dates)
    return merged
