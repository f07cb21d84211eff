"""Small releases for graph tests, an oracle that says what graph they make, and a graph in plain Python dicts.

The oracle knows nothing of differences: it looks at the last version of every release and writes down the graph
by the rules of DESIGN.md 3. Expected values of the tests come from it or from tables written by hand.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gfe_assets.graph.desired import Provenance, ReleaseGraph, desired_graph
from gfe_assets.graph.frames import edge_schema, node_schema
from gfe_assets.graph.model import EDGES, NODES, Edge, Node
from gfe_assets.graph.store import Changes, QueryResult
from gfe_assets.hla.records import FeatureRow, GfeSequence, GroupRow
from gfe_assets.hla.release import sort_names

LOADED_AT = "2026-01-02T03:04:05+00:00"


@dataclass(frozen=True)
class Allele:
    """An allele in a release. `gfe` is a name of two exon numbers such as `HLA-Aw1-2` (0: not known)."""

    name: str
    accession: str
    gfe: str
    groups: Mapping[str, str] = field(default_factory=dict)
    bases: str = ""
    """Bases that no feature covers, so that one GFE may have another sequence in another release."""


@dataclass(frozen=True)
class Version:
    """One version of a release: its alleles and the commit that made it."""

    release: str
    alleles: tuple[Allele, ...]
    commit_date: str = "2015-07-01T10:20:30+00:00"
    commit: str = "c0ffee"
    limit: int = 0


def exons(gfe: str) -> list[tuple[int, int]]:
    """(rank, accession) of the known exons that the name tells."""
    numbers = gfe.partition("w")[2].split("-")
    return [(rank, int(number)) for rank, number in enumerate(numbers, 1) if number != "0"]


def exon_sequence(rank: int, accession: int) -> str:
    return "ACGT"[rank % 4] * (3 + accession) + "TGCA"[accession % 4] * 4


def sequence(allele: Allele) -> str:
    return "".join(exon_sequence(*exon) for exon in exons(allele.gfe)) + allele.bases


def seq_id(text: str) -> str:
    """First 32 digits of the decimal MD5 (DESIGN.md 3)."""
    return str(int(hashlib.md5(text.encode()).hexdigest(), 16))[:32]


def dotted(release: str) -> str:
    return f"{release[0]}.{release[1:-1]}.{release[-1]}"


def desired(version: Version, loaded_at: str = LOADED_AT) -> ReleaseGraph:
    """What `version` wants, by way of the rows that its CSV files would have."""
    sequences, features, groups = [], [], []
    number = dotted(version.release)
    for each in version.alleles:
        text, locus = sequence(each), each.name.split("*")[0]
        sequences.append(GfeSequence(each.gfe, each.accession, locus, each.name, seq_id(text), text, len(text), number))
        for rank, accession in exons(each.gfe):
            bases = exon_sequence(rank, accession)
            row = (accession, "none", locus, rank, bases, "EXON", each.gfe, each.accession, each.name, number)
            features.append(FeatureRow(*row))
        for name, group in each.groups.items():
            groups.append(GroupRow(each.gfe, each.accession, each.name, group, name, locus, number))
    provenance = Provenance(
        name=version.release,
        version=number,
        commit_sha=version.commit,
        commit_date=version.commit_date,
        fingerprint=f"fingerprint of {version.commit}",
        loaded_at=loaded_at,
        entries_limit=version.limit,
    )
    frames = (table(GfeSequence, sequences), table(FeatureRow, features), table(GroupRow, groups))
    return desired_graph(version.release, *frames, provenance)


def table(row: Any, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """A frame with the columns and types of a row model, also when there are no rows."""
    types = {name: pl.Int64 if kind in (int, "int") else pl.String for name, kind in row.__annotations__.items()}
    return pl.DataFrame(rows, schema=types, orient="row")


Nodes = dict[str, dict[str, dict[str, Any]]]
Edges = dict[str, dict[tuple[str, str], dict[str, Any]]]


def oracle(versions: Mapping[str, Version]) -> tuple[Nodes, Edges]:
    """The graph of the last version of each release: label → key → properties, type → ends → properties."""
    nodes: Nodes = {label: {} for label in ("GFE", "Sequence", "Feature", "IPD_Allele", "IPD_Accession", "Release")}
    nodes["Submitter"] = {
        "IPD-IMGT/HLA": {
            "name": "IPD-IMGT/HLA",
            "institution": "IPD",
            "url": "https://www.ebi.ac.uk/ipd/imgt/hla/",
            "email": "hla@alleles.org",
        }
    }
    edges: Edges = {type_: {} for type_ in ("HAS_IPD_ALLELE", "HAS_IPD_ACCESSION", "HAS_SEQUENCE", "HAS_FEATURE", "SUBMITTED")}
    for release in sort_names(list(versions)):
        version = versions[release]
        nodes["Release"][release] = {
            "name": release,
            "version": dotted(release),
            "commit_sha": version.commit,
            "commit_date": version.commit_date,
            "fingerprint": f"fingerprint of {version.commit}",
            "complete": True,
            "entries_limit": version.limit,
        }
        for each in version.alleles:
            gfe, locus, text = each.gfe, each.name.split("*")[0], sequence(each)
            nodes["GFE"][gfe] = {"name": gfe, "locus": locus}
            nodes["Sequence"][gfe] = {
                "name": gfe,
                "locus": locus,
                "sequence": text,
                "length": len(text),
                "seq_id": seq_id(text),
            }
            groups = {name: each.groups.get(name) for name in ("G", "lg", "lgx")}
            nodes["IPD_Allele"][each.name] = {"name": each.name, "gene": locus, **groups}
            nodes["IPD_Accession"][each.accession] = {"name": each.accession}
            for type_, target in (("HAS_IPD_ALLELE", each.name), ("HAS_IPD_ACCESSION", each.accession)):
                listed = edges[type_].setdefault((gfe, target), {"releases": []})["releases"]
                if release not in listed:
                    listed.append(release)
            edges["HAS_SEQUENCE"][gfe, gfe] = {}
            edges["SUBMITTED"].setdefault(("IPD-IMGT/HLA", gfe), {"submit_date": version.commit_date[:10]})
            for rank, accession in exons(gfe):
                fid = f"{locus}|{rank}|EXON|{accession}"
                nodes["Feature"][fid] = {
                    "fid": fid,
                    "locus": locus,
                    "rank": rank,
                    "term": "EXON",
                    "accession": accession,
                    "sequence": exon_sequence(rank, accession),
                }
                edges["HAS_FEATURE"][gfe, fid] = {}
    return nodes, edges


Operation = tuple[str, str, str, dict[str, Any]]


class DictGraph:
    """A graph in dicts that refuses what a database would refuse, and that can be killed in the middle of a load."""

    def __init__(self) -> None:
        self.nodes: Nodes = {node.label: {} for node in NODES}
        self.edges: Edges = {edge.type: {} for edge in EDGES}

    def read_nodes(self, node: Node, columns: Sequence[str]) -> pl.DataFrame:
        rows = [[row.get(name) for name in columns] for row in self.nodes[node.label].values()]
        schema = node_schema(node)
        return pl.DataFrame(rows, schema={name: schema[name] for name in columns}, orient="row")

    def read_edges(self, edge: Edge) -> pl.DataFrame:
        rows = [[*ends, *row.values()] for ends, row in self.edges[edge.type].items()]
        return pl.DataFrame(rows, schema=edge_schema(edge), orient="row")

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        raise NotImplementedError

    def apply(self, changes: Changes, crash_after: int | None = None, seed: int = 0) -> None:
        """Write as a store without transactions does: node by node, edge by edge, some of it only if it is to crash.

        The order is any that a database allows (nodes before their edges, edges gone before their nodes), by `seed`.
        """
        if changes.empty:
            return
        operations = _operations(changes, random.Random(seed))
        row = dict(changes.release_row)
        self.nodes["Release"][changes.release] = {**row, "complete": False}
        for operation in operations[:crash_after]:
            self._do(*operation)
        if crash_after is None:
            self.nodes["Release"][changes.release] = row

    def state(self) -> tuple[Nodes, Edges]:
        """Comparable with the oracle's."""
        nodes = {label: {key: dict(row) for key, row in rows.items()} for label, rows in self.nodes.items()}
        for row in nodes["Release"].values():
            del row["loaded_at"]
        return nodes, self.edges

    def _do(self, kind: str, name: str, action: str, row: dict[str, Any]) -> None:
        if kind == "nodes":
            key = next(iter(row.values()))
            rows: dict[Any, Any] = self.nodes[name]
            values = row
            used = [ends for edges in self.edges.values() for ends in edges if key in ends]
            assert action != "delete" or not [ends for ends in used if self._hangs(name, key, ends)]
        else:
            key = (row["source"], row["target"])
            rows = self.edges[name]
            values = {column: value for column, value in row.items() if column not in ("source", "target")}
        assert (key in rows) == (action != "insert"), f"{action} of {name} {key}"
        if action == "delete":
            del rows[key]
        else:
            rows[key] = {**rows.get(key, {}), **values}

    def _hangs(self, label: str, key: str, ends: tuple[str, str]) -> bool:
        ends_of = {
            "GFE": [("HAS_IPD_ALLELE", 0), ("HAS_IPD_ACCESSION", 0), ("HAS_SEQUENCE", 0), ("HAS_FEATURE", 0), ("SUBMITTED", 1)],
            "Sequence": [("HAS_SEQUENCE", 1)],
            "Feature": [("HAS_FEATURE", 1)],
            "IPD_Allele": [("HAS_IPD_ALLELE", 1)],
            "IPD_Accession": [("HAS_IPD_ACCESSION", 1)],
        }
        return any(ends in self.edges[type_] and ends[end] == key for type_, end in ends_of.get(label, []))


def _operations(changes: Changes, dice: random.Random) -> list[Operation]:
    """Every single write, in a random order that keeps nodes there while they have edges."""
    first: list[Operation] = []
    middle: list[Operation] = []
    last: list[Operation] = []
    for label, change in changes.nodes.items():
        if label == "Release":
            continue
        first += [("nodes", label, "insert", row) for row in change.insert.to_dicts()]
        middle += [("nodes", label, "update", row) for row in change.update.to_dicts()]
        last += [("nodes", label, "delete", row) for row in change.delete.to_dicts()]
    for type_, edge_change in changes.edges.items():
        for action in ("insert", "update", "delete"):
            middle += [("edges", type_, action, row) for row in getattr(edge_change, action).to_dicts()]
    for part in (first, middle, last):
        dice.shuffle(part)
    return first + middle + last
