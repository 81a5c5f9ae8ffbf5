"""Load the tables of a source database: the rows that changed since the last load.

`copy` transfers the rows from the source to `incoming`, as with files, and the same code applies
them. The transaction that writes the rows also stores the watermark in `raw._load_state`, so that
an interrupted load continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, sql

from warehouse import contract as contracts
from warehouse.contract import DELETED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.load import stage, target
from warehouse.load.apply import apply
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.target import STATE, Target, exists
from warehouse.mapping import Mapping

SCHEMES = ("postgresql://", "postgres://")
_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")


def is_database(source: str) -> bool:
    """Whether the source of a load is a database, not a folder."""
    return source.startswith(SCHEMES)


@dataclass(frozen=True)
class _Source:
    """A table of the source: its columns that are in the contract, and its time of change.

    `mapping` selects the rows, if it is not a table or view with the contract's names.
    """

    table: Table
    columns: list[str]
    incremental_column: str | None
    mapping: Mapping | None = None


def load_database(
    address: str,
    *,
    connection: psycopg.Connection | None = None,
    schema: str = "public",
    overlap_hours: float = 24,
    from_start: bool = False,
    complete: bool = False,
    loaded_at: datetime | None = None,
    tables: tuple[str, ...] = (),
    max_deletes: float = 50.0,
    max_rejected: float = 10.0,
    allow_empty: bool = False,
    report: Reporter | None = None,
    contract: Contract | None = None,
    mapping: dict[str, Mapping] | None = None,
) -> list[TableSummary]:
    """Load the contract's tables from a database into the raw tables.

    Args:
        address: a libpq URI.
        connection: to the warehouse, not in a transaction; default a new one, by the settings.
        schema: the schema of the source's tables.
        overlap_hours: hours before the watermark to read again, for rows that were committed late.
        from_start: read all rows, as `complete` does.
        report: receives progress and warnings.
        contract: the tables; default those of the project.
        mapping: the selects that give the contract's tables; default its tables and views.
        complete, loaded_at, tables, max_deletes, max_rejected, allow_empty: as in `Options`.

    Returns:
        The counts of each table.

    Raises:
        WarehouseError: the load was refused, or failed; the message never has the password.
    """
    report = report or Reporter()
    contract = contract or contracts.read()
    options = Options(
        complete=complete,
        loaded_at=loaded_at,
        tables=tuple(tables),
        max_deletes=max_deletes,
        max_rejected=max_rejected,
        allow_empty=allow_empty,
    )
    with _connected(address) as source:
        now = source.execute("select now()").fetchone()[0]
        name = _name(source, schema)
        found = _find(source, schema, name, contract, options, report, mapping)
        with target.session(connection) as connected:
            target.create(connected, contract)
            _create_state(connected)
            targets = [target.check(connected, contract, each.table) for each in found]
            summaries = []
            for each, raw_table in zip(found, targets, strict=True):
                since = None
                if not (from_start or complete) and each.incremental_column:
                    since = _watermark(connected, name, each)
                if since is not None:
                    since -= timedelta(hours=overlap_hours)
                summaries.append(
                    _pull(
                        source,
                        connected,
                        schema,
                        name,
                        each,
                        raw_table,
                        since,
                        now,
                        options,
                        report,
                    )
                )
            return summaries


@contextmanager
def _connected(address: str) -> Iterator[psycopg.Connection]:
    """A read-only connection to the source: one snapshot, times in UTC."""
    parameters = _parameters(address)
    try:
        source = psycopg.connect(**parameters)
    except psycopg.Error as error:
        raise WarehouseError(
            f"The source database does not answer: {_hidden(str(error), parameters)}"
        ) from None
    try:
        source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        source.read_only = True
        for name, value in (
            ("timezone", "UTC"),
            ("datestyle", "ISO, YMD"),
            ("extra_float_digits", "1"),
            ("client_encoding", "UTF8"),
        ):
            source.execute("select set_config(%s, %s, false)", (name, value))
        yield source
    except psycopg.Error as error:
        raise WarehouseError(
            f"The source database failed: {_hidden(str(error), parameters)}"
        ) from None
    finally:
        source.close()


def _parameters(address: str) -> dict[str, str]:
    """The libpq parameters of the address; errors must not show any part of the password."""
    try:
        authority = urlsplit(address).netloc
        if authority.count("@") > 1:
            raise ValueError
        parameters = conninfo.conninfo_to_dict(address)
    except (psycopg.Error, ValueError):
        raise WarehouseError(
            "Cannot read the address of the source database. Write it as "
            "postgresql://user@host:5432/database, special characters of the password as %40 for "
            "@, %3A for :, %2F for /; or set the password in PGPASSWORD or ~/.pgpass."
        ) from None
    # PGPORT is the port of the warehouse's server, not of the source.
    if parameters.get("host"):
        parameters.setdefault("port", "5432")
    parameters.setdefault("connect_timeout", "15")
    parameters.setdefault("application_name", "warehouse load")
    return parameters


def _hidden(message: str, parameters: dict[str, str]) -> str:
    shown = " ".join(message.split())
    password = parameters.get("password")
    return shown.replace(password, "***") if password else shown


def _name(source: psycopg.Connection, schema: str) -> str:
    """The name of the source in `raw._load_state` and in the quarantine."""
    info = source.info
    return f"postgresql://{info.host}:{info.port}/{info.dbname}/{schema}"


def _find(
    source: psycopg.Connection,
    schema: str,
    name: str,
    contract: Contract,
    options: Options,
    report: Reporter,
    mapping: dict[str, Mapping] | None,
) -> list[_Source]:
    """The contract's tables in the source; reports what is missing."""
    options.check_tables(contract)
    rows = source.execute(
        """
        select relation.relname, attribute.attname, format_type(attribute.atttypid, null)
        from pg_class as relation
        inner join pg_namespace as namespace on namespace.oid = relation.relnamespace
        inner join pg_attribute as attribute on attribute.attrelid = relation.oid
        where namespace.nspname = %s and relation.relname = any(%s)
            and relation.relkind in ('r', 'p', 'v', 'm', 'f')
            and attribute.attnum > 0 and not attribute.attisdropped
        """,
        (schema, list(options.tables or contract.tables)),
    ).fetchall()
    present: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows:
        present.setdefault(table, {})[column] = data_type
    if mapping is not None:
        present = _describe(source, contract, options, report, mapping)
    missing = [table for table in options.tables or contract.tables if table not in present]
    if options.tables and missing:
        raise WarehouseError(f"{name} has no table {', '.join(missing)}. Nothing was loaded.")
    if not present:
        raise WarehouseError(
            f"{name} has none of the tables {', '.join(contract.tables)}. Is it the right "
            "database, and --schema the right schema?"
        )
    if missing:
        report.note(f"The source has no {', '.join(missing)}.")
    found = []
    for table in contract.tables.values():
        columns = present.get(table.name)
        if columns is None:
            continue
        if table.key not in columns:
            raise WarehouseError(
                f"{name}: {table.name} has no column {table.key}, its key; it has "
                f"{', '.join(sorted(columns))}. Nothing was loaded."
            )
        absent = [column for column in table.columns if column not in columns]
        if absent:
            report.warn(
                f"{table.name}: the source has no {', '.join(absent)}; new rows get null there, "
                "existing rows keep their values."
            )
        column = table.incremental_column
        if column is None or columns.get(column) not in _TIMES:
            report.note(
                f"{table.name} is read completely: it has no timestamp {column or 'column'}."
            )
            column = None
        known = [each for each in (*table.columns, DELETED_AT) if each in columns]
        found.append(_Source(table, known, column, (mapping or {}).get(table.name)))
    return found


def _describe(
    source: psycopg.Connection,
    contract: Contract,
    options: Options,
    report: Reporter,
    mapping: dict[str, Mapping],
) -> dict[str, dict[str, str]]:
    """The columns of each select of a mapping, and their types.

    Raises:
        WarehouseError: a select fails, or has a timestamp whose time zone nobody said.
    """
    present = {}
    for table, each in mapping.items():
        if options.tables and table not in options.tables:
            continue
        try:
            described = source.execute(
                sql.SQL("select * from (\n{}\n) as mapped limit 0").format(sql.SQL(each.query))
            ).description
        except psycopg.Error as error:
            raise WarehouseError(
                f"{each.path}: {error.diag.message_primary or error}. Nothing was loaded."
            ) from None
        present[table] = {
            column.name: source.execute(
                "select format_type(%s, null)", (column.type_code,)
            ).fetchone()[0]
            for column in described or []
        }
        for column, data_type in present[table].items():
            expected = contract.tables[table].columns.get(column)
            if expected == "timestamptz" and data_type == "timestamp without time zone":
                raise WarehouseError(
                    f"{each.path}: {column} has no time zone; write (...) at time zone 'UTC', or "
                    "another. Nothing was loaded."
                )
        if each.open_lines:
            report.warn(
                f"{table}: {each.path} has {len(each.open_lines)} lines marked OPEN; their columns "
                "are null until you decide them."
            )
    return present


def _create_state(connection: psycopg.Connection) -> None:
    if exists(connection, STATE):
        return
    connection.execute(
        sql.SQL(
            """
            create table if not exists {} (
                source text not null,
                table_name text not null,
                incremental_column text not null,
                watermark timestamptz not null,
                loaded_at timestamptz not null,
                primary key (source, table_name)
            )
            """
        ).format(STATE)
    )


def _watermark(connection: psycopg.Connection, name: str, each: _Source) -> datetime | None:
    """The latest change that was read from this table; None if it was never read, or by another
    column."""
    row = connection.execute(
        sql.SQL(
            "select watermark from {} "
            "where source = %s and table_name = %s and incremental_column = %s"
        ).format(STATE),
        (_state_name(name, each), each.table.name, each.incremental_column),
    ).fetchone()
    return row[0] if row else None


def _state_name(name: str, each: _Source) -> str:
    """The source in the state: a changed select is another source, read from its start."""
    return name if each.mapping is None else f"{name}#{each.mapping.fingerprint}"


def _pull(
    source: psycopg.Connection,
    connection: psycopg.Connection,
    schema: str,
    name: str,
    each: _Source,
    raw_table: Target,
    since: datetime | None,
    now: datetime,
    options: Options,
    report: Reporter,
) -> TableSummary:
    """Load one table: the rows changed since then and those without a time of change, or all."""
    began = time.monotonic()
    table = each.table
    summary = TableSummary(table.name, [f"{name}/{table.name}"])
    report.start(table.name, None)
    stage.create(connection, each.columns)
    names = [sql.Identifier(column) for column in each.columns]
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column in names),
        sql.Identifier(schema, table.name)
        if each.mapping is None
        else sql.SQL("(\n{}\n) as mapped").format(sql.SQL(each.mapping.query)),
    )
    if since is not None:
        changed = sql.Identifier(each.incremental_column)
        query += sql.SQL(" where {0} >= {1} or {0} is null").format(changed, sql.Literal(since))
    rows = size = 0
    with (
        connection.transaction(),
        source.cursor().copy(sql.SQL("copy ({}) to stdout").format(query)) as reading,
        connection.cursor().copy(
            sql.SQL("copy pg_temp.incoming ({}) from stdin").format(sql.SQL(", ").join(names))
        ) as writing,
    ):
        waiting = bytearray()
        for data in reading:
            waiting += data
            size += len(data)
            if len(waiting) > 1 << 18:
                rows += waiting.count(b"\n")  # one per row: those in values are escaped
                writing.write(bytes(waiting))
                waiting.clear()
                report.advance(size, rows)
        rows += waiting.count(b"\n")
        writing.write(bytes(waiting))
    report.advance(size, rows)
    if options.complete and not options.allow_empty and not rows:
        raise WarehouseError(
            f"{summary.files[0]} is empty, and --complete would delete all of {table.name}. If "
            "that is right, add --allow-empty. Nothing of the table was loaded."
        )

    def remember(stamp: datetime) -> None:
        if each.incremental_column:
            _remember(connection, name, each, stamp, now)

    apply(
        connection,
        raw_table,
        each.columns,
        [rows],
        summary,
        options,
        report,
        before_commit=remember,
    )
    stage.drop(connection)
    summary.seconds = time.monotonic() - began
    report.finish(summary)
    return summary


def _remember(
    connection: psycopg.Connection, name: str, each: _Source, stamp: datetime, now: datetime
) -> None:
    """Advance the watermark to the latest change that was read; it never moves back.

    A time in the future is stored as now: it would hide every change until then.
    """
    connection.execute(
        sql.SQL(
            """
            insert into {state} as known (
                source, table_name, incremental_column, watermark, loaded_at
            )
            select %(source)s, %(table)s, %(column)s, latest, %(stamp)s
            from (
                select max(least({changed}::timestamptz, %(now)s)) as latest
                from pg_temp.incoming
                where {changed}::timestamptz > '-infinity'
            ) as read
            where latest is not null
            on conflict (source, table_name) do update set
                watermark = case
                    when known.incremental_column = excluded.incremental_column
                        then greatest(known.watermark, excluded.watermark)
                    else excluded.watermark
                end,
                incremental_column = excluded.incremental_column,
                loaded_at = excluded.loaded_at
            """
        ).format(state=STATE, changed=sql.Identifier(each.incremental_column)),
        {
            "source": _state_name(name, each),
            "table": each.table.name,
            "column": each.incremental_column,
            "stamp": stamp,
            "now": now,
        },
    )
