"""One login loads and another builds, and neither is a superuser."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import psycopg
import pytest

from tests.privacy.conftest import LOGINS, logged_in
from tests.privacy.test_erase import connect, erase
from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.database import Database, ask, do, fetch
from tests.support.files import write
from warehouse.database import preflight, profile
from warehouse.errors import WarehouseError
from warehouse.load import load_folder
from warehouse.privacy import keys, roles

LOADER, BUILDER = "a_loader", "a_builder"
MODELS = ("+fct_user_consents", "+rpt_marketing_audience", "+excluded_rows")
FIRST = {
    "users": "user_id,email,created_at\nu1,u1@example.org,2026-01-01\nu2,,2026-01-01\n",
    "orders": "order_id,user_id,order_status,order_date\no1,u1,paid,2026-01-02\n",
    "consents": "consent_id,user_id,purpose,is_granted,recorded_at\n"
    "1,u1,marketing,true,2026-01-01\n2,u2,marketing,true,2026-01-01\nexcluded,,,,\n",
    "events": "event_id,user_id,event_timestamp\nlast,u1,no time\n"
    + "".join(f"{number},u1,2026-01-02\n" for number in range(10)),
    "user_sessions": "session_id,user_id,session_start\ns1,u1,2026-01-02\n",
}
SECOND = {
    "consents": "consent_id,user_id,purpose,is_granted,recorded_at\n"
    "3,u1,marketing,false,2026-02-01\n"
}


def as_login(database: Database, login: str) -> Database:
    """The same database, for a login."""
    return dataclasses.replace(database, environment={**database.environment, "PGUSER": login})


def create_logins(database: Database, *, members: bool) -> None:
    do(
        database,
        f"revoke create, temporary on database {database.name} from public",
        *(f"create role {login} login" for login in LOGINS),
    )
    if members:
        join(database)


def join(database: Database) -> None:
    do(database, *(f"grant {roles.name_of(of)} to {login}" for login, of in LOGINS.items()))


def apply_roles(database: Database) -> None:
    """What `warehouse roles --apply` does."""
    with database.connect() as session:
        session.autocommit = True
        roles.apply(session)
        assert roles.apply(session) == []
    dbt_project.invoke(database, "run-operation", "grant_to_roles")


def load(
    database: Database, folder: Path, day: int, rows: dict[str, str], *, is_now: bool = False
) -> None:
    into = folder / f"day {day}"
    for name, text in rows.items():
        write(into, f"{name}.csv", text)
    with connect(as_login(database, LOADER)) as session:
        stamp = None if is_now else dt.datetime(2026, 3, day, tzinfo=dt.UTC)
        load_folder(into, connection=session, loaded_at=stamp)


def build(database: Database) -> None:
    dbt_project.build(as_login(database, BUILDER), *MODELS, options=dbt_project.NO_TESTS)


def refused(database: Database, login: str, *statements: str) -> None:
    with logged_in(database, login) as session:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)


def check_rights(database: Database) -> None:
    """The two logins have what they need and no more, and the readers have what is theirs."""
    refused(
        database,
        BUILDER,
        "delete from raw.users",
        "update raw.consents set is_granted = true",
        "insert into raw.users (user_id, _loaded_at) values ('x', now())",
        "truncate raw.users",
        "drop table raw.users",
        "create table raw.mine (id int)",
        "delete from quarantine.rejected_rows",
    )
    refused(
        database,
        LOADER,
        "select from marts.fct_user_consents",
        "select from staging.stg_app__users",
        "select from reporting.marketing_audience",
        "create table marts.mine (id int)",
    )
    with logged_in(database, "an_officer") as session:
        for relation in ("raw.users", "quarantine.rejected_rows", "quarantine.excluded_rows"):
            assert session.execute(f"select count(*) from {relation}").fetchone() != (0,)
    with logged_in(database, "a_monitor") as session:
        session.execute("select _loaded_at from raw.users")
        session.execute("select table_name from quarantine.rejected_rows")
    refused(database, "a_monitor", "select email from raw.users")
    refused(database, "an_analyst", "select from raw.users", "select from quarantine.excluded_rows")


@pytest.mark.parametrize("roles_first", [True, False], ids=["roles first", "roles last"])
def test_each_login_does_its_part(
    cleared: None, database: Database, tmp_path: Path, roles_first: bool
) -> None:
    if roles_first:
        apply_roles(database)
        create_logins(database, members=True)
        load(database, tmp_path, 1, FIRST)
    else:
        create_logins(database, members=False)
        do(database, f"grant create, temporary on database {database.name} to {LOADER}, {BUILDER}")
        load(database, tmp_path, 1, FIRST)
        with pytest.raises(
            dbt_project.DbtFailed, match=r"raw\.users may not be read by the role a_builder: grant"
        ):
            build(database)
        apply_roles(database)
        join(database)
    build(database)
    audience = "select array_agg(user_id order by user_id) from reporting.marketing_audience"
    assert ask(database, audience) == ["u1", "u2"]
    check_rights(database)
    load(database, tmp_path, 2, SECOND)
    assert ask(database, audience) == ["u2"]
    build(database)
    current = "select user_id, is_granted from marts.fct_user_consents where is_current order by 1"
    assert fetch(database, current) == [("u1", False), ("u2", True)]
    check_rights(database)
    owners = fetch(
        database,
        "select distinct nspname, pg_get_userbyid(relowner) from pg_class inner join pg_namespace"
        " on relnamespace = pg_namespace.oid where nspname in ('raw', 'marts', 'quarantine')"
        " order by 1, 2",
    )
    assert owners == [
        *(("marts", BUILDER), ("quarantine", BUILDER), ("quarantine", LOADER), ("raw", LOADER))
    ]
    # Neither a load nor the administrator grants again what comes later.
    do(as_login(database, LOADER), "create table raw.later as select 1 as id")
    with logged_in(database, BUILDER) as session:
        session.execute("select from raw.later")
    with database.connect() as session:
        assert roles.plan(session) == []


def test_a_build_that_comes_first_lets_the_loader_in(
    cleared: None, database: Database, tmp_path: Path
) -> None:
    """Another tool has filled raw, so that the build creates the schema of rejected rows."""
    apply_roles(database)
    create_logins(database, members=True)
    load(database, tmp_path, 1, FIRST)
    do(database, "drop schema quarantine cascade")
    build(database)
    assert ask(database, "select nspowner::regrole::text from pg_namespace where nspname ="
               " 'quarantine'") == BUILDER  # fmt: skip
    load(database, tmp_path, 2, {**FIRST, **SECOND})
    assert ask(database, "select count(*) from quarantine.rejected_rows") == 1
    build(database)
    check_rights(database)


def test_a_load_says_which_right_it_lacks(
    cleared: None, database: Database, tmp_path: Path
) -> None:
    create_logins(database, members=False)
    do(database, f"grant temporary on database {database.name} to {LOADER}")

    def lacks(message: str) -> None:
        with pytest.raises(WarehouseError, match=message):
            load(database, tmp_path, 1, FIRST)

    lacks("The schema raw does not exist, and the role a_loader may not create it. As an admin")
    do(database, "create schema raw")
    owner = ask(database, "select current_user")
    lacks(f"may not use the schema raw. As its owner, {owner}, run: grant usage, create on schema")
    do(database, "grant usage on schema raw to a_loader", "create schema quarantine")
    do(database, "grant usage on schema quarantine to a_loader")
    lacks(r"The table raw.users does not exist, and the role a_loader may not create it.*grant usa")
    do(database, "grant create on schema raw to a_loader")
    lacks(r"The table quarantine.rejected_rows does not exist.* on schema quarantine to a_loader;")
    do(database, "grant create on schema quarantine to a_loader")
    do(database, "create schema privacy", "create table privacy.erased_keys ()")
    lacks("a_loader may not read who was erased.*grant usage on schema privacy to a_loader; grant")
    do(database, "drop schema privacy cascade")
    load(database, tmp_path, 1, FIRST)
    # The raw tables are the loader's, and the build says what it lacks before it starts.
    do(database, f"grant create, temporary on database {database.name} to {BUILDER}")
    where = profile.Settings(
        {
            "host": database.environment["PGHOST"],
            "port": database.environment["PGPORT"],
            "user": BUILDER,
            "dbname": database.name,
        },
        embedded=False,
        source="a test",
        target="dev",
    )
    with pytest.raises(WarehouseError, match=r"a_builder lacks rights.*raw\.users.*to a_builder"):
        preflight.check(where)


@pytest.mark.long
def test_an_erased_person_stays_erased(
    cleared: None, database: Database, of: keys.Keys, tmp_path: Path
) -> None:
    """Who loads knows whom not to bring back, and who builds has nothing to do."""
    apply_roles(database)
    create_logins(database, members=True)
    # Of nobody, in a session of the person.
    anonymous = (
        "event_id,user_id,session_id,event_timestamp,page_url\nanonymous,,s1,2026-01-02,/u1\n"
    )
    load(database, tmp_path, 1, FIRST)
    build(database)
    erase(database, dbt_project.compiled(database), "u1", of=of)
    for day in (2, 3):
        load(database, tmp_path, day, FIRST, is_now=True)
        load(database, tmp_path, day + 2, {"events": anonymous}, is_now=True)
        build(database)
    remaining = fetch(database, "select user_id from raw.users where user_id !~ '^erased_p'")
    assert remaining == [("u2",)]
    assert ask(database, "select page_url from raw.events where event_id = 'anonymous'") is None
    audience = "select array_agg(user_id) from reporting.marketing_audience"
    assert ask(database, audience) == ["u2"]
    check_rights(database)
    # A row that came in another way needs the owner of raw.
    do(database, "update raw.users set user_id = 'u1', _loaded_at = now() where user_id != 'u2'")
    with pytest.raises(
        dbt_project.DbtFailed, match=r"raw\.users, and the role a_builder may not erase them"
    ):
        build(database)


@pytest.mark.long
def test_the_commands_load_and_build_everything(
    cleared: None, database: Database, of: keys.Keys, sample_folder: Path
) -> None:
    """`warehouse load` and `warehouse build`, twice each, with all models and tests.

    The logins work as their groups, so that the members of warehouse_owner own what both create.
    """

    def run(login: str, *arguments: str) -> str:
        done = warehouse(as_login(database, login), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    apply_roles(database)
    create_logins(database, members=True)
    for login in (LOADER, BUILDER):
        do(database, f"alter role {login} set role = {roles.name_of(LOGINS[login])}")
    run(LOADER, "load", str(sample_folder), "--allow-sample")
    run(BUILDER, "build")
    check_rights(database)
    run(LOADER, "load", str(sample_folder), "--allow-sample")
    said = run(BUILDER, "build")
    assert "to be erased (raw.erasure_requests). The user a_builder may not change raw" in said
    check_rights(database)
    run("an_owner", "erase", "--apply")
    run(LOADER, "load", str(sample_folder), "--allow-sample")
    assert "to be erased" not in run(BUILDER, "build")
    assert ask(database, "select count(*) from reporting.user_analytics") > 50
    owners = "select array_agg(distinct pg_get_userbyid(relowner)) from pg_class where relnamespace"
    assert ask(database, f"{owners} = 'raw'::regnamespace") == ["warehouse_loader"]
    assert ask(database, f"{owners} = 'marts'::regnamespace") == ["warehouse_transformer"]
