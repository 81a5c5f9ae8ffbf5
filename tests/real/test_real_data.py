"""Loads and builds whole data sets, and compares them with the oracle row by row, exactly.

The real data sets are not part of the repository; if they do not exist beside it, their tests are
skipped. The generated sample is always tested, in the same way. Real data is dirty: here an error
of a build is a failure, but a warning is not.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support import dbt_project, oracle
from tests.support.marts import LOADED_AT, Loads, check_history, check_marts
from tests.support.real_data import SHARED, needs_real_data
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate

# Unit tests define their own rows, so they do not check a data set.
WITH_TESTS = dbt_project.NO_UNIT_TESTS
WITHOUT_TESTS = dbt_project.NO_TESTS


def load(database: Any, folder: Path, loaded_at: dt.datetime) -> None:
    with database.connect() as connection:
        load_folder(folder, connection=connection, loaded_at=loaded_at)


# Each list has a day shortly after the end of the data set, or later.
@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("greenery", ["2021-02-10", "2021-02-12", "2021-04-15", "2021-02-11"]),
        ("cdnow_sample", ["1997-03-31", "1998-07-01", "1997-09-30"]),
        ("cdnow", ["1997-09-30", "1998-07-01"]),
        ("online_retail", ["2011-06-30", "2011-12-10"]),
    ],
    ids=["greenery", "cdnow_sample", "cdnow", "online_retail"],
)
class TestRealSets:
    """One database per data set; as_of moves forward and back, while no row changes."""

    pytestmark = [needs_real_data, pytest.mark.long]  # noqa: RUF012

    def test_marts(self, database: Any, name: str, days: list[str]) -> None:
        folder = SHARED / name
        tables = oracle.read_folder(folder)
        load(database, folder, LOADED_AT)

        options = WITH_TESTS
        for day in map(dt.date.fromisoformat, days):
            dbt_project.build(database, as_of=day, options=options)
            check_marts(database, tables, day, name)
            options = WITHOUT_TESTS
        check_history(database, [(LOADED_AT, tables["users"])], name)


# --- Histories of loads -----------------------------------------------------------------------


def legislator_batches(count: int) -> Iterator[tuple[dt.datetime, pl.DataFrame]]:
    """The changes of the legislators in batches, each with the last state of each changed person.

    Args:
        count: the number of batches, of about equal numbers of `seq`.

    Yields:
        The stamp of the load and its rows; a deleted person has a row with `_deleted_at`.
    """
    changes = oracle.read_table(SHARED / "legislators" / "user_changes.csv.gz").with_columns(
        pl.col("seq").cast(pl.Int64),
        _deleted_at=pl.when(pl.col("op") == "D").then(pl.col("updated_at")),
    )
    steps = changes["seq"].unique().sort()
    size = -(-len(steps) // count)
    stamp = None
    for batch in (steps[start : start + size] for start in range(0, len(steps), size)):
        rows = changes.filter(pl.col("seq").is_in(batch.implode())).sort("seq", maintain_order=True)
        newest = max(map(oracle.parse_moment, rows["updated_at"]))
        stamp = max(newest, stamp + dt.timedelta(microseconds=1)) if stamp else newest
        yield stamp, rows.unique("user_id", keep="last", maintain_order=True).drop("seq", "op")


def replay(database: Any, loads: Loads, folder: Path) -> None:
    """Load and build dim_users and its upstreams, load by load."""
    for number, (loaded_at, users) in enumerate(loads):
        batch = folder / f"{number:03d}"
        batch.mkdir()
        users.write_csv(batch / "users.csv")
        load(database, batch, loaded_at)
        dbt_project.build(database, "+dim_users", as_of=loaded_at, options=WITHOUT_TESTS)


class TestLegislators:
    """Replays fourteen years of changes; the doubtful claims below are harder, and quicker."""

    pytestmark = [needs_real_data, pytest.mark.long]  # noqa: RUF012

    def test_history(self, database: Any, tmp_path: Path) -> None:
        loads = list(legislator_batches(12))
        assert len(loads) == 12
        replay(database, loads, tmp_path)
        check_history(database, loads, "legislators")

        tables = oracle.latest([{"users": users} for _, users in loads])
        options = WITH_TESTS
        for day in (dt.date(2019, 1, 20), dt.date(2026, 6, 12)):
            dbt_project.build(database, as_of=day, options=options)
            check_marts(database, tables, day, "legislators")
            options = WITHOUT_TESTS
        check_history(database, loads, "legislators, after the whole build")


def doubtful_loads(seed: int, users: int, count: int) -> Iterator[tuple[dt.datetime, pl.DataFrame]]:
    """Loads with every kind of claimed moment: valid, missing, unchanged, backdated, in the future.

    Args:
        seed: the random seed.
        users: the number of users; each load contains about half of them.
        count: the number of loads, ten days apart.

    Yields:
        The stamp of the load and its rows.
    """
    chance = random.Random(seed)  # noqa: S311 - test data
    columns = ["user_id", *oracle.USER_ATTRIBUTES, "created_at", "updated_at", "_deleted_at"]
    first = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    for number in range(count):
        stamp = first + dt.timedelta(days=10 * number)
        rows = []
        for user_id in range(users):
            if chance.random() < 0.5:
                continue
            days = chance.choice((None, -1, -1, -5, -10, -15, -40, 0, 3))
            moment = None if days is None else f"{stamp + dt.timedelta(days=days)}"
            rows.append(
                {
                    "user_id": f"u{user_id}",
                    "email": chance.choice(("A@example.org", "a@example.org ", "b@example.org")),
                    "birth_date": chance.choice((None, "2000-02-29")),
                    "subscription_tier": chance.choice(("free", " free ", "plus", " ", None)),
                    "updated_at": moment,
                    "_deleted_at": chance.choice((None, None, None, f"{stamp}", moment)),
                }
            )
        yield stamp, pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


@pytest.mark.long
def test_history_of_rows_that_claim_the_impossible(database: Any, tmp_path: Path) -> None:
    loads = list(doubtful_loads(seed=7, users=200, count=8))
    replay(database, loads, tmp_path)

    check_history(database, loads, "doubtful claims")


# --- The generated sample ---------------------------------------------------------------------


def write_deletions(tables: dict[str, pl.DataFrame], folder: Path, loaded_at: dt.datetime) -> None:
    """Write a load that deletes every twentieth row of each table."""
    folder.mkdir()
    for table, rows in tables.items():
        deleted = rows.gather_every(20, offset=1).with_columns(_deleted_at=pl.lit(f"{loaded_at}"))
        deleted.write_csv(folder / f"{table}.csv")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("parquet", WITHOUT_TESTS),
        pytest.param("csv.gz", WITH_TESTS, marks=pytest.mark.long),
    ],
    ids=["parquet", "csv.gz"],
)
def test_sample(database: Any, tmp_path: Path, kind: str, options: Sequence[str]) -> None:
    plan = make_plan(users=600, days=150, seed=11, out=tmp_path / "sample", kind=kind)
    generate(plan)
    tables = oracle.latest([oracle.read_folder(plan.out)])
    load(database, plan.out, LOADED_AT)

    for day in (plan.end_date - dt.timedelta(days=60), plan.end_date + dt.timedelta(days=3)):
        dbt_project.build(database, as_of=day, options=options)
        check_marts(database, tables, day, f"sample, {kind}")
        options = WITHOUT_TESTS
    check_history(database, [(LOADED_AT, tables["users"])], f"sample, {kind}")


# The rows with odd cells below come load by load too, with fewer builds.
@pytest.mark.long
def test_sample_load_by_load(database: Any, tmp_path: Path) -> None:
    """The marts are right after every load, although each build reads only the new rows."""
    plan = make_plan(users=400, days=120, seed=12, out=tmp_path / "sample", loads=6)
    generate(plan)
    loads: list[dict[str, pl.DataFrame]] = []
    users, products = [], []

    def step(folder: Path, loaded_at: dt.datetime) -> None:
        load(database, folder, loaded_at)
        loads.append(oracle.read_folder(folder))
        for table, seen in (("users", users), ("products", products)):
            if table in loads[-1]:
                seen.append((loaded_at, loads[-1][table]))
        day = loaded_at.date()
        what = f"sample, {folder.name}"
        dbt_project.build(database, as_of=day, options=WITHOUT_TESTS)
        check_marts(database, oracle.latest(loads), day, what, products)
        check_history(database, users, what)

    for folder, bound in zip(plan.folders, plan.bounds, strict=True):
        seen_at = dt.datetime.fromtimestamp(int(bound) // 1_000_000, dt.UTC)
        step(folder, seen_at)
        if folder in (plan.folders[2], plan.folders[-1]):
            deleted_at = seen_at + dt.timedelta(hours=6)
            gone = tmp_path / f"{folder.name}_deletions"
            write_deletions(oracle.latest(loads), gone, deleted_at)
            step(gone, deleted_at)
    dbt_project.build(database, as_of=deleted_at.date(), options=WITH_TESTS)
    what = "sample, one more build"
    check_marts(database, oracle.latest(loads), deleted_at.date(), what, products)


# --- Rows that no sample contains -------------------------------------------------------------

KEYS_OF_USERS = [f"u{number}" for number in range(40)]
MOMENTS = [
    *(f"2024-0{month}-15 12:30:00+00" for month in range(1, 7)),
    "2024-03-31 23:59:59.999999+00",
    "2024-04-01 00:00:00+00",
    "2024-04-01 01:30:00+05:30",
    "2024-03-31 20:00:00-07",
    "infinity",
    "-infinity",
    None,
]
CELLS = {
    "user_id": [*KEYS_OF_USERS, "nobody", "", " ", None],
    "created_at": MOMENTS,
    "order_status": [" Completed ", "PAID", "Returned", "refunded ", "cancelled", "lost", "", None],
    "order_date": MOMENTS,
    "order_id": [*(f"o{number}" for number in range(200)), "nothing", None],
    "quantity": ["1", "3", "-2", "0.5", "1.00005", "0", "NaN", "-Infinity", "1e12", "-1e15", None],
    "price_at_purchase": ["0.0001", "19.99", "-3.33335", "500", "NaN", "Infinity", "1e13", None],
    "session_start": MOMENTS,
    "session_end": MOMENTS,
    "event_timestamp": MOMENTS,
    "event_type": [
        *("page_view", " View_Item ", "add_to_cart", "begin_checkout", "CHECKOUT", "purchase"),
        *("dance", "", None),
    ],
    "_deleted_at": [None, None, None, None, "2024-06-01 00:00:00+00"],
}
ODD_TABLES = {
    "users": (KEYS_OF_USERS, ("created_at", "_deleted_at")),
    "orders": (CELLS["order_id"][:-2], ("user_id", "order_status", "order_date", "_deleted_at")),
    "order_items": (range(600), ("order_id", "quantity", "price_at_purchase", "_deleted_at")),
    "user_sessions": (range(200), ("user_id", "session_start", "session_end", "_deleted_at")),
    "events": (range(600), ("user_id", "event_type", "event_timestamp", "_deleted_at")),
}


def write_odd_load(chance: random.Random, share: float, folder: Path) -> None:
    """Write a load of rows with odd cells, about `share` of all keys of each table."""
    folder.mkdir()
    for table, (keys, columns) in ODD_TABLES.items():
        rows = [
            {oracle.KEYS[table]: str(key)} | {name: chance.choice(CELLS[name]) for name in columns}
            for key in keys
            if chance.random() < share
        ]
        schema = dict.fromkeys((oracle.KEYS[table], *columns), pl.String)
        pl.DataFrame(rows, schema=schema).write_csv(folder / f"{table}.csv")


@pytest.mark.long
def test_marts_of_rows_with_odd_cells(database: Any, tmp_path: Path) -> None:
    """Infinite dates, invalid numbers, statuses in any spelling, and changes of all of these."""
    chance = random.Random(3)  # noqa: S311 - test data
    loads = []
    for number, share in enumerate((0.9, 0.3, 0.3)):
        folder = tmp_path / f"{number}"
        write_odd_load(chance, share, folder)
        load(database, folder, LOADED_AT + dt.timedelta(days=number))
        loads.append(oracle.read_folder(folder))
        for day in (dt.date(2024, 3, 31), dt.date(2024, 7, 1)):
            dbt_project.build(database, as_of=day, options=WITHOUT_TESTS)
            check_marts(database, oracle.latest(loads), day, f"odd cells, load {number}")
    dbt_project.build(database, as_of=day, options=WITH_TESTS)


HEADERS = {
    "users": "user_id,email,created_at,updated_at",
    "orders": "order_id,user_id,order_status,order_date",
    "order_items": "order_item_id,order_id,quantity,price_at_purchase",
    "events": "event_id,user_id,event_timestamp",
}
EDGES = {
    "amounts too large to sum": {
        "users": ["a,x@example.org,2024-01-01,2024-01-01"],
        "orders": ["1,a,paid,2024-01-02", "2,a,paid,2024-01-03", "3,a,paid,2024-01-04"],
        "order_items": [
            "1,1,999999999999,999999999999",
            "2,2,99999999,99999999",
            "3,2,99999999,99999999",
            "4,3,1,5",
        ],
    },
    "keys with spaces": {
        "users": ['" a ",x@example.org,2024-01-01,2024-01-01', "b,,2024-01-01,2024-01-01"],
        "orders": [
            '1," a ",paid,2024-01-02',
            "2,a,paid,2024-01-03",
            '" 3 ",b,paid,2024-01-03',
            '4," b",paid,2024-01-03',
        ],
        "order_items": ["1,1,1,1", "2,2,1,10", "3,3,1,100", '4," 3 ",1,1000', "5,4,1,7"],
    },
    "days at the ends of the calendar": {
        "users": ["a,,1899-12-31,2024-01-01", "b,,2150-01-01,"],
        "orders": [
            "1,a,paid,1899-12-31 23:59:59",
            "2,a,paid,1900-01-01",
            "3,a,paid,2100-12-31 23:59:59.999999",
            "4,a,paid,2101-01-01",
            "5,b,returned,1950-01-01",
        ],
        "order_items": ["1,1,1,1", "2,2,1,10", "3,3,1,100", "4,4,1,1000", "5,5,1,7"],
        "events": ["1,a,1890-01-01", "2,b,2150-01-01", "3,b,2023-01-01"],
    },
    "all kinds of white space": {
        "users": ['a,"\tX@Example.org\u00a0",2024-01-01,2024-01-01', '"b\u00a0",,2024-01-01,'],
        "orders": ['1,a,"paid\t",2024-01-02', '2,a,"\u00a0PAID\n",2024-01-02'],
        "order_items": ["1,1,1,1", "2,2,1,10"],
    },
}


@pytest.mark.long
def test_edges(database: Any, tmp_path: Path) -> None:
    """Load one after the other into one warehouse, each as a complete load of its tables."""
    options = WITH_TESTS
    former = pl.DataFrame(schema={"user_id": pl.String})
    for number, (name, tables) in enumerate(EDGES.items()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for table, header in HEADERS.items():
            lines = [header, *tables.get(table, [])]
            (folder / f"{table}.csv").write_text("\n".join(lines) + "\n")
        with database.connect() as connection:
            load_folder(
                folder,
                connection=connection,
                loaded_at=LOADED_AT + dt.timedelta(days=number),
                complete=True,
                allow_empty=True,
                max_deletes=100,
            )
        dbt_project.build(database, as_of="2024-06-01", options=options)
        tables = oracle.read_folder(folder)
        # Users missing from the file are marked as deleted, but still exist.
        gone = former.with_columns(_deleted_at=pl.lit("2024-06-01"))
        former = oracle.latest([{"users": gone}, tables])["users"]
        check_marts(database, {**tables, "users": former}, dt.date(2024, 6, 1), name)
        options = WITHOUT_TESTS
