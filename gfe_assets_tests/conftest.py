"""Fixtures that more than one test file uses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gfe_assets_tests.neo4j_server import Neo4jServer, NoServer, RunningServer

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    if not (SHARED / "README.md").is_file():
        pytest.skip("needs the real data in ../shared, which is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer | RunningServer]:
    """A real Neo4j server, one for all tests; skips where none is to be had, which CI does not allow."""
    try:
        if os.environ.get("NEO4J_URI"):
            yield RunningServer()
            return
        server = Neo4jServer(tmp_path_factory.mktemp("neo4j"), password="a password of tests")
    except NoServer as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with server:
        yield server
