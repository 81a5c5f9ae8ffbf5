"""Erasure: every layer forgets a person, amounts stay, and nobody who was erased comes back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from tests.retention.support import EVENTS, plan_json, retain
from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch, new_database
from tests.support.relations import contents
from warehouse.database.profile import Settings
from warehouse.errors import WarehouseError
from warehouse.load import load_folder
from warehouse.privacy import archived, audit, erase_command, keys, ledger, registry, verify
from warehouse.privacy import erase as erasing
from warehouse.privacy.registry import Registry
from warehouse.retention.policy import make_plan
from warehouse.server import Server

MARK = "mark0f9a"
NAMES = ("user_id", "visitor_id", "user_key", "dbt_scd_id", "row_key", "related_key")
NO_TESTS = dbt_project.NO_TESTS
# Rebuilt from raw; a snapshot and its readers keep states of the past.
REBUILT = ("intermediate", "marts")
TOTALS = {
    "orders": "select count(*), sum(order_amount), sum(net_amount) from marts.fct_orders",
    "lines": "select count(*), sum(line_amount) from marts.fct_order_items",
    "payments": "select count(*), sum(amount) from marts.fct_payments",
    "events": "select count(*), count(distinct session_id) from marts.fct_user_events",
    "users": "select count(*), sum(total_orders), sum(total_spent) from marts.user_analytics",
    # Versions that differed by an address only become one.
    "users of versions": "select count(distinct user_id) from marts.dim_users",
    "published": "select count(*), sum(total_spent) from published.user_analytics",
}


def connect(database: Database, options: str | None = None) -> psycopg.Connection:
    return psycopg.connect(
        host=database.environment["PGHOST"],
        port=database.environment["PGPORT"],
        user=database.environment["PGUSER"],
        dbname=database.name,
        options=keys.settings_if_any() if options is None else options,
    )


def erase(
    database: Database, manifest: Mapping[str, Any], *persons: str, of: keys.Keys, **more: Any
) -> erasing.Outcome:
    with connect(database) as session:
        held = registry.read(session, manifest)
        session.rollback()
        path = ledger.file_of(database.name)
        return erasing.erase(
            session,
            held,
            persons,
            of=of,
            target="dev",
            reason="request of the person",
            **{"before_commit": lambda _, noted: ledger.append(path, noted), **more},
        )


def found(database: Database, values: set[str]) -> dict[str, int]:
    with connect(database) as session:
        return verify.find(session, values, NAMES)[0]


def a_person(database: Database, place: int = 0) -> str:
    """A user with orders, sessions and events, and an entry in the quarantine."""
    return ask(
        database,
        "select user_id from raw.users where _deleted_at is null"
        " and user_id in (select user_id from raw.orders)"
        " and user_id in (select user_id from raw.events)"
        " and user_id in (select user_id from raw.user_sessions where visitor_id is not null)"
        f" order by user_id offset {place} limit 1",
    )


def mark(database: Database, person: str) -> None:
    """Write a mark into each personal column of the person, and two versions of the user."""
    do(
        database,
        f"update raw.users set email = '{MARK}a@shop.example', first_name = '{MARK}', last_name ="
        f" '{MARK}', phone = '{MARK}', birth_date = '1901-02-03', updated_at = now() - interval"
        f" '2 hours', _loaded_at = now() where user_id = '{person}'",
        f"update raw.events set page_url = '/{MARK}', referrer_url = '{MARK}', properties ="
        f" jsonb_build_object('{MARK}', '{MARK}'), _loaded_at = now() where user_id = '{person}'",
        # Of nobody, in a session of the person.
        "insert into raw.events select 'anonymous ' || event_id, null, session_id, event_type,"
        f" event_timestamp, '/{MARK}', null, null, now() from raw.events where user_id ="
        f" '{person}' and session_id is not null limit 3",
        "insert into quarantine.rejected_rows (table_name, file_name, line_number, reason,"
        " row_text, rejected_at, last_seen_at) values ('users', 'users.csv', 7, 'a reason',"
        f" '{person},{MARK}b@shop.example', now(), now())",
    )
    dbt_project.build(database, options=NO_TESTS)
    do(
        database,
        f"update raw.users set email = '{MARK}c@shop.example', updated_at = now(), _loaded_at ="
        f" now() where user_id = '{person}'",
    )
    dbt_project.build(database, options=NO_TESTS)


def totals(database: Database) -> dict[str, Any]:
    return {name: fetch(database, query) for name, query in TOTALS.items()}


def assert_incremental_equals_full(database: Database) -> None:
    dbt_project.build(database, options=NO_TESTS)
    incremental = contents(database, REBUILT)
    dbt_project.build(database, options=NO_TESTS, full_refresh=True)
    assert contents(database, REBUILT) == incremental


def test_every_layer_forgets_and_amounts_stay(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    person = a_person(shop)
    mark(shop, person)
    # Rows that failed a test.
    do(
        shop,
        "create schema dbt_test__audit",
        "create table dbt_test__audit.failing as select * from marts.dim_users",
        "create table dbt_test__audit.keys as select user_key as unique_field, 1 as n_records"
        " from marts.dim_users",
    )
    values = {person, MARK}
    before = found(shop, values)
    places = {name.rpartition(".")[0] for name in before}
    assert {"raw.users", "raw.events", "snapshots.snp_app__users", "marts.dim_users"} <= places
    assert {"marts.fct_user_events", "quarantine.rejected_rows", "marts.user_analytics"} <= places
    assert "dbt_test__audit.failing" in places
    assert {"published.user_analytics", "published.user_rfm", "raw.consents"} <= places
    sums, visitors = totals(shop), "select count(*) from raw.user_sessions where visitor_id = '{}'"
    (visitor,) = fetch(
        shop, f"select max(visitor_id) from raw.user_sessions where user_id = '{person}'"
    )[0]
    user_keys = {
        key
        for (key,) in fetch(
            shop, f"select user_key from marts.dim_users where user_id = '{person}'"
        )
    }
    assert len(user_keys) >= 2

    outcome = erase(shop, manifest, person, of=of)

    assert outcome.persons == 1
    assert {person, visitor, *user_keys, f"{MARK}a@shop.example"} <= outcome.values
    assert found(shop, values | outcome.values) == {}
    assert ask(shop, visitors.format(visitor)) == 0
    assert totals(shop) == sums
    assert ask(shop, "select count(*) from privacy.erased_rows") == len(outcome.rows)
    new = ask(shop, "select distinct user_id from raw.users where user_id like 'erased%'")
    keys_in_marts = fetch(
        shop,
        "select distinct user_id from marts.fct_orders where user_id like 'erased%' union"
        " select user_id from marts.user_clv where user_id like 'erased%'",
    )
    assert keys_in_marts == [(new,)]
    unknown = "select count(*) from {} as facts where not exists (select from marts.dim_users as"
    for fact in ("fct_orders", "fct_order_items", "fct_user_events", "fct_user_sessions"):
        query = f"{unknown.format('marts.' + fact)} users where users.user_key = facts.user_key)"
        assert ask(shop, query) == 0, fact

    again = erase(shop, manifest, person, of=of)
    assert again.rows == {}

    assert_incremental_equals_full(shop)
    assert found(shop, values | outcome.values) == {}
    assert totals(shop) == sums


def test_only_the_rows_of_the_person_change(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    person = a_person(shop)
    outcome = erase(shop, manifest, person, of=of)
    with connect(shop) as session:
        held = registry.read(session, manifest)
        for holding in held.holdings:
            schema, name = holding.relation.schema, holding.relation.name
            written = session.execute(
                f'select count(*) from "{schema}"."{name}" where xmin::text::bigint >='
                " (select min(xmin::text::bigint) from privacy.erased_rows)"
            ).fetchone()
            assert written == (outcome.rows.get(holding.name, 0),), holding.name
    assert outcome.rows["marts.fct_orders"] == outcome.rows["raw.orders"]


def test_those_who_shared_an_address_are_judged_again(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    person, other = a_person(shop), a_person(shop, 1)
    do(
        shop,
        "update raw.users set email = 'One@Shop.example', updated_at = now(), _loaded_at = now()"
        f" where user_id in ('{person}', '{other}')",
    )
    dbt_project.build(shop, options=NO_TESTS)
    flagged = "select row_key from intermediate.int_row_issues where rule_name ="
    flagged += f" 'email_is_of_one_user' and row_key in ('{person}', '{other}')"
    assert len(fetch(shop, flagged)) == 2
    erase(shop, manifest, person, of=of)
    dbt_project.build(shop, options=NO_TESTS)
    assert fetch(shop, flagged) == []


# --- Coming back --------------------------------------------------------------------------------


def test_a_load_of_an_old_file_brings_nobody_back(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys, sample_folder: Path
) -> None:
    person = a_person(shop)
    outcome = erase(shop, manifest, person, of=of)
    deleted = "select count(*) from raw.users where _deleted_at is not null"
    before = ask(shop, deleted), ask(shop, "select count(*) from raw.users")
    with connect(shop) as session:
        load_folder(sample_folder, connection=session, tables=("users",), complete=True)
        load_folder(sample_folder, connection=session)
    assert found(shop, outcome.values) == {}
    # The erased row is the same row for the load: it is neither new nor missing.
    assert (ask(shop, deleted), ask(shop, "select count(*) from raw.users")) == before
    dbt_project.build(shop, options=NO_TESTS)
    assert found(shop, outcome.values) == {}


def test_rejected_rows_of_a_load_bring_nobody_back(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys, tmp_path: Path
) -> None:
    person = a_person(shop)
    erase(shop, manifest, person, of=of)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "users.csv").write_text(
        "user_id,email,birth_date,created_at,updated_at\n"
        f"{person},{MARK}@shop.example,no date,2026-01-01,2026-01-01\n"
        "someone else,else@shop.example,no date,2026-01-01,2026-01-01\n"
    )
    with connect(shop) as session:
        load_folder(folder, connection=session, max_rejected=100)
    texts = [
        text
        for (text,) in fetch(
            shop, "select row_text from quarantine.rejected_rows where file_name ~ 'users.csv'"
        )
    ]
    assert len(texts) == 2
    assert sum("someone else" in text for text in texts) == 1
    assert found(shop, {person, MARK}) == {}


def test_another_tool_brings_nobody_back(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    """It writes to raw, and the next build erases before any model reads; so does one of all."""
    person = a_person(shop)
    do(
        shop,
        *(
            f"create table public.{name} as select * from raw.{name} where user_id = '{person}'"
            for name in ("users", "orders", "events", "user_sessions")
        ),
    )
    outcome = erase(shop, manifest, person, of=of)
    for options in ({}, {"full_refresh": True}):
        for name, key in {
            "users": "user_id",
            "orders": "order_id",
            "events": "event_id",
            "user_sessions": "session_id",
        }.items():
            do(
                shop,
                f"update public.{name} set _loaded_at = now()",
                f"delete from raw.{name} where {key} in (select {key} from public.{name})",
                f"insert into raw.{name} select * from public.{name}",
            )
        assert "raw.users.user_id" in found(shop, {person})
        dbt_project.build(shop, options=NO_TESTS, **options)
        places = {name for name in found(shop, outcome.values) if not name.startswith("public.")}
        assert places == set()
        assert ask(shop, "select count(*) from raw.users where user_id like 'erased%'") == 1


def erase_loaded(database: Database, is_whole: bool = False) -> int:
    with connect(database) as session:
        row = session.execute(
            "select privacy.erase_loaded(jsonb_agg(source), interval '1 day', %s)"
            " from privacy.sources",
            [is_whole],
        ).fetchone()
        assert row is not None
        return row[0]


def test_only_what_was_loaded_since_is_compared(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    """With keys of each version; a table that was replaced, and one by whole, from the start."""
    person, later = a_person(shop), a_person(shop, 1)
    erase(shop, manifest, person, of=of)
    erase(shop, manifest, later, of=keys.add_version())
    assert ask(shop, "select count(distinct left(pseudonym, 3)) from privacy.erased_keys") == 2
    assert erase_loaded(shop) == 0

    def comes_back(who: str, loaded_at: str) -> None:
        do(
            shop,
            "insert into raw.users (user_id, email, created_at, updated_at, _loaded_at) values"
            f" ('{who}', '{MARK}@shop.example', now(), now(), {loaded_at})",
        )

    for who in (person, later):
        comes_back(who, "now()")
        assert erase_loaded(shop) == 1
        assert found(shop, {who, MARK}) == {}
    # An event without a user, in a session whose user was erased before.
    do(
        shop,
        "insert into raw.events (event_id, session_id, event_type, event_timestamp, page_url,"
        f" _loaded_at) select 'anonymous', session_id, 'page_view', now(), '/{MARK}', now()"
        " from raw.user_sessions where user_id like 'erased%' limit 1",
    )
    assert [erase_loaded(shop), erase_loaded(shop)] == [1, 0]
    assert found(shop, {MARK}) == {}
    comes_back(person, "'2001-01-01'")
    assert erase_loaded(shop) == 0
    assert erase_loaded(shop, is_whole=True) == 1
    comes_back(person, "'2001-01-01'")
    do(
        shop,
        "create table raw.copied (like raw.users including all)",
        "insert into raw.copied select * from raw.users",
        "drop table raw.users cascade",
        "alter table raw.copied rename to users",
    )
    assert erase_loaded(shop) == 1
    assert found(shop, {person, later, MARK}) == {}


def test_who_may_not_write_raw_is_told(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    person = a_person(shop)
    erase(shop, manifest, person, of=of)
    do(shop, f"insert into raw.users (user_id, _loaded_at) values ('{person}', now())")
    with connect(shop) as session:
        session.execute("create role reader_of_raw")
        for statement in (
            "grant usage on schema raw, privacy to reader_of_raw",
            "grant select on all tables in schema raw, privacy to reader_of_raw",
            "grant insert, update on privacy.ledger_checks to reader_of_raw",
            "set local role reader_of_raw",
        ):
            session.execute(statement)
        with pytest.raises(psycopg.Error, match=r"the role reader_of_raw may not erase them"):
            session.execute(
                "select privacy.erase_loaded(jsonb_agg(source), interval '0', false)"
                " from privacy.sources"
            )
        session.rollback()


def test_without_the_key_nothing_is_loaded_or_built(
    shop: Database,
    manifest: Mapping[str, Any],
    of: keys.Keys,
    sample_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    erase(shop, manifest, a_person(shop), of=of)
    monkeypatch.delenv(keys.SECRET_VARIABLE)
    monkeypatch.delenv(keys.FILE_VARIABLE)
    with pytest.raises(dbt_project.DbtFailed, match="has no key to recognize them"):
        dbt_project.build(shop, "dim_date", options=NO_TESTS)
    with connect(shop, "") as session, pytest.raises(WarehouseError, match="no key to recognize"):
        load_folder(sample_folder, connection=session)


def test_a_restored_database_learns_whom_to_erase(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys, server: Server
) -> None:
    person, other = a_person(shop), a_person(shop, 1)
    with new_database(server, template=shop.name, name="backup") as backup:
        noted = [erase(shop, manifest, each, of=of) for each in (person, other)]
        values = noted[0].values | noted[1].values
        file = ledger.read_file(ledger.file_of(shop.name))
        assert [each.erasure_id for each in file] == [each.erasure_id for each in noted]
        assert person not in ledger.file_of(shop.name).read_text()
        assert found(backup, values) != {}
        with connect(backup) as session:
            held = registry.read(session, manifest)
            session.rollback()
            where = Settings({}, embedded=False, source="test", target="dev")
            assert values >= erase_command.finish_open(session, held, of, where) >= {person, other}
            assert erasing.unfinished(session, "dev", erasing.ROWS) == []
            # The trail has lost two entries; the file notes it anew.
            noted_anew = ledger.read_file(ledger.file_of(shop.name))
            assert [each.erasure_id for each in noted_anew[:2]] == [
                each.erasure_id for each in file
            ]
            assert noted_anew[2].reason == erasing.RESTORED
            entries = audit.read(session)
            audit.verify(entries, noted_anew[-1].last_entry, of)
            with pytest.raises(WarehouseError, match="noted 2 entries, and the database has 1"):
                audit.verify(entries, file[-1].last_entry, of)
            session.rollback()
            assert erase_command.finish_open(session, held, of, where) == set()
        assert found(backup, values) == {}
        assert contents(backup, REBUILT) == contents(shop, REBUILT)


def test_another_target_is_erased_too(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    """Its tables are others, from the same raw: it is not done when the first one is."""
    noted = erase(shop, manifest, a_person(shop), of=of)
    with connect(shop) as session:
        assert erasing.unfinished(session, "dev", erasing.ROWS) == []
        assert erasing.unfinished(session, "prod", erasing.ROWS) == [noted.erasure_id]


def test_archived_files_are_erased(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys, tmp_path: Path
) -> None:
    person = a_person(shop)
    mark(shop, person)
    plan = make_plan(plan_json(shop))
    plan = dataclasses.replace(plan, policies=[EVENTS])
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=62)
    assert retain(shop, plan, tmp_path / "archive", later)[1] == []
    # Dirty rows without a time, or of a future one, are left.
    assert ask(shop, "select count(*) from marts.fct_user_events") < 10

    def archived_rows() -> list[dict[str, Any]]:
        paths = sorted((tmp_path / "archive").rglob("*.parquet"))
        return [row for path in paths for row in pq.read_table(path).to_pylist()]

    before = archived_rows()
    theirs = [row for row in before if row["user_id"] == person]
    anonymous = [row for row in before if f"/{MARK}" == row["page_url"] and not row["user_id"]]
    assert len(theirs) > 3 and len(anonymous) == 3
    user_keys = {row["user_key"] for row in theirs}

    erase(shop, manifest, person, of=of)
    with connect(shop) as session:
        held = registry.read(session, manifest)
        session.rollback()
        assert len(erasing.unfinished(session, "dev", erasing.ARCHIVE)) == 1
        session.rollback()
        changed = archived.erase_archived(session, held, of, "dev")
        assert sum(changed.values()) == len(theirs) + len(anonymous)
        assert erasing.unfinished(session, "dev", erasing.ARCHIVE) == []
        session.rollback()
        assert archived.erase_archived(session, held, of, "dev") == {}
    after = archived_rows()
    assert len(after) == len(before)
    text = str(after)
    assert person not in {row["user_id"] for row in after} and MARK not in text
    assert not user_keys & {row["user_key"] for row in after} - {"-1"}
    others = [row for row in before if row not in theirs and row not in anonymous]
    assert [row for row in after if row in others] == others
    new = ask(shop, "select user_id from raw.users where user_id like 'erased%'")
    assert sum(row["user_id"] == new for row in after) == len(theirs)


def test_a_short_key_is_found_where_keys_are(shop: Database, manifest: Mapping[str, Any]) -> None:
    """The number 7 is in many rows that are nobody's."""
    do(
        shop,
        "create table public.things (user_id text, quantity text, properties jsonb, note text)",
        """insert into public.things values ('7', '1', '{}', ''), ('8', '7', '{"a": 7}', '7'),"""
        """ ('9', '1', '{"user_id": "7"}', ''), ('9', '1', '{}', 'old@shop.example wrote')""",
        "insert into quarantine.rejected_rows (table_name, file_name, line_number, reason,"
        " row_text, rejected_at, last_seen_at) values"
        " ('order_items', 'f', 1, 'r', 'line 1,7', now(), now()),"
        " ('orders', 'f', 1, 'r', 'order 1,7', now(), now())",
    )
    with connect(shop) as session:
        places, searched = verify.find(session, {"7", "OLD@shop.example"}, NAMES)
        things = {name: rows for name, rows in places.items() if name.startswith("public.")}
        assert things == {
            "public.things.user_id": 1,
            "public.things.properties": 1,
            "public.things.note": 1,
        }
        assert searched > 100
        session.rollback()
        held = registry.read(session, manifest)
        session.rollback()
        counted = erasing.count(session, held, ["7"])
        assert counted == {"quarantine.rejected_rows": 1}
        assert ask(shop, "select count(*) from privacy.erasures") == 0


# --- Failures -----------------------------------------------------------------------------------


def test_a_killed_erasure_changes_nothing_and_is_finished_later(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    """The file has it, and the database does not: as after a restore."""
    person = a_person(shop)
    before = contents(shop)

    def killed(_: Any, noted: ledger.Erasure) -> None:
        ledger.append(ledger.file_of(shop.name), noted)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase(shop, manifest, person, of=of, before_commit=killed)
    assert contents(shop) == before
    assert ask(shop, "select count(*) from privacy.erased_keys") == 0
    with connect(shop) as session:
        held = registry.read(session, manifest)
        session.rollback()
        missing = erasing.restore_ledger(session, ledger.read_file(ledger.file_of(shop.name)))
        outcome = erasing.erase_again(session, held, missing, of=of, target="dev")
    assert outcome.persons == 1
    assert found(shop, {person}) == {}


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    first = ledger.Erasure("a", "2026-01-01", "me", "why", 1, (("user_id", "p1_0"),), (1, "p1_1"))
    ledger.append(file, first)
    with file.open("a") as end:
        end.write('{"erasure_id": "b", "era')
    assert ledger.read_file(file) == [first]
    second = ledger.Erasure("c", "2026-01-02", "me", "why", 1, (("user_id", "p1_2"),), (2, "p1_3"))
    ledger.append(file, second)
    assert ledger.read_file(file) == [first, second]
    file.write_text("no json\n" + file.read_text())
    with pytest.raises(WarehouseError, match=r"Line 1 of the ledger .* cannot be read"):
        ledger.read_file(file)


def test_a_legal_hold_stops_an_erasure(shop: Database) -> None:
    do(shop, "insert into privacy.legal_holds values ('7', 'case 12/2026', 'me', now())")
    with connect(shop) as session:
        with pytest.raises(WarehouseError, match=r"legal hold stops .*\n- 7: case 12/2026"):
            erasing.check_holds(session, ["5", "7"])
        erasing.check_holds(session, ["5"])


def test_a_column_of_numbers_cannot_hold_a_replaced_key(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    do(shop, "create table raw.numbered as select 5::bigint as user_id")
    do(shop, "drop table raw.consents cascade", "alter table raw.numbered rename to consents")
    with pytest.raises(
        psycopg.Error, match=r"raw\.consents\.user_id is of type bigint, and the key"
    ):
        erase(shop, manifest, "5", of=of)


def test_a_column_that_cannot_be_emptied_is_named(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys
) -> None:
    do(
        shop,
        "delete from marts.dim_users where birth_date is null",
        "alter table marts.dim_users alter birth_date set not null",
    )
    with pytest.raises(psycopg.Error, match=r"marts\.dim_users\.birth_date is not null and of"):
        erase(shop, manifest, a_person(shop), of=of)


# --- The bytes ----------------------------------------------------------------------------------


@pytest.mark.long
def test_the_files_do_not_hold_the_bytes_after_a_rewrite(
    shop: Database, manifest: Mapping[str, Any], of: keys.Keys, server: Server
) -> None:
    """VACUUM alone makes the space free, and leaves bytes in it until other rows take it."""
    person = a_person(shop)
    mark(shop, person)
    names = ("raw.users", "raw.events", "snapshots.snp_app__users", "marts.dim_users")

    def marked() -> set[str]:
        do(shop, "checkpoint")
        files = {name: ask(shop, f"select pg_relation_filepath('{name}')") for name in names}
        return {
            name
            for name, path in files.items()
            if MARK.encode() in (server.data / path).read_bytes()
        }

    assert marked() == {*names}
    erase(shop, manifest, person, of=of)
    with connect(shop) as session:
        held: Registry = registry.read(session, manifest)
        session.commit()
        session.autocommit = True
        for step, rewrite in ((erasing.VACUUM, False), (erasing.REWRITE, True)):
            assert len(erasing.unfinished(session, "dev", step)) == 1
            erasing.vacuum(session, held, "dev", rewrite=rewrite)
            assert erasing.unfinished(session, "dev", step) == []
    assert marked() == set()
    statistics = "select count(*) from pg_stats where concat(most_common_vals::text,"
    assert ask(shop, f"{statistics} histogram_bounds::text) ~ '{MARK}'") == 0
