"""History kept by the source becomes versions, as if the warehouse had recorded it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.dbt_project import NO_TESTS
from tests.support.relations import contents

# The audit table has two earlier states of the user, and also the loaded one.
HISTORY = """
create table public.user_history as
select
    stg.user_id,
    moments.valid_from::timestamptz,
    stg.email,
    stg.first_name,
    stg.last_name,
    stg.phone,
    stg.birth_date,
    stg.country,
    coalesce(moments.tier, stg.subscription_tier) as subscription_tier
from staging.stg_app__users as stg
cross join (
    values ('2020-01-01', 'a'), ('2021-01-01', 'b'), ('2022-01-01', null)
) as moments (valid_from, tier)
where stg.user_id = %s
"""


def backfill(database: Any, snapshot: str = "snp_app__users", **arguments: str) -> None:
    """Run the operation backfill_snapshot; the default of `history` is public.user_history."""
    given = {"snapshot": snapshot, "history": "public.user_history", **arguments}
    dbt_project.run(
        database, "run-operation", options=("backfill_snapshot", "--args", json.dumps(given))
    )


def versions(database: Any, user_id: str) -> list[tuple]:
    """The start, end and tier of a user's versions, in order."""
    with database.connect() as session:
        return session.execute(
            "select effective_date, expiry_date, subscription_tier from marts.dim_users"
            " where user_id = %s order by effective_date",
            [user_id],
        ).fetchall()


def first_user(database: Any) -> tuple[str, str]:
    """The first user with orders and a tier, and the tier."""
    with database.connect() as session:
        return session.execute(
            "select user_id, subscription_tier from marts.dim_users"
            " where user_id in (select user_id from marts.fct_orders)"
            " and subscription_tier is not null order by user_id limit 1"
        ).fetchone()


def day(text: str) -> datetime:
    """Midnight of a day in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BEGINNING, END = day("1900-01-01"), day("9999-12-31")


@pytest.mark.long
def test_states_that_the_source_kept_become_versions(built: Any) -> None:
    before = contents(built)
    user_id, tier = first_user(built)
    with built.connect() as session:
        session.execute(HISTORY, [user_id])
        session.execute(
            "insert into public.user_history (user_id, valid_from, subscription_tier)"
            " values ('long gone', '2019-05-05', 'x'), ('long gone', '2019-06-06', 'y')"
        )
        (order_id,) = session.execute(
            "select min(order_id) from raw.orders where user_id = %s", [user_id]
        ).fetchone()
        session.execute(
            "update raw.orders set order_date = '2020-07-01', _loaded_at = now()"
            " where order_id = %s",
            [order_id],
        )
    backfill(built)
    dbt_project.build(built, options=dbt_project.NO_UNIT_TESTS)

    assert versions(built, user_id) == [
        (BEGINNING, day("2021-01-01"), "a"),
        (day("2021-01-01"), day("2022-01-01"), "b"),
        (day("2022-01-01"), END, tier),
    ]
    assert versions(built, "long gone") == [
        (BEGINNING, day("2019-06-06"), "x"),
        (day("2019-06-06"), END, "y"),
    ]
    with built.connect() as session:
        assert session.execute(
            "select subscription_tier from marts.fct_orders inner join marts.dim_users"
            " using (user_key) where order_id = %s",
            [order_id],
        ).fetchone() == ("a",)

    after = contents(built)
    assert after != before
    dbt_project.build(built, options=NO_TESTS, full_refresh=True)
    assert contents(built) == after
    backfill(built)
    dbt_project.build(built, options=NO_TESTS)
    assert contents(built) == after


def test_a_corrected_history_replaces_the_one_before(built: Any) -> None:
    user_id, tier = first_user(built)
    with built.connect() as session:
        session.execute(HISTORY, [user_id])
    backfill(built)
    dbt_project.build(built, "+dim_users", options=NO_TESTS)
    with built.connect() as session:
        session.execute("delete from public.user_history where valid_from = '2021-01-01'")
        session.execute(
            "update public.user_history set valid_from = '2020-02-02' where subscription_tier = 'a'"
        )
        # After its first snapshot the warehouse's own record takes precedence.
        session.execute(
            "insert into public.user_history (user_id, valid_from, subscription_tier)"
            " values (%s, now(), 'after')",
            [user_id],
        )
    backfill(built)
    dbt_project.build(built, "+dim_users", options=NO_TESTS)

    assert versions(built, user_id) == [
        (BEGINNING, day("2022-01-01"), "a"),
        (day("2022-01-01"), END, tier),
    ]


def test_products_have_a_history_too(built: Any) -> None:
    with built.connect() as session:
        session.execute(
            "create view public.prices as"
            " select product_id, '2020-01-01'::timestamptz as began_at, category_id, product_name,"
            " description, 0.5 as unit_price, false as is_deleted"
            " from staging.stg_app__products order by product_id limit 3"
        )
    backfill(built, "snp_app__products", history='"public"."prices"', valid_from="began_at")
    dbt_project.build(built, "+dim_products", options=NO_TESTS)

    with built.connect() as session:
        assert session.execute(
            "select count(*) from marts.dim_products where not is_current and unit_price = 0.5"
            " and effective_date = '1900-01-01 00:00:00+00'"
        ).fetchone() == (3,)


FAULTS = (
    ("", {"snapshot": "snp_users"}, "no snapshot 'snp_users'; there are snp_app__products, snp_"),
    ("", {"history": "user_history"}, "user_history does not exist; history takes a table"),
    ("", {"history": "public.nothing"}, "public.nothing does not exist"),
    ("", {"valid_from": "since"}, "has no column 'since'; it needs user_id, since, email"),
    ("alter table public.user_history drop country", {}, "has no column 'country'"),
    ("update public.user_history set user_id = null", {}, "has 3 rows without user_id or"),
    (
        "update public.user_history set valid_from = 'infinity' where subscription_tier = 'a'",
        {},
        "has 1 rows whose valid_from lies in the future or before 1900",
    ),
    (
        "update public.user_history set valid_from = '2020-01-01'",
        {},
        "has 2 rows that repeat the same user_id and valid_from",
    ),
)


def test_what_is_wrong_is_said_and_nothing_changes(built: Any) -> None:
    user_id, _ = first_user(built)
    for change, arguments, message in FAULTS:
        with built.connect() as session:
            session.execute("drop table if exists public.user_history")
            session.execute(HISTORY, [user_id])
            if change:
                session.execute(change)
        with pytest.raises(dbt_project.DbtFailed, match=re.escape(message)):
            backfill(built, **arguments)
        with built.connect() as session:
            assert session.execute(
                "select count(*) from snapshots.snp_app__users where dbt_scd_id like 'kept%'"
            ).fetchone() == (0,)


def test_it_waits_for_a_run_of_its_snapshot(built: Any, server: Any) -> None:
    """It takes the same lock as a run of the snapshot, computed from the same text."""
    user_id, _ = first_user(built)
    with built.connect() as session:
        session.execute(HISTORY, [user_id])
        session.execute(f"alter database {built.name} set log_statement = 'all'")
    since = server.log.stat().st_size
    dbt_project.run(built, "snapshot", "snp_app__users")
    log = server.log.read_bytes()[since:].decode(errors="replace")
    (taken,) = set(
        re.findall(r"pg_advisory_xact_lock\(hashtext\('[^']*snp_app__users\"?'\)\)", log)
    )

    options = "-c timezone=UTC -c lock_timeout=500ms"
    built.environment["WAREHOUSE_SESSION_OPTIONS"] = options
    with built.connect() as run_of_the_snapshot:
        run_of_the_snapshot.execute(f"select {taken}")
        with pytest.raises(dbt_project.DbtFailed, match="lock timeout"):
            backfill(built)
    backfill(built)
