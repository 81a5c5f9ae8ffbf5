"""Connections to the warehouse's database, and what a failed one means."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from warehouse import console
from warehouse.database.profile import Settings, first_line, settings
from warehouse.errors import WarehouseError
from warehouse.server import Server

if TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "warehouse"
OLDEST_VERSION = 16

# libpq parameter -> variable of the programs that we start.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
}

# Variables that would redirect a program to another server, or make it refuse the embedded one.
_FOREIGN = {
    "PGHOSTADDR",
    "PGSERVICE",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
}


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment for a PostgreSQL program (psql, pg_dump): ours, with this database's
    variables. The session options of profiles.yml are left out."""
    inherited = dict(os.environ)
    if settings.embedded:
        inherited = {name: value for name, value in inherited.items() if name not in _FOREIGN}
    chosen = settings.parameters
    return inherited | {_VARIABLES[key]: chosen[key] for key in chosen if key in _VARIABLES}


def connect(
    where: Settings | None = None,
    *,
    autocommit: bool = False,
    start: bool = True,
    options: str = "",
) -> psycopg.Connection[Any]:
    """A new connection to the warehouse's database; starts the embedded server if needed.

    Args:
        where: the database; default `settings()`.
        autocommit: open it in autocommit mode.
        start: start the embedded server if it is not running; otherwise that is an error.
        options: settings of the session, as libpq's options; PostgreSQL does not log them.

    Raises:
        WarehouseError: the connection failed, or the server is too old; one sentence says why and
            what to do.
    """
    import psycopg

    where = where or settings()
    if where.embedded and start:
        ensure_running()
    parameters = dict(where.parameters)
    if options:
        parameters["options"] = f"{parameters.get('options') or ''} {options}".strip()
    try:
        connection = psycopg.connect(
            **parameters, application_name=APPLICATION_NAME, autocommit=autocommit
        )
    except psycopg.Error as error:
        if "unrecognized configuration parameter" in str(error):
            _check_version_alone(where)
        raise WarehouseError(explain(str(error), where)) from error
    try:
        _check_version_of(connection, where)
    except WarehouseError:
        connection.close()
        raise
    if where.role:
        from psycopg import sql

        try:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(where.role)))
            if not autocommit:
                connection.commit()
        except psycopg.Error as error:
            connection.close()
            raise WarehouseError(
                f"The user {where.parameters.get('user')} may not switch to the role {where.role} "
                f"of the {where.source}: grant it, or change `role` there."
            ) from error
    return connection


def check_version(number: int, version: str, where: Settings) -> None:
    """Raise WarehouseError if the server is too old.

    Args:
        number: its server_version_num, such as 160004 for 16.4.
        version: its version, for the message.
        where: the database, for the message.
    """
    if number < OLDEST_VERSION * 10000:
        raise WarehouseError(
            f"{where.sentence} is version {version}: the warehouse needs {OLDEST_VERSION} or "
            "newer. Upgrade it, or unset PGHOST and use the embedded server."
        )


def _check_version_of(connection: psycopg.Connection[Any], where: Settings) -> None:
    info = connection.info
    check_version(info.server_version, info.parameter_status("server_version") or "?", where)


def _check_version_alone(where: Settings) -> None:
    """Check the version of a server that refused the session options, as an old one does."""
    import psycopg

    plain = {key: value for key, value in where.parameters.items() if key != "options"}
    with suppress(psycopg.Error), psycopg.connect(**plain) as connection:
        _check_version_of(connection, where)


def ensure_running() -> None:
    """Start the embedded server if it is not running."""
    server = Server()
    if server.pid() is None:
        console.say("Starting the embedded server.", style="dim", stderr=True)
        server.up()


def explain(message: str, where: Settings) -> str:
    """Explain a failed connection in one sentence: the error, the server and user, the remedy."""
    get = where.parameters.get
    host, port = get("host") or "the local socket", get("port", "5432")
    user, database = get("user"), get("dbname")
    place = f"{host}, port {port}"
    if where.embedded:
        return (
            f"The embedded server refuses the user {user} in the database {database}: "
            f"{first_line(message)}. Run `warehouse up`: it creates what is missing."
        )
    rules = [
        (
            "password authentication failed",
            f"The server at {place} refused the password of the user {user}: "
            "correct DBT_ENV_SECRET_PG_PASSWORD, PGPASSWORD or ~/.pgpass.",
        ),
        (
            "no password supplied",
            f"The server at {place} asks for a password of the user {user}: "
            "set DBT_ENV_SECRET_PG_PASSWORD or PGPASSWORD, or add it to ~/.pgpass.",
        ),
        (
            r'database ".*" does not exist',
            f"The server at {place} has no database {database}: create it with "
            f"`createdb {database}`, or set PGDATABASE to another one.",
        ),
        (
            r'role ".*" does not exist',
            f"The server at {place} has no user {user}: create it, or set PGUSER to another one.",
        ),
        (
            "permission denied for database|not permitted to log in",
            f"The user {user} may not connect to the database {database} on {place}: its owner "
            f"must run `grant connect, create on database {database} to {user}` and allow the "
            "login.",
        ),
        (
            "pg_hba.conf|authentication failed",
            f"The server at {place} refuses the user {user} from this host (its pg_hba.conf): "
            "ask its administrator, or correct PGUSER, PGDATABASE or PGSSLMODE.",
        ),
        (
            "Connection refused|No such file or directory",
            f"No PostgreSQL answers at {place} (user {user}): start it, or correct PGHOST and "
            "PGPORT.",
        ),
        (
            "could not translate host|Name or service not known|resolve|No address associated"
            "|nodename nor servname",
            f"DNS lookup of the host {host} (user {user}) failed: correct PGHOST.",
        ),
        (
            "timeout|timed out|unreachable|No route",
            f"The host {host}, port {port} (user {user}) does not answer: check PGHOST, PGPORT, "
            "the network and its firewall.",
        ),
        (
            "SSL|certificate",
            f"The server at {place} and the settings of the user {user} disagree on encryption: "
            f"correct PGSSLMODE and PGSSLROOTCERT ({first_line(message)}).",
        ),
        (
            "too many (clients|connections)|remaining connection slots",
            f"The server at {place} accepts no more connections of the user {user}: retry later, "
            "or set fewer threads with DBT_THREADS.",
        ),
        (
            "starting up|shutting down|recovery mode",
            f"The server at {place} is starting or stopping: retry in a moment.",
        ),
        (
            "unsupported startup parameter|unrecognized configuration parameter"
            "|invalid (command-line argument|value for parameter)",
            f"The server at {place} refuses session options ({first_line(message)}): correct "
            "PGOPTIONS, or, for a connection pooler, set WAREHOUSE_SESSION_OPTIONS to nothing.",
        ),
    ]
    for pattern, sentence in rules:
        if re.search(pattern, message):
            return sentence
    return (
        f"The connection to {place} as the user {user} failed: {first_line(message)}. "
        f"The connection is defined by {where.source}."
    )
