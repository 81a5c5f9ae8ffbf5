"""A database with the roles of the warehouse, and logins that are members of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import psycopg
import pytest

from tests.support import dbt_project
from tests.support.database import Database, do
from warehouse.privacy import keys, ledger, roles
from warehouse.server import Server

NAMES = [roles.name_of(role) for role in roles.ROLES]
LOGINS = {
    "an_analyst": "analyst",
    "an_engineer": "engineer",
    "an_officer": "privacy_officer",
    "a_monitor": "monitor",
    "a_loader": "loader",
    "a_builder": "transformer",
    "an_owner": "owner",
}


def statements() -> str:
    """The statements that create the functions of pseudonyms."""
    folder = dbt_project.ROOT / "macros" / "sql"
    macros = "".join((folder / f"{name}.sql").read_text() for name in ("pseudonyms", "types"))
    return str(jinja2.Environment().from_string(macros).module.create_pseudonym_functions())  # noqa: S701


def drop_roles(server: Server) -> None:
    with server.connect("postgres") as session:
        session.autocommit = True
        for name in (*NAMES, *LOGINS, "an_outsider"):
            if session.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
                session.execute(f"drop role {name}")


@pytest.fixture
def cleared(server: Server) -> Iterator[None]:
    """Roles belong to the server: none is left after the database of the test is dropped."""
    drop_roles(server)
    yield
    drop_roles(server)


@pytest.fixture
def governed(cleared: None, built: Database) -> Database:
    """The built sample with the roles, and a login that is no member of one."""
    with built.connect() as session:
        session.autocommit = True
        assert len(roles.apply(session)) > len(NAMES)
        assert roles.apply(session) == []
    do(
        built,
        *(f"create role {name} login in role {roles.name_of(of)}" for name, of in LOGINS.items()),
        "create role an_outsider login",
    )
    dbt_project.invoke(built, "run-operation", "grant_to_roles")
    return built


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> keys.Keys:
    """The keys of this test, which the sessions of dbt get."""
    monkeypatch.setenv(keys.FILE_VARIABLE, str(tmp_path / "keys.json"))
    monkeypatch.setenv(ledger.FILE_VARIABLE, str(tmp_path / "ledger.jsonl"))
    created = keys.create_keys()
    monkeypatch.setenv(keys.SECRET_VARIABLE, keys.pads(created))
    return created


@pytest.fixture
def shop(of: keys.Keys, built: Database) -> Database:
    """The built sample with the functions that need the key."""
    do(built, statements())
    return built


@pytest.fixture(scope="session")
def manifest(sample_warehouse: Database) -> dict[str, Any]:
    """The project with its compiled SQL."""
    return dbt_project.compiled(sample_warehouse)


@contextmanager
def logged_in(database: Database, user: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host=database.environment["PGHOST"],
        port=database.environment["PGPORT"],
        user=user,
        dbname=database.name,
        autocommit=True,
    ) as session:
        yield session
