"""What a load of a source database reads again: all that its state cannot vouch for."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from tests.load.shop import NOW, add_users, address, day, fetch, pull
from tests.support.files import write
from warehouse import contract as contracts
from warehouse import mapping
from warehouse.errors import WarehouseError
from warehouse.load import Reporter, load_database
from warehouse.mapping import Mapping


def events(source, first: int, last: int, newest_day: float) -> None:
    """Events a day apart; the last one is the newest."""
    source.execute(
        "insert into events select n, n, %s::timestamptz - make_interval(days => %s - n), '{}'"
        " from generate_series(%s::int, %s::int) n",
        (day(newest_day), last, first, last),
    )


def keys(connection, table: str, key: str) -> set[str]:
    return {value for (value,) in fetch(connection, f"select {key} from raw.{table}")}


def load(source, connection, *tables: str, **options) -> list[str]:
    """Load tables of the source; return the notes."""
    report = Reporter()
    load_database(address(source), connection=connection, tables=tables, report=report, **options)
    return [note for note in report.notes if "read completely" in note]


# --- Rows that a watermark passes ---------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"trust_times": True}])
def test_a_row_in_the_future_moves_no_watermark(source, connection, options) -> None:
    source.execute(
        "insert into events values (1, 1, %s, '{}'), (2, 2, %s, '{}')", (day(10), day(-1100))
    )
    load(source, connection, "events", **options)
    events(source, 11, 20, 0.1)
    load(source, connection, "events", **options)
    assert keys(connection, "events", "event_id") == {"1", "2", *map(str, range(11, 21))}


def test_rows_that_are_committed_late_are_read_whatever_their_time(source, connection) -> None:
    add_users(source, 1, 5, day(1))
    with psycopg.connect(address(source)) as late:
        late.execute("insert into users values (10, 'open', null, %s, null)", (day(900),))
        late.execute("savepoint inside")
        late.execute("insert into users values (11, 'open', null, %s, null)", (day(900),))
        load(source, connection, "users")
        late.commit()
    add_users(source, 12, 12, day(400))
    source.execute("update users set email = 'silent' where user_id = 3")
    source.execute("update users set updated_at = %s", (day(30),))
    load(source, connection, "users")
    assert keys(connection, "users", "user_id") == {"1", "2", "3", "4", "5", "10", "11", "12"}
    assert fetch(connection, "select email from raw.users where user_id = '3'") == [("silent",)]
    # A load by time alone leaves the others to the next one.
    add_users(source, 13, 13, day(400))
    load(source, connection, "users", trust_times=True)
    assert "13" not in keys(connection, "users", "user_id")
    load(source, connection, "users")
    assert "13" in keys(connection, "users", "user_id")


# Rows of 2020 in a partition, and one of 2021 in a table that is attached later.
PARTITION_TO_ATTACH = """
    drop table events;
    create table events (event_id bigint, event_timestamp timestamptz not null)
        partition by range (event_timestamp);
    create table events_old partition of events
        for values from ('2020-01-01') to ('2021-01-01');
    create table events_new (like events);
    insert into events values (1, '2020-05-05');
    insert into events_new values (2, '2021-05-05');
"""


def test_a_partition_that_was_filled_before_it_was_attached_is_read(source, connection) -> None:
    source.execute(PARTITION_TO_ATTACH)
    load(source, connection, "events")
    source.execute(
        "alter table events attach partition events_new for values from ('2021-01-01') to"
        " ('2022-01-01'); insert into events values (3, '2020-02-02')"
    )
    assert pull(source, connection, tables=("events",))["events"][1] == 2
    assert keys(connection, "events", "event_id") == {"1", "2", "3"}


@pytest.mark.parametrize("passes_xmin", [True, False])
def test_a_view_with_late_rows_is_noticed(source, connection, passes_xmin: bool) -> None:
    source.execute(
        f"create schema shop; create view shop.events as"
        f" select * {', xmin' if passes_xmin else ''} from events"
    )
    events(source, 1, 10, 1)
    assert load(source, connection, "events", schema="shop") == []
    assert load(source, connection, "events", schema="shop") == []
    source.execute("insert into events values (20, 1, %s, '{}')", (day(300),))
    notes = load(source, connection, "events", schema="shop")
    assert "20" in keys(connection, "events", "event_id")
    assert len(notes) == (0 if passes_xmin else 1)
    assert passes_xmin or "1 rows that the load has not read" in notes[0]
    assert load(source, connection, "events", schema="shop") == []


# --- A state that belongs to other data ---------------------------------------------------------


def test_a_raw_table_that_lost_rows_gets_them_back(source, connection) -> None:
    add_users(source, 1, 4, day(30))
    load(source, connection, "users")
    number = 4
    for lose in (
        "truncate raw.users",
        "drop table raw.users",
        # A restored older copy lacks the last load.
        "delete from raw.users where _loaded_at = (select max(_loaded_at) from raw.users)",
        "delete from raw.users",
        "alter table raw.users rename to users_old;"
        "create table raw.users (like raw.users_old including all)",
    ):
        number += 1
        add_users(source, number, number, day(20))
        assert load(source, connection, "users") == [], lose
        connection.execute(lose)
        (note,) = load(source, connection, "users")
        assert "users is read completely: the raw table" in note, lose
        assert len(keys(connection, "users", "user_id")) == number, lose


def test_a_column_that_was_not_read_before_is_read_for_all_rows(source, connection) -> None:
    add_users(source, 1, 10, day(30))
    load(source, connection, "users")
    # Neither touches updated_at; the second writes no row.
    source.execute("alter table users add column country text; update users set country = 'DE'")
    (note,) = load(source, connection, "users", trust_times=True)
    assert "country was not read before" in note
    source.execute("alter table users add column phone text default '1'")
    load(source, connection, "users")
    assert fetch(connection, "select distinct country, phone from raw.users") == [("DE", "1")]


def test_a_replaced_source_is_read_again(source, connection) -> None:
    add_users(source, 1, 10, day(30))
    load(source, connection, "users")
    # As a restore does: another table, whose rows are older than the watermark.
    source.execute(
        "create table copy (like users including all); insert into copy select * from users"
    )
    source.execute(
        "update copy set email = 'restored'; drop table users; alter table copy rename to users"
    )
    (note,) = load(source, connection, "users", trust_times=True)
    assert "replaced or restored" in note
    # A clock, or a server, that went back.
    for change in ("oldest_running = oldest_running + 1000000", "watermark = now() + '3 years'"):
        connection.execute(f"update raw._load_state set {change}")
        assert len(load(source, connection, "users")) == 1
        assert load(source, connection, "users") == []
    assert fetch(connection, "select distinct email from raw.users") == [("restored",)]


def test_a_changed_view_is_read_again(source, connection) -> None:
    source.execute(
        "create schema shop; create view shop.inner_users as select * from users;"
        "create view shop.users as select * from shop.inner_users"
    )
    add_users(source, 1, 10, day(30))
    load(source, connection, "users", schema="shop")
    source.execute(
        "create or replace view shop.inner_users as select user_id,"
        " upper(email)::varchar(100) as email, created_at, updated_at, password_hash from users"
    )
    (note,) = load(source, connection, "users", schema="shop")
    assert "its select, or the query of its view, changed" in note
    assert fetch(connection, "select email from raw.users where user_id = '1'") == [("U1",)]
    connection.execute("update raw._load_state set source_identity = 'another/select'")
    (note,) = load(source, connection, "users", schema="shop")
    assert "the database was replaced or restored" in note


def test_the_state_of_an_earlier_version_is_completed(source, connection) -> None:
    add_users(source, 1, 3, day(30))
    connection.execute(
        """
        create schema raw;
        create table raw._load_state (
            source text not null, table_name text not null, incremental_column text not null,
            watermark timestamptz not null, loaded_at timestamptz not null,
            primary key (source, table_name)
        )
        """
    )
    load(source, connection, "users")
    connection.execute("update raw._load_state set watermark = now(), columns = null")
    add_users(source, 4, 4, day(300))
    (note,) = load(source, connection, "users", trust_times=True)
    assert "an earlier version" in note
    assert len(keys(connection, "users", "user_id")) == 4
    assert load(source, connection, "users") == []
    ((watermark,),) = fetch(connection, "select watermark from raw._load_state")
    assert NOW - watermark >= timedelta(days=29)


def test_rows_are_found_after_half_a_round_of_transaction_numbers(source, connection) -> None:
    """The numbers are a circle: the difference of two that are further apart is wrong."""
    add_users(source, 1, 5, day(1))
    load(source, connection, "users")
    # As after a month of --trust-times on a busy server.
    connection.execute(
        "update raw._load_state set oldest_running = oldest_running - (1::bigint << 31)"
    )
    add_users(source, 6, 6, day(400))
    assert load(source, connection, "users", trust_times=True) == []
    (note,) = load(source, connection, "users")
    assert "2,000,000,000 transactions" in note
    assert "6" in keys(connection, "users", "user_id")
    assert load(source, connection, "users") == []


# --- Mappings -----------------------------------------------------------------------------------


def mapped(folder, select: str) -> dict[str, Mapping]:
    write(folder, "events.sql", select)
    return mapping.read(folder, contracts.read())


def test_a_table_that_took_the_place_of_a_mapped_one_is_read(source, connection, tmp_path) -> None:
    found = mapped(
        tmp_path, "select event_id::text as event_id, event_timestamp, xmin as xmin from events"
    )
    events(source, 1, 3, 10)
    source.execute("create table later (like events); insert into later select * from events")
    source.execute("insert into later values (9, 1, %s, '{}')", (day(20),))
    assert load(source, connection, "events", mapping=found) == []
    assert load(source, connection, "events", mapping=found) == []
    source.execute("alter table events rename to before; alter table later rename to events")
    (note,) = load(source, connection, "events", mapping=found)
    assert "replaced" in note
    assert keys(connection, "events", "event_id") == {"1", "2", "3", "9"}
    assert load(source, connection, "events", mapping=found) == []


@pytest.mark.parametrize("is_mapped", [True, False])
def test_an_attached_partition_below_a_select_is_read(
    source, connection, tmp_path, is_mapped: bool
) -> None:
    source.execute(PARTITION_TO_ATTACH)
    select = "select event_id::text as event_id, event_timestamp, xmin as xmin from public.events"
    source.execute(f"create schema shop; create view shop.events as {select}")
    options = {"mapping": mapped(tmp_path, select)} if is_mapped else {"schema": "shop"}
    assert load(source, connection, "events", **options) == []
    # A partition of newer rows is no reason to read all.
    source.execute(
        "create table events_empty partition of events default;insert into events values (3, now())"
    )
    assert load(source, connection, "events", **options) == []
    source.execute(
        "alter table events detach partition events_empty; alter table events attach partition"
        " events_new for values from ('2021-01-01') to ('2022-01-01')"
    )
    (note,) = load(source, connection, "events", **options)
    assert "events_new" in note
    assert keys(connection, "events", "event_id") == {"1", "2", "3"}
    assert load(source, connection, "events", **options) == []


def test_a_mapped_deletion_must_say_its_zone(source, connection, tmp_path) -> None:
    found = mapped(
        tmp_path,
        "select event_id::text as event_id, event_timestamp, now()::timestamp as _deleted_at"
        " from events",
    )
    with pytest.raises(WarehouseError, match="_deleted_at has no time zone"):
        load(source, connection, "events", mapping=found)


def test_an_earlier_address_of_the_source_is_named(source, connection) -> None:
    """The rows of two sources cannot be told apart: none of them is deleted."""
    source.execute("insert into categories select n, 'c' || n from generate_series(1, 40) n")
    load(source, connection, "categories")
    connection.execute("update raw._load_state set source = 'postgresql://old:5432/shop/public'")
    source.execute("delete from categories where category_id = 7")
    living = "select count(*) from raw.categories where _deleted_at is null"
    report = Reporter()
    for expected in (40, 39):
        report.notes.clear()
        load_database(address(source), connection=connection, tables=("categories",), report=report)
        assert fetch(connection, living) == [(expected,)]
        for note in report.notes:
            if "deleted rows are not found" in note:
                connection.execute(note.partition("forget it: ")[2])
    assert not any("deleted rows" in note for note in report.notes)
