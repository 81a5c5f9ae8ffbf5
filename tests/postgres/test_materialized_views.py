"""Materialized views follow their models; readers always find them and never wait for them."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do
from tests.support.relations import leftovers
from tests.support.small_project import (
    IMPATIENCE,
    LONGER_THAN_IMPATIENCE,
    polled,
    run,
    write_project,
)

CONFIGURATION = """{{ config(
    materialized='materialized_view',
    indexes=[{'columns': ['half'], 'unique': true}, {'columns': ['total']}],
    grants={'select': ['pg_monitor']},
    persist_docs={'relation': true, 'columns': true},
    contract={'enforced': true},
) }}
"""
QUERY = "select {{ var('sql_half') }} as half, sum(n) as total from raw.n group by 1 -- each"
TOTALS = CONFIGURATION + QUERY
DESCRIPTION = """
models:
  - name: totals
    description: Sums of the numbers.
    columns:
      - {name: half, data_type: integer, description: Half of them.}
      - {name: total, data_type: bigint, description: Their sum.}
"""
PATIENCE = {"replace_lock_timeout": "100ms", "replace_lock_attempts": 2}


@pytest.fixture(
    params=["database", pytest.param("database_16", marks=pytest.mark.long)], ids=["18", "16"]
)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """A database with some numbers, on PostgreSQL 18 and 16."""
    found = request.getfixturevalue(request.param)
    do(
        found,
        "create schema raw",
        "create table raw.n as select n from generate_series(1, 100) as n",
    )
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one materialized view, `marts.totals`. No test changes it."""
    models = {"totals": TOTALS, "models.yml": DESCRIPTION}
    folder = tmp_path_factory.mktemp("materialized") / "project"
    return write_project(folder, models, {"sql_half": "n % 2"})


def oid_of(database: Any, relation: str = "marts.totals") -> int:
    """Return the oid of a relation."""
    return ask(database, f"select '{relation}'::regclass::oid::int")


def trappings(database: Any, relation: str = "marts.totals") -> list[tuple]:
    """Return the indexes, comments and grants of a relation."""
    return ask(
        database,
        "select 'index', replace(pg_get_indexdef(indexrelid), '\"', '')"
        " || obj_description(indexrelid, 'pg_class') from pg_index"
        f" where indrelid = '{relation}'::regclass"
        " union all select 'comment ' || objsubid, description from pg_description"
        f" where objoid = '{relation}'::regclass"
        " union all select 'grant', privilege_type || ' to ' || grantee::regrole from pg_class,"
        f" aclexplode(relacl) where pg_class.oid = '{relation}'::regclass"
        " and privilege_type = 'SELECT' and grantee != relowner order by 1, 2",
    )


def test_it_is_made_once_and_then_refreshed_beside_its_readers(
    warehouse: Any, project: Path
) -> None:
    assert run(warehouse, project)["totals"].startswith("SELECT 2")
    oid, around = oid_of(warehouse), trappings(warehouse)
    assert [kind for kind, _ in around] == [
        *("comment 0", "comment 1", "comment 2", "grant", "index", "index")
    ]
    assert ("grant", "SELECT to pg_monitor") in around
    versions = ask(warehouse, "select array_agg(ctid || ' ' || xmin) from marts.totals")

    with warehouse.connect() as analyst, polled(warehouse, "marts.totals"):
        analyst.execute("select * from marts.totals").fetchall()
        said = run(warehouse, project, variables=PATIENCE)
    assert said["totals"] == "REFRESH CONCURRENTLY"
    assert ask(warehouse, "select array_agg(ctid || ' ' || xmin) from marts.totals") == versions

    do(warehouse, "insert into raw.n values (1000)", "revoke all on marts.totals from pg_monitor")
    do(warehouse, "grant select on marts.totals to pg_read_all_stats")
    run(warehouse, project)
    assert ask(warehouse, "select half, total from marts.totals order by 1") == [
        *((0, 3550), (1, 2500))
    ]
    assert (oid_of(warehouse), trappings(warehouse)) == (oid, around)


def test_readers_do_not_wait_while_it_is_computed(warehouse: Any, tmp_path: Path) -> None:
    """The query sleeps for each of two rows; a reader that had to wait for it would fail."""
    sleep = f"pg_sleep({LONGER_THAN_IMPATIENCE / 2})"
    slow = TOTALS.replace("sum(n)", f"sum(n) + coalesce(length(max({sleep}::text)), 0)")
    slow = slow.replace("from raw.n", "from (select * from raw.n limit 2) as raw_n")
    project = write_project(
        tmp_path / "slow", {"totals": slow, "models.yml": DESCRIPTION}, {"sql_half": "n % 2"}
    )
    run(warehouse, project)
    for options in ({}, {"full_refresh": True}):
        with polled(warehouse, "marts.totals", patience=IMPATIENCE) as reads:
            run(warehouse, project, **options)
        assert reads[0] > 50


def test_another_query_takes_its_place_below_what_reads_it(warehouse: Any, project: Path) -> None:
    run(warehouse, project)
    do(
        warehouse,
        'create schema "An analyst"',
        'create view "An analyst"."On top" with (security_barrier) as'
        " select half, sum(total) as totals from marts.totals group by 1",
        'create materialized view "An analyst".stored with (fillfactor = 70) as'
        ' select totals.half, "On top".totals from marts.totals'
        ' inner join "An analyst"."On top" using (half)',
        'create unique index "By half" on "An analyst".stored (half)',
        'comment on materialized view "An analyst".stored is $$An analyst\'s$$',
        'comment on column "An analyst".stored.half is $$Half$$',
        'grant select on "An analyst".stored to pg_monitor',
        'create view "An analyst".above as select * from "An analyst".stored',
        "grant select on marts.totals to pg_read_all_stats",
    )
    views = ('"An analyst"."On top"', '"An analyst".above')
    around = trappings(warehouse, '"An analyst".stored')
    own = trappings(warehouse)
    before = [oid_of(warehouse, view) for view in views]
    query = ask(warehouse, "select pg_get_viewdef('\"An analyst\".stored'::regclass)")

    for variables in ({"sql_half": "n % 3"}, {"sql_half": "n % 4"}):
        oid = oid_of(warehouse)
        with polled(warehouse, "marts.totals", *views, '"An analyst".stored'):
            assert run(warehouse, project, variables=variables)["totals"].startswith("SELECT")
        assert oid_of(warehouse) != oid
    assert ask(warehouse, "select count(*) from marts.totals") == 4
    assert ask(warehouse, 'select count(*) from "An analyst".above') == 4
    assert [oid_of(warehouse, view) for view in views] == before
    assert trappings(warehouse, '"An analyst".stored') == around
    assert [line for line in own if "all_stats" not in line[1]] == trappings(warehouse)
    assert ask(warehouse, "select pg_get_viewdef('\"An analyst\".stored'::regclass)") == query
    assert ask(
        warehouse,
        "select array_agg(coalesce(reloptions::text, '') order by relname) from pg_class"
        " where relname in ('On top', 'stored')",
    ) == ["{security_barrier=true}", "{fillfactor=70}"]
    assert leftovers(warehouse) == []


def test_a_query_that_fails_leaves_the_old_one(warehouse: Any, project: Path) -> None:
    run(warehouse, project)
    before = oid_of(warehouse), trappings(warehouse)
    with polled(warehouse, "marts.totals"):
        for half, says in (("n / (n - 1)", "division by zero"), ("n::text", "data type")):
            with pytest.raises(dbt_project.DbtFailed, match=says):
                run(warehouse, project, variables={"sql_half": half})
    assert (oid_of(warehouse), trappings(warehouse)) == before
    assert leftovers(warehouse) == []


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_table_or_a_view_of_its_name_is_replaced(
    warehouse: Any, project: Path, kind: str
) -> None:
    do(
        warehouse,
        "create schema marts",
        f"create {kind} marts.totals as select 1 as half, 2::bigint as total",
        "create view marts.on_top as select * from marts.totals",
    )
    with polled(warehouse, "marts.totals", "marts.on_top"):
        assert run(warehouse, project)["totals"] == "SELECT 2"
    assert ask(warehouse, "select count(*) from marts.on_top") == 2
    assert run(warehouse, project)["totals"] == "REFRESH CONCURRENTLY"


def test_without_rows_or_without_its_unique_index_it_heals(warehouse: Any, project: Path) -> None:
    run(warehouse, project)
    oid, around = oid_of(warehouse), trappings(warehouse)
    do(warehouse, "refresh materialized view marts.totals with no data")
    run(warehouse, project)
    assert (oid_of(warehouse), ask(warehouse, "select count(*) from marts.totals")) == (oid, 2)

    for index in (
        "",
        "create unique index odd on marts.totals (half) where half > 0",
        "create unique index odd on marts.totals ((half + 1))",
    ):
        do(warehouse, "drop index marts.totals_half_key", index or "select 1")
        with polled(warehouse, "marts.totals"):
            run(warehouse, project)
        # A manually created index is carried over.
        assert not index or ask(warehouse, "select to_regclass('marts.odd') is not null")
        do(warehouse, "drop index if exists marts.odd")
        assert trappings(warehouse) == around
    assert run(warehouse, project)["totals"] == "REFRESH CONCURRENTLY"


def test_empty_inputs_leave_it_alone(warehouse: Any, project: Path) -> None:
    run(warehouse, project)
    before = oid_of(warehouse)
    assert run(warehouse, project, options=("--empty",))["totals"] == "UNCHANGED"
    assert oid_of(warehouse) == before
    with pytest.raises(dbt_project.DbtFailed, match='column "m" does not exist'):
        run(warehouse, project, options=("--empty",), variables={"sql_half": "m"})


def test_a_lock_that_is_not_to_be_had_is_said_with_its_holder(
    warehouse: Any, project: Path
) -> None:
    run(warehouse, project)
    before = oid_of(warehouse)
    with warehouse.connect() as other:
        other.execute("set application_name = 'a nightly job'")
        pid = other.info.backend_pid
        other.execute("refresh materialized view concurrently marts.totals")
        impatient = {**PATIENCE, "index_lock_timeout": "2s"}
        with polled(warehouse, "marts.totals"):
            for options in ({}, {"full_refresh": True}):
                with pytest.raises(dbt_project.DbtFailed) as error:
                    run(warehouse, project, variables=impatient, **options)
                said = str(error.value)
                assert re.search(r"could not be (refreshed|rebuilt).*lock timeout; held: ", said)
                assert f"marts.totals by pid {pid} (a nightly job)" in said
        assert oid_of(warehouse) == before
        assert leftovers(warehouse) == []

        ending = threading.Timer(2, other.rollback)
        ending.start()
        assert run(warehouse, project)["totals"] == "REFRESH CONCURRENTLY"
        ending.join()


def test_a_reader_who_does_not_end_is_named(warehouse: Any, project: Path) -> None:
    run(warehouse, project)
    before = oid_of(warehouse)
    with warehouse.connect() as analyst:
        analyst.execute("set application_name = 'a dashboard'")
        pid = analyst.info.backend_pid
        analyst.execute("select * from marts.totals").fetchall()
        with pytest.raises(dbt_project.DbtFailed) as error:
            run(warehouse, project, full_refresh=True, variables=PATIENCE)
    said = str(error.value)
    assert '"marts"."totals" could not be replaced; nothing was changed: ' in said
    assert "lock timeout, tried 2 times for 100ms; held: " in said
    assert f"marts.totals by pid {pid} (a dashboard)" in said
    assert (oid_of(warehouse), leftovers(warehouse)) == (before, [])


def test_a_view_of_a_reader_is_waited_for_without_locking_others_out(
    warehouse: Any, project: Path
) -> None:
    """A waiting lock request blocks later ones, so each attempt is short; readers run between."""
    run(warehouse, project)
    do(warehouse, "create view marts.on_top as select * from marts.totals")
    with warehouse.connect() as analyst:
        analyst.execute("select * from marts.on_top").fetchall()
        ending = threading.Timer(4, analyst.rollback)
        ending.start()
        with polled(warehouse, "marts.totals", "marts.on_top"):
            run(
                warehouse,
                project,
                full_refresh=True,
                variables={"replace_lock_timeout": "200ms", "replace_lock_attempts": 90},
            )
        ending.join()
    assert leftovers(warehouse) == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"replace_lock_attempts": 0}, "replace_lock_attempts is '0'; it takes a whole number"),
        ({"replace_lock_timeout": "soon"}, "replace_lock_timeout is 'soon'; it takes a time"),
    ],
)
def test_a_setting_that_is_none_is_refused(
    database: Any, tmp_path: Path, variables: dict[str, Any], says: str
) -> None:
    text = "{{ config(materialized='materialized_view') }} select 1 as one"
    project = write_project(tmp_path / "project", {"one": text})
    run(database, project)
    with pytest.raises(dbt_project.DbtFailed, match=says):
        run(database, project, variables=variables)


def test_it_always_applies_what_the_model_says(database: Any, tmp_path: Path) -> None:
    text = (
        "{{ config(materialized='materialized_view', on_configuration_change='continue') }}"
        " select 1 as one"
    )
    project = write_project(tmp_path / "project", {"one": text})
    with pytest.raises(dbt_project.DbtFailed, match="on_configuration_change is 'continue'"):
        run(database, project)
