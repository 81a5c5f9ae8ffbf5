"""The files of a mapping: written, kept, checked, applied as views, and read by a load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from typer.testing import CliRunner

from tests.support.database import Database, new_database
from warehouse import contract as contracts
from warehouse import mapping
from warehouse.cli import app
from warehouse.dbt import LAST_LOAD
from warehouse.errors import WarehouseError
from warehouse.init import files, guess
from warehouse.init.apply import apply
from warehouse.init.check import check, masked
from warehouse.init.command import _command, propose, seeds, without_password
from warehouse.init.guess import Choices, Proposal
from warehouse.load import Reporter, load_database
from warehouse.server import Server

SHOP = """
create table customers (
    id bigint primary key, mail text, full_name text, registered timestamp, changed_at timestamptz
);
create table orders (
    id bigint primary key, customer_id bigint references customers, status text,
    placed_at timestamptz, changed_at timestamptz
);
insert into customers
select n, 'ada' || n || '@example.org', 'Ada L', '2026-01-01 12:00', '2026-01-01'
from generate_series(1, 12) n;
insert into orders select n, n, 'Paid', '2026-02-01', '2026-02-01' from generate_series(1, 12) n;
"""
CONTRACT = contracts.read()


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[Database]:
    """A database with a small shop in `public`, and nothing else in it."""
    with new_database(server) as made:
        with made.connect() as session:
            session.execute(SHOP)
        yield made


@pytest.fixture
def session(shop: Database) -> Iterator[psycopg.Connection]:
    """What a test does on it is rolled back."""
    with shop.connect() as connected:
        yield connected
        connected.rollback()


def address(shop: Database) -> str:
    host = quote(shop.environment["PGHOST"], safe="")
    user, port = shop.environment["PGUSER"], shop.environment["PGPORT"]
    return f"postgresql://{user}:secret@{host}:{port}/{shop.name}"


def written(
    session: psycopg.Connection,
    folder: Path,
    choices: Choices | None = None,
    **edits: tuple[str, str],
) -> dict[str, mapping.Mapping]:
    """Write the proposals, edit some files, and read the folder."""
    choices = choices or Choices(time_zone="UTC", currency="EUR")
    for each in propose(session, "public", CONTRACT, choices)[0]:
        if each.relation is not None:
            files.write(folder, each, force=False)
    for table, (before, after) in edits.items():
        path = folder / f"{table}.sql"
        text = path.read_text()
        assert before in text, text
        path.write_text(text.replace(before, after))
    return mapping.read(folder, CONTRACT)


def checked(
    session: psycopg.Connection, found: dict[str, mapping.Mapping], capsys: pytest.CaptureFixture
) -> tuple[bool, str]:
    is_fine = check(session, CONTRACT, found, seeds(), is_stamped=False)
    return is_fine, capsys.readouterr().out


def test_the_files_are_written_once_and_then_kept(
    session: psycopg.Connection, tmp_path: Path
) -> None:
    def write(choices: Choices, *, force: bool = False) -> str:
        users = propose(session, "public", CONTRACT, choices)[0][0]
        assert users.table.name == "users"
        return files.write(tmp_path, users, force=force)

    path = tmp_path / "users.sql"
    assert write(Choices()) == "written"
    assert write(Choices()) == "unchanged"
    assert "-- OPEN: registered has no time zone" in path.read_text()
    assert write(Choices(time_zone="UTC")) == "replaced"
    edited = path.read_text().replace("source.mail::text", "lower(source.mail)")
    path.write_text(edited)
    assert write(Choices()) == "kept, edited"
    assert path.read_text() == edited
    assert write(Choices(), force=True) == "replaced"
    assert "lower" not in path.read_text()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clients.sql", "select 1", "clients.sql is not named after a table of the contract"),
        ("users.sql", "select 1; select 2", "more than one statement"),
        ("users.sql", "delete from users", "must be a select, but begins with delete"),
        ("users.sql", "-- nothing", "must be a select, but begins with nothing"),
        ("notes.md", "", "no file such as orders.sql"),
    ],
)
def test_a_folder_with_something_else_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(WarehouseError, match=message):
        mapping.read(tmp_path, CONTRACT)


def test_comments_and_a_last_semicolon_do_not_matter(tmp_path: Path) -> None:
    texts = ["select ';--' as a -- one; two\n", "/* ; */ select ';--'\n  as a; -- end"]
    found = []
    for text in texts:
        (tmp_path / "users.sql").write_text(text)
        found.append(mapping.read(tmp_path, CONTRACT)["users"])
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].query == "select ';--' as a"


def test_a_right_mapping_is_shown_with_masked_rows(
    session: psycopg.Connection, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    is_fine, shown = checked(session, written(session, tmp_path), capsys)
    assert is_fine
    assert "a***@example.org" in shown
    assert "ada1" not in shown
    assert "Ada" not in shown
    assert "user_id exists in users in 12 of 12 rows" in shown
    assert "order_date from 2026-02-01" in shown
    assert shown.count("@example.org") == 10
    assert "Warning" not in shown
    assert [masked("phone", "123"), masked("properties", "{}")] == ["***", "***"]


@pytest.mark.parametrize(
    ("table", "before", "after", "message"),
    [
        ("users", "source.id::text", "(source.id % 2)::text", "the key, is repeated in 10 rows"),
        ("users", "source.id::text", "nullif(source.id, 1)::text", "is null in 1 of 12 rows"),
        ("users", "as email", "as mail", "mail is not a column of the contract"),
        ("users", "at time zone 'UTC'", "", r"created_at is timestamp without time zone: write"),
        ("users", "null::date", "''::date", "invalid input syntax for type date"),
        ("users", "source.mail", "source.gone", "the select fails: column source.gone does not"),
        ("orders", "source.customer_id::text", "'x' || source.id", "is it the key of another"),
        ("orders", "source.status::text", "'late'::text", "not in seeds/order_statuses.csv: late"),
    ],
)
def test_what_is_wrong_is_found(
    session: psycopg.Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    table: str,
    before: str,
    after: str,
    message: str,
) -> None:
    found = written(session, tmp_path, **{table: (before, after)})
    is_fine, shown = checked(session, found, capsys)
    assert message in shown
    assert is_fine == ("seeds" in message)


def test_a_column_that_is_left_out_is_null_in_a_load(
    session: psycopg.Connection, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Views need it; a load only warns."""
    found = written(session, tmp_path, orders=("'EUR'::text as currency,", ""))
    is_fine, shown = checked(session, found, capsys)
    assert is_fine
    assert "lacks currency, which will be null" in shown
    assert not check(session, CONTRACT, found, seeds(), is_stamped=True)
    assert "lacks currency, _loaded_at, _deleted_at: select a null" in capsys.readouterr().out


def test_a_mapping_becomes_views(
    session: psycopg.Connection, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    choices = Choices(time_zone="UTC", currency="EUR", is_stamped=True)
    found = written(session, tmp_path, choices)
    with pytest.raises(
        WarehouseError, match=r"2 lines are still marked OPEN(.|\n)*users.sql, line"
    ):
        apply(session, CONTRACT, found, tmp_path)
    assert session.execute("select to_regnamespace('raw')").fetchone() == (None,)
    for path in tmp_path.glob("*.sql"):
        path.write_text(path.read_text().replace("-- OPEN: is it set", "-- it is set"))
    for _ in range(2):
        apply(session, CONTRACT, mapping.read(tmp_path, CONTRACT), tmp_path)
    shown = capsys.readouterr().out
    assert "create index concurrently on customers ((id::text));" in shown
    assert "sources_present: [users, orders]" in shown
    rows = session.execute(
        "select user_id, created_at, _loaded_at is not null, xmin is not null from raw.users"
    ).fetchall()
    assert len(rows) == 12
    assert {row[2:] for row in rows} == {(True, True)}
    session.execute(
        "create index on customers ((id::text)); create index on customers (changed_at)"
    )
    apply(session, CONTRACT, mapping.read(tmp_path, CONTRACT), tmp_path)
    shown = capsys.readouterr().out
    assert "customers ((" not in shown
    assert "orders ((id::text))" in shown

    session.execute("drop view raw.users; create table raw.users (user_id text)")
    with pytest.raises(WarehouseError, match=r"raw\.users is a table"):
        apply(session, CONTRACT, mapping.read(tmp_path, CONTRACT), tmp_path)


def test_a_load_reads_through_a_mapping(
    shop: Database, database: Database, session: psycopg.Connection, tmp_path: Path
) -> None:
    found = written(session, tmp_path)
    session.rollback()
    with database.connect() as connection:

        def load(found: dict[str, mapping.Mapping], **options: object) -> list[tuple]:
            summaries = load_database(
                address(shop), connection=connection, mapping=found, **options
            )
            return [(each.table, each.read, each.new, each.changed) for each in summaries]

        connection.autocommit = True
        report = Reporter()
        assert load(found, report=report) == [("users", 12, 12, 0), ("orders", 12, 12, 0)]
        assert not report.warnings
        row = connection.execute(
            "select user_id, email, created_at::text, updated_at::date::text from raw.users"
            " where user_id = '3'"
        ).fetchone()
        assert row[:2] == ("3", "ada3@example.org")
        connection.execute("set timezone = 'UTC'")
        # Only the overlap is read again; a comment changes nothing.
        path = tmp_path / "users.sql"
        path.write_text("-- note\n" + path.read_text())
        with shop.connect() as source:
            source.execute("update customers set changed_at = '2026-05-01' where id = 1")
        assert load(mapping.read(tmp_path, CONTRACT))[0] == ("users", 12, 0, 1)
        assert load(mapping.read(tmp_path, CONTRACT))[0] == ("users", 1, 0, 0)
        # A changed select reads everything again: the rows that it changes did not change.
        path.write_text(path.read_text().replace("source.mail::text", "upper(source.mail)"))
        assert load(mapping.read(tmp_path, CONTRACT))[0] == ("users", 12, 0, 12)

        path.write_text(path.read_text().replace(" at time zone 'UTC'", ""))
        with pytest.raises(WarehouseError, match=r"users.sql: created_at has no time zone"):
            load(mapping.read(tmp_path, CONTRACT))
        path.write_text("select nothing from customers -- OPEN: to do")
        with pytest.raises(WarehouseError, match=r'users.sql: column "nothing" does not exist'):
            load(mapping.read(tmp_path, CONTRACT))
        path.write_text(
            "select id::text as user_id, null::text as email -- OPEN: x\nfrom customers"
        )
        report = Reporter()
        load(mapping.read(tmp_path, CONTRACT), report=report, tables=("users",))
        assert any("has 1 lines marked OPEN" in text for text in report.warnings)


def test_a_select_without_transactions_may_hold_a_percent_sign(
    shop: Database, database: Database, tmp_path: Path
) -> None:
    """Its second load counts the rows before the overlap."""
    (tmp_path / "users.sql").write_text(
        "select id::text as user_id, changed_at as updated_at from customers where mail like '%@%'"
    )
    with database.connect() as connection:
        connection.autocommit = True
        for _ in range(2):
            (summary,) = load_database(
                address(shop),
                connection=connection,
                mapping=mapping.read(tmp_path, CONTRACT),
                tables=("users",),
            )
    assert (summary.new, summary.changed) == (0, 0)


def test_a_file_may_begin_with_the_mark_of_utf8(tmp_path: Path) -> None:
    path = tmp_path / "users.sql"
    path.write_bytes(b"\xef\xbb\xbfselect 1")
    assert mapping.read(tmp_path, CONTRACT)["users"].query == "select 1"
    path.write_bytes("select 'é'".encode("latin-1"))
    with pytest.raises(WarehouseError, match=r"users\.sql is not UTF-8 text"):
        mapping.read(tmp_path, CONTRACT)


def test_views_are_created_in_a_database_that_is_named(
    shop: Database, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    for table in ("users", "orders"):
        (tmp_path / f"{table}.sql").write_text("select 1 -- OPEN: to do")
    result = CliRunner().invoke(app, ["init", "--apply", "--mapping", str(tmp_path)])
    assert "still marked OPEN" in str(result.exception)
    assert "Database: " in result.output
    assert database.name in result.output


def test_the_next_command_can_be_copied() -> None:
    shown = _command("load", "host=db.example dbname=shop", Path("mapping"))
    assert shown == ".venv/bin/warehouse load 'host=db.example dbname=shop' --mapping mapping"


def nothing(table: str) -> Proposal:
    return guess.nothing(CONTRACT.tables[table], "OPEN", "to be written", is_stamped=False)


def test_the_commands_follow_each_other(
    shop: Database, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command prints the next one, without the password."""
    source, written = address(shop), tmp_path / "mapping"
    folder = ("--mapping", str(written))
    # A load notes its database beside dbt's files, and the next build of this folder reads it.
    variables = {**database.environment, "DBT_TARGET_PATH": str(tmp_path / "target")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(command: str, *options: str, link: str = source) -> str:
        result = CliRunner().invoke(app, [command, link, *folder, *options])
        assert result.exit_code == 0, result.output
        assert "secret" not in result.output
        return result.output

    first = run("init", "--currency", "EUR", link=source.replace("postgresql", "POSTGRESQL"))
    assert "1 column waits for one answer: run this again with --time-zone ZONE" in first
    assert "Without" not in first
    assert "changed nothing" not in first
    # A file of an earlier run goes if the table is not found any more, unless it was edited.
    for name, end in (("events", ""), ("consents", "-- edited\n")):
        (written / f"{name}.sql").write_text(files.render(nothing(name)) + end)
    again = run("init", "--time-zone", "UTC", "--currency", "EUR", "--amounts", "cents")
    assert "--amounts changed nothing: found no amount that is a whole number" in again
    assert again.count("changed nothing") == 1
    assert "waits" not in again
    assert f"init {source.replace(':secret', '')} --mapping" in again
    assert [path.stem for path in sorted(written.iterdir())] == ["consents", "orders", "users"]
    (written / "consents.sql").unlink()
    assert f"load {source.replace(':secret', '')} --mapping {written}" in run("init", "--check")
    run("load")
    assert [path.name for path in (tmp_path / "target").iterdir()] == [LAST_LOAD]
    with database.connect() as session:
        assert session.execute("select count(*) from raw.orders").fetchone() == (12,)


def test_what_an_edited_file_leaves_open_is_not_asked(shop: Database, tmp_path: Path) -> None:
    """A missing answer or column is said of the files that are written, not of those kept."""
    with shop.connect() as session:
        session.execute(
            "create schema plain; create table plain.users (id int primary key, email text,"
            " last_login timestamp)"
        )

    def run() -> str:
        options = ["--schema", "plain", "--mapping", str(tmp_path)]
        result = CliRunner().invoke(app, ["init", address(shop), *options])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    said = (
        "1 column waits for one answer: run this again with --time-zone ZONE",
        "Without users.created_at, users without a sign-up date are in no cohort.",
        "Without users.updated_at, each load reads the whole table.",
    )
    first = run()
    assert [text for text in said if text not in first] == []
    path = tmp_path / "users.sql"
    path.write_text(path.read_text().replace("source.email::text", "lower(source.email)"))
    again = run()
    assert "Kept users: edited." in again
    assert [text for text in said if text in again] == []
    with shop.connect() as session:
        session.execute("drop schema plain cascade")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name the source: an address"),
        (("exports/",), "The source must be the address of a PostgreSQL"),
        (("mysql://reader:topsecret@host/shop",), "The source must be the address of a PostgreSQL"),
        (("--check", "--apply"), "Use one of --check and --apply at a time"),
        (("--check", "--currency", "EUR"), "--currency EUR is allowed only without --check"),
        (("postgresql://x@y/z", "--apply"), "is allowed only without --apply"),
        (("postgresql://x@y/z", "--empty"), "is allowed only without --empty"),
        (("--schema", "x", "--currency", "euro"), "must be a code of three letters, got 'euro'"),
        (("--schema", "x", "--amounts", "pence"), "must be units or cents, got 'pence'"),
        (("--schema", "x", "--table", "people=users"), "--table must be TABLE=NAME"),
    ],
)
def test_wrong_options_are_refused(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["init", *arguments])
    assert isinstance(result.exception, WarehouseError)
    assert message in str(result.exception)
    assert "topsecret" not in str(result.exception)


def test_empty_files_are_a_template(session: psycopg.Connection, tmp_path: Path) -> None:
    (tmp_path / "users.sql").write_text("select 1")
    result = CliRunner().invoke(app, ["init", "--empty", "--mapping", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "users.sql").read_text() == "select 1"
    (tmp_path / "users.sql").unlink()
    found = mapping.read(tmp_path, CONTRACT)
    assert [*found] == [name for name in CONTRACT.tables if name != "users"]
    rates = found["exchange_rates"].text
    for name in ("exchange_rate_id", "currency", "rate_date", "rate"):
        assert f"as {name}, -- OPEN: to be written" in rates
    for name, each in found.items():
        cursor = session.execute(each.query)
        assert {column.name for column in cursor.description} >= set(CONTRACT.tables[name].columns)
        assert cursor.fetchall() == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://reader@host/shop", "postgresql://reader@host/shop"),
        ("postgresql://reader:top@host:5432/shop", "postgresql://reader@host:5432/shop"),
        ("postgresql://reader@host/shop?password=top", "postgresql://..."),
        ("host=host password=top", "postgresql://..."),
    ],
)
def test_a_printed_address_has_no_password(given: str, shown: str) -> None:
    assert without_password(given) == shown
