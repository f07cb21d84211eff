"""Constraints and indexes of a Neo4j graph, and whether a database holds a graph of this project at all.

In: `model.py` and a session. Out: statements that read (`neo4j_read.py`) and write (`neo4j_write.py`) nodes and edges.

Every label is unique on the very property that a load merges on. Sequences have no index: values of more than
8,164 characters cannot have one, so `seq_id` stands for them.
"""

import neo4j

from gfe_assets.errors import GraphError
from gfe_assets.graph.model import FEATURE, GFE, IPD_ALLELE, NODES, RELEASE, SEQUENCE, Node

INDEXES: tuple[tuple[Node, tuple[str, ...]], ...] = (
    (GFE, ("locus",)),
    (SEQUENCE, ("seq_id",)),
    (FEATURE, ("locus", "term", "rank")),
    (IPD_ALLELE, ("gene",)),
)
"""What users look nodes up by besides their keys."""

_CONSTRAINTS = "SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties WHERE type CONTAINS 'UNIQUENESS' OR type = 'NODE_KEY'"
_INDEXES = "SHOW INDEXES YIELD type, labelsOrTypes, properties WHERE type = 'RANGE' AND labelsOrTypes IS NOT NULL"
_READY_SECONDS = 300
_REFERENCE_KEY = "gfe_name"
"""The property that the reference pipeline made unique, though its load merges on `name`."""

_Keys = set[tuple[str, tuple[str, ...]]]


def ensure_schema(session: neo4j.Session, location: str) -> None:
    """Make the constraints and indexes that are missing, and wait until they are there.

    Raises:
        GraphError: something else has taken the name of a constraint.
        neo4j errors: there are duplicates, or an index stands where a constraint should.
    """
    constraints = {(node.label, (node.key,)) for node in NODES}
    for label, (key,) in sorted(constraints - _present(session, _CONSTRAINTS)):
        name = f"gfe_assets_{label}_{key}"
        session.run(f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE").consume()
    indexes = {(node.label, properties) for node, properties in INDEXES} - _present(session, _INDEXES)
    for label, properties in sorted(indexes):
        listed = ", ".join(f"n.{each}" for each in properties)
        name = f"gfe_assets_{label}_{'_'.join(properties)}"
        session.run(f"CREATE INDEX {name} IF NOT EXISTS FOR (n:{label}) ON ({listed})").consume()
    if indexes:
        session.run("CALL db.awaitIndexes($seconds)", seconds=_READY_SECONDS).consume()
    missing = constraints - _present(session, _CONSTRAINTS)
    if missing:
        listed = ", ".join(f"{label}.{key}" for label, (key,) in sorted(missing))
        raise GraphError(
            f"graph server {location}: {listed} cannot be made unique, because constraints of other properties have the names "
            "of ours (gfe_assets_…); drop those and run this again"
        )


def refuse_foreign(session: neo4j.Session, location: str) -> None:
    """Recognise a database that the reference pipeline filled: GFE nodes, but no record of which releases they are from.

    Raises:
        GraphError: it is one; says what to do.
    """
    releases, gfes = (session.run(f"MATCH (n:{node.label}) RETURN count(n)").single(strict=True)[0] for node in (RELEASE, GFE))
    if releases or not gfes:
        return
    reference = (GFE.label, (_REFERENCE_KEY,)) in _present(session, _CONSTRAINTS)
    sign = f", and {GFE.label}.{_REFERENCE_KEY} is unique as in gfe-db" if reference else ""
    raise GraphError(
        f"graph server {location} has {gfes:,} GFE nodes that this program did not load (there is no Release node{sign}); "
        "bring them to its schema with `gfe-assets adopt`, or name an empty database in GFE_GRAPH_DATABASE"
    )


def _present(session: neo4j.Session, statement: str) -> _Keys:
    """Label and properties of each constraint or index on nodes of one label."""
    found = session.run(f"{statement} RETURN labelsOrTypes, properties")
    return {(labels[0], tuple(properties)) for labels, properties in found.values() if labels}
