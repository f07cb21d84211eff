"""A database as the reference pipeline (gfe-db) leaves it, made from the CSV files of a build by statements of our own.

In: a session and CSV files. Out: bringing it to our schema (`graph/adopt.py`), tests, and the benchmark of its load
(`benchmarks/bench_reference_shape.py`).

The shapes are those that its load script makes: everything from a CSV file is text, also numbers; nodes are merged on
properties without an index; the graph grows release by release; a GFE hangs on every `Sequence` with its bases. Rows come as
parameters, where the original has LOAD CSV. `doubled` names are created twice, as its parallel batches do when both find
no such node.
"""

import csv
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import neo4j

CONSTRAINTS = (
    "CREATE CONSTRAINT gfe_constraint IF NOT EXISTS FOR (n:GFE) REQUIRE n.gfe_name IS UNIQUE",
    "CREATE CONSTRAINT submitter_constraint IF NOT EXISTS FOR (n:Submitter) REQUIRE n.email IS UNIQUE",
    "CREATE CONSTRAINT who_constraint IF NOT EXISTS FOR (n:WHO) REQUIRE n.name IS UNIQUE",
    "CREATE INDEX seq_index IF NOT EXISTS FOR (n:Sequence) ON (n.seq_id)",
    "CREATE INDEX feature_index IF NOT EXISTS FOR (n:Feature) ON (n.locus, n.rank, n.term, n.accession)",
)
SUBMITTER = {
    "institution": "IPD",
    "name": "IPD-IMGT",
    "url": "https://www.ebi.ac.uk/ipd/imgt/hla/",
    "email": "someone@example.org",
}
BATCH_ROWS = 500


class Statement(NamedTuple):
    """A statement and the rows it is run on: those of a CSV file."""

    file: str
    text: str


NODES = (
    Statement("gfe_sequences", "MERGE (n:GFE {name: row.gfe_name}) ON CREATE SET n.locus = row.locus"),
    Statement(
        "gfe_sequences",
        "MERGE (n:Sequence {name: row.gfe_name}) SET n.locus = row.locus, n.sequence = row.sequence, n.length = row.length",
    ),
    Statement(
        "all_features",
        "MERGE (n:Feature {locus: row.locus, rank: row.rank, term: row.term, "
        "accession: row.accession, sequence: row.sequence})",
    ),
    Statement(
        "gfe_sequences",
        "MERGE (n:IPD_Allele {name: row.hla_name}) ON CREATE SET n.gene = row.locus "
        "MERGE (:IPD_Accession {name: row.acc_name})",
    ),
    Statement("all_groups", "MATCH (a:IPD_Allele {name: row.hla_name}) WHERE row.ard_name = 'G' SET a.G = row.ard_id"),
    Statement("all_groups", "MATCH (a:IPD_Allele {name: row.hla_name}) WHERE row.ard_name = 'lg' SET a.lg = row.ard_id"),
)
EDGES = (
    Statement(
        "gfe_sequences",
        "MATCH (g:GFE {name: row.gfe_name}) MATCH (a:IPD_Allele {name: row.hla_name}) "
        "MATCH (c:IPD_Accession {name: row.acc_name}) WITH g, a, c, row, replace(row.imgt_release, '.', '') AS branch "
        "MERGE (g)-[r:HAS_IPD_ALLELE]->(a) SET r.releases = coalesce(r.releases, []) + branch "
        "MERGE (g)-[s:HAS_IPD_ACCESSION]->(c) ON CREATE SET s.release = row.imgt_release",
    ),
    Statement(
        "gfe_sequences",
        "MATCH (s:Submitter) MATCH (g:GFE {name: row.gfe_name}) "
        "MERGE (s)-[r:SUBMITTED]->(g) ON CREATE SET r.submit_date = date()",
    ),
    Statement(
        "gfe_sequences",
        "MATCH (g:GFE {name: row.gfe_name}) MATCH (s:Sequence {sequence: row.sequence}) MERGE (g)-[:HAS_SEQUENCE]->(s)",
    ),
    Statement(
        "all_features",
        "MATCH (g:GFE {name: row.gfe_name}) MATCH (f:Feature {locus: row.locus, rank: row.rank, term: row.term, "
        "accession: row.accession}) MERGE (g)-[:HAS_FEATURE]->(f)",
    ),
)


_DOUBLED = (
    ("GFE", "gfe_name", "n.name = row.gfe_name, n.locus = row.locus"),
    ("IPD_Allele", "hla_name", "n.name = row.hla_name, n.gene = row.locus"),
    ("IPD_Accession", "acc_name", "n.name = row.acc_name"),
)


def fill(session: neo4j.Session, folder: Path, release: str, *, doubled: Collection[str] = ()) -> None:
    """Load the CSV files of a build as the reference does; `doubled` are GFEs, alleles and accessions that come twice."""
    for label, column, text in _DOUBLED:
        present = set(session.run(f"MATCH (n:{label}) RETURN n.name").value())
        rows = [row for row in csv_rows(folder, "gfe_sequences", release) if row[column] in {*doubled} - present]
        once = list({row[column]: row for row in rows}.values())
        session.run(f"UNWIND $rows AS row UNWIND [1, 2] AS i CREATE (n:{label}) SET {text}", rows=once).consume()
    for _ in batches(session, folder, release):
        pass


def batches(session: neo4j.Session, folder: Path, release: str, first: int | None = None) -> Iterator[int]:
    """The load, 500 rows a transaction; gives the number of rows of each when it is done. `first`: only so many rows a file."""
    for constraint in CONSTRAINTS:
        session.run(constraint).consume()
    for statement in NODES:
        yield from _load(session, statement, folder, release, first)
    session.run("MERGE (:Submitter {institution: $institution, name: $name, url: $url, email: $email})", SUBMITTER).consume()
    for statement in EDGES:
        yield from _load(session, statement, folder, release, first)


def _load(session: neo4j.Session, statement: Statement, folder: Path, release: str, first: int | None) -> Iterator[int]:
    rows = islice(csv_rows(folder, statement.file, release), first)
    while batch := list(islice(rows, BATCH_ROWS)):
        session.run(f"UNWIND $rows AS row {statement.text}", rows=batch).consume()
        yield len(batch)


def csv_rows(folder: Path, name: str, release: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file, every value a text."""
    with (folder / f"{name}.{release}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
