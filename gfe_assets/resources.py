"""What the stages are given by Dagster: settings, source, registry, graph, launch parameters, progress.

In: one resource for each, bound from `Settings`; connecting nothing until a stage asks. Out: what they do
(`source/`, `hla/accessions.py`, `graph/`).

Only `parameters` can be set when a run is launched; everything else is the deployment's. Resources that may
hold secrets are plain objects, so that their values never appear in the UI.
"""

import time
from collections.abc import Callable
from logging import Logger
from typing import Any

import dagster as dg
from pydantic import Field

from gfe_assets.graph.open import open_store
from gfe_assets.hla.accessions import open_registry
from gfe_assets.hla.manifest import BuildParameters
from gfe_assets.progress import Progress
from gfe_assets.settings import Settings
from gfe_assets.source.open import open_source
from gfe_assets.source.patience import Patience

ProgressFactory = Callable[[Logger], Progress]
"""Makes the listener of one stage; the logger is the one of the stage."""
_LOG_SECONDS = 5.0
_SHORT_PATIENCE = Patience(attempts=3, max_wait=15, connect_timeout=5, read_timeout=10)


class LaunchParameters(dg.ConfigurableResource):  # type: ignore[type-arg] # its value is itself
    """What can be asked for when a run is launched."""

    limit: int = Field(default=0, ge=0, description="Build only this many alleles, the first in the file (0: all)")
    align: bool = Field(default=False, description="Also write the aligned sequences (all_alignments.csv) from msf/")
    kir: bool = Field(default=False, description="Also build KIR genes from the KIR.dat beside the release")
    use_existing_build: bool = Field(
        default=False, description="Keep the CSV files if they were built from the same content with the same parameters"
    )

    def build_parameters(self, settings: Settings) -> BuildParameters:
        """The parameters that change a build's content."""
        return BuildParameters(loci=settings.loci, limit=self.limit, align=self.align, kir=self.kir)


def log_progress(logger: Logger) -> Progress:
    """Progress as log lines, one every few seconds and one at each end."""
    last: dict[str, float] = {}

    def listener(what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == total or now - last.get(what, 0.0) >= _LOG_SECONDS:
            last[what] = now
            logger.info(f"{done:,}{f' of {total:,}' if total else ''} {what}")

    return listener


def bind(settings: Settings) -> dict[str, Any]:
    """The resources of a deployment, by the names the stages use."""
    return {
        "settings": dg.ResourceDefinition(lambda _: settings, description="Every GFE_* setting of this deployment."),
        "source": dg.ResourceDefinition(
            lambda _: open_source(settings), description=f"Where releases come from: {settings.source_uri}"
        ),
        "watched_source": dg.ResourceDefinition(
            lambda _: open_source(settings, _SHORT_PATIENCE),
            description="The same source for the commit sensor, which has a minute and comes again.",
        ),
        "registry": dg.ResourceDefinition(
            lambda _: open_registry(settings),
            description="The accession registry: the same feature sequence has the same number for ever.",
        ),
        "graph": dg.ResourceDefinition(
            lambda _: open_store(settings), description="The graph that every load makes equal to its release."
        ),
        "parameters": LaunchParameters.configure_at_launch(),
        "progress": dg.ResourceDefinition(lambda _: log_progress, description="How long steps say how far they are."),
    }
