"""The integrity tests find a fault in each table that they compare."""

from __future__ import annotations

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do

COHORTS = "horizontal_cohorts_have_the_users_and_their_revenue"
FUNNELS = "horizontal_funnels_begin_with_the_events_and_get_narrower"
ACTIVE_USERS = "horizontal_active_users_agree_with_the_days"
PARTITIONS = "vertical_events_are_in_the_partition_of_their_month"
ROWS = "vertical_facts_and_quarantine_have_every_staged_row"

A_COHORT = (
    "where (cohort_month, months_since) ="
    " (select cohort_month, months_since from marts.cohort_retention limit 1)"
)
A_BUYER = (
    "where user_id = (select user_id from intermediate.int_user_months where revenue > 0 limit 1)"
)
FIRST_MONTH = "where funnel_month = (select min(funnel_month) from marts.event_funnel)"
FIRST_STEP = "funnel_step = (select min(funnel_step) from intermediate.int_user_funnel_steps)"
LATEST = (
    "where metric_date ="
    " (select max(metric_date) from marts.active_users where metric_date <= current_date)"
)
A_PARTITION = (
    "select inhrelid::regclass from pg_inherits"
    " where inhparent = 'marts.fct_user_events'::regclass and inhrelid::regclass::text ~ '_p?20'"
    " limit 1"
)

FAULTS = (
    (COHORTS, f"update marts.cohort_retention set active_users = active_users + 1 {A_COHORT}"),
    (COHORTS, f"update marts.cohort_retention set users = users + 1 {A_COHORT}"),
    (COHORTS, f"update marts.cohort_retention set revenue = revenue + 1 {A_COHORT}"),
    (COHORTS, f"delete from marts.cohort_retention {A_COHORT}"),
    (COHORTS, f"update intermediate.int_user_months set revenue = revenue + 1 {A_BUYER}"),
    (COHORTS, f"update intermediate.int_user_months set cohort_month = '1999-01-01' {A_BUYER}"),
    (COHORTS, f"delete from intermediate.int_user_months {A_BUYER}"),
    (COHORTS, f"update marts.user_daily_metrics set is_active = not is_active {A_BUYER}"),
    (FUNNELS, f"update marts.event_funnel set users = users + 1 {FIRST_MONTH} and funnel_step = 1"),
    (FUNNELS, f"delete from marts.event_funnel {FIRST_MONTH}"),
    (
        FUNNELS,
        f"delete from intermediate.int_user_funnel_steps where {FIRST_STEP}"
        " and user_id = (select min(user_id) from intermediate.int_user_funnel_steps)",
    ),
    (
        FUNNELS,
        "insert into intermediate.int_user_funnel_steps"
        " (user_id, funnel_month, funnel_step, reached_at)"
        " select 'nobody', funnel_month, funnel_step, reached_at"
        f" from intermediate.int_user_funnel_steps where {FIRST_STEP} limit 1",
    ),
    (
        FUNNELS,
        "delete from marts.fct_user_events where user_id ="
        " (select min(user_id) from intermediate.int_user_funnel_steps)",
    ),
    *(
        (ACTIVE_USERS, f"update marts.active_users set {column} = {column} + 1 {LATEST}")
        for column in ("daily_active_users", "weekly_active_users", "monthly_active_users")
    ),
    (
        ACTIVE_USERS,
        "update marts.active_users set daily_active_users = daily_active_users + 1"
        " where metric_date = (select min(metric_date) from marts.active_users)",
    ),
    (
        PARTITIONS,
        f"do $$ begin execute format('alter table %s rename to renamed', ({A_PARTITION})); end $$",
    ),
    (
        PARTITIONS,
        "create table marts.fct_user_events_2090_01_1 partition of marts.fct_user_events"
        " for values from ('2090-01-01 00:00+00') to ('2090-03-01 00:00+00')",
    ),
    *(
        (ROWS, f"delete from marts.{table} where {key} = (select min({key}) from marts.{table})")
        for table, key in (("fct_user_events", "event_id"), ("fct_orders", "order_id"))
    ),
    (
        ROWS,
        "update marts.fct_payments set payment_id = 'other'"
        " where payment_id = (select min(payment_id) from marts.fct_payments)",
    ),
    (
        ROWS,
        "update marts.fct_order_items set order_item_id = (select row_key from"
        " quarantine.excluded_rows where table_name = 'order_items' limit 1)"
        " where order_item_id = (select min(order_item_id) from marts.fct_order_items)",
    ),
)


# dbt would ask all other tests of the models too.
ALONE = ("--indirect-selection", "empty")


def verdict(database: Database, *names: str) -> str:
    """What fails; nothing if all of the tests pass."""
    try:
        dbt_project.run(database, "test", *names)
    except dbt_project.DbtFailed as failed:
        return str(failed)
    return ""


def test_the_sample_has_no_fault(built: Database) -> None:
    assert verdict(built, COHORTS, FUNNELS, ACTIVE_USERS, PARTITIONS, ROWS) == ""


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_fault_is_found(built: Database, name: str, fault: str) -> None:
    do(built, fault)
    assert name in verdict(built, name)


def test_a_row_that_quarantine_lacks_is_found(built: Database) -> None:
    view = ask(built, "select pg_get_viewdef('quarantine.excluded_rows'::regclass)")[:-1]
    do(
        built,
        "create or replace view quarantine.excluded_rows as"
        f" select * from ({view}) as excluded where table_name != 'orders'",
    )
    assert ROWS in verdict(built, ROWS)


def test_what_dbt_test_found_is_asked_until_it_passes(built: Database) -> None:
    """A build asks of what changed, and a row that was deleted from raw leaves no trace."""

    def builds() -> str:
        try:
            dbt_project.run(built, "build", f"+{ROWS}", options=ALONE)
        except dbt_project.DbtFailed as failed:
            return str(failed)
        return ""

    assert builds() == ""
    do(
        built,
        "create table kept as select * from raw.payments where payment_id ="
        " (select payment_id from marts.fct_payments limit 1)",
        "delete from raw.payments where payment_id in (select payment_id from kept)",
    )
    assert ROWS in verdict(built, ROWS)
    assert ROWS in builds()
    do(built, "insert into raw.payments select * from kept")
    assert builds() == ""
