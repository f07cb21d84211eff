"""Servers that cannot be used are refused with a sentence that never holds a password; no Neo4j is needed for these."""

import socket
import threading
from collections.abc import Iterator

import pytest

from gfe_assets.errors import GraphError, GraphUnavailable
from gfe_assets.graph.neo4j import Neo4jStore
from gfe_assets.graph.neo4j_connect import refuse_old
from gfe_assets.graph.open import open_store
from gfe_assets.settings import Settings

SECRET = "correct horse battery staple"


@pytest.mark.parametrize("agent", ["Neo4j/5.26.0", "Neo4j/5.26.30", "Neo4j/2025.01.0", "Neo4j/2026.10.1", "Other/1.0"])
def test_supported_versions_are_taken(agent: str) -> None:
    refuse_old(agent, "bolt://graph:7687")


@pytest.mark.parametrize("agent", ["Neo4j/3.5.35", "Neo4j/4.4.40", "Neo4j/5.25.1"])
def test_older_versions_are_refused_by_name(agent: str) -> None:
    with pytest.raises(GraphError, match=f"bolt://graph:7687 is {agent}, which is too old: upgrade it to Neo4j 5.26"):
        refuse_old(agent, "bolt://graph:7687")


@pytest.fixture
def ancient() -> Iterator[str]:
    """A server that agrees to none of the versions of Bolt that it is offered, as one from before ours does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(20)
                client.sendall(bytes(4))

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"bolt://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_server_that_speaks_another_bolt_is_refused(ancient: str) -> None:
    with (
        pytest.raises(GraphError, match=f"{ancient} speaks no version of Bolt") as caught,
        Neo4jStore(ancient, "u", SECRET, "d").reader(),
    ):
        pytest.fail("connected")
    assert SECRET not in str(caught.value)


def test_a_server_that_is_down_is_said_to_be_so_and_may_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = Neo4jStore(f"bolt://127.0.0.1:{port}", "neo4j", SECRET, "neo4j")
    for opened in (store.reader, lambda: store.writing("load of release 3580", 1)):
        with pytest.raises(GraphUnavailable, match=f"graph server bolt://127.0.0.1:{port} does not answer") as caught, opened():
            pytest.fail("connected")
        assert caught.value.transient
        assert SECRET not in str(caught.value)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(GraphError, match=r"bolt://graph:7687 must not hold a user or password") as caught:
        Neo4jStore(f"bolt://neo4j:{SECRET}@graph:7687", "", "", "neo4j")
    assert SECRET not in str(caught.value)


def test_settings_choose_the_server_and_opening_connects_to_nothing() -> None:
    settings = Settings.load(graph_uri="neo4j+s://graph.example.org", graph_password=SECRET)
    store = open_store(settings)
    assert store.location == "neo4j+s://graph.example.org"
    assert SECRET not in repr(vars(store))
