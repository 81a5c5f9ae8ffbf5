"""Databases for tests, and short ways to read and write in them."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from warehouse.server import Server


def environment_of(server: Server, name: str) -> dict[str, str]:
    """The PG* variables of a database in a server."""
    parameters = server.parameters(name)
    return {
        "PGHOST": parameters["host"],
        "PGPORT": parameters["port"],
        "PGUSER": parameters["user"],
        "PGDATABASE": parameters["dbname"],
    }


@dataclasses.dataclass(frozen=True)
class Database:
    """A database for one test; psql, dbt and `warehouse` find it by `environment`."""

    name: str
    environment: dict[str, str]

    @classmethod
    def of(cls, server: Server, name: str) -> Database:
        """The database of this name in a server, whether it is there yet or not."""
        return cls(name, environment_of(server, name))

    def connect(self) -> psycopg.Connection:
        """A new connection, not in autocommit mode."""
        return psycopg.connect(
            host=self.environment["PGHOST"],
            port=self.environment["PGPORT"],
            user=self.environment["PGUSER"],
            dbname=self.name,
        )


_numbers = itertools.count(1)


@contextmanager
def new_database(
    server: Server, template: str = "template0", name: str | None = None
) -> Iterator[Database]:
    """A new database, dropped afterwards.

    Args:
        server: where it is created.
        template: the database that it copies.
        name: a name that no other has at the time; by default one that none had before. dbt reuses
            a parse only for a database of the same name.
    """
    name = name or f"test_{os.getpid()}_{next(_numbers)}"
    with server.connect("postgres") as connection:
        # Files are copied as they are; the other strategy writes them to the log as well.
        connection.execute(f"create database {name} template {template} strategy file_copy")
    yield Database.of(server, name)
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {name} with (force)")


def ask(database: Any, query: str) -> Any:
    """The rows of a query; a single column of a single row as its value."""
    with database.connect() as session:
        rows = session.execute(query).fetchall()
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows


def do(database: Any, *statements: str) -> None:
    """Execute statements in one transaction."""
    with database.connect() as session:
        for statement in statements:
            session.execute(statement)


def fetch(database: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, whose placeholders `%s` take the values."""
    with database.connect() as session:
        return session.execute(query, values or None).fetchall()
