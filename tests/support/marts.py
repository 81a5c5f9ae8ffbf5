"""Checks all marts of a warehouse against the oracle."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from tests.support import compare, dbt_project, oracle

LOADED_AT = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


Loads = Sequence[tuple[dt.datetime, pl.DataFrame]]


def check_history(database: Any, loads: Loads, what: str) -> None:
    """Check that dim_users equals the oracle's history: complete, no gaps, one current row each."""
    compare.assert_mart(
        database,
        "marts.dim_users",
        oracle.user_history(loads),
        ["user_id", "effective_date"],
        where="user_id is not null",
        what=what,
    )
    columns = ["user_id", "effective_date", "expiry_date", "is_current"]
    rows = compare.fetch(database, "marts.dim_users", columns)
    rows = [row for row in rows if row["user_id"] is not None]  # without the unknown member
    rows.sort(key=lambda row: (row["user_id"], row["effective_date"]))
    for user_id, versions in itertools.groupby(rows, lambda row: row["user_id"]):
        versions = list(versions)
        who = f"{what}: dim_users, user_id={user_id}"
        assert versions[0]["effective_date"] == oracle.BEGINNING_OF_TIME, f"{who}: begins late"
        assert versions[-1]["expiry_date"] == oracle.END_OF_TIME, f"{who}: ends early"
        current = [version["is_current"] for version in versions]
        assert current == [False] * (len(versions) - 1) + [True], f"{who}: is_current is {current}"
        for before, after in itertools.pairwise(versions):
            assert before["expiry_date"] == after["effective_date"], f"{who}: a gap or an overlap"


def funnel_steps() -> dict[str, int]:
    """The funnel step of each event type, from the project's seed."""
    with (dbt_project.ROOT / "seeds" / "event_types.csv").open(newline="") as file:
        return {
            row["event_type"]: int(row["funnel_step"])
            for row in csv.DictReader(file)
            if row["funnel_step"]
        }


def check_marts(
    database: Any,
    tables: dict[str, pl.DataFrame],
    as_of: dt.date,
    what: str,
    products: Loads | None = None,
) -> None:
    """Compare every mart that the oracle computes, and report all differences at once.

    Args:
        database: the warehouse.
        tables: the tables as they are at the source.
        as_of: the day of the build.
        what: a prefix for each difference.
        products: all loads of products; None if each product was loaded once.
    """
    what = f"{what}, as of {as_of}"
    if products is None:
        products = [(LOADED_AT, tables["products"])] if "products" in tables else []
    analytics = oracle.user_analytics(tables, as_of)
    histories = oracle.purchase_history(tables, as_of)
    expected = [
        ("marts.user_analytics", analytics, ["user_id"]),
        ("marts.user_segments", oracle.user_segments(analytics), ["user_id"]),
        ("marts.user_rfm", oracle.user_rfm(tables, as_of), ["user_id"]),
        ("marts.user_clv", oracle.user_clv(analytics, histories, as_of), ["user_id"]),
        (
            "intermediate.int_user_purchase_history",
            oracle.int_user_purchase_history(tables, as_of),
            ["user_id"],
        ),
        ("marts.daily_revenue", oracle.daily_revenue(tables), ["revenue_date"]),
        (
            "marts.monthly_category_revenue",
            oracle.monthly_category_revenue(tables, products),
            ["revenue_month", "category_key"],
        ),
        (
            "marts.cohort_retention",
            oracle.cohort_retention(tables, as_of),
            ["cohort_month", "months_since"],
        ),
        ("marts.active_users", oracle.active_users(tables), ["metric_date"]),
        (
            "marts.event_funnel",
            oracle.event_funnel(tables, funnel_steps()),
            ["funnel_month", "funnel_step"],
        ),
    ]
    complaints = []
    for relation, rows, key in expected:
        if not rows:
            assert compare.fetch(database, relation, key) == [], f"{what}: {relation}"
            continue
        try:
            compare.assert_mart(database, relation, rows, key, what=what)
        except AssertionError as difference:
            complaints.append(str(difference))
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)
