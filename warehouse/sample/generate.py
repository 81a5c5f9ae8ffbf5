"""Generate the tables, write them load by load, and write the truth."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import private
from warehouse.sample import columns, dirty, people, shop, traffic
from warehouse.sample.files import Output
from warehouse.sample.plan import DAY, GENERATOR_VERSION, SECOND, Plan

TABLES = (
    "users",
    "categories",
    "products",
    "orders",
    "order_items",
    "payments",
    "user_sessions",
    "events",
    "consents",
    "erasure_requests",
)
# Called with the name of the table, the rows done and the rows to do.
Progress = Callable[[str, int, int], None]


def generate(plan: Plan, progress: Progress = lambda name, done, total: None) -> dict:
    """Write the sample of the plan; returns its truth, the content of `truth.json`."""
    progress("drawing users and orders", 0, 0)
    users = people.make_users(plan)
    categories, shown_from, leaves = shop.make_categories(plan)
    products = shop.make_products(plan, leaves)
    orders, buyers = shop.make_orders(plan, users)
    items = shop.make_items(plan, orders, products)
    payments, payment_counts = shop.make_payments(plan, orders)
    progress("drawing sessions", 0, 0)
    sessions = traffic.make_sessions(plan, users, orders, buyers)
    total = sessions.total_events

    dirt = dirty.Dirt()
    repeats = {
        name: dirty.draw_repeats(plan, name, rows)
        for name, rows in (
            ("users", len(users)),
            ("orders", len(orders)),
            ("order_items", len(items)),
        )
    }
    with Output(plan.folders, plan.format) as output:
        dirty.add_orders(plan, dirt, users, orders, products)
        dirty.add_items(plan, dirt, orders, items, products, unreadable=output.is_text)
        dirty.add_payments(plan, dirt, orders, len(payments), unreadable=output.is_text)
        dirty.add_sessions(plan, dirt, users, sessions)
        dirty.add_events(plan, dirt, users, total, unreadable=output.is_text)
        _note_changed_rows(dirt, users, orders, items, repeats)

        tables = _Tables(plan, output, dirt)
        tables.fixed("categories", categories, shown_from)
        tables.fixed("consents", *people.make_consents(plan, users))
        tables.fixed("erasure_requests", *people.make_erasure_requests(plan, users))
        tables.products(products)
        tables.users(users, sessions, repeats["users"])
        tables.orders(orders, repeats["orders"])
        tables.items(items, orders, repeats["order_items"])
        tables.payments(payments, orders)
        tables.sessions(sessions)
        tables.events(sessions, orders, products, lambda done: progress("events", done, total))
    return _write_truth(plan, output, dirt, users, buyers, orders, payment_counts)


def _note_changed_rows(
    dirt: dirty.Dirt,
    users: people.Users,
    orders: shop.Orders,
    items: shop.Items,
    repeats: dict[str, dirty.Repeats],
) -> None:
    """Add the kinds that are changed clean rows to the truth: repeated, late, with a bad e-mail."""
    bad = np.flatnonzero(users.bad_email >= 0)
    dirt.note(
        "users_with_bad_email",
        "users",
        "email is malformed",
        columns.integers(bad + people.FIRST_USER),
    )
    late = np.flatnonzero(orders.visible_at > orders.ordered_at)
    dirt.note(
        "orders_late",
        "orders",
        "shows days after order_date, with its lines and payments",
        orders.key(late),
    )
    keys = {
        "users": lambda rows: columns.integers(rows + people.FIRST_USER),
        "orders": orders.key,
        "order_items": lambda rows: items.table(rows, orders)["order_item_id"].combine_chunks(),
    }
    for name, chosen in repeats.items():
        dirt.note(f"{name}_twice", name, "the same row twice in one file", keys[name](chosen.exact))
        dirt.note(
            f"{name}_outdated",
            name,
            "an older payload of the key stands before the row in the same file",
            keys[name](chosen.outdated),
        )


def _among(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The places in `rows` of the chosen rows."""
    return np.flatnonzero(np.isin(rows, chosen))


class _Tables:
    """Writes each table, load by load: the rows that are new or changed since the last load."""

    def __init__(self, plan: Plan, output: Output, dirt: dirty.Dirt) -> None:
        self.plan, self.output, self.dirt = plan, output, dirt
        self.windows = list(
            zip([np.iinfo(np.int64).min, *plan.bounds[:-1]], plan.bounds, strict=True)
        )

    def _finish(self, name: str, load: int, rows: pa.Table) -> None:
        """Write a load's rows of a table, then its additional dirty rows."""
        self.output.write(load, name, rows)
        for more in self.dirt.of(name, load):
            self.output.write(load, name, more)
        self.output.finish(load, name)

    def fixed(self, name: str, table: pa.Table, moment: np.ndarray) -> None:
        """A table whose rows never change, sorted by the time when they appear."""
        cuts = np.searchsorted(moment, [since for since, _ in self.windows] + [self.plan.end])
        for load in range(self.plan.loads):
            self._finish(name, load, table.slice(cuts[load], cuts[load + 1] - cuts[load]))

    def products(self, products: shop.Products) -> None:
        for load, (since, until) in enumerate(self.windows):
            rows = np.flatnonzero(
                (products.repriced_at >= since) & (products.repriced_at < until) | (load == 0)
            )
            self._finish("products", load, products.table(rows, until))

    def users(
        self, users: people.Users, sessions: traffic.Sessions, repeats: dirty.Repeats
    ) -> None:
        known = sessions.user >= 0
        who, start = sessions.user[known], sessions.start[known]
        login = np.full(len(users), np.iinfo(np.int64).min)
        cuts = np.searchsorted(start, [until for _, until in self.windows])
        final = users.changed_at.copy()
        final[final >= self.plan.end] = 0
        final = final.max(axis=1)
        np.maximum.at(final, who, start)
        final = self.plan.load_of(final)
        seen, done = np.full(len(users), -1), 0
        for load, (_, until) in enumerate(self.windows):
            version = users.version_at(until)
            changed = version != seen
            # sessions are sorted by their start; numpy keeps the last value of a repeated index
            login[who[done : cuts[load]]] = start[done : cuts[load]]
            changed[who[done : cuts[load]]] = True
            rows = np.flatnonzero(changed)
            table = users.table(rows, version[rows], login[rows])
            self._finish("users", load, self._repeated("users", table, rows, repeats, final, load))
            seen, done = version, cuts[load]

    def _repeated(
        self,
        name: str,
        table: pa.Table,
        rows: np.ndarray,
        repeats: dirty.Repeats,
        final: np.ndarray,
        load: int,
    ) -> pa.Table:
        """The table with the repetitions of this load: each is in the last load of its key."""
        here = np.where(final[rows] == load, rows, -1)
        return dirty.repeated(
            name, table, _among(here, repeats.exact), _among(here, repeats.outdated)
        )

    def orders(self, orders: shop.Orders, repeats: dirty.Repeats) -> None:
        shown = orders.shown_at
        final = self.plan.load_of(np.where(shown < self.plan.end, shown, 0).max(axis=1))
        late = orders.visible_at > orders.ordered_at
        seen = np.full(len(orders), -1)
        for load, (_, until) in enumerate(self.windows):
            version = (shown < until).sum(axis=1) - 1
            rows = np.flatnonzero(version != seen)
            rows = rows[np.argsort(late[rows] & (seen[rows] < 0), kind="stable")]
            table = orders.table(rows, version[rows])
            table = self._repeated("orders", table, rows, repeats, final, load)
            self._finish("orders", load, table)
            seen = version

    def items(
        self,
        items: shop.Items,
        orders: shop.Orders,
        repeats: dirty.Repeats,
    ) -> None:
        late = (orders.visible_at > orders.ordered_at)[items.order]
        shows = self.plan.load_of(orders.visible_at)[items.order]
        for load in range(self.plan.loads):
            rows = np.flatnonzero(shows == load)
            rows = rows[np.argsort(late[rows], kind="stable")]
            table = items.table(rows, orders)
            self._finish(
                "order_items",
                load,
                self._repeated("order_items", table, rows, repeats, shows, load),
            )

    def payments(self, payments: shop.Payments, orders: shop.Orders) -> None:
        shown = np.maximum(payments.made_at, orders.visible_at[payments.order])
        changed = np.maximum(payments.changed_at, shown)
        for load, (since, until) in enumerate(self.windows):
            rows = np.flatnonzero(
                (shown >= since) & (shown < until) | (changed >= since) & (changed < until)
            )
            self._finish("payments", load, payments.table(rows, orders, until))

    def sessions(self, sessions: traffic.Sessions) -> None:
        starts = np.searchsorted(sessions.start, [until for _, until in self.windows])
        still_open = np.empty(0, np.int64)
        first = 0
        for load, (_, until) in enumerate(self.windows):
            new = np.arange(first, starts[load])
            closed = still_open[sessions.end[still_open] < until]
            self._finish(
                "user_sessions", load, sessions.table(np.concatenate([closed, new]), until)
            )
            candidates = np.concatenate([still_open, new])
            still_open = candidates[
                (sessions.end[candidates] >= until) & ~sessions.open_for_ever[candidates]
            ]
            first = starts[load]

    def events(
        self,
        sessions: traffic.Sessions,
        orders: shop.Orders,
        products: shop.Products,
        progress: Callable[[int], None],
    ) -> None:
        """The events, streamed. Late, repeated and corrected rows are at the end of a file."""
        plan = self.plan
        chosen = _choose_events(plan, sessions)
        names = {"late": [], "twice": [], "outdated": []}
        tails: dict[int, list[pa.Table]] = defaultdict(list)
        rng = plan.rng("events.delay")
        moved = 0
        done = closed = 0
        for part in traffic.make_events(plan, sessions, orders, products):
            # No later part has an event before the first one of this part.
            while closed < plan.loads and plan.bounds[closed] <= part.moment[0]:
                self._end_events(closed, tails.pop(closed, []))
                closed += 1
            load = plan.load_of(part.moment)
            late = _among(part.number, chosen["late"])
            delay = (rng.uniform(1, max(1.0, min(9, plan.days / 4)), len(late)) * DAY).astype(int)
            shows = plan.load_of(shop.later_load(plan, part.moment[late], delay))
            moved += int((shows > load[late]).sum())
            rows = {
                "late": late,
                "twice": _among(part.number, chosen["twice"]),
                "outdated": _among(part.number, chosen["outdated"]),
            }
            for name, places in rows.items():
                names[name] += part.table["event_id"].take(pa.array(places)).to_pylist()
                goes = shows if name == "late" else load[places]
                for number in np.unique(goes):
                    tails[number].append(
                        columns.plain(part.table.take(pa.array(places[goes == number])))
                    )
            table = traffic.with_outdated_urls(part.table, rows["outdated"])
            load[late] = -1
            for number in np.unique(load[load >= 0]):
                here = load == number
                self.output.write(
                    number, "events", table if here.all() else table.filter(pa.array(here))
                )
            done += len(table)
            progress(done)
        for number in range(closed, plan.loads):
            self._end_events(number, tails.pop(number, []))

        late_meaning = "stands at the end of its file, after younger events"
        if plan.loads > 1:
            late_meaning = f"shows days after event_timestamp; {moved} of them in a later load"
        for name, meaning in (
            ("late", late_meaning),
            ("twice", "the same row twice in one file"),
            ("outdated", "another payload of the key stands before the row in the same file"),
        ):
            self.dirt.note(f"events_{name}", "events", meaning, pa.array(names[name], pa.string()))

    def _end_events(self, load: int, tail: list[pa.Table]) -> None:
        """Write the end of a load's events; an empty file if there are none."""
        tail = tail + [
            columns.plain(rows)
            for rows in self.dirt.of("events", load)
            if rows.schema.field("event_timestamp").type == columns.TIMESTAMP
        ]
        if tail:
            self.output.write(load, "events", pa.concat_tables(tail))
        for rows in self.dirt.of("events", load):
            if rows.schema.field("event_timestamp").type != columns.TIMESTAMP:
                self.output.write(load, "events", rows)
        self.output.write(load, "events", traffic.no_events())
        self.output.finish(load, "events")


def _choose_events(plan: Plan, sessions: traffic.Sessions) -> dict[str, np.ndarray]:
    """The numbers of the events that are late, repeated, or preceded by an outdated payload."""
    rng, total = plan.rng("dirty.repeats.events"), sessions.total_events
    ends_early = plan.end - min(10, plan.days / 2) * DAY - 4 * 3600 * SECOND
    early = int(sessions.events[: np.searchsorted(sessions.start, ends_early)].sum())
    late = rng.choice(early, plan.dirty_rows(total, early // 3), replace=False)
    wanted = plan.dirty_rows(total, total // 4)
    others = rng.choice(total, min(total, 3 * wanted), replace=False)
    others = others[~np.isin(others, late)]
    return {
        "late": np.sort(late),
        "twice": np.sort(others[:wanted]),
        "outdated": np.sort(others[wanted : 2 * wanted]),
    }


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_truth(
    plan: Plan,
    output: Output,
    dirt: dirty.Dirt,
    users: people.Users,
    buyers: shop.Buyers,
    orders: shop.Orders,
    payment_counts: dict[str, int],
) -> dict:
    """Write `truth.json` and the truth about each user and each order."""
    folder = plan.out / "truth"
    private.make_folder(folder)
    bought = buyers.purchases > 0
    day = (orders.ordered_at - plan.start) // DAY
    days = np.unique(orders.user[orders.is_purchase] * plan.days + day[orders.is_purchase])
    purchase_days = np.bincount(days // plan.days, minlength=len(users))
    pq.write_table(
        pa.table(
            {
                "user_id": columns.integers(np.arange(len(users)) + people.FIRST_USER),
                "is_buyer": pa.array(bought),
                "first_purchase_at": columns.times(buyers.first_purchase, missing=~bought),
                "lambda_per_week": pa.array(buyers.rate, mask=~bought),
                "p": pa.array(buyers.leaving, mask=~bought),
                "nu": pa.array(buyers.spend_rate, mask=~bought),
                "is_alive": pa.array(buyers.is_alive, mask=~bought),
                "purchases": pa.array(buyers.purchases),
                "purchase_days": pa.array(purchase_days),
            }
        ),
        private.create(folder / "users.parquet"),
        store_schema=False,
    )
    pq.write_table(
        pa.table(
            {
                "order_id": orders.key(np.arange(len(orders))),
                "user_id": columns.integers(orders.user + people.FIRST_USER),
                "amount": columns.money(orders.cents),
                "is_purchase": pa.array(orders.is_purchase),
            }
        ),
        private.create(folder / "orders.parquet"),
        store_schema=False,
    )

    models = asdict(plan.models)
    revenue = int(orders.cents[orders.is_purchase].sum())
    rows: Counter[str] = Counter()
    for load in output.rows:
        rows.update(load)
    truth = {
        "generator": {"name": "warehouse sample", "version": GENERATOR_VERSION},
        "arguments": {
            "users": plan.users,
            "days": plan.days,
            "seed": plan.seed,
            "end_date": plan.end_date.isoformat(),
            "format": plan.format,
            "loads": plan.loads,
            "dirty": plan.dirty,
            "events_per_session": plan.events_per_session,
        },
        "starts_at": _moment(plan.start),
        "as_of": plan.end_date.isoformat(),
        "ends_before": _moment(plan.end),
        "models": {
            "first_purchase": {k: models[k] for k in ("buyer_share", "weeks_to_first_purchase")},
            "bg_nbd": {**{k: models[k] for k in ("r", "alpha", "a", "b")}, "unit": "week"},
            "gamma_gamma": {**{k: models[k] for k in ("p", "q", "v")}, "currency": shop.CURRENCY},
        },
        "clean": {
            "users": len(users),
            "buyers": int(bought.sum()),
            "buyers_alive": int(buyers.is_alive.sum()),
            "purchases": int(buyers.purchases.sum()),
            "purchase_days": int(purchase_days.sum()),
            "revenue": f"{revenue // 100}.{revenue % 100:02d}",
            "orders_without_revenue": int((~orders.is_purchase).sum()),
            "payments": payment_counts,
        },
        "rows": {name: rows[name] for name in TABLES},
        "loads": [
            {
                "folder": path.name if plan.loads > 1 else ".",
                "until": _moment(int(until)),
                "rows": {name: load[name] for name in TABLES},
            }
            for path, until, load in zip(plan.folders, plan.bounds, output.rows, strict=True)
        ],
        "dirty": {
            name: {
                "table": kind.table,
                "meaning": kind.meaning,
                "rows": len(kind.keys),
                "keys": kind.keys,
            }
            for name, kind in sorted(dirt.kinds.items())
        },
    }
    text = json.dumps(truth, indent=2, ensure_ascii=False)
    private.write_text(plan.out / "truth.json", text + "\n")
    return truth
