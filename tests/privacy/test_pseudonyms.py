"""Pseudonyms in SQL are those of Python, need the key of the session, and show it nowhere."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.privacy.conftest import statements
from tests.support.database import Database, ask, do, new_database
from tests.support.server import FAST, temporary_server
from tests.support.small_project import write_project
from warehouse import dbt
from warehouse.errors import WarehouseError
from warehouse.privacy import keys as pii
from warehouse.server import Server

KEYS = pii.Keys(2, {1: secrets.token_bytes(32), 2: secrets.token_bytes(32)})
VALUES = (
    *("", " ", "user@domain.com", "User@domain.com", "Ångström 李 \U0001f600", "\u00e9", "e\u0301"),
    *('it\'s "quoted"', "$$;--", "\\x00 \\ %s %", "a:b", ":", "a\tb\r\nc", "x" * 10_000),
)
NO_KEY = "no key for pseudonyms"


def connect(database: Any, keys: pii.Keys | None = KEYS, options: str = "", **more: Any) -> Any:
    """A session in autocommit mode, with the keys."""
    where = {
        "host": database.environment["PGHOST"],
        "port": database.environment["PGPORT"],
        "user": database.environment["PGUSER"],
        "dbname": database.name,
    }
    given = pii.session_settings(keys) if keys else ""
    return psycopg.connect(**{**where, **more}, options=f"{given} {options}", autocommit=True)


@pytest.fixture(scope="module")
def functions(server: Server) -> Iterator[Database]:
    """A database with the functions."""
    with new_database(server) as database:
        do(database, statements())
        yield database


# --- What they compute ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 32, 64, 65, 200])
def test_sql_computes_what_hmac_does(functions: Database, size: int) -> None:
    key = secrets.token_bytes(size)
    keys = pii.Keys(1, {1: key})
    with connect(functions, keys) as session:
        for value in VALUES:
            message = f"user_id:{value}".encode()
            expected = "p1_" + hmac.new(key, message, hashlib.sha256).hexdigest()[:32]
            query = "select privacy.pseudonym(%s, 'user_id')"
            assert session.execute(query, [value]).fetchone() == (expected,), value
            assert pii.pseudonym(value, "user_id", keys) == expected


def test_a_known_pseudonym(functions: Database) -> None:
    """As `openssl dgst -sha256 -hmac` says; a change of the form would need new pseudonyms."""
    keys = pii.Keys(7, {7: b"key of thirty-two bytes, or more"})
    with connect(functions, keys) as session:
        query = "select privacy.pseudonym('user@domain.com', 'email')"
        assert session.execute(query).fetchone() == ("p7_3c945beb659dcc74d8c1eb96b8cd8ac8",)


def test_null_and_purposes(functions: Database) -> None:
    with connect(functions) as session:
        query = "select privacy.pseudonym(%s::text, %s)"
        assert session.execute(query, [None, "email"]).fetchone() == (None,)
        found = [
            session.execute(query, ["42", purpose]).fetchone()[0]
            for purpose in ("user_id", "order_id", "u", "a_1")
        ]
        assert len(set(found)) == 4
        assert all(each.startswith("p2_") and len(each) == 35 for each in found)
        for purpose in ("", "Email", "1a", "a b", "a:b", "a'b", "a\n", "é", None):
            with pytest.raises(psycopg.errors.RaiseException, match="it takes lower-case"):
                session.execute(query, ["42", purpose])
            if purpose is not None:
                with pytest.raises(WarehouseError, match="it takes lower-case"):
                    pii.pseudonym("42", purpose, KEYS)
    assert pii.pseudonym(None, "email", KEYS) is None


def test_a_missing_or_malformed_key_is_an_error(functions: Database) -> None:
    pad, other = "0a" * 64, "b0" * 64
    broken = (
        *(None, "", "1", "1:", "1::", ":", "::", f"1:{pad}", f"1:{pad}:", f"1::{pad}"),
        *(f":{pad}:{other}", f"{pad}:{other}", f"{pad}{other}", f"1:{pad[:-2]}:{other}"),
        *(f"1:{pad}:{other[:-2]}", f"1:{pad}00:{other}", f"1:{pad}:{other}00"),
    )
    queries = (
        "select privacy.pseudonym('42', 'user_id')",
        "select count(privacy.pseudonym(n::text, 'user_id')) from generate_series(1, 3) as n",
        "select privacy.pseudonym_of_version('42', 'user_id', 1)",
    )
    for value in broken:
        given = f"-c {pii.SETTING}={value}" if value is not None else ""
        with connect(functions, None, given) as session:
            for query in queries:
                with pytest.raises(psycopg.errors.RaiseException, match=NO_KEY) as error:
                    session.execute(query)
                assert pad[:20] not in str(error.value), "the message quotes the key"
    with (
        connect(functions, None, f"-c {pii.SETTING}=1:{'zz' * 64}:{other}") as session,
        pytest.raises(psycopg.errors.InvalidParameterValue, match="invalid hexadecimal digit"),
    ):
        session.execute(queries[0])
    with connect(functions) as session:
        session.execute(f"set {pii.SETTING} = ''")
        with pytest.raises(psycopg.errors.RaiseException, match=NO_KEY):
            session.execute(queries[0])


def test_every_plan_computes_the_same(functions: Database) -> None:
    """Within the query, as a call, in a parallel worker, in a prepared statement and in plpgsql."""
    expected = [pii.pseudonym(str(number), "user_id", KEYS) for number in range(1, 101)]
    query = "select array_agg(privacy.pseudonym(id::text, 'user_id') order by id) from public.ids"
    with connect(functions) as session:
        session.execute("create table public.ids as select generate_series(1, 100) as id")
        session.execute("analyze public.ids")
        plan = session.execute(f"explain (verbose) {query}").fetchall()
        assert "sha256(" in str(plan), "the functions are called instead of put into the query"
        assert "privacy.pseudonym(" not in str(plan)
        assert "user_id:" in str(plan), "the purpose is checked for each row"
        assert session.execute(query).fetchone() == (expected,)
        assert session.execute(query, prepare=True).fetchone() == (expected,)
        session.execute("set debug_parallel_query = on")
        plan = session.execute(f"explain (verbose) {query}").fetchall()
        assert "Gather" in str(plan)
        assert session.execute(query).fetchone() == (expected,)
        session.execute("reset debug_parallel_query")
        session.execute(
            "create function public.called(value text) returns text language plpgsql"
            " as $$ begin return privacy.pseudonym(value, 'user_id'); end $$"
        )
        called = "select array_agg(public.called(id::text) order by id) from public.ids"
        assert session.execute(called).fetchone() == (expected,)


def test_the_search_path_of_a_caller_does_not_matter(functions: Database) -> None:
    with connect(functions) as session:
        session.execute("create schema mine")
        for name, of in (("sha256", "bytea"), ("decode", "text, text"), ("encode", "bytea, text")):
            session.execute(
                f"create function mine.{name}({of}) returns text language sql return 'taken'"
            )
        session.execute("set search_path = mine, pg_catalog")
        query = "select privacy.pseudonym('42', 'user_id')"
        assert session.execute(query).fetchone() == (pii.pseudonym("42", "user_id", KEYS),)


# --- Versions ---------------------------------------------------------------------------------


def test_a_new_version_gives_new_pseudonyms(functions: Database, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    query = "select privacy.pseudonym('42', 'user_id')"
    with connect(functions, pii.create_keys(file)) as session:
        (first,) = session.execute(query).fetchone()
    keys = pii.add_version(file)
    assert (keys.current, sorted(keys.versions)) == (2, [1, 2])
    again = "select privacy.pseudonym_of_version('42', 'user_id', %s)"
    with connect(functions, keys) as session:
        (second,) = session.execute(query).fetchone()
        assert first.startswith("p1_") and second.startswith("p2_")
        assert first[3:] != second[3:]
        assert session.execute(again, [1]).fetchone() == (first,)
        assert session.execute(again, [2]).fetchone() == (second,)
        assert pii.pseudonym("42", "user_id", keys, 1) == first
        for version in (3, 0, -1, 12, None):
            with pytest.raises(psycopg.errors.RaiseException, match=f"{NO_KEY} of version"):
                session.execute(again, [version])
        with pytest.raises(WarehouseError, match="no key for pseudonyms of version 3"):
            pii.pseudonym("42", "user_id", keys, 3)


def test_as_many_versions_as_a_connection_takes(functions: Database, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    pii.create_keys(file)
    for _ in range(pii.MOST_VERSIONS - 1):
        keys = pii.add_version(file)
    assert keys.current == pii.MOST_VERSIONS
    with pytest.raises(WarehouseError, match="takes at most 30: remove"):
        pii.add_version(file)
    query = "select privacy.pseudonym_of_version('42', 'user_id', n) from generate_series(1, %s) n"
    with connect(functions, keys, "-c search_path=public -c lock_timeout=60s") as session:
        found = [each for (each,) in session.execute(query, [pii.MOST_VERSIONS])]
    expected = [pii.pseudonym("42", "user_id", keys, each + 1) for each in range(len(found))]
    assert found == expected


# --- The file of the keys ---------------------------------------------------------------------


def test_the_file_is_private_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))
    created = pii.create_keys()
    file = tmp_path / "home" / "pii_keys.json"
    assert pii.key_file() == file
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    assert set(json.loads(file.read_text())) == {"current", "versions"}
    assert len(created.versions[1]) == 32
    assert pii.create_keys() == pii.read_keys() == created
    assert pii.add_version().versions[1] == created.versions[1]
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file], "an unfinished file is left"
    assert created.versions[1].hex() not in repr(created) and "\\x" not in repr(created)
    monkeypatch.setenv(pii.FILE_VARIABLE, str(tmp_path / "other.json"))
    with pytest.raises(WarehouseError, match="with the keys of pseudonyms does not exist"):
        pii.session_settings()
    assert pii.create_keys() != created
    assert pii.session_settings() == f"-c warehouse.pii_pads={pii.pads(pii.read_keys())}"


def test_processes_at_once_create_one_key_and_lose_no_version(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: pii.create_keys(file).versions[1], range(16)))
        assert len(set(created)) == 1
        added = list(pool.map(lambda _: pii.add_version(file).current, range(12)))
    assert pii.read_keys(file).current == 13
    assert max(added) == 13
    assert sorted(pii.read_keys(file).versions) == list(range(1, 14))


def test_files_that_are_refused(tmp_path: Path) -> None:
    file, secret = tmp_path / "keys.json", secrets.token_hex(32)
    good = {"current": 1, "versions": {"1": secret}}

    def refused(text: str, match: str, mode: int = 0o600) -> None:
        file.write_text(text)
        file.chmod(mode)
        for use in (pii.read_keys, pii.create_keys, pii.add_version):
            with pytest.raises(WarehouseError, match=match) as error:
                use(file)
            assert secret[:16] not in repr(error.value)
            assert error.value.__cause__ is None, "a cause may quote the file"
        assert file.read_text() == text

    form = "does not have the form of keys"
    for broken in (
        *("", "{", secret, f'"{secret}"', "[]", "null", "{}"),
        *(json.dumps({**good, "current": each}) for each in (2, "1", None, True, 1.0)),
        *(json.dumps({**good, "versions": each}) for each in ([secret], {}, None, {"1": 5})),
        *(json.dumps({**good, "versions": {key: secret}}) for key in ("0", "01", "-1", "x", "")),
        *(
            json.dumps({**good, "versions": {"1": each}})
            for each in ("", secret[1:], f"{secret} zz")
        ),
        json.dumps({**good, "versions": {"1": secret, "x": secret}}),
        json.dumps(good)[:-2],
    ):
        refused(broken, form)
    refused(json.dumps({**good, "versions": {"1": secret[:62]}}), "version 1 is too short")
    many = {str(number): secrets.token_hex(32) for number in range(1, 32)}
    refused(json.dumps({**good, "versions": many}), "has 31 keys, and takes at most 30")
    for mode in (0o640, 0o604, 0o620, 0o602, 0o644, 0o777):
        refused(json.dumps(good), f"Other users may read the keys .*mode 0{mode:o}", mode)
    file.chmod(0o600)
    assert pii.read_keys(file).versions == {1: bytes.fromhex(secret)}
    link = tmp_path / "link.json"
    link.symlink_to(file)
    assert pii.read_keys(link) == pii.read_keys(file)
    assert pii.add_version(link).current == 2 and link.is_symlink()
    with pytest.raises(WarehouseError, match="is no file"):
        pii.read_keys(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(WarehouseError, match="is no file"):
        pii.read_keys(pipe)
    if os.geteuid() == 0:
        os.chown(file, 12345, 12345)
        with pytest.raises(WarehouseError, match="belong to another user"):
            pii.read_keys(file)


# --- Creating the functions -------------------------------------------------------------------


def test_the_functions_are_created_once(database: Database) -> None:
    query = "select oid, xmin::text from pg_proc where pronamespace = 'privacy'::regnamespace"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: do(database, statements()), range(8)))
    before = ask(database, f"{query} order by oid")
    do(database, statements())
    assert ask(database, f"{query} order by oid") == before
    do(database, "drop function privacy.pseudonym_of_version")
    do(database, statements())
    do(
        database,
        "create or replace function privacy.pseudonym(value text, purpose text)"
        " returns text language sql return 'an older definition'",
        "comment on function privacy.pseudonym is 'Definition of an older version'",
    )
    do(database, statements())
    with connect(database) as session:
        for name in ("pseudonym('42', 'a')", "pseudonym_of_version('42', 'a', 2)"):
            found = session.execute(f"select privacy.{name}").fetchone()
            assert found == (pii.pseudonym("42", "a", KEYS),)


def test_a_function_of_a_stranger_is_refused(database: Database) -> None:
    for role in ("pseudonym_builder", "pseudonym_stranger"):
        do(
            database,
            f"do $$ begin create role {role} login;"
            " exception when duplicate_object then null; end $$",
            f"grant create on database {database.name} to {role}",
        )
    with connect(database, None, user="pseudonym_stranger") as stranger:
        stranger.execute("create schema privacy")
        stranger.execute("grant all on schema privacy to public")
    with connect(database, None, user="pseudonym_builder") as builder:
        with pytest.raises(psycopg.errors.RaiseException) as error:
            builder.execute(statements())
        assert error.value.diag.message_primary == (
            "The schema privacy belongs to the role pseudonym_stranger, which could read the key of"
            " pseudonyms. As an administrator, run: alter schema privacy owner to"
            " pseudonym_builder;"
        )
        do(database, "alter schema privacy owner to pseudonym_builder")
        builder.execute(statements())
        do(database, "alter function privacy.pseudonym owner to pseudonym_stranger")
        with pytest.raises(psycopg.errors.RaiseException, match=r"function privacy.pseudonym\("):
            builder.execute(statements())
        # Those of an administrator are used as they are.
        user = database.environment["PGUSER"]
        do(database, f"alter function privacy.pseudonym owner to {user}")
        builder.execute(statements())
        do(
            database,
            f"alter database {database.name} owner to pseudonym_stranger",
            "alter function privacy.pseudonym owner to pseudonym_stranger",
        )
        builder.execute(statements())
        do(
            database,
            f"alter database {database.name} owner to {user}",
            f"grant create on database {database.name} to pseudonym_builder",
        )
    with (
        connect(database, None, user="pseudonym_stranger") as stranger,
        pytest.raises(psycopg.errors.RaiseException, match="belongs to the role"),
    ):
        stranger.execute(statements())


# --- Where the key is not ---------------------------------------------------------------------


LOGGED = {
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_duration": "on",
    "log_min_messages": "debug3",
    "log_error_verbosity": "verbose",
    "debug_print_parse": "on",
    "debug_print_rewritten": "on",
    "debug_print_plan": "on",
}
MODELS = {
    "masked": "select id, {{ pseudonym('name', 'user_name') }} as name from public.people",
    "failing": "select {{ pseudonym('name', 'user_name') }}::int as name from public.people",
    "without_purpose": "select {{ pseudonym('name', 'Name') }} as name from public.people",
    "split": "select 1 / (id - id) as x, {{ pseudonym('name', 'a') }} as name from public.people",
}
QUERIES = (
    "select privacy.pseudonym(name, 'user_name') from people",
    "create table public.stored as select privacy.pseudonym(name, 'user_name') as name from people",
    "analyze public.stored",
    "create view public.shown as select privacy.pseudonym(name, 'user_name') as name from people",
    "explain (analyze, verbose, settings) select privacy.pseudonym(name, 'user_name') from people",
    "prepare again as select privacy.pseudonym(name, 'user_name') from people",
    "execute again",
    "select privacy.pseudonym_of_version(name, 'user_name', 1) from people",
    "do $$ begin raise notice '%', privacy.pseudonym('Ada', 'user_name'); end $$",
)
FAILING = (
    "select privacy.pseudonym(name, 'user_name')::int from people",
    "select privacy.pseudonym(name, 'User') from people",
    "select privacy.pseudonym_of_version(name, 'user_name', 9) from people",
    "select 1 / (id - id), privacy.pseudonym(name, 'user_name') from people",
    "insert into people select id, privacy.pseudonym(name, 'user_name') from people",
    "select privacy.pseudonym(name, 'user_name'), from people",
    "select privacy.pseudonym(name) from people",
    "select privacy.pseudonym(name, 'user_name') from people, pg_sleep(9)",
)
SEEN = (
    "select * from pg_stat_activity",
    "select * from pg_settings",
    "select current_setting('warehouse.pii_pads', true)",
    "select * from pg_stats",
    "select * from pg_prepared_statements",
    "select * from pg_db_role_setting",
    "select * from pg_cursors",
)


def marks(keys: pii.Keys) -> list[str]:
    """Texts that only the keys have: each key, and what is not the same in all pads."""
    pads = [part for part in pii.pads(keys).split(":") if len(part) > 9]
    return [*(key.hex() for key in keys.versions.values()), *(pad[:64] for pad in pads)]


def found_in(data: bytes | str) -> list[str]:
    """The beginnings of the keys that data contain."""
    data = data.encode() if isinstance(data, str) else data
    return [mark for mark in marks(KEYS) if mark[:24].encode() in data.lower()]


def files_with_keys(folder: Path) -> list[str]:
    """The files of a folder that contain a key."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    return [str(path) for path in paths if found_in(path.read_bytes())]


def run_dbt(project: Path, database: Database, *arguments: str, **variables: str) -> str:
    """Run dbt as a process, and return all that it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    answer = subprocess.run(
        [*dbt.COMMAND, *arguments],
        cwd=project,
        env={**inherited, **database.environment, **variables, "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def verbose_server() -> Iterator[Server]:
    """A server that logs whatever it can."""
    with temporary_server(settings={**FAST, **LOGGED}) as server:
        yield server


def test_the_key_is_nowhere(verbose_server: Server, tmp_path: Path) -> None:
    models = {name: "{{ config(materialized='table') }} " + MODELS[name] for name in MODELS}
    project = write_project(tmp_path / "project", models)
    with new_database(verbose_server) as database:
        do(
            database,
            statements(),
            "create table public.people (id int primary key, name text)",
            "insert into public.people select n, 'person ' || n from generate_series(1, 50) as n",
            "grant usage on schema privacy to public",
            "do $$ begin create role pseudonym_reader login; end $$",
        )
        with connect(database, options="-c statement_timeout=1s") as session:
            for query in QUERIES:
                session.execute(query)
            for query in FAILING:
                with pytest.raises(psycopg.Error) as error:
                    session.execute(query)
                assert not found_in(str(error.value))
            # What others see of the session, while it is there.
            for user in ("pseudonym_reader", database.environment["PGUSER"]):
                with connect(database, None, user=user) as other:
                    for query in SEEN:
                        assert not found_in(str(other.execute(query).fetchall())), query
                    with pytest.raises(psycopg.errors.RaiseException, match=NO_KEY):
                        other.execute("select privacy.pseudonym('Ada', 'user_name')")
        given = {pii.SECRET_VARIABLE: pii.pads(KEYS)}
        said = run_dbt(project, database, "--debug", "run", **given)
        assert "WARN=0 ERROR=3" in said, said[-3000:]
        said += run_dbt(project, database, "--debug", "debug", **given)
        assert "search_path" in said and "All checks passed" in said
        names = ask(database, "select array_agg(name order by id) from marts.masked")
        people = [f"person {number}" for number in range(1, 51)]
        assert names == [pii.pseudonym(each, "user_name", KEYS) for each in people]
        assert not found_in(said)
        assert (project / "target" / "partial_parse.msgpack").is_file()
        assert (project / "logs" / "dbt.log").is_file()
        assert files_with_keys(project) == []
        statistics = "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
        if ask(database, f"select exists ({statistics})"):
            do(database, "create extension pg_stat_statements")
            counted = ask(database, "select string_agg(query, ' ') from pg_stat_statements")
            assert "privacy.pseudonym" in counted
            assert not found_in(counted)
    assert "privacy.pseudonym" in verbose_server.log.read_text(errors="replace")
    assert files_with_keys(verbose_server.home) == []


def test_what_shows_the_key_is_known(verbose_server: Server) -> None:
    """warehouse/privacy/keys.py names these: SQL that reads or sets the setting by itself."""
    with new_database(verbose_server) as database:
        leaking = (
            "select current_setting('warehouse.pii_pads')::int",
            f"set warehouse.pii_pads = '{pii.pads(KEYS)}'",
        )
        for query in leaking:
            before = verbose_server.log.stat().st_size
            with connect(database) as session, contextlib.suppress(psycopg.DataError):
                session.execute(query)
            with verbose_server.log.open("rb") as log:
                log.seek(before)
                assert found_in(log.read())
