"""Checks of the database before a command changes anything."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from warehouse import console, contract, project
from warehouse.database.connection import OLDEST_VERSION, check_version, connect
from warehouse.database.profile import Settings, settings
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

__all__ = ["OLDEST_VERSION", "Purpose", "announce", "check", "check_version", "preflight"]

# Lets a login through that a target named prod refuses.
ACCEPTED = "WAREHOUSE_ACCEPT_UNSAFE_LOGIN"
PROD = "prod"
# Passwords of images, of guides and of installers; so are the names of the user and the database.
_DEFAULT_PASSWORDS = {
    *("", "123456", "admin", "analytics", "changeme", "example", "password", "postgres"),
    *("root", "secret", "test", "warehouse"),
}

# Where a session's default_transaction_read_only comes from (pg_settings.source) -> the remedy.
_READ_ONLY_BY = {
    "user": "run `alter role {user} reset default_transaction_read_only`",
    "database": "run `alter database {database} reset default_transaction_read_only`",
    "database user": (
        "run `alter role {user} in database {database} reset default_transaction_read_only`"
    ),
    "client": "correct PGOPTIONS or WAREHOUSE_SESSION_OPTIONS",
}

_SERVER = """
    select
        pg_is_in_recovery(),
        current_setting('server_encoding'),
        current_setting('transaction_read_only') = 'on',
        (select source from pg_settings where name = 'default_transaction_read_only'),
        (select bool_or(rolsuper) from pg_roles where rolname in (current_user, session_user)),
        has_database_privilege(current_database(), 'create')
            or to_regnamespace(%(observability)s) is not null,
        has_database_privilege(current_database(), 'temporary'),
        quote_ident(current_database()),
        quote_ident(current_user),
        quote_ident(session_user),
        system_user
"""

# The tables on which the user lacks one of the rights; of a schema that the user may not use, all.
_LACKING = """
    select format('%%I.%%I', pg_namespace.nspname, pg_class.relname), pg_get_userbyid(relowner)
    from pg_class
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    where pg_namespace.nspname = %(schema)s
        and pg_class.relname = any(%(tables)s)
        and pg_class.relkind in ('r', 'p', 'v', 'm', 'f')
        and not (
            has_schema_privilege(pg_namespace.oid, 'usage')
            and (
                select bool_and(has_table_privilege(pg_class.oid, needed))
                from unnest(%(rights)s::text[]) as needed
            )
        )
    order by 1
"""


class Purpose(StrEnum):
    """What a command is about to do."""

    BUILD = "build"
    LOAD = "load"
    ADMINISTER = "administration"


# What was announced last; an error after a quiet announcement names it.
_quietly: str | None = None


def announce(where: Settings, *, quiet: bool = False) -> None:
    """Print the database that a command is about to write to, once a process, on stderr.

    Args:
        where: the database.
        quiet: print it only if the command fails.
    """
    global _quietly
    target = f" (target {where.target})" if where.target else ""
    line = f"Database: {where.description}{target}."
    if quiet:
        _quietly = line
    else:
        console.say(line, style="dim", stderr=True)


def database_of_error() -> str | None:
    """The line about the database that a quiet command has not printed."""
    return _quietly


def preflight(
    where: Settings | None = None, *, purpose: Purpose = Purpose.BUILD, quiet: bool = False
) -> None:
    """Name the database, check that a command can run on it; start the embedded server if needed.

    Args:
        where: the database; default `settings()`.
        purpose: what the command is about to do.
        quiet: name the database only if the command fails.

    Raises:
        WarehouseError: the first check that failed, and what to do.
    """
    where = where or settings()
    announce(where, quiet=quiet)
    check(where, purpose)


def check(where: Settings, purpose: Purpose = Purpose.BUILD) -> None:
    """Check that the server answers, is new enough, accepts writes, stores UTF-8, and gives this
    user the rights that the command needs; in prod also that nobody else can log in as the user.

    Raises:
        WarehouseError: the first check that failed, and what to do.
    """
    with connect(where) as connection:
        row = connection.execute(
            _SERVER, {"observability": f"{where.schema_prefix}observability"}
        ).fetchone()
        assert row is not None
        replica, encoding, read_only, because, superuser, has_schemas, temporary, *names = row
        database, user, login, identity = names
        if replica:
            raise WarehouseError(
                f"{where.sentence} is a read-only replica: connect to its primary."
            )
        if encoding != "UTF8":
            raise WarehouseError(
                f"The database {database} is encoded in {encoding}: create one with "
                f"`create database {database} encoding 'UTF8' template template0`."
            )
        if read_only:
            remedy = _READ_ONLY_BY.get(because, "set it to off on the server")
            raise WarehouseError(
                f"The sessions of the user {user} in the database {database} are read-only "
                f"(default_transaction_read_only): {remedy.format(user=user, database=database)}."
            )
        if not has_schemas:
            raise WarehouseError(
                f"The user {user} may not create schemas in the database {database}: its owner "
                f"must run `grant create on database {database} to {user}`."
            )
        if not temporary:
            raise WarehouseError(
                f"The user {user} may not create temporary tables in the database {database}: its "
                f"owner must run `grant temporary on database {database} to {user}`."
            )
        if where.target == PROD and not where.embedded:
            is_builder = purpose is not Purpose.ADMINISTER
            _check_login(connection, login, superuser and is_builder, identity)
        if purpose is not Purpose.ADMINISTER:
            _check_tables(connection, where, purpose, user)


def _check_login(
    connection: psycopg.Connection[Any], login: str, superuser: bool, identity: str | None
) -> None:
    """Refuse a login that may do everything, or that others can use as well.

    Args:
        connection: the connection of the login.
        login: its name, quoted.
        superuser: whether it is a superuser and should not be.
        identity: how the server has authenticated it (system_user); None if it did not ask.
    """
    info = connection.info
    reasons = []
    if superuser:
        reasons.append(
            "It is a superuser, so that the SQL of a model may do anything on the server: use a "
            "login that is a member of warehouse_loader or warehouse_transformer, or that owns the "
            "schemas of the warehouse (docs/adapting.md, step 1)."
        )
    if identity is None:
        reasons.append(
            "The server lets it in without a password: let its pg_hba.conf ask for one, with "
            "scram-sha-256 in the place of trust."
        )
    elif connection.pgconn.used_password and info.password.casefold() in {
        *_DEFAULT_PASSWORDS,
        info.user.casefold(),
        info.dbname.casefold(),
    }:
        reasons.append(
            "Its password is a default, which others guess: set another one, with "
            f"`\\password {login}` in psql."
        )
    if not reasons:
        return
    said = f"the login of the user {login} in the target {PROD}. {' '.join(reasons)}"
    if os.environ.get(ACCEPTED, "") != "1":
        raise WarehouseError(f"Refused {said} To accept it all the same, set {ACCEPTED}=1.")
    console.say(f"Warning: accepted {said}", style="yellow", stderr=True)


def _check_tables(
    connection: psycopg.Connection[Any], where: Settings, purpose: Purpose, user: str
) -> None:
    """Check the rights on the tables that the command reads and writes, as far as they exist."""
    try:
        given = contract.read()
    except WarehouseError:
        if purpose is Purpose.LOAD:
            raise
        return  # a contract that only dbt can read
    raw, tables = given.schema, [*given.tables]
    needed = {
        Purpose.BUILD: [
            (raw, project.variable("sources_present"), ["select"]),
            (
                f"{where.schema_prefix}observability",
                ["watermarks", "key_changes"],
                ["select", "insert", "update", "delete"],
            ),
        ],
        Purpose.LOAD: [
            (raw, [*tables, "_load_state"], ["select", "insert", "update"]),
            ("quarantine", ["rejected_rows"], ["select", "insert", "update"]),
        ],
    }
    for schema, names, rights in needed[purpose]:
        lacking = connection.execute(
            _LACKING, {"schema": schema, "tables": names, "rights": rights}
        ).fetchall()
        if lacking:
            owner = lacking[0][1]
            shown = ", ".join(name for name, _ in lacking)
            raise WarehouseError(
                f"The user {user} lacks rights that a {purpose} needs on {shown}: their owner must "
                f"run `grant usage on schema {schema} to {user}; grant {', '.join(rights)} on "
                f"{shown} to {user}`, or connect as their owner, {owner}."
            )
