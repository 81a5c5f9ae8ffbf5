"""Amounts in several currencies: added up with a warning, kept apart, or converted."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.files import load_csv
from tests.support.relations import contents

AS_OF = "2026-03-01"
TABLES = ["users", "orders", "order_items", "exchange_rates"]
EURO = {"reporting_currency": "EUR", "sources_present": TABLES}
TEST = "amounts_are_in_one_currency"
REVENUE = """
    select 'daily_revenue', sum(revenue) from marts.daily_revenue
    union all select 'monthly_category_revenue', sum(revenue) from marts.monthly_category_revenue
    union all select 'user_analytics', sum(total_spent) from marts.user_analytics
    union all select 'user_rfm', sum(monetary) from marts.user_rfm
"""


def load(database: Any, folder: Path, hour: int, **tables: str) -> None:
    """Load tables, stamped with an hour of a day; rates alone are complete."""
    stamp = dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC)
    load_csv(database, folder, stamp, complete=len(tables) == 1, **tables)


def revenue(database: Any) -> set[Decimal]:
    return {amount for _, amount in fetch(database, REVENUE)}


@pytest.mark.parametrize(
    "tests", [TEST, pytest.param("test_type:data", marks=pytest.mark.long)], ids=["one", "all"]
)
def test_several_currencies(database: Any, tmp_path: Path, tests: str) -> None:
    """EUR 100 and JPY 10,000 on one day, and rates that come, change and go."""
    log = dbt_project.scratch() / "logs" / "dbt.log"

    def build(*select: str, variables: dict[str, Any] = EURO) -> tuple[str, str]:
        """The status of the test of currencies, and the warnings of dbt's log."""
        log.unlink(missing_ok=True)
        given = {"as_of": AS_OF, "variables": variables}
        dbt_project.build(database, *select, options=dbt_project.NO_TESTS, **given)
        warnings_only = ("--log-level-file", "warn")
        results = dbt_project.run(database, "test", tests, options=warnings_only, **given)
        (status,) = (str(each.status) for each in results if each.node.name == TEST)
        return status, " ".join(log.read_text().split()) if log.is_file() else ""

    load(
        database,
        tmp_path,
        1,
        users="user_id,created_at\ne,2025-01-01\nj,2025-01-01\n",
        orders="order_id,user_id,order_status,currency,order_date\n"
        "1,e,paid,EUR,2026-02-02 12:00\n2,j,paid,jpy,2026-02-02 12:00\n",
        order_items="order_item_id,order_id,quantity,price_at_purchase\n1,1,1,100\n2,2,1,10000\n",
    )
    status, warnings = build(variables={"sources_present": TABLES[:-1]})
    assert status == "warn"
    assert (
        "as they are: EUR (1), JPY (1) orders. Load exchange_rates, add it to the variable"
        " sources_present and set reporting_currency, or use" in warnings
    )
    assert revenue(database) == {Decimal(10100)}
    assert fetch(
        database, "select currency, revenue from marts.daily_revenue_by_currency order by 1"
    ) == [("EUR", 100), ("JPY", 10000)]

    # The rate is older than the order, but still valid.
    load(
        database,
        tmp_path,
        2,
        exchange_rates="exchange_rate_id,currency,rate_date,rate\na,JPY,2026-01-20,0.0062\n",
    )
    assert build()[0] == "pass"
    assert revenue(database) == {Decimal(162)}
    assert fetch(database, "select user_segment from marts.user_segments order by user_id") == [
        ("Regular",),
        ("Regular",),
    ]

    # A later rate of a day before the order replaces it, without a change of any order.
    load(
        database,
        tmp_path,
        3,
        exchange_rates="exchange_rate_id,currency,rate_date,rate\n"
        "a,JPY,2026-01-20,0.0062\nb,JPY,2026-02-01,0.0070\nc,JPY,2026-02-03,1\n",
    )
    assert build("fct_exchange_rates+")[0] == "pass"
    assert revenue(database) == {Decimal(170)}

    # All valid rates are deleted: the order counts with 0, and the build says so.
    load(
        database,
        tmp_path,
        4,
        exchange_rates="exchange_rate_id,currency,rate_date,rate\n"
        "a,JPY,2025-12-01,0.0062\nc,JPY,2026-02-03,1\n",
    )
    status, warnings = build()
    assert status == "warn"
    assert "count with an amount of 0: JPY (1)" in warnings
    assert revenue(database) == {Decimal(100)}

    incremental = contents(database)
    dbt_project.build(
        database,
        as_of=AS_OF,
        options=[*dbt_project.NO_TESTS, "--full-refresh"],
        variables=EURO,
    )
    assert contents(database) == incremental

    # Rates in dollars convert nothing into euros.
    load(
        database,
        tmp_path,
        5,
        exchange_rates="exchange_rate_id,currency,rate_date,rate\n"
        "a,EUR,2026-01-20,1.08\nb,USD,2026-01-20,1\n",
    )
    with pytest.raises(dbt_project.DbtFailed, match="the_reporting_currency_is_worth_one"):
        dbt_project.build(
            database,
            "fct_exchange_rates",
            as_of=AS_OF,
            options=dbt_project.NO_UNIT_TESTS,
            variables=EURO,
        )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({**EURO, "reporting_currency": "euro"}, "reporting_currency is 'euro'; it takes an ISO"),
        ({"reporting_currency": "EUR"}, "sources_present lacks 'exchange_rates'"),
        ({**EURO, "exchange_rate_valid_days": 0}, "exchange_rate_valid_days is '0'; it takes"),
        ({**EURO, "exchange_rate_valid_days": "31"}, "exchange_rate_valid_days"),
    ],
)
def test_wrong_variables_are_refused(
    sample_warehouse: Any, variables: dict[str, Any], said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        dbt_project.run(
            sample_warehouse, "compile", "fct_orders", "fct_exchange_rates", variables=variables
        )
