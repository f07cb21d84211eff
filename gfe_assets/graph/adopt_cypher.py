"""The statements that look at and change a Neo4j database that another pipeline filled; no APOC.

In: `model.py`, and how the reference pipeline (gfe-db) names and types things. Out: running them (`adopt_survey.py`,
`adopt_steps.py`). Duplicates are found by the key that a node will have, so that they can be merged before the key is set.
"""

from gfe_assets.graph.desired import SUBMITTER_ROW
from gfe_assets.graph.model import FEATURE, GFE, NODES, SEQUENCE, SUBMITTER, SUBMITTER_NAME, Edge, Node, Property

ALIASES = (SUBMITTER_NAME, "IPD-IMGT")
"""Names of the submitter of official releases: ours, and the reference's."""
REFERENCE_PROPERTIES = {"HAS_IPD_ACCESSION": ("release",)}
"""Properties of the reference that ours replace."""
LABELS = [node.label for node in NODES]

_CYPHER_TYPES = {"STRING": "STRING", "INT64": "INTEGER", "BOOL": "BOOLEAN", "STRING[]": "LIST<STRING NOT NULL>"}
_DIGITS = "'[0-9]{1,9}'"
_INTEGER = "'-?[0-9]{1,18}'"
_FEATURE_NUMBERS = ("rank", "accession")


def quoted(name: str) -> str:
    """A label, type or property as Cypher takes it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def key_of(node: Node) -> str:
    """Expression of the key that a node `n` will have."""
    if node == FEATURE:
        return "n.locus + '|' + toString(toInteger(n.rank)) + '|' + n.term + '|' + toString(toInteger(n.accession))"
    if node == SUBMITTER:
        return f"CASE WHEN n.name IN {list(ALIASES)} THEN '{SUBMITTER_NAME}' ELSE n.name END"
    return f"n.{node.key}"


def keyed(node: Node) -> str:
    """Condition that a node `n` has what its key is made of."""
    if node == FEATURE:
        numbers = " AND ".join(f"coalesce(toStringOrNull(n.{name}) =~ {_DIGITS}, false)" for name in _FEATURE_NUMBERS)
        return f"(n.locus IS :: STRING NOT NULL AND n.term IS :: STRING NOT NULL AND {numbers})"
    return f"(n.{node.key} IS :: STRING NOT NULL AND n.{node.key} <> '')"


def unkeyed(node: Node) -> str:
    """Nodes without key: element id and names of the properties they have."""
    return f"MATCH (n:{node.label}) WHERE NOT {keyed(node)} RETURN elementId(n), keys(n)"


def duplicates(node: Node) -> str:
    """Key, and element id and number of relationships of all nodes that share it."""
    return (
        f"MATCH (n:{node.label}) WHERE {keyed(node)} WITH {key_of(node)} AS key, collect(n) AS nodes WHERE size(nodes) > 1 "
        "RETURN key, [n IN nodes | [elementId(n), COUNT { (n)--() }]]"
    )


def conflicts(node: Node, property_: Property) -> str:
    """Keys whose nodes have different values of a property."""
    return (
        f"MATCH (n:{node.label}) WHERE {keyed(node)} WITH {key_of(node)} AS key, collect(n) AS nodes WHERE size(nodes) > 1 "
        f"UNWIND nodes AS n WITH key, count(DISTINCT toStringOrNull(n.{property_.name})) AS values WHERE values > 1 RETURN key"
    )


def other_conflicts(node: Node) -> str:
    """Key and name of properties outside our schema that nodes of one key have with different values."""
    known = [each.name for each in node.properties]
    return (
        f"MATCH (n:{node.label}) WHERE {keyed(node)} WITH {key_of(node)} AS key, collect(n) AS nodes WHERE size(nodes) > 1 "
        f"UNWIND nodes AS n UNWIND [name IN keys(n) WHERE NOT name IN {known}] AS name "
        "WITH key, name, count(DISTINCT n[name]) AS values WHERE values > 1 RETURN key, name"
    )


def wrong_types(node: Node) -> str:
    """Properties of another type than ours: name, key of the node, whether it can be converted, element id of the node."""
    tests = []
    for property_ in node.properties:
        if property_.bulky or property_.name == node.key:  # bulky ones are texts or absent, keys are looked at by `unkeyed`
            continue
        value = f"n.{property_.name}"
        convertible = _convertible(value, property_)
        if (node, property_.name) == (SEQUENCE, "length"):
            convertible = f"({convertible} OR n.sequence IS :: STRING NOT NULL)"
        tests.append(f"['{property_.name}', {_misfit(value, property_)}, {convertible}]")
    example = f"CASE WHEN {keyed(node)} THEN {key_of(node)} ELSE elementId(n) END"
    cells = f"UNWIND [{', '.join(tests)}] AS test WITH n, test WHERE test[1]"
    return f"MATCH (n:{node.label}) {cells} RETURN test[0], {example}, test[2], elementId(n)"


def wrong_type_of_edges(edge: Edge, property_: Property) -> str:
    """Relationships with a property of another type than ours: name of the GFE, whether it can be converted, element id."""
    value = f"r.{property_.name}"
    example = "coalesce(toStringOrNull(g.name), elementId(r))"
    return f"{pattern(edge)} WHERE {_misfit(value, property_)} RETURN {example}, {_convertible(value, property_)}, elementId(r)"


def _misfit(value: str, property_: Property) -> str:
    return f"NOT ({value} IS :: {_CYPHER_TYPES[property_.type]})"


def _convertible(value: str, property_: Property) -> str:
    if property_.type == "INT64":
        return f"coalesce(toStringOrNull({value}) =~ {_INTEGER}, false)"
    return f"toStringOrNull({value}) IS NOT NULL" if property_.type == "STRING" else "false"


def convert(property_: Property) -> str:
    """Bring a property of nodes, given by element id, to its type."""
    text = f"toString(n.{property_.name})"
    value = f"toInteger({text})" if property_.type == "INT64" else text
    return f"UNWIND $rows AS row MATCH (n) WHERE elementId(n) = row SET n.{property_.name} = {value}"


def convert_edges(property_: Property) -> str:
    """The same of relationships; only texts."""
    return (
        f"UNWIND $rows AS row MATCH ()-[r]->() WHERE elementId(r) = row SET r.{property_.name} = toString(r.{property_.name})"
    )


FEATURES_UNSET = (
    f"MATCH (n:Feature) WHERE {keyed(FEATURE)} AND (n.fid IS NULL OR n.fid <> {key_of(FEATURE)} "
    "OR NOT (n.rank IS :: INTEGER) OR NOT (n.accession IS :: INTEGER)) RETURN elementId(n)"
)
SET_FEATURES = f"UNWIND $rows AS row MATCH (n:Feature) WHERE elementId(n) = row SET n.fid = {key_of(FEATURE)}, " + ", ".join(
    f"n.{name} = toInteger(toString(n.{name}))" for name in _FEATURE_NUMBERS
)
_INCOMPLETE_SEQUENCE = "NOT (n.seq_id IS :: STRING NOT NULL) OR NOT (n.length IS :: INTEGER NOT NULL)"
SEQUENCES_UNSET = f"MATCH (n:Sequence) WHERE n.sequence IS :: STRING NOT NULL AND ({_INCOMPLETE_SEQUENCE}) RETURN elementId(n)"
READ_SEQUENCES = "UNWIND $rows AS row MATCH (n:Sequence) WHERE elementId(n) = row RETURN row, n.sequence"
SET_SEQUENCES = "UNWIND $rows AS row MATCH (n:Sequence) WHERE elementId(n) = row[0] SET n.seq_id = row[1], n.length = row[2]"

OUTGOING = "UNWIND $rows AS row MATCH (d) WHERE elementId(d) = row[1] MATCH (d)-[r]->() RETURN type(r), elementId(r), row[0]"
INCOMING = "UNWIND $rows AS row MATCH (d) WHERE elementId(d) = row[1] MATCH (d)<-[r]-() RETURN type(r), elementId(r), row[0]"
"""Rows are [node that stays, node that goes]; results are type and element id of a relationship, and the node that stays."""


def move(type_: str, *, outgoing: bool) -> str:
    """Give relationships of a type to another node, with all their properties; rows are [relationship, node that stays]."""
    ends = ("()", "(o)", "(k)", "(o)") if outgoing else ("(o)", "()", "(o)", "(k)")
    name = quoted(type_)
    return (
        f"UNWIND $rows AS row MATCH {ends[0]}-[r]->{ends[1]} WHERE elementId(r) = row[0] MATCH (k) WHERE elementId(k) = row[1] "
        f"CREATE {ends[2]}-[m:{name}]->{ends[3]} SET m = properties(r) DELETE r"
    )


FILL = (
    "UNWIND $rows AS row MATCH (k) WHERE elementId(k) = row[0] MATCH (d) WHERE elementId(d) = row[1] "
    "SET k:$(labels(d)) WITH k, d UNWIND keys(d) AS name WITH k, d, name WHERE k[name] IS NULL SET k[name] = d[name]"
)
"""Give a node that stays the labels and properties that it lacks and the other has."""
REMOVE = "UNWIND $rows AS row MATCH (d) WHERE elementId(d) = row[1] DELETE d"


def pattern(edge: Edge) -> str:
    """All relationships of a type between the right labels, by the way of the GFE that each has at one end."""
    if edge.source == GFE.label:
        return f"MATCH (g:GFE)-[r:{edge.type}]->(o:{edge.target})"
    return f"MATCH (g:GFE)<-[r:{edge.type}]-(o:{edge.source})"


def parallel(edge: Edge) -> str:
    """Groups of relationships of a type with the same ends: element id and properties of each."""
    inner = pattern(edge).replace("MATCH (g:GFE)", "MATCH (g)")
    return (
        f"MATCH (g:GFE) CALL (g) {{ {inner} WITH o, collect(r) AS rs WHERE size(rs) > 1 "
        "RETURN [r IN rs | [elementId(r), properties(r)]] AS many } RETURN many"
    )


UNITE = (
    "UNWIND $rows AS row MATCH ()-[r]->() WHERE elementId(r) = row[0] SET r += row[1] "
    "WITH row UNWIND row[2] AS id MATCH ()-[d]->() WHERE elementId(d) = id DELETE d"
)
"""Rows are [relationship that stays, its properties, relationships that go]."""


def said(edge: Edge) -> str:
    """What edges with `releases` say (`adopt_releases.Said`), of nodes that have names."""
    return (
        f"{pattern(edge)} WHERE g.name IS :: STRING NOT NULL AND o.name IS :: STRING NOT NULL "
        "RETURN [g.name, o.name, r.releases, r.release]"
    )


def set_releases(edge: Edge) -> str:
    """Write lists; rows are [GFE, target, releases]. The property `release` goes: the list has it."""
    return (
        f"UNWIND $rows AS row MATCH (g:GFE {{name: row[0]}})-[r:{edge.type}]->(o:{edge.target} {{name: row[1]}}) "
        "SET r.releases = row[2] REMOVE r.release"
    )


OTHER_SEQUENCES = (
    "MATCH (g:GFE)-[r:HAS_SEQUENCE]->(s:Sequence) WHERE g.name <> s.name "
    "AND EXISTS { MATCH (g)-[:HAS_SEQUENCE]->(own:Sequence) WHERE own.name = g.name } "
    "RETURN elementId(r), g.name + ' → ' + s.name"
)
"""Edges to the same bases under another GFE's name; the reference looks sequences up by their bases."""
REMOVE_EDGES = "UNWIND $rows AS row MATCH ()-[r]->() WHERE elementId(r) = row DELETE r"
SUBMITTER_DIFFERS = (
    "MATCH (n:Submitter) WHERE n.name IN $aliases AND ("
    + " OR ".join(f"coalesce(n.{name} <> $row.{name}, true)" for name in SUBMITTER_ROW)
    + ") RETURN "
    + " + ', ' + ".join(f"'{name}: ' + coalesce(toStringOrNull(n.{name}), '–')" for name in SUBMITTER_ROW)
)
SET_SUBMITTER = "UNWIND $rows AS row MATCH (n:Submitter) WHERE n.name IN row[0] SET n += row[1]"
OTHER_SUBMITTERS = "MATCH (n:Submitter) WHERE NOT n.name IN $aliases RETURN n.name, COUNT { (n)-[:SUBMITTED]->(:GFE) }"
FEATURE_SEQUENCES = (
    f"MATCH (n:Feature) WHERE {keyed(FEATURE)} "
    "RETURN [n.locus, n.term, toInteger(n.rank), toInteger(n.accession), toStringOrNull(n.sequence)]"
)
MAKE_RELEASES = "UNWIND $rows AS row MERGE (n:Release {name: row[0]}) ON CREATE SET n.version = row[1], n.complete = false"
