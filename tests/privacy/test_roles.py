"""Each role may read what rights.txt lists, and nothing else, whatever was built how."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.privacy.conftest import NAMES, logged_in
from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch
from warehouse.privacy import roles

RIGHTS = Path(__file__).parent / "rights.txt"
# What a role can do: on a whole relation, or on some of its columns.
QUERY = """
select
    rolname,
    nspname || '.' || relname,
    coalesce(
        (
            select string_agg(lower(privilege), ' ' order by place)
            from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES'])
                with ordinality as privileges (privilege, place)
            where has_table_privilege(pg_roles.oid, pg_class.oid, privilege)
        ),
        (
            select 'select (' || string_agg(attname, ', ' order by attnum) || ')'
            from pg_attribute
            where attrelid = pg_class.oid and attnum > 0
                and has_column_privilege(pg_roles.oid, attrelid, attnum, 'select')
        )
    ) as rights
from pg_class
inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
inner join pg_roles on pg_roles.rolname = any(%s)
    and has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'usage')
where pg_class.relkind in ('r', 'p', 'v', 'm')
    and not pg_class.relispartition
    and nspname !~ '^pg_|^information_schema$'
"""


def rights(database: Database) -> str:
    rows = [row for row in fetch(database, QUERY, NAMES) if row[2]]
    return "".join(f"{role:<26} {relation:<48} {what}\n" for role, relation, what in sorted(rows))


def test_the_rights_of_each_role(governed: Database) -> None:
    """After the grants, a full refresh of all, another of some, and a view that was dropped."""
    found = rights(governed)
    if not RIGHTS.exists():
        RIGHTS.write_text(found)
    assert found == RIGHTS.read_text()
    dbt_project.build(governed, options=dbt_project.NO_TESTS, full_refresh=True)
    assert rights(governed) == found
    do(governed, "drop view reporting.user_rfm", "drop table marts.dim_products cascade")
    dbt_project.build(governed, options=dbt_project.NO_TESTS)
    some = ("dim_categories", "daily_revenue", "fct_user_events", "rpt_user_analytics")
    dbt_project.build(governed, *some, options=dbt_project.NO_TESTS, full_refresh=True)
    assert rights(governed) == found


def test_who_logs_in_sees_no_more(governed: Database) -> None:
    hidden = (
        *("raw.users", "staging.stg_app__users", "snapshots.snp_app__users"),
        *("marts.dim_users", "marts.fct_user_events", "intermediate.int_row_issues"),
        *("quarantine.row_issues", "published.user_analytics", "observability.key_changes"),
    )
    with logged_in(governed, "an_analyst") as session:
        for relation in ("reporting.user_analytics", "marts.fct_orders", "marts.user_analytics"):
            assert session.execute(f"select count(*) from {relation}").fetchone() != (0,)
        for relation in hidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(f"select from {relation} limit 1")
        for statement in (
            "create temporary table copied (id int)",
            "create table marts.copied (id int)",
            "create table public.copied (id int)",
            "create schema own",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)
    with logged_in(governed, "an_officer") as session:
        for relation in hidden:
            session.execute(f"select from {relation} limit 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("delete from raw.users")
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
        logged_in(governed, "an_outsider"),
    ):
        pass


def test_a_cheap_function_learns_nothing(governed: Database) -> None:
    """It would be called on the rows that a view leaves out, before the view's own condition."""
    do(
        governed,
        "create schema sandbox authorization an_analyst",
        "create function sandbox.tell(value text) returns boolean language plpgsql cost 0.0000001"
        " as $$ begin raise notice '%', value; return true; end $$",
        "alter function sandbox.tell owner to an_analyst",
        "grant usage on schema sandbox to public",
        "create view reporting.germans as select user_id, country from marts.dim_users"
        " where country = 'DE' and is_current",
        "grant select on reporting.germans to warehouse_analyst",
    )

    def told(query: str) -> set[str]:
        heard: set[str] = set()
        with logged_in(governed, "an_analyst") as session:
            session.add_notice_handler(lambda notice: heard.add(notice.message_primary or ""))
            session.execute(query)
        return heard

    countries = "select count(*) from reporting.germans where sandbox.tell(country)"
    assert len(told(countries)) > 1, "the trick works on a plain view"
    do(governed, "alter view reporting.germans set (security_barrier = true)")
    assert told(countries) == {"DE"}
    emails = told("select count(*) from reporting.user_analytics where sandbox.tell(email)")
    assert len(emails) > 5
    assert all("***" in email for email in emails)
    unsecured = ask(
        governed,
        "select array_agg(relname) from pg_class where relkind = 'v' and relname != 'germans'"
        " and relnamespace = 'reporting'::regnamespace"
        " and not coalesce('security_barrier=true' = any(reloptions), false)",
    )
    assert unsecured is None


def test_logins_that_are_no_members_keep_their_way_in(cleared: None, built: Database) -> None:
    do(
        built,
        "create role an_outsider login",
        "grant usage on schema marts to an_outsider",
        "grant select on marts.fct_orders to an_outsider",
    )
    with built.connect() as session:
        session.autocommit = True
        roles.apply(session)
    dbt_project.build(built, "fct_orders", options=dbt_project.NO_TESTS, full_refresh=True)
    with logged_in(built, "an_outsider") as session:
        assert session.execute("select count(*) from marts.fct_orders").fetchone() != (0,)


def test_a_project_builds_without_the_roles(cleared: None, built: Database) -> None:
    dbt_project.build(built, "dim_categories", options=dbt_project.NO_TESTS, full_refresh=True)
    assert (
        ask(built, "select relacl from pg_class where oid = 'marts.dim_categories'::regclass")
        is None
    )
