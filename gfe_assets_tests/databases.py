"""Empty databases for tests: a SQLite file always, PostgreSQL where `GFE_TEST_POSTGRES_URL` names one to use."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

KINDS = ("sqlite", "postgresql")


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The SQLAlchemy URL of a new SQLite file in `folder`, or of a new PostgreSQL schema that is dropped afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'accessions.sqlite'}"
        return
    server = os.environ.get("GFE_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("needs a PostgreSQL database; set GFE_TEST_POSTGRES_URL to its SQLAlchemy URL")
    schema = f"registry_{uuid.uuid4().hex}"
    admin = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)
    with admin.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield f"{server}?options=-csearch_path%3D{schema}"
    with admin.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
