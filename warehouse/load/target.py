"""The warehouse's side of a load: the session, the raw tables, the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.database.connection import connect
from warehouse.errors import WarehouseError
from warehouse.load import stage
from warehouse.load.report import Reporter
from warehouse.privacy import keys, roles

QUARANTINE = sql.Identifier("quarantine", "rejected_rows")
STATE = sql.Identifier("raw", "_load_state")
# When more deletions than the limit were last accepted, by table.
ACCEPTED = sql.Identifier("raw", "_accepted_deletes")

# The types that an existing table may have for a type of the contract: for text, any type of a key
# that staging can cast to text; for the others, types that store the value exactly.
_COMPATIBLE = {
    "text": (
        "text", "character varying", "character", "citext", "uuid",
        "smallint", "integer", "bigint", "numeric",
    ),
    "numeric": ("numeric", "smallint", "integer", "bigint"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamptz": ("timestamp with time zone",),
    "jsonb": ("jsonb",),
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A raw table in the warehouse: its contract and the types of its columns."""

    table: Table
    schema: str
    types: dict[str, str]

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table.name)


def _prepare(connection: psycopg.Connection) -> None:
    """Set up the load's session, whatever the server's defaults are: times in UTC, dates in ISO,
    literal backslashes, enough memory."""
    for name, value in (
        ("timezone", "UTC"),
        ("datestyle", "ISO, YMD"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
    ):
        connection.execute("select set_config(%s, %s, false)", (name, value))
    for name, least in (("work_mem", "64MB"), ("temp_buffers", "64MB")):
        # A session that has used temporary tables cannot change temp_buffers.
        with suppress(psycopg.errors.InvalidParameterValue):
            connection.execute(
                """
                select set_config(%(name)s, %(least)s, false)
                where pg_size_bytes(current_setting(%(name)s)) < pg_size_bytes(%(least)s)
                """,
                {"name": name, "least": least},
            )


@contextmanager
def session(connection: psycopg.Connection | None) -> Iterator[psycopg.Connection]:
    """The load's connection, in autocommit; turns errors of PostgreSQL into WarehouseError.

    Args:
        connection: the connection to use, not in a transaction; None opens one, by the settings.
    """
    own = None
    if connection is None:
        own = connection = connect(options=keys.settings_if_any())
    before = connection.autocommit
    try:
        connection.autocommit = True
        _prepare(connection)
        yield connection
    except psycopg.Error as error:
        raise WarehouseError(
            f"The warehouse's PostgreSQL refused the load: {_shown(error)}"
        ) from error
    finally:
        if not connection.closed:
            stage.drop(connection)
            connection.autocommit = before
        if own:
            own.close()


@contextmanager
def writing(target: Target) -> Iterator[None]:
    """Turn errors of PostgreSQL into a WarehouseError that names the raw table."""
    try:
        yield
    except psycopg.Error as error:
        raise WarehouseError(
            "The warehouse's PostgreSQL refused the load: "
            f"{target.schema}.{target.table.name}: {_shown(error)}"
        ) from error


def _shown(error: psycopg.Error) -> str:
    """PostgreSQL's message without its detail, which may show a row."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def check_stamp(connection: psycopg.Connection, stamp: datetime | None) -> None:
    """Refuse the stamp of a load if it is in the future of the warehouse.

    Raises:
        WarehouseError: names the stamp and the time.
    """
    now = connection.execute("select clock_timestamp()").fetchone()[0]
    if stamp is not None and stamp > now:
        raise WarehouseError(
            f"--loaded-at {stamp.isoformat()} is in the future; it is now "
            f"{now.isoformat(timespec='seconds')}. Rows cannot be loaded later than now. "
            "Nothing was loaded."
        )


def has_rows(connection: psycopg.Connection, contract: Contract, table: str) -> bool:
    """Whether the raw table exists and has a row."""
    name = sql.Identifier(contract.schema, table)
    if not exists(connection, name):
        return False
    query = sql.SQL("select exists (select from {})").format(name)
    return connection.execute(query).fetchone()[0]


def create(connection: psycopg.Connection, contract: Contract) -> None:
    """Create the schemas, the contract's tables and the quarantine if they are missing, and let
    the role that builds read them."""
    with connection.transaction():
        # Two sessions that create the same table at once can fail, even with `if not exists`.
        connection.execute("select pg_advisory_xact_lock(hashtext('warehouse load: create'))")
        for schema in (contract.schema, "quarantine"):
            _create_schema(connection, schema)
        for table in contract.tables.values():
            _create_table(connection, contract.schema, table)
        _create_quarantine(connection)
        roles.let_transformer_read(connection, contract.schema)


def _create_quarantine(connection: psycopg.Connection) -> None:
    if exists(connection, QUARANTINE):
        return
    _need_create(connection, "quarantine", "rejected_rows")
    connection.execute(
        sql.SQL(
            """
            create table {} (
                rejected_id bigint generated always as identity primary key,
                table_name text not null,
                file_name text not null,
                line_number bigint,
                reason text not null,
                row_text text not null,
                rejected_at timestamptz not null,
                last_seen_at timestamptz not null,
                loaded_at timestamptz
            )
            """
        ).format(QUARANTINE)
    )
    # Hashes, because a row can be longer than the limit of an index entry.
    connection.execute(
        sql.SQL(
            """
            create unique index rejected_rows_once on {}
                (table_name, file_name, line_number, md5(row_text), md5(reason))
                nulls not distinct
            """
        ).format(QUARANTINE)
    )


def exists(connection: psycopg.Connection, relation: sql.Identifier) -> bool:
    """Whether a relation exists. `create ... if not exists` needs the right to create it."""
    query = "select to_regclass(%s) is not null"
    return connection.execute(query, (relation.as_string(connection),)).fetchone()[0]


def _need_create(connection: psycopg.Connection, schema: str, table: str) -> None:
    """Refuse to create a table in a schema without the right to.

    Raises:
        WarehouseError: names the table and the grant.
    """
    allowed, owner, role = connection.execute(
        """
        select
            has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create'),
            nspowner::regrole::text,
            quote_ident(current_role)
        from pg_namespace
        where nspname = %s
        """,
        (schema,),
    ).fetchone()
    if not allowed:
        raise WarehouseError(
            f"The table {schema}.{table} does not exist, and the role {role} may not create it. "
            f"As the owner of the schema, {owner}, run: grant usage, create on schema {schema} to "
            f"{role};"
        )


def _create_schema(connection: psycopg.Connection, schema: str) -> None:
    owner, may_use, allowed, database, role = connection.execute(
        """
        select
            (select nspowner::regrole::text from pg_namespace where nspname = %(schema)s),
            (
                select has_schema_privilege(oid, 'usage')
                from pg_namespace where nspname = %(schema)s
            ),
            has_database_privilege(current_database(), 'create'),
            quote_ident(current_database()),
            quote_ident(current_role)
        """,
        {"schema": schema},
    ).fetchone()
    if owner is not None and not may_use:
        raise WarehouseError(
            f"The role {role} may not use the schema {schema}. As its owner, {owner}, run: grant "
            f"usage, create on schema {schema} to {role};"
        )
    if owner is not None:
        return
    if not allowed:
        raise WarehouseError(
            f"The schema {schema} does not exist, and the role {role} may not create it. As an "
            f"administrator, run: create schema {schema} authorization {role}; or allow it to "
            f"create schemas: grant create on database {database} to {role};"
        )
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


def _create_table(connection: psycopg.Connection, schema: str, table: Table) -> None:
    name = sql.Identifier(schema, table.name)
    if exists(connection, name):
        return
    _need_create(connection, schema, table.name)
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(data_type))
        for column, data_type in table.columns.items()
    ]
    connection.execute(
        sql.SQL(
            "create table {} ({}, {} timestamptz not null, {} timestamptz, primary key ({}))"
        ).format(
            name,
            sql.SQL(", ").join(columns),
            sql.Identifier(LOADED_AT),
            sql.Identifier(DELETED_AT),
            sql.Identifier(table.key),
        )
    )
    _create_indexes(connection, schema, table)


def check(connection: psycopg.Connection, contract: Contract, table: Table) -> Target:
    """Check that the raw table fits the contract, and create its indexes.

    Raises:
        WarehouseError: it does not; names the column and the statement that fixes it.
    """
    shown = f"{contract.schema}.{table.name}"
    kind = connection.execute(
        """
        select relkind::text from pg_class
        where oid = format('%%I.%%I', %s::text, %s::text)::regclass
        """,
        (contract.schema, table.name),
    ).fetchone()[0]
    if kind not in ("r", "p"):
        raise WarehouseError(
            f"{shown} is not a table; rename or drop it, and the load creates the table."
        )
    rows = connection.execute(
        """
        select
            attname,
            format_type(atttypid, atttypmod),
            format_type(atttypid, null)
        from pg_attribute
        where attrelid = format('%%I.%%I', %s::text, %s::text)::regclass
            and attnum > 0 and not attisdropped
        """,
        (contract.schema, table.name),
    ).fetchall()
    full = {name: data_type for name, data_type, _ in rows}
    plain = {name: data_type for name, _, data_type in rows}
    expected = {**table.columns, LOADED_AT: "timestamptz", DELETED_AT: "timestamptz"}
    for column, data_type in expected.items():
        if column not in plain:
            raise WarehouseError(
                f"{shown} has no column {column}, which is in the contract. Add it: "
                f"alter table {shown} add column {column} {data_type};"
            )
        if plain[column] not in _COMPATIBLE[data_type]:
            raise WarehouseError(
                f"{shown}.{column} has the type {full[column]}, but the contract says {data_type} "
                f"(allowed: {', '.join(_COMPATIBLE[data_type])})."
            )
    _check_key(connection, contract.schema, table)
    _create_indexes(connection, contract.schema, table)
    return Target(table, contract.schema, {column: full[column] for column in expected})


def _check_key(connection: psycopg.Connection, schema: str, table: Table) -> None:
    unique = connection.execute(
        """
        select exists (
            select
            from pg_index
            where indrelid = format('%%I.%%I', %s::text, %s::text)::regclass
                and indisunique and indisvalid and indpred is null and indnkeyatts = 1
                and indkey[0] = (
                    select attnum from pg_attribute
                    where attrelid = indrelid and attname = %s
                )
        )
        """,
        (schema, table.name, table.key),
    ).fetchone()[0]
    if not unique:
        shown = f"{schema}.{table.name}"
        raise WarehouseError(
            f"{shown} has no primary key on {table.key}, which the load needs. Add it: "
            f"alter table {shown} add primary key ({table.key});"
        )


def _create_indexes(connection: psycopg.Connection, schema: str, table: Table) -> None:
    """Index `_loaded_at` and the contract's `indexes`, unless an index begins with the column."""
    for column in (LOADED_AT, *table.indexes):
        indexed = connection.execute(
            """
            select exists (
                select
                from pg_index
                where indrelid = format('%%I.%%I', %s::text, %s::text)::regclass and indpred is null
                    and indkey[0] = (
                        select attnum from pg_attribute
                        where attrelid = indrelid and attname = %s
                    )
            )
            """,
            (schema, table.name, column),
        ).fetchone()[0]
        if not indexed:
            connection.execute(
                sql.SQL("create index if not exists {} on {} ({})").format(
                    sql.Identifier(f"{table.name}_{column.strip('_')}_idx"),
                    sql.Identifier(schema, table.name),
                    sql.Identifier(column),
                )
            )


def lock(connection: psycopg.Connection, target: Target, report: Reporter) -> None:
    """Wait until no other load writes the table; other sessions are not blocked.

    Takes an advisory lock, because a lock of the table would also wait for autovacuum.
    """
    arguments = (f"warehouse load: {target.schema}.{target.table.name}",)
    free = connection.execute(
        "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", arguments
    ).fetchone()[0]
    if not free:
        report.step("waiting for another load of this table")
        connection.execute("set local lock_timeout = 0")
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", arguments)
