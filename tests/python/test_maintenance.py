"""VACUUM and ANALYZE, by hand and by PostgreSQL itself, meet builds that replace tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_project import ask, do, polled, run, write_project

pytestmark = pytest.mark.dbt

# Shorter than deadlock_timeout, as by default, and few.
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


@pytest.fixture(params=["database", "database_16"], ids=["18", "16"])
def warehouse(request: pytest.FixtureRequest) -> Any:
    """A database with some numbers, of PostgreSQL 18 and of 16."""
    found = request.getfixturevalue(request.param)
    do(found, "create schema raw", "create table raw.n as select n from generate_series(1, 5000) n")
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model of each kind, which no test changes."""
    models = {kind: f"{{{{ {config} }}}}\n{QUERY}" for kind, config in KINDS.items()}
    models["top"] = models["top"].replace("raw.n", "{{ ref('table') }}")
    return write_project(tmp_path_factory.mktemp("maintenance") / "project", models)


@contextmanager
def autovacuum_at(database: Any, relation: str) -> Iterator[None]:
    """PostgreSQL's own VACUUM is busy with a relation, for minutes if nobody stops it."""
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
    ("model", "options"),
    [
        ("materialized_view", {}),
        ("materialized_view", {"full_refresh": True}),
        ("table", {}),
        ("incremental", {"full_refresh": True}),
    ],
)
def test_autovacuum_gives_way_to_what_takes_its_place(
    warehouse: Any, project: Path, model: str, options: dict[str, bool]
) -> None:
    run(warehouse, project, model)
    kind = "materialized view" if model == "materialized_view" else "table"
    do(
        warehouse,
        f"alter {kind} marts.{model} set {DELAYED}",
        f"create view marts.of_{model} as select n from marts.{model}",
        "update raw.n set n = -n where n < 1000",
    )
    if kind == "table":
        do(warehouse, f"update marts.{model} set n = n where n < 1000")
    else:
        do(warehouse, "refresh materialized view concurrently marts.materialized_view")
    with autovacuum_at(warehouse, f"marts.{model}"), polled(warehouse, f"marts.of_{model}"):
        run(warehouse, project, model, variables=PATIENCE, **options)
    assert ask(warehouse, f"select min(n) from marts.of_{model}") == -999
    assert ask(warehouse, "select relname from pg_class where relname ~ '__(dbt|new)_'") == []


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
    """An ANALYZE that began before the build changes the catalog's entry of an index whose name the
    build needs, while the build needs the table that the ANALYZE holds."""
    run(warehouse, project, model)
    do(
        warehouse,
        # Slow only for who calls himself so: the build makes this index as well.
        "create function raw.slow(n int) returns int language plpgsql immutable as $$ begin"
        " if current_setting('application_name') = 'slow' and n <= 30 then perform pg_sleep(0.1);"
        " end if; return n; end $$",
        f"create index of_hand on marts.{model} (raw.slow(n))",
    )
    begun = threading.Event()

    def analyze() -> None:
        with warehouse.connect() as session:
            session.autocommit = True
            session.execute("set application_name = 'slow'")
            begun.set()
            session.execute(f"analyze marts.{model}")

    with ThreadPoolExecutor() as pool:
        analyzed = pool.submit(analyze)
        begun.wait()
        while not analyzed.done() and not ask(
            warehouse,
            "select count(*) from pg_locks where mode = 'ShareUpdateExclusiveLock' and granted"
            f" and relation = 'marts.{model}'::regclass",
        ):
            time.sleep(0.01)
        run(warehouse, project, model, full_refresh=True, variables=PATIENCE)
        analyzed.result()
    assert ask(warehouse, f"select count(*) from marts.{model}") == 5000


def test_two_tables_below_one_materialized_view_are_replaced_at_once(
    warehouse: Any, tmp_path: Path
) -> None:
    """Each needs the materialized view to read it; whoever comes second finds another one."""
    project = write_project(
        tmp_path / "both",
        {
            name: "{{ config(materialized='table') }} select n from raw.n where n < 10"
            for name in ("left_one", "right_one")
        },
    )
    run(warehouse, project)
    do(
        warehouse,
        "create materialized view marts.both_of_them as select n, pg_sleep(0.2)::text as slept"
        " from marts.left_one inner join marts.right_one using (n)",
        "create materialized view marts.above as select n from marts.both_of_them",
    )
    with polled(warehouse, "marts.both_of_them", "marts.above"):
        run(warehouse, project)
    do(
        warehouse,
        "delete from marts.left_one where n = 1",
        "delete from marts.right_one where n = 2",
        "refresh materialized view marts.both_of_them",
        "refresh materialized view marts.above",
    )
    assert ask(warehouse, "select array_agg(n order by n) from marts.above") == [*range(3, 10)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        do(warehouse, "select from marts.left_one__dbt_backup")
