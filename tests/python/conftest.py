"""What all Python tests share: a real PostgreSQL, and a fresh database in it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from warehouse.server import Server

# Variables of the person who runs the tests must not lead a test to that person's own database.
_OUTSIDE = ("PG", "DBT_", "WAREHOUSE_")
_KEPT = {"WAREHOUSE_POSTGRES"}

# Throw-away data: what makes a server durable only makes a test slow.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(_OUTSIDE) and name not in _KEPT:
            patch.delenv(name)
    yield
    patch.undo()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder with a path short enough for a socket (tmp_path's is often too long)."""
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running embedded server in a temporary folder, shared by the session; not durable, but
    fast.

    It is PostgreSQL 18; `WAREHOUSE_POSTGRES=16 pytest` runs the same tests on 16.
    """
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    running = Server(folder / ".warehouse", settings=FAST)
    try:
        running.up()
        yield running
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Database:
    """A database for one test: `environment` leads psql, dbt and `warehouse` to it."""

    name: str
    environment: dict[str, str]

    def connect(self) -> psycopg.Connection:
        """A new connection, not in autocommit mode."""
        return psycopg.connect(
            host=self.environment["PGHOST"],
            port=self.environment["PGPORT"],
            user=self.environment["PGUSER"],
            dbname=self.name,
        )


_numbers = itertools.count(1)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh, empty database in the shared server, dropped after the test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    parameters = server.parameters(name)
    with server.connect("postgres") as connection:
        connection.execute(f"create database {name} template template0")
    yield Database(
        name,
        {
            "PGHOST": parameters["host"],
            "PGPORT": parameters["port"],
            "PGUSER": parameters["user"],
            "PGDATABASE": name,
        },
    )
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {name} with (force)")
