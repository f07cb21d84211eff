"""The graph schema, declared once: labels, keys, properties, edges.

In: what nodes and edges exist, which property identifies a node, what type each property has, and which
properties depend on the order of releases. Out: statements of a store (they are derived from this) and
the rules that bring a graph to a release (`sync.py`).

Names are those of gfe-db's load script; `Release` is ours (provenance). To add a property, add it here
and fill it in `sync.desired_graph`; both stores create, write, back up and compare it from then on.
"""

from dataclasses import dataclass
from typing import Literal

PropertyType = Literal["STRING", "INT64", "BOOL", "STRING[]"]

SUBMITTER_NAME = "IPD-IMGT/HLA"


@dataclass(frozen=True)
class Property:
    """A property of a node or edge. `bulky` ones (sequences) are written but not read back to compare."""

    name: str
    type: PropertyType = "STRING"
    bulky: bool = False


@dataclass(frozen=True)
class Node:
    """A label; `properties[0]` is its key, unique and enforced by the database."""

    label: str
    properties: tuple[Property, ...]

    @property
    def key(self) -> str:
        """Name of the property that identifies a node of this label."""
        return self.properties[0].name


@dataclass(frozen=True)
class Edge:
    """A relationship type between two labels, at most one between any two nodes."""

    type: str
    source: str
    target: str
    properties: tuple[Property, ...] = ()


GFE = Node("GFE", (Property("name"), Property("locus")))
SEQUENCE = Node(
    "Sequence",
    (
        Property("name"),
        Property("locus"),
        Property("sequence", bulky=True),
        Property("length", "INT64"),
        Property("seq_id"),
    ),
)
FEATURE = Node(
    "Feature",
    (
        Property("fid"),
        Property("locus"),
        Property("rank", "INT64"),
        Property("term"),
        Property("accession", "INT64"),
        Property("sequence", bulky=True),
    ),
)
IPD_ALLELE = Node(
    "IPD_Allele",
    (Property("name"), Property("gene"), Property("G"), Property("lg"), Property("lgx")),
)
IPD_ACCESSION = Node("IPD_Accession", (Property("name"),))
SUBMITTER = Node(
    "Submitter",
    (Property("name"), Property("institution"), Property("url"), Property("email")),
)
RELEASE = Node(
    "Release",
    (
        Property("name"),
        Property("version"),
        Property("commit_sha"),
        Property("commit_date"),
        Property("fingerprint"),
        Property("loaded_at"),
        Property("complete", "BOOL"),
        Property("entries_limit", "INT64"),
    ),
)
NODES = (GFE, SEQUENCE, FEATURE, IPD_ALLELE, IPD_ACCESSION, SUBMITTER, RELEASE)

RELEASES = Property("releases", "STRING[]")
HAS_IPD_ALLELE = Edge("HAS_IPD_ALLELE", "GFE", "IPD_Allele", (RELEASES,))
HAS_IPD_ACCESSION = Edge("HAS_IPD_ACCESSION", "GFE", "IPD_Accession", (RELEASES,))
HAS_SEQUENCE = Edge("HAS_SEQUENCE", "GFE", "Sequence")
HAS_FEATURE = Edge("HAS_FEATURE", "GFE", "Feature")
SUBMITTED = Edge("SUBMITTED", "Submitter", "GFE", (Property("submit_date"),))
EDGES = (HAS_IPD_ALLELE, HAS_IPD_ACCESSION, HAS_SEQUENCE, HAS_FEATURE, SUBMITTED)

NODE_BY_LABEL = {node.label: node for node in NODES}
EDGE_BY_TYPE = {edge.type: edge for edge in EDGES}
