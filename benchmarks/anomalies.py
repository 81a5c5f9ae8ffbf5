"""Measure how many planted faults `observability.anomalies` finds, and how often it is wrong.

    python -m benchmarks.anomalies [--write] [--only sample,online_retail,cdnow] [--rounds 8]

For each data set: loads it, builds it and counts the anomalies of its ordinary days. Then plants,
in each round, one random fault on every eighth day of a copy, builds the copy, and looks whether
the day has an anomaly that it did not have before. A fault is in one table: half of its rows are
missing, as many rows of another system arrive too, a column is null, a price is in cents, the rows
are loaded twice with other keys, or no row arrives. It is planted where the table has at least 20
rows on the day; fewer rows vary too much by themselves. Two more rounds plant in all tables of the
orders at once, so that nothing but the history can tell; these are counted separately.

Everything passes through the raw tables and the dbt project. The verdict on a
day uses the days before it only, so it is that of the build of the next morning.

The real data sets are read from the folder of tests/support/real_data.py, and skipped without it.
If fewer than 95 % of the faults are found, or more than 1 % of the values of ordinary days are
called anomalous, the exit status is 1. `--write` writes the numbers into docs/anomalies.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import dbt_project
from tests.support.database import new_database
from tests.support.planted_faults import KINDS, SHOP, SHOP_KINDS, TIMES, Fault, choose, plant
from tests.support.real_data import SHARED
from tests.support.server import temporary_server
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate
from warehouse.server import Server

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "anomalies.md"
MARKS = (
    "<!-- made by benchmarks/anomalies.py: begin -->",
    "<!-- made by benchmarks/anomalies.py: end -->",
)
SETS = ("sample", "online_retail", "cdnow")
LEAST_ROWS, EVERY, HISTORY = 20, 8, 28
# The default of the project.
THRESHOLD = 4.0
# Of the sample.
USERS, DAYS = 20_000, 365
FOUND_AT_LEAST, WRONG_AT_MOST = 0.95, 0.01
# The public holidays of England and Wales in 2011, and the days between Christmas and New Year.
HOLIDAYS = [
    {"from": "2010-12-24", "to": "2011-01-03"},
    *(
        {"day": day}
        for day in (
            *("2011-04-22", "2011-04-25", "2011-04-29", "2011-05-02", "2011-05-30"),
            *("2011-08-29", "2011-12-26", "2011-12-27"),
        )
    ),
]


@dataclasses.dataclass
class Rates:
    """The numbers of one data set."""

    values: int = 0
    wrong: int = 0
    days: int = 0
    wrong_days: int = 0
    planted: Counter[str] = dataclasses.field(default_factory=Counter)
    found: Counter[str] = dataclasses.field(default_factory=Counter)
    missed: list[Fault] = dataclasses.field(default_factory=list)
    shop_planted: Counter[str] = dataclasses.field(default_factory=Counter)
    shop_found: Counter[str] = dataclasses.field(default_factory=Counter)


class Trial:
    """One data set: built quietly once, then with faults in copies."""

    def __init__(
        self, server: Server, name: str, threshold: float, users: int = USERS, days: int = DAYS
    ) -> None:
        self.server = server
        self.name = name
        self.users, self.days = users, days
        self.rates = Rates()
        self.last_day: dt.date | None = None
        self.counts: dict[dt.date, dict[str, int]] = {}
        self.before: set[tuple[Any, ...]] = set()
        self.variables: dict[str, Any] = {"anomaly_days": 1000, "anomaly_threshold": threshold}
        if name == "online_retail":
            self.variables["known_anomalies"] = HOLIDAYS

    def run(self, rounds: int, seed: int) -> None:
        """Measure the data set."""
        with new_database(self.server) as loaded:
            with loaded.connect() as session:
                load_folder(self._folder(), connection=session)
                self.last_day = self.last_day or _value(
                    session, "select max(order_date)::date from raw.orders"
                )
            with new_database(self.server, template=loaded.name, name="quiet") as quiet:
                self._build(quiet)
                self._count_quiet_days(quiet)
            # The last two rounds plant in all tables of the shop at once.
            for number in range(rounds + 2):
                chance = random.Random(f"{seed} {self.name} {number}")  # noqa: S311
                with new_database(self.server, template=loaded.name, name="planted") as copy:
                    self._one_round(copy, number, chance, in_shop=number >= rounds)

    def _folder(self) -> Path:
        if self.name != "sample":
            return SHARED / self.name
        folder = self.server.home.parent / "sample"
        plan = make_plan(
            users=self.users, days=self.days, seed=42, out=folder, events_per_session=3.0
        )
        generate(plan)
        self.last_day = plan.end_date
        return folder

    def _build(self, database: Any) -> None:
        dbt_project.build(
            database,
            "+anomalies",
            as_of=f"{self.last_day + dt.timedelta(days=1)} 06:00",
            options=dbt_project.NO_TESTS,
            variables=self.variables,
            threads=2,
        )

    def _count_quiet_days(self, database: Any) -> None:
        with database.connect() as session:
            row = session.execute(
                "select count(*), count(*) filter (where is_anomaly), count(distinct day),"
                " count(distinct day) filter (where is_anomaly) from observability.anomalies"
                " where verdict not in ('known', 'too_little_history')"
            ).fetchone()
            assert row is not None
            rates = self.rates
            rates.values, rates.wrong, rates.days, rates.wrong_days = row
            self.counts = rows_by_day(session)
            self.before = set(anomalies(session))

    def _one_round(self, copy: Any, number: int, chance: random.Random, *, in_shop: bool) -> None:
        faults: list[Fault] = []
        with copy.connect() as session:
            day = min(self.counts) + dt.timedelta(days=HISTORY + number % EVERY)
            while day <= self.last_day:
                week_before = self.counts.get(day - dt.timedelta(days=7), {})
                tables = [
                    table
                    for table in TIMES
                    if self.counts.get(day, {}).get(table, 0) >= LEAST_ROWS
                    and week_before.get(table, 0) >= LEAST_ROWS
                ]
                if "orders" in tables if in_shop else tables:
                    fault = (
                        Fault(chance.choice(SHOP_KINDS), SHOP, day)
                        if in_shop
                        else choose(session, tables, day, chance)
                    )
                    assert plant(session, fault) > 0, fault
                    faults.append(fault)
                day += dt.timedelta(days=EVERY)
        self._build(copy)
        with copy.connect() as session:
            found_days = {row[-1] for row in set(anomalies(session)) - self.before}
        rates = self.rates
        planted = rates.shop_planted if in_shop else rates.planted
        found = rates.shop_found if in_shop else rates.found
        for fault in faults:
            planted[fault.kind] += 1
            if fault.day in found_days:
                found[fault.kind] += 1
            elif not in_shop:
                rates.missed.append(fault)


def _value(session: Any, query: str) -> Any:
    row = session.execute(query).fetchone()
    assert row is not None
    return row[0]


def anomalies(session: Any) -> Iterator[tuple[Any, ...]]:
    """The anomalies: table, measure, column and day."""
    return iter(
        session.execute(
            "select table_name, measure, column_name, day from observability.anomalies"
            " where is_anomaly"
        ).fetchall()
    )


def rows_by_day(session: Any) -> dict[dt.date, dict[str, int]]:
    """The number of rows of each table by day, as measured."""
    counts: dict[dt.date, dict[str, int]] = {}
    for table, day, rows in session.execute(
        "select table_name, day, row_count from observability.daily_measures"
        " where measure = 'rows' and table_name = source_name"
        " and day in (select day from observability.anomalies"
        " where verdict not in ('known', 'too_little_history'))"
    ):
        counts.setdefault(day, {})[table] = rows
    return counts


def percent(part: int, whole: int) -> str:
    """A share as a percentage; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def as_markdown(measured: dict[str, Rates]) -> str:
    """The numbers as two Markdown tables."""
    names = {"halved": "half of the rows missing", "doubled": "as many rows of another system"}
    names |= {"null": "a column null", "cents": "a price in cents"}
    names |= {"duplicate": "the rows loaded twice", "silent": "no row"}
    head = " | ".join(f"`{name}`" for name in measured)
    lines = [f"| fault | {head} |", "|---|" + "---:|" * len(measured)]
    for kind in KINDS:
        cells = [f"{each.found[kind]} of {each.planted[kind]}" for each in measured.values()]
        lines.append(f"| {names[kind]} | {' | '.join(cells)} |")
    cells = [
        f"**{percent(each.found.total(), each.planted.total())}** of {each.planted.total()}"
        for each in measured.values()
    ]
    lines.append(f"| found | {' | '.join(cells)} |")
    lines += [
        "",
        f"| fault in all tables of the orders | {head} |",
        "|---|" + "---:|" * len(measured),
    ]
    for kind, what in zip(SHOP_KINDS, ("half of the orders missing", "twice as many"), strict=True):
        cells = [
            f"{each.shop_found[kind]} of {each.shop_planted[kind]}" for each in measured.values()
        ]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    lines += ["", f"| ordinary days | {head} |", "|---|" + "---:|" * len(measured)]
    for what, cell in {
        "values judged": lambda each: f"{each.values:,}",
        "called anomalous": lambda each: f"{each.wrong} (**{percent(each.wrong, each.values)}**)",
        "days judged": lambda each: f"{each.days}",
        "days with any anomaly": lambda each: (
            f"{each.wrong_days} ({percent(each.wrong_days, each.days)})"
        ),
    }.items():
        lines.append(f"| {what} | {' | '.join(cell(each) for each in measured.values())} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    measured: dict[str, Rates] = {}
    with temporary_server() as server:
        for name in arguments.only.split(","):
            if name != "sample" and not (SHARED / name).is_dir():
                print(f"Skipped {name}: it is not in {SHARED} (WAREHOUSE_SHARED).")
                continue
            trial = Trial(server, name, arguments.threshold)
            trial.run(arguments.rounds, arguments.seed)
            measured[name] = trial.rates
            for row in sorted(trial.before, key=lambda row: row[-1]):
                print(f"{name}: an ordinary day is anomalous: {row}")
            for fault in trial.rates.missed:
                print(f"{name}: missed {fault}", flush=True)
    print(as_markdown(measured))
    if arguments.write:
        from warehouse.clv.backtest import write_between_marks

        write_between_marks(DOCUMENT, as_markdown(measured), MARKS)
    good = all(
        each.found.total() >= FOUND_AT_LEAST * each.planted.total()
        and each.wrong <= WRONG_AT_MOST * each.values
        for each in measured.values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
