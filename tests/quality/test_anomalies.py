"""Planted faults are found in the build that reads them, ordinary days are not called anomalous."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch, new_database
from tests.support.planted_faults import KINDS, TIMES, Fault, plant
from warehouse import contract
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate

MEASURES = "observability.daily_measures"
VERDICTS = "observability.anomalies"
END = dt.date(2026, 3, 31)
# The days after this one are loaded later, each with a fault.
LAST_QUIET = END - dt.timedelta(days=len(KINDS))
FAULTS = [
    Fault(kind, table, LAST_QUIET + dt.timedelta(days=number), column)
    for number, (kind, table, column) in enumerate(
        (
            ("halved", "user_sessions", None),
            ("doubled", "events", None),
            ("null", "orders", "user_id"),
            ("cents", "payments", None),
            ("duplicate", "order_items", None),
            ("silent", "users", None),
        ),
        start=1,
    )
]


def build(database: Any, day: dt.date, **options: Any) -> list[Any]:
    """Build the anomalies and what they read, at the end of a day."""
    options = {"options": dbt_project.NO_TESTS, "threads": 2, **options}
    return dbt_project.build(database, "+anomalies", as_of=f"{day} 23:59:59", **options)


def morning_after(day: dt.date) -> dt.date:
    """A day is complete on the next one."""
    return day + dt.timedelta(days=1)


@pytest.fixture(scope="module")
def quiet(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A sample, built as of the last quiet day; its later rows wait in schema later."""
    folder = tmp_path_factory.mktemp("anomalies") / "sample"
    plan = make_plan(
        users=3_000,
        days=60,
        seed=7,
        out=folder,
        end_date=END.isoformat(),
        events_per_session=2.0,
    )
    generate(plan)
    with new_database(server) as made:
        with made.connect() as session:
            load_folder(folder, connection=session)
        keep_for_later(made)
        build(made, morning_after(LAST_QUIET))
        yield made


def keep_for_later(database: Database) -> None:
    """Move the rows after the last quiet day from raw to later."""
    after = f">= '{morning_after(LAST_QUIET)} 00:00+00'"
    late_orders = f"order_id in (select order_id from raw.orders where order_date {after})"
    statements = ["create schema later"]
    for table in (*(name for name in TIMES if name != "orders"), "orders"):
        condition = late_orders if table == "order_items" else f"{TIMES[table]} {after}"
        statements += [
            f"create table later.{table} as select * from raw.{table} where {condition}",
            f"delete from raw.{table} where {condition}",
        ]
    do(database, *statements)


@pytest.fixture(scope="module")
def broken(server: Any, quiet: Database) -> Iterator[Database]:
    """The sample with six more days, each of which has a fault."""
    with new_database(server, template=quiet.name) as made:
        insert = [
            f"insert into raw.{table} ({names}, _loaded_at)"
            f" select {names}, clock_timestamp() from later.{table}"
            for table in TIMES
            for names in [", ".join(contract.read().tables[table].columns)]
        ]
        do(made, *insert)
        with made.connect() as session:
            for fault in FAULTS:
                assert plant(session, fault) > 10, fault
        build(made, morning_after(END))
        yield made


def anomalies_of(database: Any, day: dt.date) -> list[tuple[Any, ...]]:
    """The anomalies of a day: table, measure, column, verdict."""
    return fetch(
        database,
        f"select table_name, measure, column_name, verdict from {VERDICTS}"
        " where is_anomaly and day = %s order by 1, 2, 3",
        day,
    )


def test_ordinary_days_are_normal(quiet: Database) -> None:
    counts = dict(fetch(quiet, f"select verdict, count(*) from {VERDICTS} group by 1"))
    assert counts["normal"] > 1000
    assert set(counts) <= {"normal", "low", "high"}
    assert sum(counts.values()) - counts["normal"] <= counts["normal"] / 100
    assert anomalies_of(quiet, LAST_QUIET) == []
    assert ask(quiet, f"select max(day) from {VERDICTS}") == LAST_QUIET
    assert ask(quiet, f"select count(distinct day) from {VERDICTS}") == 28


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.kind for fault in FAULTS])
def test_a_fault_is_found_on_its_day(broken: Database, fault: Fault) -> None:
    expected = {
        "halved": ("events", "failed_rate", "session_is_known", "high"),
        "doubled": ("events", "failed_rate", "session_is_known", "high"),
        "null": ("fct_orders", "null_rate", "user_id", "high"),
        "cents": ("fct_payments", "mean", "amount", "high"),
        "duplicate": ("fct_order_items", "distinct_count", "(content)", "low"),
        "silent": ("users", "rows", "*", "low"),
    }
    assert expected[fault.kind] in anomalies_of(broken, fault.day)
    (row,) = fetch(
        broken,
        f"select value, expected_low, expected_high from {VERDICTS} where day = %s"
        " and (table_name, measure, column_name) = (%s, %s, %s)",
        fault.day,
        *expected[fault.kind][:3],
    )
    value, low, high = row
    assert 0 <= low <= high and not low <= value <= high


def test_late_rows_and_deletions_correct_their_day(
    server: Any, broken: Database, tmp_path: Path
) -> None:
    """The build recomputes these days only, and leaves the same rows as a full refresh."""
    silent, duplicate = FAULTS[5], FAULTS[4]
    names = ", ".join(contract.read().tables["users"].columns)
    with new_database(server, template=broken.name) as late:
        do(
            late,
            f"insert into raw.users ({names}, _loaded_at) select {names}, clock_timestamp()"
            f" from later.users where created_at::date = '{silent.day}'"
            " and user_id not in (select user_id from raw.users)",
            "update raw.order_items set _deleted_at = now(), _loaded_at = clock_timestamp()"
            " where order_item_id like 'again-%'",
            f"create table public.before as select *, xmin::text as written_by from {MEASURES}",
        )
        build(late, morning_after(END))
        assert ("users", "rows", "*", "low") not in anomalies_of(late, silent.day)
        assert anomalies_of(late, duplicate.day) == []
        rewritten = fetch(
            late,
            f"select distinct source_name, day from {MEASURES} as now"
            " where not exists (select from before where before.written_by = now.xmin::text)",
        )
        assert ("users", silent.day) in rewritten
        assert ("order_items", duplicate.day) in rewritten
        assert len({day for _, day in rewritten}) < 20
        before = contents(late)
        dbt_project.run(
            late,
            "run",
            "daily_measures",
            "anomalies",
            as_of=f"{morning_after(END)} 23:59:59",
            full_refresh=True,
        )
        assert contents(late) == before


def contents(database: Any) -> list[list[tuple[Any, ...]]]:
    """The rows of both models."""
    return [
        fetch(database, f"select * from {table} as kept order by kept")
        for table in (MEASURES, VERDICTS)
    ]


def test_the_last_day_is_warned_of(broken: Database) -> None:
    results = dbt_project.run(
        broken,
        "test",
        "the_last_complete_day_is_normal",
        as_of=f"{morning_after(END)} 23:59:59",
    )
    (result,) = (each for each in results if each.node.resource_type == "test")
    assert str(result.status) == "warn" and result.failures >= 1


# --- The verdict on chosen histories ----------------------------------------------------------


@pytest.fixture
def empty(server: Any, quiet: Database) -> Iterator[Database]:
    """A copy whose measures a test writes itself."""
    with new_database(server, template=quiet.name, name="chosen") as made:
        do(made, f"truncate {MEASURES}, marts.active_users")
        yield made


def judge(database: Any, values: dict[int, int], **variables: Any) -> dict[int, str]:
    """The verdicts on numbers of rows, by the days before the last one."""
    rows = ", ".join(
        f"('orders', date '{END}' - {ago}, 'orders', 'rows', '*', {value}, {value})"
        for ago, value in values.items()
        if value
    )
    do(
        database,
        f"truncate {MEASURES}",
        f"insert into {MEASURES} (source_name, day, table_name, measure, column_name, value,"
        f" row_count) values {rows}",
    )
    dbt_project.run(
        database,
        "run",
        "anomalies",
        as_of=f"{morning_after(END)} 12:00",
        variables={"anomaly_days": 21, **variables},
        full_refresh=True,
    )
    return dict(
        fetch(
            database,
            f"select date '{END}' - day, verdict from {VERDICTS} where table_name = 'orders'",
        )
    )


def weekly(days: int, closed: int = 7) -> dict[int, int]:
    """A business with 200 rows on each day, but on the weekday `closed` (days ago, from 0 to 6)."""
    return {ago: 0 if ago % 7 == closed else 200 + ago % 5 for ago in range(days)}


def test_fewer_than_14_days_of_history_are_silent(empty: Database) -> None:
    verdicts = judge(empty, weekly(20) | {0: 1000, 6: 1000})
    assert {ago for ago, said in verdicts.items() if said == "too_little_history"} == {
        *range(6, 20)
    }
    assert verdicts[0] == "high"


def test_a_closed_weekday_is_normal_and_another_one_is_not(empty: Database) -> None:
    assert set(judge(empty, weekly(60, closed=2)).values()) == {"normal"}
    verdicts = judge(empty, weekly(60, closed=2) | {0: 0, 9: 200})
    assert {ago: said for ago, said in verdicts.items() if said != "normal"} == {
        0: "low",
        9: "high",
    }


def test_few_rows_vary_without_an_anomaly(empty: Database) -> None:
    few = {ago: (3, 0, 5, 1, 2, 0, 4, 8, 2)[ago % 9] for ago in range(90)}
    assert set(judge(empty, few).values()) == {"normal"}


def test_growth_is_normal(empty: Database) -> None:
    growing = {ago: round(1000 * 0.98**ago) for ago in range(90)}
    assert set(judge(empty, growing).values()) == {"normal"}


def test_a_known_anomaly_is_none_and_no_history(empty: Database) -> None:
    values = weekly(60) | {ago: 1000 for ago in range(0, 60, 7)}
    values |= {0: 200}
    assert judge(empty, values)[0] == "low"
    days = [{"day": str(END - dt.timedelta(days=ago))} for ago in range(7, 60, 7)]
    known = [*days, {"table_name": "orders", "measure": "rows", "from": str(END), "to": str(END)}]
    verdicts = judge(empty, values, known_anomalies=known)
    assert {ago for ago, said in verdicts.items() if said == "known"} == {0, 7, 14}
    assert set(verdicts.values()) == {"known", "normal"}
    other = [{"table_name": "events", "day": str(END)}]
    assert judge(empty, values, known_anomalies=other)[0] == "low"


def test_kinds_are_complete() -> None:
    assert [fault.kind for fault in FAULTS] == list(KINDS)
    assert all(dataclasses.is_dataclass(fault) for fault in FAULTS)
