"""A small shop as the source of a load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import psycopg

from warehouse.load import load_database

SHOP = """
    create table users (
        user_id bigint primary key, email varchar(100), created_at timestamp,
        updated_at timestamptz, password_hash text
    );
    create table products (product_id uuid primary key, unit_price numeric(12, 4), updated_at date);
    create table events (
        event_id bigint primary key, user_id bigint, event_timestamp timestamptz, properties jsonb
    );
    create table consents (consent_id int primary key, is_granted boolean, recorded_at timestamptz);
    create table categories (category_id int primary key, category_name text);
    create table orders (order_id bigint primary key, user_id bigint, updated_at timestamptz);
"""
NOW = datetime.now(UTC).replace(microsecond=0)


def day(number: float) -> datetime:
    return NOW - timedelta(days=number)


def address(connected: psycopg.Connection) -> str:
    info = connected.info
    return f"postgresql://{info.user}@{quote(info.host, safe='')}:{info.port}/{info.dbname}"


def pull(source, connection, **options) -> dict[str, tuple]:
    """Load the source; return the rows read, new, changed and unchanged of each table."""
    summaries = load_database(address(source), connection=connection, **options)
    for each in summaries:
        assert each.read == (
            each.new + each.changed + each.unchanged + each.rejected + each.superseded
        )
    return {each.table: (each.read, each.new, each.changed, each.unchanged) for each in summaries}


def fetch(connection: psycopg.Connection, query: str) -> list[tuple]:
    return connection.execute(query).fetchall()


def add_users(source, first: int, last: int, updated_at: datetime | None) -> None:
    source.execute(
        "insert into users select n, 'u' || n, '2024-07-01 12:00', %s "
        "from generate_series(%s::int, %s::int) n",
        (updated_at, first, last),
    )
