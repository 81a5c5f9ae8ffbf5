"""Incremental builds must not miss changes: late commits, wrong clocks, restored databases."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, do, fetch
from tests.support.dbt_project import NO_TESTS, NO_UNIT_TESTS
from tests.support.relations import contents, row_versions
from tests.support.server import temporary_server
from warehouse.server import Server

ORDER = "insert into raw.orders (order_id, order_status, order_date, _loaded_at) values"


def orders_like(database: Any, pattern: str) -> list[str]:
    """The keys of fct_orders that match `pattern` (LIKE), sorted."""
    with database.connect() as session:
        return [
            row[0]
            for row in session.execute(
                "select order_id from marts.fct_orders where order_id like %s order by 1", [pattern]
            )
        ]


@pytest.mark.long
@pytest.mark.parametrize("drop", [False, True], ids=["full refresh", "dropped"])
def test_a_table_made_on_empty_inputs_is_filled_by_the_next_build(built: Any, drop: bool) -> None:
    before = contents(built)
    if drop:
        with built.connect() as session:
            session.execute("drop table marts.fct_orders cascade")
        dbt_project.build(built, options=("--empty", *NO_TESTS))
    else:
        dbt_project.build(built, options=("--empty", *NO_TESTS), full_refresh=True)
    dbt_project.build(built, options=NO_TESTS)

    assert contents(built) == before


def test_rows_that_stay_equal_are_not_written(built: Any) -> None:
    """Also rows with nulls; their keys are in the run, as the application stamped them anew."""
    loaded = ("users", "orders", "order_items", "payments", "user_sessions", "events")
    do(built, *(f"update raw.{table} set _loaded_at = clock_timestamp()" for table in loaded))
    before = row_versions(built)
    dbt_project.build(built, options=NO_TESTS)
    after = row_versions(built)
    equal = {name for name in before if name.startswith("marts.") and before[name] == after[name]}
    assert {"marts.dim_users", "marts.fct_orders", "marts.fct_order_items"} <= equal
    assert {"marts.fct_payments", "marts.fct_user_sessions", "marts.fct_user_events"} <= equal


@pytest.mark.parametrize("in_savepoint", [False, True], ids=["plain", "in a savepoint"])
def test_a_late_commit_is_found(built: Any, in_savepoint: bool) -> None:
    """Its rows have earlier stamps than those of a transaction that a build has already read."""
    with built.connect() as late, built.connect() as soon:
        if in_savepoint:
            late.execute("savepoint inner_one")
        late.execute(f"{ORDER} ('late', 'paid', now(), now() - interval '1 minute')")
        if in_savepoint:
            late.execute("release savepoint inner_one")
        soon.execute(f"{ORDER} ('soon', 'paid', now(), now())")
        soon.commit()
        dbt_project.build(built, "+fct_orders", options=NO_TESTS)
        assert orders_like(built, "%oon") == ["soon"]
        late.commit()
    dbt_project.build(built, "+fct_orders", options=NO_TESTS)

    assert orders_like(built, "late") == ["late"]


def test_a_stamp_in_the_future_hides_nothing(built: Any) -> None:
    with built.connect() as session:
        session.execute(f"{ORDER} ('early', 'paid', now(), now() + interval '10 days')")
    dbt_project.build(built, "+fct_orders", options=NO_TESTS)
    with built.connect() as session:
        session.execute(f"{ORDER} ('after', 'paid', now(), clock_timestamp())")
    dbt_project.build(built, "+fct_orders", options=NO_TESTS)

    assert orders_like(built, "after") == ["after"]
    assert orders_like(built, "early") == ["early"]


def test_a_changed_variable_reaches_every_row(built: Any) -> None:
    dbt_project.build(built, "user_clv", options=NO_TESTS, variables={"simple_clv_factor": 2})
    with built.connect() as session:
        row = session.execute(
            "select bool_and(simple_value = round(2 * historic_value, 2)), max(simple_value) > 0"
            " from marts.user_clv"
        ).fetchone()
    assert row == (True, True)


@pytest.mark.long
def test_an_update_of_this_project_rebuilds_only_what_it_changes(
    built: Any, tmp_path: Path
) -> None:
    """The macros that run in hooks, or find keys, determine no rows."""
    project = dbt_project.copy_project(tmp_path / "project")
    models = ("dim_date", "fct_payments", "fct_order_items", "user_rfm", "int_user_funnel_steps")

    def reports() -> set[str]:
        dbt_project.forget(project)
        results = dbt_project.run(built, "run", *models, project=project)
        return {str(result.message) for result in results if result.node.name in models}

    assert reports() == {"UNCHANGED"}
    for folder in ("hooks", "postgres", "incremental"):
        for path in (project / "macros" / folder).rglob("*.sql"):
            path.write_text(re.sub(r"({% macro .*?%})", r"\1{# new #}", path.read_text()))
    assert reports() == {"UNCHANGED"}


def test_a_backfill_goes_on_from_a_table_that_takes_all_its_keys(built: Any) -> None:
    """int_user_activity does when as_of moves back; the backfill must then extend downstream."""
    dbt_project.build(built, "+user_clv", options=NO_TESTS, as_of="2030-01-02")
    with built.connect() as session:
        row = session.execute(
            "select min(ordered_at)::date, max(ordered_at)::date from marts.fct_orders"
        ).fetchone()
        assert row is not None
        spoilt = session.execute(
            "update marts.user_clv set total_orders = -7"
            " where user_id in (select user_id from marts.fct_orders)"
        ).rowcount
        assert spoilt > 0
    window = {"from": str(row[0]), "to": str(row[1])}
    dbt_project.build(built, "+user_clv", options=NO_TESTS, as_of="2030-01-01", variables=window)

    with built.connect() as session:
        left = session.execute("select count(*) from marts.user_clv where total_orders = -7")
        assert left.fetchone() == (0,)


def test_a_backfill_that_ends_before_it_begins_is_refused(built: Any) -> None:
    for window, end in (
        ({"from": "2026-02-01", "to": "2026-01-31"}, "2026-01-31 23:59:59.999999"),
        ({"from": "2026-02-01"}, "2025-06-30 23:59:59.999999"),
    ):
        with pytest.raises(dbt_project.DbtFailed, match=rf"from is '2026-02-01', .* {end}"):
            dbt_project.run(built, "run", "fct_orders", variables=window, as_of="2025-06-30")


def test_events_follow_the_dimension_of_types_and_not_its_seed(built: Any) -> None:
    """The seed may change a build before the dimension does: two runs build only the fact."""
    facts = ("select count(*), count(*) filter (where event_type_key = 'unknown') from"
             " marts.fct_user_events where event_type = 'dance'")  # fmt: skip
    with built.connect() as session:
        session.execute(
            "update raw.events set event_type = 'Dance', _loaded_at = clock_timestamp()"
            " where event_id in (select event_id from marts.fct_user_events limit 7)"
        )
    dbt_project.run(built, "run", "fct_user_events")
    with built.connect() as session:
        assert session.execute(facts).fetchone() == (7, 7)
        session.execute("insert into staging.event_types values ('dance', 'engagement', null)")
    dbt_project.run(built, "run", "fct_user_events")
    dbt_project.run(built, "run", "dim_event_types", "fct_user_events")

    with built.connect() as session:
        assert session.execute(facts).fetchone() == (7, 0)


def test_rows_without_a_key_make_no_version(built: Any) -> None:
    """The source has no primary key; each run of a snapshot inserts such a row again."""
    with built.connect() as session:
        for table in ("users", "products"):
            key = f"{table[:-1]}_id"
            session.execute(f"alter table raw.{table} drop constraint {table}_pkey")
            session.execute(f"alter table raw.{table} alter {key} drop not null")
            session.execute(
                f"insert into raw.{table} ({key}, updated_at, _loaded_at)"
                " values (null, now(), clock_timestamp())"
            )
    count = (
        "select (select count(*) from marts.dim_users), (select count(*) from marts.dim_products)"
    )
    models = ("snp_app__users", "snp_app__products", "dim_users", "dim_products")
    with built.connect() as session:
        before = session.execute(count).fetchone()
    for full_refresh in (False, False, True):
        dbt_project.build(built, *models, options=NO_TESTS, full_refresh=full_refresh)
        with built.connect() as session:
            assert session.execute(count).fetchone() == before


@pytest.mark.long
def test_a_restored_warehouse_goes_on(built: Any, server: Server) -> None:
    """Another server assigns different transaction IDs and OIDs."""
    with temporary_server() as other:
        dump = other.home.parent / "dump"
        with other.connect("postgres") as connection:
            connection.execute("create database restored template template0")
        subprocess.run(
            [str(server.bin / "pg_dump"), "-Fc", "-f", str(dump), server.uri(built.name)],
            check=True,
        )
        subprocess.run(
            [str(other.bin / "pg_restore"), "-d", other.uri("restored"), str(dump)], check=True
        )
        restored = Database.of(other, "restored")
        with restored.connect() as session:
            row = session.execute(
                "select user_id, total_orders from marts.user_analytics order by 1 limit 1"
            ).fetchone()
            assert row is not None
            session.execute(
                "insert into raw.orders (order_id, user_id, order_status, order_date, _loaded_at)"
                " values ('new', %s, 'paid', now() - interval '1 hour', clock_timestamp())",
                [row[0]],
            )
            session.execute(
                "insert into raw.events (event_id, event_type, event_timestamp, _loaded_at)"
                " select 'new', 'click', max(event_timestamp), clock_timestamp()"
                " from marts.fct_user_events"
            )
        dbt_project.build(restored, options=("--exclude-resource-type", "unit_test"))
        with restored.connect() as session:
            after = session.execute(
                "select total_orders from marts.user_analytics where user_id = %s", [row[0]]
            ).fetchone()
            events = session.execute(
                "select count(*) from marts.fct_user_events where event_id = 'new'"
            ).fetchone()
        assert after == (row[1] + 1,)
        assert events == (1,)


@pytest.mark.long
def test_a_build_may_defer_to_another_target(built: Any, tmp_path: Path) -> None:
    """As in a check of a pull request: one model in its own target reads parents of another."""
    files = ("--write-json", "--target-path", str(tmp_path))
    dbt_project.run(built, "compile", "user_clv", options=files)
    ci = Database(built.name, {**built.environment, "DBT_TARGET": "ci"})
    for _ in range(2):
        deferred = ("--defer", "--state", str(tmp_path), *dbt_project.NO_UNIT_TESTS)
        dbt_project.build(ci, "user_clv", "fct_orders", "fct_user_events", options=deferred)
    values = "select user_id, simple_value from {}.user_clv order by 1"
    found = fetch(built, values.format("ci_marts"))
    assert found == fetch(built, values.format("marts")) != []


def test_the_log_is_not_pruned_while_a_model_is_written(built: Any) -> None:
    """A model built for the first time may still need keys that all others have read."""

    def is_logged() -> bool:
        with built.connect() as session:
            return session.execute(
                "select exists (select from observability.key_changes where model_name = 'unread')"
            ).fetchone() == (True,)

    with built.connect() as session:
        session.execute(
            "insert into observability.key_changes values ('unread', pg_current_xact_id(), '{}')"
        )
    with built.connect() as elsewhere:
        elsewhere.execute(
            "select pg_advisory_xact_lock_shared(hashtext(%s))",
            [f'"{built.name}"."observability"."key_changes"'],
        )
        dbt_project.run(built, "run", "dim_time")
        assert is_logged()
    dbt_project.run(built, "run", "dim_time")
    assert not is_logged()


@pytest.mark.long
def test_a_run_with_an_earlier_clock_hides_nothing(built: Any) -> None:
    """As when two builds overlap: a model runs at an earlier time than what it reads."""
    of_clock = [
        path.stem
        for path in (dbt_project.ROOT / "models").rglob("*.sql")
        if "as_of()" in path.read_text()
    ]
    assert len(of_clock) > 6
    in_order = [result.node.name for result in dbt_project.run(built, "run", *of_clock)]
    now = dt.datetime.now(dt.UTC)
    between, early, late = ((now + dt.timedelta(days=days)).isoformat() for days in (1.5, 1, 2))
    with built.connect() as session:
        (user_id,) = session.execute(
            "select min(user_id) from intermediate.int_user_purchase_history"
        ).fetchone()
        for table, values in {
            "orders (order_id, user_id, order_status, order_date": "'soon', %s, 'paid', %s",
            "order_items (order_item_id, order_id, product_id, quantity, price_at_purchase": (
                "'soon', 'soon', (select min(product_id) from raw.products), 1, 25"
            ),
            "user_sessions (session_id, user_id, session_start": "'soon', %s, %s",
            "events (event_id, user_id, event_timestamp, event_type": "'soon', %s, %s, 'click'",
        }.items():
            session.execute(
                f"insert into raw.{table}, _loaded_at) values ({values}, clock_timestamp())",
                [user_id, between] if "%s" in values else [],
            )
    dbt_project.run(built, "run", "staging", "marts.core", as_of=late)
    assert "soon" in orders_like(built, "soon")
    for name in in_order:
        dbt_project.run(built, "run", name, as_of=early)
        dbt_project.run(built, "run", name, as_of=late)
    dbt_project.run(built, "run", as_of=late)

    found = contents(built, ("intermediate", "marts"))
    dbt_project.run(built, "run", as_of=late, full_refresh=True)
    assert contents(built, ("intermediate", "marts")) == found
    # Before the order that is to come, one of a user who has no other one.
    with built.connect() as session:
        session.execute(
            f"{ORDER.replace('order_id', 'order_id, user_id')} ('only', (select min(user_id)"
            " from intermediate.int_user_activity left join intermediate.int_user_purchase_history"
            " as bought using (user_id) where bought.user_id is null), 'paid', %s, now())",
            [between],
        )
    dbt_project.run(built, "run", as_of=early)
    dbt_project.run(built, "test", "int_user_purchase_history", as_of=early, options=NO_UNIT_TESTS)
    assert fetch(
        built,
        "select count(*) from intermediate.int_user_purchase_history"
        " where first_purchase_date is null and next_ordered_at is not null",
    ) == [(1,)]


@pytest.mark.long
def test_days_that_a_calendar_gains_or_loses_are_followed(built: Any) -> None:
    """A part of the project may know another calendar before `dim_date` has its days."""
    longer = {"calendar_end": "2102-01-01"}
    with built.connect() as session:
        session.execute(
            "insert into raw.events (event_id, user_id, event_timestamp, event_type, _loaded_at)"
            " select 'far', min(user_id), '2101-03-01 12:00:00+00', 'click', clock_timestamp()"
            " from intermediate.int_user_activity"
        )
    dbt_project.run(built, "run")
    days = "select count(*) from marts.{} where metric_date >= '2101-01-01'"
    marts = ("user_daily_metrics", "active_users")
    assert [fetch(built, days.format(mart)) for mart in marts] == [[(0,)], [(0,)]]
    part = ("staging", "dim_users", "fct_user_events", *marts)
    # The days that are lost are gone from `dim_date` when the marts are computed.
    for variables, count, first in ((longer, 1, part), ({}, 0, ("+dim_date",))):
        dbt_project.run(built, "run", *first, variables=variables)
        dbt_project.run(built, "run", variables=variables)
        assert [fetch(built, days.format(mart)) for mart in marts] == [[(count,)], [(count,)]]
        found = contents(built, ("marts",))
        dbt_project.run(built, "run", *marts, variables=variables, full_refresh=True)
        assert contents(built, ("marts",)) == found
