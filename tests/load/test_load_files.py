"""Loading files into raw: which rows are written, rejected and reported."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.command import warehouse
from tests.support.files import write
from tests.support.real_data import SHARED, needs_real_data
from warehouse.errors import WarehouseError
from warehouse.load import Reporter, TableSummary, load_folder
from warehouse.project import root

THEN = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2024, 2, 1, tzinfo=UTC)


def fetch(connection: psycopg.Connection, query: str) -> list[tuple]:
    return connection.execute(query).fetchall()


def counts(summary: TableSummary) -> dict[str, int]:
    names = ("read", "new", "changed", "unchanged", "rejected", "superseded", "duplicates")
    found = {name: getattr(summary, name) for name in (*names, "deleted")}
    assert found["read"] == sum(found[name] for name in names[1:]), "every row is counted once"
    return {name: count for name, count in found.items() if count}


def one(folder: Path, connection: psycopg.Connection, **options) -> dict[str, int]:
    (summary,) = load_folder(folder, connection=connection, **options)
    return counts(summary)


# --- Upserting ----------------------------------------------------------------------------------


def test_new_changed_and_unchanged_rows(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email,created_at\n1,a@x.org,2024-01-01\n2,b@x.org,\n")
    assert one(tmp_path, connection, loaded_at=THEN) == {"read": 2, "new": 2}
    write(tmp_path, "users.csv", "user_id,email,created_at\n1,a@x.org,2024-01-01\n2,c@x.org,\n3,,")
    before = dict(fetch(connection, "select user_id, xmin::text from raw.users"))
    assert one(tmp_path, connection, loaded_at=LATER) == {
        "read": 3,
        "new": 1,
        "changed": 1,
        "unchanged": 1,
    }
    rows = fetch(
        connection, "select user_id, email, created_at, _loaded_at from raw.users order by 1"
    )
    assert rows == [
        ("1", "a@x.org", THEN, THEN),
        ("2", "c@x.org", None, LATER),
        ("3", None, None, LATER),
    ]
    after = dict(fetch(connection, "select user_id, xmin::text from raw.users"))
    assert after["1"] == before["1"]
    assert after["2"] != before["2"]


def test_a_reload_rewrites_nothing(connection, tmp_path) -> None:
    write(tmp_path, "events.csv", "event_id,event_timestamp,properties\n" + "".join(
        f'e{n},2024-01-01 00:00:{n % 60:02d},"{{""n"": {n}}}"\n' for n in range(5_000)
    ))  # fmt: skip
    assert one(tmp_path, connection) == {"read": 5_000, "new": 5_000}
    query = "select event_id, xmin::text, xmax::text, ctid::text, _loaded_at from raw.events"
    before = sorted(fetch(connection, query))
    assert one(tmp_path, connection) == {"read": 5_000, "unchanged": 5_000}
    assert sorted(fetch(connection, query)) == before


def test_equal_numbers_and_json_are_unchanged_whatever_their_spelling(connection, tmp_path) -> None:
    write(tmp_path, "products.csv", "product_id,unit_price\np,1.50\n")
    write(tmp_path, "events.csv", 'event_id,properties\ne,"{""a"":1,""b"":2}"\n')
    load_folder(tmp_path, connection=connection)
    write(tmp_path, "products.csv", "product_id,unit_price\np,1.5\n")
    write(tmp_path, "events.csv", 'event_id,properties\ne,"{""b"": 2, ""a"": 1}"\n')
    assert [counts(s) for s in load_folder(tmp_path, connection=connection)] == [
        {"read": 1, "unchanged": 1},
        {"read": 1, "unchanged": 1},
    ]


def test_all_rows_of_a_load_have_one_stamp_taken_while_it_ran(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n" + "".join(f"{n}\n" for n in range(100)))
    before = fetch(connection, "select clock_timestamp()")[0][0]
    (summary,) = load_folder(tmp_path, connection=connection)
    after = fetch(connection, "select clock_timestamp()")[0][0]
    ((stamp,),) = fetch(connection, "select distinct _loaded_at from raw.users")
    assert before < stamp < after
    assert summary.loaded_at == stamp


def test_all_tables_of_the_contract_are_made(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n")
    load_folder(tmp_path, connection=connection)
    rows = fetch(
        connection,
        """
        select relname, (select string_agg(indexdef, '; ' order by indexname) from pg_indexes
                         where schemaname = 'raw' and tablename = relname)
        from pg_stat_all_tables where schemaname = 'raw' order by 1
        """,
    )
    assert [name for name, _ in rows] == [
        "categories", "consents", "erasure_requests", "events", "exchange_rates", "order_items",
        "orders", "payments", "products", "user_sessions", "users",
    ]  # fmt: skip
    assert "UNIQUE INDEX users_pkey ON raw.users USING btree (user_id)" in rows[-1][1]
    assert all("(_loaded_at)" in indexes for _, indexes in rows)
    columns = fetch(
        connection,
        "select column_name, data_type, is_nullable from information_schema.columns "
        "where table_schema = 'raw' and table_name = 'order_items' order by ordinal_position",
    )
    assert columns == [
        ("order_item_id", "text", "NO"),
        ("order_id", "text", "YES"),
        ("product_id", "text", "YES"),
        ("quantity", "numeric", "YES"),
        ("price_at_purchase", "numeric", "YES"),
        ("updated_at", "timestamp with time zone", "YES"),
        ("_loaded_at", "timestamp with time zone", "NO"),
        ("_deleted_at", "timestamp with time zone", "YES"),
    ]


def test_columns_missing_in_a_file_keep_what_is_there(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email,country\n1,a@x.org,DE\n")
    load_folder(tmp_path, connection=connection)
    write(tmp_path, "users.csv", "country,user_id\nFR,1\nIT,2\n")
    report = Reporter()
    (summary,) = load_folder(tmp_path, connection=connection, report=report)
    assert counts(summary) == {"read": 2, "new": 1, "changed": 1}
    rows = fetch(connection, "select user_id, email, country from raw.users order by 1")
    assert rows == [("1", "a@x.org", "FR"), ("2", None, "IT")]
    (warning,) = report.warnings
    assert "users: the file has no email, first_name" in warning


def test_unknown_columns_are_ignored_and_named(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "shoe_size,user_id,_loaded_at\n44,1,2001-01-01\n")
    report = Reporter()
    load_folder(tmp_path, connection=connection, report=report, loaded_at=THEN)
    assert "users: ignored columns that are not in the contract: shoe_size." in (report.warnings)
    assert report.notes == ["users.csv: ignored the column _loaded_at, which the load sets."]
    assert fetch(connection, "select user_id, _loaded_at from raw.users") == [("1", THEN)]


# --- Deletes ------------------------------------------------------------------------------------


def test_complete_marks_what_is_missing_and_a_row_can_come_back(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email\n1,a\n2,b\n3,c\n")
    one(tmp_path, connection, loaded_at=THEN)
    write(tmp_path, "users.csv", "user_id,email\n1,a\n3,c\n")
    assert one(tmp_path, connection) == {"read": 2, "unchanged": 2}
    assert one(tmp_path, connection, complete=True, loaded_at=LATER) == {
        "read": 2,
        "unchanged": 2,
        "deleted": 1,
    }
    rows = fetch(connection, "select user_id, _loaded_at, _deleted_at from raw.users order by 1")
    assert rows == [("1", THEN, None), ("2", LATER, LATER), ("3", THEN, None)]
    assert one(tmp_path, connection, complete=True) == {"read": 2, "unchanged": 2}
    write(tmp_path, "users.csv", "user_id,email\n1,a\n2,b\n3,c\n")
    last = datetime(2024, 3, 1, tzinfo=UTC)
    assert one(tmp_path, connection, loaded_at=last) == {"read": 3, "changed": 1, "unchanged": 2}
    rows = fetch(connection, "select _loaded_at, _deleted_at from raw.users where user_id = '2'")
    assert rows == [(last, None)]


def test_a_file_may_say_itself_what_is_deleted(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,_deleted_at\n1,2023-05-05\n2,\n")
    assert one(tmp_path, connection) == {"read": 2, "new": 2}
    assert one(tmp_path, connection) == {"read": 2, "unchanged": 2}
    rows = fetch(connection, "select user_id, _deleted_at::text from raw.users order by 1")
    assert rows == [("1", "2023-05-05 00:00:00+00"), ("2", None)]
    write(tmp_path, "users.csv", "user_id,_deleted_at\n1,\n2,\n")
    assert one(tmp_path, connection) == {"read": 2, "changed": 1, "unchanged": 1}


def test_complete_refuses_to_delete_most_of_a_table(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n" + "".join(f"{n}\n" for n in range(10)))
    one(tmp_path, connection)
    write(tmp_path, "users.csv", "user_id,email\n1,new\n2,new\n3,new\n4,new\n")
    with pytest.raises(WarehouseError, match=r"delete 6 of the 10 current rows of users.*10 %"):
        one(tmp_path, connection, complete=True)
    assert fetch(connection, "select count(*) from raw.users where email is null") == [(10,)]
    assert one(tmp_path, connection, complete=True, max_deletes=60)["deleted"] == 6


@pytest.mark.parametrize("text", ["", "user_id,email\n", "\n\n"])
def test_an_empty_file_warns_and_deletes_nothing(connection, tmp_path, text: str) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n2\n")
    one(tmp_path, connection)
    write(tmp_path, "users.csv", text)
    report = Reporter()
    assert one(tmp_path, connection, report=report) == {}
    assert report.warnings == ["users.csv is empty: it has no rows."]
    with pytest.raises(WarehouseError, match=r"users\.csv is empty.*--allow-empty"):
        one(tmp_path, connection, complete=True)
    assert fetch(connection, "select count(_deleted_at) from raw.users") == [(0,)]
    assert one(tmp_path, connection, complete=True, allow_empty=True) == {"deleted": 2}


def test_a_row_that_is_rejected_is_not_missing(connection, tmp_path) -> None:
    header = "user_id,birth_date\n"
    rows = "".join(f"{n},2000-01-01\n" for n in range(19))
    write(tmp_path, "users.csv", header + rows + "bad,2000-01-01\n")
    one(tmp_path, connection)
    write(tmp_path, "users.csv", header + rows + "bad,2000-01-41\n")
    assert one(tmp_path, connection, complete=True) == {"read": 20, "unchanged": 19, "rejected": 1}
    assert fetch(connection, "select count(_deleted_at) from raw.users") == [(0,)]


def test_complete_refuses_a_file_whose_keys_cannot_all_be_read(connection, tmp_path) -> None:
    rows = "".join(f"{n},x\n" for n in range(19))
    write(tmp_path, "users.csv", "user_id,email\n" + rows + "19\n")
    with pytest.raises(WarehouseError, match="cannot tell which rows are missing"):
        one(tmp_path, connection, complete=True)
    assert fetch(connection, "select count(*) from raw.users") == [(0,)]


# --- Values -------------------------------------------------------------------------------------


def test_values_arrive_exactly(connection, tmp_path) -> None:
    big = json.dumps({"text": "é" * 600_000})
    table = [
        ("event_id", "event_type", "event_timestamp", "properties"),
        ("007", 'a "quoted", one', "2024-01-02T03:04:05.123456+02:00", '{"a": [1, 2.50]}'),
        ("ключ-🎉", "two\nlines\r\nand \\. more\\", "2024-01-02 03:04:05", "null"),
        ("  key with spaces  ", "\\.", "infinity", "1e400"),
        ("NULL", "NA", "-infinity", big),
        ("1e3", "\\N", "", ""),
    ]
    text = io.StringIO()
    csv.writer(text).writerows(table)
    write(tmp_path, "events.csv", text.getvalue())
    write(
        tmp_path,
        "products.csv",
        "product_id,unit_price\n"
        "a,0.1234567890123456789012345678901234567890\nb,1e3\nc,NaN\nd,-00012.50\n"
        "e,99999999999999999999999999999999999999999999.5\n",
    )
    load_folder(tmp_path, connection=connection)
    rows = fetch(
        connection,
        "select event_id, event_type, event_timestamp::text, md5(properties::text) from raw.events",
    )

    def md5(value: str | None) -> str | None:
        return fetch(connection, f"select md5($q${value}$q$::jsonb::text)")[0][0]

    assert rows == [
        ("007", table[1][1], "2024-01-02 01:04:05.123456+00", md5(table[1][3])),
        ("ключ-🎉", table[2][1], "2024-01-02 03:04:05+00", md5("null")),
        ("  key with spaces  ", "\\.", "infinity", md5(table[3][3])),
        ("NULL", "NA", "-infinity", md5(big)),
        ("1e3", "\\N", None, None),
    ]
    rows = fetch(connection, "select product_id, unit_price::text from raw.products order by 1")
    assert rows == [
        ("a", "0.1234567890123456789012345678901234567890"),
        ("b", "1000"),
        ("c", "NaN"),
        ("d", "-12.50"),
        ("e", "99999999999999999999999999999999999999999999.5"),
    ]


def test_booleans_in_their_spellings(connection, tmp_path) -> None:
    spellings = ["true", "t", "1", "yes", "TRUE", "false", "f", "0", "no", "False"]
    write(tmp_path, "consents.csv", "consent_id,is_granted\n" + "".join(
        f"{n},{text}\n" for n, text in enumerate(spellings)
    ))  # fmt: skip
    load_folder(tmp_path, connection=connection)
    rows = fetch(connection, "select is_granted from raw.consents order by consent_id")
    assert [value for (value,) in rows] == [True] * 5 + [False] * 5


def test_the_session_of_the_caller_does_not_change_times(database, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,created_at\n1,2024-07-01 12:00:00\n")
    with database.connect() as connection:
        connection.execute("set timezone = 'Asia/Tokyo'")
        connection.execute("set datestyle = 'SQL, DMY'")
        connection.commit()
        load_folder(tmp_path, connection=connection)
        ((value,),) = fetch(connection, "select created_at at time zone 'UTC' from raw.users")
    assert value == datetime(2024, 7, 1, 12)


EVENTS = [
    {
        "event_id": f"e{n}",
        "user_id": None if n % 3 == 0 else f"00{n}",
        "event_type": ['say "hi", 🎉', "two\nlines", "back\\slash\tand tab"][n % 3],
        "event_timestamp": datetime(2024, 1, 1, 0, n % 60, 0, n, tzinfo=UTC),
        "properties": {"n": n, "price": 1.5, "nested": {"list": [f"{n}", None, "ü"]}},
    }
    for n in range(200)
]
ITEMS = [
    {
        "order_item_id": str(n),
        "order_id": "o",
        "quantity": n - 5,
        "price_at_purchase": Decimal(n) / 8,
        "updated_at": datetime(2024, 1, 1, tzinfo=UTC),
    }
    for n in range(100)
]


def as_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: json.dumps(v) if isinstance(v, dict) else v for name, v in row.items()}
        )
    return text.getvalue()


def as_jsonl(rows: list[dict]) -> str:
    def plain(value):
        return value.isoformat(" ") if isinstance(value, datetime) else float(value)

    return "".join(json.dumps(row, default=plain, ensure_ascii=False) + "\n" for row in rows)


def test_the_formats_give_identical_tables(connection, tmp_path) -> None:
    results = {}
    for kind in ("csv", "csv.gz", "parquet", "jsonl", "jsonl.gz"):
        folder = tmp_path / kind
        folder.mkdir()
        for name, rows in (("events", EVENTS), ("order_items", ITEMS)):
            if kind == "parquet":
                pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
            else:
                text = as_csv(rows) if kind.startswith("csv") else as_jsonl(rows)
                write(folder, f"{name}.{kind}", text)
        load_folder(folder, connection=connection, loaded_at=THEN)
        results[kind] = [
            fetch(connection, 'select * from raw.events order by event_id collate "C"'),
            fetch(connection, "select * from raw.order_items order by order_item_id"),
        ]
        connection.execute("truncate raw.events, raw.order_items")
    assert [len(rows) for rows in results["csv"]] == [200, 100]
    for kind, rows in results.items():
        assert rows == results["csv"], kind
    by_id = {row[0]: row for row in results["parquet"][0]}
    assert by_id["e7"][1:5:3] == ("007", EVENTS[7]["event_timestamp"])
    assert by_id["e7"][7] == EVENTS[7]["properties"]


def test_parquet_of_other_types(connection, tmp_path) -> None:
    table = pa.table(
        {
            "user_id": pa.array([1.0, 2.0, 30000000.0]),  # as pandas writes ids with gaps
            "email": pa.array(["a", "b", "a"]).dictionary_encode(),
            "phone": pa.array([491, None, 493]),
            "birth_date": pa.array([0, None, 1], pa.date32()),
            "created_at": pa.array([0, 1, None], pa.timestamp("ns")),
            "updated_at": pa.array([0, 1, None], pa.timestamp("ms", "America/New_York")),
            "first_name": pa.array([b"x", "ü".encode(), None], pa.binary()),
        }
    )
    pq.write_table(table, tmp_path / "users.parquet")
    load_folder(tmp_path, connection=connection)
    rows = fetch(
        connection,
        "select user_id, email, phone, birth_date::text, created_at::text, updated_at::text, "
        "first_name from raw.users order by 1",
    )
    epoch = "1970-01-01 00:00:00"
    assert rows == [
        ("1", "a", "491", "1970-01-01", f"{epoch}+00", f"{epoch}+00", "x"),
        ("2", "b", None, None, f"{epoch}+00", f"{epoch}.001+00", "ü"),
        ("30000000", "a", "493", "1970-01-02", None, None, None),
    ]


def test_jsonl_keeps_every_digit_and_reads_json_in_strings(connection, tmp_path) -> None:
    write(
        tmp_path,
        "products.jsonl",
        '{"product_id": 7, "unit_price": 0.1000000000000000055511151231257827}\n\n'
        '{"product_id": "b", "unit_price": "12.10"}\n',
    )
    write(
        tmp_path,
        "events.jsonl",
        '{"event_id": "a", "properties": "{\\"x\\": 1}"}\n'
        '{"event_id": "b", "properties": "{no json"}\n'
        '{"event_id": "c", "properties": null, "page_url": "late \\\\ column"}\n',
    )
    load_folder(tmp_path, connection=connection)
    rows = fetch(connection, "select product_id, unit_price::text from raw.products order by 1")
    assert rows == [("7", "0.1000000000000000055511151231257827"), ("b", "12.10")]
    rows = fetch(connection, "select event_id, properties, page_url from raw.events order by 1")
    assert rows == [
        ("a", {"x": 1}, None),
        ("b", "{no json", None),
        ("c", None, "late \\ column"),
    ]


def test_jsonl_keeps_columns_that_no_line_has(connection, tmp_path) -> None:
    write(tmp_path, "users.jsonl", '{"user_id": "1", "email": "a", "phone": "1"}\n')
    one(tmp_path, connection)
    # The name occurs in a value and in a nested object, but not as a column.
    write(
        tmp_path, "users.jsonl", '{"user_id": "1", "phone": "2", "x": {"email": "\\"email\\""}}\n'
    )
    assert one(tmp_path, connection) == {"read": 1, "changed": 1}
    assert fetch(connection, "select email, phone from raw.users") == [("a", "2")]


# --- Rejected rows ------------------------------------------------------------------------------

GOOD = "".join(f"{n},2000-01-01,2024-01-01 00:00:00,x\n" for n in range(200))


def quarantined(connection: psycopg.Connection) -> list[tuple]:
    return fetch(
        connection,
        "select table_name, file_name, line_number, reason, row_text "
        "from quarantine.rejected_rows order by table_name, line_number",
    )


def test_quarantine_holds_line_reason_and_text(connection, tmp_path) -> None:
    header = b"user_id,birth_date,created_at,email\r\n"
    bad = [
        b"b1,2000-02-30,,x",
        b"b2,,yesterday,x",
        b"b3,,01/02/2024,x",
        b" ,,,blank",
        b",,,empty",
        b"b4,,,x,one too many",
        b"b5,,",
        b"b6,,,nul \0 here",
        b"b7,,,latin \xe9",
        b'b8,,,"never closed',
    ]
    good = GOOD.encode().replace(b"\n", b"\r\n")
    two_lines = b'ok,,,"two\r\nlines"\r\n'
    write(tmp_path, "users.csv", header + two_lines + b"\r\n".join(bad) + b"\r\n" + good)
    assert one(tmp_path, connection) == {"read": 211, "new": 201, "rejected": 10}
    lines = [
        (4, 'birth_date: date/time field value out of range: "2000-02-30"', "b1,2000-02-30,,x"),
        (5, 'created_at: no ISO date or time: "yesterday"', "b2,,yesterday,x"),
        (6, 'created_at: no ISO date or time: "01/02/2024"', "b3,,01/02/2024,x"),
        (7, "user_id: the key is empty", " ,,,blank"),
        (8, "user_id: the key is empty", ",,,empty"),
        (9, "5 columns, but the header has 4", "b4,,,x,one too many"),
        (10, "3 columns, but the header has 4", "b5,,"),
        (11, "email: a NUL character, which PostgreSQL's text cannot hold", "b6,,,nul \\x00 here"),
        (12, "not UTF-8, byte 0xe9", "b7,,,latin \\xe9"),
        (13, "a quote is opened and never closed", 'b8,,,"never closed'),
    ]
    assert quarantined(connection) == [("users", "users.csv", *line) for line in lines]


def test_types_are_checked_in_the_fast_way_too(connection, tmp_path) -> None:
    """The structure is valid: only PostgreSQL finds these errors; the text is then looked up."""
    items = "".join(f'{n},1,"a\nb"\n' for n in range(60))
    write(
        tmp_path,
        "order_items.csv.gz",
        "order_item_id,quantity,order_id\n" + items + 'x,"1,000",o\ny,,\n\nz,1.5.2,o\n',
    )
    write(
        tmp_path,
        "events.csv",
        "event_id,properties\n" + "".join(f"{n},{{}}\n" for n in range(60)) + 'x,"{""a"": }"\n'
        'y,"{""a"": ""\\u0000""}"\n',
    )
    load_folder(tmp_path, connection=connection)
    rows = quarantined(connection)
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("events", 62, 'x,"{""a"": }"'),
        ("events", 63, 'y,"{""a"": ""\\u0000""}"'),
        ("order_items", 122, 'x,"1,000",o'),
        ("order_items", 125, "z,1.5.2,o"),
    ]
    assert "properties: invalid input syntax for type json (Expected" in rows[0][3]
    assert "cannot be converted to text" in rows[1][3]
    assert rows[2][3] == 'quantity: no decimal number: "1,000"'


def test_a_nul_character_alone_is_found(connection, tmp_path) -> None:
    """The file is valid otherwise, so nothing else makes the load switch to the careful parser."""
    rows = "".join(f"{n},x\n" for n in range(20))
    write(tmp_path, "users.csv", f"user_id,email\n{rows}nul,a\0b\n")
    texts = [*["x"] * 20, "a\0b"]
    table = pa.table({"order_id": [str(n) for n in range(21)], "currency": texts})
    pq.write_table(table, tmp_path / "orders.parquet")
    for summary in load_folder(tmp_path, connection=connection):
        assert counts(summary) == {"read": 21, "new": 20, "rejected": 1}
    reason = "a NUL character, which PostgreSQL's text cannot hold"
    assert [row[2:] for row in quarantined(connection)] == [
        (21, f"currency: {reason}", '{"order_id": "20", "currency": "a\\\\x00b"}'),
        (22, f"email: {reason}", "nul,a\\x00b"),
    ]


def test_bad_lines_of_jsonl(connection, tmp_path) -> None:
    good = "".join(f'{{"user_id": "{n}"}}\n' for n in range(70)).encode()
    bad = b'{"user_id": \n[1]\n{"email": "no key"}\n{"user_id": "a\\u0000b"}\n{"user_id": "\xff"}\n'
    write(tmp_path, "users.jsonl", good + b"\n" + bad)
    assert one(tmp_path, connection) == {"read": 75, "new": 70, "rejected": 5}
    rows = [(line, reason.split("(")[0], text) for _, _, line, reason, text in
            quarantined(connection)]  # fmt: skip
    assert rows == [
        (72, "not JSON: invalid input syntax for type json: The input string ended unexpectedly.",
         '{"user_id":'),
        (73, "not a JSON object", "[1]"),
        (74, "user_id: the key is empty", '{"email": "no key"}'),
        (75, "not JSON: unsupported Unicode escape sequence: \\u0000 cannot be converted to text.",
         '{"user_id": "a\\u0000b"}'),
        (76, "not UTF-8, byte 0xff", '{"user_id": "\\xff"}'),
    ]  # fmt: skip


def test_bad_rows_of_parquet(connection, tmp_path) -> None:
    keys = [str(n) for n in range(50)]
    texts = [b"x"] * 50
    texts[10] = b"nul \0"
    texts[20] = b"\xff"
    keys[30] = " "
    dates = ["2024-01-01"] * 50
    dates[40] = "soon"
    table = pa.table({"user_id": keys, "email": pa.array(texts, pa.binary()), "birth_date": dates})
    pq.write_table(table, tmp_path / "users.parquet")
    assert one(tmp_path, connection) == {"read": 50, "new": 46, "rejected": 4}
    rows = [(row[2], row[3], json.loads(row[4])["email"]) for row in quarantined(connection)]
    assert rows == [
        (11, "email: a NUL character, which PostgreSQL's text cannot hold", "nul \\x00"),
        (21, "email: not UTF-8, byte 0xff", "\\xff"),
        (31, "user_id: the key is empty", "x"),
        (41, 'birth_date: no ISO date: "soon"', "x"),
    ]


def test_a_known_row_is_checked_like_a_new_one(connection, tmp_path) -> None:
    """PostgreSQL would accept both values; the second even equals the stored one."""
    write(tmp_path, "users.csv", f"user_id,birth_date,created_at,email\n{GOOD}")
    one(tmp_path, connection)
    loose = GOOD.replace("\n7,2000-01-01,2024-01-01 00:00:00", "\n7,2000-01-01,yesterday")
    loose = loose.replace("\n8,2000-01-01,", "\n8,2000/01/01,")
    write(tmp_path, "users.csv", f"user_id,birth_date,created_at,email\n{loose}")
    assert one(tmp_path, connection) == {"read": 200, "unchanged": 198, "rejected": 2}
    assert [(row[2], row[3]) for row in quarantined(connection)] == [
        (9, 'created_at: no ISO date or time: "yesterday"'),
        (10, 'birth_date: no ISO date: "2000/01/01"'),
    ]


def test_rejects_do_not_pile_up(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", f"user_id,birth_date,created_at,email\n{GOOD}bad,soon,,\n")
    one(tmp_path, connection, loaded_at=THEN)
    query = "select rejected_id, rejected_at, last_seen_at, loaded_at from quarantine.rejected_rows"
    ((number, first, last, loaded),) = fetch(connection, query)
    assert (first, loaded) == (last, THEN)
    assert one(tmp_path, connection, loaded_at=LATER) == {
        "read": 201,
        "unchanged": 200,
        "rejected": 1,
    }
    ((again, first_again, last_again, loaded_again),) = fetch(connection, query)
    assert (again, first_again, loaded_again) == (number, first, LATER)
    assert last_again > last


def test_too_many_rejects_stop_the_file(connection, tmp_path) -> None:
    bad = "".join(f"b{n},soon,,\n" for n in range(30))
    write(tmp_path, "users.csv", f"user_id,birth_date,created_at,email\n{GOOD}{bad}")
    with pytest.raises(WarehouseError) as caught:
        one(tmp_path, connection)
    assert str(caught.value) == (
        "users.csv: 30 of 230 rows cannot be read, more than the 10 % allowed; nothing of users "
        'was loaded. The first, line 202: birth_date: no ISO date: "soon". All are in '
        "quarantine.rejected_rows; --max-rejected PERCENT allows more."
    )
    assert fetch(connection, "select count(*) from raw.users") == [(0,)]
    rows = fetch(connection, "select count(*), count(loaded_at) from quarantine.rejected_rows")
    assert rows == [(30, 0)]
    assert one(tmp_path, connection, max_rejected=20) == {"read": 230, "new": 200, "rejected": 30}


def test_the_last_row_of_a_key_wins(connection, tmp_path) -> None:
    write(
        tmp_path,
        "users.csv",
        "user_id,email,birth_date\n1,old,\n2,same,\n1,last,\n2,same,\n3,x,\n3,y,soon\n"
        + "".join(f"g{n},,\n" for n in range(20)),
    )
    expected = {"read": 26, "new": 23, "rejected": 1, "superseded": 1, "duplicates": 1}
    assert one(tmp_path, connection) == expected
    rows = fetch(
        connection, "select user_id, email from raw.users where email is not null order by 1"
    )
    assert rows == [("1", "last"), ("2", "same"), ("3", "x")]
    assert quarantined(connection) == [
        ("users", "users.csv", 2, "superseded in the same file", "1,old,"),
        ("users", "users.csv", 7, 'birth_date: no ISO date: "soon"', "3,y,soon"),
    ]
    assert one(tmp_path, connection)["unchanged"] == 23


def test_a_key_too_long_for_an_index_is_rejected(connection, tmp_path) -> None:
    keys = "".join(f"{n}\n" for n in range(20))
    write(tmp_path, "users.csv", f"user_id\n{keys}{'é' * 1001}\n")
    assert one(tmp_path, connection) == {"read": 21, "new": 20, "rejected": 1}
    assert quarantined(connection)[0][3] == "user_id: the key is longer than 2000 bytes"


# --- Files and names ----------------------------------------------------------------------------


def refused(folder: Path, connection: psycopg.Connection, said: str, **options) -> None:
    with pytest.raises(WarehouseError, match=said) as caught:
        load_folder(folder, connection=connection, **options)
    assert len(str(caught.value).splitlines()) == 1
    exists = fetch(connection, "select to_regclass('raw.users') is not null")[0][0]
    assert not exists or fetch(connection, "select count(*) from raw.users") == [(0,)]


def test_parts_in_a_folder(connection, tmp_path) -> None:
    write(tmp_path, "users/2024-01.csv", "user_id,email\n1,a\n2,b\n")
    write(tmp_path, "users/2024-02.csv.gz", "user_id,email\n2,c\n3,d\n")
    pq.write_table(pa.table({"user_id": ["4"], "email": ["e"]}), tmp_path / "users/2024-03.parquet")
    write(tmp_path, "users/2024-04.jsonl", '{"user_id": "5", "email": "f"}\n')
    write(tmp_path, "users/notes.txt", "x")
    report = Reporter()
    assert one(tmp_path, connection, report=report, complete=True) == {
        "read": 6,
        "new": 5,
        "superseded": 1,
    }
    rows = fetch(connection, "select user_id, email from raw.users order by 1")
    assert rows == [("1", "a"), ("2", "c"), ("3", "d"), ("4", "e"), ("5", "f")]
    assert quarantined(connection)[0][1:3] == ("users/2024-01.csv", 3)
    assert "Ignored users/notes.txt" in report.notes[0]


def test_parts_must_have_the_same_columns(connection, tmp_path) -> None:
    write(tmp_path, "users/1.csv", "user_id,email\n1,a\n")
    write(tmp_path, "users/2.csv", "user_id\n2\n")
    refused(tmp_path, connection, r"users/1\.csv and users/2\.csv have different columns \(email\)")


def test_other_files_are_ignored_with_a_note(connection, tmp_path) -> None:
    for name in ("README.md", "users.xlsx", ".hidden.csv", "old/users.csv"):
        write(tmp_path, name, "x")
    write(tmp_path, "users.csv", "user_id\n1\n")
    report = Reporter()
    one(tmp_path, connection, report=report)
    assert [note.split(":")[0] for note in report.notes] == [
        "Ignored README.md",
        "Ignored old/",
        "Ignored users.xlsx",
        "Ignored names that begin with _ or .",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "people.csv",
            "user_id\n1\n",
            "'people' is not a table of the contract; allowed: users, cat",
        ),
        ("users_2024.csv", "user_id\n1\n", "Put the parts of a table into a folder with its name"),
        (
            "users.parquet",
            "user_id\n1\n",
            "users.csv and users.parquet are both for the table users",
        ),
        ("users/1.csv", "user_id\n1\n", "users and users.csv are both for the table users"),
        ("orders.csv", "id,user_id\n1,1\n", "orders.csv has no column order_id.*has: id, user_id"),
        ("orders.csv", "order_id;user_id\n1;1\n", "Separate columns by commas"),
        ("orders.csv", "order_id,order_id\n1,1\n", "has the column order_id 2 times"),
        ("orders.csv", "order_id,user_id\r1,2\r", "cannot read the header: its lines end in carr"),
        ("orders.csv", '"order_id,user_id\n1,2\n', "cannot read the header: a quote is opened"),
        ("orders.csv", "order_id\n1\n".encode("utf-16"), "orders.csv is not UTF-8 text"),
        ("orders.parquet", "not parquet", "orders.parquet is not a readable Parquet file"),
        ("orders.jsonl", '{"id": 1}\n', "orders.jsonl has no column order_id"),
        ("orders.jsonl", "[]\n", "orders.jsonl has no column order_id"),
    ],
)
def test_a_wrong_file_stops_the_load_before_it_begins(
    connection, tmp_path, name: str, text: str | bytes, said: str
) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n")
    write(tmp_path, name, text)
    refused(tmp_path, connection, said)


def test_a_broken_archive_stops_the_load(connection, tmp_path) -> None:
    (tmp_path / "users.csv.gz").write_bytes(b"user_id\n1\n")
    refused(tmp_path, connection, r"users\.csv\.gz is a broken gzip archive")
    text = "user_id,email\n" + "".join(f"{n},{n * 7919 % 10007}\n" for n in range(100_000))
    data = gzip.compress(text.encode())
    (tmp_path / "users.csv.gz").write_bytes(data[:-5000])
    refused(tmp_path, connection, r"users\.csv\.gz is a broken gzip archive")
    (tmp_path / "users.csv.gz").unlink()
    lines = "".join(f'{{"user_id": "{n}"}}\n' for n in range(100_000))
    (tmp_path / "users.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-5000])
    refused(tmp_path, connection, r"users\.jsonl\.gz is a broken gzip archive")


def test_a_folder_must_hold_something(connection, tmp_path) -> None:
    refused(tmp_path, connection, "contains no data file: name them after the tables")
    refused(tmp_path / "none", connection, "does not exist")
    write(tmp_path, "users.csv", "user_id\n1\n")
    refused(tmp_path / "users.csv", connection, "is a file; pass the folder")


def test_tables_limits_the_load(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n")
    write(tmp_path, "orders.csv", "a broken header\n1\n")
    assert one(tmp_path, connection, tables=("users",)) == {"read": 1, "new": 1}
    connection.execute("truncate raw.users")
    refused(tmp_path, connection, "--tables: people is not a table", tables=("people",))
    refused(tmp_path, connection, "has no file for events", tables=("users", "events"))


def test_a_header_may_have_a_byte_order_mark_capitals_and_spaces(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", '\ufeff"USER_ID", Email\n1,a\n')
    assert one(tmp_path, connection) == {"read": 1, "new": 1}
    assert fetch(connection, "select user_id, email from raw.users") == [("1", "a")]


# --- Existing tables ----------------------------------------------------------------------------

USERS = """
    user_id {key}, email text, first_name text, last_name text, phone text, birth_date {birth},
    country text, subscription_tier text, created_at timestamptz, updated_at timestamptz,
    last_login_at timestamptz, _deleted_at timestamptz
"""


def make_users(connection, key="text primary key", birth="date", more="") -> None:
    connection.execute("create schema raw")
    columns = USERS.format(key=key, birth=birth)
    connection.execute(f"create table raw.users ({columns}{more})")


def test_columns_of_the_users_own_are_left_alone(connection, tmp_path) -> None:
    make_users(connection, more=", _loaded_at timestamptz not null, note text default 'mine'")
    write(tmp_path, "users.csv", "user_id,email\n1,a\n")
    one(tmp_path, connection)
    connection.execute("update raw.users set note = 'kept'")
    write(tmp_path, "users.csv", "user_id,email\n1,b\n2,c\n")
    assert one(tmp_path, connection) == {"read": 2, "new": 1, "changed": 1}
    rows = fetch(connection, "select user_id, email, note from raw.users order by 1")
    assert rows == [("1", "b", "kept"), ("2", "c", "mine")]


def test_keys_of_another_type_are_kept(connection, tmp_path) -> None:
    make_users(connection, key="bigint primary key", more=", _loaded_at timestamptz not null")
    rows = "".join(f"{n},\n" for n in range(20))
    write(tmp_path, "users.csv", f"user_id,email\n007,a\n7,b\n{rows}x,c\n")
    expected = {"read": 23, "new": 20, "rejected": 1, "superseded": 2}
    assert one(tmp_path, connection) == expected
    assert one(tmp_path, connection, complete=True)["unchanged"] == 20
    assert 'user_id: no whole number: "x"' in quarantined(connection)[-1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "raw.users has no column _loaded_at.*alter table raw.users add column _loaded_at"),
        ({"birth": "timestamp"}, "raw.users.birth_date has the type timestamp without time zone"),
        ({"key": "text", "more": ", _loaded_at timestamptz"}, "has no primary key on user_id"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(connection, tmp_path, table, said) -> None:
    make_users(connection, **table)
    write(tmp_path, "users.csv", "user_id,email\n1,a\n")
    refused(tmp_path, connection, said)


# --- Atomicity and concurrency ------------------------------------------------------------------


def test_a_failure_in_the_middle_leaves_nothing(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email\n" + "".join(f"{n},a\n" for n in range(1_000)))
    one(tmp_path, connection)
    connection.execute("alter table raw.users add constraint short check (length(email) < 3)")
    write(
        tmp_path,
        "users.csv",
        "user_id,email\n" + "".join(f"{n},b\n" for n in range(999)) + "new,b\nlong,bbb\n",
    )
    with pytest.raises(WarehouseError, match=r'PostgreSQL refused the load: .*"short"'):
        one(tmp_path, connection)
    assert fetch(connection, "select email, count(*) from raw.users group by 1") == [("a", 1_000)]


def test_a_killed_load_leaves_the_table_as_before(database, connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email\n1,a\n")
    one(tmp_path, connection)
    write(tmp_path, "users.csv", "user_id,email\n1,b\n2,b\n")
    # Blocks the load in the middle of its writing transaction.
    connection.execute(
        """
        create function raw.wait() returns trigger language plpgsql as
        'begin perform pg_sleep(60); return new; end';
        create trigger wait before insert on raw.users for each row execute function raw.wait()
        """
    )
    program = (
        "import psycopg, sys\n"
        "from warehouse.load import load_folder\n"
        "load_folder(sys.argv[1], connection=psycopg.connect())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, **database.environment},
        cwd=root(),
    )
    sleeping = "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = %s"
    deadline = time.monotonic() + 30
    pid = None
    while pid is None and time.monotonic() < deadline:
        pid = connection.execute(sleeping, (database.name,)).fetchone()
        time.sleep(0.05)
    assert pid, "the load reached its writing transaction"
    process.send_signal(signal.SIGKILL)
    process.wait()
    connection.execute("select pg_terminate_backend(%s, 10000)", pid)
    assert fetch(connection, "select user_id, email from raw.users") == [("1", "a")]
    leftovers = fetch(
        connection,
        "select nspname, relname from pg_class join pg_namespace n on n.oid = relnamespace "
        "where relname in ('incoming', 'rejects', 'touched')",
    )
    assert leftovers == []
    connection.execute("drop trigger wait on raw.users")
    assert one(tmp_path, connection) == {"read": 2, "new": 1, "changed": 1}


def test_loads_of_a_table_wait_for_each_other(database, connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,email\n1,a\n")
    one(tmp_path, connection)
    write(tmp_path, "users.csv", "user_id,email\n1,b\n")
    steps: list[str] = []
    results: list[dict] = []

    class Steps(Reporter):
        def step(self, what: str) -> None:
            steps.append(what)

    def second() -> None:
        with database.connect() as other:
            results.append(one(tmp_path, other, report=Steps()))

    with database.connect() as first:
        first.execute(
            "select pg_advisory_xact_lock(hashtextextended('warehouse load: raw.users', 0))"
        )
        first.execute("set lock_timeout = '1s'")
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 30
        while not steps and time.monotonic() < deadline:
            time.sleep(0.02)
        assert steps == ["waiting for another load of this table"]
        held_until = first.execute("select clock_timestamp()").fetchone()[0]
        first.rollback()
    thread.join(30)
    assert results == [{"read": 1, "changed": 1}]
    ((stamp,),) = fetch(connection, "select _loaded_at from raw.users")
    assert stamp > held_until, "the stamp is taken after the lock"


def test_many_rows_in_little_memory(database, connection, tmp_path) -> None:
    """Load a file of 290 MB in a process whose memory may grow by less."""
    with gzip.open(tmp_path / "events.csv.gz", "wt", compresslevel=1) as file:
        file.write("event_id,page_url\n")
        for n in range(600_000):
            file.write(f"{n},{'x' * 480}\n")
    program = (
        "import psycopg, resource, sys\n"
        "from warehouse.load import load_folder\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        "(summary,) = load_folder(sys.argv[1], connection=psycopg.connect())\n"
        "print(summary.new, peak() - before)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, **database.environment},
        cwd=root(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows, megabytes = map(int, output.split())
    assert rows == 600_000
    assert megabytes < 200


# --- The command --------------------------------------------------------------------------------


def command(database, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return warehouse(database, "load", *arguments, **variables)


def test_the_command_prints_the_counts(database, connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id,shoe_size\n1,44\n2,45\n")
    done = command(database, str(tmp_path), "--loaded-at", "2024-01-01")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "users" in line)
    assert re.findall(r"[\w.]+", row)[:6] == ["users", "2", "2", "0", "0", "0"]
    assert "Warning: users: ignored columns that are not in the contract: shoe_size." in (
        " ".join(done.stderr.split())
    )
    assert fetch(connection, "select distinct _loaded_at from raw.users") == [(THEN,)]
    done = command(database, str(tmp_path), "--quiet")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "shoe_size" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--loaded-at", "soon"],
            "--loaded-at must be an ISO timestamp such as 2024-01-31T06:00:00Z, got 'soon'",
        ),
        (
            ["--complete", "--max-deletes", "101"],
            "--max-deletes must be a percentage from 0 to 100, got 101",
        ),
        (["--tables", "people"], "--tables: people is not a table of the contract"),
    ],
)
def test_the_command_fails_in_a_sentence(database, tmp_path, arguments, said) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n")
    done = command(database, str(tmp_path), *arguments)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


# --- Real data ----------------------------------------------------------------------------------

REAL = {
    "online_retail": {"users": 4372, "orders": 25900, "order_items": 541909, "products": 4070},
    "cdnow": {"users": 23570, "orders": 69659, "order_items": 69659, "products": 1},
    "cdnow_sample": {"users": 2357, "orders": 6919, "order_items": 6919, "products": 1},
    "greenery": {"users": 130, "orders": 361, "events": 3553},
}


@needs_real_data
@pytest.mark.parametrize(
    "name",
    [pytest.param("online_retail", marks=pytest.mark.long), "cdnow", "cdnow_sample", "greenery"],
)
def test_real_data_loads_whole(connection, name: str) -> None:
    summaries = load_folder(SHARED / name, connection=connection)
    found = {summary.table: counts(summary) for summary in summaries}
    for table, rows in REAL[name].items():
        assert found[table] == {"read": rows, "new": rows}
    assert all(summary.read == summary.new for summary in summaries)
    for summary in load_folder(SHARED / name, connection=connection):
        assert summary.unchanged == summary.read
    assert fetch(connection, "select count(*) from quarantine.rejected_rows") == [(0,)]


def test_another_kind_of_database_is_refused(database) -> None:
    with (
        database.connect() as connection,
        pytest.raises(WarehouseError, match="a source database must be PostgreSQL"),
    ):
        load_folder(Path("mysql://host/shop"), connection=connection)


def test_the_truth_of_a_sample_goes_without_saying(database, sample_folder: Path) -> None:
    assert (sample_folder / "truth.json").is_file()
    report = Reporter()
    with database.connect() as connection:
        load_folder(sample_folder, connection=connection, report=report)

    assert report.notes == []
