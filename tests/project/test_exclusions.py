"""A build stops before it leaves out or gives up many rows of a table."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.files import load_csv
from tests.support.small_project import run, write_project
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

    # A table without rows when the marts read it counts whole, however old its rows are.
    old = LINES.format(prefix="old", order=f"'{order}'", price="null", count=5000)
    do(built, old, "update raw.order_items set _loaded_at = '2020-01-01' where quantity = 1")
    build_lines(built)
    do(built, "update observability.watermarks set loaded_through = null")
    with pytest.raises(dbt_project.DbtFailed, match=r" rows are excluded"):
        build_lines(built)


def test_rows_that_a_build_accepted_do_not_stop_the_next_one(built: Any) -> None:
    """Also in tables whose readers compare them as a whole: a dimension and a snapshot."""
    for table, key, long in (
        ("categories", "category_id", "parent_id"),
        ("products", "product_id", "category_id"),
    ):
        do(
            built,
            f"insert into raw.{table} ({key}, {long}, _loaded_at)"
            " select 'long ' || n, repeat('x', 2001), now() from generate_series(1, 500) as n",
        )
    chosen = ("stg_app__categories", "dim_categories", "stg_app__products", "snp_app__products")
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.build(built, *chosen, variables=STRICTLY, options=NO_TESTS)
    assert "500 rows: parent_id is too long" in str(failure.value)
    assert "500 rows: category_id is too long" in str(failure.value)
    dbt_project.build(built, *chosen, options=NO_TESTS)
    dbt_project.build(built, *chosen, variables=STRICTLY, options=NO_TESTS)


OWN_SOURCES = """
version: 2
sources:
  - name: app
    schema: shop
    tables:
      - name: orders
        identifier: purchases
        columns: [{name: id, data_type: text}]
      - name: order_items
        config: {meta: {primary_key: line, parent: {table: orders, column: order_id}}}
        columns: [{name: line, data_type: text}, {name: purchase, data_type: text}]
models:
  - name: stg_app__order_items
    columns: [{name: order_item_id}, {name: exclusion_reason}]
"""
OWN_MODELS = {
    "staging/sources.yml": OWN_SOURCES,
    "staging/stg_app__orders": "{{ config(materialized='view') }}"
    " select id as order_id from {{ source('app', 'orders') }}",
    "staging/stg_app__order_items": "{{ config(materialized='view') }}"
    " select line as order_item_id, purchase as order_id, false as is_deleted,"
    " null::text as exclusion_reason, now() as _loaded_at from {{ source('app', 'order_items') }}",
}


def test_lines_of_a_project_that_renames_columns_in_staging(database: Any, tmp_path: Path) -> None:
    project = write_project(tmp_path / "own", OWN_MODELS)
    do(
        database,
        "create schema shop",
        "create table shop.purchases as select '1' as id",
        "create table shop.order_items as select n::text as line, n::text as purchase"
        " from generate_series(1, 30) as n",
    )
    # Without the view of the orders nothing is known of them.
    run(database, project, "stg_app__order_items", variables=STRICTLY)
    run(database, project, "stg_app__orders", variables=STRICTLY)
    with pytest.raises(dbt_project.DbtFailed) as failure:
        run(database, project, "stg_app__order_items", variables=STRICTLY)
    said = " ".join(str(failure.value).split())
    assert "29 of 30 rows are excluded" in said
    assert "- 29 rows: its order_id is not in orders Correct" in said


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


def test_unknown_statuses_stop_the_build_with_a_list(built: Any) -> None:
    """Without revenue, every mart would be green and wrong."""
    facts = ("fct_orders", "fct_payments")
    chosen = ("stg_app__orders", "stg_app__payments", *facts)

    def build(**variables: Any) -> None:
        chosen_variables = {**STRICTLY, **variables}
        dbt_project.build(built, *chosen, variables=chosen_variables, options=NO_TESTS)

    do(built, *(f"drop table marts.{fact} cascade" for fact in facts))
    do(
        built,
        "update raw.orders set order_status = 'Geliefert', _loaded_at = now()",
        "update raw.orders set order_status = 'Bezahlt'"
        " where order_id in (select order_id from raw.orders order by order_id limit 10)",
    )
    with pytest.raises(dbt_project.DbtFailed) as failure:
        build()
    said = " ".join(str(failure.value).split())
    assert re.search(
        r"fct_orders: (\S+) of \1 rows have no order_status of seeds/order_statuses.csv, so that"
        r" they count for no revenue; allowed are 10.0 % \(variable max_excluded_share\):"
        r" geliefert \(\S+\), bezahlt \(\d+\)\. Say in the seed what each status means",
        said,
    ), said
    assert ask(built, "select to_regclass('marts.fct_orders') is null")
    build(accept_excluded=True)
    build()
    do(built, "update raw.payments set payment_status = null, _loaded_at = now()")
    with pytest.raises(
        dbt_project.DbtFailed,
        match=r"no payment_status of seeds/payment_statuses.csv, so that they count as not paid;"
        r".*: null \(\d+\)\.",
    ):
        build()
    build(accept_excluded=True)

    # A later build judges what it writes: 15 orders are few, 25 of 30 are not.
    some = "update raw.orders set order_status = '{}', _loaded_at = now() where order_id in ({})"
    orders = "select order_id from raw.orders order by order_id limit {}"
    do(built, some.format("paid", orders.format(30)))
    build()
    do(built, some.format("sent", orders.format(15)))
    build()
    do(built, some.format("lost", orders.format(25)), some.format("paid", orders.format(5)))
    with pytest.raises(dbt_project.DbtFailed, match=r"20 of 25 rows of this build.*: lost \(20\)"):
        build()
    assert ask(built, "select count(*) from marts.fct_orders where order_status = 'lost'") == 0


def test_statuses_are_those_of_the_seed_that_the_model_reads(built: Any, tmp_path: Path) -> None:
    """With --defer, the seed is in the schemas of another target."""
    files = ("--write-json", "--target-path", str(tmp_path))
    dbt_project.run(built, "compile", "fct_orders", options=files)
    ci = Database(built.name, {**built.environment, "DBT_TARGET": "ci"})
    deferred = (*NO_TESTS, "--defer", "--state", str(tmp_path))

    def build(**options: Any) -> None:
        facts = ("fct_orders", "fct_payments")
        dbt_project.build(ci, *facts, variables=STRICTLY, options=deferred, **options)

    build()
    assert ask(ci, "select to_regclass('ci_staging.order_statuses') is null")
    do(built, "update raw.orders set order_status = 'sent', _loaded_at = now()")
    with pytest.raises(dbt_project.DbtFailed, match=r"no order_status of seeds/.*: sent \("):
        build(full_refresh=True)


CODED = """
{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    unique_key='line',
    meta={'known_values': {'code': 'codes'}},
) }}
{%- set keys = changed_keys('order_id') %}
select
    lines.line,
    lines.order_id,
    lines.code
from {{ ref('stg_lines') }} as lines
left join {{ ref('codes') }} as codes on lines.code = codes.code
where {{ is_changed(keys, 'lines.order_id') }}
"""
LINES_OF_ORDERS = """
{{ config(materialized='view') }}
select line, order_id, code, _loaded_at, xmin::text::bigint as _row_xid from shop.lines
"""


def test_unknown_values_are_those_of_the_keys_of_the_run(database: Any, tmp_path: Path) -> None:
    """Keys may be fewer columns than the unique key, and the seed may be replaced by a model."""
    project = write_project(
        tmp_path / "own",
        {
            "staging/stg_lines": LINES_OF_ORDERS,
            "codes": "{{ config(materialized='table') }} select 'a' as code, 1 as order_id",
            "coded": CODED,
        },
    )
    do(
        database,
        "create schema shop",
        "create table shop.lines as select n as line, n / 10 as order_id, 'a' as code,"
        " now() as _loaded_at from generate_series(1, 1000) as n",
    )
    run(database, project, variables=STRICTLY)
    do(
        database,
        "update shop.lines set code = 'b\n' || line % 2, _loaded_at = now() where order_id < 3",
    )
    with pytest.raises(
        dbt_project.DbtFailed,
        match=r"29 of 29 rows of this build .*, so that their meaning is unknown;"
        r".*: b 1 \(15\), b 0 \(14\)\.",
    ):
        run(database, project, variables=STRICTLY)
    run(database, project)


def test_a_first_build_says_what_empties_a_mart(database: Any, tmp_path: Path) -> None:
    """A column that is null everywhere is no error of a row, and no other test finds it."""
    log = dbt_project.scratch() / "logs" / "dbt.log"
    facts = ("orders", "user_events", "user_sessions", "payments")

    def orders(user_id: str) -> str:
        rows = "".join(f"{n},{user_id},paid,2026-02-02\n" for n in range(1, 21))
        return "order_id,user_id,order_status,order_date\n" + rows

    def load(day: int, **tables: str) -> None:
        stamp = dt.datetime(2026, 3, day, tzinfo=dt.UTC)
        load_csv(database, tmp_path, stamp, **tables)

    def build(*options: str, **variables: Any) -> str:
        """The warnings of a build of all facts."""
        log.unlink(missing_ok=True)
        dbt_project.build(
            database,
            *(f"+fct_{fact}" for fact in facts),
            variables={**STRICTLY, **variables},
            options=(*NO_TESTS, "--log-level-file", "warn", *options),
        )
        return " ".join(log.read_text().split()) if log.is_file() else ""

    load(
        1,
        users="user_id,created_at\nu,\n",
        orders=orders(""),
        events="event_id,user_id,event_type,event_timestamp\n1,,page_view,2026-02-02\n",
        user_sessions="session_id,user_id,session_start\n1,,2026-02-02\n",
        payments="payment_id,order_id,payment_status,amount,paid_at\n1,,paid,1,2026-02-02\n",
    )
    without_user = "fct_orders: none of 20 rows has a user of users (orders.user_id), so that no"
    without_amount = "fct_orders: none of 20 rows has an amount (quantity and price_at_purchase of"
    with pytest.raises(dbt_project.DbtFailed) as failure:
        build()
    said = " ".join(str(failure.value).split())
    assert f"{without_user} user has an order. Correct the table or its mapping" in said
    load(2, orders=orders("u"))
    with pytest.raises(dbt_project.DbtFailed) as failure:
        build()
    said = " ".join(str(failure.value).split())
    assert without_amount in said
    assert without_user not in said
    load(3, order_items="order_item_id,order_id,quantity,price_at_purchase\n1,1,1,10\n")
    do(database, "drop table if exists marts.dim_users, marts.fct_user_sessions cascade")
    do(database, "drop table if exists marts.fct_user_events, marts.fct_payments cascade")
    warnings = build()
    for said in (
        "dim_users: none of 1 rows has a sign-up date (users.created_at), so that cohort_retention",
        "fct_user_events: none of 1 rows has a user of users (events.user_id), so that",
        "fct_user_sessions: none of 1 rows has a user of users (user_sessions.user_id), so that no",
        "fct_payments: none of 1 rows has an order (payments.order_id), so that no order is paid",
    ):
        assert warnings.count(said) == 1, said
    assert "fct_orders" not in warnings

    # The seed knows these types, but no funnel begins with them.
    load(
        4,
        events="event_id,user_id,event_type,event_timestamp\n1,u,purchase,2026-02-02\n"
        "2,u,purchase,2026-02-02\n3,u,Kauf,2026-02-02\n",
    )
    assert "event_funnel" not in build()  # a daily build does not read the history
    assert (
        "fct_user_events: none of 3 rows has an event type of the first funnel_step in"
        " seeds/event_types.csv, so that event_funnel is empty: purchase (2), kauf (1) (docs"
    ) in build("--full-refresh", full_refresh_max_loss=1)
    load(5, events="event_id,user_id,event_type,event_timestamp\n4,u,page_view,2026-02-02\n")
    assert "event_funnel" not in build("--full-refresh", full_refresh_max_loss=1)
