"""Loading a source database into raw, from another database and from another server."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.load.shop import NOW, SHOP, add_users, address, day, fetch, pull
from tests.support.command import warehouse
from tests.support.server import temporary_server
from warehouse.errors import WarehouseError
from warehouse.load import Reporter, load_database, load_folder


def test_values_of_other_types_arrive_exactly(source, connection) -> None:
    source.execute("alter database %s set timezone = 'Asia/Tokyo'" % source.info.dbname)  # noqa: UP031
    source.execute(
        """
        insert into users values (7, E'tab\\t, back\\\\slash, "quote", new\\nline, \\U0001F389',
            '2024-07-01 12:00', '2024-07-01 12:00+02', 'secret');
        insert into users values (8, null, 'infinity', null, null);
        insert into products values ('6f0b1a52-4f5c-4a4e-9d0e-0123456789ab', 0.1000, '2024-01-02');
        insert into events values
            (1, null, '2024-07-01 12:00+02', '{"b": [1, "ü\\n"], "a": null}');
        insert into consents values (1, true, null), (2, false, null);
        """
    )
    report = Reporter()
    pull(source, connection, report=report)
    rows = fetch(
        connection,
        "select user_id, email, created_at::text, updated_at::text from raw.users order by 1",
    )
    assert rows == [
        (
            "7",
            'tab\t, back\\slash, "quote", new\nline, 🎉',
            "2024-07-01 12:00:00+00",
            "2024-07-01 10:00:00+00",
        ),
        ("8", None, "infinity", None),
    ]
    rows = fetch(
        connection, "select product_id, unit_price::text, updated_at::text from raw.products"
    )
    assert rows == [("6f0b1a52-4f5c-4a4e-9d0e-0123456789ab", "0.1000", "2024-01-02 00:00:00+00")]
    rows = fetch(connection, "select event_id, user_id, properties from raw.events")
    assert rows == [("1", None, {"a": None, "b": [1, "ü\n"]})]
    assert fetch(connection, "select is_granted from raw.consents order by 1") == [
        (False,),
        (True,),
    ]
    assert any("users: the source has no first_name" in warning for warning in report.warnings)
    assert any(note.startswith("The source has no order_items") for note in report.notes)
    assert any(note.startswith("categories is read completely") for note in report.notes)
    assert fetch(connection, "select to_regclass('raw.payments') is not null") == [(True,)]


def test_later_pulls_read_what_changed_and_the_overlap(source, connection) -> None:
    add_users(source, 1, 100, day(10))
    add_users(source, 101, 110, day(5))
    add_users(source, 111, 112, None)
    assert pull(source, connection)["users"] == (112, 112, 0, 0)
    before = fetch(connection, "select user_id, xmin::text from raw.users order by 1")
    # The ten within the overlap of one day, and the two without updated_at.
    assert pull(source, connection)["users"] == (12, 0, 0, 12)
    assert fetch(connection, "select user_id, xmin::text from raw.users order by 1") == before
    source.execute("update users set email = 'new', updated_at = %s where user_id = 1", (day(1),))
    add_users(source, 200, 200, day(5.5))  # committed late: older than rows already read
    assert pull(source, connection)["users"] == (14, 1, 1, 12)
    # The watermark is now yesterday, so the overlap of one day excludes the rows of five days ago.
    assert pull(source, connection)["users"] == (3, 0, 0, 3)
    assert pull(source, connection, overlap_hours=24 * 6)["users"] == (14, 0, 0, 14)
    assert pull(source, connection, from_start=True)["users"] == (113, 0, 0, 113)
    assert fetch(connection, "select email from raw.users where user_id = '1'") == [("new",)]


def test_tables_without_updated_at_have_a_time_of_their_own(source, connection) -> None:
    source.execute(
        "insert into events select n, n, %s::timestamptz - make_interval(days => n), '{}' "
        "from generate_series(1, 30) n",
        (NOW,),
    )
    source.execute(
        "insert into consents select n, true, %s from generate_series(1, 3) n", (day(9),)
    )
    source.execute("insert into categories select n, 'c' from generate_series(1, 4) n")
    first = pull(source, connection)
    assert (first["events"], first["consents"]) == ((30, 30, 0, 0), (3, 3, 0, 0))
    source.execute("insert into events values (31, 1, %s, '{}'), (32, 1, %s, '{}')", (NOW, day(9)))
    second = pull(source, connection)
    # The overlap of one day contains events 1 and 2; event 32 is older, but its transaction is new.
    assert second["events"] == (4, 2, 0, 2)
    assert second["consents"] == (3, 0, 0, 3)
    assert second["categories"] == (4, 0, 0, 4)
    assert pull(source, connection, overlap_hours=240, tables=("events",))["events"][0] > 4


def test_a_time_in_the_future_hides_nothing(source, connection) -> None:
    add_users(source, 1, 1, day(-3650))
    pull(source, connection)
    source.execute("insert into users values (2, 'x', null, now() - interval '1 hour', null)")
    assert pull(source, connection)["users"] == (2, 1, 0, 1)
    ((watermark,),) = fetch(connection, "select watermark from raw._load_state")
    assert watermark <= datetime.now(UTC)


def test_an_interrupted_load_goes_on_where_it_stopped(source, connection) -> None:
    pull(source, connection, tables=("consents",))
    connection.execute("alter table raw.products add constraint none_yet check (product_id = '')")
    add_users(source, 1, 5, day(30))
    add_users(source, 6, 6, day(10))
    source.execute("insert into products values (gen_random_uuid(), 'NaN', '2024-01-01')")
    with pytest.raises(WarehouseError, match=r"PostgreSQL refused the load: raw\.products"):
        pull(source, connection)
    assert fetch(connection, "select table_name from raw._load_state") == [("users",)]
    assert fetch(connection, "select count(*) from raw.users") == [(6,)]
    assert fetch(connection, "select count(*) from raw.products") == [(0,)]
    connection.execute("alter table raw.products drop constraint none_yet")
    add_users(source, 7, 7, day(1))
    found = pull(source, connection)
    # Of the users that the first attempt loaded, only the one within the overlap is read again.
    assert found["users"] == (2, 1, 0, 1)
    assert found["products"] == (1, 1, 0, 0)


def test_complete_marks_what_the_source_no_longer_has(source, connection) -> None:
    add_users(source, 1, 10, day(10))
    pull(source, connection)
    source.execute("delete from users where user_id = 3")
    assert pull(source, connection)["users"] == (9, 0, 0, 9)
    assert fetch(connection, "select count(_deleted_at) from raw.users") == [(0,)]
    pull(source, connection, complete=True, tables=("users",))
    rows = fetch(connection, "select user_id from raw.users where _deleted_at is not null")
    assert rows == [("3",)]
    source.execute("truncate users")
    with pytest.raises(WarehouseError, match="is empty, and --complete would delete all of users"):
        pull(source, connection, complete=True, tables=("users",))


def test_bad_rows_of_the_source_are_quarantined(source, connection) -> None:
    source.execute("alter table users alter updated_at type text, alter user_id type text")
    source.execute("insert into users select n::text, 'x' from generate_series(1, 30) n")
    source.execute("insert into users values (' ', 'blank', null, null), ('z', 'y', null, 'soon')")
    # updated_at is text and cannot be a watermark, so each load reads the whole table.
    assert pull(source, connection, tables=("users",)) == {"users": (32, 30, 0, 0)}
    assert pull(source, connection, tables=("users",)) == {"users": (32, 0, 0, 30)}
    rows = fetch(
        connection,
        "select file_name, line_number, reason, row_text::jsonb ->> 'email' "
        "from quarantine.rejected_rows order by reason",
    )
    file = f"{place(source)}/public/users"
    assert rows == [
        (file, None, 'updated_at: no ISO date or time: "soon"', "y"),
        (file, None, "user_id: the key is empty", "blank"),
    ]


def place(source: psycopg.Connection) -> str:
    info = source.info
    return f"postgresql://{info.host}:{info.port}/{info.dbname}"


def test_a_source_gives_what_its_files_give(source, connection, tmp_path: Path) -> None:
    add_users(source, 1, 50, day(3))
    with (
        (tmp_path / "users.csv").open("wb") as file,
        source.cursor().copy("copy users to stdout (format csv, header)") as rows,
    ):
        for data in rows:
            file.write(data)
    pull(source, connection)
    (summary,) = load_folder(tmp_path, connection=connection)
    assert (summary.read, summary.unchanged) == (50, 50)


def test_the_schema_can_be_chosen(source, connection) -> None:
    source.execute("create schema shop; alter table users set schema shop")
    add = "insert into shop.users values (1, 'a', null, now(), null)"
    source.execute(add)
    assert pull(source, connection, schema="shop", tables=("users",)) == {"users": (1, 1, 0, 0)}
    with pytest.raises(WarehouseError, match="has none of the tables users, categories"):
        pull(source, connection, schema="nowhere")
    with pytest.raises(WarehouseError, match="has no table orders"):
        pull(source, connection, schema="shop", tables=("orders",))
    source.execute("alter table shop.users rename user_id to id")
    with pytest.raises(WarehouseError, match="users has no column user_id, its key; it has"):
        pull(source, connection, schema="shop", tables=("users",))


# --- The password -------------------------------------------------------------------------------


def test_a_second_server_with_a_password_which_is_never_shown(database, connection) -> None:
    """Run the command as a user would, against another server that requires a password."""
    with temporary_server() as other:
        where = other.parameters("postgres")
        host, port = where["host"], where["port"]
        with other.connect("postgres") as administrator:
            administrator.autocommit = True
            administrator.execute("create role reader login password 'geheim%42'")
            administrator.execute(SHOP)
            administrator.execute("grant select on all tables in schema public to reader")
            rules = other.data / "pg_hba.conf"
            rules.write_text("local all reader scram-sha-256\n" + rules.read_text())
            administrator.execute("select pg_reload_conf()")
            add_users(administrator, 1, 3, day(1))
            link = f"postgresql://reader:geheim%2542@{quote(host, safe='')}:{port}/postgres"
        done = command(database, link)
        assert done.returncode == 0, done.stderr
        assert "users" in done.stdout
        assert fetch(connection, "select count(*) from raw.users") == [(3,)]
        ((source,),) = fetch(connection, "select distinct source from raw._load_state")
        assert source == f"postgresql://{host}:{port}/postgres/public"
        said = [done.stdout, done.stderr, source]
        for wrong in ("geheim%2542@", "geheim-no@"):
            database_name = "/postgres" if wrong == "geheim-no@" else "/nowhere"
            failed = command(
                database,
                link.replace("geheim%2542@", wrong).replace("/postgres", database_name),
            )
            assert failed.returncode == 1
            assert "The source database does not answer" in " ".join(failed.stderr.split())
            said += [failed.stdout, failed.stderr]
        assert "password authentication failed" in " ".join(said[-1].split())
        for text in said:
            assert "geheim" not in text
            assert "Traceback" not in text


def command(database, *arguments: str) -> subprocess.CompletedProcess:
    return warehouse(database, "load", *arguments)


@pytest.mark.parametrize(
    "link",
    [
        "postgresql://u:pa@ss@host/db",
        "postgresql://u:secret@host:notaport/db",
        "postgresql://u:secret@host:99999999/db",
        "postgresql://u:secret@/db?nonsense=1",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(connection, link: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        load_database(link, connection=connection)
    assert "secret" not in str(caught.value)
    assert "ss@" not in str(caught.value)


def test_values_of_a_source_have_the_forms_of_files(source, connection) -> None:
    source.execute("alter table users alter created_at type text")
    source.execute("insert into users select n, 'e', '2024-01-01' from generate_series(1, 20) as n")
    source.execute("insert into users values (21, 'e', '2024-01-01 06:00:00 UTC+3')")
    load_database(address(source), connection=connection, tables=("users",))
    rows = connection.execute("select reason from quarantine.rejected_rows").fetchall()
    assert rows == [('created_at: no ISO date or time: "2024-01-01 06:00:00 UTC+3"',)]
