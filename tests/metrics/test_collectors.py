"""What each collector says of tables that a test fills."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.metrics.conftest import Metrics, of
from tests.metrics.state import add_run, copy_state
from tests.support.database import Database, ask, do

Collect = Callable[[Any], Metrics]


# --- Runs ---------------------------------------------------------------------------------------


def test_runs_are_counted_by_command_and_status(state: Database, collect: Collect) -> None:
    add_run(state, ago="5 seconds")
    add_run(state, ago="4 seconds", status="failure")
    add_run(state, ago="3 seconds", command="test")
    add_run(state, ago="40 days", status="failure")
    found = collect(state)
    assert found["warehouse_recent_runs", "build", "success"] == 1
    assert found["warehouse_recent_runs", "build", "failure"] == 1
    assert found["warehouse_recent_runs", "test", "success"] == 1
    assert found["warehouse_recent_runs", "test", "failure"] == 0
    assert found["warehouse_last_run_success", "build"] == 0
    assert found["warehouse_last_run_success", "test"] == 1


def test_a_run_leaves_the_last_day_after_24_hours(state: Database, collect: Collect) -> None:
    add_run(state, ago="23 hours 59 minutes")
    add_run(state, ago="24 hours 1 second")
    assert collect(state)["warehouse_recent_runs", "build", "success"] == 1


def test_the_counter_begins_again_each_month_and_never_falls(
    state: Database, collect: Collect
) -> None:
    month = ask(state, "select date_trunc('month', now(), 'UTC')")
    now = datetime.now(UTC)
    inside = f"{(now - month).total_seconds() / 2} seconds"
    before = f"{(now - month).total_seconds() + 60} seconds"
    add_run(state, ago=inside)
    add_run(state, ago=before)
    assert collect(state)["warehouse_runs_total", "build", "success"] == 1
    # What retention deletes is older.
    do(state, "delete from observability.runs where finished_at < date_trunc('month', now())")
    assert collect(state)["warehouse_runs_total", "build", "success"] == 1


def test_the_last_run_of_each_command(state: Database, collect: Collect) -> None:
    add_run(state, ago="2 hours", seconds=30)
    add_run(state, ago="1 hour", seconds=90.5, status="failure", counts=(20, 2, 3, 4))
    found = collect(state)
    assert found["warehouse_last_run_duration_seconds", "build"] == 90.5
    assert found["warehouse_last_run_published", "build"] == 0
    nodes = {
        status: found["warehouse_last_run_nodes", "build", status]
        for status in ("failed", "warned", "skipped", "passed")
    }
    assert nodes == {"failed": 2, "warned": 3, "skipped": 4, "passed": 11}
    now = time.time()
    assert found["warehouse_last_run_timestamp_seconds", "build"] == pytest.approx(
        now - 3600, abs=30
    )
    success = found["warehouse_last_success_timestamp_seconds", "build"]
    assert success == pytest.approx(now - 7200, abs=30)


def test_without_a_run_there_is_no_series(state: Database, collect: Collect) -> None:
    found = collect(state)
    assert found["warehouse_collector_success", "runs"] == 1
    assert found["warehouse_collector_skipped", "runs"] == 0
    assert not [key for key in found if "run" in key[0] and "collector" not in key[0]]


# --- Models, scores, anomalies ------------------------------------------------------------------


def test_the_last_run_of_each_model(state: Database, collect: Collect) -> None:
    do(
        state,
        """
        insert into observability.run_results
            (invocation_id, node_id, node_name, resource_type, status, rows_written, seconds,
            finished_at)
        values
            ('a', 'model.x.fct', 'fct', 'model', 'success', 5, 2, now() - interval '2 hours'),
            ('b', 'model.x.fct', 'fct', 'model', 'error', null, 7.5, now() - interval '1 hour'),
            ('c', 'model.x.fct', 'fct', 'model', 'skipped', null, 0, now()),
            ('a', 'seed.x.types', 'types', 'seed', 'success', 12, 1, now()),
            -- Two versions of a model share the name: two samples would break the scrape.
            ('a', 'model.x.old.v1', 'old', 'model', 'success', 1, 3, now() - interval '1 day'),
            ('a', 'model.x.old.v2', 'old', 'model', 'success', 1, 4, now()),
            ('a', 'model.x.gone', 'gone', 'model', 'success', 1, 4, now() - interval '8 days'),
            ('a', 'test.x.fct', 'fct_is_unique', 'test', 'pass', null, 9, now())
        """,
    )
    found = collect(state)
    seconds = of(found, "warehouse_model_duration_seconds")
    assert seconds == {("fct", "model"): 7.5, ("types", "seed"): 1, ("old", "model"): 4}
    rows = of(found, "warehouse_model_rows_written")
    assert rows == {("types", "seed"): 12, ("old", "model"): 1}


def test_scores_are_those_of_the_last_run_that_scored(state: Database, collect: Collect) -> None:
    add_run(state, ago="2 hours", score=99)
    newest = add_run(state, ago="1 hour", score=94.5)
    add_run(state, command="seed")
    do(
        state,
        "insert into observability.quality_scores values"
        f" ('{newest}', now() - interval '1 hour', 'dimension', 'validity', 90, 5, 100, 10)",
    )
    found = collect(state)
    assert of(found, "warehouse_quality_score") == {
        ("warehouse", "(all)"): 94.5,
        ("dimension", "validity"): 90,
    }
    scored_at = found[("warehouse_quality_score_timestamp_seconds",)]
    assert scored_at == pytest.approx(time.time() - 3600, abs=30)


def test_anomalies_are_those_of_the_last_day(state: Database, collect: Collect) -> None:
    do(
        state,
        """
        insert into observability.anomalies
            (table_name, measure, column_name, day, value, is_anomaly)
        values
            ('fct_orders', 'rows', '*', current_date - 1, 5, true),
            ('fct_orders', 'rows', '*', current_date - 2, 5, true),
            ('dim_users', 'null_rate', 'email', current_date, 0.5, true),
            ('dim_users', 'null_rate', 'phone', current_date, 0.5, true),
            ('dim_users', 'null_rate', 'name', current_date, 0, false),
            ('fct_payments', 'rows', '*', current_date - 1, 5, true),
            ('fct_payments', 'rows', '*', current_date, 5, false),
            ('dropped', 'rows', '*', current_date - 8, 5, true)
        """,
    )
    found = collect(state)
    assert of(found, "warehouse_anomalies") == {
        ("fct_orders", "rows"): 1,
        ("dim_users", "null_rate"): 2,
        ("fct_payments", "rows"): 0,
    }


def test_a_share_of_nulls_comes_with_what_is_usual(state: Database, collect: Collect) -> None:
    do(
        state,
        """
        insert into observability.anomalies (table_name, measure, column_name, day, value)
        select 'dim_users', 'null_rate', 'phone', current_date - days, 0.4 + days * 0.001
        from generate_series(1, 40) as days
        """,
        """
        insert into observability.anomalies
            (table_name, measure, column_name, day, value, row_count)
        values
            ('dim_users', 'null_rate', 'phone', current_date, 0.9, 20),
            ('dim_users', 'null_rate', 'email', current_date, 0.06, 20),
            -- A single null of few rows is more than 5 %.
            ('dim_users', 'null_rate', 'name', current_date, 0.06, 19)
        """,
    )
    found = collect(state)
    assert found["warehouse_null_ratio", "dim_users", "phone"] == 0.9
    # The days 1 to 28 before; the median is between 14 and 15.
    assert found["warehouse_null_ratio_usual", "dim_users", "phone"] == pytest.approx(0.4145)
    assert found["warehouse_null_ratio", "dim_users", "email"] == 0.06
    assert ("warehouse_null_ratio_usual", "dim_users", "email") not in found
    assert ("warehouse_null_ratio", "dim_users", "name") not in found


# --- Sources and quarantine ---------------------------------------------------------------------


def create_raw(database: Database, name: str, rows: int, *, index: bool = True) -> None:
    """A raw table, the newest row of which was loaded a minute ago."""
    do(
        database,
        "create schema if not exists raw",
        f"create table raw.{name} (_loaded_at timestamptz not null)",
        f"insert into raw.{name} select now() - number * interval '1 minute'"
        f" from generate_series(1, {rows}) as number",
        *([f"create index on raw.{name} (_loaded_at)"] if index else []),
        f"analyze raw.{name}",
    )


def test_sources(database: Database, collect: Collect) -> None:
    create_raw(database, "users", 3)
    create_raw(database, "orders", 0)
    create_raw(database, "categories", 2)
    found = collect(database)
    loaded = found["warehouse_source_last_load_timestamp_seconds", "users"]
    assert loaded == pytest.approx(time.time() - 60, abs=30)
    age = found["warehouse_source_age_seconds", "users"]
    assert age == pytest.approx(time.time() - loaded, abs=10)
    assert found["warehouse_source_last_load_timestamp_seconds", "orders"] == 0
    assert math.isinf(found["warehouse_source_age_seconds", "orders"])
    assert found["warehouse_source_rows", "users"] == 3
    assert found["warehouse_source_rows", "orders"] == 0
    checked = of(found, "warehouse_source_freshness_checked")
    assert checked == {("users",): 1, ("orders",): 1, ("categories",): 0}


def test_a_load_of_another_time(database: Database, collect: Collect) -> None:
    """A row of the future does not hide that nothing else arrives, nor take other sources along."""
    create_raw(database, "users", 1)
    create_raw(database, "orders", 1)
    create_raw(database, "events", 2)
    do(
        database,
        "update raw.orders set _loaded_at = 'infinity'",
        "update raw.events set _loaded_at = now() + interval '1 hour'"
        " where ctid = (select max(ctid) from raw.events)",
    )
    found = collect(database)
    assert found["warehouse_source_last_load_timestamp_seconds", "orders"] == 0
    assert math.isinf(found["warehouse_source_age_seconds", "orders"])
    assert found["warehouse_source_age_seconds", "events"] == pytest.approx(60, abs=30)
    assert found["warehouse_source_age_seconds", "users"] == pytest.approx(60, abs=30)


def test_rows_of_partitions_and_views(database: Database, collect: Collect) -> None:
    create_raw(database, "users", 500)
    do(
        database,
        "create schema app",
        "create table app.o (_loaded_at timestamptz) partition by range (_loaded_at)",
        "create table app.o_1 partition of app.o for values from (minvalue) to ('2026-01-01')",
        "create table app.o_2 partition of app.o for values from ('2026-01-01') to (maxvalue)",
        "insert into app.o select '2025-12-31 12:00+00'::timestamptz + number * interval '1 minute'"
        " from generate_series(1, 2000) as number",
        "create index on app.o (_loaded_at)",
        "analyze app.o",
        "create view raw.events as select * from app.o",
        "alter table app.o set schema raw",
        "alter table raw.o rename to orders",
    )
    found = collect(database)
    assert found["warehouse_source_rows", "orders"] == 2000
    assert found["warehouse_source_rows", "events"] == pytest.approx(2000, rel=0.05)
    newest = datetime(2025, 12, 31, 12, tzinfo=UTC) + timedelta(minutes=2000)
    for name in ("orders", "events"):
        loaded = found["warehouse_source_last_load_timestamp_seconds", name]
        assert loaded == newest.timestamp()


def test_a_large_table_without_an_index_is_not_read(database: Database, collect: Collect) -> None:
    create_raw(database, "events", 100_000, index=False)
    do(
        database,
        "create schema observability",
        "create table observability.watermarks (upstream_name text, loaded_through timestamptz)",
        "insert into observability.watermarks values"
        " ('stg_app__events', '2026-01-01 00:00+00'), ('stg_app__events', '2026-01-02 00:00+00'),"
        " ('stg_app__orders', '2026-01-03 00:00+00'), ('stg_app__events', null)",
    )
    loaded = collect(database)["warehouse_source_last_load_timestamp_seconds", "events"]
    assert loaded == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    do(database, "create index on raw.events (_loaded_at)")
    loaded = collect(database)["warehouse_source_last_load_timestamp_seconds", "events"]
    assert loaded == pytest.approx(time.time() - 60, abs=60)


def test_rows_in_quarantine(database: Database, collect: Collect) -> None:
    do(
        database,
        "create schema quarantine",
        "create table quarantine.row_issues"
        " (table_name text, rule_name text, effect text, resolved_at timestamptz)",
        "insert into quarantine.row_issues values ('orders', 'user_is_known', 'flag', null),"
        " ('orders', 'user_is_known', 'flag', null), ('orders', 'user_is_known', 'flag', now()),"
        " ('events', 'user_is_known', 'exclude', null)",
        "create table quarantine.rejected_rows (table_name text, reason text, row_text text)",
        "insert into quarantine.rejected_rows values ('orders', 'ada@example.org', 'ada'),"
        " ('ada@example.org', 'no such table', '')",
    )
    found = collect(database)
    assert of(found, "warehouse_quarantine_rows") == {
        ("orders", "user_is_known", "flag"): 2,
        ("events", "user_is_known", "exclude"): 1,
    }
    assert found["warehouse_rejected_rows", "orders"] == 1
    assert found["warehouse_rejected_rows", "users"] == 0
    assert not [key for key in found if "ada" in "".join(key)]


# --- Tables, partitions, locks, backups ---------------------------------------------------------


def test_sizes_and_partitions(database: Database, collect: Collect) -> None:
    do(
        database,
        "create schema observability",
        "create schema marts",
        "create schema partitions",
        "create schema elsewhere",
        "create table marts.fct (at timestamptz, id int) partition by range (at)",
        """
        do $$
        begin
            for month in -1..2 loop
                execute format(
                    'create table partitions.%I partition of marts.fct'
                    ' for values from (%L) to (%L)',
                    'fct_' || month + 1,
                    date_trunc('month', now(), 'UTC') + make_interval(months => month),
                    date_trunc('month', now(), 'UTC') + make_interval(months => month + 1)
                );
            end loop;
        end
        $$
        """,
        "create table partitions.fct_default partition of marts.fct default",
        "create index on marts.fct (id)",
        "insert into marts.fct select now(), n from generate_series(1, 5000) as n",
        "insert into marts.fct values (null, 1), ('infinity', 1)",
        "create table elsewhere.by_number (n int) partition by range (n)",
        "create table elsewhere.one partition of elsewhere.by_number for values from (1) to (2)",
        "create table marts.by_number (n int) partition by range (n)",
        "create table marts.one partition of marts.by_number for values from (1) to (2)",
        "create table marts.fct__dbt_tmp (n int)",
        """
        create view observability.partition_bounds as
        select
            inhparent::regclass as parent,
            substring(pg_get_expr(relpartbound, pg_class.oid), $b$FROM \\('?([^')]*)$b$)
                as lower_bound,
            pg_get_expr(relpartbound, pg_class.oid) = 'DEFAULT' as is_default
        from pg_inherits
        inner join pg_class on inhrelid = pg_class.oid
        where relispartition and relkind = 'r'
        """,
    )
    found = collect(database)
    assert found["warehouse_partitions", "marts", "fct"] == 4
    assert found["warehouse_partitions_ahead", "marts", "fct"] == 2
    assert found["warehouse_default_partition_rows", "marts", "fct"] == 2
    assert not [key for key in found if "by_number" in key and "partition" in key[0]]
    sizes = ask(
        database,
        "select sum(pg_table_size(relid)), sum(pg_indexes_size(relid))"
        " from pg_partition_tree('marts.fct')",
    )
    assert found["warehouse_table_size_bytes", "marts", "fct"] == sizes[0][0] > 100_000
    assert found["warehouse_index_size_bytes", "marts", "fct"] == sizes[0][1] > 50_000
    assert set(of(found, "warehouse_table_size_bytes")) == {
        ("marts", "fct"),
        ("marts", "by_number"),
    }


def test_a_full_default_partition_is_not_counted_to_the_end(
    database: Database, collect: Collect
) -> None:
    do(
        database,
        "create schema observability",
        "create schema marts",
        "create view observability.partition_bounds as select null::regclass as parent,"
        " null::text as lower_bound, true as is_default where false",
        "create table marts.fct (id int) partition by range (id)",
        "create table marts.fct_default partition of marts.fct default",
        "insert into marts.fct select generate_series(1, 10500)",
    )
    assert collect(database)["warehouse_default_partition_rows", "marts", "fct"] == 10_000


def test_waits_for_locks(database: Database, collect: Collect) -> None:
    do(database, "create table public.locked (id int)", "insert into public.locked values (1)")
    found = collect(database)
    assert found[("warehouse_lock_waits",)] == 0
    assert found[("warehouse_lock_wait_longest_seconds",)] == 0
    holder = database.connect()
    holder.execute("update public.locked set id = 2")

    def wait(statement: str) -> None:
        with database.connect() as session:
            session.execute(statement)

    # One waits for a row, which is the end of a transaction, the other for the table.
    waiting = [
        threading.Thread(target=wait, args=[statement])
        for statement in ("update public.locked set id = 3", "lock table public.locked")
    ]
    try:
        for thread in waiting:
            thread.start()
        until = time.monotonic() + 20
        while (found := collect(database))[("warehouse_lock_waits",)] < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert 0 < found[("warehouse_lock_wait_longest_seconds",)] < 30
    finally:
        holder.rollback()
        holder.close()
        for thread in waiting:
            thread.join()
    assert collect(database)[("warehouse_lock_waits",)] == 0


def test_the_age_of_the_newest_backup(database: Database, collect: Collect) -> None:
    found = collect(database)
    assert math.isnan(found[("warehouse_backup_age_seconds",)])
    do(
        database,
        "create schema observability",
        "create table observability.backups (finished_at timestamptz)",
    )
    assert math.isnan(collect(database)[("warehouse_backup_last_timestamp_seconds",)])
    do(
        database,
        "insert into observability.backups values"
        " (now() - interval '2 hours'), (now() - interval '1 hour'), (null)",
    )
    found = collect(database)
    assert found[("warehouse_backup_age_seconds",)] == pytest.approx(3600, abs=30)
    assert found["warehouse_collector_success", "backups"] == 1


# --- Targets ------------------------------------------------------------------------------------


def test_another_target_has_other_schemas(
    state: Database, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_state(state, "ci_observability")
    add_run(state)
    add_run(state, status="failure", schema="ci_observability")
    do(
        state,
        "create schema ci_marts",
        "create table marts.mine (id int)",
        "create table ci_marts.theirs (id int)",
    )
    monkeypatch.setenv("DBT_TARGET", "ci")
    found = collect(state)
    assert found["warehouse_last_run_success", "build"] == 0
    assert ("warehouse_table_size_bytes", "ci_marts", "theirs") in found
    assert ("warehouse_table_size_bytes", "marts", "mine") not in found
    assert found["warehouse_exporter_info", "0.1.0", "ci"] == 1
