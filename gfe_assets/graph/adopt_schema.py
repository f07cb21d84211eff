"""Constraints and indexes of a Neo4j database that another pipeline filled: which are in the way, which are missing.

In: `neo4j_schema.py`, a session. Out: making ours (`neo4j_schema.ensure_schema`).

The reference makes `GFE.gfe_name` and `Submitter.email` unique, but merges on `GFE.name`. Uniqueness of a property that is no
key guards nothing here, and can break a load; so it goes. An index on a key has to give way to the constraint.
"""

from typing import Any, NamedTuple

import neo4j

from gfe_assets.graph.adopt_report import Findings
from gfe_assets.graph.model import NODE_BY_LABEL, NODES
from gfe_assets.graph.neo4j_lock import LABEL as LOCK_LABEL
from gfe_assets.graph.neo4j_schema import INDEXES, ensure_schema

__all__ = ["InTheWay", "drop_in_the_way", "ensure_schema", "survey_schema"]

_REFERENCE_NAMES = {"GFE": ("gfe_name",)}
"""Properties that the reference made unique though no node has them."""


class InTheWay(NamedTuple):
    """A constraint or index to drop; `kind` is CONSTRAINT or INDEX."""

    kind: str
    name: str
    label: str
    properties: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} on {self.label}.{', '.join(self.properties)}"


def survey_schema(session: neo4j.Session, findings: Findings) -> None:
    """Take down what is in the way, what is missing, and uniqueness that others made for their own properties."""
    constraints, indexes = _constraints(session), _indexes(session)
    wrong = [each for each in constraints if _is_wrong(each)]
    remedy = "dropped: it is not on the property that loads merge on"
    findings.add("wrong_constraint", "constraints", len(wrong), remedy, wrong)
    others = [each for each in constraints if not _is_wrong(each) and not _is_key(each)]
    findings.add("other_constraint", "constraints", len(others), "stays as it is", others, action="keep")
    blocking = [each for each in indexes if _is_key(each)]
    findings.add("index_on_key", "indexes", len(blocking), "dropped: the constraint has an index of its own", blocking)
    present = {(each.label, each.properties) for each in constraints}
    missing = [f"{node.label}.{node.key}" for node in NODES if (node.label, (node.key,)) not in present]
    findings.add("missing_constraint", "constraints", len(missing), "made", missing)
    present = {(each.label, each.properties) for each in indexes}
    missing = [f"{node.label}.{', '.join(names)}" for node, names in INDEXES if (node.label, names) not in present]
    findings.add("missing_index", "indexes", len(missing), "made", missing)


def drop_in_the_way(session: neo4j.Session) -> None:
    """Drop wrong constraints, and indexes that stand where a constraint must be."""
    wrong = [each for each in _constraints(session) if _is_wrong(each)]
    for each in (*wrong, *(index for index in _indexes(session) if _is_key(index))):
        name = each.name.replace("`", "``")
        session.run(f"DROP {each.kind} `{name}` IF EXISTS").consume()


def _is_key(each: InTheWay) -> bool:
    node = NODE_BY_LABEL.get(each.label)
    return node is not None and each.properties == (node.key,)


def _is_wrong(each: InTheWay) -> bool:
    node = NODE_BY_LABEL.get(each.label)
    if node is None or _is_key(each):
        return False
    ours = {*(property_.name for property_ in node.properties), *_REFERENCE_NAMES.get(each.label, ())}
    return bool(ours & set(each.properties))


def _constraints(session: neo4j.Session) -> list[InTheWay]:
    found = session.run(
        "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties "
        "WHERE type CONTAINS 'UNIQUENESS' OR type = 'NODE_KEY' RETURN name, labelsOrTypes[0], properties ORDER BY name"
    )
    return [each for each in _named("CONSTRAINT", found.values()) if each.label != LOCK_LABEL]


def _indexes(session: neo4j.Session) -> list[InTheWay]:
    found = session.run(
        "SHOW INDEXES YIELD name, type, labelsOrTypes, properties, owningConstraint "
        "WHERE type = 'RANGE' AND owningConstraint IS NULL AND labelsOrTypes IS NOT NULL "
        "RETURN name, labelsOrTypes[0], properties ORDER BY name"
    )
    return _named("INDEX", found.values())


def _named(kind: str, rows: list[list[Any]]) -> list[InTheWay]:
    return [InTheWay(kind, name, label, tuple(properties)) for name, label, properties in rows]
