"""Connecting to a database: dbt and the commands find the same one; errors are clear."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psycopg
import pytest

from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.database import Database
from tests.support.server import FAST, temporary_server
from warehouse.database import connection, preflight, profile
from warehouse.errors import WarehouseError
from warehouse.project import HOME_VARIABLE
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
    `barred` may not connect, `admin` is a superuser.
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
            "host all /^trusted 127.0.0.1/32 trust\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        with running.connect() as session:
            session.execute("select pg_reload_conf()")
            for role in ("owner", "reader", "barred"):
                session.execute(f"create role {role} login password '{SECRET}'")
            session.execute(f"create role admin superuser login password '{SECRET}'")
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
        ({"PGPORT": "many"}, ["PGPORT is 'many': it must be a whole number from 1 to 65535."]),
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


# --- Which database a command acts on -----------------------------------------------------------


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A folder to load, with one user."""
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "users.csv").write_text("user_id\n1\n")
    return folder


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A generated sample in two loads."""
    from warehouse.sample.command import make_plan
    from warehouse.sample.generate import generate

    folder = tmp_path / "sample"
    generate(make_plan(users=20, days=5, seed=1, out=folder, loads=2, dirty=0))
    return folder


def execute(own: dict[str, str], *statements: str) -> Any:
    """Run statements on the server of the fixture; returns the first value of the last."""
    names = {"PGDATABASE": "dbname", "PGUSER": "user"}
    given = {names.get(name, name[2:].lower()): value for name, value in own.items()}
    with psycopg.connect(**given) as session:
        for statement in statements:
            cursor = session.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def count_users(own: dict[str, str]) -> int:
    there = execute(own, "select to_regclass('raw.users') is not null")
    return execute(own, "select count(*) from raw.users") if there else 0


def clear(own: dict[str, str]) -> None:
    execute(own, "drop schema if exists raw, quarantine cascade")


def test_the_sample_does_not_enter_a_server_of_the_user(
    own: dict[str, str], sample: Path, users: Path
) -> None:
    clear(own)
    refused = run("up", "--embedded")
    assert refused.returncode == 1
    assert "embedded server only, but PGHOST chose PostgreSQL on 127.0.0.1" in refused.stderr
    assert "env -u PGHOST make demo" in refused.stderr
    for folder in (sample, sample / "load_01"):
        refused = run("load", "--quiet", str(folder))
        assert refused.returncode == 1
        assert "holds the generated sample" in refused.stderr
        assert "--allow-sample" in refused.stderr
        # A quiet command names the database when it fails.
        assert refused.stderr.splitlines()[-1].startswith("Database: PostgreSQL on 127.0.0.1")
        assert count_users(own) == 0
    misused = run("load", str(users), "--allow-sample")
    assert "--allow-sample is allowed only with a folder of `warehouse sample`" in misused.stderr
    wanted = run("load", "--allow-sample", str(sample / "load_01"))
    assert wanted.returncode == 0, wanted.stderr
    assert count_users(own) > 1
    mixed = run("load", str(users))
    assert mixed.returncode == 0
    assert "Warning: this database holds the generated sample" in mixed.stderr
    # The statement of the guide removes it.
    guide = (CHECKOUT / "docs" / "adapting.md").read_text()
    statement = guide[guide.index("drop schema if exists raw") :].split(";")[0]
    execute(own, statement)
    assert "generated sample" not in run("load", str(users)).stderr
    assert count_users(own) == 1


def test_the_sample_does_not_join_rows_in_the_embedded_server(
    tcp: dict[str, str], sample: Path, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of this module stands for the embedded one."""
    from warehouse.load import sample_guard

    for name, value in tcp.items():
        monkeypatch.setenv(name, value)
    clear(tcp)
    embedded = dataclasses.replace(profile.settings(), embedded=True)
    monkeypatch.setattr(sample_guard, "settings", lambda: embedded)
    monkeypatch.setattr(connection, "ensure_running", lambda: None)
    sample_guard.check(sample, allow_sample=False, quiet=True)  # an empty database
    assert run("load", "--quiet", str(users)).returncode == 0
    with pytest.raises(WarehouseError, match="already holds other rows"):
        sample_guard.check(sample, allow_sample=False, quiet=True)
    sample_guard.check(sample, allow_sample=True, quiet=True)


def test_the_demo_names_the_embedded_server_first() -> None:
    steps = subprocess.run(
        ["make", "-n", "demo"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    commands = [line for line in steps.splitlines() if "warehouse " in line and "load" not in line]
    assert "warehouse up --embedded" in commands[0]
    assert steps.index("up --embedded") < steps.index("warehouse load sample")


def test_the_line_of_the_guide_for_cron(
    tcp: dict[str, str], users: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cron knows no variable of a shell: the file of the guide names the database for all."""
    clear(tcp)
    guide = (CHECKOUT / "docs" / "adapting.md").read_text()
    (line,) = [each for each in guide.splitlines() if each.startswith("15 3 * * *")]
    assert line.count(".venv/bin/warehouse ") == 2
    assert "warehouse.env" in line
    environment = guide[guide.index("DBT_TARGET=prod") :].split("```")[0]
    assert {each.split("=")[0] for each in environment.split()} >= {
        "PGHOST",
        "PGUSER",
        "PGDATABASE",
    }
    file = short_path / "warehouse.env"
    prod = {**tcp, "DBT_TARGET": "prod"}
    file.write_text("".join(f"{name}={value}\n" for name, value in prod.items()))
    job = (
        line.removeprefix("15 3 * * * ")
        .replace("/srv/warehouse", str(CHECKOUT))
        .replace("./warehouse.env", str(file))
        .replace(".venv/bin/warehouse", f"{sys.executable} -m warehouse.cli")
        .replace("exports/", str(users))
        .replace("cli build", "cli status")  # the same database, in a second
    )
    assert "cli status" in job
    bare = {
        "PATH": os.environ["PATH"],
        "HOME": str(short_path),
        "DBT_TARGET_PATH": str(short_path),
        "WAREHOUSE_HOME": str(short_path / "home"),
    }
    done = subprocess.run(
        ["/bin/sh", "-c", job], env=bare, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "target prod in" in done.stdout
    assert f"port={tcp['PGPORT']}" in done.stdout
    assert count_users(tcp) == 1
    # Without the variables, prod is no embedded server.
    refused = run("load", "--target", "prod", str(users), WAREHOUSE_HOME=bare["WAREHOUSE_HOME"])
    assert refused.returncode == 1
    assert "The target prod of" in refused.stderr
    assert "needs a variable that is not set: PGHOST" in refused.stderr
    assert not (short_path / "home").exists()


def test_the_embedded_server_by_its_socket(short_path: Path) -> None:
    """PGHOST can name the folder of its socket: `status` shows the database that is meant."""
    home = short_path / ".warehouse"
    with temporary_server_at(home) as running:
        with running.connect() as session:
            session.execute('create database "the shop"')
        by_socket = {"WAREHOUSE_HOME": str(home), "PGHOST": str(running.socket)}
        by_socket |= {"PGUSER": "warehouse"}
        said = run("status", PGDATABASE="the shop", **by_socket)
        assert said.returncode == 0, said.stderr
        fields = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
        assert fields["server"].startswith("embedded")
        uri = fields["connection"]
        asked = run("psql", "-q", "-AtXc", "select current_database()", uri, **by_socket)
        assert asked.stdout == "the shop\n", asked.stderr
        other = run("status", PGPORT="6000", **by_socket)
        assert "port 6000" in other.stderr


# --- One preflight, before anything is written --------------------------------------------------


@contextlib.contextmanager
def temporary_server_at(home: Path) -> Iterator[Server]:
    running = Server(home, settings=FAST)
    running.up()
    try:
        yield running
    finally:
        running.down()


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["psql"], ["marts"], ["load", "."], ["build"], ["retain"], ["clv", "fit"], ["up"]],
    ids=lambda arguments: arguments[0],
)
def test_every_command_refuses_an_old_server(
    own: dict[str, str],
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys,
) -> None:
    from warehouse import cli, dbt

    monkeypatch.setattr(connection, "OLDEST_VERSION", 99)
    monkeypatch.setattr(dbt, "read_manifest", lambda _path: {"nodes": {}})
    monkeypatch.setattr("sys.argv", ["warehouse", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "the warehouse needs 99 or newer" in capsys.readouterr().err


def test_what_a_role_may_not_do_is_found_before_the_load(
    own: dict[str, str], users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear(own)
    assert run("load", str(users)).returncode == 0
    execute(
        own,
        "grant create, temporary on database shop to reader",
        "grant usage on schema raw to reader",
        "grant select on all tables in schema raw to reader",
    )
    more = users.parent / "more"
    more.mkdir()
    (more / "users.csv").write_text("user_id\n2\n")

    refused = run("load", str(more), PGUSER="reader")
    assert refused.returncode == 1
    assert "The user reader lacks rights that a load needs on raw." in refused.stderr
    assert "grant select, insert, update on " in refused.stderr
    assert "connect as their owner, owner" in refused.stderr
    execute(own, "revoke select on raw.orders from reader")
    refused = run("status", PGUSER="reader")
    assert "lacks rights that a build needs on raw.orders: their owner must run" in refused.stderr

    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    with pytest.raises(WarehouseError, match=r"read-only \(default_.*: correct PGOPTIONS"):
        preflight.preflight()
    monkeypatch.delenv("PGOPTIONS")
    read_only = "alter role owner in database shop {} default_transaction_read_only"
    execute(own, f"{read_only.format('set')} = on")
    refused = run("load", str(more))
    assert refused.returncode == 1
    assert f"`{read_only.format('reset')}`" in refused.stderr
    execute(own, "set transaction read write", read_only.format("reset"))
    assert count_users(own) == 1


LOGINS = {
    # By the login and the target: what is said of it; None if it is accepted.
    ("owner", SECRET, "prod"): None,
    ("admin", SECRET, "prod"): r"user admin in the target prod\. It is a superuser, so that",
    ("admin", SECRET, "dev"): None,
    ("named", "Named", "prod"): r"user named .*Its password is a default.*`\\password named`",
    (
        "after_the_database",
        "shop",
        "prod",
    ): r"user after_the.*Its password is a default, which others guess",
    ("usual", "changeme", "prod"): r"user usual .*Its password is a default",
    ("usual", "changeme", "dev"): None,
    ("trusted", "any of them", "prod"): r"user trusted .*The server lets it in without a passw",
    ("trusted_admin", "", "prod"): r"user trusted_admin .*It is a superuser.*The server lets it",
}


@pytest.fixture
def logins(own: dict[str, str]) -> Iterator[None]:
    """The logins of `LOGINS`; those that begin with "trusted" need no password."""
    administrator = {**own, "PGUSER": "admin", "PGDATABASE": "postgres"}
    clear(own)
    new = {name: word for name, word, _ in LOGINS if name not in ("owner", "admin")}
    for name, password in new.items():
        execute(
            administrator,
            f"create role {name} login password '{password or SECRET}'"
            f"{' superuser' if name.endswith('admin') else ''}",
            f"grant create, temporary on database shop to {name}",
        )
    yield
    for name in new:
        execute(administrator, f"revoke all on database shop from {name}", f"drop role {name}")


@pytest.mark.parametrize(("login", "password", "target"), LOGINS)
def test_prod_refuses_a_login_that_is_not_safe(
    logins: None,
    own: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys,
    login: str,
    password: str,
    target: str,
) -> None:
    monkeypatch.setenv("PGUSER", login)
    monkeypatch.setenv("PGPASSWORD", password)
    monkeypatch.setenv("DBT_TARGET", target)
    reason = LOGINS[login, password, target]
    if reason is None:
        preflight.preflight()
        return
    with pytest.raises(WarehouseError, match=f"^Refused the login of the {reason}") as refused:
        preflight.preflight()
    assert not password or password not in str(refused.value).replace(login, "")
    capsys.readouterr()
    monkeypatch.setenv("WAREHOUSE_ACCEPT_UNSAFE_LOGIN", "1")
    preflight.preflight()
    assert "Warning: accepted the login of the user" in capsys.readouterr().err


def test_an_administrator_may_be_a_superuser(
    own: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGUSER", "admin")
    monkeypatch.setenv("DBT_TARGET", "prod")
    preflight.preflight(purpose=preflight.Purpose.ADMINISTER)
    # The role of a session does not hide who has logged in.
    monkeypatch.setenv("PGOPTIONS", "-c role=owner")
    with pytest.raises(WarehouseError, match=r"user admin in the target prod\. It is a superuser"):
        preflight.preflight()


def test_the_embedded_server_needs_no_password_in_prod(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(connection, "ensure_running", lambda: None)
    where = profile.Settings(server.parameters(), embedded=True, source="test", target="prod")
    preflight.check(where)
    assert capsys.readouterr().err == ""


def test_plain_dbt_refuses_it_too(own: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    admin = {**own, "PGUSER": "admin", "DBT_TARGET": "prod"}
    database = Database(own["PGDATABASE"], admin)
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.run(database, "seed", "currencies")
    said = " ".join(str(failure.value).split())
    assert "Refused the login of the user admin in the target prod. It is a superuser" in said
    monkeypatch.setenv("WAREHOUSE_ACCEPT_UNSAFE_LOGIN", "1")
    dbt_project.run(database, "seed", "currencies")
    execute(
        {**own, "PGUSER": "admin"},
        "drop schema staging, observability, partitions, ml cascade",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAREHOUSE_START_SECONDS", "abc"),
        ("WAREHOUSE_START_SECONDS", "²"),
        ("WAREHOUSE_START_SECONDS", "0"),
        ("WAREHOUSE_POSTGRES", "banana"),
        ("WAREHOUSE_POSTGRES", "²"),
        ("DBT_THREADS", "0"),
        ("DBT_THREADS", "x"),
        ("PGPORT", "abc"),
        ("PGPORT", "70000"),
        ("PGCONNECT_TIMEOUT", "-1"),
        ("PGSSLMODE", "on"),
    ],
)
def test_a_variable_is_checked_like_an_option(
    own: dict[str, str], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WarehouseError, match=f"{name} is {value!r}: it must be "):
        profile.settings()


# --- dbt uses the same settings -----------------------------------------------------------------


@pytest.mark.parametrize("depth", [pytest.param(0, marks=pytest.mark.long), 20])
def test_plain_dbt_finds_the_server(
    short_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a new project folder, with no variable set, not even PWD; also with a long path."""
    monkeypatch.delenv(HOME_VARIABLE)
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
