"""A run that is killed at any step loses nothing and leaves nothing, once it is repeated.

test_archive.py interrupts retention before its statements; here the process is killed, also
between changes of files, and while it rewrites or deletes a file of the archive.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.retention import killed, support
from tests.retention.support import NOW, manifest_of, plan_json
from tests.support.database import ask, do, fetch, new_database

COUNT = 160
OLD = "at < '2026-02-01'"
# Processes that are forked from one with all imports, and without the threads of this one.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([killed.__name__])


@pytest.fixture(scope="module")
def kept(
    server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Callable[[], None], Any, str]]:
    """A function that makes the database anew, the database and its plan."""
    project = support.write_kept_project(tmp_path_factory.mktemp("killed") / "project")
    with new_database(server, name="killed") as made:
        do(made, support.GIVEN.replace("%(count)s", str(COUNT)).replace("%%", "%"))
        support.build(made, project)
        plan = plan_json(made, project)
        with new_database(server, template="killed", name="killed_template"):

            def anew() -> None:
                with server.connect("postgres") as session:
                    session.execute("drop database killed with (force)")
                    session.execute(
                        "create database killed template killed_template strategy file_copy"
                    )

            yield anew, made, plan


def run(task: Mapping[str, Any], kill_at: int = 0) -> int | None:
    """Carry out a task in a process of its own.

    Returns:
        The number of its steps; None if it was killed.
    """
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=killed.work, args=(dict(task), kill_at, theirs))
    process.start()
    theirs.close()
    process.join(120)
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0
    steps, failures = ours.recv()
    assert failures == []
    return int(steps)


def check(database: Any, model: str, store: Path, expected: list[int]) -> None:
    """The table and the archive have each row once, and the store has no other file."""
    folder = store / "killed" / "marts" / model
    listed = manifest_of(folder)
    files = fetch(
        database,
        "select file, row_count, checksum, file_being_written, file_to_delete"
        " from observability.archived_files where num_nonnulls(file, file_being_written,"
        " file_to_delete) > 0 order by lower_bound, file_id",
    )
    assert [(str(folder / each["file"]), each["checksum"]) for each in listed] == [
        (file, checksum) for file, _, checksum, _, _ in files
    ]
    assert all(row[3:] == (None, None) for row in files)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(each["file"] for each in listed), "manifest.json"]
    )
    held = [number for (number,) in fetch(database, f"select id from marts.{model}")]
    for file, count, *_ in files:
        ids = pq.read_table(file)["id"].to_pylist()
        assert len(ids) == count
        held += ids
    assert sorted(held) == expected


def kill_everywhere(
    kept: tuple[Callable[[], None], Any, str],
    tmp_path: Path,
    task: Mapping[str, Any],
    expected: list[int],
    before: Mapping[str, Any] | None = None,
    *,
    every: int = 1,
) -> None:
    """Kill a task before each of its steps, carry it out again, and check.

    Args:
        kept: the fixture.
        tmp_path: a folder for stores.
        task: the task, as `killed.work` takes it.
        expected: the ids of all rows afterwards.
        before: what differs in the task that comes first; None for no such task.
        every: kill before every step of this number only.
    """
    anew, database, plan = kept
    number, is_killed = every, True
    while is_killed:
        anew()
        store = tmp_path / str(number)
        whole = {"environment": database.environment, "plan": plan, "store": str(store), **task}
        if before is not None:
            assert run({**whole, **before})
        is_killed = run(whole, number) is None
        assert run(whole)
        check(database, str(task["model"]), store, expected)
        number += every
    assert number > 15


def task_of(model: str = "by_month", action: str = "retain", as_of: datetime = NOW) -> dict:
    """A task, without what `kill_everywhere` adds."""
    return {"model": model, "action": action, "as_of": as_of.isoformat()}


ALL_IDS = list(range(COUNT + 1))
FIRST = task_of()


def test_a_killed_process_leaves_nothing(kept: Any, tmp_path: Path) -> None:
    kill_everywhere(kept, tmp_path, task_of(), ALL_IDS, every=15)


@pytest.mark.long
@pytest.mark.parametrize("model", ["by_month", "flat"])
def test_no_kill_loses_a_row(kept: Any, tmp_path: Path, model: str) -> None:
    """Of a partition, or of a table without partitions; in several files."""
    kill_everywhere(kept, tmp_path, task_of(model), ALL_IDS)


@pytest.mark.long
def test_a_rewrite_can_be_killed(kept: Any, tmp_path: Path) -> None:
    _, database, _ = kept
    left = f"select id from public.given where not ({OLD} and is_seventh) order by id"
    expected = [number for (number,) in fetch(database, left)]
    assert len(expected) < len(ALL_IDS)
    kill_everywhere(kept, tmp_path, task_of(action="rewrite"), expected, FIRST)


@pytest.mark.long
def test_the_end_of_a_file_can_be_killed(kept: Any, tmp_path: Path) -> None:
    """The oldest month is in the archive first, and past the last tier then."""
    _, database, _ = kept
    first_end = ask(database, f"select count(*) from public.given where {OLD}")
    assert 0 < first_end < len(ALL_IDS)
    soon = task_of(as_of=datetime(2027, 2, 2, tzinfo=UTC))
    kill_everywhere(kept, tmp_path, soon, ALL_IDS[first_end:], FIRST)
