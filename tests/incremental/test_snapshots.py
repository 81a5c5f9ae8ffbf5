"""Snapshots whose definition changes, whose clock goes back, and what a run of them reads."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import ask, do, fetch
from tests.support.dbt_project import NO_TESTS
from tests.support.relations import contents, row_versions
from tests.support.small_project import write_project

USERS = ("stg_app__users", "snp_app__users", "dim_users")
PRODUCTS = ("stg_app__products", "snp_app__products", "dim_products")
USERS_CHECKED = [
    *("email", "first_name", "last_name", "phone", "birth_date", "country"),
    *("subscription_tier", "is_deleted"),
]
# Old enough that the overlap of a day does not find again what a build has missed.
AGE = """
update raw.{table} set _loaded_at = _loaded_at - interval '30 days';
update snapshots.snp_app__{table} set
    _loaded_at = _loaded_at - interval '30 days',
    dbt_updated_at = dbt_updated_at - interval '30 days',
    dbt_valid_from = dbt_valid_from - interval '30 days',
    version_started_at = least(version_started_at, _loaded_at - interval '30 days')
"""
# Without it, rows that are dated back are rows that the last run has not seen.
NOT_SEEN = "delete from observability.watermarks where model_name like 'snp%'"
FAULTS = """
select
    (
        select count(*) from snapshots.{snapshot}
        where dbt_valid_from >= dbt_valid_to or dbt_valid_from > clock_timestamp()
    ),
    (select count(*) - count(distinct dbt_scd_id) from snapshots.{snapshot}),
    (
        select count(*)
        from snapshots.{snapshot} as a
        inner join snapshots.{snapshot} as b
            on a.{key} = b.{key} and a.ctid < b.ctid
                and a.dbt_valid_from < b.dbt_valid_to and b.dbt_valid_from < a.dbt_valid_to
    )
"""


def build(database: Any, nodes: tuple[str, ...], **options: Any) -> None:
    """Build the nodes; their snapshot has no fault, and its dimension equals a full refresh."""
    dbt_project.build(database, *nodes, options=NO_TESTS, **options)
    snapshot, dimension = nodes[-2:]
    key = "user_id" if dimension == "dim_users" else "product_id"
    assert ask(database, FAULTS.format(snapshot=snapshot, key=key)) == [(0, 0, 0)]
    incremental = contents(database)[f"marts.{dimension}"]
    dbt_project.run(database, "run", dimension, full_refresh=True)
    assert contents(database)[f"marts.{dimension}"] == incremental


def versions(database: Any, user_id: str, column: str = "country") -> list[tuple]:
    """The values of a column in a user's versions, and whether each began before the deployment."""
    return ask_rows(
        database,
        f"select {column}, effective_date < now() - interval '1 day' from marts.dim_users"
        f" where user_id = '{user_id}' order by effective_date",
    )


def ask_rows(database: Any, query: str) -> list[tuple]:
    """The rows of a query, also if it is one value."""
    with database.connect() as session:
        return session.execute(query).fetchall()


@pytest.fixture
def people(built: Any) -> dict[str, str]:
    """Users by what happened to them, all of it a month ago.

    `alone` has one state, `moved` two, `deleted` was deleted, `imported` has a history from
    before the warehouse whose last state equals the loaded one, `reloaded` was loaded again
    without a change, and `both` will change when the definition does.
    """
    names = ("alone", "moved", "deleted", "imported", "reloaded", "both")
    ids = ask_rows(
        built,
        "select user_id from marts.dim_users where is_current and not is_deleted"
        " and user_id ~ '^[a-z0-9-]+$' order by user_id limit 6",
    )
    found = dict(zip(names, (user_id for (user_id,) in ids), strict=True))
    whole = "', '".join(found.values())
    before = "now() - interval '25 days'"
    do(
        built,
        "update raw.users set country = 'IT', subscription_tier = 'basic', updated_at = null"
        f" where user_id in ('{whole}')",
        "update snapshots.snp_app__users set country = 'IT', subscription_tier = 'basic',"
        f" version_started_at = _loaded_at where user_id in ('{whole}')",
        AGE.format(table="users"),
        f"update raw.users set subscription_tier = 'premium', _loaded_at = {before}"
        f" where user_id = '{found['moved']}'",
        f"update raw.users set _deleted_at = {before}, _loaded_at = {before}"
        f" where user_id = '{found['deleted']}'",
        NOT_SEEN,
    )
    dbt_project.run(built, "snapshot", "snp_app__users")
    # The application is read again each day, and stamps rows that did not change.
    do(
        built,
        "update raw.users set _loaded_at = clock_timestamp() - interval '20 days'"
        f" where user_id = '{found['reloaded']}'",
        "create table public.user_history as"
        " select user_id, '2020-02-02'::timestamptz as valid_from, email, first_name, last_name,"
        " phone, birth_date, country, subscription_tier from staging.stg_app__users"
        f" where user_id = '{found['imported']}'",
    )
    arguments = {"snapshot": "snp_app__users", "history": "public.user_history"}
    dbt_project.run(
        built, "run-operation", options=("backfill_snapshot", "--args", json.dumps(arguments))
    )
    build(built, USERS)
    return found


def deploy(built: Any, people: dict[str, str]) -> None:
    """Build the changed definition, and the user who changed with it; then once more."""
    do(
        built,
        "update raw.users set subscription_tier = 'premium', _loaded_at = clock_timestamp()"
        f" where user_id = '{people['both']}'",
    )
    build(built, USERS)
    before = row_versions(built)["snapshots.snp_app__users"]
    build(built, USERS)
    assert row_versions(built)["snapshots.snp_app__users"] == before


def test_a_changed_definition_corrects_versions_and_dates_none(
    built: Any, people: dict[str, str]
) -> None:
    dbt_project.edit(built, "stg_app__users", "{{ clean_text('country') }}", "lower(country)")
    deploy(built, people)

    for name in ("alone", "imported", "reloaded"):
        assert versions(built, people[name]) == [("it", True)], name
    # A state that ended cannot be read again.
    for name in ("moved", "deleted"):
        assert versions(built, people[name]) == [("IT", True), ("it", True)], name
    assert versions(built, people["both"]) == [("IT", True), ("it", False)]
    assert ask_rows(
        built, "select 1 from marts.dim_users where is_current and country != lower(country)"
    ) == []  # fmt: skip
    # What the warehouse said before is still in the snapshot.
    assert ask_rows(
        built,
        "select country from snapshots.snp_app__users"
        f" where user_id = '{people['alone']}' order by dbt_valid_from",
    ) == [("IT",), ("it",)]

    # The next change is dated as ever, and taking the definition back leaves no trace.
    do(
        built,
        "update raw.users set country = 'FR', _loaded_at = clock_timestamp()"
        f" where user_id = '{people['alone']}'",
    )
    build(built, USERS)
    assert versions(built, people["alone"]) == [("it", True), ("fr", False)]
    dbt_project.edit(built, "stg_app__users", "lower(country)", "{{ clean_text('country') }}")
    build(built, USERS)
    assert versions(built, people["imported"]) == [("IT", True)]


@pytest.mark.long
def test_a_new_checked_column_is_unknown_in_the_past(built: Any, people: dict[str, str]) -> None:
    dbt_project.edit(
        built, "int_user_states", "last_login_at,", "last_login_at, upper(country) || '!' as land,"
    )
    dbt_project.configure(built, "snp_app__users", check_cols=[*USERS_CHECKED, "land"])
    deploy(built, people)

    land = (
        "select user_id, land from snapshots.snp_app__users where dbt_valid_to = '9999-12-31'"
        f" and user_id in ('{people['moved']}', '{people['reloaded']}')"
    )
    assert {value for _, value in ask_rows(built, land)} == {"IT!"}
    for name, number in {"alone": 1, "moved": 2, "imported": 1, "reloaded": 1, "both": 2}.items():
        assert len(versions(built, people[name])) == number, name


@pytest.mark.long
def test_a_stored_column_that_is_checked_from_now_on_changed_when_it_was_loaded(
    built: Any, people: dict[str, str]
) -> None:
    """The state has its old value, which was true, and the row has been loaded again since."""
    do(
        built,
        "update raw.users set last_login_at = '2026-01-01', _loaded_at = clock_timestamp()"
        f" - interval '10 days' where user_id = '{people['alone']}'",
    )
    dbt_project.run(built, "snapshot", "snp_app__users")
    do(built, "update observability.watermarks set loaded_through = now()")
    dbt_project.configure(built, "snp_app__users", check_cols=[*USERS_CHECKED, "last_login_at"])
    dbt_project.edit(built, "dim_users", "'is_deleted',\n", "'is_deleted', 'last_login_at',\n")
    build(built, USERS)

    assert versions(built, people["alone"]) == [("IT", True), ("IT", True)]
    assert versions(built, people["moved"]) == [("IT", True), ("IT", True)]
    assert versions(built, people["imported"]) == [("IT", True)]


@pytest.mark.long
def test_a_changed_macro_and_a_removed_column(built: Any, people: dict[str, str]) -> None:
    dbt_project.edit(built, "clean_text", "nullif(", "lower(nullif(", count=1)
    dbt_project.edit(built, "clean_text", "'')", "''))", count=1)
    dbt_project.configure(built, "snp_app__users", check_cols=USERS_CHECKED[1:])
    deploy(built, people)

    assert versions(built, people["alone"]) == [("it", True)]
    assert versions(built, people["both"]) == [("IT", True), ("it", False)]


def test_history_that_is_loaded_after_a_correction_reaches_its_dimension(built: Any) -> None:
    someone = ask(built, "select min(user_id) from raw.users where _deleted_at is null")
    do(
        built,
        f"update raw.users set country = null where user_id = '{someone}'",
        AGE.format(table="users"),
        NOT_SEEN,
    )
    build(built, USERS)
    dbt_project.edit(built, "stg_app__users", "{{ clean_text('country') }}", "lower(country)")
    dbt_project.build(built, *USERS, options=NO_TESTS)
    # A load of history has stamps of its own, later than those of all loads before it. It has a new
    # user, and one whose state the definition did not change.
    do(
        built,
        "update raw.users set last_name = 'Later', _loaded_at ="
        f" (select max(_loaded_at) from raw.users) + interval '2 days' where user_id = '{someone}'",
        "insert into raw.users (user_id, last_name, created_at, _loaded_at)"
        " select 'later', 'Later', max(_loaded_at), max(_loaded_at) from raw.users",
    )
    dbt_project.build(built, *USERS, options=NO_TESTS)
    assert versions_of_later(built) == 2
    dbt_project.run(built, "run", "dim_users", full_refresh=True)
    assert versions_of_later(built) == 2


def versions_of_later(database: Any) -> int:
    return ask(
        database, "select count(*) from marts.dim_users where last_name = 'Later' and is_current"
    )


def test_products_too(built: Any) -> None:
    do(built, AGE.format(table="products"), NOT_SEEN)
    build(built, PRODUCTS)
    before = ask(built, "select count(*) from marts.dim_products")
    edited = "case when md5(product_id) > '8' then upper(product_name) else product_name end"
    dbt_project.edit(
        built, "stg_app__products", "{{ clean_text('product_name') }} as", f"{edited} as"
    )
    build(built, PRODUCTS)
    assert ask(built, "select count(*) from marts.dim_products") == before
    shouted = "select count(*) from marts.dim_products where product_name = upper(product_name)"
    assert before / 4 < ask(built, shouted) < before


def test_no_interval_is_negative_when_a_clock_ran_ahead(built: Any) -> None:
    """Rows stamped in the future, and states written while the database's clock was ahead."""
    ids = ask_rows(
        built,
        "select user_id from snapshots.snp_app__users where dbt_valid_to = '9999-12-31'"
        " and not is_deleted and user_id in (select user_id from marts.dim_users where is_current)"
        " order by user_id limit 2",
    )
    (future,), (behind,) = ids
    stamp = "update raw.users set country = '{}', updated_at = null, _loaded_at = {} where user_id"
    tomorrow = "clock_timestamp() + interval '1 day'"
    do(
        built,
        f"{stamp.format('A', tomorrow)} = '{future}'",
        "update snapshots.snp_app__users set dbt_valid_from = dbt_valid_from + interval '1 day',"
        f" dbt_updated_at = dbt_updated_at + interval '1 day' where user_id = '{behind}'",
        "update snapshots.snp_user_segments set user_segment = 'Other',"
        " dbt_valid_from = dbt_valid_from + interval '1 day'",
    )
    dbt_project.build(built, *USERS, options=NO_TESTS)
    do(built, f"{stamp.format('B', 'clock_timestamp()')} in ('{future}', '{behind}')")
    dbt_project.build(built, *USERS, "snp_user_segments", options=NO_TESTS)

    for snapshot in ("snp_app__users", "snp_user_segments"):
        assert ask_rows(
            built,
            f"select user_id from snapshots.{snapshot} where dbt_valid_from >= dbt_valid_to",
        ) == [], snapshot  # fmt: skip
    assert ask(
        built, "select count(*) from snapshots.snp_user_segments where user_segment = 'Other'"
    ) == ask(
        built,
        "select count(*) from snapshots.snp_user_segments where dbt_valid_to < '9999-12-31'",
    )
    for user_id in (future, behind):
        current = "select country, effective_date <= clock_timestamp() from marts.dim_users"
        assert ask_rows(built, f"{current} where is_current and user_id = '{user_id}'") == [
            ("B", True)
        ]


@pytest.mark.long
def test_a_snapshot_that_lost_states_reaches_its_dimension(built: Any) -> None:
    """The states that an older copy lacks are versions no more."""
    (user_id,) = ask_rows(built, "select min(user_id) from raw.users where trim(user_id) != ''")[0]
    do(built, "create table public.kept as select * from snapshots.snp_app__users")
    country = ask(built, f"select country from raw.users where user_id = '{user_id}'")
    before = versions(built, user_id)
    for value in ("'XX'", "null" if country is None else f"'{country}'"):
        do(
            built,
            f"update raw.users set country = {value}, updated_at = now(),"
            f" _loaded_at = clock_timestamp() where user_id = '{user_id}'",
        )
        build(built, USERS)
    assert len(versions(built, user_id)) == len(before) + 2
    # Older than the overlap, in which a run reads everything again.
    do(
        built,
        "truncate snapshots.snp_app__users",
        "insert into snapshots.snp_app__users select * from public.kept",
        *AGE.format(table="users").split(";"),
    )
    build(built, USERS)


def test_states_that_another_build_commits_late_are_read(built: Any) -> None:
    """Dated when that build began, before others that were read; their rows of users are old."""
    users = "snapshots.snp_app__users"
    someone = ask(built, f"select min(user_id) from {users}")
    do(
        built,
        f"update {users} set dbt_valid_from = dbt_valid_from - interval '1 hour', dbt_updated_at ="
        f" dbt_updated_at - interval '1 hour' where user_id = '{someone}'",
    )
    dbt_project.run(built, "run", "dim_users", full_refresh=True)
    began = f"(select max(dbt_updated_at) - interval '1 second' from {users})"
    do(
        built,
        f"""
        create temporary table late on commit drop as
        select * from {users} where user_id = '{someone}' and dbt_valid_to > now();
        update late
        set country = 'Late', dbt_scd_id = 'late', dbt_valid_from = {began},
            dbt_updated_at = {began};
        update {users} set dbt_valid_to = {began}, dbt_updated_at = {began}
        where dbt_scd_id in (
            select dbt_scd_id from {users} where user_id = '{someone}' and dbt_valid_to > now()
        );
        insert into {users} select * from late
        """,
    )
    dbt_project.run(built, "run", "dim_users")
    assert versions(built, someone)[-1][0] == "Late"


def test_a_run_compares_what_was_loaded_or_everything(built: Any) -> None:
    """A row that changes without a new stamp shows what a run has compared."""
    (user_id,), (other,) = ask_rows(built, "select user_id from raw.users order by 1 desc limit 2")
    state = (
        "select country from snapshots.snp_app__users"
        f" where user_id = '{user_id}' and dbt_valid_to = '9999-12-31'"
    )
    unstamped = f"update raw.users set country = '{{}}' where user_id = '{user_id}'"
    # Outside of the overlap, in which the number of a transaction decides.
    do(built, f"update raw.users set _loaded_at = '2025-01-01' where user_id = '{user_id}'")

    def run(command: str = "snapshot", **options: Any) -> str:
        dbt_project.run(built, command, "snp_app__users", **options)
        return ask(built, state)

    run()
    do(built, unstamped.format("hidden"))
    assert run() != "hidden"
    assert run("build", options=NO_TESTS, full_refresh=True) == "hidden"

    stamped = "update raw.users set country = 'stamped', _loaded_at = {} where user_id = '{}'"
    with built.connect() as late:
        late.execute(stamped.format("clock_timestamp()", user_id))
        # A later stamp is committed and read first.
        do(built, stamped.format("clock_timestamp()", other))
        assert run() == "hidden"
    assert run() == "stamped"

    do(built, unstamped.format("truncated"), "truncate snapshots.snp_app__users")
    assert run() == "truncated"
    # Nothing was there to correct.
    assert ask(built, "select count(*) from snapshots.snp_app__users where _loaded_at is null") == 0
    do(
        built,
        "create table public.kept as select * from raw.users",
        "truncate raw.users",
        "insert into raw.users select * from public.kept",
        unstamped.format("reloaded"),
        f"update raw.users set _loaded_at = '2020-01-01' where user_id = '{user_id}'",
    )
    assert run() == "reloaded"
    do(
        built,
        unstamped.format("restored"),
        "update observability.watermarks set system_identifier = '1'",
    )
    assert run() == "restored"


def snapshot_of_things(folder: Path, query: str = "", **config: Any) -> Path:
    """A project with a snapshot of the table shop.things."""
    project = write_project(folder / "own", {"things": "select * from shop.things"})
    whole = yaml.safe_load((project / "dbt_project.yml").read_text())
    whole["snapshots"] = {"small": whole["models"]["small"]}
    (project / "dbt_project.yml").write_text(yaml.safe_dump(whole))
    (project / "snapshots").mkdir()
    settings = {
        "unique_key": ["kind", "number"],
        "strategy": "check",
        "check_cols": ["price"],
        **config,
    }
    if query:
        head = f"{{% snapshot snp_things %}}{{{{ config(**{settings!r}) }}}}"
        (project / "snapshots" / "snp_things.sql").write_text(
            f"{head}\n{query}\n{{% endsnapshot %}}"
        )
    else:
        (project / "snapshots" / "snp_things.yml").write_text(
            yaml.safe_dump(
                {
                    "snapshots": [
                        {"name": "snp_things", "relation": "ref('things')", "config": settings}
                    ]
                }
            )
        )
    return project


@pytest.mark.parametrize("current", [None, "'9999-12-31'::timestamptz"])
@pytest.mark.parametrize("hard_deletes", ["ignore", "invalidate", "new_record"])
def test_hard_deletes_mean_what_dbt_says(
    database: Any, tmp_path: Path, hard_deletes: str, current: str | None
) -> None:
    """Of a row that is missing, dbt gives the number of the state, and not the key."""
    valid_to = {"dbt_valid_to_current": current} if current else {}
    project = snapshot_of_things(tmp_path, hard_deletes=hard_deletes, **valid_to)
    do(
        database,
        "create schema shop",
        "create table shop.things as values ('a', 1, 10), ('a', 2, 20), ('b', 1, 30)",
        "alter table shop.things rename column1 to kind",
        "alter table shop.things rename column2 to number",
        "alter table shop.things rename column3 to price",
    )

    def states(*statements: str) -> list[tuple]:
        """Key, price and whether the state is current, after a run."""
        do(database, *statements)
        dbt_project.run(database, "build", project=project)
        is_current = f"dbt_valid_to = {current}" if current else "dbt_valid_to is null"
        columns = f"kind, number, price, {is_current}"
        return fetch(
            database, f"select {columns} from marts.snp_things order by 1, 2, dbt_valid_from"
        )

    first = states()
    assert first == [("a", 1, 10, True), ("a", 2, 20, True), ("b", 1, 30, True)]
    assert states() == first
    found = states(
        "delete from shop.things where price = 20",
        "update shop.things set price = 11 where price = 10",
    )
    kept = hard_deletes == "ignore"
    marked = [("a", 2, 20, True)] if hard_deletes == "new_record" else []
    changed = [("a", 1, 10, False), ("a", 1, 11, True)]
    assert found == [*changed, ("a", 2, 20, kept), *marked, ("b", 1, 30, True)]
    assert states() == found
    back = states("insert into shop.things values ('a', 2, 20)")
    assert [row for row in back if row[:2] == ("a", 2)][-1] == ("a", 2, 20, True)
    assert sum(row[3] for row in back) == 3


def test_an_emptied_source_has_no_missing_rows(database: Any, tmp_path: Path) -> None:
    project = snapshot_of_things(tmp_path, hard_deletes="invalidate")
    models = project / "models"
    (models / "every_thing.sql").write_text("select * from shop.things")
    (models / "things.sql").write_text(
        "{{ config(materialized='incremental', incremental_strategy='changed_keys',"
        " unique_key='number', on_schema_change='fail') }}\n"
        "{%- do skip_unless_changed() %}\n"
        "select kind, number, price from {{ ref('every_thing') }}"
    )
    do(
        database,
        "create schema shop",
        "create table shop.things as select 'a' as kind, n as number, 10 as price"
        " from generate_series(1, 3) as n",
    )

    def states(command: str = "build", *options: str, full_refresh: bool = False) -> list[tuple]:
        """The number of each state, and whether it is current."""
        dbt_project.run(
            database, command, project=project, options=options, full_refresh=full_refresh
        )
        query = "select number, dbt_valid_to is null from marts.snp_things order by 1"
        return fetch(database, query)

    current = [(1, True), (2, True), (3, True)]
    assert states() == current
    assert states("build", "--empty") == current
    assert states("build", "--empty", full_refresh=True) == current
    assert ask(database, "select count(*) from marts.things") == 0
    # The emptied table is built again before its rows count as missing.
    assert states("snapshot") == current
    assert states() == current
    do(database, "delete from shop.things where number = 2")
    assert states() == [(1, True), (2, False), (3, True)]


def test_missing_rows_end_and_return_in_order(database: Any, tmp_path: Path) -> None:
    """Also if the clock went back, and if the row says that it is old."""
    config = {"hard_deletes": "invalidate", "updated_at": "changed_at"}
    project = snapshot_of_things(tmp_path, **config)
    do(
        database,
        "create schema shop",
        "create table shop.things as select 'a' as kind, 1 as number, 10 as price,"
        " timestamptz '2020-01-01' as changed_at",
    )
    thing = "insert into shop.things values ('a', 1, 10, '2020-01-01')"

    def build() -> None:
        dbt_project.run(database, "build", project=project)

    build()
    do(database, "update marts.snp_things set dbt_valid_from = now() + interval '1 hour'")
    for statement in ("delete from shop.things", thing, "delete from shop.things", thing):
        do(database, statement)
        build()
    states = fetch(
        database,
        "select dbt_valid_from, dbt_valid_to, dbt_scd_id from marts.snp_things order by 1",
    )
    assert len(states) == 3
    assert len({scd_id for _, _, scd_id in states}) == 3
    for (began, ended, _), (next_began, _, _) in itertools.pairwise(states):
        assert began < ended <= next_began
    assert states[-1][1] is None


def test_a_snapshot_sees_what_its_own_hooks_did(database: Any, tmp_path: Path) -> None:
    project = snapshot_of_things(
        tmp_path,
        query="select *, changed_at::date::text as day from {{ ref('things') }} -- the end",
        check_cols=["price", "day"],
        pre_hook="update shop.things set price = price + 1",
        sql_header="set local timezone = 'Asia/Tokyo';",
    )
    do(
        database,
        "create schema shop",
        "create table shop.things as select 'a' as kind, 1 as number, 10 as price,"
        " timestamptz '2020-01-01 20:00:00+00' as changed_at",
    )
    found = "select price, day, dbt_valid_to is null from marts.snp_things order by 1"
    dbt_project.run(database, "build", project=project)
    assert fetch(database, found) == [(11, "2020-01-02", True)]
    dbt_project.run(database, "build", project=project)
    assert fetch(database, found) == [(11, "2020-01-02", False), (12, "2020-01-02", True)]
