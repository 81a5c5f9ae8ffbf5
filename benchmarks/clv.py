"""Measure the cost of predicting the lifetime value of a million users.

    python -m benchmarks.clv [--users 1000000] [--days 730] [--write]

Starts an embedded server in a temporary folder, with the settings of `warehouse up` and at most two
processes per query, fills the tables that user_clv reads with users who follow BG/NBD over two
years, and times

    scoring       the query of user_clv for all users, without writing
    processor     the same without parallel workers: processor time of its one process
    first build   `dbt run --full-refresh` of user_clv
    same day      the same day again: nothing has changed
    next day      the day after: every prediction changes
    without       the day after that, without parameters: no row changes

Scoring a million users may take at most 20 seconds; otherwise the exit status is 1.
`--write` writes the numbers into docs/clv.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psutil
import psycopg
from dbt.cli.main import dbtRunner

from tests.support.server import DURABLE, temporary_server
from warehouse import contract
from warehouse.dbt import compile_node
from warehouse.load import target
from warehouse.server import Server

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 20.0
LIMIT_USERS = 1_000_000
DAY = date(2026, 10, 31)
TRUTH = {"r": 0.8, "alpha": 6.0, "a": 0.8, "b": 2.5, "p": 6.0, "q": 4.0, "v": 45.0}
DOCUMENT = ROOT / "docs" / "clv.md"
MARKS = ("<!-- made by benchmarks/clv.py: begin -->", "<!-- made by benchmarks/clv.py: end -->")


def fill(session: psycopg.Connection, users: int, days: int) -> tuple[int, int]:
    """Fill the two tables by user; returns the largest x and the number of distinct (x, T)."""
    chance = np.random.default_rng(42)
    age = chance.integers(0, days + 1, users)
    rate = chance.gamma(TRUTH["r"], 1 / TRUTH["alpha"], users) / 7
    leaving = np.clip(chance.beta(TRUTH["a"], TRUTH["b"], users), 1e-9, 1)
    x = np.minimum(chance.poisson(rate * age), chance.geometric(leaving))
    x = np.minimum(x, age)  # no two purchases on one day
    recency = np.where(
        x > 0, np.clip(np.round(age * chance.random(users) ** (1 / (x + 1))), x, age), 0
    )
    mean = np.round(
        chance.gamma(TRUTH["p"], 1 / chance.gamma(TRUTH["q"], 1 / TRUTH["v"], users)), 4
    )
    histories = (
        "copy intermediate.int_user_purchase_history (user_id, first_purchase_date,"
        " last_purchase_date, repeat_purchases, recency_weeks, mean_repeat_amount) from stdin"
    )
    with session.cursor().copy(histories) as copy:
        for number in range(users):
            first = DAY - timedelta(days=int(age[number]))
            copy.write_row(
                (
                    f"user-{number:07d}",
                    first,
                    first + timedelta(days=int(recency[number])),
                    int(x[number]),
                    float(recency[number]) / 7,
                    float(mean[number]) if x[number] else None,
                )
            )
    session.execute(
        "insert into intermediate.int_user_activity (user_id, total_orders, total_spent)"
        " select user_id, repeat_purchases + 1, (repeat_purchases + 1) * coalesce("
        "mean_repeat_amount, 90) from intermediate.int_user_purchase_history"
    )
    session.commit()
    session.autocommit = True
    session.execute("vacuum analyze intermediate.int_user_purchase_history")
    session.execute("vacuum analyze intermediate.int_user_activity")
    session.autocommit = False
    return int(x.max()), len(np.unique(np.stack([x, age]), axis=1).T)


def add_parameters(session: psycopg.Connection) -> None:
    """Insert parameters as a fit would, each with a standard error of ten per cent."""
    row: dict[str, object] = {"model": "bg-nbd", "as_of": DAY, "users": 1, "repeaters": 1, **TRUTH}
    for group in (("r", "alpha", "a", "b"), ("p", "q", "v")):
        for number, name in enumerate(group):
            for other in group[: number + 1]:
                row[f"cov_{name}_{other}"] = 0.01 if name == other else 0.0
    session.execute(
        f"insert into ml.clv_parameters ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )
    session.commit()


def dbt(*arguments: str, as_of: date) -> float:
    """Run dbt; returns the seconds of its nodes, without startup and parsing."""
    answer = dbtRunner().invoke(
        [
            *("--log-level", "none", *arguments),
            *("--project-dir", str(ROOT), "--profiles-dir", str(ROOT)),
            *("--vars", json.dumps({"as_of": str(as_of)})),
        ]
    )
    if not answer.success:
        messages = [each.message for each in answer.result.results] if answer.result else []
        sys.exit(f"dbt {arguments[0]} failed: {answer.exception or messages}")
    return sum(result.execution_time for result in answer.result.results)


def score(session: psycopg.Connection, query: str, users: int, workers: int) -> tuple[float, float]:
    """Score all users, without writing.

    Args:
        session: a connection.
        query: the query of user_clv.
        users: the expected number of predictions.
        workers: maximum number of parallel workers.

    Returns:
        Wall-clock seconds, and user plus system processor time of the backend in seconds.
    """
    session.execute(f"set max_parallel_workers_per_gather = {workers}")
    backend = psutil.Process(session.info.backend_pid)
    spent, began = backend.cpu_times(), time.monotonic()
    row = session.execute(
        f"select count(predicted_value), sum(predicted_value), sum(predicted_value_p90),"
        f" sum(expected_orders_90d) from ({query}) as predicted"
    ).fetchone()
    clock, now = time.monotonic() - began, backend.cpu_times()
    assert row is not None and row[0] == users, row
    return clock, now.user + now.system - spent.user - spent.system


def measure(server: Server, users: int, days: int) -> dict[str, float]:
    """Fill the tables and time each step; returns seconds by step, and the sizes."""
    parameters = server.parameters()
    os.environ.update(
        PGHOST=parameters["host"], PGPORT=parameters["port"], PGUSER=parameters["user"],
        PGDATABASE=parameters["dbname"],
    )  # fmt: skip
    with psycopg.connect(**parameters) as session:
        target.create(session, contract.read())
        session.commit()
        models = ("int_clv_parameters", "user_clv")
        without_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        dbt("build", "--select", "+user_clv", *without_tests, as_of=DAY)
        most, pairs = fill(session, users, days)
        add_parameters(session)
        dbt("run", "--select", models[0], as_of=DAY)
        query = compile_node(["--select", "user_clv"], {"as_of": str(DAY)}).compiled_code
        session.execute("checkpoint")
        scoring, _ = score(session, query, users, workers=1)
        # The processor time of workers is not part of the backend's.
        _, processor = score(session, query, users, workers=0)
        session.commit()
        found = {
            "users": users,
            "pairs": pairs,
            "most": most,
            "scoring": scoring,
            "processor": processor,
        }
        steps = [
            ("first build", DAY, ("--full-refresh",)),
            ("same day", DAY, ()),
            ("next day", DAY + timedelta(days=1), ()),
        ]
        for name, day, options in steps:
            session.execute("checkpoint")
            session.commit()
            found[name] = dbt("run", "--select", *models, *options, as_of=day)
        session.execute("delete from ml.clv_parameters")
        session.commit()
        day = DAY + timedelta(days=2)
        dbt("run", "--select", *models, as_of=day)
        found["without"] = dbt("run", "--select", *models, as_of=day + timedelta(days=1))
    return found


def as_markdown(found: dict[str, float]) -> str:
    """The numbers as a Markdown table."""
    said = {
        "scoring": f"the query of `user_clv`, without writing (at most {LIMIT_SECONDS:.0f})",
        "processor": "the same without parallel workers: user and system processor time",
        "first build": "full refresh of `user_clv`",
        "same day": "a second build on the same day: nothing changed",
        "next day": "the next day: every prediction changes, every row is written",
        "without": "the next day without parameters: no row is written",
    }
    lines = [
        f"{found['users']:,.0f} users, up to {found['most']:,.0f} repeat purchases,"
        f" {found['pairs']:,.0f} distinct pairs of purchases and age.",
        "",
        "| step | seconds |",
        "| --- | ---: |",
        *(f"| {words} | {found[name]:.1f} |" for name, words in said.items()),
        "",
        f"Measured on {os.cpu_count()} processors. The limit of {LIMIT_SECONDS:.0f} seconds was"
        f" {'met' if found['scoring'] <= LIMIT_SECONDS else 'exceeded'}.",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=LIMIT_USERS)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with temporary_server(settings=DURABLE) as server:
        found = measure(server, arguments.users, arguments.days)
    print(as_markdown(found))
    if arguments.write:
        from warehouse.clv.backtest import write_between_marks

        write_between_marks(DOCUMENT, as_markdown(found), MARKS)
    allowed = LIMIT_SECONDS * max(arguments.users / LIMIT_USERS, 0.25)
    return 1 if found["scoring"] > allowed else 0


if __name__ == "__main__":
    sys.exit(main())
