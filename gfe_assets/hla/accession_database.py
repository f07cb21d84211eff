"""The database file or server behind a registry: its tables, transactions and failures.

In: a SQLAlchemy URL (SQLite or PostgreSQL), the tables, `read()` and `write()` transactions, and the
translation of database errors into sentences. Out: what the rows mean (`registry.py`).

    registry                                   features
      schema_version  1                          locus, term, rank, accession       primary key
      authority       see `registry.py`          locus, term, rank, sequence_sha256 unique
                                                 created_at, sequence

A writer takes the one lock before its first look at the data, so what it sees is what it changes: on
SQLite `BEGIN IMMEDIATE`, on PostgreSQL an advisory lock, both released by the end of the transaction however it ends.
The rollback journal of SQLite is kept (no WAL): a registry is one file that can be copied, and works on
network drives; writers are rare and finish in seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from gfe_assets.errors import RegistryError, RegistryUnavailable

SCHEMA_VERSION = 1
_LOCK_ID = 4_732_550_016  # any number; every writer of a registry takes the same PostgreSQL advisory lock

_METADATA = sa.MetaData()
REGISTRY = sa.Table(
    "registry",
    _METADATA,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("authority", sa.Text, nullable=False),
)
FEATURES = sa.Table(
    "features",
    _METADATA,
    sa.Column("locus", sa.String(32), nullable=False),
    sa.Column("term", sa.String(32), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("accession", sa.Integer, nullable=False),
    sa.Column("sequence_sha256", sa.String(64), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("sequence", sa.Text, nullable=False),  # last: SQLite then reads the others without it
    sa.PrimaryKeyConstraint("locus", "term", "rank", "accession"),
    sa.UniqueConstraint("locus", "term", "rank", "sequence_sha256", name="one_accession_per_sequence"),
    sa.CheckConstraint("accession >= 1", name="accession_counts_from_1"),
)


class AccessionDatabase:
    """Transactions on one registry database; connects on first use only.

    Raises:
        RegistryError: `url` is not a URL of a SQLite file or PostgreSQL database.
    """

    def __init__(self, url: str, wait_seconds: float) -> None:
        self._url = _checked_url(url)
        self._wait = wait_seconds
        self._engine: Engine | None = None
        self._is_checked = False

    @property
    def name(self) -> str:
        """The URL without its password, for messages."""
        return self._url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Let go of the database; the next use connects again."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine, self._is_checked = None, False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the registry and changes nothing.

        Raises:
            RegistryError: the registry cannot be read or is of another schema version.
            RegistryUnavailable: it did not answer, or was locked for all of the waiting time.
        """
        self._check_schema()
        with self._transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that no other writer shares; committed at the end, undone by any exception.

        Raises:
            RegistryError: the registry cannot be written or is of another schema version.
            RegistryUnavailable: it did not answer, or was locked for all of the waiting time.
        """
        self._check_schema()
        with self._transaction(writing=True) as connection:
            yield connection

    def _check_schema(self) -> None:
        """Create the tables in an empty database; refuse a database that is not a registry of this version."""
        if self._is_checked:
            return
        with self._transaction(writing=False) as connection:
            is_there = self._is_registry(connection)
        if not is_there:
            with self._transaction(writing=True) as connection:
                if not self._is_registry(connection):  # another process may have been first
                    _METADATA.create_all(connection)
                    connection.execute(REGISTRY.insert().values(schema_version=SCHEMA_VERSION, authority=""))
        self._is_checked = True

    def _is_registry(self, connection: Connection) -> bool:
        inspector = sa.inspect(connection)
        tables = {REGISTRY.name, FEATURES.name}.intersection(inspector.get_table_names())
        if not tables:
            return False
        if len(tables) < 2 or {"schema_version", "authority"} - {c["name"] for c in inspector.get_columns(REGISTRY.name)}:
            raise RegistryError(f"{self.name} holds tables of another program; set GFE_REGISTRY_URI to a database of its own")
        version = connection.execute(sa.select(sa.func.max(REGISTRY.c.schema_version))).scalar()
        if version != SCHEMA_VERSION:
            raise RegistryError(
                f"the accession registry {self.name} has schema version {version}, not {SCHEMA_VERSION} as this program needs; "
                "export it with the program that wrote it and import that file into a new registry"
            )
        return True

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        try:
            if self._engine is None:
                self._engine = _engine(self._url, self._wait)
            with self._engine.begin() as connection:
                for statement in _opening(connection, self._wait, writing=writing):
                    connection.exec_driver_sql(statement)
                yield connection
        except ModuleNotFoundError as error:
            raise RegistryError(f"the accession registry {self.name} needs the package {error.name}; install it") from None
        except exc.DBAPIError as error:
            raise self._explained(error) from error
        except exc.SQLAlchemyError as error:
            raise RegistryError(f"the accession registry {self.name} cannot be used: {error}") from error

    def _explained(self, error: exc.DBAPIError) -> RegistryError:
        """The database's complaint as a sentence that says what to do."""
        lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        registry, reason = f"the accession registry {self.name}", lines[0]
        if "database is locked" in reason or getattr(error.orig, "pgcode", None) == "55P03":
            return RegistryUnavailable(
                f"{registry} is being written by another process, which did not finish in {self._wait:g} s; run again later"
            )
        for symptom, advice in _ADVICE.items():
            if symptom in reason:
                return RegistryError(f"{registry} {advice} ({reason})")
        if self._url.get_backend_name() == "postgresql" and _is_connection_lost(error):
            return RegistryUnavailable(
                f"{registry} cannot be reached ({reason}); check that its server runs and GFE_REGISTRY_URI is right"
            )
        return RegistryError(f"{registry} cannot be used: {reason}")


_DAMAGED = (
    "is damaged or is no registry; put a backup in its place, or move it away and import the accessions files "
    "that every build wrote"
)
_ADVICE = {
    "is not a database": _DAMAGED,
    "malformed": _DAMAGED,
    "readonly database": "cannot be written; check the permissions of the file and its folder",
    "database or disk is full": "cannot be written, no space is left; nothing was changed: free some and run again",
    "disk I/O error": "cannot be written or read; check that its disk is sound and has space left; nothing was changed",
    "unable to open database file": "cannot be opened; check that its folder exists and may be written",
}
"""Part of a SQLite message → what it means for a person."""


def _is_connection_lost(error: exc.DBAPIError) -> bool:
    """No SQLSTATE (never connected, or cut off), class 08 (connection), 53300 (too many), 57P0x (shutting down)."""
    code = getattr(error.orig, "pgcode", None)
    return isinstance(error, exc.OperationalError) and (code is None or code.startswith(("08", "533", "57P0")))


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError):  # the second one for a port that is no number
        raise RegistryError(
            "GFE_REGISTRY_URI cannot be read as a database URL; write sqlite:////folder/accessions.sqlite or postgresql://user@host/database"
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg2")  # the driver that dagster-postgres brings
    if url.get_backend_name() not in ("sqlite", "postgresql") or (
        url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    ):
        raise RegistryError(
            f"the registry {url.render_as_string(hide_password=True)} is neither a SQLite file nor a PostgreSQL database"
        )
    return url


def _engine(url: URL, wait_seconds: float) -> Engine:
    """An engine without a pool: allocations are rare, and no connection is shared by a forked process."""
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": wait_seconds})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where `_opening` says, not where the driver guesses

    return engine


def _opening(connection: Connection, wait_seconds: float, *, writing: bool) -> list[str]:
    """Statements that begin a transaction: a reader gets one state, a writer waits for the lock before it looks."""
    if connection.dialect.name == "sqlite":
        cache = "PRAGMA cache_size = -65536"  # 64 MB: the indexes of a whole release stay in memory while they grow
        return [cache, "BEGIN IMMEDIATE" if writing else "BEGIN"]
    if not writing:
        return ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    return [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",  # otherwise the state seen is the one before the wait
        f"SET LOCAL lock_timeout = {max(1, int(wait_seconds * 1000))}",
        f"SELECT pg_advisory_xact_lock({_LOCK_ID})",
    ]
