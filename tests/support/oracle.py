"""Computes the expected rows of the marts a second time, directly from the files.

The oracle shares no code with the models. It reads files in the format of the source contract (CSV,
gzipped or not, or Parquet; empty means null) and computes in plain Python with exact decimals. Each
function implements one rule, so that a reader can check each rule against the documentation.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

import mpmath
import polars as pl

from tests.support.compare import Near

Row = dict[str, object]
Raw = Mapping[str, str | None]
Loads = Iterable[tuple[dt.datetime, pl.DataFrame]]

KEYS = {
    "users": "user_id",
    "products": "product_id",
    "categories": "category_id",
    "orders": "order_id",
    "order_items": "order_item_id",
    "user_sessions": "session_id",
    "events": "event_id",
}
REVENUE = frozenset(
    (
        "completed",
        "complete",
        "delivered",
        "shipped",
        "processing",
        "paid",
        "placed",
        "approved",
        "invoiced",
        "preparing",
        "closed",
    )
)
REFUND = frozenset(("returned", "refunded"))
USER_ATTRIBUTES = (
    "email",
    "first_name",
    "last_name",
    "phone",
    "birth_date",
    "country",
    "subscription_tier",
)

BEGINNING_OF_TIME = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
END_OF_TIME = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)

# With sixty digits the product of two accepted numbers is exact, and a truncated quotient is long
# enough never to look like a tie.
EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
CENT = Decimal("0.01")
TEN_THOUSANDTH = Decimal("0.0001")
ABSURD = Decimal(10) ** 12
# The marts exclude rows dated outside the calendar.
CALENDAR = (dt.date(1900, 1, 1), dt.date(2100, 12, 31))


# --- Days -------------------------------------------------------------------------------------

_zone = zoneinfo.ZoneInfo("UTC")


@contextmanager
def in_zone(name: str) -> Iterator[None]:
    """Let all functions count days as in the variable `time_zone`."""
    global _zone
    before, _zone = _zone, zoneinfo.ZoneInfo(name)
    try:
        yield
    finally:
        _zone = before


def day_of(moment: dt.datetime) -> dt.date:
    """The date that clocks in the zone show."""
    return moment.astimezone(_zone).date()


def end_of_day(day: dt.date) -> dt.datetime:
    """The last microsecond of a day, as in `as_of: <date>`.

    A midnight that does not exist is the moment of the clock change; of two, the next day begins at
    the first one.
    """
    tomorrow = day + dt.timedelta(days=1)
    midnight = dt.datetime.combine(tomorrow, dt.time(), tzinfo=_zone)
    readings = [midnight.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
    return min(each for each in readings if day_of(each) >= tomorrow) - dt.timedelta(microseconds=1)


# --- Reading ----------------------------------------------------------------------------------


def read_table(path: Path) -> pl.DataFrame:
    """Read one file with every column as text.

    Args:
        path: a CSV file, gzipped or not, or a Parquet file.

    Returns:
        The rows in the file's order; empty and missing cells are null.
    """
    if path.suffix == ".parquet":
        return pl.read_parquet(path).cast(pl.String)
    return pl.read_csv(path, infer_schema_length=0)


def read_folder(folder: Path) -> dict[str, pl.DataFrame]:
    """Read the tables that the oracle needs from a folder.

    Args:
        folder: contains `<table>.csv.gz`, `<table>.csv` or `<table>.parquet`; a missing file means
            a table without rows.

    Returns:
        One frame per existing table, without the rows that cannot be parsed.
    """
    tables = {}
    for table in KEYS:
        for suffix in (".csv.gz", ".csv", ".parquet"):
            path = folder / f"{table}{suffix}"
            if path.exists():
                tables[table] = readable(read_table(path))
                break
    return tables


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose numbers and timestamps can be parsed; a load rejects all others."""
    for name, parse in PARSERS.items():
        if name in frame.columns:
            unreadable = [text for text in frame[name].unique() if not _can(parse, text)]
            frame = frame.filter(~pl.col(name).is_in(unreadable, nulls_equal=True))
    return frame


def _can(parse: Callable[[str | None], object], text: str | None) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def latest(loads: Sequence[Mapping[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    """Combine loads: keep the last row of each key, as an upsert does.

    Args:
        loads: the tables of each load, in the order of loading.

    Returns:
        The tables as they are at the source after the last load.
    """
    result = {}
    for table, key in KEYS.items():
        frames = [load[table] for load in loads if table in load]
        if frames:
            stacked = pl.concat(frames, how="diagonal")
            result[table] = stacked.unique(subset=key, keep="last", maintain_order=True)
    return result


def clean(text: str | None) -> str | None:
    """Trim text; return None if nothing is left."""
    return (text.strip() or None) if text is not None else None


def key(text: str | None) -> str | None:
    """A key, not trimmed; None if it is blank."""
    return text if clean(text) is not None else None


def within_calendar(moment: dt.datetime | None) -> dt.datetime | None:
    """The moment if dim_date contains its day, else None."""
    if moment is None or not CALENDAR[0].year - 1 <= moment.year <= CALENDAR[1].year + 1:
        return None
    return moment if CALENDAR[0] <= day_of(moment) <= CALENDAR[1] else None


def parse_moment(text: str | None) -> dt.datetime | None:
    """Parse a timestamp; no offset means UTC, and infinity gives None."""
    text = clean(text)
    if text is None or text.lstrip("+-").lower() in ("infinity", "inf"):
        return None
    moment = dt.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def parse_number(text: str | None) -> Decimal | None:
    """Parse a number; an infinite, NaN or absurdly large one gives None."""
    text = clean(text)
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not a number: {text!r}") from error
    return number if number.is_finite() and abs(number) < ABSURD else None


def parse_date(text: str | None) -> dt.date | None:
    """Parse a date."""
    text = clean(text)
    return dt.date.fromisoformat(text) if text is not None else None


PARSERS: dict[str, Callable[[str | None], object]] = {
    **dict.fromkeys(("quantity", "price_at_purchase", "unit_price"), parse_number),
    **dict.fromkeys(
        (
            "created_at",
            "updated_at",
            "last_login_at",
            "order_date",
            "session_start",
            "session_end",
            "event_timestamp",
            "_deleted_at",
        ),
        parse_moment,
    ),
    "birth_date": parse_date,
}


def _all(tables: Mapping[str, pl.DataFrame], table: str) -> Iterable[Raw]:
    """The rows of a table that have a key, including deleted ones."""
    if table not in tables:
        return
    for row in tables[table].iter_rows(named=True):
        if clean(row[KEYS[table]]) is not None:
            yield row


def _live(tables: Mapping[str, pl.DataFrame], table: str) -> Iterable[Raw]:
    """The rows of a table that have a key and are not deleted in the source."""
    return (row for row in _all(tables, table) if clean(row.get("_deleted_at")) is None)


# --- Orders -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """An order with a date; its amount is the sum of its lines."""

    order_id: str | None
    user_id: str | None
    status: str | None
    ordered_at: dt.datetime
    amount: Decimal

    @property
    def is_revenue(self) -> bool:
        return self.status in REVENUE and self.amount >= 0

    @property
    def is_refund(self) -> bool:
        return self.status in REFUND or (self.status in REVENUE and self.amount < 0)

    @property
    def gross(self) -> Decimal:
        counts = self.is_revenue or self.is_refund
        return self.amount if counts and self.amount > 0 else Decimal(0)

    @property
    def refunded(self) -> Decimal:
        return abs(self.amount) if self.is_refund else Decimal(0)

    @property
    def net(self) -> Decimal:
        return self.gross - self.refunded


def usable_amount(quantity: str | None, price: str | None) -> Decimal | None:
    """quantity x price, exactly; None if either factor or the product is not a valid amount."""
    factors = parse_number(quantity), parse_number(price)
    if None in factors:
        return None
    amount = EXACT.multiply(*factors)
    return amount if abs(amount) < ABSURD else None


def rounded(amount: Decimal) -> Decimal:
    """The amount rounded to four decimals, half away from zero."""
    return amount.quantize(TEN_THOUSANDTH, context=EXACT)


def line_amount(quantity: str | None, price: str | None) -> Decimal:
    """quantity x price, rounded to four decimals, half away from zero; 0 if unusable."""
    return rounded(usable_amount(quantity, price) or Decimal(0))


def orders(tables: Mapping[str, pl.DataFrame]) -> list[Order]:
    """Every order that has a date and is not deleted."""
    amounts: dict[str | None, Decimal] = {}
    for line in _live(tables, "order_items"):
        order_id = key(line["order_id"])
        amount = line_amount(line["quantity"], line["price_at_purchase"])
        amounts[order_id] = amounts.get(order_id, Decimal(0)) + amount
    found = []
    for row in _live(tables, "orders"):
        ordered_at = within_calendar(parse_moment(row["order_date"]))
        if ordered_at is None:
            continue
        status = clean(row["order_status"])
        found.append(
            Order(
                order_id=key(row["order_id"]),
                user_id=key(row["user_id"]),
                status=status.lower() if status else None,
                ordered_at=ordered_at,
                amount=amounts.get(key(row["order_id"]), Decimal(0)),
            )
        )
    return found


def average(total: Decimal, count: int) -> Decimal:
    """total / count, rounded to two decimals, half away from zero; 0 if count is 0."""
    if count == 0:
        return Decimal("0.00")
    return EXACT.divide(total, Decimal(count)).quantize(CENT, context=EXACT)


def daily_revenue(tables: Mapping[str, pl.DataFrame]) -> list[Row]:
    """One row per day with a revenue order or a refund; independent of `as_of`."""
    days: dict[dt.date, list[Order]] = {}
    for order in orders(tables):
        if order.is_revenue or order.is_refund:
            days.setdefault(day_of(order.ordered_at), []).append(order)
    rows: list[Row] = []
    for day, of_day in sorted(days.items()):
        count = sum(order.is_revenue for order in of_day)
        gross = sum((order.gross for order in of_day), Decimal(0))
        refunds = sum((order.refunded for order in of_day), Decimal(0))
        revenue = gross - refunds
        rows.append(
            {
                "revenue_date": day,
                "orders": count,
                "gross_revenue": gross,
                "refunds": refunds,
                "revenue": revenue,
                "avg_order_value": average(revenue, count),
            }
        )
    return rows


def monthly_category_revenue(tables: Mapping[str, pl.DataFrame], products: Loads) -> list[Row]:
    """One row per month and category in orders that are revenue or reduce it.

    Args:
        tables: the tables as they are at the source.
        products: the timestamp of each load and its rows of `products`, as in `product_history`.

    Returns:
        Rows by month and category. The category is the product's at the time of the order, or
        `unknown` if there is none or the category is deleted.
    """
    categories = {key(row["category_id"]) for row in _live(tables, "categories")}
    versions: dict[object, list[Row]] = {}
    for version in product_history(products):
        versions.setdefault(version["product_id"], []).append(version)
    counted = {o.order_id: o for o in orders(tables) if o.is_revenue or o.net}

    def category_key(product_id: str | None, moment: dt.datetime) -> str:
        for version in versions.get(product_id, ()):
            if version["effective_date"] <= moment < version["expiry_date"]:
                category_id = version["category_id"]
                if category_id in categories:
                    return hashlib.md5(category_id.encode(), usedforsecurity=False).hexdigest()
        return "unknown"

    groups: dict[tuple[dt.date, str], list[tuple[Order, Decimal, Decimal]]] = {}
    for line in _live(tables, "order_items"):
        order = counted.get(key(line["order_id"]))
        amount = usable_amount(line["quantity"], line["price_at_purchase"])
        if order is None or amount is None:
            continue
        month = day_of(order.ordered_at).replace(day=1)
        category = category_key(key(line.get("product_id")), order.ordered_at)
        quantity = rounded(parse_number(line["quantity"]))
        groups.setdefault((month, category), []).append((order, quantity, rounded(amount)))
    return [
        {
            "revenue_month": month,
            "category_key": category,
            "orders": len({order.order_id for order, _, _ in lines if order.is_revenue}),
            "quantity": sum((each for order, each, _ in lines if order.is_revenue), Decimal(0)),
            "revenue": sum((amount for _, _, amount in lines), Decimal(0)),
        }
        for (month, category), lines in sorted(groups.items())
    ]


# --- Users ------------------------------------------------------------------------------------


def segment(
    total_spent: Decimal,
    signed_up_at: dt.datetime | None,
    last_activity_at: dt.datetime | None,
    as_of: dt.datetime,
) -> str:
    """The business segment: the first rule that matches; days are differences of dates."""
    if total_spent > 1000:
        return "High Value"
    if signed_up_at is not None and (day_of(as_of) - day_of(signed_up_at)).days < 30:
        return "New"
    if last_activity_at is not None and (day_of(as_of) - day_of(last_activity_at)).days > 60:
        return "At Risk"
    return "Regular"


def user_analytics(tables: Mapping[str, pl.DataFrame], as_of: dt.date) -> list[Row]:
    """One row per user that is not deleted; ignores everything after the end of the day `as_of`."""
    moment = end_of_day(as_of)
    created = {
        key(row["user_id"]): within_calendar(parse_moment(row["created_at"]))
        for row in _live(tables, "users")
    }

    bought: dict[str | None, list[Order]] = {}
    for order in orders(tables):
        if order.ordered_at <= moment:
            bought.setdefault(order.user_id, []).append(order)

    starts: dict[str | None, list[dt.datetime]] = {}
    lengths: dict[str | None, list[dt.timedelta]] = {}
    for row in _live(tables, "user_sessions"):
        start, end = (
            within_calendar(parse_moment(row[name])) for name in ("session_start", "session_end")
        )
        if start is None or start > moment:
            continue
        starts.setdefault(key(row["user_id"]), []).append(start)
        if end is not None and end >= start:
            lengths.setdefault(key(row["user_id"]), []).append(end - start)

    events: dict[str | None, list[dt.datetime]] = {}
    for row in _live(tables, "events"):
        happened_at = within_calendar(parse_moment(row["event_timestamp"]))
        if happened_at is not None and happened_at <= moment:
            events.setdefault(key(row["user_id"]), []).append(happened_at)

    rows: list[Row] = []
    for user_id, created_at in created.items():
        revenue = [order for order in bought.get(user_id, ()) if order.is_revenue]
        refunds = [order for order in bought.get(user_id, ()) if order.is_refund]
        ordered = [order.ordered_at for order in revenue]
        total_spent = sum((order.net for order in bought.get(user_id, ())), Decimal(0))
        activity = [*ordered, *starts.get(user_id, ()), *events.get(user_id, ())]
        last_activity_at = max(activity) if activity else created_at
        rows.append(
            {
                "user_id": user_id,
                "total_orders": len(revenue),
                "total_spent": total_spent,
                "avg_order_value": average(total_spent, len(revenue)),
                "refunded_orders": len(refunds),
                "refunded_amount": sum((order.refunded for order in refunds), Decimal(0)),
                "first_ordered_at": min(ordered, default=None),
                "last_ordered_at": max(ordered, default=None),
                "total_sessions": len(starts.get(user_id, ())),
                "avg_session_duration_seconds": average_seconds(lengths.get(user_id, [])),
                "total_events": len(events.get(user_id, ())),
                "last_activity_at": last_activity_at,
                "user_segment": segment(total_spent, created_at, last_activity_at, moment),
                "customer_lifetime_value": EXACT.multiply(total_spent, Decimal("1.2")).quantize(
                    CENT, context=EXACT
                ),
            }
        )
    return rows


def average_seconds(lengths: Sequence[dt.timedelta]) -> Decimal | None:
    """The mean length in seconds with two decimals; None if there are no lengths."""
    if not lengths:
        return None
    microseconds = sum(lengths, dt.timedelta()) // dt.timedelta(microseconds=1)
    return average(Decimal(microseconds).scaleb(-6), len(lengths))


def user_segments(analytics: Iterable[Row]) -> list[Row]:
    """The segment of every user."""
    return [{"user_id": row["user_id"], "user_segment": row["user_segment"]} for row in analytics]


# --- Lifetime value ---------------------------------------------------------------------------

MONTH_WEEKS = Decimal("4.345")
# The mart rounds its numbers to this precision at most, or computes them in floating point.
CLOSE = 1e-9
ROUNDED = 1e-4
# The mart uses the uncertainty of an undiscounted year for a discounted one.
SPREAD = 5e-3


HISTORY = (
    *("first_purchase_date", "last_purchase_date", "repeat_purchases", "recency_weeks"),
    "mean_repeat_amount",
)


def purchase_history(tables: Mapping[str, pl.DataFrame], as_of: dt.date) -> list[Row]:
    """One row per user that is not deleted and bought by the end of the day `as_of`."""
    return [
        row
        for row in int_user_purchase_history(tables, as_of)
        if row["repeat_purchases"] is not None
    ]


def int_user_purchase_history(tables: Mapping[str, pl.DataFrame], as_of: dt.date) -> list[Row]:
    """The same, and users who have not bought yet, but order later."""
    moment = end_of_day(as_of)
    users = {key(row["user_id"]) for row in _live(tables, "users")}
    days: dict[str | None, dict[dt.date, Decimal]] = {}
    credits: dict[str | None, Decimal] = {}
    next_at: dict[str | None, dt.datetime] = {}
    for order in orders(tables):
        if order.user_id not in users:
            continue
        if order.ordered_at > moment:
            known = next_at.get(order.user_id, order.ordered_at)
            next_at[order.user_id] = min(known, order.ordered_at)
        elif order.is_revenue:
            of_user = days.setdefault(order.user_id, {})
            day = day_of(order.ordered_at)
            of_user[day] = of_user.get(day, Decimal(0)) + order.amount
        elif order.is_refund and order.amount < 0:
            credits[order.user_id] = credits.get(order.user_id, Decimal(0)) + order.amount
    rows: list[Row] = []
    for user_id, of_user in days.items():
        first, last = min(of_user), max(of_user)
        repeats = len(of_user) - 1
        rows.append(
            {
                "user_id": user_id,
                "first_purchase_date": first,
                "last_purchase_date": last,
                "repeat_purchases": repeats,
                "recency_weeks": (last - first).days / 7,
                "mean_repeat_amount": mean_repeat_amount(
                    of_user[first], sum(of_user.values(), Decimal(0)), repeats,
                    credits.get(user_id, Decimal(0)),
                ),
                "next_ordered_at": next_at.pop(user_id, None),
            }
        )  # fmt: skip
    return rows + [
        {
            **dict.fromkeys(HISTORY),
            "user_id": user_id,
            "next_ordered_at": ordered_at,
        }
        for user_id, ordered_at in next_at.items()
    ]


def mean_repeat_amount(
    first: Decimal, total: Decimal, repeats: int, credit: Decimal
) -> Decimal | None:
    """The mean of all purchases except the first, less the share of credit notes in the total.

    Never negative; None without a repeat purchase.
    """
    if repeats == 0:
        return None
    kept = max(total + credit, Decimal(0))
    if total <= 0:
        return Decimal("0.0000")
    mean = EXACT.divide(EXACT.multiply(total - first, kept), EXACT.multiply(total, repeats))
    return max(mean.quantize(TEN_THOUSANDTH, context=EXACT), Decimal("0.0000"))


def parameters_of_day(versions: Iterable[Row], as_of: dt.date) -> tuple[Row | None, str | None]:
    """The parameters valid on a day, or the reason why there are none.

    Args:
        versions: the rows of ml.clv_parameters.
        as_of: the day; versions with a later as_of are ignored.
    """
    known = [each for each in versions if each["as_of"] <= end_of_day(as_of)]
    known.sort(key=lambda each: (each["as_of"], each["version"]))
    trusted = [each for each in known if each["refused_because"] is None]
    if trusted:
        return trusted[-1], None
    if known:
        return None, f"the fit was refused: {known[-1]['refused_because']}"
    return None, "there are no parameters yet: warehouse clv fit makes them"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expectations of BG/NBD or MBG/NBD for a user: P(alive), orders in 30, 90 and 365 days,
    and discounted orders of 12 months."""

    p_alive: float
    orders: tuple[float, float, float]
    discounted: float


@lru_cache(maxsize=100_000)
def expectation(
    x: int, recency: float, age: float, model: str, r: float, alpha: float, a: float, b: float
) -> Expectation:
    """The textbook formulas, in 30 digits, without any transformation of the series.

    Args:
        x: repeat purchases.
        recency: weeks from the first to the last purchase.
        age: weeks from the first purchase to the end of the observation.
        model: bg-nbd or mbg-nbd.
        r, alpha, a, b: the parameters, in weeks.
    """
    with mpmath.workdps(30):
        shift = 1 if model == "mbg-nbd" else 0
        odds = mpmath.mpf(0)
        if x + shift > 0:
            odds = (a / mpmath.mpf(b + x + shift - 1)) * (
                (mpmath.mpf(alpha) + age) / (mpmath.mpf(alpha) + recency)
            ) ** (r + x)
        alive = 1 / (1 + odds)

        def expected(weeks: mpmath.mpf) -> mpmath.mpf:
            until = mpmath.mpf(alpha) + age + weeks
            series = mpmath.hyp2f1(r + x, b + shift + x, a + b + shift + x - 1, weeks / until)
            stays = ((mpmath.mpf(alpha) + age) / until) ** (r + x)
            factor = (mpmath.mpf(a) + b + shift + x - 1) / (mpmath.mpf(a) - 1)
            return factor * (1 - stays * series) * alive

        months = [expected(mpmath.mpf(str(MONTH_WEEKS)) * n) for n in range(13)]
        discounted = sum(
            (months[n] - months[n - 1]) / mpmath.mpf("1.01") ** n for n in range(1, 13)
        )
        orders = tuple(float(expected(mpmath.mpf(days) / 7)) for days in (30, 90, 365))
        return Expectation(float(alive), orders, float(discounted))


def order_value(x: int, mean: float, p: float, q: float, v: float) -> float:
    """The expected value of an order in the Gamma-Gamma model."""
    return p * (v + x * mean) / (p * x + q - 1)


def predicted_value(x: int, recency: float, age: float, mean: float, given: Row) -> float:
    """The expected value of an order times the discounted orders of 12 months."""
    found = expectation(
        x, recency, age, given["model"], *(given[name] for name in ("r", "alpha", "a", "b"))
    )
    return found.discounted * order_value(x, mean, *(given[name] for name in ("p", "q", "v")))


def spread(x: int, recency: float, age: float, mean: float, given: Row) -> float:
    """The standard error of the logarithm of the predicted value, by the delta method."""
    step = 1e-3
    gradient = {}
    for name in ("r", "alpha", "a", "b", "p", "q", "v"):
        up, down = (
            predicted_value(x, recency, age, mean, {**given, name: given[name] * factor})
            for factor in (1 + step, 1 - step)
        )
        gradient[name] = (up - down) / (2 * step) / predicted_value(x, recency, age, mean, given)
    variance = 0.0
    for group in (("r", "alpha", "a", "b"), ("p", "q", "v")):
        for row, name in enumerate(group):
            for column, other in enumerate(group):
                low, high = sorted((row, column))
                covariance = given[f"cov_{group[high]}_{group[low]}"]
                variance += gradient[name] * gradient[other] * covariance
    return max(variance, 0.0) ** 0.5


PREDICTED = (
    *("p_alive", "expected_orders_30d", "expected_orders_90d", "expected_orders_365d"),
    *("expected_order_value", "predicted_value", "predicted_value_p10", "predicted_value_p90"),
    *("parameters_version", "predicted_on"),
)


def prediction(history: Row, given: Row, as_of: dt.date) -> Row:
    """The predicted columns of a user who has bought."""
    x, recency = history["repeat_purchases"], history["recency_weeks"]
    age = (as_of - history["first_purchase_date"]).days / 7
    mean = float(history["mean_repeat_amount"] or 0)
    found = expectation(
        x, recency, age, given["model"], *(given[name] for name in ("r", "alpha", "a", "b"))
    )
    value = predicted_value(x, recency, age, mean, given)
    factor = float(mpmath.exp(1.2815515655446004 * spread(x, recency, age, mean, given)))
    cells = (
        *(Near(cell, CLOSE) for cell in (found.p_alive, *found.orders)),
        Near(order_value(x, mean, *(given[name] for name in ("p", "q", "v"))), ROUNDED),
        Near(value, ROUNDED),
        Near(value / factor, SPREAD),
        Near(value * factor, SPREAD),
        given["version"],
        as_of,
    )
    return dict(zip(PREDICTED, cells, strict=True))


def user_clv(
    analytics: Iterable[Row],
    histories: Iterable[Row],
    as_of: dt.date,
    versions: Iterable[Row] = (),
) -> list[Row]:
    """The lifetime value of every user.

    Args:
        analytics: the result of user_analytics.
        histories: the result of purchase_history as of the same day.
        as_of: the day.
        versions: the rows of ml.clv_parameters.
    """
    by_user = {row["user_id"]: row for row in histories}
    given, reason = parameters_of_day(versions, as_of)
    rows = []
    for row in analytics:
        history = by_user.get(row["user_id"])
        found: Row = dict.fromkeys(PREDICTED)
        if given is not None and history is not None:
            found = prediction(history, given, as_of)
        rows.append(
            {
                "user_id": row["user_id"],
                "historic_value": row["total_spent"],
                "simple_value": row["customer_lifetime_value"],
                **found,
                "no_prediction_because": None
                if found["p_alive"] is not None
                else reason or "the user has not bought yet",
            }
        )
    return rows


# --- RFM --------------------------------------------------------------------------------------

# The segment of each cell: one line per recency score from 5 to 1, with the FM scores from 1 to 5.
RFM_SEGMENTS = """
New            | Potential Loyalist | Potential Loyalist | Champions   | Champions
Promising      | Promising          | Potential Loyalist | Loyal       | Champions
About to Sleep | About to Sleep     | Need Attention     | Loyal       | Loyal
Hibernating    | Hibernating        | At Risk            | At Risk     | Cannot Lose
Lost           | Lost               | Hibernating        | Cannot Lose | Cannot Lose
"""


def rfm_segment(recency_score: int, fm_score: int) -> str:
    """The segment of a cell."""
    lines = [line.split("|") for line in RFM_SEGMENTS.strip().splitlines()]
    return lines[5 - recency_score][fm_score - 1].strip()


def months_before(day: dt.date, months: int) -> dt.date:
    """The same day `months` months earlier, or the last day of the month if it is too short."""
    number = day.year * 12 + day.month - 1 - months
    first = dt.date(number // 12, number % 12 + 1, 1)
    following = dt.date((number + 1) // 12, (number + 1) % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))


def scores(values: Mapping[str, object]) -> dict[str, int]:
    """The score of each user: the number of users below, in fifths of the number of other users."""
    others = max(len(values) - 1, 1)
    ordered = sorted(values.values())
    below = {value: position for position, value in reversed(list(enumerate(ordered)))}
    return {user_id: min(5, 1 + 5 * below[value] // others) for user_id, value in values.items()}


def user_rfm(tables: Mapping[str, pl.DataFrame], as_of: dt.date, months: int = 12) -> list[Row]:
    """One row per user that is not deleted: the orders that count in the revenue of `months` months
    up to the end of `as_of`."""
    users = [key(row["user_id"]) for row in _live(tables, "users")]
    bought: dict[str | None, list[Order]] = {user_id: [] for user_id in users}
    for order in orders(tables):
        if (
            (order.is_revenue or order.net)
            and order.user_id in bought
            and months_before(as_of, months) < day_of(order.ordered_at) <= as_of
        ):
            bought[order.user_id].append(order)
    spent = {who: sum((each.net for each in of), Decimal(0)) for who, of in bought.items()}
    bought = {who: [each for each in of if each.is_revenue] for who, of in bought.items()}
    last = {who: max(day_of(each.ordered_at) for each in of) for who, of in bought.items() if of}
    recency = scores(last)
    frequency = scores({user_id: len(bought[user_id]) for user_id in last})
    monetary = scores({user_id: spent[user_id] for user_id in last})
    rows: list[Row] = []
    for user_id in users:
        has_bought = user_id in last
        fm_score = (frequency[user_id] + monetary[user_id] + 1) // 2 if has_bought else None
        rows.append(
            {
                "user_id": user_id,
                "last_order_date": last.get(user_id),
                "frequency": len(bought[user_id]),
                "monetary": spent[user_id],
                "recency_score": recency.get(user_id),
                "frequency_score": frequency.get(user_id),
                "monetary_score": monetary.get(user_id),
                "fm_score": fm_score,
                "rfm_segment": rfm_segment(recency[user_id], fm_score)
                if has_bought
                else "No Recent Purchase",
            }
        )
    return rows


# A user's state at one moment: business segment, RFM segment, total spent.
Segments = tuple[str, str, Decimal]
NO_SEGMENT: Segments = ("(none)", "(none)", Decimal(0))


def segment_transitions(
    builds: Sequence[tuple[dt.datetime, Mapping[str, Segments]]], as_of: dt.datetime
) -> list[Row]:
    """The moves between segments, from the state at each build.

    Args:
        builds: the as_of of each build and its resulting segments (NO_SEGMENT for deleted users),
            in build order. A build has no effect if an earlier build that found changes had a
            later as_of.
        as_of: as_of of the last build; later states are ignored.

    Returns:
        One row per month, segmentation and pair of segments.
    """
    newest = first = None
    states: dict[str, Segments] = {}
    # The segments at the end of each month with a new state; None stands for the first build.
    months: dict[dt.date | None, dict[str, Segments]] = {}
    for moment, seen in builds:
        changed = {
            who: segments
            for who, segments in seen.items()
            if who not in states or states[who][:2] != segments[:2]
        }
        if not changed or (newest is not None and moment < newest):
            continue
        newest, first = moment, first or moment
        for who, (user_segment, rfm, spent) in changed.items():
            is_gone = user_segment == NO_SEGMENT[0]
            before = states.get(who, NO_SEGMENT)[2]
            states[who] = (user_segment, rfm, before if is_gone else spent)
        if moment <= as_of:
            month = day_of(moment).replace(day=1)
            months[None if moment == first else month] = dict(states)
    moved: dict[tuple, list[Decimal]] = {}
    at_start: dict[str, Segments] = {}
    for month, at_end in months.items():
        for who, (user_segment, rfm, spent) in at_end.items():
            was = at_start.get(who, NO_SEGMENT)
            for name, old, new in (("business", was[0], user_segment), ("rfm", was[1], rfm)):
                if month is not None and old != new:
                    moved.setdefault((month, name, old, new), []).append(spent)
        at_start = at_end
    names = ("transition_month", "segmentation", "from_segment", "to_segment")
    return [
        dict(zip(names, move, strict=True)) | {"users": len(spent), "value": sum(spent, Decimal(0))}
        for move, spent in sorted(moved.items())
    ]


# --- Returning users --------------------------------------------------------------------------


def active_days(tables: Mapping[str, pl.DataFrame]) -> set[tuple[str, dt.date]]:
    """The days on which a user, deleted or not, was active."""
    known = {key(row["user_id"]) for row in _all(tables, "users")}
    found: set[tuple[str, dt.date]] = {
        (order.user_id, day_of(order.ordered_at))
        for order in orders(tables)
        if order.is_revenue and order.user_id in known
    }
    for table, column in (("user_sessions", "session_start"), ("events", "event_timestamp")):
        for row in _live(tables, table):
            moment = within_calendar(parse_moment(row[column]))
            if moment is not None and key(row["user_id"]) in known:
                found.add((key(row["user_id"]), day_of(moment)))
    return found


def cohort_retention(tables: Mapping[str, pl.DataFrame], as_of: dt.date) -> list[Row]:
    """One row per sign-up month and month since then, up to the month of `as_of`."""
    cohorts: dict[dt.date, set[str]] = {}
    for row in _live(tables, "users"):
        moment = within_calendar(parse_moment(row["created_at"]))
        if moment is not None and day_of(moment) <= as_of:
            cohorts.setdefault(day_of(moment).replace(day=1), set()).add(key(row["user_id"]))
    came: dict[dt.date, set[str]] = {}
    for user_id, day in active_days(tables):
        if day <= as_of:
            came.setdefault(day.replace(day=1), set()).add(user_id)
    bought: dict[dt.date, list[Order]] = {}
    for order in orders(tables):
        if day_of(order.ordered_at) <= as_of:
            bought.setdefault(day_of(order.ordered_at).replace(day=1), []).append(order)
    rows: list[Row] = []
    for cohort_month, users in cohorts.items():
        for months_since in range(12 * 400):
            month = months_before(cohort_month, -months_since)
            if month > as_of:
                break
            active = came.get(month, set()) & users
            of_cohort = [order for order in bought.get(month, ()) if order.user_id in users]
            rate = EXACT.divide(Decimal(len(active)), Decimal(len(users)))
            rows.append(
                {
                    "cohort_month": cohort_month,
                    "months_since": months_since,
                    "activity_month": month,
                    "users": len(users),
                    "active_users": len(active),
                    "retention_rate": rate.quantize(TEN_THOUSANDTH, context=EXACT),
                    "orders": sum(order.is_revenue for order in of_cohort),
                    "revenue": sum((order.net for order in of_cohort), Decimal(0)),
                }
            )
    return rows


def active_users(tables: Mapping[str, pl.DataFrame]) -> list[Row]:
    """One row per day with at least one active user; independent of `as_of`."""
    of_day: dict[dt.date, set[str]] = {}
    for user_id, day in active_days(tables):
        of_day.setdefault(day, set()).add(user_id)
    known = {key(row["user_id"]) for row in _all(tables, "users")}
    sessions: dict[dt.date, int] = {}
    for row in _live(tables, "user_sessions"):
        moment = within_calendar(parse_moment(row["session_start"]))
        if moment is not None and key(row["user_id"]) in known:
            sessions[day_of(moment)] = sessions.get(day_of(moment), 0) + 1

    def within(day: dt.date, days: int) -> int:
        window = (day - dt.timedelta(days=number) for number in range(days))
        return len(set().union(*(of_day.get(each, set()) for each in window)))

    rows: list[Row] = []
    for day, users in of_day.items():
        monthly = within(day, 30)
        rows.append(
            {
                "metric_date": day,
                "daily_active_users": len(users),
                "weekly_active_users": within(day, 7),
                "monthly_active_users": monthly,
                "stickiness": EXACT.divide(Decimal(len(users)), Decimal(monthly)).quantize(
                    TEN_THOUSANDTH, context=EXACT
                ),
                "sessions": sessions.get(day, 0),
                "sessions_per_user": average(Decimal(sessions.get(day, 0)), len(users)),
            }
        )
    return rows


def event_funnel(tables: Mapping[str, pl.DataFrame], steps: Mapping[str, int]) -> list[Row]:
    """One row per month and step, given the step of each event type; independent of `as_of`."""
    known = {key(row["user_id"]) for row in _all(tables, "users")}
    happened: dict[tuple[dt.date, str], list[tuple[dt.datetime, int]]] = {}
    for row in _live(tables, "events"):
        moment = within_calendar(parse_moment(row["event_timestamp"]))
        step = steps.get((clean(row.get("event_type")) or "").lower())
        if moment is not None and step is not None and key(row["user_id"]) in known:
            of_user = (day_of(moment).replace(day=1), key(row["user_id"]))
            happened.setdefault(of_user, []).append((moment, step))
    numbers = sorted(set(steps.values()))
    reached: dict[dt.date, list[int]] = {}
    for (month, _), moments in happened.items():
        # In the order of time, of one moment the earlier step first, each event may be the next.
        taken = 0
        for _, step in sorted(moments):
            if taken < len(numbers) and step == numbers[taken]:
                taken += 1
        if taken:
            reached.setdefault(month, []).append(taken)
    rows: list[Row] = []
    for month, furthest in reached.items():
        counts = [sum(taken > position for taken in furthest) for position in range(len(numbers))]
        for position, step in enumerate(numbers):
            before = counts[position - 1] if position else counts[0]
            shares = (
                EXACT.divide(Decimal(counts[position]), Decimal(whole)) if whole else Decimal(0)
                for whole in (counts[0], before)
            )
            from_start, from_previous = (
                share.quantize(TEN_THOUSANDTH, context=EXACT) for share in shares
            )
            rows.append(
                {
                    "funnel_month": month,
                    "funnel_step": step,
                    "users": counts[position],
                    "conversion_from_start": from_start,
                    "conversion_from_previous": from_previous,
                }
            )
    return rows


# --- The history of users and products --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """The attributes of a user or a product in one load, if they changed."""

    attributes: Row
    claimed_at: dt.datetime
    loaded_at: dt.datetime


def product_attributes(row: Raw) -> Row:
    """The tracked attributes of a product row, cleaned."""
    price = parse_number(row.get("unit_price"))
    return {
        "category_id": key(row.get("category_id")),
        "product_name": clean(row.get("product_name")),
        "description": clean(row.get("description")),
        "unit_price": None if price is None else rounded(price),
        "is_deleted": clean(row.get("_deleted_at")) is not None,
    }


def user_attributes(row: Raw) -> Row:
    """The tracked attributes of a user row, cleaned."""
    attributes: Row = {name: clean(row[name]) for name in USER_ATTRIBUTES}
    if attributes["email"] is not None:
        attributes["email"] = attributes["email"].lower()
    attributes["birth_date"] = parse_date(row["birth_date"])
    attributes["is_deleted"] = clean(row.get("_deleted_at")) is not None
    return attributes


def claimed_start(row: Raw, loaded_at: dt.datetime) -> dt.datetime:
    """The start that a row claims for its validity, if plausible; never later than its load."""
    column = "_deleted_at" if clean(row.get("_deleted_at")) is not None else "updated_at"
    claim = parse_moment(row.get(column))
    return loaded_at if claim is None or claim < BEGINNING_OF_TIME else min(claim, loaded_at)


def version_starts(versions: Sequence[Version]) -> list[dt.datetime]:
    """The start of each version, given the versions of one key in load order.

    A version starts at its load unless its claim is later than all earlier claims. It never starts
    before a version that was loaded earlier.
    """
    starts: list[dt.datetime] = []
    latest_claim = None
    for version in versions:
        is_later = latest_claim is None or version.claimed_at > latest_claim
        start = version.claimed_at if is_later else version.loaded_at
        starts.append(max(start, starts[-1]) if starts else start)
        latest_claim = version.claimed_at if is_later else latest_claim
    return starts


def user_history(loads: Loads) -> list[Row]:
    """The SCD2 history of users after several loads, each followed by a build.

    Args:
        loads: the timestamp of each load and its rows of `users` (with `_deleted_at` for deleted
            users), in load order.

    Returns:
        One row per version with a non-empty validity, ordered by user and time.
    """
    return list(_history(loads, "user_id", user_attributes))


def product_history(loads: Loads) -> list[Row]:
    """The SCD2 history of products, like `user_history` for users."""
    return list(_history(loads, "product_id", product_attributes))


def _history(loads: Loads, column: str, attributes_of: Callable[[Raw], Row]) -> Iterator[Row]:
    arrived: dict[str, list[Version]] = {}
    for loaded_at, rows in loads:
        # If a load contains a key twice, only the last row counts.
        seen = rows.unique(subset=column, keep="last", maintain_order=True)
        for row in seen.iter_rows(named=True):
            identifier = key(row[column])
            if identifier is None:
                continue
            version = Version(attributes_of(row), claimed_start(row, loaded_at), loaded_at)
            versions = arrived.setdefault(identifier, [])
            if not versions or versions[-1].attributes != version.attributes:
                versions.append(version)

    for identifier, versions in sorted(arrived.items()):
        starts = version_starts(versions)
        ends = [*starts[1:], END_OF_TIME]
        lasting = [
            (start, end, version)
            for start, end, version in zip(starts, ends, versions, strict=True)
            if start < end
        ]
        for position, (start, end, version) in enumerate(lasting):
            yield {
                column: identifier,
                "effective_date": BEGINNING_OF_TIME if position == 0 else start,
                "expiry_date": end,
                "is_current": position == len(lasting) - 1,
                **version.attributes,
            }
