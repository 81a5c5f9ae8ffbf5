"""The conventions of the whole dbt project, on a small built sample."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import dbt_project
from tests.support.relations import contents, row_versions
from warehouse.dbt import compiled

NO_UNIT_TESTS = dbt_project.NO_UNIT_TESTS
NO_TESTS = dbt_project.NO_TESTS
WAITS = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"


def test_a_second_build_rewrites_no_row(built: Any) -> None:
    before = row_versions(built)
    assert len(before) > 15
    dbt_project.build(built, options=NO_TESTS)

    assert row_versions(built) == before


def test_a_full_refresh_gives_the_same_marts(built: Any) -> None:
    as_of = "2026-06-01 12:00:00+00"
    dbt_project.build(built, as_of=as_of, options=NO_TESTS)
    before = contents(built)
    dbt_project.build(built, as_of=as_of, options=NO_TESTS, full_refresh=True)

    assert contents(built) == before


@pytest.mark.long
def test_a_full_refresh_of_one_fact_reaches_what_reads_it(built: Any) -> None:
    before = contents(built)
    with built.connect() as session:
        session.execute("delete from marts.fct_orders")
        session.execute("delete from marts.user_daily_metrics")
    dbt_project.build(built, "fct_orders", options=NO_TESTS, full_refresh=True)
    dbt_project.build(built, options=NO_TESTS)

    assert contents(built)["marts.user_daily_metrics"] == before["marts.user_daily_metrics"]


@pytest.mark.long
def test_a_backfill_rebuilds_a_window_and_only_that(built: Any) -> None:
    """Rows are corrupted everywhere, in a way that an incremental build does not notice."""
    before = contents(built)
    with built.connect() as session:
        days = session.execute(
            "select percentile_disc(array[0.4, 0.6]) within group (order by date_day)"
            " from marts.fct_orders inner join marts.dim_date using (date_key)"
        ).fetchone()
        assert days is not None
        first, last = days[0]
        session.execute("update marts.fct_orders set order_amount = -7")
        session.execute("delete from marts.fct_user_events")
        session.execute("update marts.user_daily_metrics set revenue = -7, events = 99")
        session.execute("update marts.user_analytics set total_events = -7")
    window = {"from": str(first), "to": str(last)}
    dbt_project.build(built, options=NO_TESTS, variables=window)

    keys = [int(f"{day:%Y%m%d}") for day in (first, last)]
    with built.connect() as session:
        row = session.execute(
            """
            select
                count(*) filter (where is_inside and order_amount = -7),
                count(*) filter (where not is_inside and order_amount != -7),
                count(*) filter (where is_inside)
            from (
                select
                    orders.*,
                    -- An order depends on its payments too, which may be of another day.
                    orders.date_key between %s and %s or exists (
                        select from marts.fct_payments as payments
                        where payments.order_id = orders.order_id
                            and payments.date_key between %s and %s
                    ) as is_inside
                from marts.fct_orders as orders
            ) as orders
            """,
            keys + keys,
        ).fetchone()
        assert row is not None
        assert row[:2] == (0, 0)
        assert row[2] > 5
        inside, outside = session.execute(
            "select count(*) filter (where date_key between %s and %s),"
            " count(*) filter (where date_key not between %s and %s) from marts.fct_user_events",
            keys + keys,
        ).fetchone()
        assert inside > 100
        assert outside == 0
        days = session.execute(
            "select distinct revenue = -7, date_key between %s and %s"
            " from marts.user_daily_metrics",
            keys,
        ).fetchall()
        assert sorted(days) == [(False, True), (True, False)]
        assert session.execute(
            "select bool_or(total_events >= 0), bool_or(total_events = -7)"
            " from marts.user_analytics"
        ).fetchone() == (True, True)

    whole = {"from": "1900-01-01", "to": "2100-12-31"}
    dbt_project.build(built, options=NO_TESTS, variables=whole)
    after = contents(built)
    untouched = (
        "marts.user_analytics",  # users without any fact are in no window
        # The histories of segments and issues keep what builds saw in the corrupted rows.
        "snapshots.snp_user_segments",
        "snapshots.snp_row_issues",
        "marts.segment_transitions",
    )
    assert {k: v for k, v in after.items() if k not in untouched} == {
        k: v for k, v in before.items() if k not in untouched
    }


def test_a_build_on_empty_inputs_passes_and_the_next_one_heals(built: Any) -> None:
    """A run of two marts in between finds every row, because the views still show them."""
    # Another day may have begun since the sample was built.
    today = datetime.now(UTC).date()
    dbt_project.build(built, options=NO_TESTS, as_of=today)
    before = contents(built)
    dbt_project.build(built, options=("--empty", *NO_UNIT_TESTS), as_of=today)
    some = ("marts.fct_orders", "marts.daily_revenue")
    dbt_project.run(built, "run", *(name.split(".")[1] for name in some), as_of=today)
    after = contents(built)
    assert [after[name] for name in some] == [before[name] for name in some]
    dbt_project.build(built, options=NO_TESTS, as_of=today)

    assert contents(built) == before


@pytest.mark.long
def test_a_first_build_on_empty_inputs_passes(database: Any, sample_folder: Path) -> None:
    from warehouse.load import load_folder

    with database.connect() as connection:
        load_folder(sample_folder, connection=connection)
    dbt_project.build(database, options=("--empty",))
    with database.connect() as session:
        assert session.execute("select count(*) from marts.fct_orders").fetchone() == (0,)
        assert session.execute("select count(*) from raw.orders").fetchone() != (0,)

    dbt_project.build(database, options=NO_UNIT_TESTS)
    held = contents(database)
    assert held["marts.fct_orders"][0] > 50
    assert held["marts.daily_revenue"][0] > 10


@pytest.mark.long
def test_keys_may_be_called_unknown(database: Any, tmp_path: Path) -> None:
    from warehouse.load import load_folder

    (tmp_path / "users.csv").write_text("user_id,created_at\nunknown,2026-01-01\n")
    (tmp_path / "products.csv").write_text("product_id,category_id\nunknown,unknown\n")
    (tmp_path / "categories.csv").write_text("category_id,category_name\nunknown,Unknown\n")
    (tmp_path / "orders.csv").write_text(
        "order_id,user_id,order_status,order_date\n"
        "1,unknown,paid,2026-01-02\n2,nobody,paid,2026-01-02\n"
    )
    with database.connect() as connection:
        load_folder(tmp_path, connection=connection)
    dbt_project.build(database, options=NO_UNIT_TESTS)
    with database.connect() as session:
        assert session.execute(
            "select user_id, total_orders from marts.user_analytics"
        ).fetchall() == [("unknown", 1)]
        assert session.execute("select count(*) from marts.dim_categories").fetchone() == (2,)


@pytest.mark.long
def test_an_empty_raw_schema_builds(database: Any, tmp_path: Path) -> None:
    from warehouse.load import load_folder

    (tmp_path / "users.csv").write_text("user_id,email\n1,a@example.org\n")
    with database.connect() as connection:
        load_folder(tmp_path, connection=connection)
        connection.execute("delete from raw.users")
        connection.commit()
    dbt_project.build(database, options=NO_UNIT_TESTS)
    with database.connect() as session:
        assert session.execute("select user_key from marts.dim_users").fetchall() == [("unknown",)]
        assert session.execute("select count(*) from marts.user_analytics").fetchone() == (0,)


@pytest.mark.long
def test_tables_that_the_application_lacks_may_be_missing(
    database: Any, sample_folder: Path
) -> None:
    from warehouse.load import load_folder

    with database.connect() as connection:
        load_folder(sample_folder, connection=connection, tables=["users", "orders"])
        for table in ("events", "user_sessions", "payments", "order_items", "products"):
            connection.execute(f"drop table raw.{table}")
        connection.commit()
    results = dbt_project.build(database, variables={"sources_present": ["users", "orders"]})
    warned = [result.node.name for result in results if result.status == "warn"]
    absent = ("events", "items", "products", "payments", "sessions", "categories")
    assert [name for name in warned if any(table in name for table in absent)] == []
    with database.connect() as session:
        row = session.execute(
            "select count(*) > 0, sum(total_spent), sum(total_events) from marts.user_analytics"
        ).fetchone()
    assert row == (True, 0, 0)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"sources_present": ["users"]}, "lacks 'orders'"),
        ({"sources_present": ["users", "orders", "carts"]}, "names 'carts'"),
        ({"as_of": "yesterday"}, "The variable as_of is 'yesterday'"),
        ({"from": "01/02/2026"}, "The variable from is '01/02/2026'"),
        ({"to": "2026-01-01"}, "from is missing"),
    ],
)
def test_a_wrong_variable_is_named(built: Any, variables: dict[str, Any], sentence: str) -> None:
    with pytest.raises(dbt_project.DbtFailed, match=sentence):
        dbt_project.build(built, "+fct_orders", variables=variables, options=NO_TESTS)


def test_another_target_prefixes_its_schemas(database: Any, sample_folder: Path) -> None:
    from warehouse.load import load_folder

    with database.connect() as connection:
        load_folder(sample_folder, connection=connection)
    other = dataclasses.replace(database, environment={**database.environment, "DBT_TARGET": "ci"})
    dbt_project.build(other, "+fct_orders", options=NO_TESTS)
    with database.connect() as session:
        schemas = {
            row[0]
            for row in session.execute(
                "select table_schema from information_schema.tables where table_name = 'fct_orders'"
            )
        }
    assert schemas == {"ci_marts"}


def test_the_sample_passes_all_tests(sample_warehouse: Any) -> None:
    """Also in sessions with a time zone of their own, as a profile of the user may open them."""
    elsewhere = {**sample_warehouse.environment, "PGOPTIONS": "-c timezone=Asia/Kolkata"}
    dbt_project.run(dataclasses.replace(sample_warehouse, environment=elsewhere), "test")


def test_a_build_of_a_part_passes_while_the_rest_is_behind(built: Any) -> None:
    with built.connect() as session:
        session.execute(
            "insert into raw.events (event_id, event_type, event_timestamp, _loaded_at)"
            " values ('new', 'page_view', now() - interval '2 days', now())"
        )
        session.execute(
            "insert into raw.users (user_id, created_at, updated_at, _loaded_at)"
            " values ('new', now(), now(), now())"
        )
    tests = ("vertical_facts_and_quarantine_have_every_staged_row",
             "vertical_user_analytics_has_the_living_users")  # fmt: skip
    ran = dbt_project.build(built, "+fct_orders+", options=NO_UNIT_TESTS)
    assert {*tests} <= {result.node.name for result in ran}
    with pytest.raises(dbt_project.DbtFailed, match=tests[0]):
        dbt_project.run(built, "test", *tests)
    dbt_project.build(built, options=NO_TESTS)
    dbt_project.run(built, "test", *tests)


@pytest.mark.long
def test_plain_dbt_finds_the_database_and_passes_twice(database: Any, sample_folder: Path) -> None:
    """As a user would: dbt on the command line, in the project's folder, without a wrapper."""
    from warehouse.load import load_folder

    with database.connect() as connection:
        load_folder(sample_folder, connection=connection)
    target = Path(dbt_project.scratch()) / "plain"
    for again in ((), NO_UNIT_TESTS):
        with dbt_project.environment(database.environment):
            answer = subprocess.run(
                [
                    *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "build"),
                    *("--target-path", str(target), "--log-path", str(target)),
                    *again,
                ],
                cwd=dbt_project.ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        assert answer.returncode == 0, answer.stdout[-3000:]
        assert "ERROR=0" in answer.stdout
        assert "Deprecat" not in answer.stdout


def test_events_lie_in_partitions_of_their_month(built: Any) -> None:
    with built.connect() as session:
        partitions = session.execute(
            """
            select
                child.relname,
                child.relnamespace::regnamespace::text,
                pg_get_expr(child.relpartbound, child.oid)
            from pg_inherits
            inner join pg_class as child on pg_inherits.inhrelid = child.oid
            where inhparent = 'marts.fct_user_events'::regclass
            """
        ).fetchall()
        default = next(name for name, _, bounds in partitions if bounds == "DEFAULT")
        row = session.execute(f"select count(*) from partitions.{default}").fetchone()
        months = session.execute(
            "select count(distinct date_trunc('month', event_timestamp at time zone 'UTC'))"
            " from marts.fct_user_events"
        ).fetchone()
        plan = "\n".join(
            line
            for (line,) in session.execute(
                "explain select * from marts.fct_user_events"
                " where event_timestamp >= date_trunc('month', now() - interval '1 month')"
                " and event_timestamp < date_trunc('month', now())"
            )
        )
    assert {schema for _, schema, _ in partitions} == {"partitions"}
    assert row == (0,)
    assert months is not None
    assert len(partitions) >= months[0] + 2  # plus one month ahead and the default partition
    assert plan.count("Scan") == 1


def test_a_snapshot_cannot_hold_two_current_rows_of_a_key(built: Any) -> None:
    with (
        built.connect() as session,
        pytest.raises(psycopg.errors.UniqueViolation, match="snp_app__users_current"),
    ):
        session.execute(
            "insert into snapshots.snp_app__users select * from snapshots.snp_app__users limit 1"
        )


def test_every_mart_has_an_enforced_contract(built: Any) -> None:
    results = dbt_project.run(built, "compile", "marts", "reporting", "quarantine")
    models = [result.node for result in results if result.node.resource_type == "model"]
    assert len(models) > 15
    assert [node.name for node in models if not node.config.contract.enforced] == []


def test_the_reporting_schema_shows_no_whole_email(built: Any) -> None:
    with built.connect() as session:
        emails = session.execute(
            "select reporting.email, users.email"
            " from reporting.user_analytics as reporting"
            " inner join raw.users using (user_id)"
        ).fetchall()
    assert len(emails) > 100
    assert [shown for shown, real in emails if shown == real and real is not None] == []
    assert any(shown and shown[1:5] == "***@" for shown, _ in emails)


# `make test-postgres-16` runs the whole suite on it.
@pytest.mark.long
def test_the_marts_are_the_same_on_postgresql_16(
    built: Any, database_16: Any, sample_folder: Path
) -> None:
    from warehouse.load import load_folder

    as_of = "2026-06-01 12:00:00+00"
    dbt_project.build(built, as_of=as_of, options=NO_TESTS)
    with database_16.connect() as connection:
        load_folder(sample_folder, connection=connection)
    with database_16.connect() as connection:
        assert connection.info.server_version // 10000 == 16
    dbt_project.build(database_16, as_of=as_of)

    assert contents(database_16, ("marts",)) == contents(built, ("marts",))


def test_two_first_builds_may_begin_at_once(database: Any) -> None:
    """Each on-run-start statement creates schemas or tables; the second build finds them."""
    hook = (dbt_project.ROOT / "macros/hooks/before_run.sql").read_text()
    calls = re.findall(r"do run_or_stop\((create_.+)\) -%}", hook)
    inline = "-- next".join(f"{{{{ {call} }}}}" for call in calls)
    results = dbt_project.run(database, "compile", options=("--inline", inline))
    several = compiled(results).compiled_code.split("-- next")
    assert len(several) == len(calls) == hook.count("create_") > 1

    with (
        database.connect() as first,
        database.connect() as second,
        database.connect() as watch,
        ThreadPoolExecutor() as threads,
    ):
        watch.autocommit = True
        for statements in several:
            first.execute(statements)
            other = threads.submit(second.execute, statements)
            deadline = time.monotonic() + 30
            while not watch.execute(WAITS, [second.info.backend_pid]).fetchone():
                assert time.monotonic() < deadline, f"the second did not wait: {statements}"
                time.sleep(0.01)
            first.commit()
            other.result(timeout=30)
            second.commit()


def test_what_only_compiles_makes_nothing(database: Any) -> None:
    """dbt compiles hooks too, also when it generates the docs of a project that is not built."""
    dbt_project.run(database, "compile")
    with database.connect() as session:
        made = session.execute(
            "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public$)'"
        ).fetchall()
    assert made == []
