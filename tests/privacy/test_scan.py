"""The scan finds personal data in columns that nobody tagged, and shows counts only."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests.privacy.corpus import Corpus, make_card, make_corpus, scores
from tests.support.database import Database, ask, do
from warehouse.errors import WarehouseError
from warehouse.privacy import scan as scanning
from warehouse.privacy.detect import KINDS, find, find_in_json, known_names
from warehouse.privacy.scan import Finding, NotScanned, read_names, relations_in, scan

NAMES = sql.SQL("select first_name, last_name from app.users")
PEOPLE = [("Ada", "O'Brien"), ("Zoë", "Müller"), ("Ana María", "de la Cruz")]


def scanned(
    database: Database,
    *relations: str,
    tagged: Collection[tuple[str, str, str]] = (),
    schema: str = "app",
    **options: object,
) -> list[Finding | NotScanned]:
    """What the scan of some relations yields; of all in the schema if none is named."""
    with database.connect() as session:
        wanted = [(schema, name) for name in relations] or relations_in(session, [schema])
        return list(scan(session, wanted, tagged, **options))


def kinds_by_column(results: Collection[Finding | NotScanned]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in results:
        assert isinstance(each, Finding), each
        found.setdefault(f"{each.relation}.{each.column}", []).append(each.kind)
    return found


@pytest.fixture
def app(database: Database) -> Database:
    """A database with a schema and an empty table of users."""
    do(
        database,
        "create schema app",
        "create table app.users (user_id text, first_name text, last_name text)",
    )
    return database


def insert(database: Database, table: str, rows: Collection[tuple]) -> None:
    with database.connect() as session, session.cursor() as cursor:
        marks = ", ".join(["%s"] * len(next(iter(rows))))
        cursor.executemany(f"insert into {table} values ({marks})", rows)


# --- the corpus ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return make_corpus()


def test_the_corpus_is_told_apart(corpus: Corpus) -> None:
    for each in scores(corpus):
        assert each.planted >= 300
        assert each.precision >= 0.95, each
        assert each.recall >= 0.95, each


def test_each_column_of_the_corpus_is_reported_with_its_kind(app: Database, corpus: Corpus) -> None:
    """One column per kind, of text and of json, and the same for harmless values."""
    insert(app, "app.users", [(str(place), *user) for place, user in enumerate(corpus.users)])
    by_kind = {
        f"{kind or 'none'}_{form}": [
            value.text
            for value in corpus.values
            if value.kind == kind and value.is_json == (form == "json")
        ]
        for kind in (*KINDS, None)
        for form in ("text", "json")
    }
    for column, values in by_kind.items():
        do(app, f"create table app.{column} (value {column.partition('_')[2]})")
        insert(app, f"app.{column}", [(value,) for value in values])

    results = scanned(app, *by_kind, names_query=NAMES)
    assert kinds_by_column(results) == {
        f"{kind}_{form}.value": [kind] for kind in KINDS for form in ("text", "json")
    }
    known = known_names(corpus.users)
    for each in results:
        assert isinstance(each, Finding)
        search = find_in_json if each.relation.endswith("_json") else find
        found = [each.kind in search(text, known, "value") for text in by_kind[each.relation]]
        assert each.sampled == len(found) == len(by_kind[each.relation])
        assert each.share == sum(found) / len(found) >= 0.9


# --- columns ------------------------------------------------------------------------------------


def test_untagged_columns_of_every_type_are_found(app: Database) -> None:
    insert(app, "app.users", [(str(place), *user) for place, user in enumerate(PEOPLE)])
    do(
        app,
        "create domain app.address as text",
        'create table app."All ""kinds""" ('
        " id int, mail text, short varchar(60), padded char(60), domained app.address,"
        ' listed text[], host inet, data jsonb, "Plain%sJson" json, harmless text,'
        " price numeric, at timestamptz)",
        *(
            'insert into app."All ""kinds""" values'
            f" ({number}, 'u{number}@example.com', 'tel 030 12345{number:02}', 'Ada O''Brien',"
            f" 'u{number}@example.com', array['x', 'u{number}@example.com'], '203.0.113.{number}',"
            f""" '{{"contact": {{"phone": 21255501{number:02}}}}}',"""
            r""" '["M\u00fcller, Zo\u00eb"]',"""
            f" 'SKU-{number}', 1.5, now())"
            for number in range(1, 31)
        ),
    )
    results = scanned(app, 'All "kinds"', names_query=NAMES)
    everything = {
        "mail": "email",
        "short": "phone",
        "padded": "name",
        "domained": "email",
        "listed": "email",
        "host": "ip",
        "data": "phone",
        "Plain%sJson": "name",
    }
    assert results == [
        Finding("app", 'All "kinds"', column, kind, 1.0, 30) for column, kind in everything.items()
    ]
    # Tagged ones are left out, by their exact names.
    tagged = {
        *(("app", 'All "kinds"', column) for column in ("mail", "Plain%sJson")),
        *(("app", "users", "short"), ("raw", 'All "kinds"', "short")),
    }
    left = scanned(app, 'All "kinds"', names_query=NAMES, tagged=tagged)
    assert [each.column for each in left] == [
        column for column in everything if column not in ("mail", "Plain%sJson")
    ]
    # Without names, none are found.
    assert "name" not in {each.kind for each in scanned(app, 'All "kinds"')}


def test_few_values_are_not_reported(app: Database) -> None:
    do(
        app,
        "create table app.notes (often text, seldom text, once text, twice text, empty text)",
        "insert into app.notes select"
        " case when n <= 10 then n || '@example.com' else 'fine' end,"
        " case when n <= 9 then n || '@example.com' else 'fine' end,"
        " case when n = 1 then '1@example.com' end,"
        " case when n <= 2 then n || '@example.com' else case when n <= 200 then 'fine' end end"
        " from generate_series(1, 1000) as n",
        "create table app.nothing (note text, data jsonb)",
        "create table app.no_columns ()",
        "create table app.numbers (id int)",
    )
    assert scanned(app) == [
        Finding("app", "notes", "often", "email", 0.01, 1000),
        Finding("app", "notes", "twice", "email", 0.01, 200),
    ]
    assert [each.column for each in scanned(app, "notes", least_share=0.009)] == [
        *("often", "seldom", "twice"),
    ]
    assert [each.column for each in scanned(app, "notes", least_values=1)] == [
        *("often", "once", "twice"),
    ]


def test_a_column_of_long_numbers_is_not_one_of_cards(app: Database) -> None:
    """One in ten numbers passes Luhn's formula."""
    import random

    rng = random.Random(5)  # noqa: S311
    rows = [(f"4{rng.randrange(10**15):015}", f"note: {make_card(rng)}") for _ in range(500)]
    by_chance = sum("card" in find(number) for number, _ in rows)
    assert by_chance > 20
    do(app, "create table app.payments (payment_no text, note text)")
    insert(app, "app.payments", rows)
    assert scanned(app, "payments") == [Finding("app", "payments", "note", "card", 1.0, 500)]


# --- samples ------------------------------------------------------------------------------------


def test_large_tables_and_views_are_sampled(app: Database) -> None:
    mails = "n || case when n % 10 < 7 then '@example.com' else '' end as mail"
    do(
        app,
        f"create table app.large as select {mails} from generate_series(1, 30000) as n",
        "create view app.seen as select mail from app.large",
        "create materialized view app.stored as select mail from app.large",
        "create table app.parts (mail text, n int) partition by range (n)",
        "create table app.parts_1 partition of app.parts for values from (0) to (15000)",
        "create table app.parts_2 partition of app.parts for values from (15000) to (40000)",
        f"insert into app.parts select {mails}, n from generate_series(1, 30000) as n",
        f"create table app.small as select {mails} from generate_series(1, 1500) as n",
    )
    # None was analyzed; a partitioned table never is by itself.
    results = scanned(app, sample_rows=100)
    assert [(each.relation, each.kind) for each in results] == [
        (name, "email") for name in ("large", "parts", "seen", "small", "stored")
    ]
    assert {each.relation: each.sampled for each in results} == {
        **dict.fromkeys(("large", "parts", "seen", "stored"), 100),
        "small": 1500,
    }
    assert all(0.5 < each.share < 0.9 for each in results)
    # The same sample each time.
    assert scanned(app, sample_rows=100) == results


def test_a_table_whose_sample_is_empty_is_read_from_its_beginning(app: Database) -> None:
    """As after most rows were deleted: the rows that are left are in a few blocks."""
    do(
        app,
        "create table app.large (mail text)",
        "insert into app.large select n || '@example.com' from generate_series(1, 100000) as n",
        "analyze app.large",
        "delete from app.large where ctid >= '(2,0)'",
    )
    (found,) = scanned(app, "large", sample_rows=20)
    assert isinstance(found, Finding) and found.share == 1.0 and 0 < found.sampled <= 20


# --- relations that cannot be read --------------------------------------------------------------


@contextlib.contextmanager
def reader(database: Database) -> Iterator[psycopg.Connection]:
    """A session of a role that may read the schema, but only what it is granted."""
    role = f"pii_reader_{os.getpid()}"
    with database.connect() as session:
        session.execute(f"create role {role}")
        session.execute(f"grant usage on schema app to {role}")
        session.commit()
        session.execute(f"set role {role}")
        session.commit()
        try:
            yield session
        finally:
            session.rollback()
            session.execute("reset role")
            session.execute(f"drop owned by {role}")
            session.execute(f"drop role {role}")


def test_what_cannot_be_read_is_named_and_the_rest_is_scanned(app: Database) -> None:
    do(
        app,
        "create table app.open (mail text)",
        "insert into app.open select n || '@example.com' from generate_series(1, 5) as n",
        "create table app.secret as select * from app.open",
        "create view app.broken as select (mail || '')::int::text as mail from app.open",
        "create materialized view app.unfilled as select mail from app.open with no data",
        "create schema closed",
        "create table closed.hidden as select * from app.open",
    )
    with reader(app) as session:
        session.execute("reset role")
        session.execute("grant select on app.open, app.broken, app.unfilled to public")
        session.commit()
        session.execute(f"set role pii_reader_{os.getpid()}")
        session.commit()
        wanted = [
            *(("app", name) for name in ("dropped", "secret", "broken", "unfilled", "open")),
            *(("closed", "hidden"), ("nowhere", "x")),
        ]
        results = list(scan(session, wanted, set()))
        assert results == [
            NotScanned("app", "dropped", "it no longer exists"),
            NotScanned("app", "secret", "permission denied"),
            NotScanned(
                "app",
                "broken",
                "the query failed with SQLSTATE 22P02 (InvalidTextRepresentation)",
            ),
            NotScanned(
                "app", "unfilled", "it cannot be read now, such as a materialized view without data"
            ),
            Finding("app", "open", "mail", "email", 1.0, 5),
            NotScanned("closed", "hidden", "permission denied"),
            NotScanned("nowhere", "x", "it no longer exists"),
        ]
        with pytest.raises(WarehouseError, match=r"could not be read: permission denied\. Correct"):
            read_names(session, NAMES)
        # The session is usable, and may write again.
        session.execute("create temporary table t (n int)")


def test_a_relation_that_vanishes_during_the_scan_is_named(
    app: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one before its rows are read, the third before its columns."""
    for name in ("first", "second", "third"):
        do(
            app,
            f"create table app.{name} (mail text)",
            f"insert into app.{name} values ('a@example.com'), ('b@example.com')",
        )
    samples = scanning._samples

    def drop(*arguments: object) -> Iterator[sql.Composable]:
        if ask(app, "select to_regclass('app.second') is not null"):
            do(app, "drop table app.second")
            yield sql.SQL("")
        else:
            yield from samples(*arguments)

    with app.connect() as session:
        results = scan(session, relations_in(session, ["app"]), set())
        assert next(results) == Finding("app", "first", "mail", "email", 1.0, 2)
        # Nothing is locked while the caller holds a result.
        do(app, "set lock_timeout = '5s'", "drop table app.first", "drop table app.third")
        monkeypatch.setattr(scanning, "_samples", drop)
        assert list(results) == [
            NotScanned("app", name, "it no longer exists") for name in ("second", "third")
        ]


def test_a_locked_relation_is_named(app: Database) -> None:
    do(app, "create table app.locked (mail text)", "create table app.other (mail text)")
    with app.connect() as holder, app.connect() as session:
        holder.execute("lock table app.locked in access exclusive mode")
        session.execute("set lock_timeout = '50ms'")
        session.commit()
        results = list(scan(session, [("app", "locked"), ("app", "other")], set()))
    assert results == [NotScanned("app", "locked", "it is locked by another session")]


def test_a_lost_connection_is_an_error(app: Database) -> None:
    do(app, "create table app.one (mail text)")
    with app.connect() as session:
        results = scan(session, [("app", "one")], set())
        do(app, f"select pg_terminate_backend({session.info.backend_pid}, 5000)")
        with pytest.raises(psycopg.Error):
            list(results)


# --- what it leaves behind ----------------------------------------------------------------------


def test_no_value_is_shown_and_nothing_is_written(app: Database) -> None:
    do(
        app,
        "create table app.notes (note text)",
        "insert into app.notes values ('secret1@example.com'), ('secret2@example.com')",
        "create table app.written (n int)",
        "create function app.writes() returns text language sql as"
        " $$ insert into app.written values (1); select 'secret3@example.com' $$",
        "create view app.writing as select app.writes() as note",
    )
    results = scanned(app, "notes", "writing")
    assert results[1:] == [
        NotScanned(
            "app", "writing", "the query failed with SQLSTATE 25006 (ReadOnlySqlTransaction)"
        )
    ]
    assert "secret" not in repr(results) + json.dumps([*map(dataclasses.asdict, results)])
    assert ask(app, "select count(*) from app.written") == 0


def test_any_session_will_do(app: Database) -> None:
    """In autocommit mode, with other rows, with a search_path that hides functions."""
    insert(app, "app.users", [(str(place), *user) for place, user in enumerate(PEOPLE)])
    do(
        app,
        "create schema evil",
        "create function evil.left(text, int) returns text language sql as $$ select '' $$",
        "create table app.notes (note text)",
        "insert into app.notes values ('for Ada O''Brien'), ('Zoe Muller called')",
    )
    with app.connect() as session:
        session.autocommit = True
        session.row_factory = dict_row  # type: ignore[assignment]
        session.execute("set search_path = evil, pg_catalog")
        results = list(scan(session, [("app", "notes")], set(), names_query=NAMES))
        assert results == [Finding("app", "notes", "note", "name", 1.0, 2)]
        assert read_names(session, NAMES, 1) <= read_names(session, NAMES)
        assert len(read_names(session, NAMES, 1)) == 2


def test_relations_of_schemas(app: Database) -> None:
    do(
        app,
        "create table app.parts (n int) partition by range (n)",
        "create table app.parts_1 partition of app.parts for values from (0) to (10)",
        "create view app.seen as select 1 as n",
        "create sequence app.numbers",
        "create schema other",
        "create table other.one ()",
        "create table public.one ()",
    )
    with app.connect() as session:
        assert relations_in(session, ["other", "app", "nowhere"]) == [
            *(("app", "parts"), ("app", "seen"), ("app", "users"), ("other", "one")),
        ]
        assert relations_in(session, []) == []
