"""Faults during a build: killed, disconnected, cancelled, out of disk, or two builds at once.

Each test causes a fault in a build that has work in every model. Meanwhile a reader queries every
mart, and must find each in its state before or after the build. Then another incremental build must
give the same rows as a build without faults.

`FAULT_POINTS=200 FAULT_SEED=7 pytest tests/faults/test_faults.py -k any_moment` tries other
moments; the output of a failing test names them.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.builder import AFTER, BEFORE, WITHOUT_TESTS, Kill, Outcome
from tests.faults.scene import HISTORY, ORPHAN_SECONDS, Scene, kill_points
from tests.support import dbt_project
from tests.support.server import temporary_server

POINTS = int(os.environ.get("FAULT_POINTS", "20"))
SEED = os.environ.get("FAULT_SEED", "1")
PAIRS = (POINTS + 1) // 2
KILLABLE = {"shared_buffers": "128MB", "fsync": "off", "full_page_writes": "off"}

# The replay of make test kills builds too.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A server that survives SIGKILL, because the operating system keeps its writes.

    Without fsync the data would not survive a power failure, which no test causes.
    """
    with temporary_server(settings=KILLABLE) as server:
        yield Scene(server, server.home.parent)


def assert_killed(outcome: Outcome) -> None:
    """Check that the build was killed before it ended by itself."""
    assert outcome.status == -signal.SIGKILL, outcome


def assert_failed(outcome: Outcome, node: str, *words: str) -> None:
    """Check that the build ended by itself, and that its message names the failed node and why."""
    assert outcome.status == 0, outcome
    told = [line for line in outcome.failures if line.startswith(f"{node}: ")]
    assert told, f"{node} is not among what failed: {outcome.failures}"
    assert any(word in told[0] for word in words), told[0]


# --- kill -9 of dbt ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(PAIRS))
def test_killed_at_any_moment(scene: Scene, number: int) -> None:
    """Kill the builds of two consecutive loads; the second one shows what the first left behind."""
    points = kill_points(SEED, 2 * PAIRS, scene.statements)
    scene.restore()
    for load, kill in ((HISTORY, points[number]), (HISTORY + 1, points[PAIRS + number])):
        print(f"load {load}: SIGKILL {kill} of {scene.statements}")
        if load != HISTORY:
            scene.load(load)
        with scene.watched(load):
            assert_killed(scene.build(load, kill).wait())
            scene.recover(load)


def test_killed_again_and_again(scene: Scene) -> None:
    """Kill three consecutive builds, each later than the one before.

    A build that goes on after a kill sends few statements for what is done, so an equal number of
    them gets it further; two fifths are less than those of a build that finds all done.
    """
    scene.restore()
    with scene.watched(HISTORY):
        for kill in kill_points(f"{SEED} again", 3, scene.statements * 2 // 5):
            print(f"SIGKILL {kill} of {scene.statements}")
            assert_killed(scene.build(HISTORY, kill).wait())
        scene.recover(HISTORY)


def test_the_first_build_is_killed(scene: Scene) -> None:
    """Kill it while it creates the snapshot, whose contents cannot be rebuilt later."""
    scene.restore(0)
    kill = Kill(matching=r"\.snp_app__users: .*create unique index")
    assert_killed(scene.build(0, kill).wait())
    scene.recover(0)


# In the order in which a build reaches them.
DANGEROUS = (
    Kill(matching=r"\.event_types: .*truncate", moment=AFTER),
    Kill(matching=r"\.snp_app__users: COMMIT", moment=BEFORE),
    Kill(matching=r"\.fct_orders: .*create temporary table \"fct_orders__dbt_tmp", moment=AFTER),
    Kill(matching=r"\.fct_orders: COMMIT", moment=BEFORE),
    Kill(matching=r"\.fct_orders: COMMIT", moment=AFTER),
    Kill(matching=r"\.daily_revenue: .*'refresh materialized view concurrently", moment=AFTER),
    Kill(matching=r"delete from .*key_changes", moment=AFTER),
)


def test_killed_at_one_dangerous_point_after_the_other(scene: Scene) -> None:
    """Each build continues where the one before was killed."""
    scene.restore()
    with scene.watched(HISTORY):
        for kill in DANGEROUS:
            assert_killed(scene.build(HISTORY, kill).wait())
        scene.recover(HISTORY)


@pytest.mark.parametrize("kill", DANGEROUS, ids=str)
def test_killed_at_a_dangerous_point(scene: Scene, kill: Kill) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        assert_killed(scene.build(HISTORY, kill).wait())
        scene.recover(HISTORY)


def test_killed_while_a_view_is_replaced(scene: Scene) -> None:
    scene.restore()
    view = "staging.stg_app__orders"
    with scene.database.connect() as session:
        (text,) = session.execute("select pg_get_viewdef(%s::regclass)", [view]).fetchone()
        session.execute(f"create or replace view {view} as select * from ({text[:-1]}) as whole")
    with scene.watched(HISTORY):
        kill = Kill(matching=r"\.stg_app__orders: .*create or replace view", moment=AFTER)
        assert_killed(scene.build(HISTORY, kill).wait())
        scene.recover(HISTORY)
    with scene.database.connect() as session:
        row = session.execute("select pg_get_viewdef(%s::regclass)", [view]).fetchone()
    assert row == (text,)


# The statement waits inside its transaction, and the server does not notice the dead client.
@pytest.mark.parametrize(
    ("relation", "moment"),
    [
        ("marts.fct_orders", "before insert"),  # between its delete and its insert
        # between the two halves of its merge
        ("snapshots.snp_app__users", "before insert"),
        # at the end of the run
        ("observability.key_changes", "before delete"),
    ],
)
def test_the_orphan_of_a_killed_build_ends_and_the_next_build_waits_for_it(
    scene: Scene, relation: str, moment: str
) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        with scene.held(relation, moment) as hold:
            build = scene.build(HISTORY)
            orphan = hold.backend()
            build.kill()
            assert_killed(build.wait())
            assert orphan in scene.backends()
            following = scene.build(HISTORY)
            scene.wait_until(
                lambda: orphan not in scene.backends(),
                f"the orphan {orphan} is still there",
                ORPHAN_SECONDS,
            )
        outcome = following.wait()
        assert outcome.status == 0 and not outcome.failures, outcome
        scene.recover(HISTORY)


def test_the_orphan_of_a_refresh_locks_nobody_out(scene: Scene) -> None:
    """A refresh waits for another one; no other session waits, and it ends with its build."""
    scene.restore()
    with scene.watched(HISTORY) as told:
        with scene.database.connect() as analyst:
            analyst.execute("refresh materialized view concurrently marts.daily_revenue")
            build = scene.build(HISTORY)
            orphan = scene.wait_until(
                lambda: scene.waiting_for("marts.daily_revenue"), "the refresh does not wait"
            )
            build.kill()
            assert_killed(build.wait())
            scene.wait_until(
                lambda: orphan not in scene.backends(),
                f"the orphan {orphan} is still there",
                ORPHAN_SECONDS,
            )
        scene.recover(HISTORY)
    assert told[0].slowest[0] < 5


# --- The connection is lost, a statement is cancelled -----------------------------------------


@pytest.mark.parametrize(
    ("function", "says", "relation"),
    [
        ("pg_terminate_backend", "terminating connection", "marts.fct_orders"),
        ("pg_cancel_backend", "canceling statement due to user", "snapshots.snp_app__users"),
    ],
)
def test_a_backend_is_ended_in_the_midst_of_a_model(
    scene: Scene, function: str, says: str, relation: str
) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        with scene.held(relation) as hold:
            build = scene.build(HISTORY)
            backend = hold.backend()
            with scene.server.connect("postgres") as session:
                session.execute(f"select {function}({backend})")
            scene.wait_until(lambda: not hold.waits, "the backend still waits")
        assert_failed(build.wait(), relation.split(".")[1], says, "closed the connection")
        scene.recover(HISTORY)


def test_a_statement_takes_too_long(scene: Scene) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        with scene.held("marts.fct_orders") as hold:
            build = scene.build(HISTORY, environment={"PGOPTIONS": "-c statement_timeout=5s"})
            hold.backend()
            scene.wait_until(lambda: not hold.waits, "the statement still waits")
        assert_failed(build.wait(), "fct_orders", "canceling statement due to statement timeout")
        scene.recover(HISTORY)


@pytest.mark.parametrize(
    ("hold", "who"),
    [
        ("lock table marts.fct_orders in share row exclusive mode", "fct_orders: "),
        # on-run-start waits for it. No node runs, and dbt reports the database's error.
        (
            "select pg_advisory_xact_lock(hashtext("
            'format(\'"%s"."observability"."watermarks"\', current_database())))',
            "dbt: ",
        ),
    ],
    ids=["of a table", "of on-run-start"],
)
def test_a_lock_is_not_to_be_had(scene: Scene, hold: str, who: str) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        with scene.database.connect() as somebody:
            somebody.execute(hold)
            build = scene.build(HISTORY, environment={"PGOPTIONS": "-c lock_timeout=500ms"})
            (told,) = build.wait().failures
        assert told.startswith(who) and "canceling statement due to lock timeout" in told
        scene.recover(HISTORY)


# --- The server ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "relation"),
    [
        ("all at once", "marts.fct_orders"),
        ("the postmaster", "snapshots.snp_app__users"),
        ("a backend", "marts.fct_user_events"),
    ],
)
def test_the_server_crashes(scene: Scene, victim: str, relation: str) -> None:
    """An immediate stop, kill -9 of the postmaster or of dbt's backend: recovery from the WAL."""
    scene.restore()
    server = scene.server
    log_before = server.log.stat().st_size
    with scene.watched(HISTORY, may_lose_connection=True) as told:
        with scene.held(relation) as hold:
            build = scene.build(HISTORY)
            backend = hold.backend()
            postmaster = server.pid()
            assert postmaster is not None
            if victim == "all at once":
                os.kill(postmaster, signal.SIGQUIT)
            elif victim == "the postmaster":
                os.kill(postmaster, signal.SIGKILL)
            else:
                os.kill(backend, signal.SIGKILL)
            outcome = build.wait()
            assert outcome.status == 0, outcome
            assert any("connection" in line for line in outcome.failures), outcome
            server.up()
        scene.recover(HISTORY)
    assert told[0].lost
    assert "was not properly shut down" in server.log.read_bytes()[log_before:].decode()


# --- The disk is full -------------------------------------------------------------------------


def test_no_room_for_temporary_files(scene: Scene) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        little = "-c temp_file_limit=0 -c work_mem=64kB"
        outcome = scene.build(HISTORY, environment={"PGOPTIONS": little}).wait()
        assert outcome.failures
        for line in outcome.failures:
            assert "temporary file size exceeds" in line, line
        scene.recover(HISTORY)


def test_no_room_for_a_table(scene: Scene) -> None:
    """The file of a table cannot grow: the operating system returns an error.

    A full disk needs a separate file system, which only root can create. A file size limit needs
    no privilege and fails in the same place. The limit exceeds the 16 MB of a WAL segment, which
    every server needs, so the test fills the table up to the limit.
    """
    scene.restore()
    server = scene.server
    with server.connect(scene.database.name) as session:
        (month,) = session.execute(
            "select tableoid::regclass::text from marts.fct_user_events"
            " where event_timestamp < %s order by event_timestamp desc limit 1",
            [scene.as_of(HISTORY - 1)],  # the sample has events in the far future
        ).fetchone()
        session.execute(f"alter table {month} set (autovacuum_enabled = false)")
        session.execute(
            f"insert into {month} select filler.*"
            f" from (select * from {month} order by event_timestamp desc limit 1) as event,"
            " generate_series(1, 9000) as number,"
            f" jsonb_populate_record(null::{month}, to_jsonb(event) || jsonb_build_object("
            "'event_id', 'filler ' || number, 'page_url', repeat('x', 1800))) as filler"
        )
        # A rewritten table has no free space map, and the delete does not create one.
        session.execute(f"vacuum full {month}")
        session.execute(f"delete from {month} where event_id like 'filler %'")
        (size,) = session.execute("select pg_relation_size(%s)", [month]).fetchone()
    assert size > 16 * 1024**2
    with file_size_limit(size):
        server.down()
        server.up()
    with scene.watched(HISTORY, may_lose_connection=True):
        assert_failed(scene.build(HISTORY).wait(), "fct_user_events", "File too large")
        server.down()
        server.up()
        scene.recover(HISTORY)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Limit the size of files that processes started in this context can write, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- Two builds at once -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
def test_two_builds_at_once(scene: Scene, number: int) -> None:
    scene.restore()
    with scene.watched(HISTORY):
        builds = [scene.build(HISTORY) for _ in range(2)]
        outcomes = [build.wait() for build in builds]
        assert all(not outcome.failures for outcome in outcomes), outcomes
        scene.recover(HISTORY)


def test_a_second_build_waits_for_the_model_that_is_being_written_alone(scene: Scene) -> None:
    """The held model reads no seed: seeds are truncated and filled, which waits for readers."""
    scene.restore()
    with scene.watched(HISTORY):
        with scene.held("marts.fct_user_sessions") as hold:
            first = scene.build(HISTORY)
            hold.backend()
            impatient = {"PGOPTIONS": "-c lock_timeout=2s"}
            outcome = scene.build(HISTORY, environment=impatient).wait()
        assert first.wait().failures == ()
        assert_failed(outcome, "fct_user_sessions", "canceling statement due to lock timeout")
        assert len(outcome.failures) == 1, outcome
        scene.recover(HISTORY)


def test_two_first_builds_at_once(scene: Scene) -> None:
    """Both create the same tables. A build may fail, but only with `already exists`."""
    scene.restore(0)
    builds = [scene.build(0) for _ in range(2)]
    failures = [line for build in builds for line in build.wait().failures]
    assert all("already exists" in line for line in failures), failures
    scene.recover(0)


def test_dbt_build_beside_warehouse_build(scene: Scene, tmp_path: Path) -> None:
    """The commands as users type them; `warehouse build` locks out its own kind, but not dbt."""
    scene.restore()
    arguments = ["build", "--vars", json.dumps({"as_of": scene.as_of(HISTORY)}), *WITHOUT_TESTS]
    with scene.watched(HISTORY):
        running = [
            subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=dbt_project.ROOT,
                env={
                    **os.environ,
                    **scene.database.environment,
                    "DBT_TARGET_PATH": str(tmp_path / module / "target"),
                    "DBT_LOG_PATH": str(tmp_path / module / "logs"),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for module in ("dbt.cli.main", "warehouse.cli")
        ]
        told = [process.communicate(timeout=180)[0] for process in running]
        for process, text in zip(running, told, strict=True):
            assert process.returncode == 0, text[-3000:]
        scene.recover(HISTORY)
