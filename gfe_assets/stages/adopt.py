"""Adoption of a database of the reference pipeline as Dagster sees it: an op that a run makes.

In: the op `adopt_database`. Out: what it does (`graph/adopt.py`), how the command line asks for it (`adoption.py`).

It runs in the pool of the writer, so that it waits its turn among the loads.
"""

from typing import TYPE_CHECKING

import dagster as dg

from gfe_assets.graph.adopt_report import AdoptionReport
from gfe_assets.hla.accessions import Registry, ServiceRegistry
from gfe_assets.resources import ProgressFactory
from gfe_assets.settings import Settings
from gfe_assets.stages.common import clear_failures, table
from gfe_assets.stages.load import GRAPH_WRITER, gfe_graph

if TYPE_CHECKING:  # the driver takes half a second to import, and most deployments have the embedded graph
    from gfe_assets.graph.neo4j_errors import Address

COLUMNS = ("difference", "where", "count", "examples", "action", "what becomes of it")


def address_of(settings: Settings) -> "Address":
    """The database that the settings name.

    Raises:
        GraphError: the address holds a user or password.
    """
    from gfe_assets.graph.neo4j_errors import Address  # noqa: PLC0415 - as above

    password = settings.graph_password.get_secret_value()
    return Address(settings.graph_location, settings.graph_user, password, settings.graph_database)


def numbering(registry: Registry | ServiceRegistry) -> Registry | None:
    """The registry that takes over accessions: ours, unless it is only the cache of a Feature Service."""
    return registry if isinstance(registry, Registry) else None


@dg.op(
    pool=GRAPH_WRITER,
    out=dg.Out(dg.Nothing),
    description="Brings a Neo4j database that the reference pipeline (gfe-db) filled to this schema.",
)
def adopt_database(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    registry: dg.ResourceParam[Registry | ServiceRegistry],
    progress: dg.ResourceParam[ProgressFactory],
) -> None:
    """Adopt, and say so on the graph's page."""
    from gfe_assets.graph.adopt import adopt  # noqa: PLC0415 - as above

    with clear_failures(context, settings) as clock:
        report = adopt(
            address_of(settings),
            numbering(registry),
            wait_seconds=settings.graph_wait_seconds,
            progress=progress(context.log),
        )
    context.log_event(
        dg.AssetObservation(
            gfe_graph.key,
            description=f"Adopted a database of gfe-db with {len(report.releases)} releases.",
            metadata={
                "adopted": dg.MetadataValue.json(report.model_dump(mode="json")),
                "differences": table(COLUMNS, rows_of(report)),
                **clock.metadata(),
            },
        )
    )


def rows_of(report: AdoptionReport) -> list[tuple[str, str, int, str, str, str]]:
    """The differences as rows of a table, under `COLUMNS`; the three first examples."""
    return [
        (each.what, each.where, each.count, ", ".join(each.examples[:3]), each.action, each.remedy)
        for each in report.differences
    ]
