"""The accessions that a database was made with, for the registry: so that builds go on with the same numbers.

In: the features of a database, a registry. Out: the registry (`hla/registry.py`), the rest of the graph (`adopt_survey.py`).

A GFE name is made of accessions. A registry that numbered otherwise than the one the database was filled from would give
every allele another name, and its features' keys would mean other sequences; so it takes over the database's numbers before
anything is changed, or the adoption is refused. Where a Feature Service is the authority, its own numbers are the ones.
"""

from typing import NamedTuple

import neo4j

from gfe_assets.errors import RegistryError
from gfe_assets.graph.adopt_cypher import FEATURE_SEQUENCES
from gfe_assets.graph.adopt_report import Findings
from gfe_assets.hla.accession_rows import AccessionRow, checked_digest, named
from gfe_assets.hla.features import FeatureKey
from gfe_assets.hla.registry import Registry


class Accessions(NamedTuple):
    """Rows that a registry can take, each once, and features that it cannot, with the reason."""

    rows: list[AccessionRow]
    unusable: list[str]


def read_accessions(session: neo4j.Session) -> Accessions:
    """The accessions of all features."""
    rows: dict[AccessionRow, None] = {}
    unusable = []
    for locus, term, rank, accession, sequence in session.run(FEATURE_SEQUENCES).value():
        row = AccessionRow(locus, term, rank, accession, sequence or "")
        try:
            checked_digest(row)
        except RegistryError as error:
            unusable.append(f"{'|'.join(map(str, (locus, rank, term, accession)))}: {error}")
            continue
        rows[row] = None
    return Accessions(list(rows), unusable)


def survey_accessions(accessions: Accessions, registry: Registry, findings: Findings) -> None:
    """Take down what the registry will take over, what contradicts it, and what it cannot take."""
    remedy = "left out of the registry; they stay in the graph until a load removes them"
    findings.add("unusable_accession", "Feature", len(accessions.unusable), remedy, sorted(accessions.unusable), action="keep")
    clashes = sorted({*_with_other_number(accessions.rows, registry), *_with_other_sequence(accessions.rows, registry)})
    remedy = (
        f"the registry {registry.name} has other numbers than the one that this database was filled from, and accessions "
        "never change: set GFE_REGISTRY_URI to a new registry or to the right one, or GFE_FEATURE_SERVICE_URL to the service"
    )
    findings.add("accession_contradicts", "registry", len(clashes), remedy, clashes, action="refuse")
    if not clashes:
        missing = registry.compare(accessions.rows).missing
        findings.add("missing_accession", "registry", missing, f"taken over into the registry {registry.name}")


def _with_other_number(rows: list[AccessionRow], registry: Registry) -> list[str]:
    """Sequences that have one number here and another there, or two here."""
    numbers: dict[tuple[FeatureKey, str], int] = dict(registry.known((row.key, row.sequence) for row in rows))
    clashes = []
    for row in rows:
        number = numbers.setdefault((row.key, row.sequence), row.accession)
        if number != row.accession:
            clashes.append(f"{named(row.key)}: accession {row.accession} has the sequence of {number}")
    return clashes


def _with_other_sequence(rows: list[AccessionRow], registry: Registry) -> list[str]:
    """Numbers that stand for one sequence here and for another there."""
    sequences = registry.sequences((row.key, row.accession) for row in rows)
    return [
        f"{named(row.key)}: accession {row.accession} has another sequence in the registry"
        for row in rows
        if sequences.get((row.key, row.accession), row.sequence) != row.sequence
    ]
