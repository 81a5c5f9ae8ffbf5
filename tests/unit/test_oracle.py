"""The oracle on inputs with results computed by hand, and the comparison of differing tables."""

from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.support import compare, oracle

AS_OF = dt.date(2024, 3, 31)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def frame(header: str, *lines: str) -> pl.DataFrame:
    """A table as in the files: text only, empty means null."""
    names = header.split(",")
    cells = [[cell or None for cell in line.split(",")] for line in lines]
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")


def users(*lines: str) -> pl.DataFrame:
    return frame("user_id,created_at,_deleted_at", *lines)


def orders(*lines: str) -> pl.DataFrame:
    return frame("order_id,user_id,order_status,order_date,_deleted_at", *lines)


def items(*lines: str) -> pl.DataFrame:
    return frame("order_item_id,order_id,quantity,price_at_purchase,_deleted_at", *lines)


def analytics_of(tables: dict[str, pl.DataFrame], as_of: dt.date = AS_OF) -> dict[str, dict]:
    return {row["user_id"]: row for row in oracle.user_analytics(tables, as_of)}


# --- Money ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        ("2", "1.25", "2.5000"),
        ("0.5", "0.0001", "0.0001"),  # 0.00005, half away from zero
        ("-0.5", "0.0001", "-0.0001"),
        ("0.3", "0.1", "0.0300"),  # a float would give slightly more than 0.03
        ("999999999999", "1.00", "999999999999"),
        ("999999999999", "2", "0"),  # the product is too large
        ("1000000000000", "1", "0"),  # the quantity is too large
        ("1", "-1e12", "0"),
        ("NaN", "1", "0"),
        ("1", "Infinity", "0"),
        (None, "1", "0"),
        ("1", None, "0"),
    ],
)
def test_line_amount(quantity: str | None, price: str | None, amount: str) -> None:
    assert oracle.line_amount(quantity, price) == Decimal(amount)


def test_an_unreadable_number_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="not a number: 'ten'"):
        oracle.parse_number("ten")


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        ("10", 4, "2.50"),
        ("0.01", 2, "0.01"),
        ("-0.01", 2, "-0.01"),
        ("10", 3, "3.33"),
        ("5", 0, "0"),
    ],
)
def test_average(total: str, count: int, expected: str) -> None:
    assert oracle.average(Decimal(total), count) == Decimal(expected)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01 00:30:00+02", at("2023-12-31 22:30:00")),
        ("2024-01-01 00:30:00", at("2024-01-01 00:30:00")),
        ("2024-01-01", at("2024-01-01")),
        ("infinity", None),
        ("-infinity", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_moment(text: str | None, moment: dt.datetime | None) -> None:
    assert oracle.parse_moment(text) == moment


# --- Orders -----------------------------------------------------------------------------------


def test_daily_revenue() -> None:
    tables = {
        "orders": orders(
            "1,a, Completed ,2024-03-01 23:59:59.999999+00,",
            "2,,paid,2024-03-02 00:00:00+00,",  # without a user
            "3,zz,RETURNED,2024-03-02 10:00:00+00,",  # of an unknown user
            "4,a,refunded,2024-03-03 01:00:00+00,",
            "5,a,cancelled,2024-03-04 01:00:00+00,",
            "6,a,never heard of,2024-03-04 01:00:00+00,",
            "7,a,,2024-03-04 01:00:00+00,",
            "8,a,paid,,",
            "9,a,paid,infinity,",
            "10,a,paid,2024-03-05 01:00:00+00,2024-03-06 00:00:00+00",
            "11,a,shipped,2024-03-01 12:00:00+00,",  # without lines
            "12,a,closed,2024-03-06 02:30:00+05:30,",  # the day before, in UTC
            "13,a,paid,2024-03-07 00:00:00+00,",  # a refund, by its sign
        ),
        "order_items": items(
            "1,1,2,10.005,",
            "2,1,1,5,2024-03-02 00:00:00+00",
            "3,2,3,1,",
            "4,3,-2,4,",
            "5,4,1,7.5,",
            "6,unknown,1,1000,",
            "7,10,1,1000,",
            "8,12,1,8,",
            "9,5,1,1000,",
            "10,13,-1,50,",
        ),
    }

    assert oracle.daily_revenue(tables) == [
        {
            "revenue_date": dt.date(2024, 3, day),
            "orders": count,
            "gross_revenue": Decimal(gross),
            "refunds": Decimal(refunds),
            "revenue": Decimal(revenue),
            "avg_order_value": Decimal(mean),
        }
        for day, count, gross, refunds, revenue, mean in [
            (1, 2, "20.01", "0", "20.01", "10.01"),  # 10.005, half away from zero
            (2, 1, "3", "8", "-5", "-5"),
            (3, 0, "7.5", "7.5", "0", "0"),
            (5, 1, "8", "0", "8", "8"),
            (7, 0, "0", "50", "-50", "0"),
        ]
    ]


def test_monthly_category_revenue() -> None:
    first = frame(
        "product_id,category_id,updated_at",
        "tea,drinks,2024-01-01 00:00:00+00",
        "pen,gone,2024-01-01 00:00:00+00",
        "odd,,2024-01-01 00:00:00+00",
    )
    second = frame("product_id,category_id,updated_at", "tea,food,2024-03-15 00:00:00+00")
    products = [(at("2024-01-02"), first), (at("2024-03-20"), second)]
    tables = {
        "categories": frame(
            "category_id,_deleted_at", "drinks,", "food,", "gone,2024-02-01 00:00:00+00"
        ),
        "orders": orders(
            "1,a,paid,2020-03-01 00:00:00+00,",  # before the first load
            "2,a,paid,2024-03-14 23:59:59.999999+00,",
            "3,a,paid,2024-03-15 00:00:00+00,",
            "4,a,returned,2024-03-15 00:00:00+00,",
            "5,a,paid,2024-04-01 00:00:00+00,",
            "6,a,paid,2024-03-31 00:00:00+00,2024-04-02 00:00:00+00",
        ),
        "order_items": frame(
            "order_item_id,order_id,product_id,quantity,price_at_purchase,_deleted_at",
            "1,1,tea,2,1.5,",
            "2,2,tea,1,10,",
            "3,2,tea,0.5,0.0001,",
            "4,3,tea,1,7,",
            "5,3,pen,1,3,",
            "6,3,never heard of,-1,4,",
            "7,3,odd,1,2,",
            "8,3,,1,1,",
            "9,4,tea,9,9,",
            "10,5,tea,1e12,1,",  # no valid amount, so the order has no category revenue
            "11,6,tea,9,9,",
            "12,2,tea,9,9,2024-03-20 00:00:00+00",
            "13,nothing,tea,9,9,",
        ),
    }

    drinks, food = "b77135626742db69d707b9e3149dd155", "62506be34d574da4a0d158a67253ea99"
    assert oracle.monthly_category_revenue(tables, products) == [
        {
            "revenue_month": dt.date.fromisoformat(month),
            "category_key": category,
            "orders": count,
            "quantity": Decimal(quantity),
            "revenue": Decimal(revenue),
        }
        for month, category, count, quantity, revenue in [
            ("2020-03-01", drinks, 1, "2", "3"),
            ("2024-03-01", food, 1, "1", "7"),
            ("2024-03-01", drinks, 1, "1.5", "10.0001"),
            ("2024-03-01", "unknown", 1, "2", "2"),
        ]
    ]


def test_user_analytics() -> None:
    tables = {
        "users": users(
            "a,2024-01-01 00:00:00+00,",
            " b ,,",  # keys are not trimmed
            "gone,2024-01-01 00:00:00+00,2024-02-01 00:00:00+00",
            " ,2024-01-01 00:00:00+00,",
        ),
        "orders": orders(
            "1,a,paid,2024-02-01 10:00:00+00,",
            "2,a,paid,2024-03-31 23:59:59.999999+00,",  # the last moment of the day `as_of`
            "3,a,paid,2024-04-01 00:00:00+00,",
            "4,a,returned,2024-02-05 10:00:00+00,",
            "5,a,pending,2024-02-06 10:00:00+00,",
        ),
        "order_items": items("1,1,1,1,", "2,2,1,2,", "3,3,1,1000,", "4,4,-1,1.5,", "5,5,1,9,"),
        "user_sessions": frame(
            "session_id,user_id,session_start,session_end",
            "1,a,2024-02-01 10:00:00+00,2024-02-01 10:00:01+00",
            "2,a,2024-02-02 10:00:00+00,2024-02-02 10:00:02.005+00",
            "3,a,2024-02-03 10:00:00+00,",
            "4,a,2024-02-04 10:00:00+00,2024-02-04 09:00:00+00",
            "5,a,2024-04-01 00:00:00+00,2024-04-01 09:00:00+00",
            "6,a,,2024-02-04 09:00:00+00",
            "7,a,2024-03-31 23:59:59.999999+00,",
        ),
        "events": frame(
            "event_id,user_id,event_timestamp",
            "1,a,2024-03-01 00:00:00+00",
            "2,a,2024-04-01 00:00:00+00",
            "3,,2024-03-01 00:00:00+00",
            "4,a,",
            "5,a,2024-03-31 23:59:59.999999+00",
        ),
    }

    rows = analytics_of(tables)

    assert list(rows) == ["a", " b "]
    assert rows["a"] == {
        "user_id": "a",
        "total_orders": 2,
        "total_spent": Decimal("1.5"),
        "avg_order_value": Decimal("0.75"),
        "refunded_orders": 1,
        "refunded_amount": Decimal("1.5"),
        "first_ordered_at": at("2024-02-01 10:00:00"),
        "last_ordered_at": at("2024-03-31 23:59:59.999999"),
        "total_sessions": 5,
        "avg_session_duration_seconds": Decimal("1.50"),  # 3.005 / 2 = 1.5025
        "total_events": 2,
        "last_activity_at": at("2024-03-31 23:59:59.999999"),
        "user_segment": "Regular",
        "customer_lifetime_value": Decimal("1.80"),
    }
    assert rows[" b "] == {
        "user_id": " b ",
        "total_orders": 0,
        "total_spent": Decimal(0),
        "avg_order_value": Decimal(0),
        "refunded_orders": 0,
        "refunded_amount": Decimal(0),
        "first_ordered_at": None,
        "last_ordered_at": None,
        "total_sessions": 0,
        "avg_session_duration_seconds": None,
        "total_events": 0,
        "last_activity_at": None,
        "user_segment": "Regular",
        "customer_lifetime_value": Decimal(0),
    }


def test_last_activity_is_the_sign_up_until_something_happens() -> None:
    tables = {"users": users("a,2024-01-01 05:00:00+00,")}

    assert analytics_of(tables)["a"]["last_activity_at"] == at("2024-01-01 05:00:00")


@pytest.mark.parametrize(
    ("spent", "signed_up", "active", "expected"),
    [
        ("1000.0001", "2024-03-31", "2023-01-01", "High Value"),
        ("1000", "2023-01-01", "2024-03-31", "Regular"),
        ("0", "2024-03-02 00:00:00", "2023-01-01", "New"),  # 29 days
        ("0", "2024-03-01 23:59:59", "2024-03-01", "Regular"),  # 30 days
        ("0", "2023-01-01", "2024-01-31", "Regular"),  # 60 days
        ("0", "2023-01-01", "2024-01-30 23:59:59", "At Risk"),  # 61 days
        ("0", None, None, "Regular"),
        ("0", None, "2023-01-01", "At Risk"),
        ("0", "2024-05-01", "2024-05-01", "New"),  # signed up after the day of the build
    ],
)
def test_segment(spent: str, signed_up: str | None, active: str | None, expected: str) -> None:
    moments = [at(text) if text else None for text in (signed_up, active)]

    assert oracle.segment(Decimal(spent), *moments, oracle.end_of_day(AS_OF)) == expected


# --- The history of users ---------------------------------------------------------------------

HEADER = (
    "user_id,email,first_name,last_name,phone,birth_date,country,subscription_tier,"
    "updated_at,_deleted_at"
)


def user(tier: str = "free", updated_at: str = "", deleted_at: str = "", email: str = "") -> str:
    return f"u,{email},,,,,,{tier},{updated_at},{deleted_at}"


def history_of(*loads: tuple[str, str]) -> list[tuple]:
    rows = oracle.user_history((at(stamp), frame(HEADER, line)) for stamp, line in loads)
    return [
        (
            row["effective_date"].isoformat()[:10],
            row["expiry_date"].isoformat()[:10],
            row["is_current"],
            row["is_deleted"],
            row["subscription_tier"],
        )
        for row in rows
    ]


def test_history_of_changes() -> None:
    assert history_of(
        ("2024-01-10", user("free", "2024-01-05")),
        ("2024-01-20", user("plus", "2024-01-15")),
        ("2024-01-30", user("free", "2024-01-25")),
    ) == [
        ("1900-01-01", "2024-01-15", False, False, "free"),
        ("2024-01-15", "2024-01-25", False, False, "plus"),
        ("2024-01-25", "9999-12-31", True, False, "free"),
    ]


def test_a_load_that_changes_nothing_makes_no_version() -> None:
    assert history_of(
        ("2024-01-10", user(" free ", "2024-01-05", email="A@Example.org ")),
        ("2024-01-20", user("free", "2024-01-15", email="a@example.org")),
    ) == [("1900-01-01", "9999-12-31", True, False, "free")]


def test_of_a_key_that_comes_twice_only_the_last_row_is_seen() -> None:
    users_loaded = frame(HEADER, user("plus", "2024-01-04"), user("free", "2024-01-05"))

    (version,) = oracle.user_history([(at("2024-01-10"), users_loaded)])
    assert version["subscription_tier"] == "free"


def test_deleted_and_back_again() -> None:
    assert history_of(
        ("2024-01-10", user("free", "2024-01-05")),
        ("2024-01-20", user("free", "2024-01-05", deleted_at="2024-01-18")),
        ("2024-01-30", user("free", "2024-01-25")),
    ) == [
        ("1900-01-01", "2024-01-18", False, False, "free"),
        ("2024-01-18", "2024-01-25", False, True, "free"),
        ("2024-01-25", "9999-12-31", True, False, "free"),
    ]


@pytest.mark.parametrize("claim", ["2024-01-05", "2024-01-01", "", "2024-02-01"])
def test_a_claim_that_cannot_be_is_believed_from_the_load_only(claim: str) -> None:
    """The same moment as the previous claim, an earlier one, none, and one after the load."""
    assert history_of(
        ("2024-01-10", user("free", "2024-01-05")), ("2024-01-20", user("plus", claim))
    ) == [
        ("1900-01-01", "2024-01-20", False, False, "free"),
        ("2024-01-20", "9999-12-31", True, False, "plus"),
    ]


def test_a_version_overtaken_by_the_next_is_left_out() -> None:
    assert history_of(
        ("2024-01-10", user("free", "2024-01-05")),
        ("2024-01-20", user("plus", "2024-01-01")),  # valid from its load on the 20th
        ("2024-01-30", user("pro", "2024-01-15")),  # later than every claim, but before the 20th
    ) == [
        ("1900-01-01", "2024-01-20", False, False, "free"),
        ("2024-01-20", "9999-12-31", True, False, "pro"),
    ]


def test_a_claim_must_be_later_than_all_before_it() -> None:
    assert history_of(
        ("2024-01-10", user("free", "2024-01-05")),
        ("2024-01-20", user("plus", "2024-01-01")),
        ("2024-01-30", user("pro", "2024-01-03")),  # later than the last claim, not than the first
    ) == [
        ("1900-01-01", "2024-01-20", False, False, "free"),
        ("2024-01-20", "2024-01-30", False, False, "plus"),
        ("2024-01-30", "9999-12-31", True, False, "pro"),
    ]


# --- Reading ----------------------------------------------------------------------------------


def test_reading_a_folder(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "users.csv.gz", "wt", encoding="utf-8") as file:
        file.write('user_id,created_at\n007,2024-01-01 00:00:00+00\n" x ",\n')
    (tmp_path / "events.csv").write_text(
        'event_id,user_id,event_timestamp,properties\n1,007,2024-01-02,"{""a"":1}"\n'
    )

    tables = oracle.read_folder(tmp_path)

    assert sorted(tables) == ["events", "users"]
    assert tables["users"].rows() == [("007", "2024-01-01 00:00:00+00"), (" x ", None)]
    assert [row["total_events"] for row in oracle.user_analytics(tables, AS_OF)] == [1, 0]


def test_rows_that_cannot_be_read_are_left_out() -> None:
    lines = items("1,1,abc,1,", "2,1,1,1,", "3,1,,1,", "4,1,NaN,1,", "5,1,1,1,2024-02-30")

    assert oracle.readable(lines)["order_item_id"].to_list() == ["2", "3", "4"]


def test_parquet_says_the_same_as_text(tmp_path: Path) -> None:
    line = {"order_item_id": 1, "order_id": 7, "quantity": 2, "price_at_purchase": Decimal("1.10")}
    order = {"order_id": 7, "user_id": 1, "order_status": "paid", "order_date": at("2024-03-01")}
    pl.DataFrame([line]).write_parquet(tmp_path / "order_items.parquet")
    pl.DataFrame([order]).write_parquet(tmp_path / "orders.parquet")

    (day,) = oracle.daily_revenue(oracle.read_folder(tmp_path))

    assert (day["revenue_date"], day["revenue"]) == (dt.date(2024, 3, 1), Decimal("2.20"))


def test_the_last_load_of_a_key_stands() -> None:
    first = {"users": frame("user_id,created_at", "a,2024-01-01", "b,2024-01-01")}
    second = {"users": users("a,2024-02-01,2024-02-02 00:00:00+00", "c,2024-02-01,")}

    assert sorted(analytics_of(oracle.latest([first, second]))) == ["b", "c"]


# --- Comparing --------------------------------------------------------------------------------


def test_equal_tables() -> None:
    actual = [{"id": 1, "amount": Decimal("1.0"), "name": None}]
    expected = [{"id": 1, "amount": Decimal("1.0000"), "name": None}]

    assert compare.differences(actual, expected, ["id"]) == []


@pytest.mark.parametrize(
    ("actual", "line"),
    [
        ([], "missing in the mart: id=1, amount=1.00, name=null"),
        (
            [{"id": 1, "amount": Decimal("1.01"), "name": None}],
            "id=1: amount is 1.01, expected 1.00",
        ),
        ([{"id": 1, "amount": None, "name": None}], "id=1: amount is null, expected 1.00"),
        (
            [{"id": 1, "amount": Decimal("1.00"), "name": "None"}],
            "id=1: name is None (str), expected None (NoneType)",
        ),
        (
            [{"id": 1, "amount": 1.0, "name": None}],
            "id=1: amount is 1.0 (float), expected 1.00 (Decimal)",
        ),
        ([{"id": 1, "amount": Decimal(1), "name": None}] * 2, "twice in the mart: id=1"),
        (
            [{"id": 1, "amount": Decimal(1), "name": None}, {"id": 2, "amount": 0, "name": None}],
            "not expected in the mart: id=2, amount=0, name=null",
        ),
    ],
)
def test_every_difference_is_named(actual: list[dict], line: str) -> None:
    expected = [{"id": 1, "amount": Decimal("1.00"), "name": None}]

    assert compare.differences(actual, expected, ["id"]) == [line]
    with pytest.raises(AssertionError, match="m: 1 differences"):
        compare.assert_same(actual, expected, ["id"], "m")
