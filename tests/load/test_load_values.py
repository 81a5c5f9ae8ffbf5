"""Which texts a load takes as values, and what it shows of those that it rejects."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.load.test_load_files import fetch, one, quarantined
from tests.support.documents import blocks
from tests.support.files import write
from warehouse import project
from warehouse.load import load_folder
from warehouse.load.checks import form_of
from warehouse.load.report import Reporter
from warehouse.load.stage import all_have
from warehouse.printable import printable

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "adapting.md"

TIMES = {
    "2024-01-01": "2024-01-01 00:00:00",
    "2024-01-01 06:00": "2024-01-01 06:00:00",
    "2024-01-01T06:00Z": "2024-01-01 06:00:00",
    "2024-01-01t06:00:00z": "2024-01-01 06:00:00",
    "2024-01-01 06:00:00 UTC": "2024-01-01 06:00:00",
    "2024-01-01 06:00:00 GMT": "2024-01-01 06:00:00",
    "2024-01-01 06:00:00 +0300": "2024-01-01 03:00:00",
    "2024-01-01 06:00:00-03": "2024-01-01 09:00:00",
    "2024-01-01T06:00:00.1234567+05:30": "2024-01-01 00:30:00.123457",
    "2024-01-01 24:00:00": "2024-01-02 00:00:00",
    "12000-01-01 00:00:00": "12000-01-01 00:00:00",
    "0044-03-15 00:00:00+00 BC": "0044-03-15 00:00:00 BC",
    "infinity": "infinity",
}
NO_TIMES = [
    "2024-01-01 06:00:00 UTC+3", "2024-01-01 06:00:00 GMT-3", "2024-01-01 06:00 IST",
    "2024-01-01 06:00:00 Europe/Berlin", "2024-01-01 06:00:00+3", "2024-01-01 07:00:e3",
    "2024-01-01 07:00:0A5", "2024-01-01 07:00:0Z", "2024-01-01 07:00:1-03", "2024-01-01 07:00:000",
    "2024-01-01  7:00:00", "2024-01-01 07:00:00 PM", "2024-01-01 -2:00:09", "2:24-01-01 07:00:00",
    "2024-01-01 06", "2024-1-1", "20240101", "2024-W01-1", "J2451187", "epoch", "today", "now",
    "2024-01-01 06:00:00,5", " 2024-01-01",
]  # fmt: skip
NUMBERS = {
    "1": "1", "-1.50": "-1.50", "+.5": "0.5", "1.": "1", "1e3": "1000", "1.5E-2": "0.015",
    "NaN": "NaN", "Infinity": "Infinity", "-inf": "-Infinity",
}  # fmt: skip
NO_NUMBERS = ["0x1F", "0o17", "0b1", "1_000", " 1 ", "1,5", "1 000", "$1", "٣", "1e", "--1"]
TRUTHS = {
    "true": True, "T": True, "1": True, "Yes": True, "false": False, "f": False, "0": False,
    "NO": False,
}  # fmt: skip
NO_TRUTHS = ["tr", "on", "off", "y", "n", " true ", "2", "wahr"]


@pytest.mark.parametrize("is_new", [True, False])
def test_only_documented_values_are_taken(connection, tmp_path, is_new: bool) -> None:
    """Known rows are compared with the table, new ones are not: both are checked."""
    good = {"users": TIMES, "products": NUMBERS, "consents": TRUTHS}
    bad = {"users": NO_TIMES, "products": NO_NUMBERS, "consents": NO_TRUTHS}
    names = {
        "users": ("user_id", "created_at"),
        "products": ("product_id", "unit_price"),
        "consents": ("consent_id", "is_granted"),
    }
    for table, values in good.items():
        rows = "".join(f'{n},"{value}"\n' for n, value in enumerate([*values, *bad[table]]))
        if not is_new:
            empty = "".join(f"{n},\n" for n in range(len(values) + len(bad[table])))
            write(tmp_path, f"{table}.csv", ",".join(names[table]) + "\n" + empty)
            one(tmp_path, connection)
        write(tmp_path, f"{table}.csv", ",".join(names[table]) + "\n" + rows)
        assert one(tmp_path, connection, max_rejected=100)["rejected"] == len(bad[table])
        key, column = names[table]
        shown = column if table == "consents" else f"{column}::text"
        if table == "users":
            shown = f"({column} at time zone 'UTC')::text"
        found = fetch(
            connection,
            f"select {shown} from raw.{table} where {column} is not null order by {key}::int",
        )
        assert [value for (value,) in found] == [*values.values()]
        reasons = [row[3] for row in quarantined(connection) if row[0] == table]
        for value, reason in zip(bad[table], reasons, strict=True):
            assert f'"{value}"' in reason
        (tmp_path / f"{table}.csv").unlink()


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        ("timestamp with time zone", TIMES, NO_TIMES),
        ("numeric", NUMBERS, NO_NUMBERS),
        ("boolean", TRUTHS, NO_TRUTHS),
        ("date", ["2024-01-31", "2024-01-31T00:00:00.000Z"], ["2024-01-31 06:00:00", "31.01.2024"]),
        ("bigint", ["1", "-20", "+3"], ["1.0", "1e3", "0x1F", "٣", " 1"]),
    ],
)
def test_arrow_finds_what_postgresql_finds(data_type: str, good, bad) -> None:
    """Values that match while they are read are not checked again before they are cast."""
    form = form_of(data_type)
    assert form
    for value in good:
        assert all_have(pa.array([value, None]), form), value
    more = [f"{value}{end}" for value in good for end in ("\n", " ", "\n2024-01-01")]
    for value in [*bad, *more, ""]:
        assert not all_have(pa.array([*good, value]), form), value


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("kind", ["csv", "parts", "jsonl", "parquet"])
def test_one_lenient_value_is_rejected(connection, tmp_path, kind: str, is_new: bool) -> None:
    """PostgreSQL takes it, so that no error of the write leads to the checks."""
    good = "user_id,created_at\n1,2024-01-01 06:00:00\n"
    if not is_new:
        write(tmp_path, "users.csv", good)
        one(tmp_path, connection)
        (tmp_path / "users.csv").unlink()
    wrong = "2024-01-01 06:00:00 UTC+3"
    if kind == "csv":
        write(tmp_path, "users.csv", f"{good}2,{wrong}\n")
    elif kind == "parts":
        write(tmp_path, "users/1.csv", good)
        write(tmp_path, "users/2.csv", f"user_id,created_at\n2,{wrong}\n")
    elif kind == "jsonl":
        lines = ("1", "2024-01-01 06:00:00"), ("2", wrong)
        write(
            tmp_path,
            "users.jsonl",
            "".join(f'{{"user_id": "{key}", "created_at": "{value}"}}\n' for key, value in lines),
        )
    else:
        columns = {"user_id": ["1", "2"], "created_at": ["2024-01-01 06:00:00", wrong]}
        pq.write_table(pa.table(columns), tmp_path / "users.parquet")
    assert one(tmp_path, connection, max_rejected=100)["rejected"] == 1
    assert fetch(connection, "select user_id from raw.users") == [("1",)]


def test_dates_are_iso_and_have_no_time_but_midnight(connection, tmp_path) -> None:
    good = ["2024-01-31", "2024-01-31 00:00:00", "2024-01-31T00:00:00.000Z"]
    bad = ["2024-01-31 06:00:00", "2024-01-31 00:00:00+02", "31.01.2024", "2024-031"]
    rows = "".join(f"{n},{value}\n" for n, value in enumerate([*good, *bad]))
    write(tmp_path, "users.csv", f"user_id,birth_date\n{rows}")
    assert one(tmp_path, connection, max_rejected=100) == {"read": 7, "new": 3, "rejected": 4}
    assert fetch(connection, "select distinct birth_date::text from raw.users") == [(good[0],)]


def test_a_narrower_column_does_not_round(connection, tmp_path) -> None:
    write(tmp_path, "products.csv", "product_id\na\n")
    one(tmp_path, connection)
    connection.execute("alter table raw.products alter unit_price type numeric(10, 2)")
    write(tmp_path, "products.csv", "product_id,unit_price\na,1.250\nb,1.256\n")
    assert one(tmp_path, connection, max_rejected=50) == {"read": 2, "changed": 1, "rejected": 1}
    assert quarantined(connection)[0][3] == 'unit_price: numeric(10,2) would round: "1.256"'


def test_text_that_marts_index_is_limited(connection, tmp_path) -> None:
    random = os.urandom(1_750).hex()
    good = "".join(f"{n},x,x\n" for n in range(20))
    write(tmp_path, "users.csv", f"user_id,email,country\n{good}u,{random},x\nv,x,{random}\n")
    write(tmp_path, "orders.csv", f"order_id,user_id,currency\n{good}o,{random},x\n")
    load_folder(tmp_path, connection=connection)
    assert [row[2:4] for row in quarantined(connection)] == [
        (22, "user_id: longer than 2000 bytes, the limit of an index"),
        (22, "email: longer than 2000 bytes, the limit of an index"),
    ]
    assert fetch(connection, "select length(country) from raw.users where user_id = 'v'") == [
        (3500,)
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("a\rb\r\nc\td", "a\\x0db\r\nc\td"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("é🎉", "é🎉"),
        (b"a\xff\0", "a\\xff\\x00"),
    ],
)
def test_what_is_shown_has_no_escapes(value: str | bytes, shown: str) -> None:
    assert printable(value) == shown


def test_quarantine_has_no_escapes(connection, tmp_path) -> None:
    good = "".join(f"{n},2024-01-01\n" for n in range(30))
    write(
        tmp_path, "users/a\x1b[31m.csv", f"user_id,birth_date\n{good}x,\x1b]0;t\x07\n\u202ey,soon\n"
    )
    write(tmp_path, "users/b.jsonl", '{"user_id": "z", "birth_date": "\x9b"}\n')
    one(tmp_path, connection, max_rejected=100)
    text = "".join(f"{row[1]}{row[3]}{row[4]}" for row in quarantined(connection))
    assert text.isprintable()
    assert "users/a\\x1b[31m.csv" in text
    assert "\\x1b]0;t\\x07" in text
    assert "\\u202ey" in text
    assert "\\x9b" in text


def test_times_that_may_be_local_are_counted(connection, tmp_path, monkeypatch) -> None:
    write(
        tmp_path,
        "users.csv",
        "user_id,created_at,last_login_at\n1,2026-01-31 23:30:00,\n2,2026-01-31,\n"
        "3,2026-01-31T23:30:00.5,2026-01-31T23:30Z\n4,2026-01-31 23:30:00+01,2026-01-31 23:30-03\n",
    )
    write(tmp_path, "orders.jsonl", '{"order_id": "1", "order_date": "2026-01-31T10:00:00"}\n')
    quiet, told = Reporter(), Reporter()
    load_folder(tmp_path, connection=connection, report=quiet)
    assert not [note for note in quiet.notes if "offset" in note]
    monkeypatch.setattr(project, "variable", lambda name, default: "Europe/Berlin")
    load_folder(tmp_path, connection=connection, report=told)
    noted = sorted(note for note in told.notes if "offset" in note)
    assert [note.split(";")[0] for note in noted] == [
        "orders.order_date: 1 times have no offset, such as 2026-01-31T10:00:00",
        "users.created_at: 3 times have no offset, such as 2026-01-31",
    ]
    assert "local times of Europe/Berlin (variable time_zone)" in noted[0]


def test_the_guide_counts_rejected_rows_by_error(connection, tmp_path) -> None:
    """However many values are wrong, an error is one row of the result."""
    write(
        tmp_path,
        "order_items.csv",
        "order_item_id,order_id,quantity,price_at_purchase\n"
        + "".join(f'{n},1,1,"{n},{n % 100:02d} ""EUR"""\n' for n in range(1, 31))
        + "".join(f"{n},1,1,1e{n + 200000}\n" for n in range(31, 61))
        + "".join(f"{n},1,{n}{' a description' * 30},1\n" for n in range(61, 91)),
    )
    write(
        tmp_path,
        "events.csv",
        "event_id,event_timestamp,properties\n"
        + "".join(f"{n},2026-01-01,x{n}{'description' * 40}\n" for n in range(30)),
    )
    write(
        tmp_path,
        "users.csv",
        "user_id,created_at\n"
        + "".join(f"{n},{n % 28 + 1}.01.2026\n" for n in range(1, 31))
        + "".join(f"{n},2026-01-01 {n}:00:00\n" for n in range(31, 61)),
    )
    load_folder(tmp_path, connection=connection, max_rejected=100)
    (question,) = [block for block in blocks(GUIDE) if "quarantine.rejected_rows" in block]
    found = fetch(connection, question)
    assert [row[2] for row in found] == [30] * len(found)
    assert len(found) == 6
