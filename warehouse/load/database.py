"""Load the tables of a source database: the rows that changed since the last load.

`copy` transfers the rows from the source to `incoming`, as with files, and the same code applies
them. The transaction that writes the rows also stores the watermark in `raw._load_state`, so that
an interrupted load continues where it stopped.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from warehouse import contract as contracts
from warehouse.contract import DELETED_AT, Contract
from warehouse.errors import WarehouseError
from warehouse.load import source as sources
from warehouse.load import stage, state, target
from warehouse.load.apply import apply
from warehouse.load.likeness import like_column, like_table
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.source import Identity, SourceTable, is_database
from warehouse.load.target import Target
from warehouse.mapping import Mapping

__all__ = ["is_database", "load_database"]

_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
# Columns in which applications mark a row as deleted without deleting it.
_MARKS_OF_DELETION = re.compile(
    "(is_?|date_?)?(soft_?)?(deleted|deletion|removed|archived|discarded|trashed)"
    "(_?(at|on|date|time|flag))?"
)
_BLOCK = 1 << 18  # bytes to send at once
# Rows that cannot be sent are numbered after those that can.
_FIRST_REJECT = 1 << (stage.ROW_BITS - 1)


@dataclass(frozen=True)
class _Reading:
    """What all tables of one load have in common.

    Attributes:
        source: the connection to the source.
        connection: the connection to the warehouse.
        schema: of the source.
        name: of the source, in the state and the quarantine.
        identity: of the source.
        now: the time of the source.
        encoding: of the source's texts.
        overlap: how far before the watermark to read again.
        reads_all: whether all rows are to be read.
        trusts_times: whether the time column alone finds the changes.
        options: of the load.
        report: receives progress, notes and warnings.
    """

    source: psycopg.Connection
    connection: psycopg.Connection
    schema: str
    name: str
    identity: Identity
    now: datetime
    encoding: str
    overlap: timedelta
    reads_all: bool
    trusts_times: bool
    options: Options
    report: Reporter


def load_database(
    address: str,
    *,
    connection: psycopg.Connection | None = None,
    schema: str = "public",
    overlap_hours: float = 24,
    from_start: bool = False,
    trust_times: bool = False,
    complete: bool = False,
    loaded_at: datetime | None = None,
    tables: tuple[str, ...] = (),
    max_deletes: float | None = None,
    accept_deletes: bool = False,
    max_rejected: float = 10.0,
    allow_empty: bool = False,
    report: Reporter | None = None,
    contract: Contract | None = None,
    mapping: dict[str, Mapping] | None = None,
) -> list[TableSummary]:
    """Load the contract's tables from a database into the raw tables.

    Args:
        address: a libpq URI, or libpq's keywords: "host=db.example dbname=shop".
        connection: to the warehouse, not in a transaction; default a new one, by the settings.
        schema: the schema of the source's tables.
        overlap_hours: hours before the watermark to read again, for rows that were committed late.
        from_start: read all rows, as `complete` does.
        trust_times: find changes by the time column alone; do not scan the tables of the source
            for rows of newer transactions.
        report: receives progress and warnings.
        contract: the tables; default those of the project.
        mapping: the selects that give the contract's tables; default its tables and views.
        complete, loaded_at, tables, max_deletes, accept_deletes, max_rejected, allow_empty: as in
            `Options`.

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
        accept_deletes=accept_deletes,
        max_rejected=max_rejected,
        allow_empty=allow_empty,
    )
    options.check_tables(contract)
    with sources.connected(address) as source:
        now, encoding = source.execute(
            "select now(), current_setting('server_encoding')"
        ).fetchone()
        name = sources.name_of(source, schema)
        identity = sources.identity(source)
        relations = _relations(source, schema) if mapping is None else list(mapping)
        with target.session(connection) as connected:
            target.check_stamp(connected, loaded_at)
            _check_required(connected, contract, schema, name, relations, options)
            if mapping is None:
                found = _find(source, schema, name, contract, options, report)
            else:
                found = _find_mapped(source, contract, options, report, mapping)
            target.create(connected, contract)
            state.create(connected)
            targets = [target.check(connected, contract, each.table) for each in found]
            reading = _Reading(
                source=source,
                connection=connected,
                schema=schema,
                name=name,
                identity=identity,
                now=now,
                encoding=encoding,
                overlap=timedelta(hours=overlap_hours),
                reads_all=from_start or complete,
                trusts_times=trust_times,
                options=options,
                report=report,
            )
            summaries: list[TableSummary] = []
            for each, raw_table in zip(found, targets, strict=True):
                try:
                    with target.writing(raw_table):
                        summaries.append(_load_table(reading, each, raw_table))
                except WarehouseError as error:
                    raise WarehouseError(f"{error}{_rest(found, summaries)}") from error
            return summaries


def _rest(found: list[SourceTable], summaries: list[TableSummary]) -> str:
    """What a failed load has done, and what it has not."""
    if len(found) == 1:
        return ""
    loaded = ", ".join(summary.table for summary in summaries) or "none"
    others = ", ".join(each.table.name for each in found[len(summaries) + 1 :]) or "none"
    return f" Tables loaded before: {loaded}; not loaded any more: {others}."


def _relations(source: psycopg.Connection, schema: str) -> list[str]:
    """The tables and views of the schema."""
    rows = source.execute(
        """
        select relation.relname
        from pg_class as relation
        inner join pg_namespace as namespace on namespace.oid = relation.relnamespace
        where namespace.nspname = %s and relation.relkind in ('r', 'p', 'v', 'm', 'f')
            and not relation.relispartition
        order by 1
        """,
        (schema,),
    ).fetchall()
    return [name for (name,) in rows]


def _check_required(
    connection: psycopg.Connection,
    contract: Contract,
    schema: str,
    name: str,
    relations: list[str],
    options: Options,
) -> None:
    """Refuse a source without a table that every build needs, unless raw has rows of it.

    Raises:
        WarehouseError: names the missing tables, the source's, and those that look alike.
    """
    if options.tables:
        return
    missing = [
        table
        for table in contracts.REQUIRED
        if table in contract.tables
        and table not in relations
        and not target.has_rows(connection, contract, table)
    ]
    if not missing:
        return
    unused = [relation for relation in relations if relation not in contract.tables]
    alike = [
        f"{other} looks like {table}" for table in missing if (other := like_table(table, unused))
    ]
    has = f"It has {', '.join(relations[:30])}{', ...' if len(relations) > 30 else ''}. "
    if not relations:
        has = "The schema is empty or does not exist: is it the right database and --schema? "
    advice = ""
    if alike:
        advice = (
            f"{'; '.join(alike)}: create views with the names of the contract, for example create "
            f"view {schema}.{missing[0]} as select ...; docs/adapting.md shows how. "
        )
    lacks = f"no table or view {' and no '.join(missing)}, which every build needs"
    if not set(relations) & set(contract.tables):
        lacks = f"none of the tables {', '.join(contract.tables)}"
    raise WarehouseError(
        f"{name} has {lacks}. {has}"
        f"{advice}To load only some tables, name them with --tables. Nothing was loaded."
    )


_COLUMNS = """
    select
        relation.relname,
        relation.oid::bigint,
        relation.relkind::text,
        row_security_active(relation.oid),
        attribute.attname,
        format_type(attribute.atttypid, null),
        has_column_privilege(relation.oid, attribute.attnum, 'select'),
        case when relation.relkind in ('r', 'p', 'm') then
            has_column_privilege(relation.oid, 'xmin', 'select')
            and has_column_privilege(relation.oid, 'tableoid', 'select')
        end,
        exists (
            select
            from pg_index as indexes
            where indexes.indrelid = relation.oid and indexes.indisunique and indexes.indisvalid
                and indexes.indpred is null and indexes.indnkeyatts = 1
                and indexes.indkey[0] = attribute.attnum
        )
    from pg_class as relation
    inner join pg_namespace as namespace on namespace.oid = relation.relnamespace
    inner join pg_attribute as attribute on attribute.attrelid = relation.oid
    where namespace.nspname = %s and relation.relname = any(%s)
        and relation.relkind in ('r', 'p', 'v', 'm', 'f')
        and attribute.attnum > 0 and not attribute.attisdropped
    order by attribute.attnum
"""

# The relations that hold the rows of another, and whether all of them store the transaction of a
# row: foreign tables and other storages than heap do not.
_PARTS = """
    with recursive parts as (
        select %(oid)s::oid as oid

        union

        select inherits.inhrelid
        from pg_inherits as inherits
        inner join parts on inherits.inhparent = parts.oid
    )

    select
        array_agg(parts.oid::bigint order by parts.oid),
        bool_and(
            relation.relkind in ('r', 'p', 'm')
            and (relation.relam = 0 or method.amname = 'heap')
        )
    from parts
    inner join pg_class as relation on relation.oid = parts.oid
    left join pg_am as method on method.oid = relation.relam
"""

# The queries of a view and of the views below it.
_DEFINITION = """
    with recursive views as (
        select %(oid)s::oid as oid

        union

        select relation.oid
        from views
        inner join pg_rewrite as rule on rule.ev_class = views.oid
        inner join pg_depend as depends
            on depends.classid = 'pg_rewrite'::regclass and depends.objid = rule.oid
            and depends.refclassid = 'pg_class'::regclass
        inner join pg_class as relation
            on relation.oid = depends.refobjid and relation.relkind in ('v', 'm')
    )

    select md5(current_user || string_agg(pg_get_viewdef(oid), ';' order by oid)) from views
"""


@dataclass
class _Present:
    """A relation of the source that has the name of a contract's table."""

    oid: int
    kind: str
    has_policies: bool
    shows_xmin: bool | None
    types: dict[str, str]
    forbidden: list[str]
    unique: set[str]


def _present(
    source: psycopg.Connection, schema: str, tables: tuple[str, ...]
) -> dict[str, _Present]:
    present: dict[str, _Present] = {}
    for (
        table,
        oid,
        kind,
        has_policies,
        column,
        data_type,
        readable,
        shows_xmin,
        unique,
    ) in source.execute(_COLUMNS, (schema, list(tables))):
        relation = present.setdefault(
            table, _Present(oid, kind, has_policies, shows_xmin, {}, [], set())
        )
        relation.types[column] = data_type
        if not readable:
            relation.forbidden.append(column)
        if unique:
            relation.unique.add(column)
    return present


def _find(
    source: psycopg.Connection,
    schema: str,
    name: str,
    contract: Contract,
    options: Options,
    report: Reporter,
) -> list[SourceTable]:
    """The contract's tables in the source; reports what is missing.

    Raises:
        WarehouseError: the tables cannot be read, or not wholly; nothing has been loaded.
    """
    tables = options.tables or tuple(contract.tables)
    present = _present(source, schema, tables)
    missing = [table for table in tables if table not in present]
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
        relation = present.get(table.name)
        if relation is None:
            continue
        types = relation.types
        shown = f"{schema}.{table.name}"
        if table.key not in types:
            raise WarehouseError(
                f"{name}: {table.name} has no column {table.key}, its key; it has "
                f"{', '.join(sorted(types))}."
                f"{_alike([table.key], types, table.columns)} Nothing was loaded."
            )
        known = [each for each in (*table.columns, DELETED_AT) if each in types]
        forbidden = [column for column in known if column in relation.forbidden]
        if forbidden:
            role = source.execute("select quote_ident(current_user)").fetchone()[0]
            raise WarehouseError(
                f"The source does not let {role} read {', '.join(forbidden)} of {shown}. As its "
                f"owner, run: grant select on {shown} to {role}; or create a view without these "
                "columns in another schema (--schema). Nothing was loaded."
            )
        if relation.has_policies:
            raise WarehouseError(
                f"{name}: row-level security hides rows of {shown} from the reader. "
                f"{sources.row_security_advice()} Nothing was loaded."
            )
        _warn_of_columns(table, types, report)
        column = table.incremental_column
        if column is None or types.get(column) not in _TIMES:
            report.note(
                f"{table.name} is read completely: it has no timestamp {column or 'column'}."
            )
            column = None
        parts, is_heap = source.execute(_PARTS, {"oid": relation.oid}).fetchone()
        is_view = relation.kind == "v"
        # A view may pass on the xmin of its table, as the views in raw do.
        has_xmin = types.get("xmin") == "xid" if is_view else is_heap
        if has_xmin and (relation.shows_xmin is False or "xmin" in relation.forbidden):
            has_xmin = False
            if column:
                role = source.execute("select quote_ident(current_user)").fetchone()[0]
                rights = "xmin" if is_view else "xmin, tableoid"
                report.note(
                    f"{table.name}: {role} may not read xmin, so that only a count notices rows "
                    "that are committed late. As the owner, run: "
                    f"grant select ({rights}) on {shown} to {role};"
                )
        definition = None
        if relation.kind in "vm":
            # The rollback releases the locks of what the view reads.
            with sources.reading(shown), source.transaction(force_rollback=True):
                definition = source.execute(_DEFINITION, {"oid": relation.oid}).fetchone()[0]
        if is_view:
            query = sql.SQL("select {} from {}").format(
                sql.SQL(", ").join(map(sql.Identifier, known)), sql.Identifier(schema, table.name)
            )
            with sources.reading(shown), source.transaction(force_rollback=True):
                parts = sources.tables_of(source, query)
        is_unique = table.key in relation.unique and (relation.kind != "r" or len(parts) == 1)
        if relation.kind in "rp" and not is_unique:
            latest = f"the latest {column}" if column else "the greatest values"
            report.warn(
                f"{table.name}: the source has no primary key or unique index on {table.key}. Of "
                f"rows with one {table.key}, the load takes the one with {latest}."
            )
        found.append(
            SourceTable(
                table=table,
                oid=relation.oid,
                is_table=relation.kind in "rp",
                columns=known,
                types=types,
                incremental_column=column,
                has_xmin=has_xmin,
                is_unique=is_unique,
                parts=parts,
                definition=definition,
                relation=sql.Identifier(schema, table.name),
            )
        )
    return found


def _find_mapped(
    source: psycopg.Connection,
    contract: Contract,
    options: Options,
    report: Reporter,
    mapping: dict[str, Mapping],
) -> list[SourceTable]:
    """The contract's tables that the selects of a mapping give.

    Raises:
        WarehouseError: a select fails, lacks the key, or has a timestamp whose zone nobody said;
            nothing has been loaded.
    """
    missing = [table for table in options.tables if table not in mapping]
    if missing:
        files = ", ".join(f"{name}.sql" for name in missing)
        raise WarehouseError(f"The mapping has no {files}. Nothing was loaded.")
    found = []
    for table in contract.tables.values():
        each = mapping.get(table.name)
        if each is None or (options.tables and table.name not in options.tables):
            continue
        types, parts = _types_of(source, each)
        if table.key not in types:
            raise WarehouseError(
                f"{each.path} selects no {table.key}, the key of {table.name}; it selects "
                f"{', '.join(types)}. Nothing was loaded."
            )
        for column, data_type in types.items():
            holds_time = column == DELETED_AT or table.columns.get(column) == "timestamptz"
            if holds_time and data_type == "timestamp without time zone":
                raise WarehouseError(
                    f"{each.path}: {column} has no time zone; write (...) at time zone 'UTC', or "
                    "another. Nothing was loaded."
                )
        if each.open_lines:
            report.warn(
                f"{table.name}: {each.path} has {len(each.open_lines)} lines marked OPEN; their "
                "columns are null until you decide them."
            )
        _warn_of_columns(table, types, report)
        column = table.incremental_column
        if column is None or types.get(column) not in _TIMES:
            report.note(
                f"{table.name} is read completely: it has no timestamp {column or 'column'}."
            )
            column = None
        found.append(
            SourceTable(
                table=table,
                oid=0,
                is_table=False,
                columns=[name for name in (*table.columns, DELETED_AT) if name in types],
                types=types,
                incremental_column=column,
                has_xmin=types.get("xmin") == "xid",
                is_unique=False,
                parts=parts,
                definition=each.fingerprint,
                relation=sql.SQL("(\n{}\n) as mapped").format(sql.SQL(each.query)),
            )
        )
    return found


def _types_of(source: psycopg.Connection, each: Mapping) -> tuple[dict[str, str], list[int]]:
    """The columns of a select with their types, and the tables that it reads."""
    query = sql.SQL("select * from (\n{}\n) as mapped limit 0").format(sql.SQL(each.query))
    try:
        with source.transaction(force_rollback=True):
            described = source.execute(query).description or []
            parts = sources.tables_of(source, query)
    except psycopg.Error as error:
        raise WarehouseError(
            f"{each.path}: {error.diag.message_primary or error}. Nothing was loaded."
        ) from None
    types = {
        column.name: source.execute("select format_type(%s, null)", (column.type_code,)).fetchone()[
            0
        ]
        for column in described
    }
    return types, parts


def _warn_of_columns(table: contracts.Table, types: dict[str, str], report: Reporter) -> None:
    """Warn of the contract's columns that the source lacks, and of deletions that it marks."""
    absent = [column for column in table.columns if column not in types]
    if absent:
        report.warn(
            f"{table.name}: the source has no {', '.join(absent)}; new rows get null there, "
            f"existing rows keep their values.{_alike(absent, types, table.columns)}"
        )
    marks = [
        column
        for column in types
        if column not in table.columns and _MARKS_OF_DELETION.fullmatch(column.lower())
    ]
    if marks and DELETED_AT not in types:
        at = next((each for each in marks if types[each] in _TIMES), None)
        value = f"{at}::timestamptz" if at else f"case when {marks[0]} then updated_at end"
        report.warn(
            f"{table.name}: the source marks rows as deleted in {', '.join(marks)}, which the load "
            "does not read: they count as living. If they should not, create a view in another "
            f"schema (--schema): create view ... as select *, {value} as {DELETED_AT} from "
            f"{table.name}."
        )


def _alike(absent: list[str], types: dict[str, str], columns: dict[str, str]) -> str:
    """The source's columns that look like those that are absent, as a sentence."""
    unused = [column for column in types if column not in columns]
    alike = []
    for column in absent:
        other = like_column(column, unused)
        if other:
            unused.remove(other)
            alike.append((other, column))
    if not alike:
        return ""
    shown = ", ".join(f"{other}, which looks like {column}" for other, column in alike)
    selected = ", ".join(f"{other} as {column}" for other, column in alike)
    return f" It has {shown}: create a view that selects {selected} (docs/adapting.md)."


def _load_table(reading: _Reading, each: SourceTable, raw_table: Target) -> TableSummary:
    """Load one table: what changed since the state, or all rows if there is none to trust."""
    connection, report = reading.connection, reading.report
    known = None
    if each.incremental_column and not reading.reads_all:
        known = state.read(connection, reading.name, each)
    if known:
        raw_state = state.target_state(connection, raw_table)
        doubt = known.doubt(each, reading.identity, raw_state, reading.now)
        doubt = doubt or _unseen(reading, each, known)
        if doubt:
            report.note(f"{each.table.name} is read completely: {doubt}.")
            known = None
    if known is None or each.has_xmin or reading.trusts_times:
        return _pull(reading, each, raw_table, known)

    # Without transactions, only a count tells that rows arrived late.
    summary = _pull(reading, each, raw_table, known)
    late = _unmatched(reading, each, raw_table, known.watermark - reading.overlap)
    if late <= (known.unmatched or 0):
        return summary
    report.note(
        f"{each.table.name} is read completely: {late - (known.unmatched or 0):,} rows that the "
        f"load has not read have a {each.incremental_column} before "
        f"{known.watermark - reading.overlap}, where it began to read."
    )
    whole = _pull(reading, each, raw_table, None)
    for count in ("new", "changed", "deleted"):
        setattr(whole, count, getattr(whole, count) + getattr(summary, count))
    whole.unchanged -= summary.new + summary.changed
    whole.seconds += summary.seconds
    return whole


# Transactions are numbered in a circle: of two numbers further apart, the older one looks newer.
_FAR = (1 << 31) - (1 << 20)


def _unseen(reading: _Reading, each: SourceTable, known: state.Known) -> str | None:
    """Why neither the time nor the transaction of a row tells that it is new; None if they do."""
    looks_at_transactions = each.has_xmin and not reading.trusts_times
    if looks_at_transactions and reading.identity.next_transaction - known.oldest_running >= _FAR:
        return "the source has run 2,000,000,000 transactions since the load last looked at them"
    if each.definition is None:
        return None  # `_changed` reads new parts of a table
    for part in sorted(set(each.parts) - set(known.source_parts or [])):
        shown, relation, is_part, shows_xmin = reading.source.execute(
            """
            select
                format('%%I.%%I', nspname, relname),
                array[nspname, relname]::text[],
                relispartition,
                case when relkind in ('r', 'p') then
                    has_column_privilege(pg_class.oid, 'xmin', 'select')
                    and has_schema_privilege(pg_namespace.oid, 'usage')
                    and not row_security_active(pg_class.oid)
                else false end
            from pg_class
            inner join pg_namespace on pg_namespace.oid = pg_class.relnamespace
            where pg_class.oid = %s
            """,
            (part,),
        ).fetchone()
        if is_part and not looks_at_transactions:
            continue  # a count finds its rows, or nobody asked for them
        if is_part and shows_xmin:
            with sources.reading(shown):
                has_older = reading.source.execute(
                    sql.SQL("select exists (select from {} where not ({}))").format(
                        sql.Identifier(*relation), _is_recent(known)
                    )
                ).fetchone()[0]
            if not has_older:
                continue
        return f"it reads {shown}, which was replaced, or is new and has older rows"
    return None


def _is_recent(known: state.Known) -> sql.Composed:
    """The condition that the last load may not have seen the transaction of a row."""
    # age() counts from the present, so that numbers which have wrapped around compare rightly.
    return sql.SQL("age(xmin) between 0 and age({}::xid)").format(
        sql.Literal(str(known.oldest_running % (1 << 32)))
    )


def _changed(reading: _Reading, each: SourceTable, known: state.Known) -> sql.Composable:
    """The condition on rows that may have changed since the last load.

    By their time alone, or also by their transaction: a row is new if its transaction had not
    ended when the last load read. Times are the application's, and not the order of its commits.
    """
    time_column = sql.Identifier(each.incremental_column)
    by_time = sql.SQL("{} >= {}").format(
        time_column, sql.Literal(known.watermark - reading.overlap)
    )
    others = [sql.SQL("{} is null").format(time_column)]
    if each.has_xmin and not reading.trusts_times:
        others.append(_is_recent(known))
        new_parts = sorted(set(each.parts) - set(known.source_parts or []))
        if new_parts and each.definition is None:
            # A partition that was attached since may hold older transactions.
            others.append(
                sql.SQL("tableoid = any({}::oid[])").format(
                    sql.Literal("{" + ",".join(map(str, new_parts)) + "}")
                )
            )
    other = sql.SQL(" or ").join(others)
    if not each.is_unique:
        # Of a repeated key the latest row counts, so that row must be read as well.
        other = sql.SQL("{key} in (select {key} from {relation} where {other}) or {other}").format(
            key=sql.Identifier(each.table.key),
            relation=each.relation,
            other=other,
        )
    return sql.SQL("{} or {}").format(by_time, other)


def _pull(
    reading: _Reading, each: SourceTable, raw_table: Target, known: state.Known | None
) -> TableSummary:
    """Load the rows of a table that changed since its state, or all rows."""
    began = time.monotonic()
    connection, options, report = reading.connection, reading.options, reading.report
    table = each.table
    summary = TableSummary(table.name, [f"{reading.name}/{table.name}"])
    report.start(table.name, None)
    stage.create(connection, each.columns)
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(column)) for column in each.columns
        ),
        each.relation,
    )
    if known:
        query += sql.SQL(" where ") + _changed(reading, each, known)
    rows = _copy(reading, each, query)
    if options.complete and not options.allow_empty and not rows:
        raise WarehouseError(
            f"{summary.files[0]} is empty, and --complete would delete all of {table.name}. If "
            "that is right, add --allow-empty. Nothing of the table was loaded."
        )
    if not each.is_unique:
        _put_latest_last(connection, each, raw_table)
    # The whole of a table was read, if this is its only source; a view may show a part.
    finds_deleted = known is None and each.incremental_column is None and each.is_table
    if finds_deleted and (other := state.other_source(connection, reading.name, each)):
        finds_deleted = False
        report.note(
            f"{table.name}: deleted rows are not found, because raw._load_state says that "
            f"{table.name} also has rows of {other}. If that is an earlier address of this source, "
            f"forget it: delete from raw._load_state where source = '{other}';"
        )

    def remember(stamp: datetime) -> None:
        _remember(reading, each, raw_table, known, stamp)

    apply(
        connection,
        raw_table,
        each.columns,
        [rows],
        summary,
        options,
        report,
        finds_deleted=finds_deleted,
        before_commit=remember,
    )
    stage.drop(connection)
    summary.seconds = time.monotonic() - began
    report.finish(summary)
    return summary


def _copy(reading: _Reading, each: SourceTable, query: sql.Composable) -> int:
    """Copy the rows of a query into `incoming`, and those without a form in UTF-8 into `rejects`.

    Returns:
        The number of rows.
    """
    codec = sources.CODECS.get(reading.encoding)
    if reading.encoding != "SQL_ASCII":
        try:
            return _copy_in(reading, each, query, None)
        except sources.NoSuchCharacter as error:
            if codec is None:
                raise WarehouseError(
                    f"The source database failed while the load read {reading.schema}."
                    f"{each.table.name}: {error}. Nothing of the table was loaded."
                ) from error
    return _copy_in(reading, each, query, codec)


def _copy_in(reading: _Reading, each: SourceTable, query: sql.Composable, codec: str | None) -> int:
    """Copy the rows, which have the encoding of this codec; None means UTF-8 by PostgreSQL."""
    connection, table = reading.connection, each.table
    rows = size = 0
    rejects: list[tuple[int, str, str | None]] = []
    names = sql.SQL(", ").join(map(sql.Identifier, each.columns))
    found = sources.rows(
        reading.source, query, f"{reading.schema}.{table.name}", as_bytes=codec is not None
    )
    with (
        connection.transaction(),
        closing(sources.blocks(found, _BLOCK)) as blocks,
        connection.cursor().copy(
            sql.SQL("copy pg_temp.incoming ({}) from stdin").format(names)
        ) as writing,
    ):
        for block in blocks:
            rows += block.count(b"\n")  # one per row: those in values are escaped
            size += len(block)
            try:
                text = block.decode(codec or "utf-8").encode()
            except UnicodeDecodeError:
                text, bad = _decoded(block, codec or "utf-8", each.columns, len(rejects))
                rejects += bad
            writing.write(text)
            reading.report.advance(size, rows)
    if rejects:
        with connection.transaction():
            stage.add_rejects(connection, rejects)
            connection.execute(
                "update pg_temp.rejects set key = row_text::jsonb ->> %s", (table.key,)
            )
    return rows


def _decoded(
    block: bytes, codec: str, columns: list[str], before: int
) -> tuple[bytes, list[tuple[int, str, str | None]]]:
    """Decode the rows of a block; those that have no form in UTF-8 become rejects."""
    good = []
    bad: list[tuple[int, str, str | None]] = []
    for line in block.splitlines(keepends=True):  # copy writes other line ends as \r
        try:
            good.append(line.decode(codec).encode())
        except UnicodeDecodeError:
            reason = "no text"
            shown: dict[str, str | None] = {}
            for name, value in zip(columns, line.rstrip(b"\n").split(b"\t"), strict=True):
                raw = _unescaped(value)
                shown[name] = None if raw is None else raw.decode(codec, "backslashreplace")
                try:
                    value.decode(codec)
                except UnicodeDecodeError as error:
                    reason = f"{name}: not {codec.upper()}, byte {value[error.start]:#04x}"
            number = _FIRST_REJECT + before + len(bad)
            bad.append((number, reason, json.dumps(shown, ensure_ascii=False)))
    return b"".join(good), bad


_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _unescaped(value: bytes) -> bytes | None:
    """A value as `copy` writes it."""
    if value == b"\\N":
        return None
    return re.sub(rb"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), value, flags=re.DOTALL)


def _put_latest_last(connection: psycopg.Connection, each: SourceTable, raw_table: Target) -> None:
    """Of rows with one key, number the one with the latest time of change last: the last wins.

    Rows with equal times are ordered by their values, so that every load takes the same one.
    """
    changed = (
        sql.SQL("{}::timestamptz nulls first, ").format(sql.Identifier(each.incremental_column))
        if each.incremental_column
        else sql.SQL("")
    )
    connection.execute(
        sql.SQL(
            """
            with repeated as (
                select {key} from pg_temp.incoming group by {key} having count(*) > 1
            ),

            ranked as (
                select
                    n as old_n,
                    (select max(n) from pg_temp.incoming)
                    + row_number() over (order by {changed} row({columns})::text collate "C") as n
                from pg_temp.incoming
                where {key} in (select {key} from repeated)
            )

            update pg_temp.incoming
            set n = ranked.n
            from ranked
            where incoming.n = ranked.old_n
            """
        ).format(
            key=sql.Identifier(each.table.key),
            changed=changed,
            columns=sql.SQL(", ").join(map(sql.Identifier, each.columns)),
        )
    )


def _unmatched(reading: _Reading, each: SourceTable, raw_table: Target, until: datetime) -> int:
    """How many more keys the source has before a time than raw and the quarantine."""
    key = sql.Identifier(each.table.key)
    changed = sql.Identifier(each.incremental_column)
    with sources.reading(f"{reading.schema}.{each.table.name}"):
        in_source = reading.source.execute(
            # Without parameters, because a mapping's select may hold a percent sign.
            sql.SQL("select count(distinct {}) from {} where {} < {}").format(
                key, each.relation, changed, sql.Literal(until)
            )
        ).fetchone()[0]
    living = sql.SQL("" if DELETED_AT in each.columns else " and {} is null").format(
        sql.Identifier(DELETED_AT)
    )
    in_raw = reading.connection.execute(
        sql.SQL("select count(*) from {} where {} < %s{}").format(raw_table.name, changed, living),
        (until,),
    ).fetchone()[0]
    rejected = reading.connection.execute(
        sql.SQL(
            "select count(*) from {} where table_name = %s and file_name = %s "
            "and reason not like 'superseded %%'"
        ).format(target.QUARANTINE),
        (each.table.name, f"{reading.name}/{each.table.name}"),
    ).fetchone()[0]
    return in_source - in_raw - rejected


def _remember(
    reading: _Reading,
    each: SourceTable,
    raw_table: Target,
    known: state.Known | None,
    stamp: datetime,
) -> None:
    """Store the latest time of change that was read.

    A row in the future does not count: the watermark would pass rows that were not read.
    """
    connection = reading.connection
    watermark = known.watermark if known else None
    if each.incremental_column is None:
        read = connection.execute("select exists (select from pg_temp.incoming)").fetchone()[0]
        watermark = reading.now if read else None
    else:
        latest = connection.execute(
            sql.SQL(
                """
                select max({changed}::timestamptz)
                from pg_temp.incoming
                where {changed}::timestamptz > '-infinity' and {changed}::timestamptz <= %s
                """
            ).format(changed=sql.Identifier(each.incremental_column)),
            (reading.now,),
        ).fetchone()[0]
        watermark = max(filter(None, (watermark, latest)), default=None)
    if watermark is None:
        return
    unmatched = None
    if known is None and not each.has_xmin and each.incremental_column:
        unmatched = _unmatched(reading, each, raw_table, watermark - reading.overlap)
    # Without a look at the transactions, those since the last look are still to be read.
    skipped = known is not None and reading.trusts_times
    state.write(
        connection,
        reading.name,
        each,
        raw_table,
        identity=reading.identity,
        watermark=watermark,
        oldest_running=known.oldest_running if skipped else reading.identity.oldest_running,
        source_parts=(known.source_parts or []) if skipped else each.parts,
        unmatched=unmatched,
        stamp=stamp,
    )
