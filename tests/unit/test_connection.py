"""The choice of database by dbt and the commands, without connecting to it."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest

from warehouse.database import connection, profile
from warehouse.project import HOME_VARIABLE
from warehouse.server import Server

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _default_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nothing connects, so that the default can be the folder of this checkout."""
    monkeypatch.delenv(HOME_VARIABLE)


def test_without_variables_the_embedded_server() -> None:
    where = profile.settings()
    assert where.embedded
    assert where.parameters["host"] == str(CHECKOUT / ".warehouse" / "run")
    assert where.parameters["user"] == where.parameters["dbname"] == "warehouse"


def test_variables_without_a_host_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many users have these set for another database; part of its settings must not apply."""
    plain = profile.settings()
    for name in ("PGUSER", "PGPASSWORD", "PGDATABASE"):
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("PGPORT", "6000")
    assert profile.settings() == plain


def test_host_that_never_answers() -> None:
    where = profile.Settings({"host": "192.0.2.1", "user": "owner"}, False, "test")
    said = connection.explain("connection timeout expired", where)
    assert said.startswith("The host 192.0.2.1, port 5432 (user owner) does not answer")


def dbt_credentials(folder: Path) -> dict[str, str]:
    """The parameters that dbt itself reads from the profile in the current environment."""
    from dbt.config.profile import Profile, read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt.flags import set_from_args
    from dbt_common.context import set_invocation_context

    set_invocation_context(dict(os.environ))
    set_from_args(Namespace(PROFILES_DIR=str(folder)), {})
    profile = Profile.from_raw_profiles(
        raw_profiles=read_profile(str(folder)),
        profile_name="analytics_warehouse",
        renderer=ProfileRenderer({}),
        target_override=os.environ.get("DBT_TARGET"),
    )
    found = profile.credentials
    sent = {
        "host": found.host,
        "port": str(found.port),
        "user": found.user,
        "password": found.password,
        "dbname": found.database,
        "connect_timeout": str(found.connect_timeout),
        "keepalives_idle": str(found.keepalives_idle),
    }
    if found.sslmode:
        sent["sslmode"] = found.sslmode
    if found.search_path:
        sent["options"] = "-c search_path=" + found.search_path.replace(" ", "\\ ")
    return sent


OWN = {"PGHOST": "db.example.com", "PGUSER": "ana", "PGDATABASE": "shop"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WAREHOUSE_HOME": "/srv/warehouse"},
        {"WAREHOUSE_HOME": "/srv/" + "long/" * 20 + "warehouse"},
        {"WAREHOUSE_HOME": "/srv/" + "x" * 80},
        {"WAREHOUSE_HOME": "/srv/" + "x" * 81},
        {"PGUSER": "ana", "PGPORT": "6000", "PGPASSWORD": "p", "PGDATABASE": "x"},
        OWN,
        {"PGHOST": "db.example.com"},
        {"PGHOSTADDR": "192.0.2.1", "PGUSER": "ana"},
        {**OWN, "PGPORT": "6000", "PGPASSWORD": "p", "PGSSLMODE": "require"},
        {**OWN, "PGPASSWORD": "p", "DBT_ENV_SECRET_PG_PASSWORD": "better"},
        {**OWN, "PGOPTIONS": "-c work_mem=1MB", "PGCONNECT_TIMEOUT": "3", "PGTZ": "UTC"},
        {**OWN, "DBT_TARGET": "ci", "WAREHOUSE_SESSION_OPTIONS": ""},
        {**OWN, "DBT_TARGET": "prod", "DBT_ENV_SECRET_PG_PASSWORD": "p"},
    ],
)
def test_dbt_and_the_commands_agree(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    where = profile.settings()
    assert where.parameters == dbt_credentials(CHECKOUT)
    assert where.embedded == (not any(name in variables for name in ("PGHOST", "PGHOSTADDR")))
    if where.embedded:
        assert where.parameters["host"] == str(Server().socket)
