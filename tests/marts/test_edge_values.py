"""Edge values pass every load and build unchanged, or are reported as rejected.

The same rows are loaded as CSV, JSONL and Parquet into one warehouse. The first build is a full
one, the others are incremental.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.relations import contents
from warehouse.load import load_folder

NO_TESTS = dbt_project.NO_TESTS
WITH_TESTS = dbt_project.NO_UNIT_TESTS
AS_OF = "2024-02-29"
FORMATS = ["csv", "jsonl", "parquet"]

# No text begins or ends with white space, which staging trims.
TEXTS = [
    "naïve Ærø ß İı ﬁ",
    "e\u0301 and \u00e9",  # the same letter, decomposed and composed
    "日本語 한국어 ไทย",
    "עברית \u202ereversed\u202c العربية",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 \U0010ffff",
    "\u200bzero width\u200b",
    "it's \"quoted\" ''twice''",
    "back\\slash \\n \\0 \\N \\x41 \\u0041 E'\\''",
    "\\N",
    "\\0",
    "\\.",
    "$$ $tag$ dollar $1 ${x}",
    "{{ as_of() }} {% raw %} {# note #} }}",
    "100 % %s %(name)s %%",
    "'; drop table raw.users; --",
    "/* a comment */ -- another",
    "null",
    "NULL",
    "unknown",
    "comma, semicolon; tab\tin\rthe middle\nof lines",
    "\x01\x1f\x7f controls",
    "0",
    "1e400",
    "x" * 1000,
]
BLANKS = ["", " ", "\t\n"]

NUMBERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]

DEPTH = 900
JSONS = [
    json.dumps({"text": TEXTS, "key of 'quotes' \" \\ {{ }} %s 😀": None}),
    json.dumps({"large": "ü" * 1_000_000}),
    json.dumps([{"n": n} for n in range(50_000)]),
    '{"a":' * DEPTH + "1" + "}" * DEPTH,
    "[" * DEPTH + "]" * DEPTH,
    '{"n": 12345678901234567890.12345678901234567890, "e": 1e300, "z": -0.0}',
    '"only a text"',
    "{}",
    "[]",
    "0",
    "false",
]

# Timestamps outside the calendar, and a missing one.
OUTSIDE = ["infinity", "-infinity", "9999-12-31 23:59:59", "0001-01-01 00:00:00", None]


def rows_of(kind: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows for one format, with its name in all text keys and its digit in numbers."""
    digit = FORMATS.index(kind)
    moment = "2024-02-29 12:00:00+00"
    names = [*TEXTS, *BLANKS]
    return {
        "users": [
            {
                "user_id": f"{kind} {number} {text}" if text.strip() else f"{kind} {number}",
                "first_name": text,
                "email": f"{text}@example.org",
                "country": None if text.strip() else text,
                "created_at": moment,
                "updated_at": moment,
            }
            for number, text in enumerate(names)
        ],
        "categories": [
            {"category_id": f"{kind} {text}", "parent_id": None, "category_name": text}
            for text in TEXTS
        ],
        "products": [
            {"product_id": f"{kind} {text}", "category_id": f"{kind} {text}", "product_name": text}
            for text in TEXTS
        ],
        "orders": [
            {
                "order_id": number - digit if number > 0 else number + digit,
                "user_id": f"{kind} 0 {TEXTS[0]}",
                "order_status": "paid",
                "order_date": moment,
            }
            for number in (10 * n for n in (1, -1))
        ]
        + [
            {
                "order_id": number,
                "user_id": f"{kind} {at} {TEXTS[at]}",
                "order_status": TEXTS[at],
                "order_date": moment,
            }
            for at, number in enumerate(NUMBERS)
            if at % len(FORMATS) == digit
        ],
        "events": [
            {
                "event_id": f"{kind} {number}",
                "user_id": f"{kind} {number} {text}",
                "session_id": text,
                "event_type": text,
                "event_timestamp": moment,
                "page_url": text,
                "properties": JSONS[number] if number < len(JSONS) else None,
            }
            for number, text in enumerate(TEXTS)
        ]
        + [
            {
                "event_id": f"{kind} outside {number}",
                "user_id": None,
                "session_id": None,
                "event_type": None,
                "event_timestamp": outside,
                "page_url": None,
                "properties": None,
            }
            for number, outside in enumerate(OUTSIDE)
        ],
    }


def write(folder: Path, kind: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write the tables in one of the formats."""
    folder.mkdir()
    for name, rows in tables.items():
        path = folder / f"{name}.{kind}"
        if kind == "csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
                writer.writeheader()
                writer.writerows(rows)
        elif kind == "jsonl":
            path.write_text("".join(json_line(row) + "\n" for row in rows), encoding="utf-8")
        else:
            pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)


def json_line(row: dict[str, Any]) -> str:
    """Return a row as JSON; its properties already are JSON."""
    cells = [
        f"{json.dumps(name)}: "
        + (cell if name == "properties" and cell is not None else json.dumps(cell))
        for name, cell in row.items()
    ]
    return "{" + ", ".join(cells) + "}"


def check(database: Any, kind: str) -> None:
    """Check that the rows of one format are in the marts, with every value as written."""
    tables = rows_of(kind)
    named = dict(
        fetch(
            database,
            "select user_id, first_name from marts.dim_users where starts_with(user_id, %s)",
            f"{kind} ",
        )
    )
    assert named == {
        row["user_id"]: row["first_name"] if row["first_name"].strip() else None
        for row in tables["users"]
    }
    products = fetch(
        database,
        """
        select products.product_id, products.product_name, categories.category_name, category_path
        from marts.dim_products as products
        inner join marts.dim_categories as categories using (category_key)
        where starts_with(products.product_id, %s)
        """,
        f"{kind} ",
    )
    assert sorted(products) == sorted((f"{kind} {text}", text, text, text) for text in TEXTS)

    events = fetch(
        database,
        """
        select
            event_id, events.user_id, events.user_key = users.user_key, page_url, session_id,
            properties::text
        from marts.fct_user_events as events
        left join marts.dim_users as users
            on events.user_id = users.user_id and users.is_current
        where starts_with(event_id, %s)
        """,
        f"{kind} ",
    )
    written = {row["event_id"]: row for row in tables["events"] if "outside" not in row["event_id"]}
    assert sorted(event[0] for event in events) == sorted(written)
    for event_id, user_id, is_the_user, page_url, session_id, properties in events:
        row = written[event_id]
        assert (user_id, page_url, session_id) == (row["user_id"], row["page_url"], row["page_url"])
        assert is_the_user, event_id
        assert same_json(properties, row["properties"]), f"{event_id}: {properties[:200]}"

    outside = fetch(
        database,
        "select row_key, exclusion_reason from quarantine.excluded_rows"
        " where table_name = 'events' and starts_with(row_key, %s)",
        f"{kind} ",
    )
    reason = "event_timestamp is missing or outside the calendar"
    assert sorted(outside) == [(f"{kind} outside {n}", reason) for n in range(len(OUTSIDE))]

    orders = dict(
        fetch(
            database,
            "select order_id, user_id from marts.fct_orders where starts_with(user_id, %s)",
            f"{kind} ",
        )
    )
    assert orders == {str(row["order_id"]): row["user_id"] for row in tables["orders"]}


def same_json(found: str | None, written: str | None) -> bool:
    """Whether two texts are the same JSON, with numbers equal to the last digit."""
    if found is None or written is None:
        return found is written
    if written.startswith(('{"a":' * 9, "[" * 9)):  # too deep for Python to read
        return found.replace(" ", "") == written
    return exact(found) == exact(written)


def exact(text: str) -> Any:
    from decimal import Decimal

    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.long
def test_values_come_through_every_format_and_every_build(database: Any, tmp_path: Path) -> None:
    """Order ids are bigint, as in an application; all other keys are text."""
    with database.connect() as session:
        session.execute("create schema raw")
        session.execute(
            "create table raw.orders (order_id bigint primary key, user_id text,"
            " order_status text, currency text, order_date timestamptz, updated_at timestamptz,"
            " _loaded_at timestamptz not null, _deleted_at timestamptz)"
        )
    for number, kind in enumerate(FORMATS):
        folder = tmp_path / kind
        write(folder, kind, rows_of(kind))
        with database.connect() as connection:
            for summary in load_folder(
                folder,
                connection=connection,
                loaded_at=dt.datetime(2024, 3, 1 + number, tzinfo=dt.UTC),
            ):
                assert (summary.rejected, summary.superseded) == (0, 0), f"{kind}: {summary}"
        dbt_project.build(database, as_of=AS_OF, options=NO_TESTS)
        for done in FORMATS[: number + 1]:
            check(database, done)

    assert fetch(database, "select count(*) from marts.fct_orders where order_id like '%9223372%'")
    before = contents(database)
    dbt_project.build(database, as_of=AS_OF, options=NO_TESTS, full_refresh=True)
    assert contents(database) == before
    dbt_project.run(database, "test", as_of=AS_OF, options=WITH_TESTS)


# --- Values that PostgreSQL cannot store ------------------------------------------------------

REJECTED = {
    "a NUL in JSON": ('{"a": "\\u0000"}', "\\u0000 cannot be converted to text"),
    "half a character in JSON": ('{"a": "\\ud83d"}', "surrogate"),
    "JSON that ends too soon": ('{"a": [1, 2}', "invalid input syntax for type json"),
    "a number that is none": ('{"a": NaN}', "invalid input syntax for type json"),
    "JSON without an end": ("[" * 200_000, "nested too deeply"),
    "JSON without a visible end": ('{"a":' * 99_999 + "1" + "}" * 99_999, "nested too deeply"),
}


def good_and_bad(bad: str, kind: str, folder: Path, copies: int = 19) -> None:
    """Write a table of events; the last event has bad properties."""
    rows: Sequence[dict[str, Any]] = [
        {"event_id": f"{number}", "event_timestamp": "2024-02-29", "properties": "{}"}
        for number in range(copies)
    ]
    write(folder, kind, {"events": [*rows, {**rows[0], "event_id": "bad", "properties": bad}]})


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("what", REJECTED)
def test_json_that_cannot_be_stored_is_quarantined(
    database: Any, tmp_path: Path, what: str, kind: str
) -> None:
    bad, reason = REJECTED[what]
    good_and_bad(bad, kind, tmp_path / "files")
    with database.connect() as connection:
        (summary,) = load_folder(tmp_path / "files", connection=connection)
    assert (summary.new, summary.rejected) == (19, 1)
    ((found, text),) = fetch(database, "select reason, row_text from quarantine.rejected_rows")
    assert reason in found
    assert "bad" in text


def test_a_number_beyond_bigint_is_quarantined(database: Any, tmp_path: Path) -> None:
    with database.connect() as session:
        session.execute("create schema raw")
        session.execute(
            "create table raw.users (user_id bigint primary key, email text, first_name text,"
            " last_name text, phone text, birth_date date, country text, subscription_tier text,"
            " created_at timestamptz, updated_at timestamptz, last_login_at timestamptz,"
            " _loaded_at timestamptz not null, _deleted_at timestamptz)"
        )
    ids = [*(str(2**63 - 1 - n) for n in range(15)), str(2**63)]
    (tmp_path / "users.csv").write_text("\n".join(["user_id", *ids]) + "\n")
    with database.connect() as connection:
        (summary,) = load_folder(tmp_path, connection=connection)
    assert (summary.new, summary.rejected) == (15, 1)
    ((reason,),) = fetch(database, "select reason from quarantine.rejected_rows")
    assert f'value "{2**63}" is out of range for type bigint' in reason
