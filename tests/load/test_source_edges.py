"""A source that shows a part, fails, or is not what it seems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.load.shop import add_users, address, day, fetch, pull
from tests.support.command import warehouse
from tests.support.files import write
from warehouse.errors import WarehouseError
from warehouse.load import Reporter, load_database, load_folder
from warehouse.load.command import load


def refused(source, connection, **options) -> str:
    with pytest.raises(WarehouseError) as caught:
        pull(source, connection, **options)
    return str(caught.value)


def warnings(source, connection, *tables: str, **options) -> str:
    report = Reporter()
    load_database(address(source), connection=connection, tables=tables, report=report, **options)
    return "\n".join(report.warnings)


@pytest.fixture
def reader(source):
    """The address of a role that may read the source, and owns nothing in it."""
    role = f"reader_{source.info.dbname}"
    source.execute(
        f"create role {role} login; grant select on all tables in schema public to {role}"
    )
    info = source.info
    yield f"host={info.host} port={info.port} dbname={info.dbname} user={role}"
    source.execute(f"drop owned by {role}; drop role {role}")


# --- A part taken for the whole -----------------------------------------------------------------


@pytest.mark.parametrize("place", ["table", "below a view", "partitioned"])
def test_policies_that_hide_rows_are_an_error(source, reader, connection, place: str) -> None:
    add_users(source, 1, 10, day(10))
    schema = "public"
    if place == "partitioned":
        source.execute(
            "drop table users; create table users (user_id bigint primary key, updated_at"
            " timestamptz) partition by range (user_id); create table part partition of users"
            " default; insert into users select n, now() from generate_series(1, 10) n;"
            " grant select on users to public"
        )
    pull(source, connection, tables=("users",))
    source.execute(
        "alter table users enable row level security;"
        "create policy few on users using (user_id <= 6)"
    )
    if place == "below a view":
        schema = "shop"
        source.execute(
            "create schema shop; grant usage on schema shop to public; create view shop.users"
            " with (security_invoker) as select * from users; grant select on shop.users to public"
        )
    for options in ({}, {"complete": True}):
        with pytest.raises(
            WarehouseError, match=r"users.*row-level security|row-level .*users"
        ) as no:
            load_database(
                reader, connection=connection, tables=("users",), schema=schema, **options
            )
        assert "bypassrls" in str(no.value)
    assert fetch(connection, "select count(*), count(_deleted_at) from raw.users") == [(10, 0)]


def test_rights_on_columns_are_enough_for_every_load(source, reader, connection) -> None:
    """They do not include xmin, which only later loads read."""
    role = reader.rpartition("=")[2]
    source.execute(
        f"revoke select on users from {role};"
        f"grant select (user_id, email, created_at, updated_at) on users to {role}"
    )
    add_users(source, 1, 5, day(10))
    report = Reporter()
    options = {"connection": connection, "tables": ("users",), "report": report}
    load_database(reader, **options)
    (note,) = [each for each in report.notes if "xmin" in each]
    grant = note.partition("run: ")[2]
    assert grant == f"grant select (xmin, tableoid) on public.users to {role};"
    add_users(source, 6, 6, day(400))  # committed late: only the count finds it
    add_users(source, 7, 7, day(1))
    load_database(reader, **options)
    assert fetch(connection, "select count(*) from raw.users") == [(7,)]
    source.execute(grant)
    add_users(source, 8, 8, day(400))
    report.notes.clear()
    load_database(reader, **options)
    assert report.notes == []
    assert fetch(connection, "select count(*) from raw.users") == [(8,)]


def test_a_source_that_ends_idle_transactions_is_read(source, connection) -> None:
    add_users(source, 1, 5, day(10))
    source.execute("insert into orders values (1, 1, now())")
    pull(source, connection, tables=("users",), complete=True)
    name = source.info.dbname
    source.execute(f"alter database {name} set idle_in_transaction_session_timeout = '300ms'")
    source.execute("update users set email = 'slow'")
    connection.execute(
        "create function pg_temp.slowly() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(0.8); return null; end $$;"
        "create trigger slowly after update on raw.users execute function pg_temp.slowly()"
    )
    # The transaction of the source waits while the warehouse writes.
    assert pull(source, connection, tables=("users", "orders"))["orders"] == (1, 1, 0, 0)


def test_deletions_are_limited_over_all_loads_of_a_month(connection, tmp_path) -> None:
    def complete(first: int, **options):
        """Load the users from a number on, of 1,000."""
        write(tmp_path, "users.csv", "user_id\n" + "".join(f"{n}\n" for n in range(first, 1_000)))
        (summary,) = load_folder(tmp_path, connection=connection, complete=True, **options)
        return summary.deleted

    def message(first: int) -> str:
        with pytest.raises(WarehouseError) as caught:
            complete(first)
        return str(caught.value)

    complete(0)
    said = message(490)
    assert "delete 490 of the 1,000 current rows of users (for example user_id" in said
    assert "more than 10 % in 30 days" in said
    assert "--accept-deletes" in said
    assert complete(60) == 60
    assert "delete 60 of the 940 current rows" in message(120)
    assert ", after 60 in the 30 days before" in message(120)
    assert complete(120, accept_deletes=True) == 60
    # What was accepted does not count again.
    assert complete(200) == 80
    assert "after 80 in" in message(300)
    assert complete(300, max_deletes=50) == 100
    assert complete(310) == 10
    # What was deleted more than 30 days ago does not count either.
    connection.execute(
        "update raw.users set _loaded_at = _loaded_at - interval '31 days',"
        " _deleted_at = _deleted_at - interval '31 days'"
    )
    assert complete(375) == 65


def test_a_few_rows_of_a_small_table_may_go(connection, tmp_path) -> None:
    def complete(*keys: int) -> int:
        write(tmp_path, "users.csv", "user_id\n" + "".join(f"{n}\n" for n in keys))
        return load_folder(tmp_path, connection=connection, complete=True)[0].deleted

    complete(1, 2, 3)
    assert complete(1, 2) == 1
    with pytest.raises(WarehouseError, match=r"delete 2 of the 2 .*after 1 in the 30 days"):
        complete(8, 9)


def test_a_table_that_is_read_whole_loses_what_its_source_lost(source, connection) -> None:
    source.execute("insert into categories select n, 'c' from generate_series(1, 30) n")
    source.execute("create schema shop; create view shop.categories as select * from categories")
    pull(source, connection, tables=("categories",))
    source.execute("delete from categories where category_id <= 2")
    pull(source, connection, tables=("categories",))
    gone = "select count(_deleted_at) from raw.categories"
    assert fetch(connection, gone) == [(2,)]
    source.execute("delete from categories where category_id <= 10")
    assert "--accept-deletes" in refused(source, connection, tables=("categories",))
    # A view may show a part, and so may one of two sources.
    pull(source, connection, tables=("categories",), schema="shop")
    assert fetch(connection, gone) == [(2,)]
    pull(source, connection, tables=("categories",))
    assert fetch(connection, gone) == [(2,)]


# --- Keys and marks -----------------------------------------------------------------------------


def test_of_rows_with_one_key_the_latest_change_is_taken(source, connection) -> None:
    source.execute("alter table users drop constraint users_pkey; create index on users (user_id)")
    source.execute(
        "insert into users values (1, 'new', null, %s, null), (1, 'old', null, %s, null),"
        " (1, 'never', null, null, null), (2, 'b', null, %s, null), (2, 'a', null, %s, null)",
        (day(1), day(9), day(3), day(3)),
    )
    said = warnings(source, connection, "users")
    assert "users: the source has no primary key or unique index on user_id" in said
    emails = "select user_id, email from raw.users order by 1"
    assert fetch(connection, emails) == [("1", "new"), ("2", "b")]
    # Rewrites the older rows, which are then the last ones, and the only ones that are new.
    source.execute("update users set password_hash = 'x' where email in ('old', 'a')")
    pull(source, connection, tables=("users",))
    source.execute("update users set password_hash = 'x' where email = 'never'")
    pull(source, connection, tables=("users",), overlap_hours=0)
    assert fetch(connection, emails) == [("1", "new"), ("2", "b")]
    assert fetch(
        connection,
        "select distinct row_text::jsonb ->> 'email' from quarantine.rejected_rows order by 1",
    ) == [("a",), ("never",), ("old",)]


def test_marks_of_deletion_are_not_ignored_in_silence(source, connection) -> None:
    for column, data_type, mapped in (
        ("deleted_at", "timestamptz", "deleted_at::timestamptz as _deleted_at"),
        ("is_deleted", "boolean", "case when is_deleted then updated_at end as _deleted_at"),
        ("removedat", "timestamp", "removedat::timestamptz as _deleted_at"),
    ):
        source.execute(f"alter table users add column {column} {data_type}")
        said = warnings(source, connection, "users")
        assert f"the source marks rows as deleted in {column}, which the load" in said
        assert mapped in said
        source.execute(f"alter table users drop column {column}")
    source.execute("alter table users add column deleted_at timestamptz; create schema shop")
    source.execute("create view shop.users as select *, now() as _deleted_at from users")
    assert "marks rows as deleted" not in warnings(source, connection, "users", schema="shop")


def test_a_json_line_without_a_key_has_null_there(connection, tmp_path) -> None:
    write(tmp_path, "users.jsonl", '{"user_id": 1, "email": "a"}\n{"user_id": 2, "email": "b"}\n')
    load_folder(tmp_path, connection=connection)
    emails = "select email from raw.users order by user_id"
    write(tmp_path, "users.jsonl", '{"user_id": 1}\n')
    load_folder(tmp_path, connection=connection)
    assert fetch(connection, emails) == [("a",), ("b",)]
    write(tmp_path, "users.jsonl", '{"user_id": 1}\n{"user_id": 2, "email": "c"}\n')
    load_folder(tmp_path, connection=connection)
    assert fetch(connection, emails) == [(None,), ("c",)]


# --- Errors -------------------------------------------------------------------------------------


def test_an_error_names_the_side_and_the_table(source, connection) -> None:
    add_users(source, 1, 3, day(1))
    source.execute(
        """
        create schema shop;
        create view shop.users as select * from users;
        create view shop.orders as
            select user_id as order_id, 1 / (user_id - 2) as user_id from users;
        create view shop.events as select event_id from events;
        """
    )
    said = refused(source, connection, schema="shop")
    assert said.startswith(
        "The source database failed while the load read shop.orders: division by zero."
    )
    assert said.endswith("Tables loaded before: users; not loaded any more: events.")
    assert fetch(connection, "select count(*) from raw.users") == [(3,)]
    source.execute(
        "create or replace view shop.orders as"
        " select user_id as order_id, (pg_sleep(60)::text || '1')::bigint as user_id from users;"
    )
    source.execute(f"alter database {source.info.dbname} set statement_timeout = '50ms'")
    said = refused(source, connection, schema="shop", tables=("orders",))
    assert "read shop.orders: canceling statement due to statement timeout" in said
    source.execute(f"alter database {source.info.dbname} reset statement_timeout")
    source.execute(
        "create or replace view shop.orders as select user_id as order_id,"
        " pg_terminate_backend(pg_backend_pid())::int::bigint as user_id from users"
    )
    said = refused(source, connection, schema="shop", tables=("orders",))
    assert said.startswith("The source database failed while the load read shop.orders: ")


def test_a_missing_grant_is_named_with_the_statement(source, reader, connection) -> None:
    role = f"reader_{source.info.dbname}"
    source.execute(f"revoke select on users from {role}; grant select (user_id) on users to {role}")
    with pytest.raises(WarehouseError) as caught:
        load_database(reader, connection=connection)
    assert f"does not let {role} read email, created_at, updated_at of public.users" in str(
        caught.value
    )
    assert f"grant select on public.users to {role}" in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "byte", "codec"), [("SQL_ASCII", "fc", "UTF-8"), ("WIN1252", "81", "CP1252")]
)
def test_a_row_without_a_form_in_utf8_is_quarantined_with_its_key(
    server, database, connection, encoding: str, byte: str, codec: str
) -> None:
    name = f"{database.name}_{encoding.lower()}"
    with server.connect("postgres") as administrator:
        administrator.execute(
            f"create database {name} template template0 encoding '{encoding}' locale 'C'"
        )
    with server.connect(name) as source:
        source.autocommit = True
        source.execute("set client_encoding = 'UTF8'")
        source.execute(
            "create table users (user_id int primary key, email text, updated_at timestamptz);"
            "insert into users select n, E'tab\\t' || n, now() from generate_series(1, 20) n;"
            rf"update users set email = E'a\\b\nM\x{byte}ller\t' where user_id = 7;"
            "update users set email = 'Köln' where user_id = 8"
        )
        found = pull(source, connection, tables=("users",), complete=True)
        assert found == {"users": (20, 19, 0, 0)}
        # Nothing is left of the first attempt, and the next table would be read.
        assert pull(source, connection, tables=("users",)) == {"users": (20, 0, 0, 19)}
    assert fetch(connection, "select email from raw.users where user_id = '8'") == [("Köln",)]
    assert fetch(
        connection,
        "select reason, row_text::jsonb ->> 'user_id', row_text::jsonb ->> 'email'"
        " from quarantine.rejected_rows",
    ) == [(f"email: not {codec}, byte 0x{byte}", "7", f"a\\b\nM\\x{byte}ller\t")]
    with server.connect("postgres") as administrator:
        administrator.execute(f"drop database {name} with (force)")


# --- Stamps in the future -----------------------------------------------------------------------


def test_a_stamp_in_the_future_is_refused_and_has_a_way_out(connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n2\n")
    ahead = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(WarehouseError, match=r"--loaded-at .* is in the future; it is now"):
        load_folder(tmp_path, connection=connection, loaded_at=ahead)
    assert fetch(connection, "select to_regclass('raw.users') is null") == [(True,)]
    load_folder(tmp_path, connection=connection)
    # As another tool, or an earlier version, may have stamped them.
    connection.execute("update raw.users set _loaded_at = '2099-01-01'")
    write(tmp_path, "users.csv", "user_id\n1\n2\n3\n")
    report = Reporter()
    (summary,) = load_folder(tmp_path, connection=connection, report=report)
    assert summary.new == 1
    (warning,) = [each for each in report.warnings if "in the future" in each]
    assert "raw.users: 2 rows have a _loaded_at in the future, up to 2099-01-01" in warning
    connection.execute(warning.partition("Correct them: ")[2])
    assert fetch(connection, "select bool_and(_loaded_at <= now()) from raw.users") == [(True,)]
    report = Reporter()
    load_folder(tmp_path, connection=connection, report=report)
    assert not any("in the future" in each for each in report.warnings)


# --- A database that is not mapped --------------------------------------------------------------


def test_a_database_without_users_and_orders_is_refused(source, connection) -> None:
    source.execute("alter table users rename to customers; alter table orders rename to purchases")
    said = refused(source, connection)
    assert "has no table or view users and no orders, which every build needs" in said
    assert "It has categories, consents, customers, events, products, purchases." in said
    assert "customers looks like users; purchases looks like orders" in said
    assert "create view public.users as select" in said
    assert fetch(connection, "select to_regclass('raw.users') is null") == [(True,)]
    source.execute("drop table categories, consents, events, products")
    assert "has none of the tables users, categories" in refused(source, connection)
    # A later load of other tables is fine.
    source.execute("alter table customers rename to users; alter table purchases rename to orders")
    add_users(source, 1, 1, day(1))
    source.execute("insert into orders values (1, 1, now())")
    pull(source, connection)
    source.execute("alter table users rename to customers")
    assert set(pull(source, connection)) == {"orders"}


def test_columns_with_other_names_are_named_with_what_they_look_like(source, connection) -> None:
    source.execute(
        "alter table users rename email to mail; alter table users rename created_at to created"
    )
    said = warnings(source, connection, "users")
    assert "It has mail, which looks like email, created, which looks like created_at" in said
    assert "mail as email, created as created_at" in said


def test_a_required_table_without_rows_is_warned_of(database, connection, tmp_path) -> None:
    write(tmp_path, "users.csv", "user_id\n1\n")
    said = warehouse(database, "load", str(tmp_path)).stderr
    assert "Warning: raw.orders has no rows, and every build needs it." in said
    assert "raw.users" not in said
    assert "no rows" not in warehouse(database, "load", str(tmp_path), "--tables", "users").stderr


# --- Passwords ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "POSTGRESQL://u:secret@host:99999999/db",
        "postgresql://u:se/cret@host/db",
        "postgresql://u:1/secret@host/db",
        "postgres://u:secret@host:notaport/db",
        "host=nowhere.invalid password=secret dbname=x connect_timeout=1",
        "host=nowhere.invalid pasword=secret dbname=x",
        "dbname = x password = 'secret",
        "postgresql+psycopg2://u:secret@h/db",
        "mysql://u:secret@h",
    ],
)
def test_no_form_of_an_address_shows_its_password(link: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        load(link, quiet=True)
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_an_address_may_have_libpqs_keywords(source, connection) -> None:
    info: psycopg.ConnectionInfo = source.info
    link = f"host={info.host} port={info.port} user={info.user} dbname={info.dbname}"
    (summary,) = load_database(link, connection=connection, tables=("users",))
    assert summary.read == 0
