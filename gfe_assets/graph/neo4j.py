"""The graph on a Neo4j server, through its official driver.

In: `GraphStore` for `neo4j://`, `neo4j+s://` and `bolt://` addresses. Out: connecting (`neo4j_connect.py`), the lock
(`neo4j_lock.py`), constraints (`neo4j_schema.py`), reading (`neo4j_read.py`) and writing (`neo4j_write.py`).

A load is not one transaction here. One that was killed leaves `Release.complete` false, and the next load of that release
repairs it: it reads what is really there and writes the difference.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import neo4j

from gfe_assets.errors import GraphError
from gfe_assets.graph.neo4j_connect import connected
from gfe_assets.graph.neo4j_errors import Address, translated
from gfe_assets.graph.neo4j_lock import WriterLock, writer_lock
from gfe_assets.graph.neo4j_read import Neo4jReader
from gfe_assets.graph.neo4j_replace import replace_graph
from gfe_assets.graph.neo4j_schema import ensure_schema, refuse_foreign
from gfe_assets.graph.neo4j_write import BATCH_SECONDS, BatchWriter, apply_changes
from gfe_assets.graph.store import Changes, Contents
from gfe_assets.progress import Progress

RETRY_SECONDS = 30.0


class _Held(NamedTuple):
    """What belongs to the writer while it holds the lock."""

    driver: neo4j.Driver
    lock: WriterLock


class Neo4jStore:
    """A `GraphStore` in one database of a server.

    `retry_seconds` is how long a transaction is repeated when the server says that this may help; `batch_seconds`
    how long one batch may take.
    """

    def __init__(
        self,
        uri: str,
        user: str,
        password: str,
        database: str,
        *,
        retry_seconds: float = RETRY_SECONDS,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        """Name the graph; nothing is connected yet.

        Raises:
            GraphError: the address holds a user or password.
        """
        self._address = Address(uri, user, password, database)
        self._retry_seconds = retry_seconds
        self._batch_seconds = batch_seconds
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        self._held: _Held | None = None

    @property
    def location(self) -> str:
        """The URI of the server."""
        return self._address.location

    @contextmanager
    def reader(self) -> Iterator[Neo4jReader]:
        """See `GraphStore`; isolated only as far as `neo4j_read.py` says."""
        if self._held:
            yield self._reader(self._held.driver)
            return
        with connected(self._address, self._retry_seconds) as driver:
            yield self._reader(driver)

    @contextmanager
    def writing(self, purpose: str, wait_seconds: float) -> Iterator[None]:
        """See `GraphStore`."""
        with (
            connected(self._address, self._retry_seconds) as driver,
            writer_lock(driver, self._address, purpose, wait_seconds) as lock,
        ):
            self._held = _Held(driver, lock)
            try:
                yield
            finally:
                self._held = None

    def apply(self, changes: Changes, progress: Progress) -> None:
        """See `GraphStore`; what a failed one has written stays, and its release is marked incomplete."""
        if changes.empty and self._held:
            return
        with self._writer(f"release {changes.release} is not loaded", "loading the release again repairs it") as writer:
            apply_changes(writer, changes, progress)

    def replace(self, contents: Contents, progress: Progress) -> None:
        """See `GraphStore`; what a failed one has written stays, and all releases are marked incomplete."""
        with self._writer("the graph is not replaced", "doing it again repairs it") as writer, self.reader() as reader:
            replace_graph(writer, reader, contents, progress)

    @contextmanager
    def _writer(self, failure: str, remedy: str) -> Iterator[BatchWriter]:
        """What writes under the lock; `failure` and `remedy` are what is said when it fails half-way."""
        if self._held is None:
            raise GraphError(
                f"graph {self.location} is to be changed without holding its lock; use `writing` around the change"
            )
        with self._session(self._held.driver) as session:
            with translated(self._address):
                refuse_foreign(session, self.location)
                ensure_schema(session, self.location)
            try:
                with translated(self._address):
                    yield BatchWriter(session, self._held.lock, self._batch_seconds)
            except GraphError as error:
                raise type(error)(f"{failure}: {error}. What was written stays and is marked incomplete; {remedy}") from error

    def _reader(self, driver: neo4j.Driver) -> Neo4jReader:
        with self._session(driver) as session, translated(self._address):
            refuse_foreign(session, self.location)
        return Neo4jReader(driver, self._address, self._bookmarks)

    def _session(self, driver: neo4j.Driver) -> neo4j.Session:
        return driver.session(database=self._address.database, bookmark_manager=self._bookmarks)
