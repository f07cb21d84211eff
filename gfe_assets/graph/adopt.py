"""Taking over a Neo4j database that the reference pipeline (gfe-db) filled: what differs from our schema, and the way to it.

In: an address and the accession registry. Out: what is looked at (`adopt_survey.py`), what is changed (`adopt_steps.py`), the
words for people (`console.py`).

Nothing is changed while anything would be lost by it: then the adoption is refused, with all reasons at once. Nodes of other
labels, other properties and other types of relationships stay as they are. Afterwards the database holds what its edges
said, and every release in it is incomplete until `gfe-assets run` has made it exact.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import neo4j

from gfe_assets.errors import GraphError
from gfe_assets.graph.adopt_accessions import Accessions, read_accessions, survey_accessions
from gfe_assets.graph.adopt_report import AdoptionReport, Findings
from gfe_assets.graph.adopt_steps import Steps
from gfe_assets.graph.adopt_survey import counts, survey
from gfe_assets.graph.neo4j_connect import connected
from gfe_assets.graph.neo4j_errors import Address, translated
from gfe_assets.graph.neo4j_lock import writer_lock
from gfe_assets.hla.registry import Registry
from gfe_assets.progress import Progress

_RETRY_SECONDS = 30.0
_PURPOSE = "adoption of a database"


def examine(address: Address, registry: Registry | None) -> AdoptionReport:
    """Say how a database differs from our schema, changing nothing; `registry` is None where a Feature Service numbers.

    Raises:
        GraphUnavailable: the server does not answer.
        GraphError: it refuses, or is too old.
        RegistryError: the registry cannot be used.
    """
    with connected(address, _RETRY_SECONDS) as driver, _session(driver, address) as session:
        return _examined(session, address, registry)[0]


def adopt(address: Address, registry: Registry | None, *, wait_seconds: float, progress: Progress) -> AdoptionReport:
    """Bring a database to our schema; gives the report of what it was, unchanged where nothing had to be done.

    Raises:
        GraphBusy: the graph is being written and was not free in `wait_seconds`.
        GraphUnavailable: the server does not answer.
        GraphError: it cannot be adopted as it is (says why; nothing was changed), or the server failed (the next try goes on).
        RegistryError: the registry cannot be used.
    """
    with (
        connected(address, _RETRY_SECONDS) as driver,
        writer_lock(driver, address, _PURPOSE, wait_seconds) as lock,
        _session(driver, address) as session,
    ):
        report, accessions = _examined(session, address, registry)
        refuse(report)
        if not report.needed:
            return report
        added = registry.import_rows(accessions.rows).new if registry and accessions.rows else 0
        try:
            with translated(address):
                Steps(session, lock, address.location, progress).run()
        except GraphError as error:
            raise type(error)(f"the adoption stopped half-way: {error}. Running it again goes on where it stopped") from error
        left, _ = _examined(session, address, registry)
        if left.needed:
            names = ", ".join(f"{each.what} ({each.where})" for each in (*left.of("change"), *left.of("refuse")))
            raise GraphError(
                f"the adoption is not complete, there are still: {names}. Does another client write this database?"
            )
    return report.model_copy(update={"applied": True, "accessions_added": added})


def refuse(report: AdoptionReport) -> None:
    """Say why a database cannot be adopted as it is.

    Raises:
        GraphError: it cannot.
    """
    if report.refusal:
        raise GraphError(f"database {report.database!r} on {report.graph} is not adopted, and not changed: {report.refusal}")


def _examined(session: neo4j.Session, address: Address, registry: Registry | None) -> tuple[AdoptionReport, Accessions]:
    findings = Findings()
    accessions = Accessions([], [])
    with translated(address):
        nodes, edges = counts(session)
        releases: list[str] = []
        if any(nodes.values()):
            releases = survey(session, [name for name, count in {**nodes, **edges}.items() if count], findings)
            accessions = read_accessions(session)
    if registry and not any(each.what == "contradicting_features" for each in findings.differences):
        survey_accessions(accessions, registry, findings)
    report = AdoptionReport(
        graph=address.location,
        database=address.database,
        nodes=nodes,
        edges=edges,
        releases=tuple(releases),
        differences=tuple(findings.differences),
    )
    return report, accessions


@contextmanager
def _session(driver: neo4j.Driver, address: Address) -> Iterator[neo4j.Session]:
    with driver.session(database=address.database) as session:
        yield session
