"""Days are those of the variable time_zone, whatever the zone and formats of the server."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import dbt_project, oracle
from tests.support.database import Database, new_database
from tests.support.marts import check_history, check_marts
from tests.support.relations import DATED_BY_THE_BUILD
from warehouse.load import load_folder
from warehouse.server import Server

NO_TESTS = dbt_project.NO_TESTS
# The tests of macros define their own rows, some with local times, and do not check a build.
WITH_TESTS = (*dbt_project.NO_UNIT_TESTS, "--exclude", "path:tests/macros")

# The server settings for each build: the zone changes between builds, and is never UTC.
SETTINGS = [
    {"timezone": "Pacific/Kiritimati", "datestyle": "German", "intervalstyle": "sql_standard"},
    {
        "timezone": "America/New_York",
        "datestyle": "SQL, MDY",
        "intervalstyle": "postgres_verbose",
        "standard_conforming_strings": "off",
    },
    {"timezone": "Asia/Kathmandu", "datestyle": "Postgres, DMY", "intervalstyle": "iso_8601"},
    {"timezone": "Pacific/Pago_Pago", "datestyle": "ISO, YMD", "extra_float_digits": "-4"},
]
# One load and one build each: the leap day, and days that are longer or shorter in some zone.
DAYS = [dt.date(2024, 2, 29), dt.date(2024, 3, 10), dt.date(2024, 11, 3), dt.date(2025, 3, 1)]

# Midnights and clock changes of these zones, the instants before and after, and the leap day.
MOMENTS = [
    "2024-02-28 23:59:59.999999+00",
    "2024-02-29 00:00:00+00",
    "2024-02-29 09:59:59+00",
    "2024-02-29 10:00:00+00",
    "2024-02-29 23:59:59.999999+00",
    "2024-03-01 00:00:00+00",
    "2024-03-10 01:59:59-05",
    "2024-03-10 03:00:00-04",
    "2024-03-10 05:00:00+00",
    "2024-03-31 00:59:59+00",
    "2024-03-31 01:00:00+00",
    "2024-03-31 18:15:00+00",
    "2024-11-03 01:30:00-04",
    "2024-11-03 01:30:00-05",
    "2024-11-03 11:00:00+00",
    "2024-12-31 23:59:59.999999+00",
    "2025-01-01 00:00:00+14",
    "2025-02-28 23:59:59.999999-11",
    "2025-03-01 00:00:00+05:45",
    "1900-01-01 00:00:00+00",
    "2100-12-31 23:59:59.999999+00",
    "1899-12-31 23:59:59.999999+00",
    "2101-01-01 00:00:00+00",
    "infinity",
    "-infinity",
]

# Clock changes in zones on both sides of UTC, with the instants around them and around midnight:
# half an hour in Lord Howe; at midnight in Sao Paulo, which leaves out 00:00 or repeats 23:00;
# Apia left out 2011-12-30; in Newfoundland clocks went back one minute after midnight.
LOCAL_MOMENTS = [
    *("2024-03-10 04:30:00+00", "2024-03-10 04:59:59.999999+00", "2024-03-10 05:00:00+00"),
    *("2024-03-11 03:59:59.999999+00", "2024-03-11 04:00:00+00"),
    *("2024-11-03 04:00:00+00", "2024-11-04 04:59:59.999999+00", "2024-11-04 05:00:00+00"),
    *("2024-03-31 18:29:59.999999+00", "2024-03-31 18:30:00+00"),
    *("2024-12-31 09:59:59.999999+00", "2024-12-31 10:00:00+00", "2025-01-01 00:30:00+00"),
    *("2024-04-06 12:59:59.999999+00", "2024-04-06 13:00:00+00", "2024-04-06 15:00:00+00"),
    *("2024-04-07 13:29:59.999999+00", "2024-10-05 15:30:00+00", "2024-10-06 13:00:00+00"),
    *("2018-02-18 01:30:00+00", "2018-02-18 02:59:59.999999+00", "2018-02-18 03:00:00+00"),
    *("2018-11-04 02:59:59.999999+00", "2018-11-04 03:00:00+00", "2018-11-05 01:59:59+00"),
    *("2011-12-30 09:59:59.999999+00", "2011-12-30 10:00:00+00", "2011-12-31 10:00:00+00"),
    *("2010-11-07 02:30:30+00", "2010-11-07 02:31:00+00", "2010-11-07 03:30:00+00"),
    *("2022-11-06 03:59:59.999999+00", "2022-11-06 04:00:00+00", "2022-11-06 05:00:00+00"),
    *("1900-01-01 00:00:00+00", "1900-01-01 12:00:00+00", "2100-12-31 23:59:59.999999+00"),
]
ZONES = (
    *("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Apia"),
    *("Australia/Lord_Howe", "America/Sao_Paulo", "America/St_Johns", "America/Havana"),
)


def write_load(folder: Path, number: int, day: dt.date, moments: Sequence[str] = MOMENTS) -> None:
    """Write rows at all moments; each load changes some rows of the previous one.

    Args:
        folder: the folder to create.
        number: the number of the load, from 0.
        day: the users' `updated_at` is the end of this day.
        moments: the times of the rows.
    """
    keys = range(number * 10, number * 10 + len(moments))
    turned = [moments[(key * 7 + number) % len(moments)] for key in keys]
    tables: dict[str, list[dict[str, Any]]] = {
        "users": [
            {
                "user_id": f"u{key}",
                "email": f"u{key}@example{'.-'[key % 2]}org",
                "birth_date": "2024-02-29" if key % 2 else "2000-02-29",
                **dict.fromkeys(("first_name", "last_name", "phone", "country")),
                "subscription_tier": f"tier {number}" if key % 3 else "free",
                "created_at": moment,
                "updated_at": f"{day} 23:30:00-11:00" if key % 5 else moments[key % 20],
                "_deleted_at": f"{day} 12:00:00+00" if key % 11 == 10 else None,
            }
            for key, moment in zip(keys, turned, strict=True)
        ],
        "products": [{"product_id": "p", "unit_price": number, "updated_at": f"{day}"}],
        "orders": [
            {
                "order_id": f"o{key}",
                "user_id": f"u{key % 30}",
                "order_status": "returned" if key % 6 == 5 else "paid",
                "order_date": moment,
            }
            for key, moment in zip(keys, turned, strict=True)
        ],
        "order_items": [
            {
                "order_item_id": f"i{key}",
                "order_id": f"o{key}",
                "product_id": "p",
                "quantity": "1.5",
                "price_at_purchase": f"{key}.3333",
            }
            for key in keys
        ],
        "payments": [
            {"payment_id": f"p{key}", "order_id": f"o{key}", "payment_status": "paid"}
            | {"amount": "0.1", "paid_at": moment}
            for key, moment in zip(keys, turned, strict=True)
        ],
        "user_sessions": [
            {
                "session_id": f"s{key}",
                "user_id": f"u{key % 25}",
                "session_start": moments[key % len(moments)],
                "session_end": moments[(key + 1) % len(moments)],
            }
            for key in keys
        ],
        "events": [
            {
                "event_id": f"e{key}",
                "user_id": f"u{key % 35}",
                "event_type": "page_view",
                "event_timestamp": moment,
                "properties": '{"share": 0.1234567890123456789, "at": "2024-03-10 02:30"}',
            }
            for key, moment in zip(keys, turned, strict=True)
        ],
    }
    folder.mkdir()
    for table, rows in tables.items():
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@dataclasses.dataclass(frozen=True)
class ReadInUtc(Database):
    """A database whose test sessions, unlike those of dbt, use UTC and ISO dates."""

    def connect(self) -> psycopg.Connection:
        session = super().connect()
        session.autocommit = True
        session.execute("set timezone = 'UTC'")
        session.execute("set extra_float_digits = 1")
        session.execute("set datestyle = 'ISO, YMD'")
        session.autocommit = False
        return session


def rows(database: Database) -> Iterator[tuple[str, Counter[str]]]:
    """Every table and view that a build creates, with the number of occurrences of each row."""
    with ReadInUtc(database.name, database.environment).connect() as session:
        session.execute("set extra_float_digits = 1")
        for (relation,) in session.execute(
            """
            select format('%I.%I', nspname, relname)
            from pg_class
            inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
            where nspname in ('staging', 'snapshots', 'intermediate', 'marts',
                'reporting', 'quarantine')
                and relkind in ('r', 'p', 'm', 'v')
            order by 1
            """
        ).fetchall():
            yield (
                relation,
                Counter(
                    json.dumps(without_numbers_of_the_run(relation, row), sort_keys=True)
                    for (row,) in session.execute(f"select to_jsonb(held) from {relation} as held")
                ),
            )


def without_numbers_of_the_run(relation: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without transaction IDs and without values from the clock.

    Those are computed at query time or, in the history of segments, at build time.
    """
    own = ("_row_xid", "rejected_at", "last_seen_at", "recency_days")
    own += DATED_BY_THE_BUILD.get(relation, ())
    if relation == "intermediate.int_quality_rules":
        # The text of a condition depends on the encoding of the database.
        own += ("fails_when",)
    return {
        name: cell
        for name, cell in row.items()
        if name not in own and not name.startswith("days_since_")
    }


@pytest.fixture
def odd(server: Server) -> Iterator[Database]:
    """A new database in which dbt's sessions use the settings of the database."""
    with new_database(server) as made:
        made.environment["WAREHOUSE_SESSION_OPTIONS"] = ""
        yield made


@pytest.mark.long
@pytest.mark.parametrize("count", [2, len(DAYS)])
def test_the_zone_of_the_server_does_not_matter(
    database: Database, odd: Database, tmp_path: Path, count: int
) -> None:
    """Build load by load, each time in another zone; then rebuild from scratch in yet another."""
    tables, users = [], []
    for number, (day, settings) in enumerate(zip(DAYS[:count], SETTINGS[:count], strict=True)):
        what = f"load {number}, {settings['timezone']}"
        folder = tmp_path / f"{number}"
        write_load(folder, number, day)
        with odd.connect() as session:
            for name, value in settings.items():
                session.execute(f"alter database {odd.name} set {name} = {value!r}")
        stamp = dt.datetime.combine(day, dt.time(23, 45), dt.UTC)
        for each in (database, odd):
            with each.connect() as connection:
                load_folder(folder, connection=connection, loaded_at=stamp)
            dbt_project.build(each, as_of=day, options=NO_TESTS)
        with odd.connect() as session:
            assert session.execute("show timezone").fetchone() == (settings["timezone"],)
        tables.append(oracle.read_folder(folder))
        users.append((stamp, tables[-1]["users"]))
        view = ReadInUtc(odd.name, odd.environment)
        check_marts(view, oracle.latest(tables), day, what)
        check_history(view, users, what)
        compare_databases(odd, database, what)

    dbt_project.run(odd, "test", as_of=day, options=WITH_TESTS)
    with odd.connect() as session:
        session.execute(f"alter database {odd.name} set timezone = 'Pacific/Kiritimati'")
    dbt_project.build(odd, as_of=day, options=NO_TESTS, full_refresh=True)
    compare_databases(odd, database, "full refresh")


def compare_databases(odd: Database, usual: Database, what: str) -> None:
    """Check that every relation has the same rows in both."""
    expected = dict(rows(usual))
    assert len(expected) > 30
    assert sum(map(Counter.total, expected.values())) > 500
    for relation, found in rows(odd):
        assert found == expected.pop(relation), f"{what}: {relation}"
    assert not expected


@pytest.mark.parametrize(
    ("zones", "options"),
    [
        (("America/New_York",), None),
        pytest.param(ZONES, WITH_TESTS, marks=pytest.mark.long),
    ],
    ids=["one zone", "all zones"],
)
def test_days_are_those_of_the_business(
    database: Database, tmp_path: Path, zones: Sequence[str], options: Sequence[str] | None
) -> None:
    """Build twice in the first zone, and switch to each other one without a load.

    Each time the marts are those of the oracle, and at last those of a full refresh. The unit tests
    pass west and east of UTC: their midnights are those of UTC.
    """
    tables, users = [], []
    builds = [(zones[0], 0), (zones[0], 1), *((zone, None) for zone in zones[1:])]
    for zone, number in builds:
        day = DAYS[2] if number == 0 else DAYS[3]
        if number is not None:
            folder = tmp_path / f"{number}"
            write_load(folder, number, day, LOCAL_MOMENTS)
            stamp = dt.datetime.combine(day, dt.time(23, 45), dt.UTC)
            with database.connect() as connection:
                load_folder(folder, connection=connection, loaded_at=stamp)
            tables.append(oracle.read_folder(folder))
            users.append((stamp, tables[-1]["users"]))
        given = {"time_zone": zone}
        dbt_project.build(database, as_of=day, variables=given, options=NO_TESTS)
        with oracle.in_zone(zone):
            check_marts(database, oracle.latest(tables), day, zone)
        if options:
            dbt_project.run(database, "test", as_of=day, variables=given, options=options)
    before = dict(rows(database))
    dbt_project.build(database, as_of=day, variables=given, options=NO_TESTS, full_refresh=True)
    for relation, found in rows(database):
        assert found == before.pop(relation), relation
    assert not before
    units = ("--resource-type", "unit_test")
    chosen = () if options else tuple(unit_tests_of_days())
    for zone in (zones[0], "Pacific/Kiritimati"):
        dbt_project.run(database, "test", *chosen, variables={"time_zone": zone}, options=units)


def unit_tests_of_days() -> Iterator[str]:
    """The unit tests that do not choose a zone, of models whose SQL counts days."""
    manifest = dbt_project.parsed()
    models = {node.name: node.raw_code for node in manifest.nodes.values()}
    days = re.compile(
        r"\b(local_\w+|time_key|start_of_day|not_within_calendar|as_of|rows_of_changed_\w+)\("
    )
    for test in manifest.unit_tests.values():
        chosen = test.overrides.vars if test.overrides else {}
        if "time_zone" not in chosen and days.search(models[test.model]):
            yield test.name


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Mars/Olympus", ""),
        ("america/new_york", "Did you mean America/New_York?"),
        ("UTC+3", "Offsets such as +03 or UTC+3"),
        ("+03", ""),
        ("EST5EDT", ""),
        ("EST", ""),
        ("Etc/GMT+3", ""),
        ("UTC' or true --", ""),
    ],
)
def test_an_unknown_zone_stops_the_build(database: Database, zone: str, hint: str) -> None:
    """Before anything is built."""
    with pytest.raises(dbt_project.DbtFailed) as refused:
        dbt_project.build(database, "dim_time", variables={"time_zone": zone}, options=NO_TESTS)
    assert f"The variable time_zone is '{zone}'; it takes UTC, or the name" in str(refused.value)
    assert hint in str(refused.value)
    with database.connect() as session:
        made = "select to_regclass('marts.dim_time'), to_regnamespace('observability')"
        assert session.execute(made).fetchone() == (None, None)
