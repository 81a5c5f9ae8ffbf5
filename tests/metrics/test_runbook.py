"""The runbook: its queries find what broke, and its steps repair it. And the documented role."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics.conftest import Metrics, of
from tests.metrics.state import add_run, create_state
from tests.metrics.tools import alerts, program, run
from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.database import Database, ask, do
from tests.support.dbt_project import ROOT
from tests.support.documents import blocks, is_question
from tests.support.roles import dropped_roles
from warehouse import contract
from warehouse.metrics.catalogue import METRICS
from warehouse.privacy import roles
from warehouse.server import Server

RUNBOOK = ROOT / "docs" / "runbook.md"
MONITORING = ROOT / "docs" / "monitoring.md"

Collect = Callable[[Any], Metrics]


def paragraph(alert: str) -> str:
    """The paragraph of an alert."""
    found = re.search(rf"^## {alert}$([\s\S]*?)(?=^## |\Z)", RUNBOOK.read_text(), re.MULTILINE)
    assert found, alert
    return found[1]


def queries(alert: str) -> list[str]:
    """The SQL in the paragraph of an alert."""
    return re.findall(r"^```sql\n([\s\S]*?)^```$", paragraph(alert), re.MULTILINE)


def answers(database: Database, alert: str) -> list[list[tuple[Any, ...]]]:
    """What the queries of a paragraph return."""
    found = []
    with database.connect() as session:
        session.read_only = True
        for query in queries(alert):
            assert is_question(query)
            found.append(session.execute(query).fetchall())
    return found


@pytest.fixture
def monitored(built: Database) -> Database:
    """The built sample, with the tables that later builds write."""
    create_state(built)
    return built


@pytest.fixture
def metrics_role(server: Server, monitored: Database) -> Iterator[Database]:
    """The role of docs/monitoring.md."""
    with monitored.connect() as session:
        session.autocommit = True
        roles.apply(session)
    dbt_project.invoke(monitored, "run-operation", "grant_to_roles")
    do(monitored, *blocks(MONITORING))
    yield dataclasses.replace(monitored, environment={**monitored.environment, "PGUSER": "metrics"})
    do(monitored, "drop role metrics", *dropped_roles())


# --- Form ---------------------------------------------------------------------------------------


def test_each_paragraph_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    for alert in alerts():
        text = paragraph(alert)
        assert [text.count(f"**{each}") for each in ("Meaning.**", "Look at**", "Do.**")] == [1] * 3
        assert re.search("^```(sql|promql)$", text, re.MULTILINE), f"{alert} has no query"


def test_queries_of_prometheus_are_valid(tmp_path: Path) -> None:
    found = blocks(RUNBOOK, "promql")
    assert len(found) == 3
    rules = [{"record": f"query:{number}", "expr": each} for number, each in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
    said = run(program("promtool"), "check", "rules", file)
    assert said.returncode == 0, said.stdout + said.stderr
    for query in found:
        assert query.startswith("up") or query.split(" ")[0] in METRICS


def test_all_metrics_and_alerts_are_listed() -> None:
    text = MONITORING.read_text()
    rows = re.findall(r"^\| `(warehouse_\w+)` \|([\w, ]*)\| .+ \|$", text, re.MULTILINE)
    listed = {
        name: tuple(label.strip() for label in labels.split(",") if label.strip())
        for name, labels in rows
    }
    assert listed == {name: metric.labels for name, metric in METRICS.items()}
    severities = dict(re.findall(r"^\| \[(Warehouse\w+)\]\(.*\) \| (\w+) \|", text, re.MULTILINE))
    assert severities == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


# --- The role -----------------------------------------------------------------------------------


def test_the_documented_role_reads_all_metrics_and_no_more(
    monitored: Database, metrics_role: Database, collect: Collect
) -> None:
    add_run(monitored, score=99)
    mine, all_of_it = collect(metrics_role), collect(monitored)
    assert of(mine, "warehouse_collector_success") == of(all_of_it, "warehouse_collector_success")
    assert set(of(mine, "warehouse_collector_success").values()) == {1}
    assert set(mine) == set(all_of_it)
    exact = {key: value for key, value in mine.items() if "seconds" not in key[0]}
    # Estimated for one of them, and both are empty.
    assert exact == {key: all_of_it[key] for key in exact}
    with metrics_role.connect() as session:
        for table in ("quarantine.row_issues", "raw.users", "marts.dim_users"):
            with pytest.raises(Exception, match="permission denied"):
                session.execute(f"select * from {table}")
            session.rollback()


def test_the_role_sees_waits_of_others(
    monitored: Database, metrics_role: Database, collect: Collect
) -> None:
    holder = monitored.connect()
    holder.execute("lock table raw.users in share mode")

    def wait() -> None:
        with monitored.connect() as session:
            session.execute("lock table raw.users")

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        until = time.monotonic() + 20
        while collect(metrics_role)[("warehouse_lock_waits",)] != 1:
            assert time.monotonic() < until
    finally:
        holder.close()
        waiting.join()


def test_grants_survive_a_build(
    monitored: Database, metrics_role: Database, collect: Collect
) -> None:
    dbt_project.build(monitored, options=("--select", "row_issues", *dbt_project.NO_TESTS))
    assert collect(metrics_role)["warehouse_collector_success", "quarantine"] == 1


# --- Queries and steps --------------------------------------------------------------------------


def add_result(database: Database, run_id: str, name: str, status: str) -> None:
    """Insert the result of a test of fct_orders."""
    do(
        database,
        "insert into observability.run_results (invocation_id, node_id, node_name, resource_type,"
        " model_name, status, failing_rows, rows_judged, seconds, finished_at)"
        f" values ('{run_id}', 'test.{name}', '{name}', 'test', 'fct_orders', '{status}', 3, 100,"
        " 1, now())",
    )


def test_run_failed(monitored: Database) -> None:
    failed = add_run(monitored, status="failure", ago="2 minutes")
    add_result(monitored, failed, "orders_are_positive", "fail")
    add_result(monitored, failed, "orders_are_dated", "pass")
    add_run(monitored, command="seed", ago="1 minute")
    (rows,) = answers(monitored, "WarehouseRunFailed")
    assert [row[0] for row in rows] == ["orders_are_positive"]


def test_failure_rate_high(monitored: Database) -> None:
    for _ in range(2):
        failed = add_run(monitored, status="failure")
        add_result(monitored, failed, "orders_are_positive", "fail")
    (rows,) = answers(monitored, "WarehouseFailureRateHigh")
    assert [row[:3] for row in rows] == [("orders_are_positive", "fail", 2)]


def test_no_successful_run(monitored: Database) -> None:
    add_run(monitored, ago="27 hours")
    add_run(monitored, status="failure")
    holder = monitored.connect()
    pid = holder.info.backend_pid
    holder.execute("lock table raw.users")
    waiting = monitored.connect()
    thread = threading.Thread(target=waiting.execute, args=["select count(*) from raw.users"])
    thread.start()
    try:
        until = time.monotonic() + 20
        while True:
            runs, sessions = answers(monitored, "WarehouseNoSuccessfulRun")
            blocked = [row for row in sessions if pid in row[4]]
            if blocked:
                break
            assert time.monotonic() < until
        assert [row[2] for row in runs] == ["failure", "success"]
        assert blocked[0][0] == waiting.info.backend_pid
        # The step of the runbook: the wait ends, and what was open is rolled back.
        (command,) = re.findall(r'warehouse psql -c "(.*)"`', paragraph("WarehouseNoSuccessfulRun"))
        said = warehouse(monitored, "psql", "-c", command.replace("4711", str(pid)))
        assert said.returncode == 0, said.stderr
        thread.join(timeout=20)
        assert not thread.is_alive()
    finally:
        holder.close()
        thread.join(timeout=20)
        waiting.close()


def test_source_stale(monitored: Database, collect: Collect, tmp_path: Path) -> None:
    loads, rejected = answers(monitored, "WarehouseSourceStale")
    assert {row[0] for row in loads} == {"orders", "events"}
    assert rejected
    # A load by hand ends it.
    do(monitored, "update raw.orders set _loaded_at = _loaded_at - interval '7 hours'")
    assert collect(monitored)["warehouse_source_age_seconds", "orders"] > 6 * 3600
    key = ask(monitored, "select order_id from raw.orders order by 1 limit 1")
    (tmp_path / "orders.csv").write_text(f"order_id,order_status\n{key},loaded by hand\n")
    said = warehouse(monitored, "load", str(tmp_path))
    assert said.returncode == 0, said.stderr
    assert collect(monitored)["warehouse_source_age_seconds", "orders"] < 3600


def test_a_source_that_may_rest(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / contract.FILE).read_text())
    tables = document["sources"][0]["tables"]
    (events,) = [each for each in tables if each["name"] == "events"]
    assert contract.read().tables["events"].has_freshness
    events.setdefault("config", {})["freshness"] = None
    (tmp_path / "sources.yml").write_text(yaml.safe_dump(document))
    assert not contract.read(tmp_path / "sources.yml").tables["events"].has_freshness


def test_null_rate_high_and_anomaly(monitored: Database, collect: Collect) -> None:
    do(
        monitored,
        "insert into observability.anomalies (table_name, measure, column_name, day, value,"
        " row_count, expected_low, expected_high, verdict, is_anomaly)"
        " select 'dim_users', 'null_rate', 'country', current_date - n,"
        " case when n = 0 then 0.5 else 0.01 end, 100, 0, 0.02,"
        " case when n = 0 then 'high' else 'normal' end, n = 0"
        " from generate_series(0, 20) as n",
    )
    shares, loads = answers(monitored, "WarehouseNullRateHigh")
    assert [(row[1], row[3], row[4]) for row in shares] == [("country", 50, 2)]
    assert loads
    (anomalies,) = answers(monitored, "WarehouseAnomaly")
    assert [(row[1], row[2], row[3]) for row in anomalies] == [
        ("dim_users", "null_rate", "country")
    ]
    # After two weeks the new share is usual.
    do(
        monitored,
        "update observability.anomalies set value = 0.5 where day > current_date - 15",
    )
    assert collect(monitored)["warehouse_null_ratio_usual", "dim_users", "country"] == 0.5


def test_quality_score_low(monitored: Database, collect: Collect) -> None:
    scored = add_run(monitored, score=90)
    add_result(monitored, scored, "orders_are_positive", "warn")
    scores, tests, rules = answers(monitored, "WarehouseQualityScoreLow")
    assert [(row[0], row[2]) for row in scores] == [("warehouse", 90)]
    assert ("fct_orders", "orders_are_positive", "test", "warn", 3, 100) in tests
    open_issues = of(collect(monitored), "warehouse_quarantine_rows")
    for table, rule, _, effect, issues, _ in rules:
        assert open_issues[table, rule, effect] == issues
    assert len(rules) == min(20, len(open_issues)) > 5


def test_default_partition_not_empty(monitored: Database, collect: Collect) -> None:
    copy = (
        "insert into marts.fct_user_events select (jsonb_populate_record(events,"
        " jsonb_build_object('event_id', '{}', 'event_timestamp', '{}'::text))).*"
        " from marts.fct_user_events as events limit 1"
    )
    do(
        monitored,
        copy.format("by_hand", "2090-05-05 00:00+00"),
        copy.format("without_time", "infinity"),
    )
    labels = ("marts", "fct_user_events")
    assert collect(monitored)["warehouse_default_partition_rows", *labels] == 2
    defaults, months = answers(monitored, "WarehouseDefaultPartitionNotEmpty")
    assert len(defaults) == 1
    assert sum(row[1] for row in months) == 2
    # A build moves the finite month, once the model has new rows; the other one is deleted.
    do(
        monitored,
        "update raw.events set _loaded_at = clock_timestamp(), event_type = event_type || ' '"
        " where event_id = (select min(event_id) from raw.events)",
        "delete from marts.fct_user_events where event_id = 'without_time'",
    )
    dbt_project.build(monitored, options=("--select", "fct_user_events", *dbt_project.NO_TESTS))
    assert collect(monitored)["warehouse_default_partition_rows", *labels] == 0
    assert ask(
        monitored,
        "select tableoid::regclass::text not like '%default%' from marts.fct_user_events"
        " where event_id = 'by_hand'",
    )


def test_collector_failed(monitored: Database, metrics_role: Database, collect: Collect) -> None:
    assert answers(monitored, "WarehouseCollectorFailed") == [[]]
    do(monitored, "revoke select on observability.runs from warehouse_monitor")
    assert collect(metrics_role)["warehouse_collector_success", "runs"] == 0
    assert answers(monitored, "WarehouseCollectorFailed") == [[("observability.runs",)]]
    dbt_project.invoke(monitored, "run-operation", "grant_to_roles")
    assert collect(metrics_role)["warehouse_collector_success", "runs"] == 1
