"""Which graph store a deployment uses.

In: settings. Out: the stores themselves, each imported only when it is the one.
"""

from urllib.parse import urlsplit

from gfe_assets.graph.store import GraphStore
from gfe_assets.settings import Settings


def open_store(settings: Settings) -> GraphStore:
    """The store that `GFE_GRAPH_URI` names; nothing is opened or made until its first call.

    Raises:
        GraphError: the address cannot be used.
    """
    location = settings.graph_location
    if urlsplit(location).scheme == "ladybug":
        from gfe_assets.graph.ladybug import LadybugStore  # noqa: PLC0415 - heavy, and needless with a graph server

        return LadybugStore(location)
    from gfe_assets.graph.neo4j import Neo4jStore  # noqa: PLC0415 - the driver is needless with the embedded graph

    return Neo4jStore(location, settings.graph_user, settings.graph_password.get_secret_value(), settings.graph_database)
