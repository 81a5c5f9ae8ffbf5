"""Fixtures for the tests of `warehouse load`."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.load.shop import SHOP
from tests.support.database import Database


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection to the empty database, in autocommit mode and in UTC."""
    with database.connect() as connected:
        connected.autocommit = True
        connected.execute("set timezone = 'UTC'")
        yield connected


@pytest.fixture
def source(server, database) -> Iterator[psycopg.Connection]:
    """A second database on the same server, with the tables of a small shop."""
    name = f"{database.name}_source"
    with server.connect("postgres") as administrator:
        administrator.execute(f"create database {name} template template0")
        with server.connect(name) as connected:
            connected.autocommit = True
            connected.execute(SHOP)
            yield connected
        administrator.execute(f"drop database {name} with (force)")
