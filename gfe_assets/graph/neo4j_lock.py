"""One writer of a Neo4j graph at a time, across machines, by a lock that dies with its holder.

In: a driver, a purpose to show to whoever waits, and how long to wait. Out: what is written under the lock.

The lock is a node that an open transaction has created and never commits: whoever merges the same node waits for that
transaction. It ends when its connection does, however the process died, so nothing has to be cleaned up, and no
reader ever sees the node. The transaction's metadata tells who waits whom he waits for (`SHOW TRANSACTIONS`).

A transaction that waits is bounded by its timeout, but so is everything it does later, and the holder's must have none.
Therefore whoever wants the lock first tries whether it is free in a short transaction, and only then takes it in one
without timeout; a second node, the gate, makes the two steps one, because only its holder tries and takes.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import neo4j
from neo4j import exceptions

from gfe_assets.errors import GraphBusy, GraphUnavailable
from gfe_assets.graph.neo4j_errors import Address, is_blocked, reason, translated

LABEL = "_GfeWriter"
"""Label of the lock nodes; they are never committed, so it only shows up in the list of constraints."""
_WRITER, _GATE = "writer", "gate"
_CONSTRAINT = f"CREATE CONSTRAINT gfe_assets_{LABEL}_name IF NOT EXISTS FOR (n:{LABEL}) REQUIRE n.name IS UNIQUE"
_CONSTRAINED = f"SHOW CONSTRAINTS YIELD labelsOrTypes WHERE labelsOrTypes = ['{LABEL}'] RETURN count(*)"
_TAKE = f"MERGE (n:{LABEL} {{name: $name}}) SET n.taken = true"
_HOLDERS = """
SHOW TRANSACTIONS YIELD metaData
WHERE metaData.gfe_assets_writes IS NOT NULL AND metaData.database = $database
RETURN metaData.gfe_assets_writes
"""
_SLICE_SECONDS = 5.0
_SHORTEST_SECONDS = 0.5
_GATE_MARGIN_SECONDS = 10.0

_log = logging.getLogger(__name__)


class WriterLock:
    """The lock while it is held."""

    def __init__(self, transaction: neo4j.Transaction, address: Address) -> None:
        self._transaction = transaction
        self._address = address

    def check(self) -> None:
        """Make sure that the lock is still held, and that its connection is not idle for long.

        Raises:
            GraphUnavailable: it is lost: the server restarted, or somebody ended the transaction.
        """
        try:
            self._transaction.run("RETURN 1").consume()
        except (exceptions.DriverError, exceptions.Neo4jError) as error:
            raise GraphUnavailable(
                f"the lock on graph {self._address.location} was lost ({reason(error)}), so another process may write it now; "
                "run this again"
            ) from error


@contextmanager
def writer_lock(driver: neo4j.Driver, address: Address, purpose: str, wait_seconds: float) -> Iterator[WriterLock]:
    """Hold the lock.

    Raises:
        GraphBusy: another process still held it after `wait_seconds`; names that process and its purpose.
        GraphUnavailable: the server does not answer.
        GraphError: this user may not write.
    """
    with driver.session(database=address.database) as session:
        with translated(address):
            _constrain(driver, address)
            transaction = _wait(driver, session, address, purpose, wait_seconds)
        try:
            yield WriterLock(transaction, address)
        finally:
            _release(transaction)


def _constrain(driver: neo4j.Driver, address: Address) -> None:
    """Make the lock node unique; looked up first, because asking for the constraint would wait for who holds the lock."""
    with driver.session(database=address.database) as session:
        record = session.run(_CONSTRAINED).single(strict=True)
        if not record[0]:
            session.run(_CONSTRAINT).consume()


def _wait(
    driver: neo4j.Driver, session: neo4j.Session, address: Address, purpose: str, wait_seconds: float
) -> neo4j.Transaction:
    deadline = time.monotonic() + wait_seconds
    seconds = _SHORTEST_SECONDS
    told = False
    while True:
        transaction = _attempt(driver, session, address, purpose, seconds)
        if transaction:
            return transaction
        holder = _holder(driver, address)
        if not told:
            _log.info("%s waits up to %g seconds for %s, which is writing the graph", purpose, wait_seconds, holder)
            told = True
        if time.monotonic() >= deadline:
            raise GraphBusy(
                f"{purpose}: the graph at {address.location} is being written by {holder}, which did not finish within "
                f"{wait_seconds:g} seconds; try again when it has"
            )
        seconds = max(_SHORTEST_SECONDS, min(_SLICE_SECONDS, deadline - time.monotonic()))


def _attempt(
    driver: neo4j.Driver, session: neo4j.Session, address: Address, purpose: str, seconds: float
) -> neo4j.Transaction | None:
    """Take the lock if it becomes free within `seconds`, or so: the server looks at timeouts every two seconds."""
    begun = time.monotonic()
    with driver.session(database=address.database) as gate, driver.session(database=address.database) as trial:
        at_gate = gate.begin_transaction(timeout=seconds + _GATE_MARGIN_SECONDS)
        try:
            if not _merged(at_gate, _GATE) or not _is_free(trial, seconds):
                return None
            if time.monotonic() - begun > seconds + _GATE_MARGIN_SECONDS / 2:
                return None  # the gate may fall before the lock is taken
            return _held(session, address, purpose)
        finally:
            _release(at_gate)


def _is_free(session: neo4j.Session, seconds: float) -> bool:
    """Whether the lock becomes free within `seconds`."""
    trial = session.begin_transaction(timeout=seconds)
    try:
        return _merged(trial, _WRITER)
    finally:
        _release(trial)


def _merged(transaction: neo4j.Transaction, name: str) -> bool:
    try:
        transaction.run(_TAKE, name=name).consume()
    except exceptions.Neo4jError as error:
        if is_blocked(error):
            return False
        raise
    return True


def _held(session: neo4j.Session, address: Address, purpose: str) -> neo4j.Transaction:
    holder = f"process {os.getpid()} on {socket.gethostname()} ({purpose})"
    transaction = session.begin_transaction(metadata={"gfe_assets_writes": holder, "database": address.database}, timeout=0)
    try:
        transaction.run(_TAKE, name=_WRITER).consume()
    except BaseException:
        _release(transaction)
        raise
    return transaction


def _holder(driver: neo4j.Driver, address: Address) -> str:
    """Who holds the lock; a user without the right to see other users' transactions does not learn it."""
    with driver.session(database=address.database) as session:
        names = session.run(_HOLDERS, database=address.database).value()
    return names[0] if names else "another process"


def _release(transaction: neo4j.Transaction) -> None:
    """End a transaction; where its connection is gone, the server has ended it."""
    try:
        transaction.close()
    except (exceptions.DriverError, exceptions.Neo4jError) as error:
        _log.debug("a lock's transaction was gone already: %s", error)
