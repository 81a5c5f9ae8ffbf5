"""Fixtures for the tests of `warehouse load`."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.database import Database


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection to the empty database, in autocommit mode and in UTC."""
    with database.connect() as connected:
        connected.autocommit = True
        connected.execute("set timezone = 'UTC'")
        yield connected
