"""Dirty rows: generated in addition to the clean rows, counted and listed in the truth.

Almost all of them are additional rows, so that the clean rows follow the models exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.sample import columns
from warehouse.sample.people import FIRST_UNKNOWN_USER, FIRST_USER, Users
from warehouse.sample.plan import DAY, HOUR, MINUTE, Plan
from warehouse.sample.shop import (
    METHODS,
    PAYMENT_STATUSES,
    PROCESSING,
    STATUSES,
    Items,
    Orders,
    Products,
    item_rows,
    order_rows,
    payment_rows,
)
from warehouse.sample.traffic import DEVICES, OUTDATED_URL, SITE, Sessions, event_rows, session_rows

UNKNOWN_STATUS = "awaiting_drone"
UNKNOWN_EVENT_TYPE = "teleport"
BLANK_KEYS = [None, "", "  "]
UNREADABLE = {"order_items": "abc", "payments": "12,50 EUR", "events": "2026-02-30 25:00"}


@dataclass
class Kind:
    """A kind of dirty rows: its table, what is wrong, and the keys of the rows."""

    table: str
    meaning: str
    keys: list[str | None]


@dataclass
class Dirt:
    """All dirty rows: the kinds for the truth, and the additional rows with the load of each, in
    the order in which they are written."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    rows: dict[str, list[tuple[pa.Table, np.ndarray]]] = field(default_factory=dict)

    def note(self, name: str, table: str, meaning: str, keys: pa.Array) -> None:
        """Add a kind to the truth, unless it has no row."""
        if len(keys):
            self.kinds[name] = Kind(table, meaning, keys.to_pylist())

    def add(self, name: str, table: str, meaning: str, rows: pa.Table, load: np.ndarray) -> None:
        """Add a kind to the truth, and its rows."""
        self.note(name, table, meaning, rows.column(0).combine_chunks())
        self.also(table, rows, load)

    def also(self, table: str, rows: pa.Table, load: np.ndarray) -> None:
        """Add clean rows that belong to dirty ones."""
        if len(rows):
            self.rows.setdefault(table, []).append((rows, load))

    def of(self, table: str, load: int) -> list[pa.Table]:
        """The additional rows of a table in a load."""
        return [
            rows.filter(pa.array(when == load))
            for rows, when in self.rows.get(table, [])
            if (when == load).any()
        ]


def _blank(count: int) -> pa.Array:
    return pa.array([BLANK_KEYS[i % len(BLANK_KEYS)] for i in range(count)], pa.string())


def _same(value: str, count: int) -> pa.Array:
    return columns.pick(np.zeros(count, int), [value])


def _unknown_users(count: int) -> pa.Array:
    return columns.integers(FIRST_UNKNOWN_USER + np.arange(count))


def _users(rng: np.random.Generator, users: Users, seen: np.ndarray) -> np.ndarray:
    """Users who had signed up at these moments; the first user if none had."""
    known = np.searchsorted(users.created_at, seen, side="right")
    return (rng.random(len(seen)) * known).astype(np.int64)


def add_orders(plan: Plan, dirt: Dirt, users: Users, orders: Orders, products: Products) -> None:
    """Orders of unknown users, from the future, with an unknown status, without a date, without a
    key; all but the last kind have one line."""
    rng, count = plan.rng("dirty.orders"), plan.dirty_rows(len(orders))
    number = len(orders)
    kinds = {
        "orders_of_unknown_users": "user_id is no user's",
        "orders_in_the_future": "order_date is after the end of the history",
        "orders_with_unknown_status": f"order_status is {UNKNOWN_STATUS}",
        "orders_without_date": "order_date is null",
        "orders_with_blank_key": "order_id is null, empty or blanks",
    }
    for name, meaning in kinds.items():
        seen = np.sort(plan.moments(rng.random(count) * plan.days))
        key = columns.numbered("o-", number + 1 + np.arange(count), 8)
        user = columns.integers(_users(rng, users, seen) + FIRST_USER)
        status = columns.pick(np.full(count, PROCESSING), STATUSES)
        ordered_at, missing = seen, np.zeros(count, bool)
        if name == "orders_of_unknown_users":
            user = _unknown_users(count)
        elif name == "orders_in_the_future":
            ordered_at = plan.end + rng.integers(DAY, 400 * DAY, count) // 1000 * 1000
        elif name == "orders_with_unknown_status":
            status = columns.pick(np.full(count, len(STATUSES)), [*STATUSES, UNKNOWN_STATUS])
        elif name == "orders_without_date":
            missing = np.ones(count, bool)
        else:
            key = _blank(count)
        load = plan.load_of(seen)
        dirt.add(
            name,
            "orders",
            meaning,
            order_rows(
                key, user, status, columns.times(ordered_at, missing=missing), columns.times(seen)
            ),
            load,
        )
        if name == "orders_with_blank_key":
            continue
        product = rng.integers(0, len(products), count)
        dirt.also(
            "order_items",
            item_rows(
                columns.numbered("", (number + 1 + np.arange(count)) * 10 + 1, 10),
                key,
                columns.numbered("SKU-", product + 1, 5),
                np.ones(count, int),
                products.cents[product],
                columns.times(seen),
            ),
            load,
        )
        number += count


def add_items(
    plan: Plan, dirt: Dirt, orders: Orders, items: Items, products: Products, *, unreadable: bool
) -> None:
    """Lines of unknown orders, lines that refund what was never returned, unreadable lines, and
    lines of unknown products."""
    rng, count = plan.rng("dirty.order_items"), plan.dirty_rows(len(items))
    bought = np.flatnonzero(orders.is_purchase)
    chosen = rng.choice(bought, min(2 * count, len(bought)), replace=False)
    rows = np.flatnonzero(items.unknown_product)
    dirt.note(
        "items_of_unknown_products",
        "order_items",
        "product_id is no product's",
        items.table(rows, orders)["order_item_id"].combine_chunks(),
    )

    nowhere = len(orders) * 10 + 10_000_000 + np.arange(count)
    seen = np.sort(plan.moments(rng.random(count) * plan.days))
    product = rng.integers(0, len(products), count)
    dirt.add(
        "items_of_unknown_orders",
        "order_items",
        "order_id is no order's",
        item_rows(
            columns.numbered("", nowhere * 10 + 1, 10),
            columns.numbered("o-", nowhere, 8),
            columns.numbered("SKU-", product + 1, 5),
            np.ones(count, int),
            products.cents[product],
            columns.times(seen),
        ),
        plan.load_of(seen),
    )

    for line, name, meaning, quantity in (
        (
            9,
            "items_with_negative_quantity",
            "quantity is negative, and the order is no return",
            lambda n: -rng.integers(1, 4, n),
        ),
        (
            8,
            "items_that_cannot_be_read",
            f"quantity is {UNREADABLE['order_items']}",
            lambda n: _same(UNREADABLE["order_items"], n),
        ),
    ):
        order, chosen = np.sort(chosen[:count]), chosen[count:]
        product = rng.integers(0, len(products), len(order))
        if line == 8 and not unreadable:
            continue
        dirt.add(
            name,
            "order_items",
            meaning,
            item_rows(
                columns.numbered("", (order + 1) * 10 + line, 10),
                orders.key(order),
                columns.numbered("SKU-", product + 1, 5),
                quantity(len(order)),
                products.cents[product],
                columns.times(orders.ordered_at[order]),
            ),
            plan.load_of(orders.visible_at[order]),
        )


def add_payments(
    plan: Plan, dirt: Dirt, orders: Orders, payments: int, *, unreadable: bool
) -> None:
    """Payments of unknown orders, with a negative amount, and unreadable ones."""
    rng, count = plan.rng("dirty.payments"), plan.dirty_rows(payments)
    bought = np.flatnonzero(orders.is_purchase)
    first = payments
    for name, meaning in (
        ("payments_of_unknown_orders", "order_id is no order's"),
        ("payments_with_negative_amount", "amount is negative"),
        ("payments_that_cannot_be_read", f"amount is {UNREADABLE['payments']}"),
    ):
        order = np.sort(rng.choice(bought, min(count, len(bought)), replace=False))
        key, amount = orders.key(order), columns.money(-orders.cents[order])
        seen = orders.visible_at[order]
        if name == "payments_of_unknown_orders":
            key = orders.key(order + len(orders) + 10_000_000)
            amount = columns.money(orders.cents[order])
        elif name == "payments_that_cannot_be_read":
            amount = _same(UNREADABLE["payments"], len(order))
            if not unreadable:
                continue
        dirt.add(
            name,
            "payments",
            meaning,
            payment_rows(
                columns.hexed("pay_", first + np.arange(len(order)), 7),
                key,
                rng.integers(0, len(METHODS), len(order)),
                columns.pick(np.zeros(len(order), int), PAYMENT_STATUSES),
                amount,
                columns.times(seen),
                columns.times(seen),
            ),
            plan.load_of(seen),
        )
        first += len(order)


def add_sessions(plan: Plan, dirt: Dirt, users: Users, sessions: Sessions) -> None:
    """Sessions of unknown users, and sessions that end before they start."""
    rng, count = plan.rng("dirty.user_sessions"), plan.dirty_rows(len(sessions))
    number = len(sessions)
    for name, meaning in (
        ("sessions_of_unknown_users", "user_id is no user's"),
        ("sessions_that_end_before_they_start", "session_end < session_start"),
    ):
        start = np.sort(plan.moments(rng.random(count) * plan.days))
        end = np.minimum(start + 10 * MINUTE, plan.end - 1000)
        user = _unknown_users(count)
        if name != "sessions_of_unknown_users":
            user = columns.integers(_users(rng, users, start) + FIRST_USER)
            end = start - HOUR
        seen = np.maximum(start, end)
        dirt.add(
            name,
            "user_sessions",
            meaning,
            session_rows(
                columns.hexed("s", number + np.arange(count), 11),
                user,
                columns.nulls(count),
                start,
                columns.times(end),
                rng.integers(0, len(DEVICES), count),
                seen,
            ),
            plan.load_of(seen),
        )
        number += count


def add_events(plan: Plan, dirt: Dirt, users: Users, events: int, *, unreadable: bool) -> None:
    """Events of unknown users, from the future, without a time or a key, with an unknown type, and
    unreadable ones."""
    rng, count = plan.rng("dirty.events"), plan.dirty_rows(events)
    first = events
    for name, meaning in {
        "events_of_unknown_users": "user_id is no user's",
        "events_in_the_future": "event_timestamp is after the end of the history",
        "events_without_time": "event_timestamp is null",
        "events_with_blank_key": "event_id is null, empty or blanks",
        "events_of_unknown_type": f"event_type is {UNKNOWN_EVENT_TYPE}",
        "events_that_cannot_be_read": f"event_timestamp is {UNREADABLE['events']}",
    }.items():
        seen = np.sort(plan.moments(rng.random(count) * plan.days))
        key = columns.uuids(first + np.arange(count), plan.seed + 13)
        user = columns.integers(_users(rng, users, seen) + FIRST_USER)
        moment, kind = columns.times(seen), "page_view"
        future = plan.end + rng.integers(DAY, 400 * DAY, count) // 1000 * 1000
        if name == "events_of_unknown_users":
            user = _unknown_users(count)
        elif name == "events_in_the_future":
            moment = columns.times(future)
        elif name == "events_without_time":
            moment = columns.times(seen, missing=np.ones(count, bool))
        elif name == "events_with_blank_key":
            key = _blank(count)
        elif name == "events_of_unknown_type":
            kind = UNKNOWN_EVENT_TYPE
        elif not unreadable:
            continue
        else:
            moment = _same(UNREADABLE["events"], count)
        dirt.add(
            name,
            "events",
            meaning,
            event_rows(
                key,
                user,
                columns.nulls(count),
                _same(kind, count),
                moment,
                _same(SITE + "/", count),
                columns.nulls(count),
                columns.nulls(count),
            ),
            plan.load_of(seen),
        )
        first += count


@dataclass
class Repeats:
    """The rows of a table that occur twice in one file: as a copy, or with an outdated version."""

    exact: np.ndarray
    outdated: np.ndarray


def draw_repeats(plan: Plan, table: str, rows: int) -> Repeats:
    """Choose the rows of a table that are repeated, each in one way only; sorted."""
    rng, count = plan.rng(f"dirty.repeats.{table}"), plan.dirty_rows(rows, rows // 2)
    chosen = rng.choice(rows, 2 * count, replace=False)
    return Repeats(np.sort(chosen[:count]), np.sort(chosen[count:]))


def outdated(name: str, rows: pa.Table) -> pa.Table:
    """The same keys with another, older payload."""
    columns_now = {column: rows[column] for column in rows.column_names}
    count = len(rows)
    if name == "users":
        columns_now["country"] = _same("XX", count)
    elif name == "orders":
        columns_now["order_status"] = _same("pending", count)
    elif name == "order_items":
        columns_now["quantity"] = pc.add(rows["quantity"], pa.scalar(1, pa.int32()))
    else:
        columns_now["page_url"] = _same(OUTDATED_URL, count)
        return pa.table(columns_now)
    columns_now["updated_at"] = pc.subtract(
        rows["updated_at"], pa.scalar(MINUTE, pa.duration("us"))
    )
    return pa.table(columns_now)


def repeated(name: str, rows: pa.Table, exact: np.ndarray, old: np.ndarray) -> pa.Table:
    """The rows with their repetitions: an outdated row before the current one, a copy after it."""
    if not len(exact) and not len(old):
        return rows
    parts = [outdated(name, rows.take(pa.array(old))), rows, rows.take(pa.array(exact))]
    return pa.concat_tables([columns.plain(part) for part in parts])
