"""The exporter as a whole: faults, caching, lost connections and cost."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.registry import CollectorRegistry

from tests.metrics.conftest import Metrics, exposition, of, parsed
from tests.metrics.state import ANOMALIES, add_run
from tests.support import dbt_project
from tests.support.database import Database, ask, do, wait_for_counts
from tests.support.server import temporary_server
from warehouse.database.profile import settings
from warehouse.metrics import collectors
from warehouse.metrics.catalogue import METRICS
from warehouse.metrics.exporter import Exporter
from warehouse.metrics.reader import Reader, Sample

Collect = Callable[[Any], Metrics]


def exporter_of(database: Database, **arguments: Any) -> Exporter:
    """An exporter of a database; close it."""
    with dbt_project.environment(database.environment):
        return Exporter(settings(), **arguments)


def failed_of(found: Metrics) -> set[str]:
    """The collectors that failed."""
    values = of(found, "warehouse_collector_success")
    return {name for (name,), value in values.items() if not value}


@pytest.fixture
def counted() -> Iterator[tuple[list[float], Any]]:
    """A collector that notes when it is called, and can be made slow."""
    calls: list[float] = []

    def collect(reader: Reader) -> Iterator[Sample]:
        calls.append(time.monotonic())
        reader.session.execute("select pg_sleep(0.3)")
        yield Sample("warehouse_lock_waits", len(calls))

    yield calls, collect


# --- Faults -------------------------------------------------------------------------------------


def test_an_empty_database_has_all_that_does_not_need_tables(
    database: Database, collect: Collect, capfd: pytest.CaptureFixture[str]
) -> None:
    found = collect(database)
    assert found[("warehouse_up",)] == 1
    assert set(of(found, "warehouse_collector_success").values()) == {1}
    skipped = {key[0] for key, value in of(found, "warehouse_collector_skipped").items() if value}
    assert skipped == {
        *("runs", "models", "quality", "anomalies", "quarantine", "rejected", "partitions"),
    }
    assert "failed" not in capfd.readouterr().err


def test_one_table_that_may_not_be_read_fails_alone(
    state: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    add_run(state)
    do(
        state,
        "do $$ begin create role metrics_some login; exception when duplicate_object then null;"
        " end $$",
        "grant usage on schema observability to metrics_some",
        "grant select on observability.runs, observability.quality_scores to metrics_some",
        "create schema quarantine",
        "create table quarantine.row_issues (rule_name text)",
    )
    role = dataclasses.replace(state, environment={**state.environment, "PGUSER": "metrics_some"})
    exporter = exporter_of(role)
    try:
        for _ in range(2):
            found = parsed(exposition(exporter))
    finally:
        exporter.close()
    failed = failed_of(found)
    assert failed == {"models", "anomalies", "quarantine", "rejected", "partitions"}
    assert found["warehouse_last_run_success", "build"] == 1
    said = capfd.readouterr().err
    # Once, not at each scrape.
    assert said.count("The collector models failed: permission denied for table run_results") == 1
    assert said.count("permission denied for schema quarantine") == 2
    assert exporter.problems.keys() == failed


def test_a_query_that_takes_too_long_fails_alone(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    def collect(reader: Reader) -> Iterator[Sample]:
        yield Sample("warehouse_lock_waits", 1)
        reader.session.execute("set statement_timeout = 50")
        reader.session.execute("select pg_sleep(10)")

    exporter = exporter_of(database, groups={"slow": collect, "backups": collectors.ALL["backups"]})
    try:
        found = parsed(exposition(exporter))
    finally:
        exporter.close()
    assert of(found, "warehouse_collector_success") == {("slow",): 0, ("backups",): 1}
    assert ("warehouse_lock_waits",) not in found
    assert "canceling statement due to statement timeout" in capfd.readouterr().err


def test_a_locked_table_does_not_hold_up_the_others(state: Database, collect: Collect) -> None:
    do(state, "create schema quarantine", "create table quarantine.rejected_rows (table_name text)")
    with state.connect() as session:
        session.execute("lock table quarantine.rejected_rows")
        started = time.monotonic()
        found = collect(state)
        assert time.monotonic() - started < 5
    failed = failed_of(found)
    # The sizes of other schemas are told by the next scrape.
    assert failed <= {"rejected", "sizes"} and "rejected" in failed


def test_it_may_only_read(database: Database) -> None:
    def collect(reader: Reader) -> Iterator[Sample]:
        reader.session.execute("create table public.written (id int)")
        yield Sample("warehouse_lock_waits", 1)

    exporter = exporter_of(database, groups={"writes": collect})
    try:
        found = parsed(exposition(exporter))
    finally:
        exporter.close()
    assert found["warehouse_collector_success", "writes"] == 0
    assert ask(database, "select to_regclass('public.written')") is None


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([("warehouse_anomalies", ("a", "b"))] * 2, "['a', 'b'] was collected twice"),
        ([("warehouse_anomalies", ("a", None))], "['a', None] does not fit the catalogue"),
        ([("warehouse_anomalies", ("a",))], "['a'] does not fit the catalogue"),
        ([("warehouse_unknown", ())], "warehouse_unknown[] does not fit the catalogue"),
    ],
)
def test_what_prometheus_would_refuse_fails_alone(
    database: Database,
    samples: list[tuple[str, tuple[Any, ...]]],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def collect(reader: Reader) -> Iterator[Sample]:
        for metric, labels in samples:
            yield Sample(metric, 1, labels)

    exporter = exporter_of(database, groups={"wrong": collect, "locks": collectors.ALL["locks"]})
    found = parsed(exposition(exporter))
    exporter.close()
    assert of(found, "warehouse_collector_success") == {("wrong",): 0, ("locks",): 1}
    assert message in capfd.readouterr().err


def test_a_collection_ends_before_prometheus_gives_up(
    database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def slow(reader: Reader) -> Iterator[Sample]:
        reader.session.execute("select pg_sleep(0.4)")
        return iter(())

    monkeypatch.setattr("warehouse.metrics.exporter.COLLECTION_SECONDS", 0.2)
    exporter = exporter_of(database, groups={"slow": slow, "locks": collectors.ALL["locks"]})
    found = parsed(exposition(exporter))
    exporter.close()
    assert of(found, "warehouse_collector_success") == {("slow",): 1, ("locks",): 0}
    assert "the collection took more than 0.2 s" in capfd.readouterr().err


# --- One collection at a time -------------------------------------------------------------------


def test_scrapes_at_the_same_time_share_a_collection(
    database: Database, counted: tuple[list[float], Any]
) -> None:
    calls, collect = counted
    exporter = exporter_of(database, cache_seconds=60, groups={"counted": collect})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    assert calls == []
    answers: list[float | None] = []

    def scrape() -> None:
        answers.append(registry.get_sample_value("warehouse_lock_waits"))

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        scrape()
    finally:
        exporter.close()
    assert answers == [1] * 5
    assert len(calls) == 1


def test_metrics_are_collected_again_after_a_while(
    database: Database, counted: tuple[list[float], Any]
) -> None:
    calls, collect = counted
    exporter = exporter_of(database, cache_seconds=0.5, groups={"counted": collect})
    try:
        exposition(exporter)
        time.sleep(0.6)
        assert parsed(exposition(exporter))[("warehouse_lock_waits",)] == 2
    finally:
        exporter.close()
    assert len(calls) == 2


# --- Lost connections ---------------------------------------------------------------------------


def test_a_restart_of_the_server_is_survived(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with temporary_server() as server:
        monkeypatch.setenv("WAREHOUSE_HOME", str(server.home))
        assert settings().embedded
        exporter = Exporter(settings())
        try:
            assert parsed(exposition(exporter))[("warehouse_up",)] == 1
            server.down()
            for _ in range(2):
                down = parsed(exposition(exporter))
            # A scrape must not start a server that somebody stopped.
            assert server.pid() is None
            server.up()
            again = parsed(exposition(exporter))
            # The connection that the restart broke is not noticed before it is used.
            server.down()
            server.up()
            once_more = parsed(exposition(exporter))
        finally:
            exporter.close()
    assert down[("warehouse_up",)] == 0
    assert set(of(down, "warehouse_collector_success").values()) == {0}
    assert ("warehouse_lock_waits",) not in down
    for found in (again, once_more):
        assert found[("warehouse_up",)] == 1
        assert found[("warehouse_lock_waits",)] == 0
    said = capfd.readouterr().err
    assert said.count("The database failed") == 1
    assert said.count("The database works again.") == 1


def test_a_session_that_is_killed_meanwhile(database: Database) -> None:
    def collect(reader: Reader) -> Iterator[Sample]:
        pid = reader.session.info.backend_pid
        do(database, f"select pg_terminate_backend({pid}, 5000)")
        reader.session.execute("select 1")
        yield Sample("warehouse_lock_waits", 1)

    exporter = exporter_of(
        database, groups={"killed": collect, "backups": collectors.ALL["backups"]}
    )
    try:
        found = parsed(exposition(exporter))
        assert set(of(found, "warehouse_collector_success").values()) == {0}
    finally:
        exporter.close()


# --- Cost ---------------------------------------------------------------------------------------


def test_a_collection_reads_no_large_table(state: Database) -> None:
    """Counted by PostgreSQL: the rows that sequential scans of the tables returned."""
    do(
        state,
        "create schema raw",
        "create schema if not exists marts",
        "create table raw.events (event_id int, _loaded_at timestamptz not null)",
        "insert into raw.events select n, now() - n * interval '1 second'"
        " from generate_series(1, 200000) as n",
        "create index on raw.events (_loaded_at)",
        "create table marts.fct (id int, at timestamptz) partition by range (at)",
        "create table marts.fct_1 partition of marts.fct for values from ('2000-01-01') to"
        " ('2100-01-01')",
        "create table marts.fct_default partition of marts.fct default",
        "insert into marts.fct select n, now() from generate_series(1, 200000) as n",
    )
    with state.connect() as session:
        session.autocommit = True
        session.execute("vacuum analyze")

    def rows_read() -> int:
        # Sessions report what they read when they end.
        with state.connect() as session:
            session.autocommit = True
            wait_for_counts(session)
            return session.execute(
                "select sum(seq_tup_read) + sum(idx_tup_fetch) from pg_stat_user_tables"
                " where relname in ('events', 'fct_1', 'fct_default')"
            ).fetchone()[0]

    before = rows_read()
    exporter = exporter_of(state)
    found = parsed(exposition(exporter))
    exporter.close()
    assert found["warehouse_source_rows", "events"] == 200_000
    assert found["warehouse_collector_success", "sizes"] == 1
    # The latest row, and what the planner looks up at the end of the index for each comparison
    # with now(), once for the plan and once for the query: none of it grows with the table.
    assert rows_read() - before <= 10


# --- The built sample ---------------------------------------------------------------------------


def test_a_built_warehouse_gives_every_metric(built: Database, collect: Collect) -> None:
    do(built, ANOMALIES)
    do(
        built,
        "delete from observability.anomalies",
        "insert into observability.anomalies (table_name, measure, column_name, day, value,"
        " row_count, verdict, is_anomaly)"
        " select 'dim_users', 'null_rate', 'phone', current_date - n, 0.1, 100, 'normal', false"
        " from generate_series(0, 3) as n",
    )
    found = collect(built)
    assert set(of(found, "warehouse_collector_success").values()) == {1}
    assert set(of(found, "warehouse_collector_skipped").values()) == {0}
    assert {key[0] for key in found} == set(METRICS)
    assert found["warehouse_partitions_ahead", "marts", "fct_user_events"] >= 1
    assert found["warehouse_default_partition_rows", "marts", "fct_user_events"] == 0
    assert found["warehouse_partitions", "observability", "run_results"] >= 2
    models = of(found, "warehouse_model_duration_seconds")
    assert {("fct_orders", "model"), ("snp_app__users", "snapshot"), ("currencies", "seed")} <= set(
        models
    )
    scores = of(found, "warehouse_quality_score")
    assert {scope for scope, _ in scores} == {"warehouse", "dimension", "model"}
    # The number of series does not grow with the rows.
    assert len(found) < 900
