"""The sample generator writes the same bytes for the same arguments; truth.json matches them."""

from __future__ import annotations

import csv
import filecmp
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.database import Database
from tests.support.keys import KEYS
from warehouse import project
from warehouse.errors import WarehouseError
from warehouse.load.files import load_folder
from warehouse.sample.command import make_plan, prepare
from warehouse.sample.generate import TABLES, generate
from warehouse.sample.traffic import CHUNK

SMALL = {"users": 600, "days": 90, "seed": 7}
REVENUE = ("processing", "shipped", "delivered", "completed")


def write(folder: Path, **arguments: object) -> dict:
    """Write a sample and return its truth."""
    plan = make_plan(**{**SMALL, "out": folder, **arguments})
    prepare(folder, overwrite=False)
    generate(plan)
    return json.loads((folder / "truth.json").read_text())


def query(folder: Path, text: str) -> list[tuple]:
    """Query a folder's Parquet files with DuckDB: one view per table, `place` is the row number."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for name in TABLES:
        connection.execute(
            f"create view {name} as select * exclude file_row_number, file_row_number as place "
            f"from read_parquet('{folder / name}.parquet', file_row_number = true)"
        )
    for name in ("users", "orders"):
        path = folder / "truth" / f"{name}.parquet"
        if path.exists():
            connection.execute(f"create view true_{name} as select * from read_parquet('{path}')")
    return connection.execute(text).fetchall()


def keys(rows: list[tuple]) -> list:
    """Return the first column, sorted, nulls first."""
    return sorted((row[0] for row in rows), key=lambda key: (key is not None, key or ""))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A dirty sample in one folder."""
    folder = tmp_path_factory.mktemp("single")
    return folder, write(folder)


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The same sample with one load per day."""
    folder = tmp_path_factory.mktemp("daily")
    return folder, write(folder, loads=SMALL["days"])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A clean sample with enough buyers for statistics."""
    folder = tmp_path_factory.mktemp("large")
    return folder, write(folder, users=30_000, days=400, dirty=0.0, events_per_session=1)


# --- same arguments, same bytes -----------------------------------------------------------------


def same_files(one: Path, other: Path) -> bool:
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    others = sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    assert names == others
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "jsonl"])
@pytest.mark.parametrize("loads", [1, 3])
def test_same_arguments_write_the_same_bytes(tmp_path: Path, kind: str, loads: int) -> None:
    for name in ("one", "other"):
        write(tmp_path / name, kind=kind, loads=loads, users=200, days=30)
    assert same_files(tmp_path / "one", tmp_path / "other")


def test_gzip_holds_no_clock(tmp_path: Path) -> None:
    write(tmp_path, kind="csv.gz", users=20, days=10)
    written = list(tmp_path.glob("*.csv.gz"))
    assert len(written) == len(TABLES)
    for path in written:
        header = path.read_bytes()[:10]
        # The header has neither a file name (flags) nor a time.
        assert header[3:8] == bytes(5), path.name


def test_other_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Also with more events than one batch: memory layout and hashes differ, bytes must not."""
    for name in ("one", "other"):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "warehouse.cli",
                "sample",
                "--users",
                "9000",
                "--days",
                "300",
                "--events-per-session",
                "16",
                "--out",
                str(tmp_path / name),
            ],
            check=True,
            capture_output=True,
            cwd=project.root(),
        )
    assert pq.read_metadata(tmp_path / "one" / "events.parquet").num_rows > CHUNK
    assert same_files(tmp_path / "one", tmp_path / "other")


def test_another_seed_writes_another_history(tmp_path: Path) -> None:
    write(tmp_path / "one", kind="csv", users=50, days=20)
    write(tmp_path / "other", kind="csv", users=50, days=20, seed=8)
    assert not same_files(tmp_path / "one", tmp_path / "other")
    for name in ("users", "orders", "events", "consents"):
        assert not filecmp.cmp(
            tmp_path / "one" / f"{name}.csv", tmp_path / "other" / f"{name}.csv", shallow=False
        )


def test_a_change_in_one_table_does_not_shift_the_others(
    single: tuple[Path, dict], tmp_path: Path
) -> None:
    write(tmp_path, events_per_session=20)
    unlike = [
        name
        for name in TABLES
        if not filecmp.cmp(
            single[0] / f"{name}.parquet", tmp_path / f"{name}.parquet", shallow=False
        )
    ]
    # More events lengthen sessions; an order's session then starts earlier, which moves a login.
    assert set(unlike) == {"users", "user_sessions", "events"}


# --- the loads ----------------------------------------------------------------------------------


def upserted(files: list[Path], key: str) -> tuple[dict, Counter]:
    """Return the last row of each key over the files in order, and the rows without a key."""
    rows: dict = {}
    blank: Counter = Counter()
    for path in files:
        for row in pq.read_table(path).to_pylist():
            if row[key] is None or not row[key].strip():
                blank[tuple(row.values())] += 1
            else:
                rows[row[key]] = row
    return rows, blank


@pytest.mark.parametrize("loads", [2, 5, SMALL["days"]])
@pytest.mark.parametrize("dirty", [0.0, 0.01])
def test_the_loads_add_up_to_the_single_folder(tmp_path: Path, loads: int, dirty: float) -> None:
    write(tmp_path / "single", users=300, dirty=dirty)
    truth = write(tmp_path / "loads", users=300, dirty=dirty, loads=loads)
    folders = [tmp_path / "loads" / load["folder"] for load in truth["loads"]]
    assert len(folders) == loads
    for name, key in KEYS.items():
        together = upserted([folder / f"{name}.parquet" for folder in folders], key)
        assert together == upserted([tmp_path / "single" / f"{name}.parquet"], key), name
        assert together[0] or name == "erasure_requests"


def test_the_loads_replay_changes(daily: tuple[Path, dict]) -> None:
    folder, truth = daily
    versions: dict[str, dict[str, set]] = {"orders": {}, "users": {}}
    column = {"orders": "order_status", "users": "subscription_tier"}
    for load in truth["loads"]:
        for name, seen in versions.items():
            for row in pq.read_table(folder / load["folder"] / f"{name}.parquet").to_pylist():
                seen.setdefault(row[KEYS[name]], set()).add(row[column[name]])
    statuses = versions["orders"].values()
    assert sum({"processing", "shipped", "delivered"} <= each for each in statuses) > 50
    assert sum({"returned"} < each for each in statuses) > 0
    assert sum(len(each) > 1 for each in versions["users"].values()) > 20


def test_open_sessions_end_in_a_later_load(tmp_path: Path) -> None:
    truth = write(tmp_path, users=3000, loads=SMALL["days"], dirty=0.0)
    ends: dict[str, list] = {}
    for load in truth["loads"]:
        path = tmp_path / load["folder"] / "user_sessions.parquet"
        for row in pq.read_table(path).to_pylist():
            ends.setdefault(row["session_id"], []).append(row["session_end"])
    later = [each for each in ends.values() if len(each) > 1]
    assert len(later) >= 3
    assert all(first is None and last is not None for first, last in later)


def test_no_load_knows_the_future(daily: tuple[Path, dict]) -> None:
    folder, truth = daily
    known_future = {
        key
        for name in ("orders_in_the_future", "events_in_the_future")
        for key in truth["dirty"][name]["keys"]
    }
    moments = {
        "users": ["created_at", "updated_at", "last_login_at"],
        "orders": ["order_date", "updated_at"],
        "payments": ["paid_at", "updated_at"],
        "events": ["event_timestamp"],
        "user_sessions": ["session_start", "session_end", "updated_at"],
        "consents": ["recorded_at"],
        "erasure_requests": ["requested_at"],
    }
    for load in truth["loads"]:
        until = datetime.fromisoformat(load["until"])
        for name, names in moments.items():
            for row in pq.read_table(folder / load["folder"] / f"{name}.parquet").to_pylist():
                if row[KEYS[name]] not in known_future:
                    assert all(row[each] is None or row[each] < until for each in names), row


def test_rows_are_counted_per_table_and_load(
    single: tuple[Path, dict], daily: tuple[Path, dict]
) -> None:
    for folder, truth in (single, daily):
        for load in truth["loads"]:
            found = {
                name: pq.read_metadata(folder / load["folder"] / f"{name}.parquet").num_rows
                for name in TABLES
            }
            assert found == load["rows"]
        assert truth["rows"] == {
            name: sum(load["rows"][name] for load in truth["loads"]) for name in TABLES
        }


# --- the dirty rows -----------------------------------------------------------------------------

REAL_KEY = "trim(coalesce({0}, '')) <> ''"
TWICE = (
    """select {key} from (select {key}, count(*) as n, count(distinct hash(t)) as payloads
    from (select * exclude place from {name}) as t where """
    + REAL_KEY.format("{key}")
    + """
    group by 1) where n > 1 and payloads """
)
# Queries that find the dirty rows of each kind in the files; each returns the keys.
RECOUNT = {
    "users_with_bad_email": "select distinct user_id from users where not regexp_full_match("
    "email, '[a-z0-9]+(\\.[a-z0-9]+)*@[a-z0-9]+(\\.[a-z0-9]+)+')",
    "orders_of_unknown_users": "select order_id from orders anti join users using (user_id)",
    "orders_in_the_future": "select order_id from orders where order_date >= '{end}'",
    "orders_with_unknown_status": "select order_id from orders where order_status not in "
    "('completed', 'delivered', 'shipped', 'processing', 'pending', 'cancelled', 'returned', "
    "'refunded')",
    "orders_without_date": "select order_id from orders where order_date is null",
    "orders_with_blank_key": "select order_id from orders where not " + REAL_KEY.format("order_id"),
    "items_of_unknown_orders": "select order_item_id from order_items anti join orders using "
    "(order_id)",
    "items_of_unknown_products": "select distinct order_item_id from order_items anti join "
    "products using (product_id)",
    "items_with_negative_quantity": "select order_item_id from order_items where quantity < 0",
    "payments_of_unknown_orders": "select payment_id from payments anti join orders using "
    "(order_id)",
    "payments_with_negative_amount": "select payment_id from payments where amount < 0",
    "sessions_of_unknown_users": "select session_id from user_sessions anti join users using "
    "(user_id) where user_id is not null",
    "sessions_that_end_before_they_start": "select session_id from user_sessions where "
    "session_end < session_start",
    "events_of_unknown_users": "select event_id from events anti join users using (user_id) "
    "where user_id is not null",
    "events_in_the_future": "select event_id from events where event_timestamp >= '{end}'",
    "events_without_time": "select event_id from events where event_timestamp is null",
    "events_with_blank_key": "select event_id from events where not " + REAL_KEY.format("event_id"),
    "events_of_unknown_type": "select event_id from events where event_type not in ({types})",
    **{
        f"{name}_twice": TWICE.format(name=name, key=KEYS[name]) + "= 1"
        for name in ("users", "orders", "order_items", "events")
    },
    **{
        f"{name}_outdated": TWICE.format(name=name, key=KEYS[name]) + "> 1"
        for name in ("users", "orders", "order_items", "events")
    },
}
# Values that a column's type cannot store; they occur only in text files.
UNREADABLE = {
    "items_that_cannot_be_read": ("order_items", "quantity", "abc"),
    "payments_that_cannot_be_read": ("payments", "amount", "12,50 EUR"),
    "events_that_cannot_be_read": ("events", "event_timestamp", "2026-02-30 25:00"),
}


def known_event_types() -> list[str]:
    with (project.root() / "seeds" / "event_types.csv").open() as file:
        return [row["event_type"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("kind", sorted(RECOUNT))
def test_the_truth_names_the_dirty_rows(single: tuple[Path, dict], kind: str) -> None:
    folder, truth = single
    types = ", ".join(f"'{each}'" for each in known_event_types())
    found = query(folder, RECOUNT[kind].format(end=truth["ends_before"], types=types))
    stated = truth["dirty"][kind]
    assert stated["rows"] == len(stated["keys"]) >= 2
    assert keys(found) == keys([(key,) for key in stated["keys"]])


def test_every_stated_kind_is_recounted(single: tuple[Path, dict], tmp_path: Path) -> None:
    late = {"orders_late", "events_late"}
    assert set(single[1]["dirty"]) == set(RECOUNT) | late
    text = write(tmp_path, kind="csv", users=100, days=40)
    assert set(text["dirty"]) == set(RECOUNT) | late | set(UNREADABLE)


@pytest.mark.parametrize("name", ["events", "orders"])
def test_late_rows_come_in_a_later_load(daily: tuple[Path, dict], name: str) -> None:
    folder, truth = daily
    day = {"events": "event_timestamp", "orders": "order_date"}[name]
    first_seen: dict[str, int] = {}
    moments = {}
    for number, load in enumerate(truth["loads"]):
        for row in pq.read_table(folder / load["folder"] / f"{name}.parquet").to_pylist():
            if row[day] is not None and row[KEYS[name]] not in first_seen:
                first_seen[row[KEYS[name]]], moments[row[KEYS[name]]] = number, row[day]
    ends = [datetime.fromisoformat(load["until"]) for load in truth["loads"]]
    late = [
        key for key, number in first_seen.items() if number > 0 and moments[key] < ends[number - 1]
    ]
    stated = truth["dirty"][f"{name}_late"]
    assert sorted(late) == sorted(stated["keys"])
    assert stated["rows"] >= 2


def test_late_rows_are_out_of_order_in_a_single_folder(single: tuple[Path, dict]) -> None:
    folder, truth = single
    for name, day in (("events", "event_timestamp"), ("orders", "order_date")):
        found = query(
            folder,
            f"""
            select {KEYS[name]} from (
                select *, max({day}) filter (where {day} < '{truth["ends_before"]}')
                    over (order by place) as before from {name})
            where {day} < before - interval 1 day and {KEYS[name]} is not null""",
        )
        assert set(truth["dirty"][f"{name}_late"]["keys"]) <= {row[0] for row in found}


@pytest.mark.parametrize("name", ["users", "orders", "order_items", "events"])
def test_the_last_row_of_a_key_wins(single: tuple[Path, dict], tmp_path: Path, name: str) -> None:
    clean = tmp_path / "clean"
    write(clean, dirty=0.0)
    key, changed = KEYS[name], {"users": "email", "order_items": "product_id"}.get(name)
    truth = single[1]["dirty"][f"{name}_outdated"]["keys"]
    assert truth
    with_dirt = upserted([single[0] / f"{name}.parquet"], key)[0]
    without = upserted([clean / f"{name}.parquet"], key)[0]
    for one in truth:
        for row in (with_dirt[one], without[one]):
            # An invalid e-mail and an unknown product are dirty rows of other kinds.
            row.pop(changed, None)
        assert with_dirt[one] == without[one]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl"])
def test_text_files_hold_rows_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    truth = write(tmp_path, kind=kind, users=100, days=40)
    for name, (table, column, value) in UNREADABLE.items():
        path = tmp_path / f"{table}.{kind}"
        if kind == "jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        else:
            rows = duckdb.sql(f"select * from read_csv('{path}', all_varchar = true)").fetchall()
            names = duckdb.sql(f"select * from read_csv('{path}', all_varchar = true)").columns
            rows = [dict(zip(names, row, strict=True)) for row in rows]
        assert len(rows) == truth["rows"][table]
        found = [row[KEYS[table]] for row in rows if row[column] == value]
        assert found == truth["dirty"][name]["keys"] != []


def test_parquet_cannot_hold_rows_that_cannot_be_read(single: tuple[Path, dict]) -> None:
    assert not set(UNREADABLE) & set(single[1]["dirty"])


def test_no_dirty_is_clean(tmp_path: Path) -> None:
    truth = write(tmp_path, dirty=0.0)
    assert truth["dirty"] == {}
    types = ", ".join(f"'{each}'" for each in known_event_types())
    for kind, text in RECOUNT.items():
        assert query(tmp_path, text.format(end=truth["ends_before"], types=types)) == [], kind


# --- loading --------------------------------------------------------------------------------------


def loaded(database: Database, folder: Path, truth: dict) -> tuple[dict, dict[str, Counter]]:
    """Load all folders; return the rows of each table without load columns, and the counts."""
    counts: dict[str, Counter] = {name: Counter() for name in TABLES}
    rows = {}
    with database.connect() as connection:
        connection.execute("drop schema if exists raw cascade")
        connection.commit()
        for load in truth["loads"]:
            for summary in load_folder(folder / load["folder"], connection=connection):
                counts[summary.table].update(
                    {
                        each: getattr(summary, each)
                        for each in ("read", "rejected", "duplicates", "superseded")
                    }
                )
        for name in TABLES:
            names = [
                row[0]
                for row in connection.execute(
                    "select column_name from information_schema.columns where table_schema = 'raw' "
                    "and table_name = %s and left(column_name, 1) <> '_' order by ordinal_position",
                    [name],
                )
            ]
            rows[name] = sorted(
                map(repr, connection.execute(f"select {', '.join(names)} from raw.{name}"))
            )
    return rows, counts


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_warehouse_load_takes_the_sample(database: Database, tmp_path: Path, kind: str) -> None:
    """The loader counts as many rejected, duplicate and outdated rows as truth.json states.

    Consecutive loads result in the same rows as the single folder.
    """
    found = {}
    for loads in (1, 6):
        folder = tmp_path / str(loads)
        truth = write(folder, kind=kind, loads=loads, users=300)
        found[loads], counts = loaded(database, folder, truth)
        for name in TABLES:
            stated = Counter()
            for each, dirty in truth["dirty"].items():
                ending = {
                    "twice": "duplicates",
                    "outdated": "superseded",
                    "read": "rejected",
                    "key": "rejected",
                }.get(each.rsplit("_", 1)[1])
                if dirty["table"] == name and ending:
                    stated[ending] += dirty["rows"]
            assert counts[name] == stated + Counter(read=truth["rows"][name]), name
            assert len(found[loads][name]) == truth["rows"][name] - stated.total() or loads > 1
    assert found[1] == found[6]


# --- the same rows in every format --------------------------------------------------------------


DUCKDB_TYPES = {
    "string": "VARCHAR",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    "date32[day]": "DATE",
    "bool": "BOOLEAN",
    "decimal128(14, 2)": "DECIMAL(14, 2)",
    "int32": "INTEGER",
}


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl"])
def test_text_files_hold_the_same_rows_as_parquet(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "parquet", users=150, days=40, dirty=0.0)
    write(tmp_path / "text", users=150, days=40, dirty=0.0, kind=kind)
    for name in TABLES:
        binary = pq.read_table(tmp_path / "parquet" / f"{name}.parquet")
        described = {
            column: DUCKDB_TYPES[str(binary.schema.field(column).type)]
            for column in binary.column_names
        }
        path = str(tmp_path / "text" / f"{name}.{kind}")
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        text = (
            connection.read_json(path, columns=described, format="newline_delimited")
            if kind == "jsonl"
            else connection.read_csv(path, header=True, dtype=described)
        )
        found, wanted = text.fetchall(), list(zip(*binary.to_pydict().values(), strict=True))
        if name == "events":
            # JSON lines store properties as an object, where 59.30 is 59.3: compare parsed values.
            found, wanted = (
                [(*row[:-1], row[-1] and json.loads(row[-1])) for row in rows]
                for rows in (found, wanted)
            )
        assert found == wanted, name


def test_json_lines_are_json(tmp_path: Path) -> None:
    write(tmp_path, kind="jsonl", users=200, days=30)
    lines = (tmp_path / "users.jsonl").read_text(encoding="utf-8").splitlines()
    assert any("'" in json.loads(line)["last_name"] for line in lines)
    events = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {type(json.loads(line)["properties"]) for line in events}
    assert kinds == {dict, type(None)}


# --- the contract -------------------------------------------------------------------------------


def test_the_files_keep_the_source_contract(single: tuple[Path, dict]) -> None:
    text = (project.root() / "models/staging/app/_app__sources.yml").read_text()
    # The sample has one currency, and so no rates.
    tables = [
        table
        for table in yaml.safe_load(text)["sources"][0]["tables"]
        if table["name"] != "exchange_rates"
    ]
    assert {table["name"] for table in tables} == set(TABLES)
    arrow = {
        "text": "string",
        "jsonb": "string",
        "timestamptz": "timestamp[us, tz=UTC]",
        "date": "date32[day]",
        "boolean": "bool",
    }
    for table in tables:
        schema = pq.read_schema(single[0] / f"{table['name']}.parquet")
        wanted = [c for c in table["columns"] if not c["name"].startswith("_")]
        assert schema.names == [column["name"] for column in wanted]
        for column in wanted:
            found = schema.field(column["name"]).type
            if column["data_type"] == "numeric":
                assert pa.types.is_decimal(found) or pa.types.is_integer(found)
            else:
                assert str(found) == arrow[column["data_type"]], column["name"]


def test_event_types_and_statuses_are_those_of_the_seeds(large: tuple[Path, dict]) -> None:
    types = {row[0] for row in query(large[0], "select distinct event_type from events")}
    assert len(types) > 5
    assert types <= set(known_event_types())
    with (project.root() / "seeds" / "order_statuses.csv").open() as file:
        seeds = {row["order_status"]: row["is_revenue"] for row in csv.DictReader(file)}
    found = {row[0] for row in query(large[0], "select distinct order_status from orders")}
    assert found == {
        "completed",
        "delivered",
        "shipped",
        "processing",
        "pending",
        "cancelled",
        "returned",
        "refunded",
    }
    assert {status for status in found if seeds[status] == "true"} == set(REVENUE)


def test_nothing_points_at_real_people(tmp_path: Path) -> None:
    write(tmp_path, kind="csv", users=400, days=40)
    reserved = re.compile(r"(^|\.)example\.(com|org|net)$")
    hosts, phones = set(), set()
    for path in tmp_path.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        hosts |= set(re.findall(r"(?:@|://)([\w-]+(?:\.[\w-]+)+)", text))
        hosts |= set(re.findall(r"[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|de|uk|edu|gov)\b", text))
        phones |= set(re.findall(r"\+[\d ]+", text)) if path.stem == "users" else set()
    assert len(hosts) > 3
    assert [host for host in hosts if not reserved.search(host)] == []
    assert len(phones) > 100
    # 555-0100 to 555-0199 are reserved for fictional use.
    assert [each for each in phones if not re.fullmatch(r"\+1 \d{3} 555 01\d\d", each)] == []


# --- the parameters of the models ---------------------------------------------------------------


def true_buyers(folder: Path, truth: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rate per week, probability to leave, weeks and repeat purchases of all buyers."""
    rows = query(
        folder,
        f"""
        select lambda_per_week, p, purchases - 1,
            epoch('{truth["ends_before"]}'::timestamptz - first_purchase_at) / 604800
        from true_users where is_buyer""",
    )
    rate, leaving, repeats, weeks = map(np.array, zip(*rows, strict=True))
    return rate, leaving, weeks, repeats


def test_the_buyers_follow_bg_nbd(large: tuple[Path, dict]) -> None:
    """The repeat purchases match the expectation from each buyer's rate and leaving probability."""
    rate, leaving, weeks, repeats = true_buyers(*large)
    assert len(rate) > 5000
    expected = (1 - np.exp(-rate * leaving * weeks)) / leaving
    # The sum over all buyers is nearly normal; the residuals give its standard error.
    error = np.sqrt(np.sum((repeats - expected) ** 2))
    assert abs(repeats.sum() - expected.sum()) < 4 * error
    none = np.exp(-rate * weeks)
    error = np.sqrt(np.sum(none * (1 - none)))
    assert abs((repeats == 0).sum() - none.sum()) < 4 * error
    # Leaving needs a repeat purchase.
    assert query(
        large[0], "select count(*) from true_users where purchases = 1 and not is_alive"
    ) == [(0,)]
    # Purchases after which a buyer leaves occur at the rate times the probability to leave.
    alive = query(large[0], "select count(*) from true_users where is_alive")[0][0]
    stays = np.exp(-rate * leaving * weeks)
    assert abs(alive - stays.sum()) < 4 * np.sqrt(np.sum(stays * (1 - stays)))


def test_the_population_has_the_stated_parameters(large: tuple[Path, dict]) -> None:
    rate, leaving, weeks, repeats = true_buyers(*large)
    stated = large[1]["models"]["bg_nbd"]
    r, alpha, a, b = (stated[name] for name in ("r", "alpha", "a", "b"))
    assert stated["unit"] == "week"
    count = len(rate)
    assert abs(rate.mean() - r / alpha) < 4 * np.sqrt(r / alpha**2 / count)
    spread = a * b / ((a + b) ** 2 * (a + b + 1))
    assert abs(leaving.mean() - a / (a + b)) < 4 * np.sqrt(spread / count)
    # P(no repeat), with the rate integrated out
    none = (alpha / (alpha + weeks)) ** r
    assert abs((repeats == 0).sum() - none.sum()) < 4 * np.sqrt(np.sum(none * (1 - none)))


def test_the_spend_follows_gamma_gamma(large: tuple[Path, dict]) -> None:
    stated = large[1]["models"]["gamma_gamma"]
    p, q, v = (stated[name] for name in ("p", "q", "v"))
    rows = query(
        large[0],
        """
        select nu, avg(amount)::double, count(*) from true_orders
        inner join true_users using (user_id) group by user_id, nu""",
    )
    nu, mean, count = map(np.array, zip(*rows, strict=True))
    spread = np.sqrt(p) / nu / np.sqrt(count)
    assert abs(np.mean((mean - p / nu) / spread)) < 4 / np.sqrt(len(nu))
    assert 0.95 < np.std((mean - p / nu) / spread) < 1.05
    # 1 / nu is inverse gamma: its mean is v / (q - 1), its variance v^2 / (q - 1)^2 / (q - 2)
    error = p * v / (q - 1) / np.sqrt((q - 2) * len(nu))
    assert abs(np.mean(p / nu) - p * v / (q - 1)) < 5 * error


@pytest.mark.parametrize("dirty", [0.0, 0.01])
def test_the_lines_add_up_to_the_drawn_amounts(tmp_path: Path, dirty: float) -> None:
    truth = write(tmp_path, dirty=dirty)
    wrong = query(
        tmp_path,
        """
        with lines as (
            select order_id, sum(quantity * price_at_purchase) as amount, count(*) as lines
            from (select * from order_items
                qualify row_number() over (partition by order_item_id order by place desc) = 1)
            where quantity > 0 group by 1)
        select true_orders.order_id, true_orders.amount, lines.amount
        from true_orders left join lines using (order_id)
        where lines.amount is distinct from true_orders.amount""",
    )
    assert wrong == []
    cheapest = query(tmp_path, "select min(price_at_purchase) from order_items")[0][0]
    assert cheapest > 0
    revenue = query(tmp_path, "select sum(amount) from true_orders where is_purchase")[0][0]
    assert str(revenue) == truth["clean"]["revenue"]


def test_the_orders_in_the_files_are_those_of_the_truth(large: tuple[Path, dict]) -> None:
    folder, truth = large
    statuses = ", ".join(f"'{status}'" for status in REVENUE)
    assert query(
        folder,
        f"""
        select count(*) from true_orders full join orders using (order_id)
        where is_purchase is distinct from (order_status in ({statuses}))
            or true_orders.user_id is distinct from orders.user_id""",
    ) == [(0,)]
    assert query(
        folder,
        f"""
        with counted as (
            select user_id, count(*) as purchases, min(order_date) as first_at,
                count(distinct order_date::date) as days
            from orders where order_status in ({statuses}) group by 1)
        select count(*) from true_users full join counted using (user_id)
        where true_users.purchases <> coalesce(counted.purchases, 0)
            or purchase_days <> coalesce(days, 0)
            or first_purchase_at is distinct from first_at
            or is_buyer <> (counted.purchases is not null)""",
    ) == [(0,)]
    clean = truth["clean"]
    assert query(
        folder, "select count(*), sum(purchases), sum(purchase_days) from true_users where is_buyer"
    ) == [(clean["buyers"], clean["purchases"], clean["purchase_days"])]


def test_payments_differ_from_orders_where_the_truth_says_so(large: tuple[Path, dict]) -> None:
    folder, truth = large
    differing = query(
        folder,
        """
        with paid as (
            select order_id, sum(amount) filter (where payment_status in ('paid', 'refunded'))
                as amount from payments group by 1)
        select count(*) filter (where paid.amount is null),
            count(*) filter (where paid.amount <> true_orders.amount)
        from true_orders inner join orders using (order_id) left join paid using (order_id)
        where order_status not in ('cancelled', 'pending')""",
    )
    stated = truth["clean"]["payments"]
    assert differing == [(stated["unpaid"], stated["paid_in_part"])]
    assert min(stated.values()) > 0


# --- sessions and events ------------------------------------------------------------------------


def test_events_lie_in_their_sessions(single: tuple[Path, dict]) -> None:
    folder, truth = single
    assert query(
        folder,
        """
        select count(*) from (select distinct * exclude (place, page_url) from events) as events
        inner join user_sessions using (session_id)
        where event_timestamp < session_start or event_timestamp > session_end
            or events.user_id is distinct from user_sessions.user_id""",
    ) == [(0,)]
    without = query(folder, "select count(*) from events where session_id is null")[0][0]
    assert without == sum(
        kind["rows"]
        for name, kind in truth["dirty"].items()
        if name.startswith("events_")
        and name not in ("events_late", "events_twice", "events_outdated")
    )


def test_each_order_has_its_purchase_and_each_user_a_sign_up(single: tuple[Path, dict]) -> None:
    folder, _ = single
    assert query(
        folder,
        """
        with bought as (
            select distinct event_id, user_id, event_timestamp,
                properties->>'order_id' as order_id, (properties->>'value')::decimal(14, 2) as value
            from events where event_type = 'purchase')
        select count(*) from bought full join true_orders using (order_id)
        left join (select distinct on (order_id) * from orders order by order_id, place desc)
            as orders using (order_id)
        where bought.user_id is distinct from orders.user_id
            or event_timestamp is distinct from order_date
            or value is distinct from amount""",
    ) == [(0,)]
    assert query(
        folder,
        """
        with signed_up as (
            select distinct user_id, event_timestamp from events where event_type = 'sign_up')
        select count(*) from signed_up full join (select distinct user_id, created_at from users)
            as users using (user_id)
        where event_timestamp is distinct from created_at""",
    ) == [(0,)]


def test_the_funnel_narrows(large: tuple[Path, dict], tmp_path: Path) -> None:
    write(tmp_path, users=2000)
    counts = dict(query(tmp_path, "select event_type, count(*) from events group by 1"))
    steps = [
        counts[step]
        for step in ("page_view", "view_item", "add_to_cart", "begin_checkout", "purchase")
    ]
    assert steps == sorted(steps, reverse=True)
    shares = query(
        tmp_path,
        """
        select avg((user_id is null)::int), avg((session_end is null)::int) from user_sessions""",
    )
    assert 0.05 < shares[0][0] < 0.3 and 0 < shares[0][1] < 0.05


def test_visitors_stay_in_their_browser(large: tuple[Path, dict]) -> None:
    """Most are one user; some come back before they sign up, share a tablet, or have no cookie."""
    before, devices, shared, strangers, without = query(
        large[0],
        """
        with visitors as (
            select visitor_id, count(distinct user_id) as users, count(distinct device) as devices,
                bool_or(user_id is null) as was_anonymous
            from user_sessions where visitor_id is not null group by 1)
        select count(*) filter (users = 1 and was_anonymous), max(devices),
            count(*) filter (users > 1) / count(*), count(*) filter (users = 0),
            (select count(*) from user_sessions where visitor_id is null and user_id is null)
        from visitors""",
    )[0]
    assert before > 500 and devices == 1 and 0 < shared < 0.02 and strangers > 500 and without > 100


def test_users_change(large: tuple[Path, dict]) -> None:
    changed = query(
        large[0],
        """
        select avg((updated_at > created_at)::int), count(distinct subscription_tier),
            count(distinct country) > 10, min(last_login_at - created_at) >= interval 0 second
        from users""",
    )
    assert changed[0][0] > 0.3 and changed[0][1:] == (3, True, True)
    consents = query(
        large[0],
        """
        select count(distinct purpose), avg(is_granted::int),
            count(distinct user_id || purpose) < count(*) from consents""",
    )
    assert consents[0][0] == 3 and 0.5 < consents[0][1] < 0.9 and consents[0][2]


def test_more_events_per_session(tmp_path: Path) -> None:
    for wanted in (1, 4, 20):
        write(tmp_path / str(wanted), events_per_session=wanted, dirty=0.0)
        found = query(
            tmp_path / str(wanted),
            """
            select count(*) / count(distinct session_id) from events
            anti join (select session_id from events where event_type = 'purchase')
            using (session_id)""",
        )[0][0]
        assert abs(found / wanted - 1) < 0.1


# --- arguments ----------------------------------------------------------------------------------


def test_dates(tmp_path: Path) -> None:
    plan = make_plan(users=1, days=10, seed=1, out=tmp_path, start_date="2024-02-25")
    assert plan.end_date == date(2024, 3, 5)
    assert plan.end - plan.start == 10 * 86_400 * 1_000_000
    truth = write(tmp_path, users=50, days=10, end_date="2024-03-05", dirty=0.0)
    assert truth["as_of"] == "2024-03-05"
    first, last = query(tmp_path, "select min(event_timestamp), max(event_timestamp) from events")[
        0
    ]
    assert datetime(2024, 2, 25, tzinfo=UTC) <= first
    assert last < datetime(2024, 3, 6, tzinfo=UTC) < last + timedelta(days=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"users": 1, "days": 1},
        {"users": 1, "days": 1, "dirty": 0.2},
        {"users": 2, "days": 2, "loads": 2},
        {"users": 1, "days": 1000, "loads": 7},
        {"users": 5, "days": 3, "kind": "csv", "loads": 3},
        {"users": 3, "days": 1, "kind": "jsonl", "events_per_session": 1},
        {"users": 40, "days": 30, "dirty": 0.2, "loads": 30, "kind": "csv.gz"},
    ],
)
@pytest.mark.parametrize("seed", range(6))
def test_small_samples(tmp_path: Path, arguments: dict, seed: int) -> None:
    truth = write(tmp_path, **arguments, seed=seed)
    written = {path.name for path in (tmp_path / truth["loads"][0]["folder"]).iterdir()}
    assert {f"{name}.{arguments.get('kind', 'parquet')}" for name in TABLES} <= written
    assert truth["clean"]["users"] == arguments["users"]


def test_only_a_sample_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    write(folder, users=20, days=10, kind="csv")
    with pytest.raises(WarehouseError, match="not empty"):
        prepare(folder, overwrite=False)
    prepare(folder, overwrite=True)
    assert list(folder.iterdir()) == []
    write(folder, users=20, days=10, loads=2)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(WarehouseError, match=r"thesis\.txt"):
        prepare(folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "years of work"
    with pytest.raises(WarehouseError, match="is a file"):
        prepare(folder / "thesis.txt", overwrite=True)


def test_the_command(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "warehouse.cli", "sample", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=project.root(),
        )

    folder = tmp_path / "sample"
    arguments = ("--users", "30", "--days", "20", "--seed", "3", "--out", str(folder))
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "order_items" in done.stdout and "truth.json" in done.stdout
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["arguments"]["users"] == 30 and truth["arguments"]["seed"] == 3
    again = run(*arguments)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr and "Traceback" not in again.stderr
    assert run(*arguments, "--overwrite", "--no-dirty").returncode == 0
    assert json.loads((folder / "truth.json").read_text())["dirty"] == {}
    wrong = run("--users", "0", "--out", str(tmp_path / "other"))
    assert wrong.returncode == 1 and "--users" in wrong.stderr and "Traceback" not in wrong.stderr
    assert not (tmp_path / "other").exists()
