"""`warehouse retain` moves, archives and drops expired rows; builds do not bring them back."""

from __future__ import annotations

import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.retention.support import plan_json
from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.dbt_project import NO_TESTS, copy_project
from tests.support.relations import contents
from warehouse.errors import WarehouseError
from warehouse.retention import archive, leave
from warehouse.retention import policy as policies_of

PARTITIONS = """
    select partition::text, upper_bound::timestamptz
    from observability.partition_bounds
    where parent = 'marts.fct_user_events'::regclass and not is_default
    order by 2
"""
EVENTS = policies_of.Policy(
    "fct_user_events", "marts.fct_user_events", ("user_id",), "observability", "1 days"
)
RANGE = {"fields": ["at"]}


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project; dbt keeps its parse there from test to test."""
    return copy_project(tmp_path_factory.mktemp("keeping") / "project")


@pytest.fixture
def keeping(project_copy: Path) -> Path:
    """A copy of the project that keeps events for one day.

    So at least one month of the sample has expired, whatever day of the month it is.
    """
    set_retain(project_copy, {"hot": {"days": 1}, "archive": {"years": 90}})
    return project_copy


def prepare(session: psycopg.Connection, database: Any, **variables: Any) -> None:
    """Create the session objects that `partitions_older_than` and `drop` use."""
    session.execute(policies_of.make_plan(plan_json(database, **variables)).setup)
    session.commit()


def expired_parts(session: psycopg.Connection, policy: policies_of.Policy) -> list[Any]:
    """The partitions that ended a month ago, the oldest first."""
    found = policies_of.partitions_older_than(session, policy, "1 day", datetime.now(UTC))
    session.commit()
    return found


def set_retain(folder: Path, retain: Any) -> None:
    """Set `retain` of fct_user_events in the dbt_project.yml of a copy of the project."""
    settings = yaml.safe_load((folder / "dbt_project.yml").read_text())
    settings["models"]["analytics_warehouse"]["marts"]["core"] = {
        "fct_user_events": {"+retain": retain}
    }
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings))


def call(database: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `warehouse retain` in a project's folder."""
    return warehouse(database, "retain", *arguments, folder=folder)


@pytest.mark.long
def test_what_has_expired_goes_and_does_not_come_back(
    built: Any, keeping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_ARCHIVE", str(tmp_path / "archive"))

    def state() -> tuple[list[tuple], list[tuple]]:
        with built.connect() as session:
            return (
                session.execute(PARTITIONS).fetchall(),
                session.execute(
                    "select partition_name, row_count, retention, dropped_at is not null"
                    " from observability.expired_partitions order by upper_bound"
                ).fetchall(),
            )

    day_ago = datetime.now(UTC) - timedelta(days=1)
    partitions, _ = state()
    expired = [name for name, end in partitions if end <= day_ago]
    assert 0 < len(expired) < len(partitions)
    with built.connect() as session:
        rows = {
            name: session.execute(f"select count(*) from {name}").fetchone()[0] for name in expired
        }
    assert sum(rows.values()) > 100

    shown = call(built, keeping)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "fct_user_events keeps hot 1 days, archive 90 years." in shown.stdout
    assert all(name in shown.stdout for name in expired)
    assert state() == (partitions, [])

    applied = call(built, keeping, "--apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    left, log = state()
    assert left == [each for each in partitions if each[0] not in expired]
    assert [(entry[:2], entry[3]) for entry in log] == [
        ((name, rows[name]), True) for name in expired
    ]
    with built.connect() as session:
        files = archive.archived_files(session)
    assert sum(file.row_count for file in files) == sum(rows.values())
    # The next build does not take the table for a damaged one, which it would compute whole.
    with built.connect() as session:
        assert session.execute(
            "select count(*), count(pg_class.oid) from observability.watermarks"
            " cross join unnest(storage) as held left join pg_class"
            " on held = pg_class.oid || ':' || coalesce(pg_relation_filenode(pg_class.oid), 0)"
            " where model_name = 'fct_user_events'"
        ).fetchone() == (len(left) + 2, len(left) + 2)

    # Neither a late row of the expired period nor a full rebuild recreates the partition.
    with built.connect() as session:
        session.execute(
            "insert into raw.events (event_id, event_type, event_timestamp, _loaded_at)"
            " values ('late', 'page_view', %s - interval '2 hours', now())",
            [partitions[0][1]],
        )
    dbt_project.build(built, project=keeping, options=dbt_project.NO_UNIT_TESTS)
    after = contents(built)
    assert state()[0] == left
    with built.connect() as session:
        stored = session.execute(
            "select count(*) from marts.fct_user_events where event_id = 'late'"
        ).fetchone()
    assert stored == (0,)
    dbt_project.build(built, project=keeping, options=NO_TESTS, full_refresh=True)
    assert contents(built) == after
    again = call(built, keeping, "--apply")
    assert "Nothing has reached the age of the next tier" in again.stdout
    assert state()[1] == log

    # An analyst's question about the past, for some days.
    month = files[0].lower_bound[:7]
    recalled = warehouse(built, "recall", month, "--model", "fct_user_events", folder=keeping)
    assert recalled.returncode == 0, recalled.stderr
    of_month = sum(file.row_count for file in files if file.lower_bound[:7] == month)
    with built.connect() as session:
        assert session.execute("select count(*) from recalled.fct_user_events").fetchone() == (
            of_month,
        )
    assert contents(built) == after
    for arguments, says in (
        (("2024-13",), "The months must be one such as 2024-01"),
        (("2001-01",), "There are no archived rows of 2001-01"),
        (("2001-01", "--model", "dim_date"), "--model dim_date is not a model with `retain`"),
        (("2001-01", "--days", "0"), "--days must be a whole number from 1, got 0"),
    ):
        failed = warehouse(built, "recall", *arguments, folder=keeping)
        assert failed.returncode == 1
        assert says in " ".join(failed.stderr.split())


def test_a_reader_in_the_way_is_waited_for_and_then_named(built: Any) -> None:
    with built.connect() as session, built.connect() as reader:
        prepare(session, built, replace_lock_timeout="50ms", replace_lock_attempts=3)
        (part, *_) = expired_parts(session, EVENTS)
        before = session.execute("select count(*) from observability.key_changes").fetchone()
        session.commit()
        reader.execute("select count(*) from marts.fct_user_events")
        with pytest.raises(
            WarehouseError,
            match=rf"{part.name} could not be detached: locked by other sessions \(.*lock"
            r" timeout, tried 3 times for 50ms; held: marts.fct_user_events by pid"
            rf" {reader.info.backend_pid} ",
        ):
            leave.drop(session, part)
        reader.commit()
        assert (
            session.execute("select count(*) from observability.key_changes").fetchone() == before
        )
        session.commit()
        leave.drop(session, part)


def test_maintenance_is_locked_out_first(built: Any) -> None:
    """It waits for a manual VACUUM without blocking readers, and then names it in the error."""
    with built.connect() as session, built.connect() as vacuum:
        prepare(session, built, index_lock_timeout="300ms")
        (part, *_) = expired_parts(session, EVENTS)
        # The lock that VACUUM takes.
        vacuum.execute(f"lock table {part.name} in share update exclusive mode")
        with pytest.raises(
            WarehouseError,
            match=r"\(canceling statement due to lock timeout; held: "
            rf"{part.name} by pid {vacuum.info.backend_pid} ",
        ):
            leave.drop(session, part)
        vacuum.commit()
        leave.drop(session, part)


@pytest.mark.long
def test_a_policy_is_read_again_at_every_call(built: Any, keeping: Path) -> None:
    """Wherever it changed: a stale policy would drop partitions that must be kept."""
    set_retain(keeping, {"days": 1})
    with built.connect() as session:
        before = session.execute(PARTITIONS).fetchall()
    nothing = "Nothing has reached the age of the next tier"
    assert nothing not in call(built, keeping).stdout

    set_retain(keeping, {"months": 1200})
    loosened = call(built, keeping, "--apply")
    assert "keeps 1200 months." in loosened.stdout and nothing in loosened.stdout, loosened.stderr

    set_retain(keeping, {"days": 1})
    model = keeping / "models/marts/core/fct_user_events.sql"
    text = model.read_text()
    model.write_text(text.replace("config(", "config(retain={'years': 90},", 1))
    loosened = call(built, keeping, "--apply")
    assert "keeps 90 years." in loosened.stdout and nothing in loosened.stdout, loosened.stderr

    model.write_text(text.replace("config(", "config(retain={'weeks': 1},", 1))
    refused = call(built, keeping, "--apply")
    assert refused.returncode == 1
    assert "fct_user_events: retain" in " ".join(refused.stderr.split())
    model.write_text(text)
    with built.connect() as session:
        assert session.execute(PARTITIONS).fetchall() == before


def test_names_that_need_quotes(database: Any) -> None:
    """A late row recreates the partition, which expires again."""
    relation = f'"{database.name}"."my.marts"."all.facts"'
    policy = policies_of.Policy("facts", relation, ("id",), "dev-1_observability", "1 month")
    names = ('partitions."of.""may"""', "partitions.of_june")
    with database.connect() as session:
        for statement in (
            'create schema "my.marts"',
            "create schema partitions",
            'create schema "dev-1_observability"',
            'create table "my.marts"."all.facts" (id int, at timestamptz) partition by range (at)',
            *(
                f'create table {name} partition of "my.marts"."all.facts"'
                f" for values from ('2020-0{month}-01') to ('2020-0{month + 1}-01')"
                for month, name in enumerate(names, 5)
            ),
            """insert into "my.marts"."all.facts" values (7, '2020-05-05'), (8, '2020-06-06')""",
            'create table "dev-1_observability".key_changes'
            " (model_name text, written_by xid8, changed_keys jsonb)",
            'create table "dev-1_observability".watermarks'
            " (model_name text, upstream_name text, storage text[])",
            'create table "dev-1_observability".expired_partitions (model_name text,'
            " partition_name text, lower_bound timestamptz, upper_bound timestamptz,"
            " row_count bigint, byte_count bigint, retention text,"
            " detached_at timestamptz default clock_timestamp(), dropped_at timestamptz)",
            # Other tables may have bounds that are not timestamps.
            "create table public.by_name (name text) partition by range (name)",
            "create table public.a_to_m partition of public.by_name for values from ('a') to ('m')",
        ):
            session.execute(statement)
        session.commit()
        prepare(session, database)
        expired = expired_parts(session, policy)
        assert [part.name for part in expired] == [*names]
        for part in expired:
            leave.drop(session, part)
        # A later failure does not undo a drop.
        session.rollback()
        session.execute(
            f'create table {names[1]} partition of "my.marts"."all.facts"'
            " for values from ('2020-06-01') to ('2020-07-01')"
        )
        session.execute("""insert into "my.marts"."all.facts" values (9, '2020-06-06')""")
        session.commit()
        (late,) = expired_parts(session, policy)
        leave.drop(session, late)
        assert session.execute(
            "select partition_name, row_count, to_regclass(partition_name), dropped_at is not null"
            ' from "dev-1_observability".expired_partitions order by detached_at'
        ).fetchall() == [(name, 1, None, True) for name in (*names, names[1])]


def test_readers_wait_for_no_scan(built: Any) -> None:
    """It scans the rows before it takes the lock that blocks readers, and not again under the lock,
    however many attempts the lock takes."""
    with built.connect() as session, built.connect() as reader:
        prepare(session, built)
        (part, *_) = expired_parts(session, EVENTS)
        body = (
            "language plpgsql as $$ begin insert into public.seen"
            " select tg_tag, coalesce(seq_scan, 0) + coalesce(idx_scan, 0)"
            f" from pg_stat_xact_all_tables where relid = {partition_oid(session, part.name)};"
            " end $$"
        )
        for statement in (
            "create table public.seen (moment text, scans bigint)",
            f"create function public.at_lock() returns event_trigger {body}",
            "create event trigger at_lock on ddl_command_start when tag in ('ALTER TABLE',"
            " 'DROP TABLE') execute function public.at_lock()",
        ):
            session.execute(statement)
        session.commit()
        reader.execute("select count(*) from marts.fct_user_events")
        ending = threading.Timer(3, reader.rollback)
        ending.start()
        leave.drop(session, part)
        ending.join()
        seen = dict(session.execute("select moment, scans from public.seen").fetchall())
    assert seen["ALTER TABLE"] == seen["DROP TABLE"] == 2


def partition_oid(session: psycopg.Connection, name: str) -> int:
    """The oid of a relation."""
    row = session.execute("select %s::regclass::oid::bigint", [name]).fetchone()
    assert row is not None
    return int(row[0])
