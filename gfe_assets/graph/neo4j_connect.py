"""Reaching a Neo4j server, and refusing one that is too old.

In: an address. Out: what is read (`neo4j_read.py`) and written (`neo4j_write.py`), and what errors mean (`neo4j_errors.py`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import neo4j

from gfe_assets.errors import GraphError
from gfe_assets.graph.neo4j_errors import Address, translated

MINIMUM_VERSION = (5, 26)
"""The oldest server this is tested with, the long-term support version of the 5 series."""


@contextmanager
def connected(address: Address, retry_seconds: float) -> Iterator[neo4j.Driver]:
    """Open a driver on a server that answers, takes the password and is recent enough; closed at the end.

    Raises:
        GraphUnavailable: the server does not answer.
        GraphError: it answers, and refuses; or is too old.
    """
    with translated(address):
        driver = neo4j.GraphDatabase.driver(
            address.uri,
            auth=(address.user, address.password),
            max_transaction_retry_time=retry_seconds,
            notifications_min_severity="OFF",
            user_agent="gfe-assets",
        )
    with driver:
        with translated(address), driver.session(database=address.database) as session:
            agent = session.run("RETURN 1").consume().server.agent
        refuse_old(agent, address.location)
        yield driver


def refuse_old(agent: str, location: str) -> None:
    """Check what a server says it is, such as `Neo4j/5.26.30`; products that call themselves something else are not judged.

    Raises:
        GraphError: it is a Neo4j older than `MINIMUM_VERSION`.
    """
    match = re.match(r"Neo4j/(\d+)\.(\d+)", agent)
    if match and (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        raise GraphError(
            f"graph server {location} is {agent}, which is too old: upgrade it to Neo4j {needed} or later, or name another "
            "server in GFE_GRAPH_URI"
        )
