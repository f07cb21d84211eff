"""`gfe-assets adopt`: a look at a database that gfe-db filled, or its adoption as a run in the foreground.

In: what the command asks for. Out: looking and changing (`graph/adopt.py`), the job (`stages/adopt.py`), printing (`cli.py`).
"""

from urllib.parse import urlsplit

import dagster as dg

from gfe_assets.alerts import alert
from gfe_assets.definitions import build_defs
from gfe_assets.errors import GraphError
from gfe_assets.facts import read_facts
from gfe_assets.foreground import run_in_foreground
from gfe_assets.graph.adopt import examine, refuse
from gfe_assets.graph.adopt_report import AdoptionReport
from gfe_assets.graph.open import open_store
from gfe_assets.hla.accessions import open_registry
from gfe_assets.home import open_instance
from gfe_assets.progress import Progress
from gfe_assets.settings import Settings
from gfe_assets.stages.adopt import address_of, numbering


def look(settings: Settings) -> AdoptionReport:
    """Say what differs, changing nothing. Of the embedded graph there is nothing to say: only this program writes it.

    Raises:
        GraphError: the database cannot be read.
        RegistryError: the registry cannot be used.
    """
    if urlsplit(settings.graph_location).scheme == "ladybug":
        return AdoptionReport(graph=open_store(settings).location)
    with open_registry(settings) as registry:
        return examine(address_of(settings), numbering(registry))


def take_over(settings: Settings, listener: Progress) -> AdoptionReport:
    """Adopt as a run of `adopt_job`; where there is nothing to adopt, nothing is run.

    Raises:
        GraphError: the database cannot be adopted, or the run failed; says why.
        RegistryError: the registry cannot be used.
    """
    found = look(settings)
    refuse(found)
    if not found.needed:
        return found
    definitions = build_defs(settings, progress=lambda _: listener)
    with open_instance(settings) as instance:
        result = run_in_foreground(instance, definitions, "adopt_job")
        if not result.success:
            alert(instance, settings, result.run_id)
            facts = read_facts(instance, result.run_id)
            raise GraphError(facts.cause or facts.error)
    observed = next(event for event in result.all_events if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION)
    return AdoptionReport.model_validate(observed.asset_observation_data.asset_observation.metadata["adopted"].value)
