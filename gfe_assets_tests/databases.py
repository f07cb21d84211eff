"""Empty databases for tests: a SQLite file always, PostgreSQL where it is installed or `GFE_TEST_POSTGRES_URL` names one.

An installed server is started once a test process, in a folder of its own, on a socket in that folder and without a port. It
does not run as root, so root starts it as the user `postgres` that Debian's package makes.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

KINDS = ("sqlite", "postgresql")
_START_SECONDS = 60
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")  # what is written here is thrown away


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of a new SQLite file in `folder`, or of a new PostgreSQL schema that is dropped afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'accessions.sqlite'}"
        return
    server = os.environ.get("GFE_TEST_POSTGRES_URL") or _installed_server()
    if not server:
        missing = "needs PostgreSQL; install it, or set GFE_TEST_POSTGRES_URL to the SQLAlchemy URL of a database"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    schema = f"registry_{uuid.uuid4().hex}"
    url = sa.make_url(server)
    admin = sa.create_engine(url.set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)
    with admin.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with admin.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


@cache
def _installed_server() -> str:
    """The URL of a server that is started now and ends with this process; empty where none is installed."""
    programs = _programs()
    if programs is None:
        return ""
    folder = Path(tempfile.mkdtemp(prefix="gfe-pg-"))
    owner: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        owner["user"] = "postgres"
    data = folder / "data"
    made = [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, **owner)
    settings = [
        part for setting in ("listen_addresses=", f"unix_socket_directories={folder}", *_FAST) for part in ("-c", setting)
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([programs / "postgres", "-D", data, *settings], stdout=log, stderr=log, **owner)
    atexit.register(_end, server, folder)
    url = f"postgresql://postgres@/postgres?host={folder}"
    _wait_for(url, folder / "log")
    return url


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`: on the path, or where Debian puts the newest version."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _wait_for(url: str, log: Path) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.1)
        else:
            return


def _end(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.send_signal(signal.SIGQUIT)  # at once: nothing is kept
    server.wait(30)
    shutil.rmtree(folder, ignore_errors=True)
