"""Connecting to a database: dbt and the commands find the same one; errors are clear."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.command import warehouse
from tests.support.server import FAST, temporary_server
from warehouse.database import connection, preflight, profile
from warehouse.errors import WarehouseError
from warehouse.server import Server

CHECKOUT = Path(__file__).resolve().parents[2]
DBT = Path(sys.executable).with_name("dbt")
SECRET = "s3cret-of-the-owner"  # noqa: S105 - a throw-away role's


def run(*arguments: str, cwd: Path = CHECKOUT, **variables: str) -> CompletedProcess[str]:
    return warehouse(None, *arguments, folder=cwd, **variables)


@pytest.fixture(scope="module")
def tcp() -> Iterator[dict[str, str]]:
    """The PG* variables of a server with passwords on a loopback port, as a user's own server.

    The roles have the password SECRET: `owner` owns the database shop, `reader` may only connect,
    `barred` may not connect.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {**FAST, "listen_addresses": "127.0.0.1", "port": port}
    with temporary_server(settings=settings) as running:
        hba = running.data / "pg_hba.conf"
        hba.write_text(
            "local all all trust\n"
            "host all barred 127.0.0.1/32 reject\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        with running.connect() as session:
            session.execute("select pg_reload_conf()")
            for role in ("owner", "reader", "barred"):
                session.execute(f"create role {role} login password '{SECRET}'")
            session.execute("create database shop owner owner")
            session.execute("create database bare owner owner")
            session.execute("revoke temporary on database bare from public")
            session.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
            session.execute("alter database shop set timezone = 'Asia/Tokyo'")
        with running.connect("bare") as session:
            session.execute("create schema observability")
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": port,
            "PGUSER": "owner",
            "PGDATABASE": "shop",
            "PGPASSWORD": SECRET,
        }


@pytest.fixture
def own(tcp: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of that server, set in the environment of this process."""
    for name, value in tcp.items():
        monkeypatch.setenv(name, value)
    return tcp


# --- The embedded server and the user's own -----------------------------------------------------


def test_own_server(own: dict[str, str], short_path: Path) -> None:
    preflight.preflight()
    home = short_path / ".warehouse"
    said = run("up", WAREHOUSE_HOME=str(home))
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("Using your own server, nothing to start: PostgreSQL on 127.0")
    status = run("status", WAREHOUSE_HOME=str(home))
    assert status.returncode == 0, status.stderr
    assert f"host=127.0.0.1 port={own['PGPORT']} user=owner dbname=shop" in status.stdout
    query = "select current_user, current_database()"
    asked = run("psql", "-At", "-c", query, WAREHOUSE_HOME=str(home))
    assert (asked.returncode, asked.stdout) == (0, "owner|shop\n"), asked.stderr
    assert not home.exists()
    for text in (said.stdout, status.stdout, repr(profile.settings())):
        assert SECRET not in text


def test_sessions_are_in_utc_also_where_the_database_is_not(own: dict[str, str]) -> None:
    with connection.connect() as session:
        names = ("timezone", "lock_timeout", "idle_in_transaction_session_timeout")
        found = [session.execute(f"show {name}").fetchone()[0] for name in names]
    assert found == ["UTC", "1min", "5min"]


def test_pgtz_and_pgoptions(own: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", "America/New_York")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=9MB -c statement_timeout=7s")
    with connection.connect() as session:
        assert session.execute("show timezone").fetchone() == ("UTC",)
        assert session.execute("show work_mem").fetchone() == ("9MB",)
        assert session.execute("show statement_timeout").fetchone() == ("7s",)


def test_service(tcp: dict[str, str], short_path: Path) -> None:
    file = short_path / "services"
    file.write_text(
        f"[shop]\nhost=127.0.0.1\nport={tcp['PGPORT']}\nuser=owner\ndbname=shop\n"
        f"password={SECRET}\napplication_name=from_the_service\n"
    )
    variables = {"PGSERVICEFILE": str(file), "PGSERVICE": "shop"}
    query = "select current_user, current_database(), current_setting('application_name')"
    asked = run("psql", "-At", "-c", query, **variables)
    assert asked.stdout == "owner|shop|from_the_service\n", asked.stderr
    unknown = run("psql", **{**variables, "PGSERVICE": "shopp"})
    assert unknown.returncode == 1
    assert "PGSERVICE is 'shopp', which cannot be read" in unknown.stderr


def test_profile_of_their_own(tcp: dict[str, str], short_path: Path) -> None:
    (short_path / "profiles.yml").write_text(
        "mine:\n"
        "  target: work\n"
        "  outputs:\n"
        "    work:\n"
        "      {type: postgres, host: 127.0.0.1, user: owner, dbname: shop, schema: x,\n"
        f"       port: {tcp['PGPORT']}, pass: \"{{{{ env_var('MY_PASSWORD') }}}}\"}}\n"
        "    lake: {type: spark, host: nowhere, schema: x}\n"
    )
    variables = {"DBT_PROFILES_DIR": str(short_path), "DBT_PROFILE": "mine"}
    query = ("psql", "-At", "-c", "select current_user, current_database()")
    assert run(*query, MY_PASSWORD=SECRET, **variables).stdout == "owner|shop\n"
    for changed, sentence in [
        ({}, "needs a variable that is not set: MY_PASSWORD"),
        ({"DBT_TARGET": "lake"}, "is of type 'spark': this command needs PostgreSQL"),
        ({"DBT_TARGET": "home"}, "has no target home, but work, lake: set DBT_TARGET"),
        ({"DBT_PROFILE": "yours"}, "has no profile yours, but mine"),
        ({"DBT_PROFILES_DIR": "/nonexistent"}, "no profiles.yml in /nonexistent"),
    ]:
        said = run(*query, **{**variables, **changed})
        assert said.returncode == 1
        assert sentence in " ".join(said.stderr.split())
        assert "Traceback" not in said.stderr


# --- A one-sentence message per error -----------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentences"),
    [
        ({"PGPASSWORD": "wrong-one"}, ["127.0.0.1", "refused the password of the user owner"]),
        ({"PGPASSWORD": ""}, ["127.0.0.1", "asks for a password of the user owner", "set DBT_ENV"]),
        ({"PGDATABASE": "shopp"}, ["has no database shopp", "createdb shopp"]),
        ({"PGUSER": "barred"}, ["refuses the user barred", "pg_hba.conf"]),
        ({"PGPORT": "1"}, ["No PostgreSQL answers at 127.0.0.1, port 1 (user owner)", "PGHOST"]),
        ({"PGHOST": "/nowhere"}, ["No PostgreSQL answers at /nowhere", "start it"]),
        (
            {"PGHOST": "no.such.invalid"},
            ["DNS lookup of the host no.such.invalid (user owner) failed"],
        ),
        ({"PGUSER": "reader"}, ["user reader may not create schemas", "grant create on database"]),
        (
            {"PGUSER": "reader", "PGDATABASE": "bare"},
            ["may not create temporary tables", "`grant temporary on database bare to reader`"],
        ),
        ({"PGDATABASE": "latin"}, ["encoded in LATIN1", "encoding 'UTF8'"]),
        ({"PGSSLMODE": "require"}, ["encryption", "PGSSLMODE"]),
        ({"PGPORT": "many"}, ["The port many for the host 127.0.0.1", "correct PGPORT"]),
        ({"WAREHOUSE_SESSION_OPTIONS": "-c no_such=1 -c lock_timeout=soon"}, ["session options"]),
    ],
)
def test_one_sentence(
    own: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    sentences: list[str],
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WarehouseError) as caught:
        preflight.preflight()
    message = str(caught.value)
    for sentence in sentences:
        assert sentence in message
    assert "\n" not in message
    assert SECRET not in message
    assert "wrong-one" not in message


def test_schemas_that_exist_need_no_right_to_create_them(
    own: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATABASE", "bare")
    with connection.connect(profile.settings()) as session:
        session.execute("grant temporary on database bare to reader")
        session.commit()
    monkeypatch.setenv("PGUSER", "reader")
    preflight.preflight()


def test_too_old_and_new_enough(own: dict[str, str]) -> None:
    where = profile.settings()
    preflight.check_version(160000, "16.0", where)
    with pytest.raises(WarehouseError) as caught:
        preflight.check_version(150018, "15.18 (Debian)", where)
    assert "version 15.18 (Debian): the warehouse needs 16 or newer" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "owner" in str(caught.value)


def test_command_line_shows_the_sentence_alone(own: dict[str, str]) -> None:
    said = run("status", PGPASSWORD="wrong-one")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("Error: The server at 127.0.0.1, port")
    assert len(said.stderr.splitlines()) == 1
    assert "wrong-one" not in said.stderr


def test_role_of_the_profile(tcp: dict[str, str]) -> None:
    where = profile.Settings(
        {"host": "127.0.0.1", "port": tcp["PGPORT"], "user": "owner", "dbname": "shop"}
        | {"password": SECRET},
        False,
        "test",
        role="reader",
    )
    with pytest.raises(WarehouseError, match="may not switch to the role reader"):
        connection.connect(where)


# --- dbt uses the same settings -----------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 20])
def test_plain_dbt_finds_the_server(short_path: Path, depth: int) -> None:
    """In a new project folder, with no variable set, not even PWD; also with a long path."""
    project = short_path / "/".join(["deep-er"] * depth) / "project"
    (project / "macros").mkdir(parents=True)
    shutil.copy(CHECKOUT / "profiles.yml", project)
    (project / "dbt_project.yml").write_text(
        "name: probe\nversion: 1.0.0\nprofile: analytics_warehouse\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    (project / "macros" / "probe.sql").write_text(
        "{% macro probe() %}{% set row = run_query(\"select current_database() || ' '"
        " || current_setting('timezone') || ' ' || current_setting('lock_timeout') as x\") %}"
        "{{ print(row.columns['x'].values()[0]) }}{% endmacro %}\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "PWD"}
    try:
        assert run("up", cwd=project).returncode == 0
        asked = subprocess.run(
            [str(DBT), "--quiet", "run-operation", "probe"],
            cwd=project,
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (asked.returncode, asked.stdout.strip()) == (0, "warehouse UTC 1min"), asked.stdout
        refused = subprocess.run(
            [str(DBT), "run-operation", "probe"],
            cwd=project,
            env={**variables, "PGTZ": "Asia/Tokyo"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert refused.returncode != 0
        assert "PGTZ=UTC, or no PGTZ" in refused.stdout
    finally:
        assert run("down", cwd=project).returncode == 0
        folder = Server(project / ".warehouse").socket
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
