"""The constraints of a contract: every table has them, and each refuses a bad write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch
from tests.support.small_project import WARNINGS, run, write_model, write_project

CONSTRAINTS = """
    select
        pg_class.oid::regclass::text,
        pg_constraint.contype,
        array(
            select attname
            from pg_attribute
            where attrelid = conrelid and attnum = any(conkey)
            order by array_position(conkey, attnum)
        )::text[],
        obj_description(pg_constraint.oid, 'pg_constraint')
    from pg_constraint
    inner join pg_class on conrelid = pg_class.oid
    where pg_class.relnamespace::regnamespace::text in ('marts', 'observability')
        and contype = any(array['p', 'u'])
        and not pg_class.relispartition
    order by 1
"""
NOT_NULL = """
    select attname::text from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and attnotnull order by attnum
"""
DECLARED = "dbt: declared by the contract"
COLUMNS = [
    {"name": "id", "data_type": "int", "constraints": [{"type": "not_null"}]},
    {"name": "part", "data_type": "text", "constraints": [{"type": "not_null"}]},
    {"name": "said", "data_type": "text"},
]
KEPT = {"config": {"contract": {"enforced": True}}, "columns": COLUMNS}
OF_ID = {**KEPT, "constraints": [{"type": "primary_key", "columns": ["id"]}]}
BARE = {
    **KEPT,
    "columns": [{k: v for k, v in column.items() if k != "constraints"} for column in COLUMNS],
}
CONFIG = {
    "materialized": "incremental",
    "incremental_strategy": "changed_keys",
    "unique_key": "id",
    "on_schema_change": "fail",
}
QUERY = "select id, part, said from public.given"


# --- The project's own tables ------------------------------------------------------------------


def declared() -> dict[str, tuple[list[str], list[str]]]:
    """By the name of a table, its columns that are never null, and its primary key."""
    found = {}
    for node in dbt_project.parsed().nodes.values():
        if node.resource_type == "model" and node.config.materialized == "incremental":
            never_null = [
                column.name
                for column in node.columns.values()
                if any(constraint.type == "not_null" for constraint in column.constraints)
            ]
            keys = [each.columns for each in node.constraints if each.type == "primary_key"]
            if never_null or keys:
                found[f"{node.schema}.{node.name}"] = (never_null, keys[0] if keys else [])
    return found


def test_all_tables_have_what_their_contracts_declare(built: Database) -> None:
    wanted = declared()
    assert len(wanted) >= 20
    assert sum(len(columns) for columns, _ in wanted.values()) > 140
    partitioned = {"marts.fct_user_events"}
    assert {name for name, (_, key) in wanted.items() if not key} == partitioned
    keys = {row[0]: row[1:] for row in fetch(built, CONSTRAINTS)}
    for name, (columns, key) in wanted.items():
        assert {*columns, *key} <= {row[0] for row in fetch(built, NOT_NULL, name)}
        if key:
            assert keys[name][0] == "p"
            assert sorted(keys[name][1]) == sorted(key), name
            assert keys[name][2] == DECLARED


def test_each_guarantee_is_broken_once(built: Database) -> None:
    """No data test asks for these again, so PostgreSQL must refuse each."""
    refused = 0
    with built.connect() as session:
        for name, (columns, key) in declared().items():
            table = sql.Identifier(*name.split("."))
            if (
                session.execute(sql.SQL("select 1 from {} limit 1").format(table)).fetchone()
                is None
            ):
                empty = {"fct_exchange_rates", "user_clv", "segment_transitions"}
                assert name.removeprefix("marts.") in empty, f"{name} has no row"
                continue
            for column in columns:
                with pytest.raises(psycopg.errors.NotNullViolation), session.transaction():
                    session.execute(
                        sql.SQL("update {} set {} = null").format(table, sql.Identifier(column))
                    )
                refused += 1
            if key:
                with pytest.raises(psycopg.errors.UniqueViolation), session.transaction():
                    session.execute(
                        sql.SQL("insert into {0} select * from {0} limit 1").format(table)
                    )
                refused += 1
    assert refused > 150


# --- Tables of a small project -----------------------------------------------------------------


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create table public.given (id int, part text, said text)",
        "insert into public.given values (1, 'a', 'x'), (2, 'a', null)",
    )
    folder = write_project(tmp_path / "project", {})
    write_model(folder, "things", QUERY, OF_ID, **CONFIG)
    return folder


def keys(database: Database) -> list[tuple[Any, ...]]:
    return [row[1:] for row in fetch(database, CONSTRAINTS) if row[0] == "marts.things"]


def never_null(database: Database) -> list[str]:
    return [row[0] for row in fetch(database, NOT_NULL, "marts.things")]


PRIMARY = ("p", ["id"], DECLARED)


def test_a_new_table_has_them_after_each_way_to_create_it(
    database: Database, project: Path
) -> None:
    for options in ({}, {}, {"full_refresh": True}, {}):
        run(database, project, **options)
        assert keys(database) == [PRIMARY]
        assert never_null(database) == ["id", "part"]
    # One index serves both the key and the builds.
    assert (
        ask(database, "select count(*) from pg_index where indrelid = 'marts.things'::regclass")
        == 1
    )


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_table_from_before_gets_them(database: Database, project: Path, is_idle: bool) -> None:
    write_model(project, "things", QUERY, BARE, **CONFIG)
    run(database, project)
    assert keys(database) == []
    assert never_null(database) == []
    write_model(project, "things", QUERY, OF_ID, **CONFIG)
    if not is_idle:
        do(database, "insert into public.given values (3, 'c', 'y')")
    run(database, project)
    assert keys(database) == [PRIMARY]
    assert never_null(database) == ["id", "part"]


def test_rows_of_a_table_from_before_are_checked_first(database: Database, project: Path) -> None:
    do(database, "insert into public.given values (3, null, 'y'), (4, null, 'y')")
    write_model(project, "things", QUERY, BARE, **CONFIG)
    run(database, project)
    write_model(project, "things", QUERY, OF_ID, **CONFIG)
    do(database, "update public.given set part = 'c' where id = 3")
    with pytest.raises(
        dbt_project.DbtFailed, match=r"things: part is null in 1 row\(s\), such as id = 4"
    ):
        run(database, project)
    assert ask(database, "select count(*) from marts.things where part is null") == 2

    # A table whose rows this run does not read.
    do(database, "update public.given set part = 'd' where part is null")
    write_model(project, "things", QUERY, BARE, **CONFIG)
    run(database, project)
    do(database, "update marts.things set part = null where id = 4")
    write_model(project, "things", QUERY + " where id < 3", OF_ID, **CONFIG)
    run(database, project)
    assert never_null(database) == ["id", "part"]


def test_an_incremental_run_says_which_row_lacks_what(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "insert into public.given values (3, 'c', 'secret'), (4, null, 'secret')")
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(database, project)
    assert (
        "things: part is null in 1 row(s), such as id = 4, and the contract says not_null."
        " Nothing was written." in str(failed.value)
    )
    assert "secret" not in str(failed.value)
    assert ask(database, "select count(*) from marts.things") == 2


def test_another_key_takes_its_place(database: Database, project: Path) -> None:
    run(database, project)
    both = {**KEPT, "constraints": [{"type": "primary_key", "columns": ["part", "id"]}]}
    write_model(project, "things", QUERY, both, **{**CONFIG, "unique_key": ["id", "part"]})
    run(database, project)
    do(database, "insert into public.given values (1, 'b', 'z')")
    run(database, project)
    ((kind, columns, comment),) = keys(database)
    assert (kind, sorted(columns), comment) == ("p", ["id", "part"], DECLARED)
    assert (
        ask(database, "select count(*) from pg_index where indrelid = 'marts.things'::regclass")
        == 1
    )
    assert ask(database, "select count(*) from marts.things") == 3


def test_what_a_dba_added_stays(database: Database, project: Path) -> None:
    """A primary key of other columns, or a foreign key to ours."""
    write_model(project, "things", QUERY, BARE, **CONFIG)
    run(database, project)
    do(
        database,
        "alter table marts.things alter part set not null",
        "alter table marts.things add constraint by_hand primary key (id, part)",
    )
    write_model(project, "things", QUERY, OF_ID, **CONFIG)
    run(database, project)
    assert keys(database) == [("p", ["id", "part"], None)]
    do(database, "alter table marts.things drop constraint by_hand")
    run(database, project)
    assert keys(database) == [PRIMARY]

    do(database, "create table public.notes (thing int references marts.things (id))")
    run(database, project)
    run(database, project, options=WARNINGS)
    assert keys(database) == [PRIMARY]
    assert ask(database, "select count(*) from pg_constraint where contype = 'f'") == 1


def test_the_partitions_of_a_table_have_them_too(database: Database, project: Path) -> None:
    """PostgreSQL wants the partition's column in a primary key, so only `not null` is declared."""
    by_part = {"fields": ["part"], "method": "list"}
    write_model(project, "things", QUERY, KEPT, **CONFIG, partition_by=by_part)
    for _ in range(2):
        run(database, project)
        do(database, "insert into public.given values (7, 'new', '')")
    parts = fetch(
        database, "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass",
        "marts.things",
    )  # fmt: skip
    assert len(parts) == 2
    for (part,) in parts:
        assert [row[0] for row in fetch(database, NOT_NULL, part)] == ["id", "part"]
