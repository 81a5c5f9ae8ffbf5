"""Partitions that a model declares, checked in the catalog after building a small project."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import ask, do, new_database
from tests.support.small_project import (
    IMPATIENCE,
    LONGER_THAN_IMPATIENCE,
    WARNINGS,
    polled,
    run,
    warned,
    write_model,
    write_project,
)

ROWS = """
create table public.given as
select
    number as id,
    '2026-01-30 12:00:00+00'::timestamptz + number * interval '12 hours' as at,
    date '2026-01-30' + number as day,
    timestamp '2026-01-30' + number * interval '1 day' as moment,
    (array['a', 'B c', null, 'it''s'])[1 + number % 4] as kind,
    number % 3 as part
from generate_series(0, 9) as number
"""


def partitions(database: Any, table: str) -> dict[str, int]:
    """Return the number of rows of each partition of a table, by its bounds."""
    with database.connect() as session:
        names = session.execute(
            "select c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid) from pg_inherits"
            " inner join pg_class as c on inhrelid = c.oid where inhparent = %s::regclass",
            [f"marts.{table}"],
        ).fetchall()
    return {bounds: ask(database, f"select count(*) from only {name}") for name, bounds in names}


@pytest.fixture(
    params=["database", pytest.param("database_16", marks=pytest.mark.long)], ids=["18", "16"]
)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """A database with ten rows, on PostgreSQL 18 and 16."""
    found = request.getfixturevalue(request.param)
    do(found, ROWS)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without models."""
    return write_project(tmp_path / "project", {})


def month(first: str, after: str) -> str:
    """Return the bounds of a partition by timestamptz."""
    return f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"


JANUARY, FEBRUARY, MARCH = (
    month("2026-01-01", "2026-02-01"),
    month("2026-02-01", "2026-03-01"),
    month("2026-03-01", "2026-04-01"),
)
BY_MONTH = {"fields": ["at"], "method": "range", "granularity": "month", "default_partition": True}


def test_every_method_makes_its_partitions(warehouse: Any, project: Path) -> None:
    declared = {
        "by_day": {"fields": ["day"], "granularity": "day"},
        "by_week": {"fields": ["day"], "granularity": "week"},
        "by_month": BY_MONTH,
        "by_quarter": {"fields": ["moment"], "granularity": "quarter"},
        "by_year": {"fields": ["at"], "granularity": "year"},
        "by_kind": {"fields": ["kind"], "method": "list", "default_partition": True},
        "by_part": {"fields": ["part"], "method": "list"},
        "by_hash": {"fields": ["id", "kind"], "method": "hash", "partitions": 3},
        "a" * 63: {"fields": ["at"], "granularity": "month"},
        "ü" * 30: {"fields": ["at"], "granularity": "month"},
    }
    for name, partition_by in declared.items():
        write_model(
            project,
            name,
            "select * from public.given",
            materialized="table",
            partition_by=partition_by,
        )
    run(warehouse, project)

    assert len(partitions(warehouse, "by_day")) == 11
    assert partitions(warehouse, "by_week") == {
        "FOR VALUES FROM ('2026-01-26') TO ('2026-02-02')": 3,
        "FOR VALUES FROM ('2026-02-02') TO ('2026-02-09')": 7,
        "FOR VALUES FROM ('2026-02-09') TO ('2026-02-16')": 0,
    }
    assert partitions(warehouse, "by_month") == {JANUARY: 3, FEBRUARY: 7, MARCH: 0, "DEFAULT": 0}
    assert partitions(warehouse, "by_quarter") == {
        "FOR VALUES FROM ('2026-01-01 00:00:00') TO ('2026-04-01 00:00:00')": 10,
        "FOR VALUES FROM ('2026-04-01 00:00:00') TO ('2026-07-01 00:00:00')": 0,
    }
    assert list(partitions(warehouse, "by_year").values()) == [10, 0]
    assert partitions(warehouse, "by_kind") == {
        "FOR VALUES IN ('a')": 3,
        "FOR VALUES IN ('B c')": 3,
        "FOR VALUES IN ('it''s')": 2,
        "FOR VALUES IN (NULL)": 2,
        "DEFAULT": 0,
    }
    assert partitions(warehouse, "by_part") == {
        "FOR VALUES IN (0)": 4,
        "FOR VALUES IN (1)": 3,
        "FOR VALUES IN (2)": 3,
    }
    hashed = partitions(warehouse, "by_hash")
    assert (len(hashed), sum(hashed.values())) == (3, 10)
    assert len(partitions(warehouse, "a" * 63)) == len(partitions(warehouse, "ü" * 30)) == 3
    children = "select relname from pg_class inner join pg_inherits on oid = inhrelid"
    assert (
        ask(
            warehouse,
            f"{children} where relnamespace != 'partitions'::regnamespace"
            " and relname not like 'run!_results%' escape '!'",
        )
        == []
    )
    assert ask(warehouse, f"{children} where octet_length(relname) > 63") == []
    assert ask(
        warehouse,
        "select count(*) from pg_class where relnamespace = 'marts'::regnamespace"
        " and relkind in ('r', 'p')",
    ) == len(declared)
    never_analysed = "select relname from pg_class where reltuples < 0 and relkind in ('r', 'p')"
    assert ask(warehouse, f"{never_analysed} and relnamespace = 'marts'::regnamespace") == []


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_partitions_come_with_the_rows(database: Any, tmp_path: Path, strategy: str) -> None:
    """Rows of any period get their partition, with every incremental strategy."""
    project = write_project(tmp_path / "project", {})
    do(database, ROWS)
    write_model(
        project,
        "rows",
        "select * from public.given {% if is_incremental() %} where id >= 10 {% endif %}",
        materialized="incremental",
        unique_key=None if strategy == "append" else ["id", "at"],
        incremental_strategy=strategy,
        partition_by=BY_MONTH,
    )
    run(database, project)
    do(
        database,
        "insert into public.given (id, at) values"
        " (10, '1999-12-31 23:59:59.999999+00'), (11, 'infinity'), (12, '2026-03-31 23:00:00+00')",
    )
    # A manually inserted row of May is in the default partition.
    do(database, "insert into marts.rows (id, at) values (99, '2026-05-05')")
    do(database, "insert into public.given (id, at) values (13, '2026-05-31')")
    run(database, project)

    assert partitions(database, "rows") == {
        month("1999-12-01", "2000-01-01"): 1,
        JANUARY: 3,
        FEBRUARY: 7,
        MARCH: 1,
        month("2026-05-01", "2026-06-01"): 2,
        month("2026-06-01", "2026-07-01"): 0,
        "DEFAULT": 1,
    }
    with pytest.raises(dbt_project.DbtFailed, match=r"rows: \d rows are in the default partition"):
        run(database, project, options=("--warn-error",))


def test_the_parent_is_analysed_when_a_tenth_of_it_changed(warehouse: Any, project: Path) -> None:
    """Updates count too; a change of one partition of many does not, and nothing runs twice."""
    do(
        warehouse,
        "drop table public.given",
        "create table public.given as select number as id, 1 as part,"
        " '2024-01-15 00:00:00+00'::timestamptz + number % 26 * interval '1 month' as at"
        " from generate_series(1, 2600) as number",
    )
    when = (
        "select coalesce(last_analyze::text, 'never') from pg_stat_all_tables"
        " where relid = 'marts.rows'::regclass"
    )

    def build(condition: str = "false") -> str:
        write_model(
            project,
            "rows",
            "select * from public.given"
            f" {{% if is_incremental() %}} where {condition} {{% endif %}}",
            materialized="incremental",
            partition_by=BY_MONTH,
        )
        run(warehouse, project)
        return ask(warehouse, when)

    first = build()
    assert first != "never"
    assert build() == first, "nothing changed"

    # All rows of the newest month change, 4 % of the table: only its partition is analyzed.
    is_newest = "at >= '2026-02-01' and at < '2026-03-01'"
    do(warehouse, f"update marts.rows set part = 2 where {is_newest}")
    assert build() == first
    changed = ask(
        warehouse,
        "select count(*) from pg_stats where schemaname = 'partitions' and attname = 'part'"
        " and most_common_vals::text = '{2}'",
    )
    assert changed == 1

    # Four months change, more than a tenth: the parent's statistics would be outdated.
    do(warehouse, "update marts.rows set part = 3 where at < '2024-05-01'")
    second = build()
    assert second > first
    assert "3" in ask(
        warehouse,
        "select most_common_vals::text from pg_stats where schemaname = 'marts'"
        " and tablename = 'rows' and attname = 'part' and inherited",
    )
    assert build() == second, "nothing changed"

    # Another session analyzes the partitions, as autovacuum does.
    if ask(warehouse, "select current_setting('server_version_num')::int >= 180000"):
        do(warehouse, "update marts.rows set part = 4 where at < '2024-05-01' and id % 4 = 0")
        names = ask(
            warehouse,
            "select distinct tableoid::regclass::text from marts.rows where at < '2024-05-01'",
        )
        do(warehouse, *(f"analyze {name}" for (name,) in names))
        third = build()
        assert third > second
        assert build() == third


@pytest.mark.long
def test_what_waits_in_the_default_partition_moves_or_is_named(
    warehouse: Any, project: Path
) -> None:
    """Rows move without a row of their period in the batch.

    The default partition is dropped if it is empty and the model does not declare it.
    """

    def build(query: str = "select id, at from public.given where false", **change: Any) -> str:
        write_model(
            project,
            "rows",
            query,
            materialized="incremental",
            partition_by={**BY_MONTH, **change},
        )
        with warned() as said:
            run(warehouse, project, options=WARNINGS)
        return said[0]

    build("select id, at from public.given")
    do(
        warehouse,
        "insert into marts.rows (id, at) values"
        " (98, null), (99, 'infinity'), (100, '2026-05-05'), (101, '2025-05-05')",
        # A manually created partition that covers only the beginning of a month.
        "create table partitions.rows_by_hand partition of marts.rows"
        " for values from ('2027-01-01 00:00:00+00') to ('2027-01-02 00:00:00+00')",
        "insert into marts.rows (id, at) values (102, '2027-01-20')",
    )
    before = {
        JANUARY: 3,
        FEBRUARY: 7,
        MARCH: 0,
        month("2027-01-01", "2027-01-02"): 0,
    }
    assert partitions(warehouse, "rows") == {**before, "DEFAULT": 5}
    in_default = "3 rows are in the default partition partitions.rows_default_"
    partly = "(2 null or infinite, 1 in a period whose partition is missing or covers a part of it)"
    said = build()
    moved = {
        **before,
        month("2025-05-01", "2025-06-01"): 1,
        month("2026-05-01", "2026-06-01"): 1,
        month("2027-02-01", "2027-03-01"): 0,
    }
    assert partitions(warehouse, "rows") == {**moved, "DEFAULT": 3}
    assert f"rows: {in_default}" in said and partly in said

    said = build(default_partition=False)
    assert partitions(warehouse, "rows") == {**moved, "DEFAULT": 3}
    assert in_default in said and "The model sets default_partition: false; the next" in said

    do(warehouse, "delete from marts.rows where id in (98, 99, 102)")
    assert build(default_partition=False) == ""
    assert partitions(warehouse, "rows") == moved
    with pytest.raises(dbt_project.DbtFailed, match="no partition of relation"):
        build("select 103 as id, null::timestamptz as at", default_partition=False)
    assert build() == ""
    assert partitions(warehouse, "rows") == {**moved, "DEFAULT": 0}

    # The last row moves out of the default partition, and the partition is dropped.
    do(warehouse, "insert into marts.rows (id, at) values (104, '2026-08-08')")
    assert build(default_partition=False) == ""
    assert partitions(warehouse, "rows") == {
        **moved,
        month("2026-08-01", "2026-09-01"): 1,
        month("2026-09-01", "2026-10-01"): 0,
    }


def test_partitions_are_switched_on_changed_and_off(warehouse: Any, project: Path) -> None:
    """An existing table keeps its dependents and all rows, also those missing from the source."""
    incremental = {"materialized": "incremental", "indexes": [{"columns": ["id"]}]}
    query = "select * from public.given {% if is_incremental() %} where false {% endif %}"
    yml = {"description": "Rows.", "columns": [{"name": "id", "description": "Number."}]}
    write_model(project, "rows", query, yml, **incremental)
    run(warehouse, project)
    do(warehouse, "create view public.on_top as select id, at from marts.rows")
    do(warehouse, "insert into marts.rows (id, at) values (99, '2026-02-02')")
    do(warehouse, "drop table public.given")
    do(warehouse, ROWS)
    rows = ask(warehouse, "select * from public.on_top order by 1")
    assert len(rows) == 11

    shapes = []
    for partition_by in (
        BY_MONTH,
        BY_MONTH,
        {**BY_MONTH, "granularity": "year"},
        {"fields": ["id"], "method": "hash", "partitions": 2},
        {"fields": ["id"], "method": "hash", "partitions": 4},
        {"fields": ["part"], "method": "list"},
        None,
    ):
        extra = {} if partition_by is None else {"partition_by": partition_by}
        write_model(project, "rows", query, yml, **incremental, **extra)
        run(warehouse, project)
        assert ask(warehouse, "select * from public.on_top order by 1") == rows, partition_by
        assert ask(
            warehouse,
            "select obj_description('marts.rows'::regclass),"
            " col_description('marts.rows'::regclass, 1),"
            " count(*) from pg_index where indrelid = 'marts.rows'::regclass",
        ) == [("Rows.", "Number.", 1)]
        shapes.append(
            (
                len(partitions(warehouse, "rows")),
                ask(warehouse, "select 'marts.rows'::regclass::oid"),
            )
        )
    assert [number for number, _ in shapes] == [4, 4, 3, 2, 4, 4, 0]
    assert shapes[0] == shapes[1], "what fits already is left alone"
    leftovers = "select relname from pg_class where relname like '%\\_\\_dbt\\_%' and relkind = 'r'"
    assert ask(warehouse, leftovers) == []
    assert (
        ask(
            warehouse,
            "select count(*) from pg_class where relnamespace = 'partitions'::regnamespace",
        )
        == 0
    )


@pytest.mark.parametrize(
    "views",
    [pytest.param((), marks=pytest.mark.long), ("public.on_top",)],
    ids=["bare", "with_a_view"],
)
def test_a_table_that_is_switched_keeps_its_readers(
    warehouse: Any, project: Path, views: tuple[str, ...]
) -> None:
    """Authorized roles can read it all the time, also if the build's query is slow or fails."""
    yml = {"description": "Rows.", "columns": [{"name": "id", "description": "Number."}]}

    def write(batch: str, **config: Any) -> None:
        write_model(
            project,
            "rows",
            f"select * from public.given {{% if is_incremental() %}} where {batch} {{% endif %}}",
            yml,
            materialized="incremental",
            indexes=[{"columns": ["id"]}],
            grants={"select": ["pg_monitor"]},
            **config,
        )

    write("false")
    run(warehouse, project)
    do(
        warehouse,
        "grant usage on schema marts to pg_monitor",
        "grant update (kind) on marts.rows to pg_read_all_stats",
        *(f"create view {view} as select id, at from marts.rows" for view in views),
        *(f"grant select on {view} to pg_monitor" for view in views),
    )

    def told() -> Any:
        return ask(
            warehouse,
            "select array_agg(acl::text order by acl::text),"
            " has_column_privilege('pg_read_all_stats', 'marts.rows', 'kind', 'update'),"
            " obj_description('marts.rows'::regclass), col_description('marts.rows'::regclass, 1)"
            " from pg_class, unnest(relacl) as acl where oid = 'marts.rows'::regclass",
        )

    def read_by_monitor() -> Any:
        return polled(warehouse, "marts.rows", *views, role="pg_monitor", patience=IMPATIENCE)

    before = told()
    slowly = f"id = 9 and pg_sleep({LONGER_THAN_IMPATIENCE})::text = ''"
    for partition_by, rows in ((BY_MONTH, 11), ({**BY_MONTH, "granularity": "year"}, 12)):
        write(f"{slowly} and 1 / (id - 9) = 1", partition_by=partition_by)
        with read_by_monitor():
            with pytest.raises(dbt_project.DbtFailed, match="division by zero"):
                run(warehouse, project)
            in_between = (told(), sum(partitions(warehouse, "rows").values()))
            write(slowly, partition_by=partition_by)
            run(warehouse, project)
        assert in_between == (before, rows - 1)
        assert told() == before
        assert sum(partitions(warehouse, "rows").values()) == rows
    write(slowly)
    with read_by_monitor():
        run(warehouse, project)
    assert told() == before
    assert partitions(warehouse, "rows") == {}
    assert ask(warehouse, "select count(*) from marts.rows") == 13
    assert ask(warehouse, "select relname from pg_class where relname like '%\\_\\_dbt\\_%'") == []


def test_a_table_that_is_read_is_switched_in_short_attempts(warehouse: Any, project: Path) -> None:
    """The build waits for an open reader; later readers wait for one attempt at most."""
    query = "select * from public.given {% if is_incremental() %} where false {% endif %}"
    write_model(project, "rows", query, materialized="incremental")
    run(warehouse, project)
    identity = "select 'marts.rows'::regclass::oid"
    before = ask(warehouse, identity)
    write_model(project, "rows", query, materialized="incremental", partition_by=BY_MONTH)
    faults: list[BaseException] = []

    def build() -> None:
        try:
            run(warehouse, project)
        except BaseException as fault:
            faults.append(fault)

    with warehouse.connect() as reader:
        reader.execute("select count(*) from marts.rows")
        with pytest.raises(
            dbt_project.DbtFailed,
            match=r"the partitions of .*rows. could not be changed: locked by other sessions;"
            r" the next run will retry: .* lock timeout, tried 1 times"
            rf".*; held: .*rows by pid {reader.info.backend_pid} ",
        ):
            run(warehouse, project, variables={"replace_lock_attempts": 1})
        assert ask(warehouse, identity) == before

        thread = threading.Thread(target=build)
        thread.start()
        try:
            with polled(warehouse, "marts.rows", patience=IMPATIENCE):
                end = time.monotonic() + 60
                waits = "select count(*) from pg_locks where not granted and relation = "
                while not ask(warehouse, f"{waits} {before}") and thread.is_alive():
                    assert time.monotonic() < end, "the build never waited"
                    time.sleep(0.05)
                time.sleep(LONGER_THAN_IMPATIENCE)
                assert not faults, faults
                assert ask(warehouse, identity) == before
                reader.commit()
                thread.join()
        finally:
            reader.rollback()
            thread.join()
    assert not faults, faults
    assert partitions(warehouse, "rows") == {JANUARY: 3, FEBRUARY: 7, MARCH: 0, "DEFAULT": 0}


@pytest.mark.long
def test_the_constraints_of_a_contract_stay_when_partitions_change(
    warehouse: Any, project: Path
) -> None:
    """Primary key, unique constraint, foreign key and check, also partitioned by hash of id."""
    do(
        warehouse,
        "create table public.kinds as select distinct coalesce(kind, '') as kind from public.given",
        "alter table public.kinds add primary key (kind)",
    )

    def yml(*more: dict[str, Any]) -> dict[str, Any]:
        return {
            "config": {"contract": {"enforced": True}},
            "constraints": [
                {"type": "primary_key", "columns": ["id", "at"]},
                {"type": "unique", "columns": ["at", "id"]},
                {
                    "type": "foreign_key",
                    "columns": ["kind"],
                    "expression": "public.kinds (kind)",
                },
            ],
            "columns": [
                {
                    "name": "id",
                    "data_type": "int",
                    "constraints": [{"type": "check", "expression": "id >= 0"}],
                },
                {"name": "at", "data_type": "timestamptz"},
                {
                    "name": "kind",
                    "data_type": "text",
                    "constraints": [{"type": "not_null"}],
                },
                *more,
            ],
        }

    def write(columns: str = "", condition: str = "true", *more: Any, **config: Any) -> None:
        write_model(
            project,
            "rows",
            f"select id, at, coalesce(kind, '') as kind{columns} from public.given"
            f" where {condition}",
            yml(*more),
            materialized="incremental",
            on_schema_change="append_new_columns",
            **config,
        )

    constraints = (
        "select pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = 'marts.rows'::regclass and contype != 'n' order by 1"
    )
    write()
    run(warehouse, project)
    declared = ask(warehouse, constraints)
    assert [definition.split()[0] for (definition,) in declared] == [
        "CHECK",
        "FOREIGN",
        "PRIMARY",
        "UNIQUE",
    ]
    by_hash = {"fields": ["id"], "method": "hash", "partitions": 2}
    for partition_by in (BY_MONTH, by_hash, BY_MONTH, None):
        write("", "false", **({"partition_by": partition_by} if partition_by else {}))
        run(warehouse, project)
        assert ask(warehouse, constraints) == declared, partition_by
        assert ask(warehouse, "select count(*) from marts.rows") == 10
        for wrong, error in (
            ("id, at, kind from marts.rows limit 1", psycopg.errors.UniqueViolation),
            ("-1, at, kind from marts.rows limit 1", psycopg.errors.CheckViolation),
            ("99, at, 'none' from marts.rows limit 1", psycopg.errors.ForeignKeyViolation),
            ("99, at, null from marts.rows limit 1", psycopg.errors.NotNullViolation),
        ):
            with pytest.raises(error):
                do(warehouse, f"insert into marts.rows select {wrong}")

    # Columns change together with partition_by: the values of existing rows are undefined.
    part = {"name": "part", "data_type": "int"}
    write(", part", "true", part, partition_by=BY_MONTH)
    with pytest.raises(
        dbt_project.DbtFailed,
        match=r"rows: partition_by and the columns changed in the same build.*New columns: part;"
        " removed columns: none; changed types: none",
    ):
        run(warehouse, project)
    assert partitions(warehouse, "rows") == {}

    write("", "false", partition_by={"fields": ["kind"], "method": "list"})
    with pytest.raises(
        dbt_project.DbtFailed,
        match=r"rows: partition_by.fields is kind; it takes columns that the primary_key"
        r" \(id, at\) of the contract holds",
    ):
        run(warehouse, project)


def test_a_full_refresh_swaps_under_the_eyes_of_a_reader(warehouse: Any, project: Path) -> None:
    """With a contract, grants, comments and `--empty`."""
    columns = [
        {"name": "id", "data_type": "int", "constraints": [{"type": "not_null"}]},
        {"name": "at", "data_type": "timestamptz"},
    ]
    yml = {
        "description": "Rows.",
        "config": {"contract": {"enforced": True}},
        "columns": [{**column, "description": "What it is."} for column in columns],
    }
    do(warehouse, "create role analysts")
    write_model(project, "given", "select id::int as id, at from public.given", materialized="view")
    write_model(
        project,
        "rows",
        "select id, at from {{ ref('given') }}",
        yml,
        materialized="incremental",
        partition_by=BY_MONTH,
        on_schema_change="fail",
        unique_key=["id", "at"],
        indexes=[{"columns": ["id", "at"], "unique": True}],
        grants={"select": ["analysts"]},
    )
    run(warehouse, project)
    before = partitions(warehouse, "rows")
    seen, done, wrong = set(), threading.Event(), []

    def read() -> None:
        with warehouse.connect() as session:
            session.autocommit = True
            while not done.is_set():
                try:
                    seen.add(session.execute("select count(*) from marts.rows").fetchone()[0])
                except psycopg.Error as error:
                    wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        do(warehouse, "insert into public.given (id, at) values (10, '2026-02-20')")
        run(warehouse, project, full_refresh=True)
        run(warehouse, project)
    finally:
        done.set()
        reader.join()
    assert wrong == []
    assert seen == {10, 11}

    assert partitions(warehouse, "rows") == {**before, FEBRUARY: 8}
    assert (
        ask(
            warehouse,
            "select count(*) from pg_class where relnamespace = 'partitions'::regnamespace"
            " and relkind = 'r'",
        )
        == 4
    )
    assert ask(warehouse, "select has_table_privilege('analysts', 'marts.rows', 'select')")
    assert ask(
        warehouse,
        "select attnotnull, col_description(attrelid, attnum) from pg_attribute"
        " where attrelid = 'marts.rows'::regclass and attname = 'id'",
    ) == [(True, "What it is.")]
    with pytest.raises(psycopg.errors.UniqueViolation):
        do(warehouse, "insert into marts.rows select id, at from marts.rows limit 1")

    run(warehouse, project, options=("--empty",))
    assert sum(partitions(warehouse, "rows").values()) == 11
    run(warehouse, project, full_refresh=True, options=("--empty",))
    assert partitions(warehouse, "rows") == {"DEFAULT": 0}


def test_a_new_column_reaches_the_partitions(warehouse: Any, project: Path) -> None:
    config = {
        "materialized": "incremental",
        "partition_by": BY_MONTH,
        "on_schema_change": "append_new_columns",
    }
    query = (
        "select id, at {} from public.given {{% if is_incremental() %}} where id = 9 {{% endif %}}"
    )
    write_model(project, "rows", query.format(""), **config)
    run(warehouse, project)
    write_model(project, "rows", query.format(", part"), **config)
    run(warehouse, project)

    assert ask(warehouse, "select part, count(*) from marts.rows group by 1 order by 1") == [
        (0, 1),
        (None, 10),
    ]


def test_partitions_of_another_time_zone_are_those_of_utc(warehouse: Any, project: Path) -> None:
    do(warehouse, f"alter database {warehouse.name} set timezone = 'Pacific/Kiritimati'")
    warehouse.environment["WAREHOUSE_SESSION_OPTIONS"] = "-c lock_timeout=10s"
    write_model(
        project,
        "rows",
        "select * from public.given",
        materialized="incremental",
        partition_by=BY_MONTH,
    )
    run(warehouse, project)
    run(warehouse, project)
    do(warehouse, f"alter database {warehouse.name} set timezone = 'UTC'")

    assert partitions(warehouse, "rows") == {JANUARY: 6, FEBRUARY: 14, MARCH: 0, "DEFAULT": 0}


def partitions_written(server: Any, since: int) -> set[str]:
    """Return the partitions in the logged plans of statements that wrote fct_user_events."""
    log = server.log.read_text(errors="replace")[since:]
    plans = re.split(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", log, flags=re.MULTILINE)
    writes = [plan for plan in plans if re.search(r"(Delete|Insert) on .*fct_user_events", plan)]
    assert writes
    return set(re.findall(r"fct_user_events_(\w+?)_\d+ ", " ".join(writes)))


def test_the_daily_write_touches_the_partitions_of_its_batch(built: Any, server: Any) -> None:
    """Other partitions are only in the plans that look up existing rows."""
    with built.connect() as session:
        session.autocommit = True
        try:
            session.execute("load 'auto_explain'")
        except psycopg.errors.UndefinedFile:
            pytest.skip("this PostgreSQL comes without auto_explain")
        for name, value in {
            "session_preload_libraries": "auto_explain",
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_verbose": "on",
        }.items():
            session.execute(f"alter database {built.name} set {name} = '{value}'")
        # The sample has two or three months, depending on the day.
        session.execute(
            "insert into raw.events (event_id, event_type, event_timestamp, _loaded_at)"
            " select 'early ' || number, 'page_view', now() - interval '4 months',"
            " clock_timestamp() from generate_series(1, 21) as number"
        )
    dbt_project.run(built, "run", "fct_user_events")
    with built.connect() as session:
        months = session.execute(
            "select distinct date_trunc('month', event_timestamp at time zone 'UTC')::date"
            " from marts.fct_user_events group by 1 having count(*) > 20 order by 1"
        ).fetchall()
        first, last = (month.strftime("%Y_%m") for (month,) in (months[0], months[-1]))
        assert len(months) > 2
        again = (
            "update raw.events set page_url = '/again', _loaded_at = clock_timestamp() where"
            " event_id in (select event_id from marts.fct_user_events where"
            " event_timestamp >= %s order by event_timestamp, event_id limit 20)"
        )
        session.execute(again, [months[-1][0]])
    since = len(server.log.read_text(errors="replace"))
    dbt_project.run(built, "run", "fct_user_events")
    assert partitions_written(server, since) == {last}

    with built.connect() as session:
        # The same events are loaded again, with a time in the first month.
        session.execute(
            "update raw.events set event_timestamp = %s, _loaded_at = clock_timestamp()"
            " where page_url = '/again'",
            [f"{months[0][0]} 23:00:00+00"],
        )
        before = session.execute("select count(*) from marts.fct_user_events").fetchone()
    since = len(server.log.read_text(errors="replace"))
    dbt_project.run(built, "run", "fct_user_events")
    # The plan contains the old partition; PostgreSQL routes the new rows outside the plan.
    assert partitions_written(server, since) == {last}
    with built.connect() as session:
        ((stored_in,),) = session.execute(
            "select distinct tableoid::regclass::text from marts.fct_user_events"
            " where page_url = '/again'"
        ).fetchall()
        assert f"fct_user_events_{first}_" in stored_in
        assert session.execute("select count(*) from marts.fct_user_events").fetchone() == before
        assert session.execute(
            "select count(*), count(distinct event_id) from marts.fct_user_events"
            " where page_url = '/again'"
        ).fetchone() == (20, 20)


def test_a_mart_is_switched_and_goes_on_with_what_is_new(built: Any) -> None:
    """It keeps its contract, the view on it, and its incremental progress."""
    stored = "select md5(array_agg(e::text order by event_id)::text) from marts.fct_user_events e"
    before = ask(built, stored)
    months = partitions(built, "fct_user_events")
    by_quarter = {
        "fields": ["event_timestamp"],
        "method": "range",
        "granularity": "quarter",
        "default_partition": True,
    }
    do(
        built,
        "create view public.on_top as select * from marts.fct_user_events",
        "update raw.events set page_url = '/again', _loaded_at = clock_timestamp() where event_id"
        " in (select event_id from marts.fct_user_events order by event_id limit 3)",
    )
    dbt_project.configure(built, "fct_user_events", partition_by=by_quarter)
    with polled(built, "marts.fct_user_events", "public.on_top"):
        dbt_project.run(built, "run", "fct_user_events")

    quarters = partitions(built, "fct_user_events")
    assert 1 < len(quarters) < len(months)
    assert sum(quarters.values()) == sum(months.values())
    changed = "select count(*) from public.on_top where page_url = '/again'"
    assert ask(built, changed) == 3 and ask(built, stored) != before
    assert ask(
        built,
        "select changed_keys is null from observability.key_changes"
        " where model_name = 'fct_user_events' order by written_by desc limit 1",
    ) in (False, [])


BY_KIND = {"fields": ["kind"], "method": "list"}
# The configuration of each model, and the error message of the build after the model's name.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a_text": (
        {"partition_by": "at", "indexes": [{"columns": ["id"], "unique": True}]},
        "partition_by is at; it takes a dictionary with the keys fields, method",
    ),
    "unknown_key": (
        {"partition_by": {"field": "at"}},
        "partition_by is the key 'field'; it takes fields, method",
    ),
    "no_field": (
        {"partition_by": {"fields": []}},
        "partition_by.fields is []; it takes a list of columns",
    ),
    "two_fields": (
        {"partition_by": {"fields": ["at", "id"]}},
        "partition_by.fields is ['at', 'id']; it takes a list of columns: one for range and list",
    ),
    "unknown_column": (
        {"partition_by": {"fields": ["since"]}},
        "partition_by.fields is since; it takes a column of the",
    ),
    "no_time": (
        {"partition_by": {"fields": ["kind"]}},
        "partition_by.fields is kind, of type text; it takes for range a",
    ),
    "unknown_method": (
        {"partition_by": {"fields": ["at"], "method": "span"}},
        "partition_by.method is span; it takes range",
    ),
    "unknown_granularity": (
        {"partition_by": {"fields": ["at"], "granularity": "hour"}},
        "partition_by.granularity is hour; it takes day, week, month, quarter, year",
    ),
    "granularity_of_a_list": (
        {"partition_by": {"fields": ["kind"], "method": "list", "granularity": "day"}},
        "partition_by.granularity is day; it takes nothing for list and hash",
    ),
    "granularity_of_a_hash": (
        {
            "partition_by": {
                "fields": ["id"],
                "method": "hash",
                "partitions": 2,
                "granularity": "month",
            }
        },
        "partition_by.granularity is month; it takes nothing for list and hash",
    ),
    "no_boolean": (
        {"partition_by": {"fields": ["at"], "default_partition": "yes"}},
        "partition_by.default_partition is yes; it takes True, False",
    ),
    "no_number": (
        {"partition_by": {"fields": ["id"], "method": "hash"}},
        "partition_by.partitions is None; it takes for hash their number, 1 or more",
    ),
    "a_number": (
        {"partition_by": {"fields": ["at"], "partitions": 3}},
        "partition_by.partitions is 3; it takes for",
    ),
    "default_of_hash": (
        {
            "partition_by": {
                **{"fields": ["id"], "method": "hash", "partitions": 3},
                "default_partition": True,
            }
        },
        "partition_by.default_partition is True; it takes false for hash",
    ),
    **{
        f"a_{materialized}": (
            {"partition_by": {"fields": ["at"]}, "materialized": materialized},
            f"partition_by is {{'fields': ['at']}} and materialized is {materialized}; it takes"
            " the materializations table and incremental.",
        )
        for materialized in ("view", "materialized_view")
    },
    "retain_weeks": (
        {"retain": {"weeks": 3}},
        "retain is {'weeks': 3}; it takes one of days, months, years with",
    ),
    "retain_two": (
        {"retain": {"days": 3, "months": 1}},
        "retain is {'days': 3, 'months': 1}; it takes one of",
    ),
    "retain_number": ({"retain": 24}, "retain is 24; it takes one of"),
    "retain_zero": ({"retain": {"months": 0}}, "retain.months is 0; it takes"),
    "retain_boolean": ({"retain": {"months": True}}, "retain.months is True; it takes"),
    "retain_text": ({"retain": {"months": "two"}}, "retain.months is two; it takes"),
    "retain_of_list": (
        {"retain": {"months": 1}, "partition_by": BY_KIND},
        "retain needs partition_by with the method range, because whole partitions are dropped",
    ),
}


def test_a_mistake_is_named(shared: tuple) -> None:
    """Each model fails with its own error and creates nothing."""
    database, project = shared
    for name, (config, _) in MISTAKES.items():
        write_model(
            project,
            name,
            "select * from public.given",
            **{"materialized": "incremental", "partition_by": BY_MONTH, **config},
        )
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(database, project)

    _, *parts = re.split(r"^  model\.small\.(\w+) \[error\]", str(failed.value), flags=re.MULTILINE)
    said = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sorted(said) == sorted(MISTAKES)
    for name, (_, message) in MISTAKES.items():
        assert f" {name}: {message}" in said[name]
    relations = (
        "select relname from pg_class inner join pg_namespace on relnamespace = pg_namespace.oid"
        " where nspname in ('marts', 'partitions')"
    )
    assert ask(database, relations) == []


def test_retain_without_its_condition_is_warned_of(database: Any, project: Path) -> None:
    do(database, ROWS)
    config = {"materialized": "table", "partition_by": BY_MONTH, "retain": {"months": 1}}
    for query, warning in (
        ("select * from public.given -- is_retained", "Add is_retained('at') to its condition"),
        ("select * from public.given where {{ is_retained('at') }}", ""),
    ):
        write_model(project, "rows", query, **config)
        with warned() as said:
            run(database, project, options=WARNINGS)
        assert warning in said[0] if warning else said == [""]


def test_the_bounds_of_all_partitions_can_be_queried(warehouse: Any, project: Path) -> None:
    declared = {
        "by_month": BY_MONTH,
        "by_day": {"fields": ["day"], "granularity": "year"},
        "by_part": {"fields": ["part"], "method": "list", "default_partition": True},
        "by_hash": {"fields": ["id"], "method": "hash", "partitions": 1},
    }
    for name, partition_by in declared.items():
        write_model(
            project,
            name,
            "select * from public.given where part = 0",
            materialized="table",
            partition_by=partition_by,
        )
    run(warehouse, project)
    do(
        warehouse,
        "create table public.by_name (name text, n int) partition by range (name, n)",
        "create table public.a_to_m partition of public.by_name"
        " for values from ('a', 1) to ('m', 2)",
        "create table public.before partition of marts.by_month"
        " for values from (minvalue) to ('2020-01-01 00:00:00+00')",
        "create table public.after partition of marts.by_day"
        " for values from ('2100-01-01') to (maxvalue)",
    )
    assert ask(
        warehouse,
        "select parent::text, method, lower_bound, upper_bound, is_default"
        " from observability.partition_bounds where parent::text not like 'observability.%'"
        " order by 1, 5, 3, partition::text",
    ) == [
        ("by_name", "range", None, None, False),
        ("marts.by_day", "range", "2026-01-01", "2027-01-01", False),
        ("marts.by_day", "range", "2027-01-01", "2028-01-01", False),
        ("marts.by_day", "range", "2100-01-01", "infinity", False),
        ("marts.by_hash", "hash", None, None, False),
        ("marts.by_month", "range", "-infinity", "2020-01-01 00:00:00+00", False),
        ("marts.by_month", "range", "2026-01-01 00:00:00+00", "2026-02-01 00:00:00+00", False),
        ("marts.by_month", "range", "2026-02-01 00:00:00+00", "2026-03-01 00:00:00+00", False),
        ("marts.by_month", "range", "2026-03-01 00:00:00+00", "2026-04-01 00:00:00+00", False),
        ("marts.by_month", "range", None, None, True),
        ("marts.by_part", "list", None, None, False),
        ("marts.by_part", "list", None, None, True),
    ]


def test_the_view_of_bounds_is_replaced_only_if_it_changed(database: Any, project: Path) -> None:
    """Sessions that read it do not delay the start of a run."""
    write_model(project, "rows", "select 1 as id", materialized="view")
    run(database, project)
    view = "observability.partition_bounds"
    do(database, f"alter database {database.name} set lock_timeout = '500ms'")
    database.environment["WAREHOUSE_SESSION_OPTIONS"] = "-c timezone=UTC"
    with database.connect() as reader:
        reader.execute(f"select * from {view}")
        run(database, project)
        comment = f"select obj_description('{view}'::regclass)"
        said = ask(database, comment)
        assert said.startswith("The partitions of all tables of this database: parent, ")
    do(
        database,
        f"drop view {view}",
        f"create view {view} as select null::regclass as parent",
        f"comment on view {view} is 'of an earlier version'",
    )
    run(database, project)
    assert ask(database, comment) == said
    bounds = f"select lower_bound from {view} where parent::text = 'observability.run_results'"
    assert len(ask(database, bounds)) == 3


def test_the_number_of_attempts_is_checked(database: Any, project: Path) -> None:
    """The check precedes any change: with zero attempts no lock would be taken."""
    do(database, ROWS)
    write_model(
        project,
        "rows",
        "select * from public.given",
        materialized="incremental",
        partition_by=BY_MONTH,
    )
    run(database, project)
    do(database, "update public.given set at = at + interval '1 year'")
    with pytest.raises(
        dbt_project.DbtFailed, match="replace_lock_attempts is '0'; it takes a whol"
    ):
        run(database, project, variables={"replace_lock_attempts": 0})


@pytest.fixture(scope="module")
def shared(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A database and a project for many mistakes, none of which creates a table."""
    with new_database(server) as database:
        do(database, ROWS)
        yield database, write_project(tmp_path_factory.mktemp("shared") / "project", {})


# --- Unusual names and values, manual changes ---------------------------------------------------

QUOTED = """{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    unique_key='number',
    on_schema_change='fail',
    partition_by={'fields': ['Moment'], 'granularity': 'month', 'default_partition': true},
    sql_header="set local app.header = 'read';",
    pre_hook="create temporary table changed_keys as select 1 as number",
) }}
select
    1 as number,
    "at" as "Moment",
    current_setting('app.header') as "order"
from public.given
where id = {{ '9' if load_relation(this) else '0' }}
"""
BY_VALUE = """{{{{ config(
    materialized='incremental',
    on_schema_change='fail',
    partition_by={{'fields': ['{0}'], 'method': 'list'}},
) }}}}
select * from public.kinds {{% if is_incremental() %}} where batch = 2 {{% endif %}}
"""
BY_HAND = """{{ config(
    materialized='incremental',
    partition_by={'fields': ['at'], 'default_partition': true},
) }}
select id, part, at from public.given {% if is_incremental() %} where false {% endif %}
"""
IN_CAPITALS = """{{ config(
    materialized='incremental',
    on_schema_change='fail',
    partition_by={'fields': ['eventat'], 'default_partition': true},
) }}
select id as EventId, at as EventAt from public.given
{% if is_incremental() %} where false {% endif %}
"""
KEPT_WITHOUT_ZONE = """{{ config(
    materialized='table',
    partition_by={'fields': ['moment'], 'default_partition': true},
    retain={'months': 1},
) }}
select id, moment from public.given where {{ is_retained('moment') }}
"""
KEPT = """{{ config(
    materialized='table',
    partition_by={'fields': ['at'], 'default_partition': true},
    retain={'months': 1},
) }}
select id, at from public.given where {{ is_retained('at') }}
"""
FLAT = """{{ config(materialized='incremental', partition_by=none) }}
select id from public.given
"""
CONTRACTS = {
    "quoted": {
        "constraints": [{"type": "unique", "columns": ["number", '"Moment"']}],
        "columns": [
            {"name": "number", "data_type": "int"},
            {"name": "Moment", "data_type": "timestamptz", "quote": True},
            {"name": "order", "data_type": "text", "quote": True},
        ],
    },
    "in_capitals": {
        "constraints": [{"type": "unique", "columns": ["EventId", "EventAt"]}],
        "columns": [
            {"name": "EventId", "data_type": "int"},
            {"name": "EventAt", "data_type": "timestamptz"},
        ],
    },
    "by_char": {
        "columns": [
            {"name": "batch", "data_type": "int"},
            {"name": "words", "data_type": "text"},
            {"name": "number", "data_type": "numeric"},
            {"name": "padded", "data_type": "char(3)"},
        ],
    },
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose models are each built in their own test."""
    models = [
        {"name": name, "config": {"contract": {"enforced": True}}, **contract}
        for name, contract in CONTRACTS.items()
    ]
    return write_project(
        tmp_path_factory.mktemp("shapes") / "project",
        {
            "quoted": QUOTED,
            "by_text": BY_VALUE.format("words"),
            "by_number": BY_VALUE.format("number"),
            "by_char": BY_VALUE.format("padded"),
            "by_hand": BY_HAND,
            "flat": FLAT,
            "kept": KEPT,
            "kept_without_zone": KEPT_WITHOUT_ZONE,
            "in_capitals": IN_CAPITALS,
            "contracts.yml": yaml.safe_dump({"version": 2, "models": models}),
        },
    )


def partition_of(database: Any, table: str, bounds: str) -> str:
    """Return the name of the partition with these bounds."""
    return ask(
        database,
        "select inhrelid::regclass::text from pg_inherits inner join pg_class on inhrelid = oid"
        f" where inhparent = 'marts.{table}'::regclass"
        f" and pg_get_expr(relpartbound, oid) = $${bounds}$$",
    )


def test_names_in_quotes_and_a_header_do(database: Any, shapes: Path) -> None:
    """Mixed case and a reserved word; the sql_header runs before the query reads its setting."""
    do(database, ROWS)
    for _ in range(2):
        run(database, shapes, "quoted")
    assert ask(database, 'select number, "order", "Moment"::date::text from marts.quoted') == [
        (1, "read", "2026-02-04")
    ]
    written = {JANUARY: 0, FEBRUARY: 1, MARCH: 0}
    assert partitions(database, "quoted") == {**written, "DEFAULT": 0}

    # Rows in the default partition are moved and counted with such names too.
    do(database, "insert into marts.quoted values (2, '2026-07-07', ''), (3, null, '')")
    with warned() as said:
        run(database, shapes, "quoted", options=WARNINGS)
    assert partitions(database, "quoted") == {
        **written,
        month("2026-07-01", "2026-08-01"): 1,
        month("2026-08-01", "2026-09-01"): 0,
        "DEFAULT": 1,
    }
    assert "quoted: 1 rows are in the default partition" in said[0]


def test_a_value_that_is_there_gets_no_second_partition(database: Any, shapes: Path) -> None:
    """Values are compared by their type's equality, not by their text."""
    do(
        database,
        "create table public.kinds (batch int, words text, number numeric, padded char(3))",
        r"insert into public.kinds values"
        r" (1, e'a\\b', 1.5, 'a'), (1, 'E', 1.50, 'a '), (2, e'a\\b', 1.500, 'a  '),"
        r" (2, 'it''s, (x)', 2, null), (2, null, null, 'it''')",
    )
    for _ in range(3):
        run(database, shapes, "by_text", "by_number", "by_char")
    assert partitions(database, "by_text") == {
        r"FOR VALUES IN ('a\b')": 4,
        "FOR VALUES IN ('E')": 1,
        "FOR VALUES IN ('it''s, (x)')": 3,
        "FOR VALUES IN (NULL)": 3,
    }
    for table in ("by_number", "by_char"):
        assert sorted(partitions(database, table).values()) == [3, 3, 5], table


def test_partitions_made_by_hand_are_built_around(database: Any, shapes: Path) -> None:
    """Manual partitions do not break the build.

    A default partition with another column order, one for the end of a month, and so many for
    whole years that most partitions span a year.
    """
    do(database, ROWS)
    run(database, shapes, "by_hand")
    before = partitions(database, "by_hand")
    default = partition_of(database, "by_hand", "DEFAULT")
    do(
        database,
        f"drop table {default}",
        "create table partitions.other_order (at timestamptz, part int, id int)",
        "alter table marts.by_hand attach partition partitions.other_order default",
        "create table partitions.end_of_may partition of marts.by_hand"
        " for values from ('2026-05-20 00:00:00+00') to ('2026-06-01 00:00:00+00')",
        "create table partitions.old partition of marts.by_hand"
        " for values from (minvalue) to ('2010-01-01 00:00:00+00')",
        *(
            f"create table partitions.of_{year} partition of marts.by_hand"
            f" for values from ('{year}-01-01 00:00:00+00') to ('{year + 1}-01-01 00:00:00+00')"
            for year in range(2010, 2020)
        ),
        "insert into marts.by_hand (id, part, at) values (97, 7, null), (98, 8, '2026-05-02'),"
        " (99, 9, '2026-05-25'), (100, 10, '2026-07-07')",
    )
    for _ in range(2):
        run(database, shapes, "by_hand")
        assert partitions(database, "by_hand") == {
            **before,
            "FOR VALUES FROM (MINVALUE) TO ('2010-01-01 00:00:00+00')": 0,
            **{month(f"{year}-01-01", f"{year + 1}-01-01"): 0 for year in range(2010, 2020)},
            month("2026-05-01", "2026-05-20"): 1,
            month("2026-05-20", "2026-06-01"): 1,
            month("2026-07-01", "2026-08-01"): 1,
            month("2026-08-01", "2026-09-01"): 0,
            "DEFAULT": 1,
        }
    assert ask(database, "select id, part from marts.by_hand where id > 90 order by 1") == [
        (97, 7),
        (98, 8),
        (99, 9),
        (100, 10),
    ]


def test_a_table_that_has_the_name_of_a_partition_is_named(database: Any, shapes: Path) -> None:
    """A partition was detached manually, and a late row of its month arrives."""
    do(database, ROWS)
    run(database, shapes, "by_hand")
    name = partition_of(database, "by_hand", JANUARY)
    do(
        database,
        f"alter table marts.by_hand detach partition {name}",
        "insert into marts.by_hand (id, at) values (99, '2026-01-15')",
    )
    with pytest.raises(
        dbt_project.DbtFailed, match=r"not a partition of .* `warehouse retain --apply`"
    ):
        run(database, shapes, "by_hand")
    do(database, f"alter table {name} rename to kept")
    run(database, shapes, "by_hand")
    assert partitions(database, "by_hand")[JANUARY] == 1


def test_a_view_of_a_partition_that_goes_is_named(database: Any, shapes: Path) -> None:
    do(database, ROWS)
    run(database, shapes, "by_hand")
    name = partition_of(database, "by_hand", JANUARY)
    do(database, f"create view marts.of_january as select * from {name}")
    with warned() as said:
        run(database, shapes, "by_hand", full_refresh=True, options=WARNINGS)
    assert (
        "was replaced. Dropped, because they do not fit" in said[0]
        and "view marts.of_january" in said[0]
    ), said


def test_names_in_capitals_are_those_of_the_catalog(database: Any, shapes: Path) -> None:
    """A contract may use any case; PostgreSQL folds unquoted names to lower case."""
    do(database, ROWS)
    for _ in range(2):
        run(database, shapes, "in_capitals")
    assert {JANUARY, FEBRUARY, "DEFAULT"} < partitions(database, "in_capitals").keys()


def test_partition_by_may_be_null(database: Any, shapes: Path) -> None:
    """With null a model opts out in a folder whose models are partitioned."""
    do(database, ROWS)
    for _ in range(2):
        run(database, shapes, "flat")
    assert ask(database, "select count(*) from marts.flat") == 20


def test_what_no_partition_took_away_is_retained(database: Any, shapes: Path) -> None:
    """Rows without a finite time are in the default partition, which never expires."""
    do(
        database,
        ROWS,
        "insert into public.given (id, at)"
        " values (90, null), (91, '-infinity'), (92, 'infinity'), (93, '2025-12-31')",
        "create schema observability",
        "create table observability.expired_partitions as select model_name,"
        " '2026-01-01 00:00:00+00'::timestamptz as lower_bound,"
        " '2026-02-01 00:00:00+00'::timestamptz as upper_bound"
        " from unnest(array['kept', 'kept_without_zone']) as model_name",
    )
    kept = "select array_agg(id order by id) from marts.kept"
    run(database, shapes, "kept")
    # Nor do rows of a time that none took away.
    assert ask(database, kept) == [*range(3, 10), 90, 91, 92, 93]

    # Times without a zone are in UTC, whatever the session's time zone.
    for zone in ("America/New_York", "Europe/Berlin"):
        do(database, f"alter database {database.name} set timezone = '{zone}'")
        database.environment["WAREHOUSE_SESSION_OPTIONS"] = "-c lock_timeout=10s"
        run(database, shapes, "kept_without_zone")
        assert ask(database, "select min(moment)::text from marts.kept_without_zone") == (
            "2026-02-01 00:00:00"
        )
    do(database, f"alter database {database.name} set timezone = 'UTC'")

    # Unless a manually created partition from -infinity has expired.
    do(database, "update observability.expired_partitions set lower_bound = '-infinity'")
    run(database, shapes, "kept")
    assert ask(database, kept) == [*range(3, 10), 90, 92]
