"""Checks of the database before a command changes anything."""

from __future__ import annotations

from warehouse.database.connection import connect
from warehouse.database.profile import Settings, settings
from warehouse.errors import WarehouseError

OLDEST_VERSION = 16


def preflight(where: Settings | None = None) -> None:
    """Check that a build can run, and start the embedded server if needed.

    The server must answer, be version 16 or newer, accept writes, store UTF-8, and let this user
    create schemas.

    Args:
        where: the database; default `settings()`.

    Raises:
        WarehouseError: the first check that failed, and what to do.
    """
    where = where or settings()
    with connect(where) as connection:
        row = connection.execute(
            "select current_setting('server_version_num')::int, current_setting('server_version'),"
            " pg_is_in_recovery(), current_setting('server_encoding'),"
            " has_database_privilege(current_database(), 'create')"
            " or to_regnamespace('observability') is not null,"
            " has_database_privilege(current_database(), 'temporary')"
        ).fetchone()
    assert row is not None
    number, version, is_replica, encoding, has_schemas, may_use_temporary = row
    check_version(number, version, where)
    database, user = where.parameters.get("dbname"), where.role or where.parameters.get("user")
    if is_replica:
        raise WarehouseError(f"{_sentence(where)} is a read-only replica: connect to its primary.")
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database {database} is encoded in {encoding}: create one with "
            f"`create database {database} encoding 'UTF8' template template0`."
        )
    if not has_schemas:
        raise WarehouseError(
            f"The user {user} may not create schemas in the database {database}: its owner must "
            f"run `grant create on database {database} to {user}`."
        )
    if not may_use_temporary:
        raise WarehouseError(
            f"The user {user} may not create temporary tables in the database {database}: its "
            f"owner must run `grant temporary on database {database} to {user}`."
        )


def check_version(number: int, version: str, where: Settings) -> None:
    """Raise WarehouseError if the server is too old.

    Args:
        number: its server_version_num, such as 160004 for 16.4.
        version: its version, for the message.
        where: the database, for the message.
    """
    if number < OLDEST_VERSION * 10000:
        raise WarehouseError(
            f"{_sentence(where)} is version {version}: the warehouse needs {OLDEST_VERSION} or "
            "newer. Upgrade it, or unset PGHOST and use the embedded server."
        )


def _sentence(where: Settings) -> str:
    description = where.description
    return description[0].upper() + description[1:]
