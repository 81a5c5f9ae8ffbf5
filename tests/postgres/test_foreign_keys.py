"""Foreign keys that are not enforced: tools find the joins, and nothing else notices them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.project.test_rights import SCHEMAS, as_role
from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch
from tests.support.relations import leftovers
from tests.support.small_project import polled, run, warned, write_model, write_project
from warehouse.server import Server

FOREIGN_KEYS = """
    select
        conrelid::regclass::text,
        (
            select string_agg(attname, ', ')
            from pg_attribute where attrelid = conrelid and attnum = any(conkey)
        ),
        confrelid::regclass::text,
        (
            select string_agg(attname, ', ')
            from pg_attribute where attrelid = confrelid and attnum = any(confkey)
        )
    from pg_constraint
    where contype = 'f' and conparentid = 0
    order by 1, 2, 3
"""
OURS = "dbt: declared by a relationships test"
# Each changes when a foreign key is dropped and added again.
OIDS = "select array_agg(oid::bigint order by oid) from pg_constraint where contype = 'f'"
LINE = re.compile(r"^ +(\w+) [|}][|o]--o\{ (\w+) : (\w+)$", re.MULTILINE)
FIELDS = re.compile(r"^    (\w+) \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)
SAID = ("--log-level-file", "debug")


@pytest.fixture(autouse=True)
def needs_18(request: pytest.FixtureRequest, server: Server) -> None:
    if "database_16" not in request.fixturenames:
        with server.connect() as session:
            if session.info.server_version < 180000:
                pytest.skip("PostgreSQL before 18 has no foreign keys that are not enforced")


def foreign_keys(database: Any) -> list[tuple[Any, ...]]:
    return fetch(database, FOREIGN_KEYS)


# --- The project's own tables ------------------------------------------------------------------


def test_tools_find_the_joins_of_the_diagram(built: Database) -> None:
    text = (dbt_project.ROOT / "README.md").read_text()
    joins = {(child, column, parent) for parent, child, column in LINE.findall(text)}
    columns = {
        (table, column)
        for table, fields in FIELDS.findall(text)
        for column in re.findall(r" (\w+) (?:PK, )?FK", fields)
    }
    assert len(joins) >= 11
    assert len(columns) >= 20
    # The text below the diagram.
    calendar = {"date_key": "dim_date", "time_key": "dim_time"}
    joins |= {(table, column, calendar[column]) for table, column in columns if column in calendar}
    found = {
        (table.split(".")[1], column, target.split(".")[1])
        for table, column, target, _ in foreign_keys(built)
    }
    assert joins - found == set()
    assert columns - {each[:2] for each in found} == set()
    # As the SQL standard shows them.
    shown = fetch(
        built,
        """
        select child.table_name, child.column_name, parent.table_name
        from information_schema.referential_constraints as joined
        inner join information_schema.key_column_usage as child using (constraint_name)
        inner join information_schema.key_column_usage as parent
            on joined.unique_constraint_name = parent.constraint_name
        where child.table_schema = 'marts'
        """,
    )
    assert found == set(shown)
    assert ask(
        built,
        "select array_agg(distinct (conenforced, convalidated,"
        " obj_description(oid, 'pg_constraint'))::text)"
        " from pg_constraint where contype = 'f' and conparentid = 0",
    ) == [f'(f,f,"{OURS}")']


def test_names_are_unique_and_fit(built: Database) -> None:
    names = [
        row[0]
        for row in fetch(
            built, "select conname from pg_constraint where contype = 'f' and conparentid = 0"
        )
    ]
    assert len(names) == len(set(names)) > 20
    assert max(len(name) for name in names) <= 63
    assert "fct_orders_user_key_to_dim_users" in names


def test_nothing_is_enforced(built: Database) -> None:
    """A row without its dimension, a dimension without its row, and an empty dimension."""
    with built.connect() as session:
        session.execute("update marts.fct_orders set user_key = 'nobody'")
        session.execute("update marts.fct_user_events set event_type_key = 'nothing'")
        session.execute("delete from marts.dim_products")
        session.execute("truncate marts.dim_users")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("drop table marts.dim_users")
        session.rollback()
        session.execute("drop table marts.dim_users cascade")
        assert session.execute("select count(*) > 0 from marts.fct_orders").fetchone() == (True,)
        session.rollback()


def test_a_full_refresh_of_a_dimension_keeps_them(built: Database) -> None:
    before = foreign_keys(built)
    facts = ("marts.fct_orders", "marts.fct_user_events", "marts.dim_users")
    with polled(built, *facts), warned() as warnings:
        dbt_project.run(
            built,
            "run",
            "dim_users",
            full_refresh=True,
            options=("--log-level-file", "warn"),
        )
    assert foreign_keys(built) == before
    # Nothing that was dropped meanwhile is reported as lost.
    assert "Dropped" not in warnings[0]
    assert leftovers(built) == []


@pytest.mark.long
def test_a_full_refresh_of_everything_keeps_them(built: Database) -> None:
    before = foreign_keys(built)
    for threads in (4, 8):
        dbt_project.build(built, full_refresh=True, threads=threads, options=dbt_project.NO_TESTS)
        assert foreign_keys(built) == before
        assert leftovers(built) == []


def test_a_second_run_alters_nothing(built: Database) -> None:
    """It waits for nobody: another session holds the lock of a writer on all tables."""
    before = ask(built, OIDS)
    with built.connect() as writer:
        writer.execute("lock table marts.dim_date, marts.fct_payments in access share mode")
        writer.execute("lock table marts.fct_user_events in row exclusive mode")
        with said() as lines:
            dbt_project.run(built, "run", "dim_time", options=SAID)
    assert "try_foreign_key" not in lines[0]
    assert lines[0].count("possible as (") == 1
    assert ask(built, OIDS) == before


def test_a_lost_one_is_added_by_any_run(built: Database) -> None:
    before = foreign_keys(built)
    do(built, "alter table marts.fct_orders drop constraint fct_orders_user_key_to_dim_users")
    assert len(foreign_keys(built)) == len(before) - 1
    dbt_project.run(built, "run", "dim_time")
    assert foreign_keys(built) == before


# --- Tables of a small project -----------------------------------------------------------------

CONFIG = {"materialized": "incremental", "incremental_strategy": "changed_keys"}
THINGS = "select id, name from public.given_things"
NOTES = "select id, thing_id, day from public.given_notes"
OF_THINGS = ("marts.notes", "thing_id", "marts.things", "id")


def refers(to: str = "ref('things')", field: str = "id", **config: Any) -> dict[str, Any]:
    """The YAML of `notes`, whose thing_id refers to a table."""
    arguments = {"arguments": {"to": to, "field": field}, **({"config": config} if config else {})}
    return {"columns": [{"name": "thing_id", "data_tests": [{"relationships": arguments}]}]}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    return prepare(database, tmp_path / "project")


def prepare(database: Database, folder: Path) -> Path:
    """A project whose notes refer to things, with its sources in a database."""
    do(
        database,
        "create table public.given_things (id int, name text)",
        "insert into public.given_things select each, 'a' from generate_series(1, 9) as each",
        "create table public.given_notes (id int, thing_id int, day date)",
        "insert into public.given_notes"
        " select each, each, '2026-01-01' from generate_series(1, 9) as each",
    )
    write_project(folder, {})
    settings = yaml.safe_load((folder / "dbt_project.yml").read_text())
    settings["on-run-end"] = ["{{ after_run() }}"]
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings))
    write_model(folder, "things", THINGS, unique_key="id", **CONFIG)
    write_model(folder, "notes", NOTES, refers(), unique_key="id", **CONFIG)
    return folder


@contextmanager
def said() -> Iterator[list[str]]:
    """Collect what runs with the options `SAID` log; yields one line at the end."""
    with warned() as lines:
        yield lines


def messages(database: Database, project: Path, *select: str, **options: Any) -> str:
    """Run, and return what dbt logs."""
    with said() as lines:
        run(database, project, *select, options=SAID, **options)
    return lines[0]


def test_a_test_that_is_removed_takes_its_foreign_key_along(
    database: Database, project: Path
) -> None:
    run(database, project)
    assert foreign_keys(database) == [OF_THINGS]
    write_model(project, "notes", NOTES, unique_key="id", **CONFIG)
    run(database, project, "things")
    assert foreign_keys(database) == []


@pytest.mark.parametrize(
    ("yml", "config"),
    [
        pytest.param(refers(where="thing_id < 5"), {}, id="a test of some rows"),
        pytest.param(refers("ref('seen')"), {}, id="a view"),
        pytest.param(refers(field="name"), {}, id="not unique"),
        pytest.param(refers(field="id + 0"), {}, id="an expression"),
        pytest.param(refers(), {"materialized": "view"}, id="of a view"),
    ],
)
def test_other_tests_declare_none(
    database: Database, project: Path, yml: dict[str, Any], config: dict[str, Any]
) -> None:
    write_model(project, "seen", "select * from {{ ref('things') }}", materialized="view")
    given = config or {**CONFIG, "unique_key": "id"}
    write_model(project, "notes", NOTES, yml, **given)
    run(database, project)
    assert foreign_keys(database) == []


def test_another_target_takes_its_place(database: Database, project: Path) -> None:
    write_model(project, "others", THINGS, unique_key="id", **CONFIG)
    run(database, project)
    write_model(project, "notes", NOTES, refers("ref('others')"), unique_key="id", **CONFIG)
    run(database, project)
    assert foreign_keys(database) == [("marts.notes", "thing_id", "marts.others", "id")]


def test_a_table_refers_to_itself_and_a_warning_serves(database: Database, project: Path) -> None:
    yml = refers("ref('notes')", severity="warn")
    write_model(project, "notes", NOTES, yml, unique_key="id", **CONFIG)
    for options in ({}, {"full_refresh": True}):
        run(database, project, **options)
        assert foreign_keys(database) == [("marts.notes", "thing_id", "marts.notes", "id")]


def test_those_of_a_dba_stay(database: Database, project: Path) -> None:
    """Also through full refreshes. One of the same columns serves instead of ours."""
    by_hand = "select conname from pg_constraint where contype = 'f' order by 1"
    run(database, project)
    do(
        database,
        "alter table marts.notes drop constraint notes_thing_id_to_things",
        "alter table marts.notes add constraint by_hand foreign key (thing_id)"
        " references marts.things (id)",
        "create table public.more (id int constraint elsewhere references marts.things (id))",
        "alter table marts.notes add constraint to_itself foreign key (thing_id)"
        " references marts.notes (id)",
    )
    for options in ({}, {"full_refresh": True}, {}):
        # One after the other: each is carried over to the new version of its tables.
        run(database, project, threads=1, **options)
        assert [row[0] for row in fetch(database, by_hand)] == [
            *("by_hand", "elsewhere", "to_itself")
        ]
    write_model(project, "notes", NOTES, unique_key="id", **CONFIG)
    run(database, project)
    assert len(fetch(database, by_hand)) == 3
    with database.connect() as session, pytest.raises(psycopg.errors.ForeignKeyViolation):
        session.execute("insert into marts.notes values (10, 11)")


def test_a_name_that_is_taken_is_left_to_its_owner(database: Database, project: Path) -> None:
    run(database, project)
    do(
        database,
        "alter table marts.notes drop constraint notes_thing_id_to_things",
        "alter table marts.notes add constraint notes_thing_id_to_things check (id > 0)",
    )
    run(database, project)
    assert foreign_keys(database) == []


def test_a_role_without_the_right_builds_without_them(database: Database, project: Path) -> None:
    builder = as_role(database, "keyless_builder")
    do(
        database,
        *(f"create schema {schema}" for schema in SCHEMAS),
        *(f"grant usage, create on schema {schema} to keyless_builder" for schema in SCHEMAS),
        "grant select on all tables in schema public to keyless_builder",
    )
    run(builder, project)
    assert foreign_keys(database) == [OF_THINGS]
    do(
        database,
        "alter table marts.notes drop constraint notes_thing_id_to_things",
        "alter table marts.things owner to current_user",
        "grant select on marts.things to keyless_builder",
    )
    log = messages(builder, project, "notes")
    assert (
        "marts.notes: the foreign key notes_thing_id_to_things was not added; the next run will"
        " retry: permission denied for table things." in log
    )
    assert foreign_keys(database) == []
    do(database, "grant references on marts.things to keyless_builder")
    run(builder, project, "notes")
    assert foreign_keys(database) == [OF_THINGS]


def test_a_locked_table_is_left_to_the_next_run(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "alter table marts.notes drop constraint notes_thing_id_to_things")
    with database.connect() as writer:
        writer.execute("set application_name = 'a writer'")
        writer.execute("lock table marts.things in row exclusive mode")
        with polled(database, "marts.things", "marts.notes", patience="500ms"):
            log = messages(database, project, "notes")
        assert "the foreign key notes_thing_id_to_things was not added" in log
        assert f"marts.things by pid {writer.info.backend_pid} (a writer)" in log
        assert foreign_keys(database) == []
    run(database, project, "notes")
    assert foreign_keys(database) == [OF_THINGS]


def test_readers_stop_neither_the_adding_nor_a_run(database: Database, project: Path) -> None:
    with database.connect() as reader:
        run(database, project)
        do(database, "alter table marts.notes drop constraint notes_thing_id_to_things")
        reader.execute("select * from marts.things, marts.notes")
        run(database, project)
        assert foreign_keys(database) == [OF_THINGS]
        # Dropping one takes the lock that readers hold.
        write_model(project, "notes", NOTES, unique_key="id", **CONFIG)
        assert "was not dropped; the next run will retry" in messages(database, project)
        assert foreign_keys(database) == [OF_THINGS]
    run(database, project)
    assert foreign_keys(database) == []


def test_a_reader_of_a_fact_does_not_stop_the_refresh_of_its_dimension(
    database: Database, project: Path
) -> None:
    """The old version is kept until it can be dropped; the next run has a complete warehouse."""
    run(database, project)
    patience = {"replace_lock_timeout": "100ms", "replace_lock_attempts": 2}
    with database.connect() as reader:
        reader.execute("select * from marts.notes")
        log = messages(database, project, "things", full_refresh=True, variables=patience)
        assert "alter table marts.notes drop constraint notes_thing_id_to_things" in log
        assert "The next run of this model will retry." in log
        assert ask(database, "select count(*) from marts.things") == 9
    run(database, project)
    assert foreign_keys(database) == [OF_THINGS]
    assert leftovers(database) == []


def test_another_key_takes_its_place(database: Database, project: Path) -> None:
    """The index of the former key is dropped, with what refers to it."""
    run(database, project)
    do(database, "update public.given_things set name = id::text")
    write_model(project, "things", THINGS, unique_key="name", **CONFIG)
    run(database, project)
    assert foreign_keys(database) == []
    write_model(project, "things", THINGS, unique_key="id", **CONFIG)
    run(database, project)
    assert foreign_keys(database) == [OF_THINGS]


@pytest.mark.parametrize("kind", ["view", "materialized_view", "table"])
def test_a_table_becomes_something_else(database: Database, project: Path, kind: str) -> None:
    unique = [{"columns": ["id"], "unique": True}]
    run(database, project)
    indexes = {} if kind == "view" else {"indexes": unique}
    write_model(project, "things", THINGS, materialized=kind, **indexes)
    with warned() as warnings:
        run(database, project, options=("--log-level-file", "warn"))
    assert "Dropped" not in warnings[0]
    assert foreign_keys(database) == ([OF_THINGS] if kind == "table" else [])
    run(database, project)
    assert foreign_keys(database) == ([OF_THINGS] if kind == "table" else [])


def partitions(database: Database) -> list[tuple[str, int]]:
    """The partitions of notes, with the number of their foreign keys."""
    return fetch(
        database,
        "select inhrelid::regclass::text, count(pg_constraint.oid) from pg_inherits"
        " left join pg_constraint on conrelid = inhrelid and contype = 'f'"
        " where inhparent = 'marts.notes'::regclass group by 1 order by 1",
    )


BY_DAY = {"partition_by": {"fields": ["day"]}}


def test_partitions_have_them_too(database: Database, project: Path) -> None:
    write_model(project, "notes", NOTES, refers(), unique_key="id", **CONFIG, **BY_DAY)
    run(database, project)
    assert foreign_keys(database) == [OF_THINGS]
    first = partitions(database)
    assert {number for _, number in first} == {1}
    do(database, "insert into public.given_notes values (10, 1, '2027-03-01')")
    run(database, project)
    assert len(partitions(database)) > len(first)
    assert {number for _, number in partitions(database)} == {1}

    # The table is rewritten, and has them again at the end of the run.
    write_model(project, "notes", NOTES, refers(), unique_key="id", **CONFIG)
    run(database, project)
    assert foreign_keys(database) == [OF_THINGS]
    assert partitions(database) == []


def test_a_writer_of_a_dimension_delays_a_new_month_and_no_reader(
    database: Database, project: Path
) -> None:
    """PostgreSQL locks the dimension when it attaches the partition."""
    write_model(project, "notes", NOTES, refers(), unique_key="id", **CONFIG, **BY_DAY)
    run(database, project)
    do(database, "insert into public.given_notes values (10, 1, '2027-03-01')")
    patience = {"replace_lock_timeout": "100ms", "replace_lock_attempts": 2}
    with database.connect() as writer:
        writer.execute("lock table marts.things in row exclusive mode")
        with (
            polled(database, "marts.notes", patience="3s"),
            pytest.raises(dbt_project.DbtFailed, match=r"partitions of .* could not be created"),
        ):
            run(database, project, "notes", variables=patience)
    run(database, project, "notes")
    assert ask(database, "select count(*) from marts.notes") == 10


def test_another_project_in_the_database_keeps_its_own(database: Database, project: Path) -> None:
    run(database, project)
    do(
        database,
        "create schema ci_marts",
        "create table ci_marts.things (id int primary key)",
        "create table ci_marts.notes (thing_id int)",
        "alter table ci_marts.notes add constraint theirs foreign key (thing_id)"
        " references ci_marts.things not enforced",
        f"comment on constraint theirs on ci_marts.notes is '{OURS}'",
    )
    run(database, project)
    assert len(foreign_keys(database)) == 2


def test_names_need_quotes(database: Database, project: Path) -> None:
    things = """select id as "The Key" from public.given_things"""
    notes = """select id, thing_id as "Thing" from public.given_notes"""
    yml = refers(field='"The Key"')
    yml["columns"][0].update({"name": "Thing", "quote": True})
    write_model(project, "things", things, unique_key='"The Key"', **CONFIG)
    write_model(project, "notes", notes, yml, unique_key="id", **CONFIG)
    for options in ({}, {"full_refresh": True}, {}):
        run(database, project, **options)
        assert foreign_keys(database) == [("marts.notes", "Thing", "marts.things", "The Key")]


def test_a_server_before_18_has_none(database_16: Database, tmp_path: Path) -> None:
    project = prepare(database_16, tmp_path / "project")
    for _ in range(2):
        run(database_16, project)
    assert foreign_keys(database_16) == []
