"""Reaching a Neo4j server: where it is, whether it is one we can use, and every error of it as a sentence.

In: the `GFE_GRAPH_*` values. Out: what is read (`neo4j_read.py`) and written (`neo4j_write.py`). Messages never hold a
password: addresses are shown without user and password.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import neo4j
from neo4j import exceptions

from gfe_assets.errors import GraphError, GraphUnavailable

MINIMUM_VERSION = (5, 26)
"""The oldest server this is tested with, the long-term support version of the 5 series."""

_REASON_LENGTH = 300
_BLOCKED = {
    "Neo.ClientError.Transaction.LockClientStopped",
    "Neo.ClientError.Transaction.TransactionTimedOut",
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
    "Neo.TransientError.Transaction.DeadlockDetected",
    "Neo.TransientError.Transaction.LockAcquisitionTimeout",
    "Neo.TransientError.Transaction.LockClientStopped",
    "Neo.TransientError.Transaction.Terminated",
}
_UNKNOWN_DATABASE = "Neo.ClientError.Database.DatabaseNotFound"
_READ_ACCESS = "Neo.ClientError.Statement.AccessMode"
_STATEMENT = "Neo.ClientError.Statement."
_OUT_OF_MEMORY = ("MemoryPoolOutOfMemoryError", "TransactionOutOfMemoryError", "OutOfMemoryError")


@dataclass(frozen=True)
class Address:
    """A database on a server and the user who opens it."""

    uri: str
    user: str
    password: str = field(repr=False)
    database: str

    def __post_init__(self) -> None:
        """Refuse credentials in the URI: it is shown, they must not be.

        Raises:
            GraphError: there are some.
        """
        if "@" in urlsplit(self.uri).netloc:
            raise GraphError(
                f"the address of graph {self.location} must not hold a user or password; set GFE_GRAPH_USER and GFE_GRAPH_PASSWORD"
            )

    @property
    def location(self) -> str:
        """The URI without credentials."""
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


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
        with translated(address):
            agent = driver.get_server_info(database=address.database).agent
        refuse_old(agent, address.location)
        yield driver


def refuse_old(agent: str, location: str) -> None:
    """Check what a server says it is, such as `Neo4j/5.26.30`; products that call themselves something else are not judged.

    Raises:
        GraphError: it is a Neo4j older than `MINIMUM_VERSION`.
    """
    match = re.match(r"Neo4j/(\d+)\.(\d+)", agent)
    if match and (int(match[1]), int(match[2])) < MINIMUM_VERSION:
        raise GraphError(
            f"graph server {location} is {agent}, which is too old: Neo4j {'.'.join(map(str, MINIMUM_VERSION))} or later is needed; "
            "upgrade it, or name another in GFE_GRAPH_URI"
        )


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn every error of the driver and the server into a `GraphError` that says what to do."""
    try:
        yield
    except (exceptions.DriverError, exceptions.Neo4jError) as error:
        raise _sentence(error, address) from error


def is_blocked(error: exceptions.Neo4jError) -> bool:
    """Whether a transaction failed because another one held what it needed for too long."""
    return error.code in _BLOCKED


def reason(error: Exception) -> str:
    """What the driver or server said, on one line."""
    said = error.message if isinstance(error, exceptions.Neo4jError) and error.message else str(error)
    return " ".join(said.split())[:_REASON_LENGTH]


def _sentence(error: exceptions.DriverError | exceptions.Neo4jError, address: Address) -> GraphError:
    here = f"graph server {address.location}"
    if isinstance(error, exceptions.UnsupportedServerProduct):
        return GraphError(
            f"{here} speaks no version of Bolt that this program knows ({reason(error)}); it may be too old: upgrade it"
        )
    if isinstance(error, (exceptions.ConfigurationError, exceptions.AuthConfigurationError)):
        return GraphError(f"{here} cannot be addressed like that: {reason(error)}; check GFE_GRAPH_URI")
    if isinstance(error, exceptions.DriverError):
        return GraphUnavailable(
            f"{here} does not answer, or stopped answering ({reason(error)}); is it running and GFE_GRAPH_URI right?"
        )
    return _server_sentence(error, address, here)


def _server_sentence(error: exceptions.Neo4jError, address: Address, here: str) -> GraphError:
    code = error.code or ""
    if isinstance(error, exceptions.ForbiddenOnReadOnlyDatabase) or "ReadOnly" in code or "read-only" in reason(error):
        return GraphError(f"{here}: database {address.database!r} is read-only, so nothing can be loaded ({reason(error)})")
    if "AuthenticationRateLimit" in code:
        return GraphUnavailable(
            f"{here} takes no more passwords of user {address.user!r} for now: too many were wrong; wait, then check it"
        )
    if isinstance(error, (exceptions.AuthError, exceptions.TokenExpired)) and not isinstance(error, exceptions.Forbidden):
        return GraphError(
            f"{here} does not accept user {address.user!r} with this password ({reason(error)}); "
            "check GFE_GRAPH_USER and GFE_GRAPH_PASSWORD"
        )
    if code == _UNKNOWN_DATABASE:
        return GraphError(f"{here} has no database {address.database!r}; check GFE_GRAPH_DATABASE")
    if code == _READ_ACCESS:
        return GraphError("this query would change the graph; queries only read, releases are loaded by `run`")
    if isinstance(error, exceptions.Forbidden) or "Security.Forbidden" in code:
        return GraphError(f"{here}: user {address.user!r} may not do that in database {address.database!r} ({reason(error)})")
    if is_blocked(error):
        return GraphUnavailable(
            f"{here}: another client held nodes that are needed here for too long ({reason(error)}); end its transaction, "
            "or try again later"
        )
    if any(word in code for word in _OUT_OF_MEMORY):
        return GraphUnavailable(f"{here} has too little memory for this ({reason(error)}); raise server.memory.heap.max_size")
    if code.startswith(_STATEMENT):
        return GraphError(f"the graph cannot answer this query: {reason(error)}")
    if isinstance(error, (exceptions.TransientError, exceptions.DatabaseUnavailable)):
        return GraphUnavailable(f"{here} cannot do this now ({reason(error)}); try again later")
    if isinstance(error, exceptions.DatabaseError):
        return GraphUnavailable(f"{here} failed ({code}: {reason(error)}); look at its disk space and its log, then try again")
    return GraphError(f"{here} refused ({code}: {reason(error)})")
