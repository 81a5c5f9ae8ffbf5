"""Databases for tests, and shortcuts to read and write them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from warehouse.server import Server


def environment_of(server: Server, name: str) -> dict[str, str]:
    """The PG* variables of a database on a server."""
    parameters = server.parameters(name)
    return {
        "PGHOST": parameters["host"],
        "PGPORT": parameters["port"],
        "PGUSER": parameters["user"],
        "PGDATABASE": parameters["dbname"],
    }


@dataclasses.dataclass(frozen=True)
class Database:
    """A database for one test; psql, dbt and `warehouse` find it through `environment`."""

    name: str
    environment: dict[str, str]

    @classmethod
    def of(cls, server: Server, name: str) -> Database:
        """The database of this name on a server; it need not exist yet."""
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
    """Create a database, and drop it afterwards.

    Args:
        server: the server to create it on.
        template: the database to copy.
        name: a name that no existing database has; the default is a name never used before. dbt
            reuses a parse only for a database of the same name.
    """
    name = name or f"test_{os.getpid()}_{next(_numbers)}"
    with server.connect("postgres") as connection:
        # Copies the files as they are; the other strategy also writes them to the WAL.
        connection.execute(f"create database {name} template {template} strategy file_copy")
    yield Database.of(server, name)
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {name} with (force)")


def ask(database: Any, query: str) -> Any:
    """The rows of a query; the bare value if it returns one row with one column."""
    with database.connect() as session:
        rows = session.execute(query).fetchall()
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows


def do(database: Any, *statements: str) -> None:
    """Execute statements in one transaction."""
    with database.connect() as session:
        for statement in statements:
            session.execute(statement)


def need_extension(database: Any, name: str) -> None:
    """Skip the test if the server does not come with an extension; our PostgreSQL 16 has none."""
    if ask(database, f"select count(*) from pg_available_extensions where name = '{name}'") == 0:
        pytest.skip(f"this PostgreSQL comes without {name}")


def fetch(database: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query; the values replace its `%s` placeholders."""
    with database.connect() as session:
        return session.execute(query, values or None).fetchall()


def wait_for_counts(session: psycopg.Connection) -> None:
    """Wait until the other sessions of the database ended: then PostgreSQL reports their counts.

    Args:
        session: in autocommit mode.
    """
    until = time.monotonic() + 60
    while session.execute(
        "select 1 from pg_stat_activity where datname = current_database()"
        " and pid != pg_backend_pid() and backend_type = 'client backend'"
    ).fetchone():
        assert time.monotonic() < until, "a session of dbt does not end"
        time.sleep(0.01)
