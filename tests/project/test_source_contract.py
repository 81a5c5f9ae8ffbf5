"""The raw tables are compared with the source contract before anything is built."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do
from warehouse import dbt
from warehouse.contract import read
from warehouse.database.connection import OLDEST_VERSION
from warehouse.load import target

NO_TESTS = dbt_project.NO_TESTS

# Each changes a raw table, and what the check says about it.
MISTAKES = {
    "alter table raw.users alter created_at type timestamp": (
        "raw.users.created_at has the type timestamp without time zone, expected timestamptz:"
        " alter table raw.users alter column created_at type timestamptz"
        " using created_at at time zone 'UTC';"
    ),
    "alter table raw.users drop email": (
        "raw.users.email is missing, expected text: alter table raw.users add column email text;"
    ),
    "alter table raw.users alter _loaded_at drop not null": (
        "raw.users._loaded_at may be null, and a build never finds such a row:"
        " alter table raw.users alter column _loaded_at set not null;"
    ),
    "alter table raw.users alter birth_date type timestamptz using null": (
        "raw.users.birth_date has the type timestamp with time zone, expected date:"
        " alter table raw.users alter column birth_date type date"
        " using (birth_date at time zone 'UTC')::date;"
    ),
    "alter table raw.payments alter amount type text": (
        "raw.payments.amount has the type text, expected numeric:"
        " alter table raw.payments alter column amount type numeric using amount::numeric;"
    ),
    "alter table raw.events alter properties type json using null": (
        "raw.events.properties has the type json, expected jsonb:"
        " alter table raw.events alter column properties type jsonb using properties::jsonb;"
    ),
    "alter table raw.consents alter is_granted type int using null": (
        "raw.consents.is_granted has the type integer, expected boolean:"
        " alter table raw.consents alter column is_granted type boolean using is_granted::boolean;"
    ),
    "alter table raw.user_sessions alter device type bytea using null": (
        "raw.user_sessions.device has the type bytea, expected text:"
        " alter table raw.user_sessions alter column device type text using device::text;"
    ),
    "drop table raw.categories": "raw.categories does not exist: create a table or a view of this",
    "alter table raw.orders rename to orders_table": "",
    "create view raw.orders as select order_id, user_id, order_status,"
    " order_date::timestamp as order_date, updated_at, _loaded_at, _deleted_at"
    " from raw.orders_table": (
        "raw.orders.order_date has the type timestamp without time zone, expected timestamptz:"
        " in the view, select order_date at time zone 'UTC' as order_date"
    ),
    "comment on view raw.orders is ''": (
        "raw.orders.currency is missing, expected text: select it in the view, or null::text as"
        " currency"
    ),
    "comment on view raw.orders is null": (
        "raw.orders has no column xmin, by which builds find late commits: select xmin of its"
        " table in the view; if it has none, as a foreign table, write read_source('orders',"
        " has_row_xid=false) in models/staging/app/stg_app__orders.sql"
    ),
}
# Types that staging casts, beyond those of test_own_tables.py.
OTHER_TYPES = (
    "create type public.tier as enum ('free', 'pro')",
    "create domain public.amount as numeric",
    "alter table raw.users alter subscription_tier type public.tier using null,"
    " alter phone type bigint using null, alter country type char(2), alter email type varchar(50)",
    "alter table raw.order_items alter quantity type double precision,"
    " alter price_at_purchase type public.amount, alter order_id type uuid using null",
)


@pytest.fixture
def raw(database: Any) -> Any:
    """A database with the empty raw tables of the contract, and nothing built."""
    with database.connect() as session:
        session.autocommit = True
        target.create(session, read())
    return database


def test_all_mistakes_are_listed_before_anything_is_built(raw: Any) -> None:
    do(raw, *MISTAKES)
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.build(raw, "staging")
    said = str(failure.value)
    expected = [line for line in MISTAKES.values() if line]
    assert [line for line in expected if line not in said] == [], said
    assert f"in {len(expected)} places; nothing was built" in said
    assert ask(raw, "select count(*) from pg_views where schemaname = 'staging'") == 0

    # Its own statements, and a table instead of the view, mend everything.
    do(
        raw,
        *re.findall(r": (alter table .*;)$", said, re.MULTILINE),
        "drop view raw.orders",
        "alter table raw.orders_table rename to orders",
        "create table raw.categories (category_id text primary key, parent_id text,"
        " category_name text, updated_at timestamptz, _loaded_at timestamptz not null,"
        " _deleted_at timestamptz)",
    )
    dbt_project.invoke(raw, "run-operation", "check_sources")


def test_what_a_run_does_not_read_is_not_checked(database: Any) -> None:
    """Nor in commands that build nothing."""
    dbt_project.build(database, "dim_time", options=NO_TESTS)
    dbt_project.run(database, "seed", "event_types")
    dbt_project.run(database, "compile", "stg_app__events")
    dbt_project.invoke(database, "list")
    do(database, "create schema raw")
    for options in ((), ("--empty",)):
        with pytest.raises(dbt_project.DbtFailed, match=r"raw\.events does not exist: create a"):
            dbt_project.run(database, "run", "stg_app__events", options=options)


def test_rows_that_count_as_empty_are_told(raw: Any) -> None:
    """A table with rows or a view that sources_present lacks; by the check and by a build."""
    log = dbt_project.scratch() / "logs" / "dbt.log"
    check = ("run-operation", "check_sources", "--log-level-file", "warn")

    def warnings(*command: str) -> str:
        log.unlink(missing_ok=True)
        dbt_project.invoke(raw, *command)
        return " ".join(log.read_text().split()) if log.is_file() else ""

    lacks = "but counts as empty: the variable sources_present lacks exchange_rates."
    assert "sources_present" not in warnings(*check)
    do(raw, "insert into raw.exchange_rates (exchange_rate_id, _loaded_at) values ('r', now())")
    assert f"raw.exchange_rates has rows, {lacks}" in warnings(*check)
    run = ("run", "--log-level-file", "warn", "--select")
    assert lacks in warnings(*run, "stg_app__users", "stg_app__exchange_rates")
    assert lacks not in warnings(*run, "stg_app__users")
    do(
        raw,
        "drop table raw.exchange_rates",
        "create view raw.exchange_rates as select 1 / 0 as exchange_rate_id",
    )
    assert f"raw.exchange_rates exists, {lacks}" in warnings(*check)


def test_warehouse_check_prints_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    def invoke(_arguments: Any, listen: Any) -> Any:
        for name, text in (("JinjaLogWarning", "has rows"), ("JinjaLogInfo", "fulfil")):
            listen(SimpleNamespace(info=SimpleNamespace(name=name), data=SimpleNamespace(msg=text)))
        return SimpleNamespace(success=True)

    monkeypatch.setattr(dbt, "_invoke", invoke)
    assert dbt.run_operation("check_sources") == "Warning: has rows\nfulfil"


def test_types_that_staging_casts_are_accepted(raw: Any) -> None:
    do(raw, *OTHER_TYPES)
    dbt_project.build(raw, "stg_app__users", "stg_app__order_items", options=NO_TESTS)
    with raw.connect() as session:
        session.execute("select * from staging.stg_app__users, staging.stg_app__order_items")


def test_a_role_that_may_not_read_is_told_the_grant(raw: Any) -> None:
    do(
        raw,
        "do $$ begin create role contract_builder login; exception when duplicate_object"
        " then null; end $$",
        f"grant create on database {raw.name} to contract_builder",
        "grant usage on schema raw to contract_builder",
        "grant select on raw.users to contract_builder",
    )
    builder = dataclasses.replace(
        raw, environment={**raw.environment, "PGUSER": "contract_builder"}
    )
    message = "grant select on raw.orders to contract_builder;"
    with pytest.raises(dbt_project.DbtFailed, match=message):
        dbt_project.run(builder, "run", "stg_app__users", "stg_app__orders")


def test_the_owner_of_a_raw_table_changes_it(built: Any) -> None:
    """As docs/adapting.md says: drop with cascade, change, build."""
    before = ask(built, "select count(*) from marts.fct_orders")
    do(
        built,
        "drop view staging.stg_app__orders cascade",
        "alter table raw.orders alter column currency type varchar(3)",
    )
    dbt_project.build(built, "stg_app__orders+", options=NO_TESTS)
    assert ask(built, "select count(*) from marts.fct_orders") == before
    assert ask(built, "select count(*) > 0 from quarantine.excluded_rows") is True


def test_an_old_server_is_refused_before_anything_is_asked_of_it(database: Any) -> None:
    """Plain dbt has no other check; the version of this server is too old for version 99."""
    dbt_project.edit(database, "oldest_server_version", "16", "99")
    for command in ("build", "test", "run"):
        message = f"database {database.name} is version .*: the warehouse needs 99 or newer"
        with pytest.raises(dbt_project.DbtFailed, match=message):
            dbt_project.run(database, command)
    dbt_project.forget_configured(database)


def test_dbt_and_the_commands_support_the_same_servers() -> None:
    macros = dbt_project.parsed().macros
    text = macros["macro.analytics_warehouse.oldest_server_version"].macro_sql
    assert re.findall(r"return\((\d+)\)", text) == [str(OLDEST_VERSION)]
