"""What a Neo4j database holds, and how that differs from our schema; reads only.

In: a session. Out: the report (`adopt_report.py`), the statements (`adopt_cypher.py`), accessions (`adopt_accessions.py`), and
doing something about it (`adopt_steps.py`).

What a load would take away without anybody having asked for it is a reason to refuse: nodes without key, edges that
name no release, GFEs that somebody else submitted.
"""

from collections.abc import Collection, Iterable
from typing import Any

import neo4j

from gfe_assets.graph import adopt_cypher as cypher
from gfe_assets.graph.adopt_release_edges import read_lists
from gfe_assets.graph.adopt_report import Findings
from gfe_assets.graph.adopt_schema import survey_schema
from gfe_assets.graph.desired import SUBMITTER_ROW
from gfe_assets.graph.model import (
    EDGES,
    FEATURE,
    GFE,
    HAS_IPD_ALLELE,
    NODES,
    RELEASE,
    SEQUENCE,
    Edge,
    Node,
    Property,
)
from gfe_assets.graph.neo4j_lock import LABEL as LOCK_LABEL
from gfe_assets.hla.release import sort_names

_NEXT_LOAD = "stays for now; a load removes what no release has"


def counts(session: neo4j.Session) -> tuple[dict[str, int], dict[str, int]]:
    """Nodes by label and relationships by type, of our schema."""
    nodes = {node.label: _one(session, f"MATCH (n:{node.label}) RETURN count(n)") for node in NODES}
    edges = {edge.type: _one(session, f"MATCH ()-[r:{edge.type}]->() RETURN count(r)") for edge in EDGES}
    return nodes, edges


def survey(session: neo4j.Session, present: Collection[str], findings: Findings) -> list[str]:
    """Look at everything but accessions; gives the releases that the edges name, in order.

    `present` are the labels and types of ours that there are at all.
    """
    for node in NODES:
        if node.label in present:
            _survey_nodes(session, node, findings)
    _survey_computed(session, findings)
    for edge in EDGES:
        if edge.type in present:
            _survey_edges(session, edge, findings)
    _survey_submitters(session, findings)
    _survey_strangers(session, findings)
    survey_schema(session, findings)
    return _survey_releases(session, findings)


def _survey_nodes(session: neo4j.Session, node: Node, findings: Findings) -> None:
    label = node.label
    unkeyed = [f"{key} with {', '.join(sorted(names)) or 'no property'}" for key, names in _rows(session, cypher.unkeyed(node))]
    made_of = "locus, term, rank and accession, the last two numbers" if node == FEATURE else node.key
    remedy = f"every {label} needs {made_of}: give it to them, or delete them"
    if node == GFE and any("gfe_name" in text for text in unkeyed):
        remedy += (
            "; nodes of early versions of gfe-db can be renamed: MATCH (n:GFE) WHERE n.name IS NULL SET n.name = n.gfe_name"
        )
    findings.add("unkeyed_nodes", label, len(unkeyed), remedy, unkeyed, action="refuse")
    groups = _rows(session, cypher.duplicates(node))
    surplus = sum(len(nodes) - 1 for _, nodes in groups)
    remedy = "merged into the one with the most relationships, which keeps its values and gets those it lacks"
    findings.add("duplicate_nodes", label, surplus, remedy, sorted(f"{key} × {len(nodes)}" for key, nodes in groups))
    if groups:
        clashes = sorted(" ".join(row) for row in _rows(session, cypher.other_conflicts(node)))
        remedy = "merging these nodes would lose one of the values, and only you know which counts: make them equal"
        findings.add("conflicting_values", f"{label}, other properties", len(clashes), remedy, clashes, action="refuse")
    for property_ in node.properties[1:]:
        where = f"{label}.{property_.name}"
        if groups and not _number_of_feature(node, property_):
            keys = sorted(_values(session, cypher.conflicts(node, property_)))
            _add_conflicts(findings, where, keys, contradiction=where == "Feature.sequence")
    misfits = _rows(session, cypher.wrong_types(node)) if len(node.properties) > 1 else []
    for property_ in node.properties[1:]:
        found = sorted(row[1:3] for row in misfits if row[0] == property_.name)
        _add_types(findings, f"{label}.{property_.name}", property_, found)
    known = [each.name for each in node.properties]
    keys_of_nodes = f"MATCH (n:{label}) UNWIND keys(n) AS name WITH name, count(*) AS times WHERE NOT name IN $known"
    for name, times in _rows(session, f"{keys_of_nodes} RETURN name, times ORDER BY name", known=known):
        findings.add("unknown_property", f"{label}.{name}", times, "stays as it is; nothing here reads it", action="keep")


def _number_of_feature(node: Node, property_: Property) -> bool:
    """Part of a feature's key, which duplicates share however it is written."""
    return node == FEATURE and property_.name in ("rank", "accession")


def _add_conflicts(findings: Findings, where: str, keys: list[str], *, contradiction: bool) -> None:
    if contradiction:
        remedy = "one accession stands for two sequences: find out which is right, and delete the other node"
        findings.add("contradicting_features", where, len(keys), remedy, keys, action="refuse")
    else:
        remedy = "the node with the most relationships keeps its value; the next load of the newest release sets the right one"
        findings.add("conflicting_values", where, len(keys), remedy, keys)


def _add_types(findings: Findings, where: str, property_: Property, found: list[list[Any]]) -> None:
    stuck = [example for example, convertible in found if not convertible]
    remedy = f"values that cannot become {property_.type}: correct or remove them"
    findings.add("wrong_type", where, len(stuck), remedy, stuck, action="refuse")
    rest = [example for example, convertible in found if convertible]
    findings.add("wrong_type", where, len(rest), f"converted to {property_.type}", rest)


def _survey_computed(session: neo4j.Session, findings: Findings) -> None:
    features = _one(session, cypher.FEATURES_UNSET.replace("RETURN elementId(n)", "RETURN count(n)"))
    findings.add("missing_value", "Feature.fid", features, "computed: locus|rank|term|accession")
    sequences = _one(session, cypher.SEQUENCES_UNSET.replace("RETURN elementId(n)", "RETURN count(n)"))
    findings.add("missing_value", "Sequence.seq_id", sequences, "computed from the sequence, as is its length")


def _survey_edges(session: neo4j.Session, edge: Edge, findings: Findings) -> None:
    type_ = edge.type
    right = _one(session, f"MATCH (:{edge.source})-[r:{type_}]->(:{edge.target}) RETURN count(r)")
    misplaced = _one(session, f"MATCH ()-[r:{type_}]->() RETURN count(r)") - right
    remedy = f"stays as it is; ours go from {edge.source} to {edge.target}"
    findings.add("misplaced_edges", type_, misplaced, remedy, action="keep")
    surplus = sum(len(many) - 1 for many in _values(session, cypher.parallel(edge)))
    findings.add("parallel_edges", type_, surplus, "merged into one, with the releases of all and the earliest date")
    for property_ in edge.properties:
        if property_.type == "STRING":
            found = sorted(row[:2] for row in _rows(session, cypher.wrong_type_of_edges(edge, property_)))
            _add_types(findings, f"{type_}.{property_.name}", property_, found)
    known = [*(each.name for each in edge.properties), *cypher.REFERENCE_PROPERTIES.get(type_, ())]
    names = f"{cypher.pattern(edge)} UNWIND keys(r) AS name WITH name, count(*) AS times WHERE NOT name IN $known"
    for name, times in _rows(session, f"{names} RETURN name, times ORDER BY name", known=known):
        findings.add("unknown_property", f"{type_}.{name}", times, "stays as it is; nothing here reads it", action="keep")
    if type_ == "HAS_SEQUENCE":
        others = [example for _, example in _rows(session, cypher.OTHER_SEQUENCES)]
        remedy = "removed: these GFEs have a Sequence of their own, with the same bases"
        findings.add("sequence_of_another_gfe", type_, len(others), remedy, others)


def _survey_submitters(session: neo4j.Session, findings: Findings) -> None:
    aliases = list(cypher.ALIASES)
    ours = _values(session, cypher.SUBMITTER_DIFFERS, aliases=aliases, row=SUBMITTER_ROW)
    findings.add("submitter", "Submitter", len(ours), f"becomes {', '.join(SUBMITTER_ROW.values())}", ours)
    others = [(name, gfes) for name, gfes in _rows(session, cypher.OTHER_SUBMITTERS, aliases=aliases) if gfes]
    remedy = (
        "a load keeps only what IPD-IMGT/HLA submitted, so these GFEs would lose their submitters: if these are its names in "
        "this database, rename them to IPD-IMGT; else move what they submitted to another database"
    )
    examples = [f"{name} with {gfes:,} GFEs" for name, gfes in others]
    findings.add("other_submitter", "Submitter", len(others), remedy, examples, action="refuse")


def _survey_strangers(session: neo4j.Session, findings: Findings) -> None:
    known = [*cypher.LABELS, LOCK_LABEL]
    labels = "MATCH (n) UNWIND labels(n) AS label WITH label, count(*) AS times WHERE NOT label IN $known"
    for label, times in _rows(session, f"{labels} RETURN label, times ORDER BY label", known=known):
        findings.add("unknown_label", label, times, "stays as it is; nothing here reads it", action="keep")
    bare = _one(session, "MATCH (n) WHERE size(labels(n)) = 0 RETURN count(n)")
    findings.add("unknown_label", "(no label)", bare, "stays as it is; nothing here reads it", action="keep")
    for type_ in sorted(_values(session, "CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType")):
        if type_ not in {edge.type for edge in EDGES}:
            times = _one(session, f"MATCH ()-[r:{cypher.quoted(type_)}]->() RETURN count(r)")
            remedy = "stays as it is; a load says so if it has to remove a node that hangs on one"
            findings.add("unknown_type", type_, times, remedy, action="keep")
    alone = f"MATCH (n:GFE) WHERE NOT EXISTS {{ (n)-[:{HAS_IPD_ALLELE.type}]->(:IPD_Allele) }} RETURN coalesce(n.name, '')"
    gfes = sorted(_values(session, alone))
    findings.add("without_allele", "GFE", len(gfes), _NEXT_LOAD, gfes, action="keep")
    for edge in EDGES:
        if edge.source == GFE.label:
            lonely = f"MATCH (n:{edge.target}) WHERE NOT EXISTS {{ (n)<-[:{edge.type}]-(:GFE) }} RETURN count(n)"
            findings.add("without_gfe", edge.target, _one(session, lonely), _NEXT_LOAD, action="keep")
    blank = f"MATCH (n:{SEQUENCE.label}) WHERE n.sequence IS NULL RETURN count(n)"
    findings.add("without_sequence", SEQUENCE.label, _one(session, blank), "stays; the next load sets it", action="keep")


def _survey_releases(session: neo4j.Session, findings: Findings) -> list[str]:
    alleles, accessions = read_lists(session)
    texts = alleles.unreadable + accessions.unreadable
    remedy = "a release is written 3580 or 3.58.0: correct these texts"
    findings.add("unreadable_release", "releases", len(texts), remedy, sorted(texts), action="refuse")
    remedy = "no release is named, so a load would remove them: say which, or delete them"
    findings.add("no_release", HAS_IPD_ALLELE.type, len(alleles.unknown), remedy, _ends(alleles.unknown), action="refuse")
    remedy = "brought into release order, without repeats"
    findings.add("release_lists", "HAS_IPD_ALLELE.releases", len(alleles.changed), remedy, _ends(alleles.changed))
    remedy = "made of `release` and of the alleles' releases where that is certain"
    findings.add("release_lists", "HAS_IPD_ACCESSION.releases", len(accessions.changed), remedy, _ends(accessions.changed))
    remedy = "some releases of their GFEs had other accessions, nobody knows which; loading those releases makes them exact"
    unsure = _ends(accessions.unknown)
    findings.add("uncertain_releases", "HAS_IPD_ACCESSION.releases", len(unsure), remedy, unsure, action="keep")
    named = {name for lists in (alleles, accessions) for names in lists.wanted.values() for name in names}
    present = set(_values(session, f"MATCH (n:{RELEASE.label}) RETURN n.name"))
    missing = sort_names(named - present)
    remedy = "made, as incomplete: `gfe-assets run` of each makes it exact"
    findings.add("missing_release", RELEASE.label, len(missing), remedy, missing)
    if not named and _one(session, "MATCH (n:GFE) RETURN count(n)"):
        findings.add("no_release", "GFE", 1, "no edge names a release, so nothing tells what these GFEs are", action="refuse")
    return sort_names(named)


def _ends(edges: Iterable[tuple[str, str]]) -> list[str]:
    return [" → ".join(ends) for ends in sorted(edges)]


def _rows(session: neo4j.Session, statement: str, **parameters: Any) -> list[list[Any]]:
    return session.run(statement, parameters).values()


def _values(session: neo4j.Session, statement: str, **parameters: Any) -> list[Any]:
    return session.run(statement, parameters).value()


def _one(session: neo4j.Session, statement: str) -> int:
    return int(session.run(statement).single(strict=True)[0])
