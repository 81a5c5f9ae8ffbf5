"""Replaced tables keep the views on them and stay readable."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do
from tests.support.relations import leftovers
from tests.support.small_project import (
    IMPATIENCE,
    LONGER_THAN_IMPATIENCE,
    WARNINGS,
    polled,
    run,
    warned,
    write_project,
)

NO_TESTS = dbt_project.NO_TESTS
LONG = "a_name_so_long_that_dbt_has_to_cut_it_before_it_adds_its_suffix"
NUMBERS = """{{ config(materialized=var('kind'), alias=var('alias')) }}
select n, n * 2 as twice {{ var('sql_more') }} from generate_series(1, 50) as n
"""
VARIABLES = {"kind": "table", "alias": "numbers", "sql_more": ""}
PATIENCE = {"replace_lock_timeout": "100ms", "replace_lock_attempts": 2}


@pytest.fixture(
    params=["database", pytest.param("database_16", marks=pytest.mark.long)], ids=["18", "16"]
)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """An empty database, on PostgreSQL 18 and 16."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one table, `marts.numbers`. No test changes it."""
    folder = tmp_path_factory.mktemp("replaced") / "project"
    return write_project(folder, {"numbers": NUMBERS}, VARIABLES)


def look(database: Any, *views: str) -> list[Any]:
    """Return the properties of views: oid, query, options, grants, owner, comments."""
    return [
        ask(
            database,
            "select oid::int, pg_get_viewdef(oid), reloptions::text, relacl::text, relowner,"
            " (select string_agg(objsubid || description, ',' order by objsubid)"
            " from pg_description where objoid = pg_class.oid)"
            f" from pg_class where oid = '{view}'::regclass",
        )
        for view in views
    ]


@pytest.mark.parametrize("alias", ["numbers", LONG, "Ünlike $others", "marts"])
def test_views_read_the_new_table_and_stay_what_they_are(
    warehouse: Any, project: Path, alias: str
) -> None:
    assert len(LONG) == 63
    if alias == LONG:
        do(warehouse, f"alter database {warehouse.name} set standard_conforming_strings = off")
    variables = {"alias": alias}
    run(warehouse, project, variables=variables)
    table = f'marts."{alias}"'
    do(
        warehouse,
        "create schema else_where",
        f"create view else_where.plain as select * from {table}",
        f"create view else_where.barred with (security_barrier, security_invoker) as"
        f" select o.n, (select max(twice) from {table} as i where i.n < o.n) from {table} as o",
        "comment on view else_where.barred is 'kept'",
        "comment on column else_where.barred.n is 'kept too'",
        "grant select on else_where.barred to pg_read_all_stats",
        "alter view else_where.barred owner to pg_monitor",
        # The same table twice, and aliases that would capture a reference to the new table.
        f'create view else_where.twice as select "{alias}".n from {table}'
        f' inner join {table} as other on other.n = "{alias}".twice',
        f"create view else_where.taken as select x.n from {table} as x"
        f' cross join (select 7 as seven) as "{alias}" where "{alias}".seven = 7',
        f"create view else_where.captured as select {table}.n from {table}"
        f' where exists (select from (select 4 as four) as "{alias}" where "{alias}".four = twice)',
        "create view else_where.on_top as select * from else_where.plain",
        f'create view else_where.one_column as select n as "{alias}" from {table}',
        f"create view else_where.other_case as select {table}.twice from {table}"
        f' where exists (select from (select 4 as n) as x where x.n = "{alias}".n)',
        # The table's name in a CTE and in a string, and the table as a type.
        f'create view else_where.as_text as with "{alias}" as (select 1 as one)'
        f" select $$ from {table} where \\ {table}.n = 1$$ as query, (whole::{table}).n"
        f' from {table} as whole, "{alias}"',
    )
    views = ask(
        warehouse,
        "select array_agg(format('else_where.%I', viewname)) from pg_views"
        " where schemaname = 'else_where'",
    )
    assert len(views) == 9
    before = look(warehouse, *views)
    rows = [
        ask(warehouse, f"select count(*), sum(hashtext(v::text)) from {view} v") for view in views
    ]

    for more in ("", ", 0 as zero"):
        with polled(warehouse, table, *views):
            run(warehouse, project, variables={**variables, "sql_more": more})
        assert look(warehouse, *views) == before
        assert rows == [
            ask(warehouse, f"select count(*), sum(hashtext(v::text)) from {view} v")
            for view in views
        ]
        read = ask(
            warehouse,
            "select bool_and(refobjid = to_regclass($$" + table + "$$)) from pg_depend"
            " inner join pg_rewrite on objid = pg_rewrite.oid"
            " where ev_class = 'else_where.barred'::regclass and refclassid = 'pg_class'::regclass"
            " and deptype = 'n' and refobjid != ev_class",
        )
        assert read is True
    assert leftovers(warehouse) == []


def test_what_does_not_fit_is_dropped_and_named(warehouse: Any, project: Path) -> None:
    run(warehouse, project, variables={"sql_more": ", 'x' as gone, n as other_type"})
    do(
        warehouse,
        "create view marts.of_gone as select gone from marts.numbers",
        "create materialized view marts.stored_gone as select gone from marts.numbers",
        "create view marts.above as select * from marts.stored_gone",
        "create view marts.of_type as select other_type from marts.numbers",
        "create view marts.kept as select n from marts.numbers",
    )
    with polled(warehouse, "marts.kept"), warned() as warnings:
        run(
            warehouse,
            project,
            variables={"sql_more": ", n::text as other_type"},
            options=WARNINGS,
        )
    said = warnings[0]
    for name in ("of_gone", "stored_gone", "above", "of_type"):
        assert f"marts.{name}" in said, said
        assert ask(warehouse, f"select to_regclass('marts.{name}')") is None
    assert "column numbers.gone does not exist" in said or 'column "gone" does not exist' in said
    assert "marts.kept" not in said
    assert leftovers(warehouse) == []


@pytest.mark.parametrize("kinds", [("table", "view"), ("view", "table")])
def test_a_view_becomes_a_table_and_a_table_a_view(
    warehouse: Any, project: Path, kinds: tuple[str, str]
) -> None:
    before, after = kinds
    run(warehouse, project, variables={"kind": before})
    do(
        warehouse,
        "create view marts.on_top as select * from marts.numbers",
        f"comment on {before} marts.numbers is 'counted'",
    )
    seen = look(warehouse, "marts.on_top")
    with polled(warehouse, "marts.numbers", "marts.on_top"):
        run(warehouse, project, variables={"kind": after})
    assert look(warehouse, "marts.on_top") == seen
    assert ask(warehouse, "select obj_description('marts.numbers'::regclass)") == "counted"
    assert leftovers(warehouse) == []


def test_a_view_that_is_locked_is_left_for_the_next_run(warehouse: Any, project: Path) -> None:
    variables = {"kind": "incremental"}
    run(warehouse, project, variables=variables)
    do(
        warehouse,
        "create view marts.on_top as select * from marts.numbers",
        "create materialized view marts.stored as select n from marts.on_top",
        "create materialized view marts.stored_too as select n from marts.numbers",
        "create materialized view marts.stored_above as select n from marts.stored_too",
        "create unique index by_number on marts.stored_above (n)",
    )
    seen = look(warehouse, "marts.on_top")
    with warehouse.connect() as other:
        other.execute("set application_name = 'a dashboard'")
        other.execute("comment on view marts.on_top is null")
        with warned() as warnings:
            run(
                warehouse,
                project,
                full_refresh=True,
                variables={**variables, **PATIENCE},
                options=WARNINGS,
            )
        said = warnings[0]
        holder = f"marts.on_top by pid {other.info.backend_pid} (a dashboard)"
        assert holder in said, said
        assert "lock timeout, tried 2 times for 100ms; held: " in said
        assert 'still read its old version "' in said
        assert "The next run of this model will retry." in said
        assert leftovers(warehouse) == "numbers__dbt_backup"
        assert look(warehouse, "marts.on_top")[0] != seen[0], "it reads the backup"

        # A run that needs the name of the backup fails with that message and changes nothing.
        with pytest.raises(dbt_project.DbtFailed) as error:
            run(warehouse, project, full_refresh=True, variables={**variables, **PATIENCE})
        assert holder in str(error.value)
        assert ask(warehouse, "select count(*) from marts.on_top") == 50

    do(warehouse, "update marts.numbers set n = -n")
    stored = ("marts.stored", "marts.stored_too", "marts.stored_above")
    with polled(warehouse, "marts.numbers", "marts.on_top", *stored):
        run(warehouse, project, variables=variables)
    assert look(warehouse, "marts.on_top") == seen
    assert ask(warehouse, "select min(n) from marts.on_top") == -50
    assert ask(warehouse, "select min(n) from marts.stored_above") == -50
    assert ask(warehouse, "select to_regclass('marts.by_number') is not null")
    assert leftovers(warehouse) == []


def test_a_view_that_another_build_drops_is_no_error(warehouse: Any, project: Path) -> None:
    """Two upstreams of one view lose a column at the same time, and both builds drop the view."""
    run(warehouse, project, variables={"sql_more": ", 1 as gone"})
    do(warehouse, "create view marts.on_top as select gone from marts.numbers")
    with warehouse.connect() as other, ThreadPoolExecutor() as threads:
        other.execute("drop view marts.on_top")
        build = threads.submit(run, warehouse, project, variables={"replace_lock_timeout": "5s"})
        waits = "select count(*) from pg_locks where not granted and locktype = 'relation'"
        end = time.monotonic() + 60
        while not ask(warehouse, waits) and not build.done():
            assert time.monotonic() < end, "the build never waited"
            time.sleep(0.05)
        other.commit()
        build.result()
    assert leftovers(warehouse) == []


def test_the_locks_of_a_leftover_end_before_the_model_is_built(
    warehouse: Any, tmp_path: Path
) -> None:
    """Stock dbt drops the backup of a killed run in the model's transaction, which takes long."""
    text = (
        "{{ config(materialized='incremental') }}"
        f" select 1 as n, pg_sleep({LONGER_THAN_IMPATIENCE})::text as slept"
        "{% if not is_incremental() %} where false{% endif %}"
    )
    project = write_project(tmp_path / "slow", {"numbers": text})
    run(warehouse, project)
    do(
        warehouse,
        "create view marts.on_top as select n from marts.numbers",
        "insert into marts.numbers values (0, '')",
        "alter table marts.numbers rename to numbers__dbt_backup",
        "create table marts.numbers as select * from marts.numbers__dbt_backup",
    )
    with polled(warehouse, "marts.on_top", "marts.numbers", patience=IMPATIENCE) as reads:
        run(warehouse, project)
    assert reads[0] > 100
    assert ask(warehouse, "select count(*) from marts.on_top") == 2
    assert leftovers(warehouse) == []


def test_relations_of_several_schemas_may_have_indexes_of_one_name(
    database: Any, project: Path
) -> None:
    """They are all aside for a moment, while the query of a view on both is read."""
    variables = {"kind": "materialized_view"}
    run(database, project, variables=variables)
    do(
        database,
        "create index shared on marts.numbers (n)",
        "create schema else_where",
        "create materialized view else_where.stored as select n from marts.numbers",
        "create index shared on else_where.stored (n)",
        "create view else_where.both as select n from else_where.stored"
        " inner join marts.numbers using (n)",
    )
    run(database, project, variables={**variables, "sql_more": ", 0 as zero"})
    assert ask(database, "select count(*) from else_where.both") == 50
    assert ask(database, "select count(*) from pg_class where relname = 'shared'") == 2


@pytest.mark.long
def test_everything_is_built_anew_before_the_eyes_of_readers(built: Any) -> None:
    do(
        built,
        "create schema analysts",
        "create view analysts.orders as select * from marts.fct_orders where is_revenue",
        "create view analysts.events as select event_type_key, count(*) as events"
        " from marts.fct_user_events group by 1",
        "create materialized view analysts.spenders as select user_id, total_spent"
        " from marts.user_analytics where total_spent > 0",
        "create unique index on analysts.spenders (user_id)",
    )
    views = ask(
        built,
        "select array_agg(format('%I.%I', nspname, relname)::text order by 1) from pg_class"
        " inner join pg_namespace on relnamespace = pg_namespace.oid"
        " where nspname in ('staging', 'quarantine', 'reporting', 'analysts') and relkind = 'v'",
    )
    assert len(views) > 12
    stored = ("marts.daily_revenue", "marts.monthly_category_revenue", "analysts.spenders")
    before = look(built, *views)
    held = {
        name: ask(built, f"select array_agg(v::text order by v::text) from {name} v")
        for name in stored
    }
    empty = [view for view in views if not ask(built, f"select count(*) from {view}")]

    with polled(built, *views, *stored, may_be_empty=empty):
        dbt_project.build(built, full_refresh=True, options=NO_TESTS)

    assert look(built, *views) == before
    assert held == {
        name: ask(built, f"select array_agg(v::text order by v::text) from {name} v")
        for name in stored
    }
    assert leftovers(built) == []


def test_no_view_of_the_project_stands_on_a_seed(built: Any) -> None:
    """`dbt seed --full-refresh` drops a seed with everything that depends on it."""
    seeds = [path.stem for path in (dbt_project.ROOT / "seeds").glob("*.csv")]
    assert len(seeds) == 6
    for seed in seeds:
        assert ask(built, f"select 'staging.{seed}'::regclass is not null")
        standing = ask(
            built,
            "select ev_class::regclass::text from pg_depend inner join pg_rewrite"
            f" on objid = pg_rewrite.oid where refobjid = 'staging.{seed}'::regclass",
        )
        assert standing == []
