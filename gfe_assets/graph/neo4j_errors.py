"""Every error of the Neo4j driver and server as a sentence that says what to do.

In: an error and the address it came from. Out: where errors come from. Messages never hold a password.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from neo4j import exceptions

from gfe_assets.errors import GraphError, GraphUnavailable

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
                f"the address of graph {self.location} must not hold a user or password; "
                "set GFE_GRAPH_USER and GFE_GRAPH_PASSWORD instead"
            )

    @property
    def location(self) -> str:
        """The URI without credentials."""
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class _Rule(NamedTuple):
    """Which errors of a server mean what. `{user}`, `{database}`, `{reason}` and `{code}` are filled into the sentence."""

    applies: Callable[[exceptions.Neo4jError, str], bool]
    kind: type[GraphError]
    sentence: str


_RULES = (
    _Rule(
        lambda error, code: isinstance(error, exceptions.ForbiddenOnReadOnlyDatabase) or "ReadOnly" in code,
        GraphError,
        "database {database!r} is read-only, so nothing can be loaded into it ({reason})",
    ),
    _Rule(
        lambda _, code: "AuthenticationRateLimit" in code,
        GraphUnavailable,
        "no more passwords of user {user!r} are taken for now, too many were wrong; check GFE_GRAPH_PASSWORD, wait, try again",
    ),
    _Rule(
        lambda error, code: isinstance(error, exceptions.Forbidden) or "Security.Forbidden" in code,
        GraphError,
        "user {user!r} may not do that in database {database!r} ({reason}); give it the right, or set another GFE_GRAPH_USER",
    ),
    _Rule(
        lambda error, _: isinstance(error, (exceptions.AuthError, exceptions.TokenExpired)),
        GraphError,
        "user {user!r} is not accepted with this password ({reason}); check GFE_GRAPH_USER and GFE_GRAPH_PASSWORD",
    ),
    _Rule(
        lambda _, code: code == "Neo.ClientError.Database.DatabaseNotFound",
        GraphError,
        "there is no database {database!r}; check GFE_GRAPH_DATABASE",
    ),
    _Rule(
        lambda _, code: code == "Neo.ClientError.Statement.AccessMode",
        GraphError,
        "this query would change the graph; queries only read, releases are loaded by `run`",
    ),
    _Rule(
        lambda error, _: is_blocked(error),
        GraphUnavailable,
        "it took too long, or another client held nodes that are needed here ({reason}); end that one, or try again later",
    ),
    _Rule(
        lambda _, code: "OutOfMemory" in code,
        GraphUnavailable,
        "it has too little memory for this ({reason}); raise server.memory.heap.max_size",
    ),
    _Rule(
        lambda _, code: code.endswith("Schema.ConstraintCreationFailed"),
        GraphError,
        "database {database!r} has nodes twice that must be unique ({reason}); merge them, or name an empty database",
    ),
    _Rule(
        lambda error, _: "too large to index" in reason(error),
        GraphError,
        "a value is too long for its index: {reason}",
    ),
    _Rule(
        lambda _, code: code.startswith("Neo.ClientError.Statement."),
        GraphError,
        "the graph cannot answer this query: {reason}",
    ),
    _Rule(
        lambda error, _: isinstance(error, (exceptions.TransientError, exceptions.DatabaseUnavailable)),
        GraphUnavailable,
        "it cannot do this now ({reason}); try again later, and look at its log and disk space when that does not help",
    ),
    _Rule(
        lambda error, _: isinstance(error, exceptions.DatabaseError),
        GraphUnavailable,
        "it failed ({code}: {reason}); look at its log and disk space, then try again",
    ),
    _Rule(lambda *_: True, GraphError, "it refused ({code}: {reason})"),
)


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn every error of the driver and the server into a `GraphError` that says what to do."""
    try:
        yield
    except exceptions.Neo4jError as error:
        raise _of_server(error, address) from error
    except exceptions.DriverError as error:
        raise _of_driver(error, address) from error


def is_blocked(error: exceptions.Neo4jError) -> bool:
    """Whether a transaction was ended for its time, most often because another one held what it needed."""
    return error.code in _BLOCKED


def reason(error: Exception) -> str:
    """What the driver or server said, on one line."""
    said = error.message if isinstance(error, exceptions.Neo4jError) and error.message else str(error)
    return " ".join(said.split())[:_REASON_LENGTH]


def _of_server(error: exceptions.Neo4jError, address: Address) -> GraphError:
    code = error.code or ""
    rule = next(rule for rule in _RULES if rule.applies(error, code))
    said = rule.sentence.format(user=address.user, database=address.database, reason=reason(error), code=code)
    return rule.kind(f"graph server {address.location}: {said}")


def _of_driver(error: exceptions.DriverError, address: Address) -> GraphError:
    here = f"graph server {address.location}"
    if isinstance(error, exceptions.UnsupportedServerProduct):
        return GraphError(
            f"{here} speaks no version of Bolt that this program knows ({reason(error)}); if it is old, upgrade it"
        )
    if isinstance(error, exceptions.ConfigurationError):
        return GraphError(f"{here} cannot be addressed like that ({reason(error)}); check GFE_GRAPH_URI")
    return GraphUnavailable(
        f"{here} does not answer, or stopped answering ({reason(error)}); see that it runs and that GFE_GRAPH_URI is right"
    )
