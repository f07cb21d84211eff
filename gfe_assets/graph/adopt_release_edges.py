"""Reading what the edges of a Neo4j database say about releases.

In: a session. Out: what the lists ought to be (`adopt_releases.py`).
"""

import neo4j

from gfe_assets.graph.adopt_cypher import said
from gfe_assets.graph.adopt_releases import Lists, Said, accession_lists, allele_lists
from gfe_assets.graph.model import HAS_IPD_ACCESSION, HAS_IPD_ALLELE, Edge


def read_lists(session: neo4j.Session) -> tuple[Lists, Lists]:
    """Of the edges to alleles, and of those to accessions."""
    alleles = allele_lists(_read(session, HAS_IPD_ALLELE))
    return alleles, accession_lists(_read(session, HAS_IPD_ACCESSION), alleles.wanted)


def _read(session: neo4j.Session, edge: Edge) -> list[Said]:
    return [Said(*row) for row in session.run(said(edge)).value()]
