"""The indexes of a table match its model's configuration; readers and writers are not blocked.

The tests check the catalog. A small project with this project's macros runs on both versions of
PostgreSQL; the tests of the marts query a copy of the built sample.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import need_extension, new_database
from tests.support.server import FAST, temporary_server
from tests.support.small_project import (
    IMPATIENCE,
    LONGER_THAN_IMPATIENCE,
    polled,
    undescribed_macros,
)

# A table, and a similar one partitioned by month. Incremental runs add no rows.
THINGS = """
{{ config(materialized='incremental') }}
select n as id, 'user' || n || '@example.com' as email, n % 10 as kind
from generate_series(1, 1000) as n
{% if is_incremental() %} where false {% endif %}
"""
HAPPENINGS = """
{{ config(
    materialized='incremental',
    partition_by={
        'fields': ['at'], 'method': 'range', 'granularity': 'month', 'default_partition': true
    },
) }}
select n as id, n % 10 as kind, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 hour' as at
from generate_series(1, 1000) as n
{% if is_incremental() %} where false {% endif %}
"""
VERSIONS = """
{{ config(
    materialized='incremental',
    no_overlaps={'key': 'user_id', 'valid_from': 'effective_date', 'valid_to': 'expiry_date'},
) }}
select
    'a' as user_id,
    timestamptz '2026-01-01 00:00:00+00' as effective_date,
    timestamptz '2026-02-01 00:00:00+00' as expiry_date,
    timestamptz '2026-03-01 00:00:00+00' as end_date
{% if is_incremental() %} where false {% endif %}
"""
KEYED = """
{{ config(materialized='incremental', incremental_strategy='changed_keys', unique_key='id') }}
select n as id, n % 10 as kind, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 hour' as at
from generate_series(1, 100) as n
"""
TABLES = {"keyed": KEYED, "things": THINGS, "happenings": HAPPENINGS, "versions": VERSIONS}


def make_project(folder: Path, models: Mapping[str, str]) -> Path:
    """Create a project with the macros and hooks of this project, and other models.

    Args:
        folder: where to create it; must not exist yet.
        models: the text of each model by its name.

    Returns:
        The folder.
    """
    own = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())
    hooks = own["models"]["analytics_warehouse"]
    (folder / "models").mkdir(parents=True)
    shutil.copytree(undescribed_macros(), folder / "macros")
    shutil.copy(dbt_project.ROOT / "profiles.yml", folder)
    project = {
        "name": "small",
        "version": "0.1.0",
        "config-version": 2,
        "profile": own["profile"],
        "flags": own["flags"],
        "vars": own["vars"],
        # They create the state of changed_keys, for which a role needs rights on the database.
        "on-run-start": [] if set(models) == {"versions"} else own["on-run-start"],
        "models": {"small": {name: hooks[name] for name in ("+pre-hook", "+post-hook")}},
    }
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(project))
    for name, text in models.items():
        (folder / "models" / f"{name}.sql").write_text(text)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project."""
    return make_project(tmp_path_factory.mktemp("indexes") / "small", TABLES)


class Place:
    """An empty database, and the small project to build in it."""

    def __init__(self, database: Any, project: Path) -> None:
        self.database = database
        self.project = project

    def build(self, model: str, *indexes: Any, **options: Any) -> None:
        """Build a model with these entries in `indexes`."""
        dbt_project.configure(self.database, model, self.project, indexes=list(indexes))
        dbt_project.run(self.database, "run", model, project=self.project, **options)

    def execute(self, *statements: str) -> None:
        """Run statements as a DBA would, each in its own transaction."""
        with self.database.connect() as session:
            session.autocommit = True
            for statement in statements:
                session.execute(statement)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.database.connect() as session:
            return session.execute(query).fetchall()

    def indexes(self, table: str) -> dict[str, str]:
        """Return the definition of each index after `using`, by its name.

        Unique indexes are prefixed with `unique`, invalid ones are suffixed with `INVALID`.
        """
        return {
            name: f"{'unique ' if unique else ''}{definition.split(' USING ')[1]}"
            f"{'' if valid else ' INVALID'}"
            for name, unique, definition, valid in self.ask(
                "select relname, indisunique, pg_get_indexdef(indexrelid), indisvalid"
                " from pg_index inner join pg_class on pg_index.indexrelid = pg_class.oid"
                f" where indrelid = '{table}'::regclass"
            )
        }

    def identities(self) -> list[tuple[Any, ...]]:
        """Return all tables and indexes with their files and the xmin of entry and comment."""
        return self.ask(
            "select pg_class.oid::bigint, relname, relfilenode::bigint, pg_class.xmin::text,"
            " pg_description.xmin::text"
            " from pg_class left join pg_description on objoid = pg_class.oid and objsubid = 0"
            " and classoid = 'pg_class'::regclass"
            " where relnamespace::regnamespace::text in ('analytics', 'partitions') order by 1"
        )


@pytest.fixture(params=["server", pytest.param("server_16", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, project: Path) -> Iterator[Place]:
    """The small project and an empty database, on the newest and the oldest PostgreSQL."""
    with new_database(request.getfixturevalue(request.param)) as database:
        yield Place(database, project)


@pytest.fixture
def newest(database: Any, project: Path) -> Place:
    """The same on the newest PostgreSQL only, for behavior that no version changes."""
    return Place(database, project)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Poll a condition until it is true, and return its result.

    Args:
        condition: the function to poll.
        what: what the test waits for, for the message.
        seconds: how long to wait.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
    return found


# --- Created, changed, dropped ----------------------------------------------------------------


def test_indexes_follow_the_model(place: Place) -> None:
    stock = [{"columns": ["id"], "unique": True}, {"columns": ["email", "kind"], "type": "btree"}]
    place.build("things", *stock)
    first = {"things_id_key": "unique btree (id)", "things_email_kind_idx": "btree (email, kind)"}
    assert place.indexes("analytics.things") == first

    # The project manages dbt's own indexes from an older build, but no index that a DBA created,
    # whatever its name.
    place.execute(
        'create index "0123456789abcdef0123456789abcdef" on analytics.things (kind)',
        "create index by_hand on analytics.things (kind)",
        "create index things_kind_idx on analytics.things (kind, id)",
        "comment on index analytics.by_hand is 'dbt: not yet'",
        "alter table analytics.things add constraint things_unique unique (email, id)",
        "comment on index analytics.things_unique"
        " is 'dbt:0123456789abcdef0123456789abcdef of analytics.things: a constraint'",
    )
    of_others = {
        "by_hand": "btree (kind)",
        "things_kind_idx": "btree (kind, id)",
        "things_unique": "unique btree (email, id)",
    }
    long = "ein_sehr_langer_Name_für_einen_Index_über_Größen_und_Straßennamen_aller_Länder"
    place.build(
        "things",
        {"columns": ["id"], "unique": True, "where": "kind > 3", "why": "changed"},
        {"columns": ["email text_pattern_ops desc nulls last", "kind ASC"], "include": ["id"]},
        {"columns": ["kind"]},
        {"expression": "lower(email)", "with": {"fillfactor": 80}, "unique": True},
        {
            "expression": "to_tsvector('simple', coalesce(email, ''))",
            "type": "gin",
            "name": "Wörter",
        },
        {"columns": ["id"], "type": "brin", "name": long},
        {"columns": ["kind"], "type": "hash", "name": "things_hash"},
        {
            "columns": ["kind", "id"],
            "unique": True,
            "nulls_not_distinct": True,
            "where": "email is not null",
        },
    )
    now = place.indexes("analytics.things")
    (cut,) = (name for name in now if name.startswith("ein_sehr"))
    assert len(cut.encode()) <= 63 and re.fullmatch(r"ein_sehr_\w+_[0-9a-f]{8}", cut)
    (aside,) = (name for name in now if re.fullmatch("things_kind_idx_[0-9a-f]{8}", name))
    assert now == {
        **of_others,
        "things_id_key": "unique btree (id) WHERE (kind > 3)",
        "things_email_kind_idx": "btree (email text_pattern_ops DESC NULLS LAST, kind)"
        " INCLUDE (id)",
        "things_expr_key": "unique btree (lower(email)) WITH (fillfactor='80')",
        "Wörter": "gin (to_tsvector('simple'::regconfig, COALESCE(email, ''::text)))",
        cut: "brin (id)",
        aside: "btree (kind)",
        "things_hash": "hash (kind)",
        "things_kind_id_key": "unique btree (kind, id) NULLS NOT DISTINCT"
        " WHERE (email IS NOT NULL)",
    }
    assert (
        "of analytics.things: changed"
        in place.ask("select obj_description('analytics.things_id_key'::regclass)")[0][0]
    )

    # The model declares no index: the build drops all managed indexes and keeps the others.
    place.build("things")
    assert place.indexes("analytics.things") == of_others


def test_a_full_refresh_keeps_the_names(place: Place) -> None:
    entries = [{"columns": ["id"], "unique": True}, {"columns": ["kind"], "name": "by_kind"}]
    for table in ("things", "things", "happenings", "happenings"):
        unique = {"columns": ["id", "at"], "unique": True}
        given = [unique, entries[1]] if table == "happenings" else entries
        if table == "happenings":
            given[1] = {"columns": ["kind"], "name": "happenings_by_kind"}
        place.build(table, *given, full_refresh=True)
        before = place.identities()
        place.build(table, *given)
        assert place.identities() == before
    assert place.indexes("analytics.things") == {
        "things_id_key": "unique btree (id)",
        "by_kind": "btree (kind)",
    }
    assert place.indexes("analytics.happenings") == {
        "happenings_id_at_key": "unique btree (id, at)",
        "happenings_by_kind": "btree (kind)",
    }
    assert place.ask("select relname from pg_class where relname ~ '_old_|__dbt_'") == []


def test_a_reason_that_changes_is_written_down_and_nothing_is_made_anew(newest: Place) -> None:
    newest.build("things", {"columns": ["id"], "why": "one"})
    query = (
        "select indexrelid::bigint, relfilenode::bigint from pg_index inner join pg_class"
        " on indexrelid = oid where indrelid = 'analytics.things'::regclass"
    )
    before = newest.ask(query)
    newest.build("things", {"columns": ["id"], "why": "another"})
    assert newest.ask(query) == before
    (comment,) = newest.ask("select obj_description('analytics.things_id_idx'::regclass)")[0]
    assert comment.endswith(": another")


# --- Concurrent readers and writers -----------------------------------------------------------


def test_nothing_is_locked_when_nothing_changed(place: Place) -> None:
    """The session's lock is the weakest one that conflicts with every change of an index."""
    entries = [{"columns": ["id"], "name": "one"}, {"columns": ["kind"], "where": "kind > 3"}]
    for table in ("things", "happenings"):
        given = [{**entries[0], "name": f"{table}_one"}, entries[1]]
        place.build(table, *given)
        before = place.identities()
        place.database.environment["WAREHOUSE_SESSION_OPTIONS"] = "-c lock_timeout=2s"
        with place.database.connect() as session:
            children = session.execute(
                f"select relid::regclass::text from pg_partition_tree('analytics.{table}')"
                f" union select 'analytics.{table}'"
            ).fetchall()
            for (name,) in children:
                session.execute(f"select count(*) from {name}")
                session.execute(f"lock table only {name} in share update exclusive mode")
            place.build(table, *given, variables={"index_lock_timeout": "2s"})
            # The session's lock does block a build that has to change an index.
            with pytest.raises(dbt_project.DbtFailed, match="lock timeout"):
                place.build(
                    table,
                    given[0],
                    variables={"index_lock_timeout": "300ms", "replace_lock_attempts": 1},
                )
        del place.database.environment["WAREHOUSE_SESSION_OPTIONS"]
        assert place.identities() == before


def is_being_made(place: Place, table: str) -> bool:
    """Whether a session is creating an index of the table concurrently."""
    return bool(
        place.ask("select from pg_stat_activity where query ~* 'create index concurrently'")
        and place.ask(
            f"select from pg_index where indrelid = '{table}'::regclass and not indisvalid"
        )
    )


@pytest.mark.parametrize("table", ["things", "happenings"])
def test_readers_and_writers_go_on_while_an_index_is_made(place: Place, table: str) -> None:
    """While an open transaction makes the build wait, new rows get into the index."""
    place.build(table)
    (child,) = place.ask(
        "select coalesce(min(relid::regclass::text) filter (where isleaf and level > 0),"
        f" 'analytics.{table}') from pg_partition_tree('analytics.{table}')"
    )[0]
    faults: list[BaseException] = []

    def build() -> None:
        try:
            place.build(table, {"columns": ["kind", "id"], "name": f"{table}_made"})
        except BaseException as fault:
            faults.append(fault)

    with place.database.connect() as old, place.database.connect() as writer:
        old.execute(f"update {child} set kind = kind where id = (select min(id) from {child})")
        thread = threading.Thread(target=build)
        thread.start()
        try:
            wait_for(lambda: faults or is_being_made(place, child), "an index that is being made")
            assert not faults, faults
            writer.execute("set lock_timeout = '1s'")
            writer.execute(
                f"insert into analytics.{table} select (row).* from (select child as row"
                f" from {child} as child limit 1) as copied"
            )
            writer.execute(f"update analytics.{table} set id = -id where id = 2")
            writer.commit()
            old.commit()
        finally:
            old.rollback()
            thread.join()
    assert not faults, faults
    assert place.indexes(f"analytics.{table}") == {f"{table}_made": "btree (kind, id)"}
    with place.database.connect() as session:
        session.execute("set enable_seqscan = off")
        query = f"select count(*) from analytics.{table} where kind = 2 and id = -2"
        plan = "\n".join(line for (line,) in session.execute(f"explain {query}"))
        assert "Index" in plan and session.execute(query).fetchone() == (1,), plan


def test_an_open_session_is_waited_for_without_the_others(newest: Place) -> None:
    """The build waits for an open session without blocking later ones.

    A writer of the parent delays the creation of the parent's index, a reader of a partition the
    attachment of the partition's index. Later sessions continue meanwhile; the build continues
    when the open session ends.
    """
    entry = {"columns": ["kind"], "name": "happenings_by_kind"}
    newest.build("happenings")
    faults: list[BaseException] = []

    def build() -> None:
        try:
            newest.build("happenings", entry)
        except BaseException as fault:
            faults.append(fault)

    def beside(hold: str, waited_for: str, *others: str) -> None:
        with newest.database.connect() as old:
            old.execute(hold)
            thread = threading.Thread(target=build)
            thread.start()
            try:
                wait_for(
                    lambda: (
                        faults
                        or newest.ask(
                            "select from pg_locks inner join pg_class on relation = pg_class.oid"
                            f" where not granted and relname ~ '{waited_for}'"
                        )
                    ),
                    "a build that waits",
                )
                assert not faults, faults
                for statement in others:
                    newest.execute("set lock_timeout = '3s'", statement)
                old.commit()
            finally:
                old.rollback()
                thread.join()
        assert not faults, faults
        assert newest.indexes("analytics.happenings") == {"happenings_by_kind": "btree (kind)"}

    insert = "insert into analytics.happenings values (0, 0, '2026-01-01 00:00:00+00')"
    beside(
        "lock table only analytics.happenings in row exclusive mode",
        "^happenings$",
        insert,
    )

    # The state after a killed build: the partition's index exists, but is not attached.
    ((comment, child),) = newest.ask(
        "select obj_description('analytics.happenings_by_kind'::regclass, 'pg_class'),"
        " min(inhrelid::regclass::text) from pg_inherits"
        " where inhparent = 'analytics.happenings'::regclass"
    )
    part = f"{child.split('.')[1]}_{comment[4:12]}_idx"
    newest.execute(
        "drop index analytics.happenings_by_kind",
        "create index happenings_by_kind on only analytics.happenings (kind)",
        f"comment on index analytics.happenings_by_kind is '{comment}'",
        f"create index {part} on {child} (kind)",
    )
    beside(f"select count(*) from {child}", f"^{part}$", f"select count(*) from {child}", insert)


def test_what_could_not_be_finished_is_taken_up(newest: Place) -> None:
    entry = {"columns": ["kind"], "name": "things_by_kind"}
    newest.build("things")
    with newest.database.connect() as writer:
        writer.execute("update analytics.things set kind = kind where id = 1")
        with pytest.raises(dbt_project.DbtFailed, match=r"model things[^*]*lock timeout"):
            newest.build("things", entry, variables={"index_lock_timeout": "300ms"})
        ((name, definition),) = newest.indexes("analytics.things").items()
        assert re.fullmatch("[0-9a-f]{32}", name) and definition == "btree (kind) INVALID"
    newest.build("things", entry)
    assert newest.indexes("analytics.things") == {"things_by_kind": "btree (kind)"}

    # A build was killed between creating and renaming the index: the next one only renames it.
    ((oid,),) = newest.ask("select 'analytics.things_by_kind'::regclass::oid::bigint")
    newest.execute(
        "comment on index analytics.things_by_kind is null",
        f'alter index analytics.things_by_kind rename to "{name}"',
    )
    newest.build("things", entry)
    assert newest.indexes("analytics.things") == {"things_by_kind": "btree (kind)"}
    assert newest.ask("select 'analytics.things_by_kind'::regclass::oid::bigint") == [(oid,)]


def test_two_builds_at_once_do_not_make_it_twice(newest: Place) -> None:
    newest.build("things")
    with newest.database.connect() as other:
        other.execute(
            "select pg_advisory_lock(hashtext('indexes'), hashtext("
            f"""'"{newest.database.name}"."analytics"."things"'))"""
        )
        newest.build("things", {"columns": ["id"]})
        assert newest.indexes("analytics.things") == {}
    newest.build("things", {"columns": ["id"]})
    assert newest.indexes("analytics.things") == {"things_id_idx": "btree (id)"}


def test_a_key_that_stands_twice_is_named_and_leaves_nothing(newest: Place) -> None:
    for table, columns in (("things", ["kind", "email"]), ("happenings", ["kind", "at"])):
        newest.build(table)
        newest.execute(
            f"insert into analytics.{table} select * from analytics.{table} where id = 7",
            f"insert into analytics.{table} (id) values (1001), (1001)"
            if table == "things"
            else "select",
        )
        value = "7, user7@example.com" if table == "things" else r"7, 2026-01-01 07:00:00\+00"
        with pytest.raises(
            dbt_project.DbtFailed,
            match=rf"{table}: the index {table}_{'_'.join(columns)}_key cannot be unique, because 2"
            rf" rows have the key \(\"kind\", \"{columns[1]}\"\) = \({value}\)",
        ):
            newest.build(table, {"columns": columns, "unique": True})
        assert newest.indexes(f"analytics.{table}") == {}

    # Rows with a null key are duplicates only with nulls_not_distinct.
    newest.execute("delete from analytics.things where id = 7")
    newest.build("things", {"columns": ["kind", "email"], "unique": True})
    with pytest.raises(dbt_project.DbtFailed, match=r"2 rows have the key .* = \(null, null\)"):
        newest.build(
            "things", {"columns": ["kind", "email"], "unique": True, "nulls_not_distinct": True}
        )
    assert newest.indexes("analytics.things") == {
        "things_kind_email_key": "unique btree (kind, email)"
    }


# --- Partitions -------------------------------------------------------------------------------


def children(place: Place) -> dict[str, list[str]]:
    """Return the attached and valid indexes of each partition of `happenings`.

    The keys are the names of the partitions without the oid.
    """
    rows = place.ask(
        "select regexp_replace(tables.relname, '_[0-9]{5,}$', ''), pg_get_indexdef(indexrelid)"
        " from pg_partition_tree('analytics.happenings') as tree"
        " inner join pg_class as tables on tables.oid = tree.relid"
        " left join (pg_index inner join pg_class as names on names.oid = indexrelid"
        " and names.relispartition and indisvalid) on indrelid = tree.relid"
        " where tree.level > 0 order by 1, 2"
    )
    found: dict[str, list[str]] = {}
    for table, definition in rows:
        found.setdefault(table, [])
        if definition:
            found[table] = sorted([*found[table], definition.split(" USING ")[1]])
    return found


def test_partitions_have_the_indexes_of_their_parent(place: Place) -> None:
    key = "btree (id, at, kind)"
    place.build("happenings", {"columns": ["id", "at", "kind"], "unique": True})
    # A manually created partition that is itself partitioned.
    place.execute(
        "create table partitions.happenings_2025 partition of analytics.happenings"
        " for values from ('2025-01-01 00:00:00+00') to ('2026-01-01 00:00:00+00')"
        " partition by list (kind)",
        "create table partitions.happenings_2025_odd partition of partitions.happenings_2025"
        " for values in (1, 3)",
    )
    parts = {
        *("happenings_2025", "happenings_2025_odd", "happenings_default"),
        *(f"happenings_2026_0{month}" for month in (1, 2, 3)),
    }
    assert children(place) == {part: [key] for part in parts}

    changed = [
        {"columns": ["id", "at", "kind"], "unique": True, "where": "kind > 2"},
        {"columns": ["kind"], "type": "btree"},
    ]
    place.build("happenings", *changed)
    both = [f"{key} WHERE (kind > 2)", "btree (kind)"]
    assert children(place) == {part: both for part in parts}
    assert place.indexes("analytics.happenings") == {
        "happenings_id_at_kind_key": f"unique {both[0]}",
        "happenings_kind_idx": both[1],
    }

    place.execute(
        "create table partitions.happenings_2027 partition of analytics.happenings"
        " for values from ('2027-01-01 00:00:00+00') to ('2028-01-01 00:00:00+00')"
    )
    before = place.identities()
    assert children(place) == {part: both for part in (*parts, "happenings_2027")}
    place.build("happenings", *changed)
    assert place.identities() == before

    place.build("happenings")
    assert children(place) == {part: [] for part in (*parts, "happenings_2027")}
    assert place.indexes("analytics.happenings") == {}


def test_partitions_that_could_not_be_finished_are_taken_up(newest: Place) -> None:
    newest.build("happenings")
    entry = {"columns": ["kind"]}
    (busy,) = newest.ask(
        "select relid::regclass::text from pg_partition_tree('analytics.happenings')"
        " where relid::text ~ '2026_02'"
    )[0]
    leftovers = (
        "select relname from pg_class where relkind in ('i', 'I') and not relispartition and"
        " relnamespace in ('analytics'::regnamespace, 'partitions'::regnamespace) order by 1"
    )
    for is_wanted in (True, False):
        with newest.database.connect() as writer:
            writer.execute(f"update {busy} set kind = kind")
            with pytest.raises(dbt_project.DbtFailed, match="lock timeout"):
                newest.build("happenings", entry, variables={"index_lock_timeout": "300ms"})
            assert newest.indexes("analytics.happenings") == {
                "happenings_kind_idx": "btree (kind) INVALID"
            }
            assert len(newest.ask(leftovers)) == 2
            made = children(newest)
            assert made["happenings_2026_01"] and not made["happenings_2026_02"]
        if is_wanted:
            newest.build("happenings", entry)
            assert newest.ask(leftovers) == [("happenings_kind_idx",)]
            assert all(children(newest).values())
            assert newest.indexes("analytics.happenings") == {"happenings_kind_idx": "btree (kind)"}
        newest.build("happenings")
        assert newest.ask(leftovers) == []


def build_behind_a_reader(
    place: Place, model: str, refused: str, is_untouched: Callable[[], bool]
) -> None:
    """Build a model without indexes while a session reads its table; then end that session.

    A build with one attempt fails. A build with many attempts waits, and later readers wait for
    one attempt at most.

    Args:
        place: where to build.
        model: the name of the model and of its table in schema `analytics`.
        refused: a regular expression for the error message of the failing build.
        is_untouched: whether the object that the build changes is still unchanged.
    """
    table = f"analytics.{model}"
    faults: list[BaseException] = []

    def build() -> None:
        try:
            place.build(model)
        except BaseException as fault:
            faults.append(fault)

    with place.database.connect() as reader:
        reader.execute(f"select count(*) from {table}")
        with pytest.raises(
            dbt_project.DbtFailed,
            match=refused
            + r": locked by other sessions; the next run will retry: .* lock timeout, tried 1 times"
            rf".*; held: .*{model} by pid {reader.info.backend_pid} ",
        ):
            place.build(model, variables={"replace_lock_attempts": 1})
        assert is_untouched()

        thread = threading.Thread(target=build)
        thread.start()
        try:
            with polled(place.database, table, patience=IMPATIENCE):
                wait_for(
                    lambda: (
                        faults
                        or place.ask(
                            "select from pg_locks where not granted"
                            " and mode = 'AccessExclusiveLock'"
                            f" and relation = '{table}'::regclass"
                        )
                    ),
                    "the build that waits",
                )
                time.sleep(LONGER_THAN_IMPATIENCE)
                assert not faults, faults
                assert is_untouched()
                reader.commit()
                thread.join()
        finally:
            reader.rollback()
            thread.join()
    assert not faults, faults


def test_readers_go_on_while_an_index_of_partitions_waits_to_be_dropped(place: Place) -> None:
    place.build("happenings", {"columns": ["kind"]})
    made = {"happenings_kind_idx": "btree (kind)"}
    build_behind_a_reader(
        place,
        "happenings",
        r"the index analytics.happenings_kind_idx of .*happenings. could not be dropped",
        lambda: place.indexes("analytics.happenings") == made,
    )
    assert place.indexes("analytics.happenings") == {}


# --- Mistakes in the configuration ------------------------------------------------------------

ENTRIES: dict[str, tuple[Any, str]] = {
    "unknown_key": ({"column": ["id"]}, "entry 1 of indexes a key is 'column'; it takes name, col"),
    "unknown_column": (
        {"columns": ["Kind", "nowhere desc"]},
        "entry 1 of indexes columns is 'nowhere desc'; it takes a column and perhaps .*; the"
        " columns are id, email, kind,",
    ),
    "unknown_include": (
        {"columns": ["id"], "include": ["nowhere"]},
        "include is 'nowhere'; it takes the columns id, email, kind",
    ),
    "unknown_type": (
        {"columns": ["id"], "type": "btre"},
        "type is 'btre'; it takes btree, brin, gin, gist, hash or spgist",
    ),
    "words": ({"columns": ["id descending order"]}, "columns is 'id descending order'; it takes"),
    "no_list": ({"columns": "id"}, "columns is 'id'; it takes a list of columns"),
    "nothing": ({"unique": True}, "columns is 'missing'; it takes a list of columns, or an expr"),
    "no_boolean": ({"columns": ["id"], "unique": "yes"}, "unique is 'yes'; it takes true or false"),
    "no_text": ({"columns": ["id"], "where": True}, "where is 'True'; it takes a text"),
    "no_entry": ("id", "the entry is 'id'; it takes a mapping with name, columns"),
    "unique_brin": (
        {"columns": ["id"], "unique": True, "type": "brin"},
        "unique is 'True'; it takes the type btree, and the type is brin",
    ),
    "both": (
        {"columns": ["id"], "expression": "lower(email)"},
        r"expression is 'lower\(email\)'; it takes the place of columns, and columns is id",
    ),
    "include_gin": (
        {"columns": ["email"], "type": "gin", "include": ["id"]},
        "include is 'id'; it takes the types btree, gist and spgist, and the type is gin",
    ),
    "direction": (
        {"columns": ["id desc"], "type": "brin"},
        "columns is 'id desc'; it takes a direction where the type is btree, and the type is brin",
    ),
    "two_hash": (
        {"columns": ["id", "kind"], "type": "hash"},
        "columns is 'id, kind'; it takes one column where the type is hash",
    ),
    "nulls": (
        {"columns": ["id"], "nulls_not_distinct": True},
        "nulls_not_distinct is 'True'; it takes an index with unique: true",
    ),
    "parameter": (
        {"columns": ["id"], "with": {"fillfactor": "90) where (true"}},
        r"with is 'fillfactor: 90\) where \(true'; it takes storage parameters",
    ),
}
CONFIGURED = {
    name: ("materialized='table', indexes=" + repr([entry]), message)
    for name, (entry, message) in ENTRIES.items()
} | {
    "twice": (
        "materialized='table',"
        " indexes=[{'columns': ['id']}, {'columns': ['id'], 'where': 'id > 1'}]",
        "entry 2 of indexes name is 'twice_id_idx'; it takes a name that no other index has",
    ),
    "no_entries": (
        "materialized='table', indexes='id'",
        "indexes is 'id'; it takes a list of entries",
    ),
    "a_view": (
        "materialized='view', indexes=[{'columns': ['id']}]",
        "indexes is given and materialized is view; indexes take table, incremental",
    ),
    "no_month": (
        "materialized='incremental', on_schema_change='fail',"
        " partition_by={'fields': ['at'], 'method': 'range'},"
        " indexes=[{'columns': ['id', 'kind'], 'unique': true}]",
        "columns is 'id, kind'; it takes at among the columns of a unique index, because part",
    ),
    "no_key": (
        "materialized='incremental', on_schema_change='fail',"
        " incremental_strategy='changed_keys', unique_key=['id', 'nowhere']",
        "unique_key is .* and there is no column 'nowhere'; the columns are id, email, kind, at",
    ),
    "no_choice": (
        "materialized='incremental', on_schema_change='fail',"
        " incremental_strategy='changed_keys', unique_key='id', unique_key_index='yes'",
        "unique_key_index is 'yes'; it takes true",
    ),
    "taken": (
        "materialized='incremental', on_schema_change='fail',"
        " incremental_strategy='changed_keys', unique_key='id',"
        " indexes=[{'columns': ['kind'], 'name': 'taken_id_key'}]",
        "entry 1 of indexes name is 'taken_id_key'; it takes a name that no other index has",
    ),
    "no_dictionary": (
        "materialized='table', no_overlaps='id'",
        "no_overlaps is id; it takes a dictionary with a column for each of key, valid_from, valid",
    ),
    "no_end": (
        "materialized='table', no_overlaps={'key': 'id', 'valid_from': 'at'}",
        "no_overlaps is {.*}; it takes a dictionary with a column for each",
    ),
    "no_text": (
        "materialized='table', no_overlaps={'key': 'id', 'valid_from': 'at', 'valid_to': 3}",
        "no_overlaps is .* 'valid_to': 3}; it takes a dictionary with a column for each",
    ),
    "no_column": (
        "materialized='table', no_overlaps={'key': 'id', 'valid_from': 'at', 'valid_to': 'end'}",
        "no_overlaps is .* and there is no column end; the columns are id, email, kind, at",
    ),
    "no_partitions": (
        "materialized='table', partition_by={'fields': ['at']},"
        " no_overlaps={'key': 'id', 'valid_from': 'at', 'valid_to': 'at'}",
        "no_overlaps is given and materialized is table with partition_by; it takes the material",
    ),
    "no_view": (
        "materialized='view', no_overlaps={'key': 'id', 'valid_from': 'at', 'valid_to': 'at'}",
        "no_overlaps is given and materialized is view; it takes the materializations table and",
    ),
}


def test_a_mistake_in_the_configuration_stops_with_a_sentence(
    database: Any, tmp_path: Path
) -> None:
    """The error precedes any change: existing tables stay as they are."""
    rows = "select 1 as id, 'a' as email, 2 as kind, now() as at"
    contract = {
        "models": [
            {
                "name": name,
                "config": {"contract": {"enforced": True}},
                "columns": [
                    {"name": "id", "data_type": "int"},
                    {"name": "email", "data_type": "text"},
                    {"name": "kind", "data_type": "int"},
                    {"name": "at", "data_type": "timestamptz"},
                ],
            }
            for name in CONFIGURED
        ]
    }
    project = make_project(
        tmp_path / "mistakes",
        {
            name: f"{{{{ config({text.replace('True', 'true')}) }}}}\n{rows}"
            for name, (text, _) in CONFIGURED.items()
        },
    )
    (project / "models" / "contract.yml").write_text(yaml.safe_dump(contract))
    with database.connect() as session:
        session.execute("create schema analytics")
        for name in CONFIGURED:
            session.execute(f"create table analytics.{name} as select 1 as before")
    with pytest.raises(dbt_project.DbtFailed) as failed:
        dbt_project.run(database, "run", project=project)

    said = str(failed.value)
    assert f"{len(CONFIGURED)} of " in said
    for name, (_, message) in CONFIGURED.items():
        assert re.search(rf"^\s*{name}: .*{message}", said, re.MULTILINE), f"{name}: {said}"
    with database.connect() as session:
        for name in CONFIGURED:
            assert session.execute(f"select before from analytics.{name}").fetchall() == [(1,)]


def test_without_a_contract_the_table_says_which_columns_there_are(newest: Place) -> None:
    message = "things: in entry 1 of indexes columns is 'nowhere'.* the columns are id, email, kind"
    with pytest.raises(dbt_project.DbtFailed, match=message):
        newest.build("things", {"columns": ["nowhere"]})
    assert newest.ask("select to_regclass('analytics.things')") == [(None,)]
    newest.build("things")
    with pytest.raises(dbt_project.DbtFailed, match=message):
        newest.build("things", {"columns": ["nowhere"]})


# --- The index of unique_key ------------------------------------------------------------------


def configure_key(place: Place, **config: Any) -> None:
    """Change the configuration of `keyed`."""
    dbt_project.configure(place.database, "keyed", place.project, **config)


def test_an_index_follows_from_unique_key(newest: Place) -> None:
    by_id = {"keyed_id_key": "unique btree (id)"}
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == by_id
    (comment,) = newest.ask("select obj_description('analytics.keyed_id_key'::regclass)")[0]
    assert comment.endswith(" of analytics.keyed: the key, looked up by builds")

    # Declaring the same index explicitly, as models did before, keeps the existing one.
    before = newest.identities()
    newest.build("keyed", {"columns": ["id"], "unique": True, "why": comment.split(": ")[1]})
    newest.build("keyed", full_refresh=False)
    assert newest.identities() == before

    configure_key(newest, unique_key=["id", "kind"])
    newest.build("keyed", {"columns": ["kind"]})
    by_both = {"keyed_id_kind_key": "unique btree (id, kind)"}
    assert newest.indexes("analytics.keyed") == {"keyed_kind_idx": "btree (kind)", **by_both}
    newest.build("keyed", full_refresh=True)
    assert newest.indexes("analytics.keyed") == by_both


def test_the_index_of_unique_key_gives_way(newest: Place) -> None:
    """A declared index replaces it; an option or a strategy whose key may repeat disables it."""
    configure_key(newest, unique_key=["id", "kind"])
    newest.build("keyed", {"columns": ["KIND", "id"], "unique": True, "name": "own"})
    assert newest.indexes("analytics.keyed") == {"own": "unique btree (kind, id)"}
    newest.build("keyed", {"columns": ["id", "kind"], "name": "own"})
    assert newest.indexes("analytics.keyed") == {
        "own": "btree (id, kind)",
        "keyed_id_kind_key": "unique btree (id, kind)",
    }
    # A partial index does not enforce the key; it keeps its name.
    newest.build("keyed", {"columns": ["id", "kind"], "unique": True, "where": "kind > 0"})
    assert newest.indexes("analytics.keyed") == {
        "keyed_id_kind_key": "unique btree (id, kind) WHERE (kind > 0)",
        "keyed_unique_key": "unique btree (id, kind)",
    }
    configure_key(newest, unique_key_index=False)
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == {}
    configure_key(newest, unique_key_index=True, incremental_strategy="delete+insert")
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == {}
    configure_key(newest, incremental_strategy="changed_keys")
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == {"keyed_id_kind_key": "unique btree (id, kind)"}


def test_a_partitioned_table_has_the_index_only_if_the_key_holds_the_partition(
    newest: Place,
) -> None:
    configure_key(newest, partition_by={"fields": ["at"]})
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == {}
    configure_key(newest, unique_key=["id", "at"])
    newest.build("keyed")
    assert newest.indexes("analytics.keyed") == {"keyed_id_at_key": "unique btree (id, at)"}


def test_only_incremental_tables_without_such_a_constraint_have_the_index(
    database: Any, tmp_path: Path
) -> None:
    given = "incremental_strategy='changed_keys', unique_key='id', on_schema_change='fail'"
    kinds = {"stored": "table", "materialized": "materialized_view", "constrained": "incremental"}
    project = make_project(
        tmp_path / "project",
        {
            name: f"{{{{ config(materialized='{kind}', {given}) }}}} select 1 as id"
            for name, kind in kinds.items()
        },
    )
    contract = {
        "models": [
            {
                "name": "constrained",
                "config": {"contract": {"enforced": True}},
                "columns": [
                    {
                        "name": "id",
                        "data_type": "int",
                        "constraints": [{"type": "primary_key"}],
                    }
                ],
            }
        ]
    }
    (project / "models" / "contract.yml").write_text(yaml.safe_dump(contract))
    dbt_project.run(database, "run", project=project)
    place = Place(database, project)
    assert {name: list(place.indexes(f"analytics.{name}")) for name in kinds} == {
        "stored": [],
        "materialized": [],
        "constrained": ["constrained_pkey"],
    }


# --- Versions do not overlap ------------------------------------------------------------------

CONSTRAINTS = (
    "select conname, pg_get_constraintdef(oid), conindid::bigint from pg_constraint"
    " where conrelid = 'analytics.versions'::regclass"
)


def test_where_the_server_can_it_refuses_versions_that_overlap(place: Place) -> None:
    """The PostgreSQL 16 of these tests has no extensions: it builds without the constraint."""
    offers = place.ask("select from pg_available_extensions where name = 'btree_gist'")
    place.build("versions")
    before = place.ask(CONSTRAINTS)
    place.build("versions")
    assert place.ask(CONSTRAINTS) == before
    late = (
        "insert into analytics.versions values"
        " ({}, timestamptz '2026-01-15', timestamptz '2026-03-01', timestamptz '2026-03-01')"
    )
    if not offers:
        assert before == []
        assert place.ask("select version()")[0][0].startswith("PostgreSQL 16")
        return
    ((name, definition, _),) = before
    assert (name, definition) == (
        "versions_no_overlaps",
        "EXCLUDE USING gist (((user_id || ''::text)) WITH =,"
        " tstzrange(effective_date, expiry_date) WITH &&)",
    )
    with pytest.raises(psycopg.errors.ExclusionViolation, match="versions_no_overlaps"):
        place.execute(late.format("'a'"))
    place.execute(late.format("null"), late.format("null"), late.format("'b'"))

    place.build("versions", full_refresh=True)
    assert [row[:2] for row in place.ask(CONSTRAINTS)] == [before[0][:2]]
    dbt_project.configure(
        place.database,
        "versions",
        place.project,
        no_overlaps={"key": "user_id", "valid_from": "effective_date", "valid_to": "end_date"},
    )
    place.build("versions")
    ((name, definition, _),) = place.ask(CONSTRAINTS)
    assert name == "versions_no_overlaps" and "tstzrange(effective_date, end_date)" in definition


def test_readers_go_on_while_a_full_refresh_makes_the_constraint(newest: Place) -> None:
    """Creating the constraint takes longer than a reader waits."""
    need_extension(newest.database, "btree_gist")
    newest.build("versions")
    newest.execute(
        "create table public.builds ()",
        "create function public.take_long() returns event_trigger language plpgsql as $$ begin"
        " if current_query() like '%exclude using gist%' then"
        " insert into public.builds default values;"
        f" perform pg_sleep({LONGER_THAN_IMPATIENCE}); end if; end $$",
        "create event trigger long_build on ddl_command_end when tag in ('ALTER TABLE')"
        " execute function public.take_long()",
    )
    with polled(newest.database, "analytics.versions", patience=IMPATIENCE):
        newest.build("versions", full_refresh=True)
    assert newest.ask("select count(*) from public.builds") == [(1,)]
    ((name, _, _),) = newest.ask(CONSTRAINTS)
    assert name == "versions_no_overlaps"


def test_a_table_in_use_gets_the_constraint_in_short_attempts(newest: Place) -> None:
    need_extension(newest.database, "btree_gist")
    newest.build("versions")
    newest.execute("alter table analytics.versions drop constraint versions_no_overlaps")
    build_behind_a_reader(
        newest,
        "versions",
        r"the constraint versions_no_overlaps of .*versions. could not be created",
        lambda: newest.ask(CONSTRAINTS) == [],
    )
    assert len(newest.ask(CONSTRAINTS)) == 1


def test_a_role_that_may_not_make_the_extension_builds_without_it(
    database: Any, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "small", {"versions": VERSIONS})
    with database.connect() as session:
        session.execute(f"create role {database.name} login")
        session.execute(f"create schema analytics authorization {database.name}")
    try:
        owner = database.environment["PGUSER"]
        database.environment["PGUSER"] = database.name
        Place(database, project).build("versions")
        database.environment["PGUSER"] = owner
        assert Place(database, project).ask(CONSTRAINTS) == []
    finally:
        database.environment["PGUSER"] = owner
        with database.connect() as session:
            session.execute(f"drop owned by {database.name} cascade")
            session.execute(f"drop role {database.name}")


def test_a_database_without_the_schema_public_builds_without_it(newest: Place) -> None:
    newest.execute("drop schema public cascade")
    newest.build("versions")
    assert newest.ask(CONSTRAINTS) == []


# --- The indexes of the marts -----------------------------------------------------------------

QUESTIONS = {
    "dim_users_email_idx": "select * from marts.dim_users where email = 'a@example.com'",
    # Not the slower index of the exclusion constraint.
    "dim_users_user_id_effective_date_key": "select user_key from marts.dim_users"
    " where user_id = 'a' and '2026-01-01' >= effective_date and '2026-01-01' < expiry_date",
    "fct_orders_user_key_ordered_at_idx": "select * from marts.fct_orders where user_key = 'a'"
    " order by ordered_at desc limit 10",
    "fct_orders_date_key_idx": "select * from marts.fct_orders where date_key = 20260101",
    "user_key_date_key_idx": "select * from marts.fct_user_events"
    " where user_key = 'a' and date_key between 20260101 and 20260107",
    "event_timestamp_idx": "select * from marts.fct_user_events where event_timestamp"
    " between '2026-01-01 10:00:00+00' and '2026-01-01 12:00:00+00'",
    "user_analytics_active": "select * from marts.user_analytics where user_segment != 'At Risk'"
    " order by last_activity_at desc limit 10",
    "dim_products_search": "select * from marts.dim_products where"
    " to_tsvector('simple', coalesce(product_name, '')) @@ websearch_to_tsquery('simple', 'cup')",
}


def ask(database: Any, query: str, *settings: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query in a session with these settings."""
    with database.connect() as session:
        for setting in settings:
            session.execute(f"set {setting}")
        return session.execute(query).fetchall()


def test_every_index_of_a_table_is_declared_and_says_why(sample_warehouse: Any) -> None:
    rows = ask(
        sample_warehouse,
        "select relname, obj_description(indexrelid, 'pg_class') from pg_index"
        " inner join pg_class on indexrelid = pg_class.oid where not relispartition and indrelid"
        " not in (select oid from pg_class where relkind = 'm') and"
        " relnamespace::regnamespace::text in ('intermediate', 'marts', 'snapshots', 'staging')",
    )
    assert len(rows) > 40
    of_models = {name: comment.split(" of ", 1)[1].split(": ") for name, comment in rows}
    assert not [name for name in of_models if re.fullmatch("[0-9a-f]{32}", name)]
    assert [name for name, (_, why) in of_models.items() if why == "declared by the model"] == []


@pytest.mark.parametrize("index", QUESTIONS)
def test_a_question_is_answered_by_its_index(sample_warehouse: Any, index: str) -> None:
    question = QUESTIONS[index]
    if "events" in question:
        (day,) = ask(sample_warehouse, "select max(started_at)::date from marts.fct_user_sessions")
        question = question.replace("2026-01-01", str(day[0]))
    settings = ("enable_seqscan = off", "enable_sort = off")
    plan = "\n".join(line for (line,) in ask(sample_warehouse, f"explain {question}", *settings))
    assert re.search(rf"(using|Bitmap Index Scan on) \w*{index}\b", plan), plan
    assert "Sort" not in plan and "Seq Scan" not in plan, plan


def test_a_build_leaves_the_indexes_that_are_there(built: Any) -> None:
    query = (
        "select pg_class.oid::bigint, relname, relfilenode::bigint, pg_class.xmin::text"
        " from pg_index inner join pg_class on indexrelid = pg_class.oid"
        " where relnamespace::regnamespace::text in ('marts', 'snapshots', 'partitions') order by 1"
    )
    before = ask(built, query)
    dbt_project.build(built, "snp_app__users", "dim_users", "fct_user_events", "dim_date")
    assert len(before) > 50 and ask(built, query) == before


def test_a_second_current_version_and_versions_that_overlap_are_refused(built: Any) -> None:
    need_extension(built, "btree_gist")
    for table, key in (("dim_users", "user_id"), ("dim_products", "product_id")):
        columns = [
            name
            for (name,) in ask(
                built,
                "select attname from pg_attribute where attnum > 0 and not attisdropped and"
                f" attname not in ('is_current', 'effective_date') and attrelid = 'marts.{table}'"
                "::regclass",
            )
        ]
        insert = (
            f"insert into marts.{table} ({', '.join(columns)}, is_current, effective_date)"
            f" select {', '.join(columns).replace(key.replace('_id', '_key'), '$key$new$key$', 1)},"
            f" {{}}, effective_date + interval '1 second' from marts.{table}"
            f" where is_current and {key} is not null limit 1"
        )
        with pytest.raises(psycopg.errors.UniqueViolation, match=f"{table}_current"):
            ask(built, insert.format("true"))
        with pytest.raises(psycopg.errors.ExclusionViolation, match=f"{table}_no_overlaps"):
            ask(built, insert.format("false"))


# --- Analyses ---------------------------------------------------------------------------------


def analysed(database: Any, name: str, *settings: str) -> list[dict[str, Any]]:
    """Return the rows of an analysis."""
    (result,) = dbt_project.run(database, "compile", name)
    with database.connect() as session:
        for setting in settings:
            session.execute(f"set {setting}")
        cursor = session.execute(result.node.compiled_code)
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor]


def test_the_reports_tell_of_tables_and_indexes(built: Any) -> None:
    sizes = {row["table_name"]: row for row in analysed(built, "table_sizes")}
    ((rows, parts),) = ask(
        built,
        "select (select count(*) from marts.fct_user_events), count(*)"
        " from pg_inherits where inhparent = 'marts.fct_user_events'::regclass",
    )
    events = sizes["marts.fct_user_events"]
    assert (events["parts"], events["estimated_rows"]) == (parts, rows)
    assert events["total_bytes"] > sizes["marts.dim_event_types"]["total_bytes"] > 0
    assert [*sizes] == sorted(sizes, key=lambda name: -sizes[name]["total_bytes"])

    # A copied database starts with empty statistics; one query then uses one index.
    with built.connect() as session:
        session.execute("set enable_seqscan = off")
        session.execute(QUESTIONS["dim_users_email_idx"])
        session.execute("select pg_stat_force_next_flush()")
        session.commit()
        session.execute("select 1")
    unused = wait_for(
        lambda: (
            (found := {row["index_name"]: row for row in analysed(built, "unused_indexes")})
            and "marts.dim_users_email_idx" not in found
            and found
        ),
        "the statistics of a scan",
    )
    assert unused["marts.dim_products_search"]["declared_for"].endswith("words of their name")
    assert "marts.fct_user_events_event_timestamp_idx" in unused
    assert not [name for name in unused if name.endswith("_key") or "partitions" in name]


def test_a_page_of_events_begins_behind_the_last_one(sample_warehouse: Any) -> None:
    page = analysed(sample_warehouse, "events_page_by_page")
    keys = ask(sample_warehouse, "select event_id from marts.fct_user_events order by 1 limit 2000")
    assert [(row["event_id"],) for row in page] == keys[:1000]

    (result,) = dbt_project.run(sample_warehouse, "compile", "events_page_by_page")
    last = page[-1]
    query = result.node.compiled_code.replace(
        "('', '-infinity'::", f"('{last['event_id']}', '{last['event_timestamp']}'::"
    )
    assert [row[:1] for row in ask(sample_warehouse, query)] == keys[1000:2000]
    plan = "\n".join(
        line for (line,) in ask(sample_warehouse, f"explain {query}", "enable_seqscan = off")
    )
    assert "Merge Append" in plan and "Sort  (" not in plan and "Seq Scan" not in plan, plan


def test_slow_statements_are_told_where_the_server_counts_them(
    sample_warehouse: Any,
) -> None:
    need_extension(sample_warehouse, "pg_stat_statements")
    (hint,) = analysed(sample_warehouse, "slow_statements")
    assert "shared_preload_libraries" in hint["statement"] and hint["calls"] is None

    counting = {**FAST, "shared_preload_libraries": "pg_stat_statements"}
    with temporary_server(settings=counting) as server, new_database(server) as database:
        with database.connect() as session:
            session.execute("create extension pg_stat_statements")
            session.commit()
            for _ in range(3):
                session.execute("select 'of this test' as answer")
        seen = {row["statement"]: row for row in analysed(database, "slow_statements")}
        assert seen["select $1 as answer"]["calls"] == 3
        assert seen["select $1 as answer"]["returned_rows"] == 3
