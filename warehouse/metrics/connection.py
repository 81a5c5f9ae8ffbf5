"""The one connection of the exporter, which is opened again after it was lost."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from warehouse.database.connection import connect
from warehouse.database.profile import Settings

if TYPE_CHECKING:
    import psycopg

# A server that vanished is noticed in half a minute, not in the minutes of the system's defaults.
_PATIENCE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

# A metric must never make a build wait: it reads only, gives up soon, and uses one process.
_SESSION = """
    set application_name = 'warehouse metrics';
    set default_transaction_read_only = on;
    set timezone = 'UTC';
    set statement_timeout = '5s';
    set lock_timeout = '1s';
    set max_parallel_workers_per_gather = 0;
    set jit = off;
"""


class Connection:
    """Holds a connection while it works.

    Args:
        where: the database.
    """

    def __init__(self, where: Settings) -> None:
        self._where = dataclasses.replace(where, parameters=where.parameters | _PATIENCE)
        self._session: psycopg.Connection[Any] | None = None

    def session(self) -> psycopg.Connection[Any]:
        """The connection; a new one if the last one was lost. Never starts the server.

        Raises:
            WarehouseError: the database does not answer.
        """
        import psycopg

        if self._session is not None:
            try:
                self._session.execute("select")
                return self._session
            except psycopg.Error:
                self.close()
        session = connect(self._where, autocommit=True, start=False)
        try:
            session.execute(_SESSION)
        except psycopg.Error:
            session.close()
            raise
        self._session = session
        return session

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._session is not None:
            with suppress(Exception):
                self._session.close()
            self._session = None
