"""Gross revenue, refunds and revenue mean the same in every mart."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.files import load_csv

AS_OF = "2026-03-01"

# What each mart says of the revenue of everybody; all orders are of known users.
REVENUE = """
    select 'fct_orders', sum(net_amount) from marts.fct_orders
    union all select 'fct_orders, gross less refunded', sum(gross_amount - refunded_amount)
        from marts.fct_orders
    union all select 'daily_revenue', sum(revenue) from marts.daily_revenue
    union all select 'monthly_category_revenue', sum(revenue) from marts.monthly_category_revenue
    union all select 'user_daily_metrics', sum(revenue) from marts.user_daily_metrics
    union all select 'cohort_retention', sum(revenue) from marts.cohort_retention
    union all select 'user_analytics', sum(total_spent) from marts.user_analytics
    union all select 'user_rfm', sum(monetary) from marts.user_rfm
    union all select 'user_clv', sum(historic_value) from marts.user_clv
"""


def load(database: Any, folder: Path, hour: int, orders: str, items: str) -> None:
    """Load users, orders and lines, stamped with an hour of a day."""
    load_csv(
        database,
        folder,
        dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC),
        users="user_id,created_at\nm1,2026-01-01\nm2,2026-01-01\n",
        orders="order_id,user_id,order_status,order_date\n" + orders,
        order_items="order_item_id,order_id,quantity,price_at_purchase\n" + items,
    )


def revenues(database: Any) -> dict[str, Decimal]:
    return dict(fetch(database, REVENUE))


def test_revenue_is_net_everywhere(database: Any, tmp_path: Path) -> None:
    """Five orders of 20, one returned; one of 50 and a refund sent as a completed order of -50."""
    orders = "".join(f"{n},m1,completed,2026-02-0{n} 12:00\n" for n in range(1, 6))
    orders += "6,m2,completed,2026-02-06 12:00\n"
    items = "".join(f"{n},{n},2,10\n" for n in range(1, 6)) + "6,6,1,50\n"
    load(database, tmp_path, 1, orders, items)
    dbt_project.build(database, as_of=AS_OF, options=dbt_project.NO_TESTS)

    assert set(revenues(database).values()) == {Decimal(150)}

    load(
        database,
        tmp_path,
        2,
        "5,m1,refunded,2026-02-05 12:00\n7,m2,completed,2026-02-07 12:00\n",
        "7,7,-1,50\n",
    )
    # The tests of the data compare the marts with each other.
    dbt_project.build(database, as_of=AS_OF, options=dbt_project.NO_UNIT_TESTS)

    assert revenues(database) == dict.fromkeys(revenues(database), Decimal(80))
    days = """
        select revenue_date::text, orders, gross_revenue, refunds, revenue
        from marts.daily_revenue where revenue_date > '2026-02-04' order by 1
    """
    assert fetch(database, days) == [
        ("2026-02-05", 0, 20, 20, 0),
        ("2026-02-06", 1, 50, 0, 50),
        ("2026-02-07", 0, 0, 50, -50),
    ]
    users = """
        select user_id, total_orders, total_spent, refunded_orders, refunded_amount,
            last_ordered_at::date::text
        from marts.user_analytics order by 1
    """
    assert fetch(database, users) == [
        ("m1", 4, 80, 1, 20, "2026-02-04"),
        ("m2", 1, 0, 1, 50, "2026-02-06"),
    ]
    histories = "select user_id, repeat_purchases, recency_weeks from"
    assert fetch(
        database, f"{histories} intermediate.int_user_purchase_history where user_id = 'm2'"
    ) == [("m2", 0, 0)]
    rfm = "select frequency, monetary, last_order_date::text from marts.user_rfm"
    assert fetch(database, f"{rfm} where user_id = 'm2'") == [(1, 0, "2026-02-06")]
    active = "select count(*) from marts.active_users where metric_date = '2026-02-07'"
    assert fetch(database, active) == [(0,)]
    purchases = "select sum(orders), sum(quantity) from marts.monthly_category_revenue"
    assert fetch(database, purchases) == [(5, 9)]
