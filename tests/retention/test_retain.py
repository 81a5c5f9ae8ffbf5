"""`warehouse retain` archives, logs and drops expired partitions; builds do not recreate them."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.dbt_project import NO_TESTS, copy_project
from tests.support.relations import contents
from tests.support.small_project import write_model, write_project
from warehouse import dbt
from warehouse.errors import WarehouseError
from warehouse.retention import archive, detach
from warehouse.retention import policy as policies_of

PARTITIONS = """
    select partition::text, upper_bound::timestamptz
    from observability.partition_bounds
    where parent = 'marts.fct_user_events'::regclass and not is_default
    order by 2
"""
RANGE = {"fields": ["at"]}
ALLOWED = "it takes one of days, months, years with a whole number from 1 on"
NEEDS_RANGE = (
    "retain needs partition_by with the method range, because whole partitions are dropped;"
    " partition_by is "
)
# Invalid configurations of a model, and their error messages.
MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "weeks": ({"retain": {"weeks": 3}}, f"retain is {{'weeks': 3}}; {ALLOWED}"),
    "two": (
        {"retain": {"days": 3, "months": 1}},
        f"retain is {{'days': 3, 'months': 1}}; {ALLOWED}",
    ),
    "none": ({"retain": {}}, f"retain is {{}}; {ALLOWED}"),
    "number": ({"retain": 24}, f"retain is 24; {ALLOWED}"),
    "text": ({"retain": "24 months"}, f"retain is 24 months; {ALLOWED}"),
    "zero": ({"retain": {"months": 0}}, f"retain.months is 0; {ALLOWED}"),
    "negative": ({"retain": {"days": -1}}, f"retain.days is -1; {ALLOWED}"),
    "boolean": ({"retain": {"months": True}}, f"retain.months is True; {ALLOWED}"),
    "fraction": ({"retain": {"years": 1.5}}, f"retain.years is 1.5; {ALLOWED}"),
    "word": ({"retain": {"months": "two"}}, f"retain.months is two; {ALLOWED}"),
    "null": ({"retain": {"months": None}}, f"retain.months is None; {ALLOWED}"),
    "whole": ({"retain": {"months": 1}, "partition_by": None}, f"{NEEDS_RANGE}missing."),
    "column": ({"retain": {"months": 1}, "partition_by": "at"}, f"{NEEDS_RANGE}at."),
    "list": (
        {"retain": {"months": 1}, "partition_by": {**RANGE, "method": "list"}},
        f"{NEEDS_RANGE}{{'fields': ['at'], 'method': 'list'}}.",
    ),
}


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project; dbt keeps its parse there from test to test."""
    return copy_project(tmp_path_factory.mktemp("keeping") / "project")


@pytest.fixture
def keeping(project_copy: Path) -> Path:
    """A copy of the project that keeps events for one day.

    So at least one month of the sample has expired, whatever day of the month it is.
    """
    set_retain(project_copy, {"days": 1})
    return project_copy


def plan_of(
    database: Any, project: Path = dbt_project.ROOT, options: Sequence[str] = (), **variables: Any
) -> str:
    """The JSON of `plan_retention`, as `warehouse retain` compiles it."""
    results = dbt_project.run(
        database,
        "compile",
        options=("--inline", policies_of.INLINE, *options),
        project=project,
        variables=variables,
    )
    return str(dbt.compiled(results).compiled_code)


def prepare(session: psycopg.Connection, database: Any, **variables: Any) -> None:
    """Create the session objects that `find_expired` and `detach` use."""
    session.execute(policies_of.make_plan(plan_of(database, **variables)).setup)
    session.commit()


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
    built: Any, keeping: Path, tmp_path: Path
) -> None:
    def state() -> tuple[list[tuple], list[tuple]]:
        with built.connect() as session:
            return (
                session.execute(PARTITIONS).fetchall(),
                session.execute(
                    "select partition_name, row_count, retention, dropped_at is not null,"
                    " exported_to from observability.expired_partitions order by upper_bound"
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
    assert f"fct_user_events keeps 1 days: {len(expired)} partitions have expired." in shown.stdout
    assert all(name in shown.stdout for name in expired)
    assert state() == (partitions, [])

    applied = call(built, keeping, "--apply", "--export", str(tmp_path / "archive"))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    left, log = state()
    assert left == [each for each in partitions if each[0] not in expired]
    assert [(entry[:2], entry[3]) for entry in log] == [
        ((name, rows[name]), True) for name in expired
    ]
    for _, count, _, _, exported_to in log:
        assert Path(exported_to).stat().st_mode & 0o077 == 0  # personal data
        with gzip.open(exported_to, "rt", newline="") as file:
            assert sum(1 for _ in csv.DictReader(file)) == count
    assert list((tmp_path / "archive").rglob("*.part")) == []
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
    assert "0 partitions have expired" in again.stdout
    assert state()[1] == log


@pytest.mark.long
def test_a_run_that_was_cut_off_is_taken_further(built: Any, keeping: Path) -> None:
    policy = policies_of.Policy(
        "fct_user_events", "marts.fct_user_events", ("user_id", "date_key"), "observability", "1 d"
    )
    with built.connect() as session:
        prepare(session, built)
        partition = policies_of.find_expired(session, policy, datetime.now(UTC))[0]
        session.commit()
        detach.detach(session, partition)
    # The run is killed here: the table is detached but not dropped.
    shown = call(built, keeping)
    assert f"An earlier run detached {partition.name}" in shown.stdout
    applied = call(built, keeping, "--apply")
    assert f"Dropped {partition.name}." in applied.stdout, applied.stderr
    with built.connect() as session:
        assert session.execute("select to_regclass(%s)", [partition.name]).fetchone() == (None,)
        assert session.execute(
            "select count(*) from observability.expired_partitions where dropped_at is null"
        ).fetchone() == (0,)


def test_a_reader_in_the_way_is_waited_for_and_then_named(built: Any) -> None:
    policy = policies_of.Policy(
        "fct_user_events", "marts.fct_user_events", ("user_id",), "observability", "1 days"
    )
    with built.connect() as session, built.connect() as reader:
        prepare(session, built, replace_lock_timeout="50ms", replace_lock_attempts=3)
        (partition, *_) = policies_of.find_expired(session, policy, datetime.now(UTC))
        session.commit()
        before = session.execute("select count(*) from observability.key_changes").fetchone()
        session.commit()
        reader.execute("select count(*) from marts.fct_user_events")
        with pytest.raises(
            WarehouseError,
            match=rf"{partition.name} could not be detached: locked by other sessions \(.*lock"
            r" timeout, tried 3 times for 50ms; held: marts.fct_user_events by pid"
            rf" {reader.info.backend_pid} .*; run the command again",
        ):
            detach.detach(session, partition)
        reader.commit()
        assert (
            session.execute("select count(*) from observability.key_changes").fetchone() == before
        )
        session.commit()
        detach.detach(session, partition)


def test_maintenance_is_locked_out_first(built: Any) -> None:
    """It waits for a manual VACUUM without blocking readers, and then names it in the error."""
    policy = policies_of.Policy(
        "fct_user_events", "marts.fct_user_events", ("user_id",), "observability", "1 days"
    )
    with built.connect() as session, built.connect() as vacuum:
        prepare(session, built, index_lock_timeout="300ms")
        (partition, *_) = policies_of.find_expired(session, policy, datetime.now(UTC))
        session.commit()
        # The lock that VACUUM takes.
        vacuum.execute(f"lock table {partition.name} in share update exclusive mode")
        with pytest.raises(
            WarehouseError,
            match=r"\(canceling statement due to lock timeout; held: "
            rf"{partition.name} by pid {vacuum.info.backend_pid} ",
        ):
            detach.detach(session, partition)
        vacuum.commit()
        detach.detach(session, partition)


@pytest.mark.long
def test_a_policy_is_read_again_at_every_call(built: Any, keeping: Path) -> None:
    """Wherever it changed: a stale policy would drop partitions that must be kept."""
    with built.connect() as session:
        before = session.execute(PARTITIONS).fetchall()
    assert "fct_user_events keeps 1 days: 0" not in call(built, keeping).stdout

    set_retain(keeping, {"months": 1200})
    loosened = call(built, keeping, "--apply")
    assert "keeps 1200 months: 0 partitions have expired" in loosened.stdout, loosened.stderr

    set_retain(keeping, {"days": 1})
    model = keeping / "models/marts/core/fct_user_events.sql"
    text = model.read_text()
    model.write_text(text.replace("config(", "config(retain={'years': 90},", 1))
    loosened = call(built, keeping, "--apply")
    assert "keeps 90 years: 0 partitions have expired" in loosened.stdout, loosened.stderr

    model.write_text(text.replace("config(", "config(retain={'weeks': 1},", 1))
    refused = call(built, keeping, "--apply")
    assert refused.returncode == 1
    assert f"fct_user_events: {MALFORMED['weeks'][1].replace('3', '1')}" in " ".join(
        refused.stderr.split()
    )
    model.write_text(text)
    with built.connect() as session:
        assert session.execute(PARTITIONS).fetchall() == before


def test_policies_are_validated(database: Any, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", {})
    tracked = {"meta": {"change_log_keys": ["id"]}, "schema": None}
    good = {"retain": {"months": 24}, "partition_by": {**RANGE, "method": "range"}, **tracked}
    configs = {
        **{name: {"partition_by": RANGE, **config} for name, (config, _) in MALFORMED.items()},
        "good": good,
        "everything": {"partition_by": RANGE},
    }
    for name, config in configs.items():
        write_model(project, name, "select 1 as id", materialized="incremental", **config)
    text = plan_of(database, project)
    policies = {entry["model"]: entry for entry in json.loads(text)["policies"]}
    assert policies.keys() == MALFORMED.keys() | {"good"}
    for name, (_, message) in MALFORMED.items():
        assert policies[name]["fault"].startswith(f"{name}: {message}")
    (first, *_) = (entry["fault"] for entry in policies.values() if entry["fault"])
    with pytest.raises(WarehouseError, match=re.escape(first)):
        policies_of.make_plan(text)

    # Targets prefix the schemas with their name; all models of a target share its log.
    for name in MALFORMED:
        (project / "models" / f"{name}.sql").unlink()
    dbt_project.forget(project)
    for options, schema in (((), "observability"), (("--target", "ci"), "ci_observability")):
        (policy,) = policies_of.make_plan(plan_of(database, project, options)).policies
        assert (policy.model, policy.change_log_keys, policy.retention, policy.observability) == (
            *("good", ("id",), "24 months"),
            schema,
        )
        assert policy.relation.endswith('"good"')


def test_a_drop_is_committed_before_it_is_said(database: Any, tmp_path: Path) -> None:
    """Names may also contain characters that need quotes."""
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
            'create table "dev-1_observability".expired_partitions (model_name text,'
            " partition_name text, lower_bound timestamptz, upper_bound timestamptz,"
            " row_count bigint, byte_count bigint, retention text, exported_to text,"
            " detached_at timestamptz default clock_timestamp(), dropped_at timestamptz)",
            # Other tables may have bounds that are not timestamps.
            "create table public.by_name (name text) partition by range (name)",
            "create table public.a_to_m partition of public.by_name for values from ('a') to ('m')",
        ):
            session.execute(statement)
        session.commit()
        prepare(session, database)
        expired = policies_of.find_expired(session, policy, datetime.now(UTC))
        assert [partition.name for partition in expired] == [*names]
        session.commit()
        for partition in expired:
            detach.detach(session, partition)
        assert [*policies_of.find_unfinished(session, [policy])] == [*names]
        session.commit()

        archive.finish(session, names[0], policy, None)
        # A later failure does not undo the drop.
        session.rollback()
        archive.finish(session, names[1], policy, tmp_path)
        session.rollback()
        assert session.execute(
            "select partition_name, to_regclass(partition_name), exported_to is not null,"
            ' dropped_at is not null from "dev-1_observability".expired_partitions order by 1'
        ).fetchall() == [(names[0], None, False, True), (names[1], None, True, True)]

        # A late row recreates the partition; its archive gets a new file name.
        session.execute(
            f'create table {names[1]} partition of "my.marts"."all.facts"'
            " for values from ('2020-06-01') to ('2020-07-01')"
        )
        session.execute("""insert into "my.marts"."all.facts" values (9, '2020-06-06')""")
        session.commit()
        (late,) = policies_of.find_expired(session, policy, datetime.now(UTC))
        session.commit()
        detach.detach(session, late)
        archive.finish(session, late.name, policy, tmp_path)
        written = session.execute(
            'select exported_to from "dev-1_observability".expired_partitions'
            " where exported_to is not null order by detached_at"
        ).fetchall()
    for (name,), id_of_row in zip(written, ("8", "9"), strict=True):
        assert re.fullmatch(r"of_june_\d{8}T\d{12}\.csv\.gz", Path(name).name)
        with gzip.open(name, "rt", newline="") as file:
            assert [row["id"] for row in csv.DictReader(file)] == [id_of_row]


def test_readers_wait_for_no_scan(built: Any) -> None:
    """It scans the rows before it takes the lock that blocks readers, and not again under the lock,
    however many attempts the lock takes."""
    policy = policies_of.Policy(
        "fct_user_events", "marts.fct_user_events", ("user_id",), "observability", "1 days"
    )
    with built.connect() as session, built.connect() as reader:
        prepare(session, built)
        (partition, *_) = policies_of.find_expired(session, policy, datetime.now(UTC))
        body = (
            "language plpgsql as $$ begin insert into public.seen"
            " select tg_event, coalesce(seq_scan, 0) + coalesce(idx_scan, 0)"
            f" from pg_stat_xact_all_tables where relid = {partition_oid(session, partition.name)};"
            " {} end $$"
        )
        for statement in (
            "create table public.seen (moment text, scans bigint)",
            f"create function public.at_lock() returns event_trigger {body.format('')}",
            f"create function public.at_end() returns trigger"
            f" {body.format('return null;').replace('tg_event', 'tg_op')}",
            "create trigger at_end after insert on observability.expired_partitions"
            " execute function public.at_end()",
            "create event trigger at_lock on ddl_command_start when tag in ('ALTER TABLE')"
            " execute function public.at_lock()",
        ):
            session.execute(statement)
        session.commit()
        reader.execute("select count(*) from marts.fct_user_events")
        ending = threading.Timer(3, reader.rollback)
        ending.start()
        detach.detach(session, partition)
        ending.join()
        seen = dict(session.execute("select moment, scans from public.seen").fetchall())
    assert seen["ddl_command_start"] == seen["INSERT"] == 2


def partition_oid(session: psycopg.Connection, name: str) -> int:
    """The oid of a relation."""
    row = session.execute("select %s::regclass::oid::bigint", [name]).fetchone()
    assert row is not None
    return int(row[0])
