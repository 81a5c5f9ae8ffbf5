"""A build stops before it leaves out or gives up many rows of a table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do
from warehouse.contract import read
from warehouse.load import target

NO_TESTS = dbt_project.NO_TESTS
STRICTLY = {"accept_excluded": False}
LINES = (
    "insert into raw.order_items (order_item_id, order_id, quantity, price_at_purchase, _loaded_at)"
    " select '{prefix}' || number, {order}, 1, {price}, now()"
    " from generate_series(1, {count}) as number"
)


def build_lines(database: Any, **variables: Any) -> None:
    """Build the staging view of order lines."""
    chosen = {**STRICTLY, **variables}
    dbt_project.build(database, "stg_app__order_items", variables=chosen, options=NO_TESTS)


def test_a_table_whose_rows_are_excluded_stops_the_build(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect() as session:
        session.autocommit = True
        target.create(session, read())
    # `warehouse build` sets this variable; plain dbt warns.
    monkeypatch.setenv("WAREHOUSE_REQUIRES_ROWS", "1")
    users = ("stg_app__users", "stg_app__orders")
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.build(database, *users, variables=STRICTLY, options=NO_TESTS)
    assert "raw.users has no rows, so that most marts are empty. Load it" in str(failure.value)
    assert "raw.orders has no rows" in str(failure.value)
    dbt_project.build(database, *users, options=NO_TESTS)
    monkeypatch.delenv("WAREHOUSE_REQUIRES_ROWS")
    dbt_project.build(database, *users, variables=STRICTLY, options=NO_TESTS)
    do(database, "drop view staging.stg_app__users, staging.stg_app__orders")
    do(
        database,
        "insert into raw.orders (order_id, order_date, _loaded_at) values ('o', now(), now())",
        LINES.format(prefix="good", order="'o'", price=1, count=10),
        LINES.format(prefix="free", order="'o'", price="null", count=60),
        LINES.format(prefix="lost", order="'of ' || number", price=1, count=30),
    )
    for _ in range(2):  # a second build does not take what the first one refused
        with pytest.raises(dbt_project.DbtFailed) as failure:
            build_lines(database)
        said = " ".join(str(failure.value).split())
        assert (
            "raw.order_items: 90 of 100 rows are excluded from the marts; allowed are 10.0 %"
            " (variable max_excluded_share). - 60 rows: price_at_purchase is missing or no amount,"
            " for example order_item_id free1 - 30 rows: its order_id is not in orders, for example"
            " order_item_id lost1 Correct"
        ) in said
    assert ask(database, "select count(*) from pg_views where schemaname = 'staging'") == 0
    build_lines(database, max_excluded_share=0.9)
    build_lines(database, accept_excluded=True)


def test_a_daily_build_counts_what_was_loaded_since(built: Any) -> None:
    build_lines(built)
    order = ask(built, "select min(order_id) from marts.fct_orders")
    few = LINES.format(prefix="few", order=f"'{order}'", price="null", count=15)
    do(built, few)
    build_lines(built)
    do(built, LINES.format(prefix="many", order=f"'{order}'", price="null", count=15))
    with pytest.raises(dbt_project.DbtFailed, match=r"30 of 30 rows loaded since 20.*are excluded"):
        build_lines(built)


def test_a_full_refresh_does_not_halve_a_fact(built: Any) -> None:
    """Unless the lost rows are deleted ones, which staging still has."""
    payments = "select count(*) from marts.fct_payments"
    before = ask(built, payments)
    strictly = {"allow_loss": False, "accept_excluded": False}

    def refresh(**variables: Any) -> None:
        given = {**strictly, **variables}
        chosen = ("stg_app__payments", "fct_payments")
        dbt_project.build(built, *chosen, variables=given, options=NO_TESTS, full_refresh=True)

    refresh()
    do(built, "update raw.payments set _deleted_at = now(), _loaded_at = now()")
    refresh()
    assert ask(built, payments) == 0
    do(built, "update raw.payments set _deleted_at = null, _loaded_at = now()")
    refresh()
    do(built, "delete from raw.payments where hashtext(payment_id) % 2 = 0")
    left = ask(built, "select count(*) from raw.payments")
    message = rf"fct_payments: the full refresh would leave \d+ of {before} rows; \d+ are no longer"
    with pytest.raises(dbt_project.DbtFailed, match=message):
        refresh()
    assert ask(built, payments) == before
    refresh(full_refresh_max_loss=0.9)
    assert ask(built, payments) <= left < before
