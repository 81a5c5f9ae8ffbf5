"""Random histories of loads, as plain data: generated from a seed, printed as a script, and shrunk.

A **plan** defines what all histories of a batch have in common: the clock, `as_of`, seeds, which
models a load builds. A **history** defines the changes of a handful of rows in each load. Many
histories share one database and one plan; each history has its own prefix for all keys.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import random
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from tests.replay import actions
from tests.replay.actions import Action
from warehouse import contract

Values = Mapping[str, str | None]

# When a batch of changes is committed. All changes are written and stamped before the build; those
# committed during or after it come from a transaction that is still open.
BEFORE, DURING, AFTER = "before the build", "during the build", "after the build"

LOAD_OVERLAP = dt.timedelta(days=1)
# How much earlier than the load's clock a batch stamps its rows, up to the whole overlap.
LATENESS = (
    dt.timedelta(0),
    dt.timedelta(0),
    dt.timedelta(minutes=1),
    dt.timedelta(hours=5),
    LOAD_OVERLAP,
)

FIRST_LOAD = dt.datetime(2024, 4, 1, 12, tzinfo=dt.UTC)


# --- The data ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """One change of one row.

    `kind` is `put` (insert, or replace every column), `change` (some columns), `touch` (load the
    row again unchanged), `delete` or `restore`. `key` and foreign keys do not contain the prefix.
    """

    kind: str
    table: str
    key: str
    values: Values = field(default_factory=dict)

    def __str__(self) -> str:
        cells = " ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.kind} {self.table} {self.key} {cells}".rstrip()


@dataclass(frozen=True)
class Batch:
    """Operations of one transaction, its time of commit, and the lateness of its stamps."""

    commit: str
    lateness: dt.timedelta
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class History:
    """The changes in one small application: the batches of each load."""

    loads: tuple[tuple[Batch, ...], ...]

    @property
    def size(self) -> int:
        """What shrinking minimizes: operations, their cells, and unusual batch properties."""
        return sum(
            3 * len(batch.operations)
            + sum(len(operation.values) for operation in batch.operations)
            + (batch.commit != BEFORE)
            + (batch.lateness != dt.timedelta(0))
            for load in self.loads
            for batch in load
        )


@dataclass(frozen=True)
class Load:
    """The properties that all histories share in one load.

    Args:
        clock: the newest stamp of the load.
        as_of: the variable of this name.
        is_quiet: no transaction stays open during the build, so a full rebuild must give the same.
        select: the nodes to build; everything if empty.
        rebuild: a model to rebuild from scratch, alone, before the build.
        late: when late transactions may commit; an open one hides how the build finds others.
        wait_in: the transactions of `DURING` commit during the write of this model.
        seeds: seeds that change from this load on, with their new text.
        grow: raw tables that gain a column that is not in the contract.
        clv_factor: the variable simple_clv_factor.
        time_zone: the variable of this name.
        has_beat: whether every table gets a row stamped with the clock.
        empty_first: whether a build with --empty runs first.
        emptied: a model to rebuild from scratch on empty inputs, alone, before the build.
        backfill: the first and last day to backfill, passed as variables from and to.
        has_faults: whether to corrupt rows of these days before the load, without logging it.
        clv_version: parameters of lifetime value to insert before the load.
        actions: what users do before the build.
        builds: whether the load ends with a build.
    """

    clock: dt.datetime
    as_of: str
    is_quiet: bool = True
    select: tuple[str, ...] = ()
    rebuild: str | None = None
    late: tuple[str, ...] = (DURING, AFTER)
    wait_in: str = "fct_orders"
    seeds: Values = field(default_factory=dict)
    grow: tuple[str, ...] = ()
    clv_factor: str = "1.2"
    time_zone: str = "UTC"
    has_beat: bool = True
    empty_first: bool = False
    emptied: str | None = None
    backfill: tuple[str, str] | None = None
    has_faults: bool = False
    clv_version: Mapping[str, Any] | None = None
    actions: tuple[Action, ...] = ()
    builds: bool = True

    def __str__(self) -> str:
        words = [f"clock {self.clock:%Y-%m-%d %H:%M:%S}, as_of {self.as_of}"]
        words += [f"{action} before the rows" for action in self.actions if action.is_before_rows]
        words += [f"{name} changed to {text!r}" for name, text in self.seeds.items()]
        words += [f"raw.{table} gains a column" for table in self.grow]
        if self.clv_factor != "1.2":
            words.append(f"simple_clv_factor {self.clv_factor}")
        if self.time_zone != "UTC":
            words.append(f"time_zone {self.time_zone}")
        if self.clv_version:
            given = self.clv_version
            said = given.get("refused_because") or f"r={given['r']}"
            words.append(f"parameters of {given['model']} as of {given['as_of']}: {said}")
        if self.has_faults:
            words.append("rows of the window go wrong without a trace")
        words += [str(action) for action in self.actions if not action.is_before_rows]
        if not self.builds:
            return "; ".join([*words, "no build"])
        if self.rebuild:
            words.append(f"dbt build --full-refresh --select {self.rebuild}")
        if self.emptied:
            words.append(f"dbt build --full-refresh --empty --select {self.emptied}")
        if self.empty_first:
            words.append("dbt build --empty")
        build = f"dbt build {'--select ' if self.select else ''}{' '.join(self.select)}".strip()
        if self.backfill:
            build += " --vars '{{from: {}, to: {}}}'".format(*self.backfill)
        return "; ".join([*words, build])


Plan = tuple[Load, ...]


def script(plan: Plan, history: History) -> str:
    """The history as readable lines, load by load."""
    lines = []
    for number, (load, batches) in enumerate(zip(plan, history.loads, strict=True), start=1):
        lines.append(f"load {number}: {load}")
        for batch in batches:
            stamp = load.clock - batch.lateness
            where = batch.commit
            if where == DURING:
                where = f"while {load.wait_in} is written"
            lines.append(f"  stamped {stamp:%Y-%m-%d %H:%M:%S}, committed {where}:")
            lines += [f"    {operation}" for operation in batch.operations]
    return "\n".join(lines)


# --- Generation -------------------------------------------------------------------------------

MOMENTS = (
    "2024-01-31 23:59:59.999999+00",
    "2024-02-01 00:00:00+00",
    "2024-02-10 01:30:00+05:30",
    "2024-03-01 12:00:00+00",
    "2024-03-20 08:15:30.25+00",
    "2024-04-01 00:00:00+00",
    "2024-04-05 00:00:00+00",
    "2024-04-09 18:00:00+00",
    "2024-05-02 10:00:00+00",
    "2024-06-15 10:00:00+00",
)
# The moments at which time alone changes the segment of a user who signed up or was last active at
# one of `MOMENTS`.
DUE_MOMENTS = tuple(
    f"{dt.datetime.fromisoformat(moment).astimezone(dt.UTC).date() + dt.timedelta(days=days)}"
    " 00:00:00+00"
    for moment in MOMENTS
    for days in (30, 61)
)
# On both sides of UTC, with whole and half hours; half of all batches stay in UTC.
ZONES = (
    *("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Australia/Lord_Howe"),
    *("UTC",) * 4,
)
ODD_MOMENTS = ("infinity", "-infinity", "1850-01-01 00:00:00+00", "2150-01-01 00:00:00+00", None)
REVENUE_STATUSES = (" Completed ", "paid", "Shipped")
STATUSES = (" Completed ", "paid", "Shipped", "returned", "REFUNDED", "cancelled", "lost", "", None)
AMOUNTS = ("10", "400.5", "999.9999", "1000", "0", "-3.33335", "2000", "NaN", "1e13", None)
EVENT_TYPES = ("page_view", " Purchase ", "click", "dance", None)

SEEDS = {
    "segment_thresholds": (
        "threshold_name,threshold_value\nhigh_value_min_spent,{}\n"
        "new_max_days_since_signup,{}\nat_risk_min_days_inactive,{}\n"
    ),
    "order_statuses": (
        "order_status,is_revenue,is_refund\ncompleted,{},false\npaid,true,false\n"
        "shipped,true,false\nreturned,false,{}\nrefunded,false,true\ncancelled,false,false\n"
    ),
    "payment_statuses": "payment_status,is_paid\npaid,{}\ncaptured,true\nfailed,false\n",
    "event_types": (
        "event_type,event_category,funnel_step\npage_view,{},1\npurchase,purchase,{}\n"
        "click,engagement,\n"
    ),
}
SEED_CHOICES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "segment_thresholds": (("1000", "30", "60"), ("500", "10", "20"), ("5000", "45", "5")),
    "order_statuses": (("true", "true"), ("false", "true"), ("true", "false")),
    "payment_statuses": (("true",), ("false",)),
    "event_types": (("browse", "5"), ("look", "5"), ("browse", "")),
}
# The same statuses and thresholds as in the project's seeds.
USUAL_SEEDS = {name: text.format(*SEED_CHOICES[name][0]) for name, text in SEEDS.items()}

# Possible results of fits: trusted or refused, as of moments before and after those of the loads.
CLV_MODELS = ("bg-nbd", "mbg-nbd")
CLV_MOMENTS = ("2024-02-15 12:00:00+00", "2024-04-03 23:59:59.999999+00", "2024-05-20 00:00:00+00")
CLV_REFUSAL = "only 3 users have bought"
CLV_ESTIMATE: Mapping[str, float] = {
    **{"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "p": 6.25, "q": 3.74, "v": 154.4},
    **{"cov_r_r": 0.0027, "cov_alpha_r": 0.0035, "cov_alpha_alpha": 0.0073, "cov_a_r": -0.0005},
    **{"cov_a_alpha": -0.0008, "cov_a_a": 0.055, "cov_b_r": 0.0001, "cov_b_alpha": 0.001},
    **{"cov_b_a": 0.064, "cov_b_b": 0.085, "cov_p_p": 0.036, "cov_q_p": -0.01, "cov_q_q": 0.006},
    **{"cov_v_p": -0.05, "cov_v_q": 0.017, "cov_v_v": 0.073},
}

# Models that a build writes after both snapshots, so that it is known what the snapshots saw.
WAITING_MODELS = (
    "dim_users",
    "fct_orders",
    "fct_order_items",
    "fct_user_events",
    "fct_user_sessions",
    "int_user_activity",
    "user_segments",
    "user_daily_metrics",
    "user_analytics",
)
PARTIAL_BUILDS = (
    ("+fct_orders",),
    ("+int_user_activity",),
    ("fct_orders", "fct_payments"),
    ("fct_user_events", "fct_user_sessions", "user_daily_metrics"),
    ("int_user_activity", "user_segments"),
    ("+dim_users", "+dim_products"),
)
# Excludes the snapshots that these models read, which are then one load behind.
WITHOUT_SNAPSHOTS = ("dim_users", "dim_products", "fct_order_items")
REBUILT_MODELS = (
    "dim_users",
    "dim_products",
    "dim_categories",
    "fct_order_items",
    "fct_payments",
    "fct_orders",
    "fct_user_sessions",
    "fct_user_events",
    "int_user_activity",
    "int_user_recent_orders",
    "int_user_months",
    "int_user_funnel_steps",
    "user_daily_metrics",
    "user_rfm",
    "user_segments",
    "user_clv",
)

KEYS = {
    "users": [f"u{number}" for number in range(4)],
    "categories": [f"c{number}" for number in range(4)],
    "products": [f"p{number}" for number in range(3)],
    "orders": [f"o{number}" for number in range(5)],
    "order_items": [f"i{number}" for number in range(7)],
    "payments": [f"pay{number}" for number in range(4)],
    "user_sessions": [f"s{number}" for number in range(4)],
    "events": [f"e{number}" for number in range(7)],
    "consents": ["k0"],
    "erasure_requests": ["r0"],
}
# More important tables are more frequent.
# Consents of two users, so that they follow each other. They are drawn apart: the other tables then
# get the rows by which each mutant is known to be found.
DECISIONS = [f"k{number}" for number in range(1, 6)]
PURPOSES = ("marketing", " Marketing", "mail", None)
WEIGHTS = dict(
    zip(KEYS, (8, 4, 3, 6, 7, 3, 4, 6, 1, 1), strict=True),
)
REFERENCES = {
    "user_id": "users",
    "order_id": "orders",
    "product_id": "products",
    "category_id": "categories",
    "parent_id": "categories",
    "session_id": "user_sessions",
}


@functools.cache
def _contract() -> contract.Contract:
    return contract.read()


class Generator:
    """Generates plans and histories from a seed; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.contract = _contract()

    def plan(self, count: int, kinds: Sequence[str] = ()) -> Plan:
        """A plan of `count` loads; the last is quiet and builds everything.

        Args:
            count: the number of loads.
            kinds: the kinds of actions between the loads.
        """
        plan = self._plan_of_loads(count)
        if not kinds:
            return plan
        chance = random.Random(f"acting {self.seed}")  # noqa: S311 - test data
        return tuple(
            dataclasses.replace(
                load,
                actions=drawn,
                builds=number in (0, count - 1) or chance.random() < 0.9,
                # An action may build before a backfill, or in the other target, which has none.
                has_faults=False,
                backfill=None,
            )
            for number, (load, drawn) in enumerate(
                zip(plan, actions.draw(self.seed, count, kinds), strict=True)
            )
        )

    def _plan_of_loads(self, count: int) -> Plan:
        chance = random.Random(f"plan {self.seed}")  # noqa: S311 - test data
        late = random.Random(f"late {self.seed}")  # noqa: S311 - test data
        rare = random.Random(f"rare {self.seed}")  # noqa: S311 - test data
        valuing = random.Random(f"clv {self.seed}")  # noqa: S311 - test data
        paying = random.Random(f"paying {self.seed}")  # noqa: S311 - test data
        moving = random.Random(f"zone {self.seed}")  # noqa: S311 - test data
        zone = moving.choice(ZONES)
        # Features that make a model process all keys are rare, because they repair earlier errors.
        loads = []
        clock = FIRST_LOAD
        for number in range(count):
            is_first, is_last = number == 0, number == count - 1
            clock += dt.timedelta(
                minutes=chance.choice((7, 60, 60 * 9, 60 * 24, 60 * 24 * 3, 60 * 24 * 11))
            )
            if moving.random() < 0.04:
                zone = moving.choice(ZONES)
            is_quiet = is_last or chance.random() < 0.5
            is_odd = not is_first and not is_last
            select = chance.choice(PARTIAL_BUILDS) if is_odd and chance.random() < 0.2 else ()
            if select and rare.random() < 0.25:
                select = WITHOUT_SNAPSHOTS
            rebuild = (
                chance.choice(REBUILT_MODELS) if not is_first and chance.random() < 0.1 else None
            )
            seeds = {
                name: text.format(*drawn.choice(SEED_CHOICES[name]))
                for name, text in SEEDS.items()
                for drawn in (paying if name == "payment_statuses" else chance,)
                if drawn.random() < 0.06
            }
            tables = list(self.contract.tables)
            load = Load(
                clock=clock,
                as_of=self._as_of(chance, clock, loads),
                is_quiet=is_quiet and not select,
                select=select,
                rebuild=rebuild,
                late=late.choice(((DURING,), (AFTER,), (DURING, AFTER))),
                wait_in=chance.choice(WAITING_MODELS),
                seeds=seeds,
                grow=(chance.choice(tables),) if chance.random() < 0.3 else (),
                clv_factor="1.5" if chance.random() < 0.04 else "1.2",
                time_zone=zone,
                has_beat=is_first or chance.random() < 0.85,
                empty_first=not is_first and chance.random() < 0.1,
                emptied=(
                    rare.choice(REBUILT_MODELS) if not is_first and rare.random() < 0.06 else None
                ),
                backfill=("2024-02-01", "2024-04-05") if chance.random() < 0.06 else None,
                # The first build creates the table.
                clv_version=None if is_first else self._clv_version(valuing),
            )
            if load.backfill and not select and not is_first:
                load = dataclasses.replace(load, has_faults=True)
            if select == WITHOUT_SNAPSHOTS:
                load = dataclasses.replace(load, late=())
            loads.append(load)
        return tuple(loads)

    def _as_of(self, chance: random.Random, clock: dt.datetime, loads: list[Load]) -> str:
        """Mostly the clock's day; else the previous as_of, a date some days off, or an edge."""
        kind = chance.random()
        if kind < 0.2 and loads:
            return loads[-1].as_of
        if kind < 0.4:
            return f"{clock.date() + dt.timedelta(days=chance.choice((-25, -3, 4, 29, 40, 61)))}"
        if kind < 0.55:
            sharp = (*MOMENTS, *DUE_MOMENTS)
            return chance.choice([moment for moment in sharp if moment.endswith("+00")])
        return f"{clock.date()}"

    def _clv_version(self, chance: random.Random) -> Mapping[str, Any] | None:
        """Sometimes a version of the parameters; a few of them are refused."""
        kind = chance.random()
        common = {"model": chance.choice(CLV_MODELS), "as_of": chance.choice(CLV_MOMENTS)}
        common |= {"users": 3, "repeaters": 2}
        r = chance.choice((0.243, 0.5))
        if kind < 0.06:
            return {**common, "refused_because": CLV_REFUSAL}
        return {**common, **CLV_ESTIMATE, "r": r} if kind < 0.24 else None

    def history(self, number: int, plan: Plan) -> History:
        """The history with this number for a plan."""
        chance = random.Random(f"history {self.seed} {number}")  # noqa: S311 - test data
        activity = chance.choice((2, 4, 7))
        first, *later = (
            self._load(chance, load, activity * 3 if index == 0 else activity)
            for index, load in enumerate(plan)
        )
        loads = (self._with_sales(number, first), *later)
        return History(self._with_decisions(number, loads))

    def _with_sales(self, number: int, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        """Add a first batch that inserts most users and some purchases.

        With purely random batches hardly any user would have spent anything.
        """
        chance = random.Random(f"sales {self.seed} {number}")  # noqa: S311 - test data
        taken = {
            (operation.table, operation.key) for batch in batches for operation in batch.operations
        }
        operations = []
        for table, share, usual in (
            ("users", 0.7, {}),
            ("orders", 0.6, {"user_id": KEYS["users"], "order_status": REVENUE_STATUSES}),
            (
                "order_items",
                0.6,
                {"order_id": KEYS["orders"], "price_at_purchase": ("10", "400.5")},
            ),
        ):
            for key in KEYS[table]:
                if chance.random() < share and (table, key) not in taken:
                    put = self._put(chance, table, key)
                    values = {name: chance.choice(choices) for name, choices in usual.items()}
                    operations.append(dataclasses.replace(put, values={**put.values, **values}))
        start = Batch(BEFORE, dt.timedelta(0), tuple(operations))
        return (start, *batches) if operations else batches

    def _with_decisions(
        self, number: int, loads: tuple[tuple[Batch, ...], ...]
    ) -> tuple[tuple[Batch, ...], ...]:
        """Add a batch of consents to some loads."""
        chance = random.Random(f"decisions {self.seed} {number}")  # noqa: S311 - test data
        usual = {"user_id": KEYS["users"][:2], "purpose": PURPOSES}
        decided = []
        for batches in loads:
            operations = []
            for _ in range(chance.randint(0, 3)):
                drawn = self._operation_on(chance, "consents", chance.choice(DECISIONS))
                values = {
                    name: chance.choice(usual[name]) if name in usual else value
                    for name, value in drawn.values.items()
                }
                operations.append(dataclasses.replace(drawn, values=values))
            added = Batch(BEFORE, chance.choice(LATENESS), tuple(operations))
            decided.append((*batches, added) if operations else batches)
        return tuple(decided)

    def _load(self, chance: random.Random, load: Load, activity: int) -> tuple[Batch, ...]:
        batches = []
        taken: set[tuple[str, str]] = set()
        for commit in (BEFORE, DURING, AFTER):
            if commit != BEFORE and (load.is_quiet or chance.random() < 0.5):
                continue
            operations = [self._operation(chance) for _ in range(chance.randint(0, activity))]
            # Only one of two open transactions can lock a row.
            own = [each for each in operations if (each.table, each.key) not in taken]
            taken.update((each.table, each.key) for each in own)
            if own and commit in (BEFORE, *load.late):
                batches.append(Batch(commit, chance.choice(LATENESS), tuple(own)))
        return tuple(batches)

    def _operation(self, chance: random.Random) -> Operation:
        table = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        return self._operation_on(chance, table, chance.choice(KEYS[table]))

    def _operation_on(self, chance: random.Random, table: str, key: str) -> Operation:
        kind = chance.choices(("put", "change", "touch", "delete", "restore"), (10, 6, 1, 3, 2))[0]
        if kind == "delete":
            return Operation(kind, table, key, {"_deleted_at": chance.choice((*MOMENTS, "stamp"))})
        if kind in ("touch", "restore"):
            return Operation(kind, table, key)
        if kind == "put":
            return self._put(chance, table, key)
        names = self._columns(table)
        names = [chance.choice(names)] + (["updated_at"] if "updated_at" in names else [])
        return Operation(kind, table, key, {name: CELLS[name](chance) for name in set_order(names)})

    def _put(self, chance: random.Random, table: str, key: str) -> Operation:
        cells = {name: CELLS[name](chance) for name in self._columns(table)}
        return Operation("put", table, key, cells)

    def _columns(self, table: str) -> list[str]:
        """The columns that operations fill, without the key of the table."""
        return [
            name
            for name in self.contract.tables[table].columns
            if (name in CELLS and REFERENCES.get(name) != table) or name == "parent_id"
        ]


def set_order(names: list[str]) -> list[str]:
    """The names without duplicates, in their order."""
    return list(dict.fromkeys(names))


def _one_of(*values: str | None) -> Any:
    return lambda chance: chance.choice(values)


def _reference(table: str, strange: tuple[str | None, ...] = (None,)) -> Any:
    """Mostly a key of the table, whether the row exists or not; sometimes null or blank."""
    return lambda chance: (
        chance.choice(strange) if chance.random() < 0.15 else chance.choice(KEYS[table])
    )


def _moment(chance: random.Random) -> str | None:
    return chance.choice(ODD_MOMENTS if chance.random() < 0.1 else MOMENTS)


CELLS = {
    "user_id": _reference("users", (None, " ")),
    "order_id": _reference("orders", (None, "")),
    "product_id": _reference("products"),
    "category_id": _reference("categories"),
    "parent_id": _reference("categories", (None, None, " ")),
    "session_id": _reference("user_sessions"),
    "email": _one_of("A@example.org", " a@example.org", "b@example.org", "no mail", None),
    "first_name": _one_of("Ada", "Ben", None),
    "country": _one_of("DE", " FR ", None),
    "subscription_tier": _one_of("free", " free ", "plus", None),
    "birth_date": _one_of("2000-02-29", "1970-01-01", None),
    "created_at": _moment,
    "updated_at": _moment,
    "last_login_at": _moment,
    "category_name": _one_of("Shoes", " Shirts ", "", None),
    "product_name": _one_of("Boot", "Sandal", None),
    "unit_price": _one_of(*AMOUNTS),
    "order_status": _one_of(*STATUSES),
    "currency": _one_of("EUR", " usd ", None),
    "order_date": _moment,
    "quantity": _one_of("1", "2", "3", "-1", "0.5", None),
    "price_at_purchase": _one_of(*AMOUNTS),
    "payment_method": _one_of("card", None),
    "payment_status": _one_of("paid", "Captured", "failed", None),
    "amount": _one_of(*AMOUNTS),
    "paid_at": _moment,
    "session_start": _moment,
    "session_end": _moment,
    "device": _one_of("phone", "Desktop", None),
    "event_type": _one_of(*EVENT_TYPES),
    "event_timestamp": _moment,
    "page_url": _one_of("/", "/cart", None),
    "properties": _one_of('{"a": 1}', "[]", None),
    "purpose": _one_of("mail"),
    "is_granted": _one_of("true", "false"),
    "recorded_at": _moment,
    "requested_at": _moment,
}


# --- Shrinking --------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Piece:
    """A removable part of a history.

    That is an operation; or one of its cells, if `cell` is set; or, if `operation` is None, the
    unusual property of a batch named by `cell`.
    """

    load: int
    batch: int
    operation: int | None = None
    cell: str | None = None


def operations_of(history: History) -> list[Piece]:
    """Every operation, as a piece."""
    return [
        Piece(load_number, batch_number, position)
        for load_number, load in enumerate(history.loads)
        for batch_number, batch in enumerate(load)
        for position in range(len(batch.operations))
    ]


def details_of(history: History) -> list[Piece]:
    """Every cell, and every unusual property of a batch, as pieces."""
    pieces = []
    for load_number, load in enumerate(history.loads):
        for batch_number, batch in enumerate(load):
            if batch.commit != BEFORE:
                pieces.append(Piece(load_number, batch_number, cell="commit"))
            if batch.lateness:
                pieces.append(Piece(load_number, batch_number, cell="lateness"))
            pieces += [
                Piece(load_number, batch_number, position, name)
                for position, operation in enumerate(batch.operations)
                for name in operation.values
            ]
    return pieces


def without(history: History, pieces: AbstractSet[Piece]) -> History:
    """Remove pieces from a history.

    A change without cells becomes a touch; a batch without operations is removed.
    """
    loads = []
    for load_number, load in enumerate(history.loads):
        batches = []
        for batch_number, batch in enumerate(load):
            operations = []
            for position, operation in enumerate(batch.operations):
                piece = Piece(load_number, batch_number, position)
                if piece in pieces:
                    continue
                values = {
                    name: value
                    for name, value in operation.values.items()
                    if dataclasses.replace(piece, cell=name) not in pieces
                }
                is_touch = operation.kind == "change" and not values
                operations.append(
                    dataclasses.replace(
                        operation, kind="touch" if is_touch else operation.kind, values=values
                    )
                )
            usual: dict[str, Any] = {}
            if Piece(load_number, batch_number, cell="commit") in pieces:
                usual["commit"] = BEFORE
            if Piece(load_number, batch_number, cell="lateness") in pieces:
                usual["lateness"] = dt.timedelta(0)
            if operations:
                batches.append(dataclasses.replace(batch, operations=tuple(operations), **usual))
        loads.append(tuple(batches))
    return History(tuple(loads))


# A load that consists only of rows and a build.
PLAIN: Mapping[str, Any] = {
    "actions": (),
    "builds": True,
    "rebuild": None,
    "emptied": None,
    "empty_first": False,
    "has_faults": False,
    "backfill": None,
    "grow": (),
    "clv_factor": "1.2",
    "time_zone": "UTC",
    "clv_version": None,
    "select": (),
    "seeds": {},
}


def plainer(plan: Plan, history: History) -> Iterator[tuple[str, Plan, History]]:
    """Yield simpler plans with the matching history.

    Each plan drops loads in which nothing happens, or unusual properties of loads: first all of
    them at once, then one at a time. Its name stays the same after another plan was accepted.
    """
    last = len(plan) - 1
    idle = [n for n, batches in enumerate(history.loads) if not batches and 0 < n < last]
    for dropped in (idle, *([n] for n in idle)):
        if dropped:
            kept = [n for n in range(len(plan)) if n not in dropped]
            name = f"no load at {', '.join(str(plan[n].clock) for n in dropped)}"
            yield (
                name,
                tuple(plan[n] for n in kept),
                History(tuple(history.loads[n] for n in kept)),
            )
    plain = tuple(dataclasses.replace(load, **PLAIN) for load in plan)
    if plain != plan:
        yield "all plain", plain, history
    for number, load in enumerate(plan):
        for action in load.actions if len(load.actions) > 1 else ():
            rest = tuple(other for other in load.actions if other is not action)
            simple = dataclasses.replace(load, actions=rest)
            yield f"{load.clock} {action}", (*plan[:number], simple, *plan[number + 1 :]), history
    for number, load in enumerate(plan):
        for name, usual in (*PLAIN.items(), ("as_of", plan[max(number - 1, 0)].as_of)):
            if getattr(load, name) != usual:
                changes = {name: usual}
                if name == "backfill":
                    changes["has_faults"] = False
                simple = dataclasses.replace(load, **changes)
                yield f"{load.clock} {name}", (*plan[:number], simple, *plan[number + 1 :]), history
