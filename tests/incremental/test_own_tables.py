"""A company's own raw tables, not created by `warehouse load`, with keys of any type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.keys import KEYS

AS_OF = "2025-06-03"
STAGING = dbt_project.ROOT / "models" / "staging" / "app"

# Every primary key and every reference to it is a number or a uuid.
RAW = """
create schema raw;
create table raw.users (
    user_id bigint primary key, email varchar(100), first_name text, last_name text, phone text,
    birth_date date, country char(2), subscription_tier text, created_at timestamptz,
    updated_at timestamptz, last_login_at timestamptz
);
create table raw.categories (
    category_id smallint primary key, parent_id smallint, category_name text,
    updated_at timestamptz
);
create table raw.products (
    product_id bigint primary key, category_id smallint, product_name text, description text,
    unit_price numeric(10, 2), created_at timestamptz, updated_at timestamptz
);
create table raw.orders (
    order_id bigint primary key, user_id bigint, order_status varchar(20), currency char(3),
    order_date timestamptz, updated_at timestamptz
);
create table raw.order_items (
    order_item_id bigint primary key, order_id bigint, product_id bigint, quantity integer,
    price_at_purchase numeric(10, 2), updated_at timestamptz
);
create table raw.payments (
    payment_id uuid primary key, order_id bigint, payment_method text, payment_status text,
    amount numeric(10, 2), paid_at timestamptz, updated_at timestamptz
);
create table raw.user_sessions (
    session_id uuid primary key, user_id bigint, visitor_id uuid, session_start timestamptz,
    session_end timestamptz, device text, updated_at timestamptz
);
create table raw.events (
    event_id uuid primary key, user_id bigint, session_id uuid, event_type text,
    event_timestamp timestamptz, page_url text, referrer_url text, properties jsonb
);
create table raw.consents (
    consent_id integer primary key, user_id bigint, purpose text, is_granted boolean,
    recorded_at timestamptz
);
create table raw.erasure_requests (
    request_id uuid primary key, user_id bigint, requested_at timestamptz
);
"""


STAMPS = """
alter table raw.{table}
    add _loaded_at timestamptz not null default '2025-06-01', add _deleted_at timestamptz;
create index on raw.{table} (({key}::text));
create index on raw.{table} (_loaded_at);
"""

EVENT = "e0000000-0000-4000-8000-00000000000{}"
SESSION = "50000000-0000-4000-8000-00000000000{}"
PAYMENT = "b0000000-0000-4000-8000-00000000000{}"

ROWS = f"""
insert into raw.users (user_id, email, country, subscription_tier, created_at, updated_at) values
    (1, 'ada@example.org', 'GB', 'pro', '2025-01-01', '2025-01-01'),
    (2, 'bo@example.org', 'NL', 'free', '2025-05-25', '2025-05-25'),
    (9007199254740993, 'cy@example.org', 'DE', 'free', '2025-02-01', '2025-02-01');
insert into raw.categories (category_id, parent_id, category_name) values
    (1, null, 'Drinks'), (2, 1, 'Tea');
insert into raw.products (product_id, category_id, product_name, unit_price, updated_at) values
    (7, 2, 'Green tea', 10.50, '2025-01-01'), (8, 1, 'Water', 5, '2025-01-01');
insert into raw.orders (order_id, user_id, order_status, currency, order_date, updated_at) values
    (101, 1, 'shipped', 'EUR', '2025-05-01 12:00+00', '2025-05-01'),
    (102, 1, 'completed', 'EUR', '2025-05-20 12:00+00', '2025-05-20'),
    (103, 9007199254740993, 'returned', 'EUR', '2025-03-01 12:00+00', '2025-03-01'),
    (104, null, 'paid', 'EUR', '2025-05-02 12:00+00', '2025-05-02');
insert into raw.order_items
    (order_item_id, order_id, product_id, quantity, price_at_purchase) values
    (1, 101, 7, 2, 10.50), (2, 101, 8, 1, 5), (3, 102, 7, 3, 10), (4, 103, 7, 5, 10),
    (5, 104, 8, 1, 5);
insert into raw.payments (payment_id, order_id, payment_status, amount, paid_at) values
    ('{PAYMENT.format(1)}', 101, 'paid', 26, '2025-05-01 12:05+00');
insert into raw.user_sessions (session_id, user_id, session_start, session_end) values
    ('{SESSION.format(1)}', 1, '2025-05-20 11:50+00', '2025-05-20 12:10+00');
insert into raw.events (event_id, user_id, session_id, event_type, event_timestamp) values
    ('{EVENT.format(1)}', 1, '{SESSION.format(1)}', 'page_view', '2025-05-20 11:50+00'),
    ('{EVENT.format(2)}', 1, '{SESSION.format(1)}', 'purchase', '2025-05-20 12:00+00'),
    ('{EVENT.format(3)}', null, null, 'page_view', '2025-05-21 12:00+00');
insert into raw.consents (consent_id, user_id, purpose, is_granted, recorded_at) values
    (1, 1, 'marketing', true, '2025-01-01');
insert into raw.erasure_requests (request_id, user_id, requested_at) values
    ('a0000000-0000-4000-8000-000000000001', 404, '2025-01-01');
"""

# The second run of a loader: it cancels an order, adds one with its line, deletes one, changes the
# plan of a user, and adds an event.
CHANGES = f"""
update raw.orders set order_status = 'cancelled', updated_at = '2025-06-01 12:00+00',
    _loaded_at = '2025-06-02' where order_id = 102;
update raw.orders set _deleted_at = '2025-06-01 12:00+00', _loaded_at = '2025-06-02'
    where order_id = 103;
insert into raw.orders
    (order_id, user_id, order_status, currency, order_date, updated_at, _loaded_at) values
    (105, 2, 'paid', 'EUR', '2025-06-01 12:00+00', '2025-06-01 12:00+00', '2025-06-02');
insert into raw.order_items
    (order_item_id, order_id, product_id, quantity, price_at_purchase, _loaded_at) values
    (6, 105, 8, 300, 5, '2025-06-02');
update raw.users set subscription_tier = 'plus', updated_at = '2025-06-01 12:00+00',
    _loaded_at = '2025-06-02' where user_id = 2;
insert into raw.events (event_id, user_id, event_type, event_timestamp, _loaded_at) values
    ('{EVENT.format(4)}', 2, 'purchase', '2025-06-01 12:00+00', '2025-06-02');
"""

ANALYTICS = """
select user_id, country, subscription_tier, total_orders, total_spent, avg_order_value,
    refunded_orders, refunded_amount, total_sessions, avg_session_duration_seconds, total_events,
    to_char(last_activity_at, 'YYYY-MM-DD HH24:MI'), user_segment, customer_lifetime_value
from marts.user_analytics
order by 1
"""

ADA = ("1", "GB", "pro")
BO = ("2", "NL")
# A double would round this key to its neighbour.
CY = ("9007199254740993", "DE", "free")

FIRST = [
    (*ADA, 2, 56, 28, 0, 0, 1, 1200, 2, "2025-05-20 12:00", "Regular", Decimal("67.2")),
    (*BO, "free", 0, 0, 0, 0, 0, 0, None, 0, "2025-05-25 00:00", "New", 0),
    (*CY, 0, 0, 0, 1, 50, 0, None, 0, "2025-02-01 00:00", "At Risk", 0),
]
SECOND = [
    (*ADA, 1, 26, 26, 0, 0, 1, 1200, 2, "2025-05-20 12:00", "Regular", Decimal("31.2")),
    (*BO, "plus", 1, 1500, 1500, 0, 0, 0, None, 1, "2025-06-01 12:00", "High Value", 1800),
    (*CY, 0, 0, 0, 0, 0, 0, None, 0, "2025-02-01 00:00", "At Risk", 0),
]


def row_versions(database: Any, table: str, key: str) -> dict[str, str]:
    """For each key, the ID of the transaction that wrote its row."""
    return dict(fetch(database, f"select {key}, xmin::text from marts.{table}"))


@pytest.fixture
def own_tables(database: Any) -> Any:
    """A database with a company's own raw tables, filled by SQL statements."""
    with database.connect() as session:
        session.execute(RAW)
        for table, key in KEYS.items():
            session.execute(STAMPS.format(table=table, key=key))
        session.execute(ROWS)
    return database


def test_the_tables_are_those_of_the_contract() -> None:
    contract = yaml.safe_load((STAGING / "_app__sources.yml").read_text())["sources"][0]["tables"]
    keys = {table["name"]: table["config"]["meta"]["primary_key"] for table in contract}
    # Builds read it only if sources_present lists it.
    assert keys.pop("exchange_rates") == "exchange_rate_id"
    assert keys == KEYS


@pytest.mark.long
def test_keys_may_be_numbers_and_uuids(own_tables: Any) -> None:
    """Build with all tests, including unit tests, and build again after changes."""
    dbt_project.build(own_tables, as_of=AS_OF)
    assert fetch(own_tables, ANALYTICS) == FIRST

    columns = fetch(
        own_tables,
        "select table_name, column_name, data_type from information_schema.columns"
        f" where table_schema = 'marts' and column_name in {tuple(KEYS.values())!r}",
    )
    assert {"user_id", "order_id", "product_id", "session_id", "event_id"} <= {
        column for _, column, _ in columns
    }
    assert [column for column in columns if column[2] != "text"] == []
    lines = "select order_item_id, order_id, product_id, user_id from marts.fct_order_items"
    assert fetch(own_tables, f"{lines} order by 1")[-2:] == [
        ("4", "103", "7", "9007199254740993"),
        ("5", "104", "8", None),
    ]
    events = "select event_id, session_id, user_id from marts.fct_user_events order by 1"
    assert fetch(own_tables, events) == [
        (EVENT.format(1), SESSION.format(1), "1"),
        (EVENT.format(2), SESSION.format(1), "1"),
        (EVENT.format(3), None, None),
    ]

    orders = row_versions(own_tables, "fct_orders", "order_id")
    events_before = row_versions(own_tables, "fct_user_events", "event_id")
    with own_tables.connect() as session:
        session.execute(CHANGES)
    dbt_project.build(own_tables, as_of=AS_OF, options=dbt_project.NO_UNIT_TESTS)
    assert fetch(own_tables, ANALYTICS) == SECOND

    orders_after = row_versions(own_tables, "fct_orders", "order_id")
    assert set(orders_after) == {"101", "102", "104", "105"}
    assert {key for key in orders_after if orders_after[key] == orders.get(key)} == {"101", "104"}
    events_after = row_versions(own_tables, "fct_user_events", "event_id")
    assert set(events_after) - set(events_before) == {EVENT.format(4)}
    assert events_before.items() <= events_after.items()
