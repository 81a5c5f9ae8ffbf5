"""One build at a time: an advisory lock, held by a session of its own for as long as a build runs.

PostgreSQL gives the lock back the moment its session ends, however the process ended.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warehouse import connection
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

LOCK_NAME = "warehouse build"
BUSY = 75  # EX_TEMPFAIL of sysexits.h: try again later
POLL_SECONDS = 1.0

_HOLDER = """
    select
        coalesce(nullif(activity.application_name, ''), 'another session'),
        activity.usename,
        locks.pid,
        to_char(activity.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    from pg_locks as locks
    left join pg_stat_activity as activity on locks.pid = activity.pid
    where locks.locktype = 'advisory'
        and locks.granted
        and locks.database = (select oid from pg_database where datname = current_database())
        -- A bigint key is shown as two halves.
        and (locks.classid::bigint << 32) | locks.objid::bigint
            = hashtextextended(%s, 0)
    limit 1
"""


@contextmanager
def build_lock(where: connection.Settings, *, wait: bool) -> Iterator[None]:
    """Hold the database's build lock; with `wait`, until another build is done.

    Raises WarehouseError with exit code 75 that names the holder, when there is one and `wait` is
    false.
    """
    with connection.connect(where, autocommit=True) as session:
        # Shown to whoever finds the lock taken, and in pg_stat_activity; cut off after 63 bytes.
        who = f"{LOCK_NAME} by {getpass.getuser()}@{platform.node()}, process {os.getpid()}"
        session.execute("select set_config('application_name', %s, false)", [who[:63]])
        announced = False
        while not _try(session):
            holder = _describe_holder(session)
            if not wait:
                raise WarehouseError(
                    f"Another build is running: {holder}. `warehouse build --wait` waits for it.",
                    exit_code=BUSY,
                )
            if not announced:
                from rich.console import Console

                Console(stderr=True, highlight=False).print(
                    f"Waiting for another build: {holder}.", style="dim", markup=False
                )
                announced = True
            time.sleep(POLL_SECONDS)
        yield


def _try(session: psycopg.Connection[Any]) -> bool:
    row = session.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))", [LOCK_NAME]
    ).fetchone()
    return bool(row and row[0])


def _describe_holder(session: psycopg.Connection[Any]) -> str:
    row = session.execute(_HOLDER, [LOCK_NAME]).fetchone()
    if row is None:
        return "it ended this moment"
    name, user, pid, since = row
    return f"{name} (database user {user}, backend {pid}, since {since} UTC)"
