"""Fixtures for the tests of `warehouse init`."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.init.shapes import SHAPES
from tests.support.database import new_database
from warehouse.server import Server


@pytest.fixture(scope="module")
def shops(server: Server) -> Iterator[psycopg.Connection]:
    """A database with one schema for each shape of a shop; only read it."""
    with new_database(server) as made, made.connect() as session:
        for name, statements in SHAPES.items():
            session.execute(f"create schema {name}")
            session.execute(f"set search_path to {name}")
            session.execute(statements)
        session.execute("reset search_path")
        session.commit()
        yield session
        session.rollback()


@pytest.fixture
def shop(shops: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A schema `public` to fill; what the test does is rolled back."""
    shops.rollback()
    yield shops
    shops.rollback()
