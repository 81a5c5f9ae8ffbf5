"""Retention in a process that kills itself at a chosen step, as a power failure would.

A step is a statement, a commit, the verification of a file, or a change of the file system.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from tests.retention.support import retain, sessions_of
from warehouse.retention import archive, rows, store
from warehouse.retention.policy import make_plan

STEPS: tuple[tuple[Any, str], ...] = (
    (psycopg.Connection, "execute"),
    (psycopg.Connection, "commit"),
    (archive, "verify"),
    (store, "delete"),
    (store, "_flush"),
    (Path, "replace"),
)


def work(task: Mapping[str, Any], kill_at: int, answer: Any) -> None:
    """Carry out a task.

    Args:
        task: environment of the database, plan (its JSON), model, store, as_of (ISO), and action:
            retain or rewrite.
        kill_at: the number of the step before which the process ends; 0 for none.
        answer: a connection that gets the number of steps, and the failures.
    """
    # Several batches, files and pieces.
    archive.BATCH_ROWS, archive.FILE_BYTES, rows.BATCH_ROWS = 20, 25_000, 60
    database = SimpleNamespace(environment=task["environment"])
    plan = make_plan(task["plan"])
    plan.policies[:] = [policy for policy in plan.policies if policy.model == task["model"]]
    steps = count_steps(kill_at)
    failures = []
    if task["action"] == "retain":
        as_of = datetime.fromisoformat(task["as_of"])
        _, failures = retain(database, plan, task["store"], as_of)
    else:
        with sessions_of(database, plan) as sessions:
            files = archive.archived_files(sessions.main)
            sessions.main.commit()
            for file in files:
                archive.rewrite_archived(sessions.main, file.file_id, without_seventh)
    answer.send((steps(), failures))


def count_steps(kill_at: int) -> Callable[[], int]:
    """Count steps from now on, and kill this process before one of them.

    Returns:
        A function that returns the number of steps so far.
    """
    counted = 0

    def before(function: Any) -> Any:
        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal counted
            counted += 1
            if counted == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return counting

    for owner, name in STEPS:
        setattr(owner, name, before(getattr(owner, name)))
    return lambda: counted


def without_seventh(table: pa.Table) -> pa.Table | None:
    """A change of an archived file, as an erasure makes it."""
    wanted = pc.invert(table["is_seventh"])
    return None if pc.all(wanted).as_py() else table.filter(wanted)
