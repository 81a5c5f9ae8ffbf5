"""Raw tables, consents and tablespaces: what moves, and that full builds equal incremental ones."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.retention import support
from tests.retention.support import plan_json, retain
from tests.support import dbt_project
from tests.support.database import ask, do, fetch
from tests.support.dbt_project import NO_TESTS
from tests.support.relations import contents
from warehouse.retention.policy import Hold, Policy, make_plan

REBUILT = ("intermediate", "marts")
EVENTS = Policy(
    "app.events",
    '"built"."raw"."events"',
    (),
    "observability",
    "1 days",
    tiers=(("hot", "1 days"),),
    column="event_timestamp",
    is_partitioned=False,
    is_source=True,
    readers=("stg_app__events",),
)


def plan_of(database: Any, *policies: Policy) -> Any:
    return dataclasses.replace(make_plan(plan_json(database)), policies=[*policies])


def assert_full_equals_incremental(database: Any) -> None:
    dbt_project.build(database, options=NO_TESTS)
    incremental = contents(database, REBUILT)
    dbt_project.build(database, options=NO_TESTS, full_refresh=True)
    assert contents(database, REBUILT) == incremental


def test_rows_of_a_raw_table_are_marked_read_and_removed(built: Any, tmp_path: Any) -> None:
    """A hold keeps its month."""
    # The sample ends yesterday.
    now = datetime.now(UTC) + timedelta(days=62)
    months = fetch(
        built,
        "select to_char(event_timestamp at time zone 'UTC', 'YYYY-MM') as month, count(*)"
        " from raw.events where isfinite(event_timestamp) and _deleted_at is null"
        f" and event_timestamp < date_trunc('month', timestamptz '{now}' - interval '1 day')"
        " group by 1 order by 1",
    )
    assert len(months) >= 2
    held = months[0][0]
    plan = plan_of(built, dataclasses.replace(EVENTS, holds=(Hold("case 5", held, held),)))
    alive = ask(built, "select count(*) from raw.events where _deleted_at is null")
    leaving = sum(count for month, count in months if month != held)
    steps, failures = retain(built, plan, tmp_path, now)
    assert failures == []
    assert {step.why for step in steps if step.apply is None} == {"held: case 5"}
    in_all = ask(built, "select count(*) from raw.events")
    assert ask(built, "select count(*) from raw.events where _deleted_at is null") == (
        alive - leaving
    )
    # No build has read the marks: nothing is removed.
    assert [step for step in retain(built, plan, tmp_path, now)[0] if step.apply] == []
    assert_full_equals_incremental(built)
    steps, failures = retain(built, plan, tmp_path, now)
    assert failures == []
    assert "marked to removed" in [step.move for step in steps if step.apply]
    assert ask(built, "select count(*) from raw.events") <= in_all - leaving
    before = contents(built, REBUILT)
    dbt_project.build(built, options=NO_TESTS, full_refresh=True)
    assert contents(built, REBUILT) == before


def test_rows_without_a_consent_are_deleted(built: Any, tmp_path: Any) -> None:
    """In raw and in archived files; a consent that is given again later does not restore them."""
    user = ask(
        built,
        "select user_id from raw.events where user_id is not null and _deleted_at is null"
        " group by 1 order by count(*) desc limit 1",
    )
    do(
        built,
        "insert into raw.consents (consent_id, user_id, purpose, is_granted, recorded_at,"
        f" _loaded_at) values ('w1', '{user}', 'Tracking', true, now() - interval '2 days', now()),"
        f" ('w2', '{user}', 'tracking ', false, now() - interval '1 day', now())",
    )
    retain(built, plan_of(built, support.EVENTS), tmp_path, datetime.now(UTC))
    consent = ("tracking", "user_id")
    source = dataclasses.replace(EVENTS, tiers=(), column="event_timestamp", consent=consent)
    plan = plan_of(built, source, dataclasses.replace(support.EVENTS, consent=consent))
    theirs = f"select count(*) from raw.events where user_id = '{user}'"
    assert ask(built, f"{theirs} and _deleted_at is null") > 0
    archived = "select sum(row_count) from observability.archived_files where file is not null"
    before = ask(built, archived)
    steps, failures = retain(built, plan, tmp_path, datetime.now(UTC))
    assert failures == []
    assert {step.why for step in steps} == {"no consent for tracking"}
    assert ask(built, f"{theirs} and _deleted_at is null") == 0
    assert ask(built, archived) < before
    dbt_project.build(built, options=NO_TESTS)
    assert ask(built, f"select count(*) from marts.fct_user_events where user_id = '{user}'") == 0
    retain(built, plan, tmp_path, datetime.now(UTC))
    assert ask(built, theirs) == 0
    again = retain(built, plan, tmp_path, datetime.now(UTC))[0]
    assert [step.move for step in again if step.what == "app.events"] == []


def test_partitions_move_to_another_tablespace_and_back(
    database: Any, server: Any, tmp_path: Any
) -> None:
    """The table keeps its rows, and the next build does not take it for another one."""
    folder = server.home / "slow"
    folder.mkdir()
    owner = (server.home / "data").stat() if (server.home / "data").exists() else server.data.stat()
    shutil.chown(folder, owner.st_uid, owner.st_gid)
    project = support.write_kept_project(tmp_path / "project")
    do(database, support.GIVEN.replace("%(count)s", "400").replace("%%", "%"))
    with server.connect("postgres") as session:
        session.autocommit = True
        session.execute(f"create tablespace slow location '{folder}'")
    try:
        support.build(database, project)
        plan = make_plan(plan_json(database, project))
        (policy,) = (each for each in plan.policies if each.model == "by_month")
        warm = dataclasses.replace(
            policy,
            tiers=(("hot", "1 months"), ("warm", "12 months")),
            tablespace="slow",
            retention="hot 1 months, warm 12 months",
        )
        plan = dataclasses.replace(plan, policies=[warm])
        places = (
            "select count(*) from pg_class inner join pg_tablespace on reltablespace ="
            " pg_tablespace.oid where spcname = 'slow' and relkind = 'r'"
        )
        before = ask(database, "select count(*) from marts.by_month")
        steps, failures = retain(database, plan, tmp_path)
        assert ({step.move for step in steps}, failures) == ({"hot to warm"}, [])
        assert ask(database, places) == len(steps) > 0
        assert retain(database, plan, tmp_path) == ([], [])
        assert ask(database, "select count(*) from marts.by_month") == before

        missing = dataclasses.replace(warm, tablespace="none")
        (step, *_), _ = retain(database, dataclasses.replace(plan, policies=[missing]), tmp_path)
        assert (step.apply, step.why) == (
            None,
            "the server has no tablespace none: it stays where it is",
        )
        longer = dataclasses.replace(warm, tiers=(("hot", "60 months"), ("warm", "90 months")))
        steps, failures = retain(database, dataclasses.replace(plan, policies=[longer]), tmp_path)
        assert ({step.move for step in steps}, failures) == ({"warm to hot"}, [])
        assert ask(database, places) == 0
    finally:
        with server.connect("postgres") as session:
            session.autocommit = True
            session.execute(f"drop database {database.name} with (force)")
            session.execute("drop tablespace slow")
            session.execute(f"create database {database.name}")
