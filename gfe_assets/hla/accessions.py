"""Accessions of features: the one module that the build and the command line import.

In: the names below and the choice of a registry by the settings. Out: everything else, one module each:

    registry.py             Registry: numbers for ever, in a database           ← accession_queries.py, accession_database.py
    service_registry.py     ServiceRegistry: numbers of a Feature Service       ← feature_service.py
    accession_files.py      CSV and Parquet                                     ← accession_rows.py
"""

from pathlib import Path

from sqlalchemy.engine import make_url

from gfe_assets.errors import RegistryError
from gfe_assets.hla.accession_files import read_accessions, write_accessions
from gfe_assets.hla.accession_rows import AccessionRow, accession_rows
from gfe_assets.hla.feature_service import FeatureService
from gfe_assets.hla.registry import Feature, ImportResult, Registry
from gfe_assets.hla.service_registry import ServiceRegistry
from gfe_assets.settings import Settings

__all__ = [
    "AccessionRow",
    "Feature",
    "FeatureService",
    "ImportResult",
    "Registry",
    "ServiceRegistry",
    "accession_rows",
    "local_registry",
    "open_registry",
    "read_accessions",
    "write_accessions",
]


def open_registry(settings: Settings) -> Registry | ServiceRegistry:
    """The registry that the settings choose; makes the folder of a SQLite file, connects to nothing yet.

    Raises:
        RegistryError: a URL cannot be used, or the folder cannot be made.
    """
    registry = Registry(settings.registry_location)
    url = make_url(settings.registry_location)
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"the folder of the accession registry {url.database} cannot be made: {error.strerror or error}; "
                "set GFE_REGISTRY_URI or GFE_DATA_URI to a place that can be written"
            ) from None
    if not settings.feature_service_url:
        return registry
    return ServiceRegistry(FeatureService(settings.feature_service_url), registry)


def local_registry(registry: Registry | ServiceRegistry) -> Registry:
    """The registry in our own database: the one that is backed up, be it the authority or a cache."""
    return registry.cache if isinstance(registry, ServiceRegistry) else registry
