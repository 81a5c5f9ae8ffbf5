"""Manual and automatic VACUUM and ANALYZE while builds replace tables."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import ask, do
from tests.support.relations import leftovers
from tests.support.small_project import WARNINGS, polled, run, warned, write_project

# A timeout below deadlock_timeout, as by default, and few attempts.
PATIENCE = {"replace_lock_timeout": "800ms", "replace_lock_attempts": 2}
KINDS = {
    "table": "config(materialized='table', indexes=[{'columns': ['n'], 'unique': true}])",
    "incremental": "config(materialized='incremental', indexes=[{'columns': ['n']}])",
    "materialized_view": "config(materialized='materialized_view',"
    " indexes=[{'columns': ['n'], 'unique': true}])",
    "partitions": "config(materialized='incremental', partition_by={'fields': ['day']})",
    "top": "config(materialized='materialized_view', indexes=[{'columns': ['n'], 'unique': true}])",
}
QUERY = "select n, date '2026-01-01' + n / 1000 as day, repeat('x', 500) as filler from raw.n"
DELAYED = (
    "(autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,"
    " autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0,"
    " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
)


@pytest.fixture(
    params=["database", pytest.param("database_16", marks=pytest.mark.long)], ids=["18", "16"]
)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """A database with some numbers, on PostgreSQL 18 and 16."""
    found = request.getfixturevalue(request.param)
    do(found, "create schema raw", "create table raw.n as select n from generate_series(1, 5000) n")
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one model of each kind. No test changes it."""
    models = {kind: f"{{{{ {config} }}}}\n{QUERY}" for kind, config in KINDS.items()}
    models["top"] = models["top"].replace("raw.n", "{{ ref('incremental') }}")
    return write_project(tmp_path_factory.mktemp("maintenance") / "project", models)


@contextmanager
def autovacuum_at(database: Any, relation: str) -> Iterator[None]:
    """Keep autovacuum busy with a relation, for minutes unless it is cancelled."""
    busy = (
        "select count(*) from pg_stat_progress_vacuum inner join pg_stat_activity using (pid)"
        " where backend_type = 'autovacuum worker' and pg_stat_progress_vacuum.datname ="
        f" current_database() and relid = '{relation}'::regclass"
    )
    with database.connect() as session:
        session.autocommit = True
        session.execute("alter system set autovacuum_naptime = '1s'")
        session.execute("select pg_reload_conf()")
        try:
            deadline = time.monotonic() + 60
            while not ask(database, busy):
                assert time.monotonic() < deadline, f"no autovacuum of {relation} in a minute"
                time.sleep(0.05)
            yield
        finally:
            session.execute("alter system reset autovacuum_naptime")
            session.execute("select pg_reload_conf()")


@pytest.mark.parametrize(
    ("model", "busy_at", "options"),
    [
        ("materialized_view", "materialized_view", {}),
        ("materialized_view", "materialized_view", {"full_refresh": True}),
        ("table", "table", {}),
        ("incremental", "incremental", {"full_refresh": True}),
        ("incremental", "top", {"full_refresh": True}),
    ],
)
def test_autovacuum_gives_way_to_what_takes_its_place(
    warehouse: Any, project: Path, model: str, busy_at: str, options: dict[str, bool]
) -> None:
    """PostgreSQL cancels autovacuum after deadlock_timeout, here longer than a reader waits."""
    run(warehouse, project)
    kind = "materialized view" if busy_at in ("materialized_view", "top") else "table"
    do(
        warehouse,
        f"alter database {warehouse.name} set deadlock_timeout = '3s'",
        f"alter {kind} marts.{busy_at} set {DELAYED}",
        f"create view marts.of_it as select n from marts.{busy_at}",
        "update raw.n set n = -n where n < 1000",
    )
    if kind == "table":
        do(warehouse, f"update marts.{busy_at} set n = n where n < 1000")
    else:
        do(warehouse, "update marts.incremental set n = -n where n < 1000")
        do(warehouse, f"refresh materialized view concurrently marts.{busy_at}")
    with autovacuum_at(warehouse, f"marts.{busy_at}"), polled(warehouse, "marts.of_it"):
        run(warehouse, project, model, variables=PATIENCE, **options)
    assert ask(warehouse, "select min(n) from marts.of_it") == -999
    assert leftovers(warehouse) == []


def test_autovacuum_of_a_month_gives_way_to_a_new_one(warehouse: Any, project: Path) -> None:
    run(warehouse, project, "partitions")
    month = ask(warehouse, "select tableoid::regclass::text from marts.partitions limit 1")
    do(
        warehouse,
        f"alter table {month} set {DELAYED}",
        f"update {month} set n = n where n < 1000",
        "update raw.n set n = n + 100000",
    )
    with autovacuum_at(warehouse, month), polled(warehouse, "marts.partitions"):
        run(warehouse, project, "partitions", variables=PATIENCE)
    assert ask(warehouse, "select count(distinct tableoid) from marts.partitions") == 2


@pytest.mark.parametrize("model", ["table", "incremental", "materialized_view"])
def test_analyze_and_a_build_do_not_wait_for_each_other(
    warehouse: Any, project: Path, model: str
) -> None:
    """An ANALYZE that began before the build does not deadlock with it.

    It updates the catalog entry of an index whose name the build needs, while the build needs the
    table that the ANALYZE has locked.
    """
    run(warehouse, project, model)
    do(
        warehouse,
        # Returns 1.5 seconds after a build has started to wait for the table.
        "create function raw.slow(n int) returns int language plpgsql immutable as $$ begin"
        " if n = 1 and current_setting('application_name') = 'slow' then"
        " for attempt in 1 .. 400 loop"
        " exit when exists (select from pg_locks where not granted"
        f" and relation = 'marts.{model}'::regclass);"
        " if attempt = 400 then raise 'no build waits for the table'; end if;"
        " perform pg_sleep(0.1);"
        " end loop;"
        " perform pg_sleep(1.5); end if; return n; end $$",
        f"create index of_hand on marts.{model} (raw.slow(n))",
    )

    def analyze() -> None:
        with warehouse.connect() as session:
            session.autocommit = True
            session.execute("set application_name = 'slow'")
            session.execute(f"analyze marts.{model}")

    with ThreadPoolExecutor() as pool:
        analyzed = pool.submit(analyze)
        wait_until(warehouse, f"marts.{model}", unless=analyzed)
        run(warehouse, project, model, full_refresh=True, variables=PATIENCE)
        analyzed.result()
    assert ask(warehouse, f"select count(*) from marts.{model}") == 5000


def wait_until(database: Any, relation: str, unless: Future) -> None:
    """Wait until a session locks maintenance out of a relation, or `unless` is done."""
    while not unless.done() and not ask(
        database,
        "select count(*) from pg_locks where mode = 'ShareUpdateExclusiveLock' and granted"
        f" and relation = '{relation}'::regclass",
    ):
        time.sleep(0.01)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A project of two independent tables."""
    models = {
        name: "{{ config(materialized='table') }} select n from raw.n where n < 10"
        for name in ("left_one", "right_one")
    }
    return write_project(tmp_path / "pair", models)


def check_pair(database: Any, *relations: str) -> None:
    """Check that relations on both tables read their current rows, and that no backup is left."""
    do(
        database,
        "delete from marts.left_one where n = 1",
        "delete from marts.right_one where n = 2",
        *(f"refresh materialized view {name}" for name in relations if "stored" in name),
    )
    for relation in relations:
        assert ask(database, f"select array_agg(n order by n) from {relation}") == [*range(3, 10)]
    assert leftovers(database) == []


def test_two_tables_below_one_materialized_view_are_replaced_at_once(
    warehouse: Any, pair: Path
) -> None:
    """Replacing either table recreates the materialized view; the second one finds a new view."""
    run(warehouse, pair)
    do(
        warehouse,
        "create materialized view marts.stored as select n, pg_sleep(0.2)::text as slept"
        " from marts.left_one inner join marts.right_one using (n)",
        "create materialized view marts.stored_above as select n from marts.stored",
    )
    with polled(warehouse, "marts.stored", "marts.stored_above"):
        run(warehouse, pair)
    check_pair(warehouse, "marts.stored", "marts.stored_above")


@pytest.mark.long
def test_a_table_and_a_materialized_view_on_it_are_made_anew_by_two_builds(
    warehouse: Any, tmp_path: Path
) -> None:
    """Two concurrent builds of dependent models do not deadlock.

    The first build locks the materialized view, and the second has to wait for it. Meanwhile the
    second must not lock the backup, which the first has to drop.
    """
    project = write_project(
        tmp_path / "above",
        {
            "below": "{{ config(materialized='table') }} select n from raw.n where n < 10",
            "between": "{{ config(materialized='view') }} select n from {{ ref('below') }}",
            "above": "{{ config(materialized='materialized_view', indexes=[{'columns': ['n'],"
            " 'unique': true}], contract={'enforced': true}) }}"
            " select n, pg_sleep(0.5)::text as slept from {{ ref('below') }}"
            " inner join {{ ref('between') }} using (n)",
            "models.yml": "models: [{name: above, columns: [{name: n, data_type: integer},"
            " {name: slept, data_type: text}]}]",
        },
    )
    run(warehouse, project)

    command = [
        *(sys.executable, "-m", "dbt.cli.main", "run", "--select", "below"),
        *("--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "target")),
    ]
    with polled(warehouse, "marts.above"), ThreadPoolExecutor() as pool:
        first = pool.submit(
            subprocess.run,
            command,
            cwd=project,
            env={**os.environ, **warehouse.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        wait_until(warehouse, "marts.above", unless=first)
        run(warehouse, project, "above", full_refresh=True, variables=PATIENCE)
        assert "WARN=0 ERROR=0" in first.result().stdout, first.result()
    assert ask(warehouse, "select count(*) from marts.above") == 9
    assert leftovers(warehouse) == []


def test_what_another_one_owns_is_met_as_it_is(warehouse: Any, project: Path) -> None:
    """Only its owner may lock maintenance out of a materialized view."""
    owner, builder, analyst = (
        warehouse.environment["PGUSER"],
        f"{warehouse.name}_builder",
        f"{warehouse.name}_analyst",
    )
    do(
        warehouse,
        f"create role {builder} login",
        f"create role {analyst}",
        f"grant create on database {warehouse.name} to {builder}",
        f"grant usage on schema raw to {builder}",
        f"grant select on raw.n to {builder}",
    )
    try:
        warehouse.environment["PGUSER"] = builder
        run(warehouse, project, "table")
        warehouse.environment["PGUSER"] = owner
        do(
            warehouse,
            f"grant usage, create on schema marts to {analyst}",
            f'grant select on marts."table" to {analyst}',
            f"set role {analyst}",
            'create materialized view marts.of_analyst as select n from marts."table"',
        )
        warehouse.environment["PGUSER"] = builder
        with warned() as warnings:
            run(warehouse, project, "table", options=WARNINGS)
        assert "Dropped, because they do not fit the new version" in warnings[0]
        assert "materialized view marts.of_analyst" in warnings[0]
        warehouse.environment["PGUSER"] = owner
        assert leftovers(warehouse) == []
    finally:
        warehouse.environment["PGUSER"] = owner
        for role in (builder, analyst):
            do(warehouse, f"drop owned by {role} cascade", f"drop role {role}")
