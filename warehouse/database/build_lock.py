"""One build of a target at a time: an advisory lock, held by a separate session during the build.

PostgreSQL releases the lock when that session ends, however the process ended.
"""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warehouse import console, project
from warehouse.database.connection import connect
from warehouse.database.profile import Settings
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


def lock_name(where: Settings) -> str:
    """The name of the target's lock: targets that use the exact schema names write the same tables
    and share a lock; every other target has its own schemas and its own lock."""
    shared = project.variable("exact_schema_targets")
    return LOCK_NAME if where.target in shared else f"{LOCK_NAME} of {where.target}"


@contextmanager
def build_lock(where: Settings, *, wait: bool) -> Iterator[None]:
    """Hold the target's build lock.

    Args:
        where: the database and target.
        wait: wait for the end of another build.

    Raises:
        WarehouseError: another build holds the lock and `wait` is false; exit code 75.
    """
    with connect(where, autocommit=True) as session:
        # Shown to other builds, and in pg_stat_activity; PostgreSQL truncates it to 63 bytes.
        who = f"{LOCK_NAME} by {getpass.getuser()}@{platform.node()}, process {os.getpid()}"
        session.execute("select set_config('application_name', %s, false)", [who[:63]])
        announced, name = False, lock_name(where)
        while not _try(session, name):
            holder = _describe_holder(session, name)
            if not wait:
                raise WarehouseError(
                    f"Another build is running: {holder}. `warehouse build --wait` waits for it.",
                    exit_code=BUSY,
                )
            if not announced:
                console.say(f"Waiting for another build: {holder}.", style="dim", stderr=True)
                announced = True
            time.sleep(POLL_SECONDS)
        yield


def _try(session: psycopg.Connection[Any], name: str) -> bool:
    row = session.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
    return bool(row and row[0])


def _describe_holder(session: psycopg.Connection[Any], name: str) -> str:
    row = session.execute(_HOLDER, [name]).fetchone()
    if row is None:
        return "it has just ended"
    holder, user, pid, since = row
    return f"{holder} (database user {user}, backend {pid}, since {since} UTC)"
