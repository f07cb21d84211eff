"""Fixtures that more than one test file uses."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gfe_assets_tests.neo4j_server import Neo4jServer, NoServer, RunningServer

if TYPE_CHECKING:
    from gfe_assets_tests.deployment import Deployment
    from gfe_assets_tests.github_server import GitHubServer
    from gfe_assets_tests.sites import Site

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


@pytest.fixture
def site() -> "Iterator[Site]":
    """An empty deployment on a folder of releases, in shared memory where there is some (Dagster's SQLite files are slow)."""
    from gfe_assets_tests.sites import Site  # noqa: PLC0415 - it takes seconds to import, and most tests do without

    folder = _folder()
    yield Site(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _loaded_once() -> "Iterator[Site]":
    from gfe_assets_tests.sites import Site  # noqa: PLC0415

    folder = _folder()
    site = Site(folder)
    site.publish("3580")
    assert [outcome.status.value for outcome in site.run("3580")] == ["LOAD_SUCCESS"]
    yield site
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def loaded(site: "Site", _loaded_once: "Site") -> "Site":
    """A deployment that has loaded 3580; 3590 is published and not run yet."""
    _loaded_once.copy_to(site.folder)
    site.publish("3590", site.database.evolve(seed=2, new=4, renamed=1, resequenced=1, deleted=1))
    return site


@pytest.fixture
def server() -> "Iterator[GitHubServer]":
    """An empty repository as GitHub serves it."""
    from gfe_assets_tests.github_server import GitHubServer  # noqa: PLC0415

    with GitHubServer() as running:
        yield running


@pytest.fixture
def deployment(tmp_path: Path, server: "GitHubServer") -> "Iterator[Deployment]":
    """A deployment that watches it."""
    from gfe_assets_tests.deployment import Deployment  # noqa: PLC0415

    with Deployment(tmp_path, server) as made:
        yield made


def _folder() -> Path:
    shared_memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="gfe-site-", dir=shared_memory if os.access(shared_memory, os.W_OK) else None))
