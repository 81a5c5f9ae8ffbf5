"""Plants the faults of a broken load into raw tables: the rows of a table are wrong on a day."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from typing import Any

import psycopg

from warehouse import contract

KINDS = ("halved", "doubled", "null", "cents", "duplicate", "silent")
# All tables of an order agree with each other, so only the history can tell.
SHOP, SHOP_KINDS = "orders, order_items, payments", ("halved", "doubled")
# The time by which a row of a table belongs to a day; a line has that of its order.
TIMES = {
    "users": "created_at",
    "orders": "order_date",
    "order_items": "order_date",
    "payments": "paid_at",
    "user_sessions": "session_start",
    "events": "event_timestamp",
}
AMOUNTS = {"order_items": "price_at_purchase", "payments": "amount"}
# Not in the marts, or no attribute of the row.
NOT_MEASURED = {"updated_at", "last_login_at", "visitor_id", "_loaded_at", "_deleted_at"}
# A column that fewer rows have can be missing unnoticed.
POPULATED = 0.5


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with which table on which day; `column` is that of the kind `null`."""

    kind: str
    table: str
    day: dt.date
    column: str | None = None


def kinds_of(table: str) -> list[str]:
    """The kinds of faults that a table can have: only amounts are written in cents."""
    return [kind for kind in KINDS if kind != "cents" or table in AMOUNTS]


def populated_columns(session: psycopg.Connection, table: str, day: dt.date) -> list[str]:
    """The measured columns of a table that most of its rows of a day have."""
    described = contract.read().tables[table]
    names = [name for name in described.columns if name not in NOT_MEASURED | {described.key}]
    shares = ", ".join(f"avg((rows_of_day.{name} is not null)::int)" for name in names)
    found = session.execute(
        f"select {shares} from raw.{table} as rows_of_day where {_is_of(table, day)}"
    ).fetchone()
    assert found is not None
    return [name for name, share in zip(names, found, strict=True) if share and share >= POPULATED]


def choose(
    session: psycopg.Connection, tables: list[str], day: dt.date, chance: random.Random
) -> Fault:
    """A random fault of a random table."""
    table = chance.choice(tables)
    kind = chance.choice(kinds_of(table))
    column = chance.choice(populated_columns(session, table, day)) if kind == "null" else None
    return Fault(kind, table, day, column)


def _is_of(table: str, day: dt.date, alias: str = "rows_of_day") -> str:
    """A condition: the row belongs to a day in UTC and is not deleted."""
    of_day = f">= '{day} 00:00+00' and {{0}} < '{day + dt.timedelta(days=1)} 00:00+00'"
    if table != "order_items":
        time = f"{alias}.{TIMES[table]}"
        return f"{alias}._deleted_at is null and {time} {of_day.format(time)}"
    dated = f"order_date {of_day.format('order_date')}"
    return (
        f"{alias}._deleted_at is null and"
        f" {alias}.order_id in (select order_id from raw.orders where {dated})"
    )


def plant(session: psycopg.Connection, fault: Fault) -> int:
    """Change the rows of a table as a broken load would have delivered them.

    Args:
        session: a connection to the database of the raw tables.
        fault: what to plant.

    Returns:
        The number of changed rows.
    """
    if fault.table == SHOP:
        return _plant_in_shop(session, fault)
    change = {
        "halved": _lose,
        "doubled": _add_others,
        "null": _clear,
        "cents": _write_cents,
        "duplicate": _repeat,
        "silent": _lose,
    }[fault.kind]
    return change(session, fault)


def _plant_in_shop(session: psycopg.Connection, fault: Fault) -> int:
    """Half of the orders are missing with all that belongs to them, or there are twice as many."""
    if fault.kind == "doubled":
        each = [dataclasses.replace(fault, table=name) for name in SHOP.split(", ")]
        return sum(_add_others(session, one) for one in each)
    lost = (
        f"select order_id from raw.orders as rows_of_day where {_is_of('orders', fault.day)}"
        " and md5(order_id::text) < '8'"
    )
    return sum(
        session.execute(f"delete from raw.{name} where order_id in ({lost})").rowcount
        for name in ("order_items", "payments", "orders")
    )


def _lose(session: psycopg.Connection, fault: Fault) -> int:
    """The rows of the day are missing: all of them, or half."""
    key = contract.read().tables[fault.table].key
    half = f" and md5(rows_of_day.{key}::text) < '8'" if fault.kind == "halved" else ""
    return session.execute(
        f"delete from raw.{fault.table} as rows_of_day where {_is_of(fault.table, fault.day)}{half}"
    ).rowcount


def _clear(session: psycopg.Connection, fault: Fault) -> int:
    return _update(session, fault, f"{fault.column} = null")


def _write_cents(session: psycopg.Connection, fault: Fault) -> int:
    amount = AMOUNTS[fault.table]
    return _update(session, fault, f"{amount} = {amount} * 100")


def _update(session: psycopg.Connection, fault: Fault, change: str, also: str = "") -> int:
    return session.execute(
        f"update raw.{fault.table} as rows_of_day set {change}, _loaded_at = clock_timestamp()"
        f" where {_is_of(fault.table, fault.day)}{also}"
    ).rowcount


def _repeat(session: psycopg.Connection, fault: Fault) -> int:
    """The rows of the day are there twice, with different keys."""
    key = contract.read().tables[fault.table].key
    return _insert(session, fault, fault.day, {key: f"'again-' || {key}"})


def _add_others(session: psycopg.Connection, fault: Fault) -> int:
    """As many rows of another system arrive too: those of a week before, with unknown parents."""
    key = contract.read().tables[fault.table].key
    changed = {key, "order_id", "session_id", "email"} & set(_columns(fault.table))
    values = {name: f"'other-' || {name}" for name in changed}
    times = {TIMES[fault.table], "updated_at", "session_end"} & set(_columns(fault.table))
    values |= {name: f"{name} + interval '7 days'" for name in times}
    return _insert(session, fault, fault.day - dt.timedelta(days=7), values)


def _columns(table: str) -> list[str]:
    return list(contract.read().tables[table].columns)


def _insert(session: psycopg.Connection, fault: Fault, day: dt.date, values: dict[str, Any]) -> int:
    columns = [name for name in _columns(fault.table) if name not in ("_loaded_at", "_deleted_at")]
    selected = ", ".join(values.get(name, name) for name in columns)
    return session.execute(
        f"insert into raw.{fault.table} ({', '.join(columns)}, _loaded_at)"
        f" select {selected}, clock_timestamp() from raw.{fault.table} as rows_of_day"
        f" where {_is_of(fault.table, day)}"
    ).rowcount
