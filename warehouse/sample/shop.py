"""The products and the orders: purchases by BG/NBD, amounts by Gamma-Gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from warehouse.sample import columns
from warehouse.sample.people import FIRST_USER, Users
from warehouse.sample.plan import DAY, HOUR, MINUTE, SECOND, Plan

NEVER = np.iinfo(np.int64).max
STATUSES = [
    "processing",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "returned",
    "refunded",
    "pending",
]
PROCESSING, SHIPPED, DELIVERED, COMPLETED, CANCELLED, RETURNED, REFUNDED, PENDING = range(8)
CURRENCY = "EUR"
METHODS = ["card", "paypal", "bank_transfer", "gift_card"]
PAYMENT_STATUSES = ["paid", "failed", "pending", "refunded"]
PAID, FAILED, UNPAID, PAID_BACK = range(4)
# Orders that end without revenue are not purchases of the BG/NBD model.
EXTRA_SHARE = 0.08
EXTRA_FATES = {CANCELLED: 0.35, RETURNED: 0.25, REFUNDED: 0.15, PENDING: 0.25}

TREE = {
    "Home": ["Kitchen", "Bath", "Bedroom", "Lighting"],
    "Garden": ["Tools", "Plants", "Furniture", "Barbecue"],
    "Sports": ["Cycling", "Running", "Climbing", "Yoga"],
    "Electronics": ["Audio", "Phones", "Cameras", "Computers"],
    "Books": ["Novels", "Science", "Travel", "Comics"],
    "Toys": ["Puzzles", "Games", "Models", "Outdoor"],
}
LEAVES = ["Classics", "New", "Accessories"]
ADJECTIVES = [
    "Bright",
    "Calm",
    "Classic",
    "Compact",
    "Cosy",
    "Fresh",
    "Light",
    "Nordic",
    "Robust",
    "Smart",
    "Soft",
    "Solid",
]
MATERIALS = ["bamboo", "ceramic", "cotton", "glass", "linen", "oak", "recycled", "steel"]


def make_categories(plan: Plan) -> tuple[pa.Table, np.ndarray, list[str]]:
    """The category tree of three levels, when each row is visible, and the keys of its leaves."""
    rows: list[tuple[str, str | None, str]] = []
    leaves = []
    for top, middles in TREE.items():
        code = top[:4].upper()
        rows.append((code, None, top))
        for number, middle in enumerate(middles, 1):
            rows.append((f"{code}-{number}", code, middle))
            for letter, leaf in zip("ABC", LEAVES, strict=True):
                leaves.append(f"{code}-{number}{letter}")
                rows.append((leaves[-1], f"{code}-{number}", f"{middle}: {leaf}"))
    moment = np.full(len(rows), plan.start)
    keys, parents, names = zip(*rows, strict=True)
    table = pa.table(
        {
            "category_id": pa.array(keys),
            "parent_id": pa.array(parents, pa.string()),
            "category_name": pa.array(names),
            "updated_at": columns.times(moment),
        }
    )
    return table, moment, leaves


@dataclass
class Products:
    """The products, cheapest first; some change their price once, at `repriced_at`."""

    key: pa.Array
    category: pa.Array
    name: pa.Array
    cents: np.ndarray
    new_cents: np.ndarray
    created_at: np.ndarray
    repriced_at: np.ndarray

    def __len__(self) -> int:
        return len(self.cents)

    def table(self, rows: np.ndarray, moment: int) -> pa.Table:
        """The rows of these products just before the moment."""
        there = pa.array(rows)
        repriced = self.repriced_at[rows] < moment
        return pa.table(
            {
                "product_id": self.key.take(there),
                "category_id": self.category.take(there),
                "product_name": self.name.take(there),
                "description": pa.array(
                    [f"{name.as_py()}, made to last." for name in self.name.take(there)],
                    pa.string(),
                ),
                "unit_price": columns.money(
                    np.where(repriced, self.new_cents[rows], self.cents[rows])
                ),
                "created_at": columns.times(self.created_at[rows]),
                "updated_at": columns.times(
                    np.where(repriced, self.repriced_at[rows], self.created_at[rows])
                ),
            }
        )


def make_products(plan: Plan, leaves: list[str]) -> Products:
    """Draw the products; all exist at the start of the history."""
    rng, count = plan.rng("products"), int(np.clip(plan.users // 20, 60, 3000))
    cents = np.sort(np.exp(rng.normal(np.log(3500), 0.8, count)).astype(np.int64) // 100 * 100 + 99)
    words = zip(
        rng.integers(0, len(ADJECTIVES), count), rng.integers(0, len(MATERIALS), count), strict=True
    )
    repriced_at = plan.moments(rng.random(count) * plan.days)
    repriced_at[rng.random(count) >= 0.15] = NEVER
    return Products(
        key=columns.numbered("SKU-", np.arange(1, count + 1), 5),
        category=pa.array(leaves).take(pa.array(rng.integers(0, len(leaves), count))),
        name=pa.array(
            [
                f"{ADJECTIVES[i]} {MATERIALS[j]} piece no. {number}"
                for number, (i, j) in enumerate(words, 1)
            ]
        ),
        cents=cents,
        new_cents=(cents * rng.uniform(0.8, 1.2, count)).astype(np.int64) + 1,
        created_at=plan.start - rng.integers(1, 400, count) * DAY,
        repriced_at=repriced_at,
    )


@dataclass
class Buyers:
    """The truth about each user as a buyer; NaN and zero for users who never bought."""

    first_purchase: np.ndarray
    rate: np.ndarray
    leaving: np.ndarray
    is_alive: np.ndarray
    purchases: np.ndarray
    spend_rate: np.ndarray


@dataclass
class Orders:
    """All orders by date. `changed_at` and `status` hold the versions as in `Users`;
    `visible_at` is when the first of them becomes visible: late rows after `ordered_at`."""

    user: np.ndarray
    ordered_at: np.ndarray
    visible_at: np.ndarray
    cents: np.ndarray
    is_purchase: np.ndarray
    changed_at: np.ndarray
    status: np.ndarray
    first_product: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def shown_at(self) -> np.ndarray:
        """When each version becomes visible."""
        return np.maximum(self.changed_at, self.visible_at[:, None])

    def key(self, rows: np.ndarray) -> pa.Array:
        return columns.numbered("o-", rows + 1, 8)

    def table(self, rows: np.ndarray, version: np.ndarray) -> pa.Table:
        """The rows of these orders in these versions."""
        return order_rows(
            self.key(rows),
            columns.integers(self.user[rows] + FIRST_USER),
            columns.pick(self.status[rows, version], STATUSES),
            columns.times(self.ordered_at[rows]),
            columns.times(self.changed_at[rows, version]),
        )


def order_rows(
    key: pa.Array, user: pa.Array, status: pa.Array, ordered_at: pa.Array, updated_at: pa.Array
) -> pa.Table:
    """A table of orders from its columns."""
    return pa.table(
        {
            "order_id": key,
            "user_id": user,
            "order_status": status,
            "currency": columns.pick(np.zeros(len(key), int), [CURRENCY]),
            "order_date": ordered_at,
            "updated_at": updated_at,
        }
    )


def make_purchases(plan: Plan, users: Users) -> tuple[Buyers, np.ndarray, np.ndarray]:
    """Draw the purchases: the truth about buyers, and user and day (since the start) of each.

    A share of the users buys for the first time some weeks after the sign-up. From there the
    BG/NBD model holds: while alive, the next purchase follows after an exponential time, and
    after each repeat purchase the buyer leaves for good with the buyer's own probability.
    """
    rng, models, count = plan.rng("purchases"), plan.models, len(users)
    # The model ignores the hours of a day; `Plan.moments` moves its days to the busy hours.
    first = users.day + 0.02 + rng.exponential(models.weeks_to_first_purchase * 7, count)
    bought = (rng.random(count) < models.buyer_share) & (first < plan.days)
    rate = rng.gamma(models.r, 1 / models.alpha, count)
    leaving = rng.beta(models.a, models.b, count)
    spend_rate = rng.gamma(models.q, 1 / models.v, count)

    alive = bought.copy()
    active = np.flatnonzero(bought)
    now = first[active]
    who, when = [active], [now]
    while len(active):
        with np.errstate(divide="ignore", over="ignore"):
            now = now + rng.exponential(1.0, len(active)) / rate[active] * 7
        inside = now < plan.days
        active, now = active[inside], now[inside]
        who.append(active)
        when.append(now)
        left = rng.random(len(active)) < leaving[active]
        alive[active[left]] = False
        active, now = active[~left], now[~left]

    user, day = np.concatenate(who), np.concatenate(when)
    first_purchase = np.where(bought, plan.moments(np.where(bought, first, 0)), 0)
    purchases = np.bincount(user, minlength=count)
    for truth in (rate, leaving, spend_rate):
        truth[~bought] = np.nan
    return Buyers(first_purchase, rate, leaving, alive, purchases, spend_rate), user, day


def make_orders(plan: Plan, users: Users) -> tuple[Orders, Buyers]:
    """The orders: one per purchase, and others that end without revenue."""
    buyers, user, day = make_purchases(plan, users)
    rng, models = plan.rng("orders"), plan.models
    ordered_at = plan.moments(day)

    base = rng.choice(len(user), round(EXTRA_SHARE * len(user)), replace=False)
    wait = rng.exponential(10 * DAY, len(base)).astype(np.int64) // 1000 * 1000
    extra_at = ordered_at[base] + wait
    fits = extra_at < plan.end - HOUR
    base, extra_at = base[fits], extra_at[fits]
    fate = rng.choice(list(EXTRA_FATES), len(base), p=list(EXTRA_FATES.values()))

    is_purchase = np.repeat([True, False], [len(user), len(base)])
    fate = np.concatenate([np.full(len(user), COMPLETED), fate])
    user = np.concatenate([user, user[base]])
    ordered_at = np.concatenate([ordered_at, extra_at])
    order = np.lexsort((user, ordered_at))
    user, ordered_at, fate, is_purchase = (x[order] for x in (user, ordered_at, fate, is_purchase))
    count = len(user)

    cents = np.round(100 * rng.gamma(models.p, 1 / buyers.spend_rate[user])).astype(np.int64)
    # four cents, so that four lines of at least one cent always fit
    cents = np.maximum(cents, 4)

    status = np.full((count, 5), PROCESSING, np.int8)
    waits = np.full((count, 5), np.inf)
    waits[:, 0] = 0
    shipped, delivered = rng.uniform(6, 72, count) * HOUR, rng.uniform(24, 120, count) * HOUR
    third, fourth = rng.uniform(5, 16, count) * DAY, rng.uniform(1, 6, count) * DAY
    goes = np.isin(fate, [COMPLETED, RETURNED, REFUNDED])
    waits[goes, 1], waits[goes, 2] = shipped[goes], delivered[goes]
    status[goes, 1], status[goes, 2] = SHIPPED, DELIVERED
    done = (fate == COMPLETED) & (rng.random(count) < 0.6)
    waits[done, 3], status[done, 3] = third[done], COMPLETED
    back = np.isin(fate, [RETURNED, REFUNDED])
    waits[back, 3], status[back, 3] = third[back], RETURNED
    paid_back = fate == REFUNDED
    waits[paid_back, 4], status[paid_back, 4] = fourth[paid_back], REFUNDED
    cancelled = fate == CANCELLED
    waits[cancelled, 1], status[cancelled, 1] = shipped[cancelled], CANCELLED
    status[fate == PENDING, 0] = PENDING

    steps = np.cumsum(waits, axis=1)
    last = np.max(np.where(np.isfinite(steps), steps, 0), axis=1)
    # An order without revenue ends within the history, sooner if necessary, so that the revenue
    # at the end is exactly that of the model.
    hurry = ~is_purchase & (ordered_at + last >= plan.end)
    steps[hurry] *= ((plan.end - MINUTE - ordered_at[hurry]) / last[hurry])[:, None]
    there = np.isfinite(steps)
    changed_at = np.where(
        there,
        ordered_at[:, None] + np.where(there, steps, 0).astype(np.int64) // 1000 * 1000,
        NEVER,
    )
    changed_at[changed_at >= plan.end] = NEVER

    visible_at = ordered_at.copy()
    early = np.flatnonzero(ordered_at < plan.end - min(10, plan.days / 2) * DAY)
    late = plan.rng("orders.late").choice(early, plan.dirty_rows(count, len(early)), replace=False)
    delay = plan.rng("orders.delay").uniform(1, max(1.0, min(9, plan.days / 4)), len(late)) * DAY
    visible_at[late] = later_load(plan, ordered_at[late], delay.astype(np.int64))
    orders = Orders(
        user,
        ordered_at,
        visible_at,
        cents,
        is_purchase,
        changed_at,
        status,
        np.zeros(count, np.int64),
    )
    return orders, buyers


def later_load(plan: Plan, happened: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """When late rows become visible: after the delay, and in a later load if there is one."""
    own = plan.load_of(happened)
    next_load = np.where(own + 1 < plan.loads, plan.bounds[own], 0)
    return np.maximum(happened + delay, next_load)


@dataclass
class Items:
    """All order lines, sorted by order; `line` counts from 1 within the order."""

    order: np.ndarray
    line: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    cents: np.ndarray
    unknown_product: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def table(self, rows: np.ndarray, orders: Orders) -> pa.Table:
        """The rows of these lines."""
        product = columns.numbered(
            "SKU-",
            np.where(self.unknown_product[rows], 90_000 + rows % 1000, self.product[rows] + 1),
            5,
        )
        return item_rows(
            columns.numbered("", (self.order[rows] + 1) * 10 + self.line[rows], 10),
            orders.key(self.order[rows]),
            product,
            self.quantity[rows],
            self.cents[rows],
            columns.times(orders.ordered_at[self.order[rows]]),
        )


def item_rows(
    key: pa.Array,
    order: pa.Array,
    product: pa.Array,
    quantity: np.ndarray | pa.Array,
    cents: np.ndarray,
    updated_at: pa.Array,
) -> pa.Table:
    """A table of order lines from its columns."""
    return pa.table(
        {
            "order_item_id": key,
            "order_id": order,
            "product_id": product,
            "quantity": quantity
            if isinstance(quantity, pa.Array)
            else pa.array(quantity, pa.int32()),
            "price_at_purchase": columns.money(cents),
            "updated_at": updated_at,
        }
    )


def make_items(plan: Plan, orders: Orders, products: Products) -> Items:
    """Split each order's amount into lines that add up to it to the cent.

    Each line takes its share of the amount in a drawn quantity, at a price rounded down; the
    first line sells one unit for the remainder. The product is one with a similar list price.
    """
    rng, count = plan.rng("order_items"), len(orders)
    lines = rng.choice([1, 2, 3, 4], count, p=[0.5, 0.28, 0.14, 0.08])
    order = np.repeat(np.arange(count), lines)
    first = np.cumsum(lines) - lines
    line = np.arange(len(order)) - first[order] + 1
    weight = rng.uniform(0.5, 1.5, len(order))
    share = weight / np.bincount(order, weight, minlength=count)[order]
    quantity = np.where(line == 1, 1, rng.choice([1, 2, 3], len(order), p=[0.75, 0.17, 0.08]))
    quantity = np.where(orders.cents[order] < 100, 1, quantity)
    cents = np.maximum((share * orders.cents[order] / quantity).astype(np.int64), 1)
    taken = np.bincount(order, np.where(line == 1, 0, quantity * cents), minlength=count)
    cents[first] = orders.cents - np.round(taken).astype(np.int64)
    near = np.searchsorted(products.cents, cents) + rng.integers(-4, 5, len(order))
    product = np.clip(near, 0, len(products) - 1)
    orders.first_product = product[first]
    unknown = np.zeros(len(order), bool)
    unknown[
        plan.rng("order_items.unknown_product").choice(
            len(order), plan.dirty_rows(len(order), len(order)), replace=False
        )
    ] = True
    return Items(order, line, product, quantity, cents, unknown)


@dataclass
class Payments:
    """All payments by time; some are refunded later, at `changed_at`."""

    order: np.ndarray
    number: np.ndarray
    method: np.ndarray
    status: np.ndarray
    cents: np.ndarray
    made_at: np.ndarray
    changed_at: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def table(self, rows: np.ndarray, orders: Orders, moment: int) -> pa.Table:
        """The rows of these payments just before the moment."""
        changed = self.changed_at[rows] < moment
        status = np.where(changed, PAID_BACK, self.status[rows])
        unpaid = np.isin(self.status[rows], [FAILED, UNPAID])
        return payment_rows(
            columns.hexed("pay_", rows, 7),
            orders.key(self.order[rows]),
            self.method[rows],
            columns.pick(status, PAYMENT_STATUSES),
            columns.money(self.cents[rows]),
            columns.times(self.made_at[rows], missing=unpaid),
            columns.times(np.where(changed, self.changed_at[rows], self.made_at[rows])),
        )


def payment_rows(
    key: pa.Array,
    order: pa.Array,
    method: np.ndarray,
    status: pa.Array,
    amount: pa.Array,
    paid_at: pa.Array,
    updated_at: pa.Array,
) -> pa.Table:
    """A table of payments from its columns."""
    return pa.table(
        {
            "payment_id": key,
            "order_id": order,
            "payment_method": columns.pick(method, METHODS),
            "payment_status": status,
            "amount": amount,
            "paid_at": paid_at,
            "updated_at": updated_at,
        }
    )


def make_payments(plan: Plan, orders: Orders) -> tuple[Payments, dict[str, int]]:
    """Pay most orders, and count those whose payments differ from their amount.

    Of the orders that bring revenue 3 % fail once before they are paid, 2 % are paid in two parts,
    0.5 % only in part and 1 % not at all.
    """
    rng, count = plan.rng("payments"), len(orders)
    fate = orders.status[np.arange(count), (orders.changed_at < NEVER).sum(axis=1) - 1]
    luck = rng.random(count)
    method = rng.choice(4, count, p=[0.6, 0.25, 0.1, 0.05])
    at = np.minimum(orders.ordered_at + rng.integers(1, 600, count) * SECOND, plan.end - 1000)
    part = (orders.cents * rng.uniform(0.3, 0.7, count)).astype(np.int64)
    cancelled, pending = fate == CANCELLED, fate == PENDING
    regular = ~cancelled & ~pending
    failed_once, split = regular & (luck < 0.03), regular & (luck >= 0.03) & (luck < 0.05)
    partial, none = regular & (luck >= 0.05) & (luck < 0.055), regular & (luck > 0.99)
    whole = regular & ~split & ~partial & ~none

    parts = [
        (failed_once | (cancelled & (luck < 0.5)), FAILED, orders.cents, at),
        (whole, PAID, orders.cents, at + failed_once * MINUTE),
        (split | partial, PAID, part, at),
        (split, PAID, orders.cents - part, at + 2 * MINUTE),
        (pending, UNPAID, orders.cents, at),
    ]
    rows, number, status, cents, made_at = [], [], [], [], []
    for place, (mask, state, amount, moment) in enumerate(parts):
        found = np.flatnonzero(mask)
        rows.append(found)
        number.append(np.full(len(found), place))
        status.append(np.full(len(found), state))
        cents.append(amount[found])
        made_at.append(np.minimum(moment[found], plan.end - 1000))
    order, number, status, cents, made_at = (
        np.concatenate(part) for part in (rows, number, status, cents, made_at)
    )
    by_time = np.lexsort((number, order, made_at))
    order, number, status, cents, made_at = (
        x[by_time] for x in (order, number, status, cents, made_at)
    )
    refunded_at = np.where(fate == REFUNDED, orders.changed_at[:, 4], NEVER)
    changed_at = np.where(status == PAID, np.maximum(refunded_at[order], made_at), NEVER)
    counts = {
        "paid_after_a_failure": failed_once,
        "paid_in_two_parts": split,
        "paid_in_part": partial,
        "unpaid": none,
    }
    return (
        Payments(order, number, method[order], status, cents, made_at, changed_at),
        {name: int(mask.sum()) for name, mask in counts.items()},
    )
