"""A run stops before any model if a raw table lost many rows, or got unusually many or few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import write_tested_project

COLUMNS = ("order_id", "_loaded_at", "_deleted_at")
TYPES = {"order_id": "text"}
MODELS = {
    "sources.yml": yaml.safe_dump(
        {
            "sources": [
                {
                    "name": "app",
                    "schema": "raw",
                    "tables": [
                        {
                            "name": name,
                            "columns": [
                                {"name": each, "data_type": TYPES.get(each, "timestamptz")}
                                for each in COLUMNS
                            ],
                        }
                        for name in ("orders", "users")
                    ],
                }
            ]
        }
    ),
    "stg_app__orders": "select order_id, _loaded_at, _deleted_at"
    " from {{ read_source('orders', has_row_xid=false) }}",
    "stg_app__users": "select order_id, _loaded_at, _deleted_at"
    " from {{ read_source('users', has_row_xid=false) }}",
}
CHECKED = {"accept_volumes": False}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    table = "(order_id text, _loaded_at timestamptz not null, _deleted_at timestamptz)"
    do(
        database,
        "create schema raw",
        f"create table raw.orders {table}",
        f"create table raw.users {table}",
        insert(1000, "'2026-01-01'"),
    )
    return write_tested_project(tmp_path / "project", MODELS)


def insert(rows: int, when: str = "clock_timestamp()") -> str:
    return f"insert into raw.orders select n::text, {when} from generate_series(1, {rows}) as n"


def run(database: Database, project: Path, *select: str, **variables: Any) -> None:
    dbt_project.run(
        database, "run", *select, project=project, variables={**CHECKED, **variables}, options=()
    )


def stopped(database: Database, project: Path, *select: str, **variables: Any) -> str:
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(database, project, *select, **variables)
    assert "Nothing was built" in str(failed.value)
    return str(failed.value)


def days_ago(database: Database, days: int, rows: int | None = None) -> None:
    """A history of runs, one a day, each of which found about the same number of rows."""
    for day in range(1, days + 1):
        count = rows if rows is not None else 1000 + 10 * (day % 5)
        do(
            database,
            "insert into observability.source_volumes (invocation_id, table_name, measured_at,"
            " measured_since, row_count, loaded_rows, deleted_rows, rows_per_day, is_passed)"
            f" values ('{day}', 'orders', now() - interval '{day} days',"
            f" now() - interval '{day + 1} days', 1000, {count}, 0, {count}, true)",
        )


def test_a_loss_stops_the_run_until_it_is_accepted_once(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "delete from raw.orders where order_id::int > 850")
    run(database, project)
    do(database, "delete from raw.orders where order_id::int > 600")
    for _ in range(2):
        said = stopped(database, project)
        assert "orders has 600 rows, and had 850 at the last run" in said
        assert "allowed is a loss of 20.0 %" in said and "--accept" in said
        latest = "select status, not_published_because from observability.runs order by finished_at"
        assert ask(database, f"{latest} desc limit 1")[0][0] == "failure"
    # Another part of the project is not held up.
    run(database, project, "stg_app__users")
    run(database, project, accept_volumes=True)
    run(database, project)
    do(database, "truncate raw.orders")
    assert "orders has 0 rows, and had 600" in stopped(database, project)
    run(database, project, max_lost_share=1)


def test_a_large_table_without_any_row_left_is_counted(database: Database, project: Path) -> None:
    """PostgreSQL's last analysis still knows the rows, and its counters have none."""
    do(database, insert(250_000, "'2026-01-01'"), "analyze raw.orders")
    run(database, project)
    do(database, "delete from raw.orders", "select pg_stat_force_next_flush()")
    assert "orders has 0 rows, and had 251,000" in stopped(database, project)


def test_a_table_that_was_loaded_again_has_not_lost_its_deleted_rows(
    database: Database, project: Path
) -> None:
    do(database, "update raw.orders set _deleted_at = '2025-06-01' where order_id::int <= 300")
    run(database, project)
    do(database, "update raw.orders set _loaded_at = clock_timestamp()")
    run(database, project)


def test_a_few_rows_are_no_loss(database: Database, project: Path) -> None:
    do(database, "delete from raw.orders where order_id::int > 19")
    run(database, project)
    do(database, "truncate raw.orders")
    run(database, project)


def test_rows_that_are_marked_as_deleted_count_as_lost(database: Database, project: Path) -> None:
    run(database, project)
    deleted = "_deleted_at = now(), _loaded_at = clock_timestamp()"
    do(database, f"update raw.orders set {deleted} where order_id::int <= 200")
    run(database, project)
    do(database, f"update raw.orders set {deleted} where order_id::int between 201 and 420")
    said = stopped(database, project)
    assert "220 rows of orders were marked as deleted, which had 1,000 rows" in said
    run(database, project, accept_volumes=True)
    run(database, project)


@pytest.mark.parametrize(
    ("rows", "is_usual"), [(0, False), (3500, False), (700, True), (2000, True)]
)
def test_a_day_out_of_its_usual_range_stops_the_run(
    database: Database, project: Path, rows: int, is_usual: bool
) -> None:
    run(database, project)
    do(database, "delete from observability.source_volumes")
    days_ago(database, 14)
    do(database, insert(rows, "now() - interval '1 hour'"))
    if is_usual:
        run(database, project)
    else:
        said = stopped(database, project)
        assert f"orders got {rows:,} rows per day; usual are 1,020, the median of 14 runs" in said


def test_fourteen_days_are_needed(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "delete from observability.source_volumes")
    days_ago(database, 13)
    run(database, project)


def test_a_weekday_with_its_own_volume_is_usual(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "delete from observability.source_volumes")
    days_ago(database, 28)
    do(
        database,
        "update observability.source_volumes set rows_per_day = 0"
        " where extract(isodow from measured_at) = extract(isodow from now())",
    )
    run(database, project)


def test_a_second_run_of_the_day_is_compared_as_a_day(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "delete from observability.source_volumes")
    days_ago(database, 20)
    do(database, insert(1000, "now() - interval '1 hour'"))
    run(database, project)
    run(database, project)
    latest = "select rows_per_day from observability.source_volumes order by measured_at desc"
    assert round(ask(database, f"{latest} limit 1")) == 1000
    do(database, insert(3000, "now() - interval '1 minute'"))
    assert "orders got 4,000 rows per day; usual are 1,020" in stopped(database, project)
    assert ask(database, "select count(*) from observability.source_volumes where is_passed") == 24


def test_runs_of_each_hour_have_days_too(database: Database, project: Path) -> None:
    run(database, project)
    do(
        database,
        "delete from observability.source_volumes",
        "insert into observability.source_volumes (invocation_id, table_name, measured_at,"
        " measured_since, row_count, loaded_rows, deleted_rows, rows_per_day, is_passed)"
        " select hour, 'orders', now() - hour * interval '1 hour',"
        " now() - (hour + 1) * interval '1 hour', 1000, 40, 0, 1000, true"
        " from generate_series(1, 24 * 15) as hour",
        insert(5000, "now() - interval '90 minutes'"),
    )
    assert "rows per day; usual are 1,000, the median of 1" in stopped(database, project)
