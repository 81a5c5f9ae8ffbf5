"""Faults of models that only certain rows reveal, so that a later load makes a data test fail.

A fault changes what a model returns for the rows of one invented customer, whose keys all hold the
tag of the fault. It is in force from the first build, which has no such rows: then no build takes
all keys because the model changed, and the fault comes in with a load, as a fault of a developer
does that nobody noticed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

# Who finds a fault: the tests that a build asks before it commits, dbt's nodes of tests after
# it, or a constraint of the table, without any test.
AUDIT, NODE, CONSTRAINT = "audit", "node", "constraint"

KEYS: Mapping[str, str] = {
    "fct_order_items": "order_item_id",
    "fct_payments": "payment_id",
    "fct_user_sessions": "session_id",
    "fct_user_events": "event_id",
    "fct_orders": "order_id",
    "user_daily_metrics": "user_id",
    "user_rfm": "user_id",
    "user_segments": "user_id",
    "user_analytics": "user_id",
    "user_clv": "user_id",
    "active_users": "metric_date",
    "cohort_retention": "cohort_month",
    "event_funnel": "funnel_month",
}
USUAL_DAY = "2024-03-10"


@dataclass(frozen=True)
class Fault:
    """What a model returns that it should not.

    Args:
        model: the model, a key of `KEYS`.
        kind: what is wrong, in a word.
        changes: SQL of each wrong column; `old` is the row as it should be.
        found_by: `AUDIT`, `NODE` or `CONSTRAINT`.
        is_missing: whether the row is left out.
        is_twice: whether the row is there twice.
        day: the day on which its customer signs up and buys; of its own if the key is a day.
    """

    model: str
    kind: str
    changes: Mapping[str, str] = field(default_factory=dict)
    found_by: str = AUDIT
    is_missing: bool = False
    is_twice: bool = False
    day: str = USUAL_DAY

    @property
    def tag(self) -> str:
        """What the keys of its customer hold."""
        return f"{self.model}.{self.kind}"

    @property
    def condition(self) -> str:
        """SQL on the rows of the model: they are those of its customer."""
        key = KEYS[self.model]
        if self.day != USUAL_DAY:
            return f"{key} = '{self.day}'"
        return f"{key} like '%~{self.tag.replace('_', '!_')}' escape '!'"


def _of(model: str, *faults: Fault) -> tuple[Fault, ...]:
    return tuple(dataclasses.replace(fault, model=model) for fault in faults)


def _wrong(kind: str, found_by: str = AUDIT, day: str = USUAL_DAY, **changes: str) -> Fault:
    return Fault("", kind, changes, found_by, day=day)


NOWHERE = "'nowhere'"
UNKNOWN = "'unknown'"
# In no calendar and on no clock. The models do not read these dimensions, so nothing rolls back.
NO_DAY = _wrong("calendar", NODE, date_key="19000101")
NO_TIME = _wrong("clock", NODE, time_key="9999")
NO_USER = _wrong("reference", user_key=NOWHERE)
NO_NAME = _wrong("unknown", user_id="null")
OTHER_VERSION = _wrong("version", NODE, user_key=UNKNOWN)
MISSING = Fault("", "missing", found_by=NODE, is_missing=True)

FAULTS: tuple[Fault, ...] = (
    *_of(
        "fct_orders",
        NO_USER,
        NO_DAY,
        NO_TIME,
        NO_NAME,
        OTHER_VERSION,
        MISSING,
        _wrong("sign", item_count="-1"),
        _wrong("contradiction", is_revenue="true", is_refund="true"),
        _wrong("total", net_amount="old.net_amount + 1"),
        _wrong("sum", NODE, order_amount="old.order_amount + 1"),
        _wrong("scale", NODE, paid_amount="100 * old.paid_amount"),
        _wrong("null", CONSTRAINT, quantity="null"),
    ),
    *_of(
        "fct_order_items",
        NO_USER,
        NO_DAY,
        NO_TIME,
        MISSING,
        _wrong("product", product_key=NOWHERE),
        _wrong("category", category_key=NOWHERE),
        _wrong("owner", NODE, order_id="old.order_id || '?'"),
        _wrong("other-user", NODE, user_key=UNKNOWN),
        _wrong("version", NODE, product_key=UNKNOWN),
        _wrong("sum", NODE, line_amount="2 * old.line_amount"),
        _wrong("null", CONSTRAINT, line_amount="null"),
    ),
    *_of(
        "fct_payments",
        NO_DAY,
        MISSING,
        _wrong("sum", NODE, amount="old.amount + 1"),
        _wrong("sign", NODE, amount="-old.amount"),
        _wrong("unpaid", NODE, is_paid="false"),
        _wrong("null", CONSTRAINT, amount="null"),
    ),
    *_of(
        "fct_user_sessions",
        NO_USER,
        NO_DAY,
        NO_TIME,
        NO_NAME,
        OTHER_VERSION,
        MISSING,
        _wrong("sign", duration_seconds="-5"),
    ),
    *_of(
        "fct_user_events",
        NO_USER,
        NO_DAY,
        NO_TIME,
        NO_NAME,
        OTHER_VERSION,
        MISSING,
        _wrong("type", event_type_key=NOWHERE),
        Fault("", "twice", found_by=CONSTRAINT, is_twice=True),
    ),
    *_of(
        "user_daily_metrics",
        _wrong("sign", events="-1"),
        _wrong("contradiction", is_active="false"),
        _wrong("sum", NODE, events="old.events + 7"),
        _wrong("revenue", NODE, revenue="old.revenue + 7"),
        MISSING,
    ),
    *_of(
        "user_rfm",
        _wrong("sign", frequency="-1"),
        _wrong("range", recency_score="9"),
        _wrong("zero", fm_score="0"),
        _wrong("contradiction", monetary_score="null"),
        _wrong("value", rfm_segment="'No Recent Purchase'"),
        _wrong("sum", NODE, monetary="old.monetary + 1"),
    ),
    *_of(
        "user_segments",
        _wrong("value", user_segment="'Odd'"),
        _wrong("score", NODE, recency_score="old.recency_score % 5 + 1"),
        _wrong("sum", NODE, total_spent="old.total_spent + 1"),
    ),
    *_of(
        "user_analytics",
        NO_USER,
        _wrong("sign", total_orders="-1"),
        _wrong("value", user_segment="'Odd'"),
        _wrong("contradiction", first_ordered_at="null"),
        _wrong("average", avg_order_value="old.avg_order_value + 5"),
        _wrong("order", last_ordered_at="old.first_ordered_at - interval '1 day'"),
        _wrong("sum", NODE, total_events="old.total_events + 1"),
        MISSING,
    ),
    *_of(
        "user_clv",
        _wrong("range", p_alive="2"),
        _wrong("sign", expected_orders_30d="-1"),
        _wrong("contradiction", no_prediction_because="null"),
        _wrong("percentile", predicted_value="1", no_prediction_because="null"),
        _wrong("sum", NODE, historic_value="old.historic_value + 1"),
    ),
    *_of(
        "active_users",
        _wrong("zero", day="2024-02-02", daily_active_users="0"),
        _wrong("range", day="2024-02-04", stickiness="2"),
        _wrong("sign", day="2024-02-06", sessions="-1"),
        _wrong("contradiction", day="2024-02-08", weekly_active_users="0"),
        _wrong("sum", NODE, day="2024-02-10", sessions="old.sessions + 3"),
    ),
    *_of(
        "cohort_retention",
        _wrong("zero", day="2022-02-01", users="0"),
        _wrong("range", day="2022-04-01", retention_rate="2"),
        _wrong("contradiction", day="2022-06-01", active_users="9999"),
        _wrong("sum", NODE, day="2022-08-01", revenue="old.revenue + 1"),
    ),
    *_of(
        "event_funnel",
        _wrong("sign", day="2023-02-01", users="-1"),
        _wrong("range", day="2023-04-01", conversion_from_start="2"),
        _wrong("sum", NODE, day="2023-06-01", users="old.users + 1"),
    ),
)


def faulty_query(model: str, columns: Mapping[str, str]) -> str:
    """The last query of a model with its faults.

    Args:
        model: a key of `KEYS`.
        columns: the types of its columns by name.

    Returns:
        SQL that takes the place of `select * from final`.
    """
    own = [fault for fault in FAULTS if fault.model == model]
    values = []
    for name, data_type in columns.items():
        cases = "".join(
            f" when {fault.condition} then {fault.changes[name]}"
            for fault in own
            if name in fault.changes
        )
        value = f"(case{cases} else old.{name} end)::{data_type} as {name}" if cases else name
        values.append(value)
    missing = [f"({fault.condition})" for fault in own if fault.is_missing]
    twice = [f"({fault.condition})" for fault in own if fault.is_twice]
    query = f"select {', '.join(values)} from final as old"
    if missing:
        query += f" where not ({' or '.join(missing)})"
    if twice:
        query += f" union all select {', '.join(columns)} from final where {' or '.join(twice)}"
    return query
