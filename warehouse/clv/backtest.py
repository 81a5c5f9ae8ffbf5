"""Backtest: fit to the past, predict a quarter, compare with the actual purchases.

The quarter is the last 90 days before `as_of`. The parameters are fitted to the orders before the
quarter; the SQL of the mart scores them. Only later orders are left out: statuses, amounts and the
set of users who are not deleted are current. Two rules without a model predict the quarter as well:

    same again   as many purchases as in the 90 days before
    own rate     repeat purchases per day since the first purchase, times 90
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse import dbt
from warehouse.clv.data import Fit, Queries, fit_all, read_purchases
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

DAYS = 90
TENTHS = 10
RULES = ("model", "same again", "own rate")
MARKS = (
    "<!-- made by warehouse clv backtest: begin -->",
    "<!-- made by warehouse clv backtest: end -->",
)

_SCORES = """
with

pairs as (
    select distinct repeat_purchases, age_weeks from clv_known
),

scores as (
    {{ score_purchase_histories('pairs', 'clv_trial') }}
),

odds as (
    select clv_known.*, {{ log_odds_of_having_left() }} as log_odds
    from clv_known
    cross join clv_trial
)

select
    odds.user_id,
    ({{ p_alive('odds.log_odds') }}) * scores.orders_90d as predicted
from odds
inner join scores
    on odds.repeat_purchases = scores.repeat_purchases and odds.age_weeks = scores.age_weeks
"""


@dataclasses.dataclass(frozen=True)
class Tenth:
    """A tenth of the users, by the model's prediction: the mean purchases of a user."""

    users: int
    came: float
    by_rule: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Backtest:
    """The result: errors by rule, and the means of each tenth, the best customers last.

    Attributes:
        fit: the fit that predicted.
        begins_after, ends: the limits of the quarter.
        users: the number of users.
        came: the actual purchases of all users.
        total: the purchases of all users that each rule predicts.
        mean_absolute_error: per user, by rule.
        calibration_error: the mean absolute difference of the tenths' means, by rule.
        tenths: the tenths, ordered by the model's prediction.
    """

    fit: Fit
    begins_after: datetime
    ends: datetime
    users: int
    came: float
    total: dict[str, float]
    mean_absolute_error: dict[str, float]
    calibration_error: dict[str, float]
    tenths: list[Tenth]


def compile_scores() -> str:
    """The query that scores the temporary table clv_known with the parameters in clv_trial."""
    return str(dbt.compile_node(["--inline", _SCORES], {}).compiled_code)


def run(
    session: psycopg.Connection[Any], queries: Queries, scores: str, model: str, as_of: datetime
) -> Backtest:
    """Fit, predict and compare, in temporary tables of the session.

    Args:
        session: a connection; the caller rolls its transaction back.
        queries: the project's SQL.
        scores: the query of compile_scores.
        model: bg-nbd or mbg-nbd.
        as_of: the end of the quarter, in the project's `time_zone`.

    Raises:
        WarehouseError: the fit to the time before the quarter is refused.
    """
    # Local time: a day of a clock change has 23 or 25 hours.
    begin = as_of - timedelta(days=DAYS)
    found = fit_all(*read_purchases(session, queries, begin), model, begin)
    if found.refused_because:
        raise WarehouseError(
            f"As of {begin:%Y-%m-%d}, {DAYS} days before the end, the fit is refused:"
            f" {found.refused_because}. There is nothing to compare."
        )
    session.execute(
        f"""
        create temporary table clv_known on commit drop as
        select
            user_id,
            repeat_purchases,
            recency_weeks,
            (%(day)s::date - first_purchase_date) / 7.0::float8 as age_weeks
        from ({queries.history}) as histories
        """,
        {"as_of": begin, "day": begin.date()},
    )
    for name, moment in (("clv_before", begin - timedelta(days=DAYS)), ("clv_after", as_of)):
        session.execute(
            f"create temporary table {name} on commit drop as"
            f" select user_id, repeat_purchases + 1 as purchases from ({queries.history}) as held",
            {"as_of": moment},
        )
    parameters = found.parameters
    session.execute(
        "create temporary table clv_trial on commit drop as select %s::float8 as r,"
        " %s::float8 as alpha, %s::float8 as a, %s::float8 as b, %s::int as may_leave_at_once,"
        " 0::float8 as monthly_discount",
        [*(parameters[name] for name in ("r", "alpha", "a", "b")), int(model == "mbg-nbd")],
    )
    for name in ("clv_known", "clv_before", "clv_after"):
        session.execute(f"analyze {name}")
    rows = session.execute(
        f"""
        select
            predicted,
            repeat_purchases + 1 - coalesce(clv_before.purchases, 0),
            case when age_weeks > 0 then repeat_purchases / age_weeks * {DAYS} / 7.0 else 0 end,
            -- An order that was returned since is missing in both.
            greatest(clv_after.purchases - (repeat_purchases + 1), 0)
        from ({scores}) as predictions
        inner join clv_known using (user_id)
        left join clv_before using (user_id)
        inner join clv_after using (user_id)
        order by predicted, user_id
        """
    ).fetchall()
    return compare(found, as_of, np.array(rows, float).reshape(-1, 4))


def compare(fit: Fit, ends: datetime, rows: np.ndarray) -> Backtest:
    """Compute the errors and the tenths.

    Args:
        fit: the fit that predicted, as of the beginning of the quarter.
        ends: the end of the quarter.
        rows: per user, the prediction of each of RULES and the actual purchases, ordered by the
            model's prediction.
    """
    came = rows[:, -1]
    by_rule = {rule: rows[:, position] for position, rule in enumerate(RULES)}
    tenths = [
        Tenth(
            users=len(part),
            came=float(came[part].mean()),
            by_rule={rule: float(predicted[part].mean()) for rule, predicted in by_rule.items()},
        )
        for part in np.array_split(np.arange(len(rows)), TENTHS)
    ]
    return Backtest(
        fit=fit,
        begins_after=fit.as_of,
        ends=ends,
        users=len(rows),
        came=float(came.sum()),
        total={rule: float(predicted.sum()) for rule, predicted in by_rule.items()},
        mean_absolute_error={
            rule: float(np.abs(predicted - came).mean()) for rule, predicted in by_rule.items()
        },
        calibration_error={
            rule: float(np.mean([abs(tenth.by_rule[rule] - tenth.came) for tenth in tenths]))
            for rule in RULES
        },
        tenths=tenths,
    )


# --- Showing ----------------------------------------------------------------------------------


def _rows(result: Backtest) -> tuple[list[list[str]], list[list[str]]]:
    errors = [["", "purchases", "mean absolute error", "calibration error"]]
    errors += [["actual", f"{result.came:,.0f}", "", ""]]
    errors += [
        [
            result.fit.model if rule == "model" else rule,
            f"{result.total[rule]:,.1f}",
            f"{result.mean_absolute_error[rule]:.4f}",
            f"{result.calibration_error[rule]:.4f}",
        ]
        for rule in RULES
    ]
    tenths = [["decile", "users", "actual", result.fit.model, *RULES[1:]]]
    tenths += [
        [
            str(number),
            f"{tenth.users:,}",
            f"{tenth.came:.3f}",
            *(f"{tenth.by_rule[rule]:.3f}" for rule in RULES),
        ]
        for number, tenth in enumerate(result.tenths, start=1)
    ]
    return errors, tenths


def _sentence(result: Backtest) -> str:
    return (
        f"{result.fit.model}, fitted to {result.fit.users:,} users as of"
        f" {result.begins_after:%Y-%m-%d}, compared with actual purchases until"
        f" {result.ends:%Y-%m-%d}."
    )


def as_text(result: Backtest) -> str:
    """The tables as text for a terminal."""
    parts = [_sentence(result)]
    for table in _rows(result):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        parts.append(
            "\n".join(
                "  ".join(
                    cell.ljust(width) if position == 0 else cell.rjust(width)
                    for position, (cell, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in table
            )
        )
    return "\n\n".join(parts)


def as_markdown(result: Backtest) -> str:
    """The tables as Markdown."""
    parts = [_sentence(result)]
    for head, *lines in _rows(result):
        rule = ["---", *["---:"] * (len(head) - 1)]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)))
    return "\n\n".join(parts)


def write_between_marks(document: Path, text: str, marks: tuple[str, str] = MARKS) -> None:
    """Replace the text between two marks of a document.

    Raises:
        WarehouseError: the document or the marks are missing.
    """
    begin, end = marks
    held = document.read_text(encoding="utf-8") if document.is_file() else ""
    if held.count(begin) != 1 or held.count(end) != 1 or held.index(begin) > held.index(end):
        raise WarehouseError(
            f"{document} needs these two lines, once and in this order:\n{begin}\n{end}"
        )
    before, after = held.split(begin)[0], held.split(end)[1]
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
