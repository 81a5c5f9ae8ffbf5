"""From the waiting rows to the raw table: check, keep the last of each key, upsert, quarantine.

Everything here happens in one transaction per table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg import sql

from warehouse.contract import DELETED_AT, LOADED_AT
from warehouse.errors import WarehouseError
from warehouse.load import target as warehouse
from warehouse.load.incoming import ROW_BITS, reject_nested_too_deeply
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.target import Target

_LONGEST_KEY = 2_000  # bytes: an index entry of PostgreSQL holds no more than about 2,700

# Counts of a table that change too much for the planner's old statistics.
_ANALYZE_SHARE = 0.1


@dataclass(frozen=True)
class Options:
    """What the user asks of a load."""

    complete: bool = False
    loaded_at: datetime | None = None
    max_deletes: float = 50.0  # percent of the living rows
    max_rejected: float = 10.0  # percent of a file's rows
    allow_empty: bool = False
    tables: tuple[str, ...] = field(default=())


class _Doubtful(Exception):
    """Some of the waiting rows must be rejected: the fast way cannot tell which."""


def _key_problems(target: Target) -> list[tuple[sql.Composable, sql.Composable]]:
    """What can be wrong with a key, as conditions, each with the reason to give."""
    name = target.table.key
    key = sql.Identifier("incoming", name)
    return [
        (
            sql.SQL("{key} is null or btrim({key}, E' \\t\\r\\n\\u00a0') = ''").format(key=key),
            sql.Literal(f"{name}: the key is empty"),
        ),
        (
            sql.SQL("octet_length({}) > {}").format(key, _LONGEST_KEY),
            sql.Literal(f"{name}: the key is longer than {_LONGEST_KEY} bytes"),
        ),
    ]


def _form_problems(
    target: Target, columns: list[str]
) -> list[tuple[sql.Composable, sql.Composable]]:
    """Times that PostgreSQL would take, but which are not ISO: it takes 'now', and guesses at
    01/02/2024."""
    problems = []
    for name in columns:
        if target.types[name] in ("date", "timestamp with time zone"):
            column = sql.Identifier("incoming", name)
            problems.append(
                (
                    sql.SQL(
                        "{0} not like '____-__-__%' and {0} not in ('infinity', '-infinity')"
                    ).format(column),
                    sql.SQL("concat({}::text, '\"', left({}, 100), '\"')").format(
                        sql.Literal(f"{name}: no ISO date or time: "), column
                    ),
                )
            )
    return problems


def _type_problems(
    target: Target, columns: list[str]
) -> list[tuple[sql.Composable, sql.Composable]]:
    """Values that PostgreSQL cannot read, with its own words."""
    problems = []
    for name in columns:
        if target.types[name] != "text":
            column = sql.Identifier("incoming", name)
            data_type = sql.Literal(target.types[name])
            problems.append(
                (
                    sql.SQL("not pg_input_is_valid({}, {})").format(column, data_type),
                    sql.SQL(
                        """
                        (
                            select concat(
                                {}::text, left(message, 300), ' (' || left(detail, 300) || ')'
                            )
                            from pg_input_error_info({}, {})
                        )
                        """
                    ).format(sql.Literal(f"{name}: "), column, data_type),
                )
            )
    return problems


def _any(problems: list[tuple[sql.Composable, sql.Composable]]) -> sql.Composed:
    """Whether one of the problems is there; never null."""
    return sql.SQL("coalesce({}, false)").format(
        sql.SQL(" or ").join(sql.SQL("({})").format(condition) for condition, _ in problems)
    )


def reject_unreadable(connection: psycopg.Connection, target: Target, columns: list[str]) -> None:
    """Take rows out of `incoming` that do not fit the table's types, with the reason."""
    problems = [
        *_key_problems(target),
        *_form_problems(target, columns),
        *_type_problems(target, columns),
    ]
    connection.execute(
        sql.SQL(
            """
            with unreadable as (
                delete from pg_temp.incoming
                where {problems}
                returning *
            )

            insert into pg_temp.rejects (n, key, kind, reason, row_text)
            select n, {key}, 'unreadable', case {reasons} end, to_jsonb(incoming) - 'n'
            from unreadable as incoming
            """
        ).format(
            problems=_any(problems),
            key=sql.Identifier(target.table.key),
            reasons=sql.SQL(" ").join(
                sql.SQL("when {} then {}").format(condition, reason)
                for condition, reason in problems
            ),
        )
    )


def reject_superseded(connection: psycopg.Connection, target: Target, columns: list[str]) -> None:
    """Keep the last row of each key; the others leave `incoming`.

    Those that say the same as the last one are noted as duplicates, the rest as superseded.
    """
    key = _typed(target, target.table.key, "incoming")
    repeated = connection.execute(
        sql.SQL(
            """
            create temporary table repeated as
            select {key} as key, max(n) as last_n
            from pg_temp.incoming
            group by 1
            having count(*) > 1
            """
        ).format(key=key)
    ).rowcount
    if not repeated:
        connection.execute("drop table pg_temp.repeated")
        return
    connection.execute(
        sql.SQL(
            """
            with losers as (
                select
                    incoming.n,
                    ({mine}) is not distinct from ({theirs}) as is_same
                from pg_temp.incoming
                inner join pg_temp.repeated on repeated.key = {key}
                inner join pg_temp.incoming as last on last.n = repeated.last_n
                where incoming.n <> repeated.last_n
            ),

            removed as (
                delete from pg_temp.incoming
                using losers
                where incoming.n = losers.n
                returning incoming.*, losers.is_same
            )

            insert into pg_temp.rejects (n, key, kind, reason, row_text)
            select
                n,
                {name},
                case when is_same then 'duplicate' else 'superseded' end,
                'superseded in the same file',
                to_jsonb(removed) - 'n' - 'is_same'
            from removed
            """
        ).format(
            key=key,
            name=sql.Identifier(target.table.key),
            mine=_row("incoming", columns),
            theirs=_row("last", columns),
        )
    )
    connection.execute("drop table pg_temp.repeated")


def _row(table: str, columns: list[str]) -> sql.Composed:
    return sql.SQL("row({})").format(
        sql.SQL(", ").join(sql.Identifier(table, name) for name in columns)
    )


def _typed(target: Target, column: str, table: str) -> sql.Composable:
    name = sql.Identifier(table, column)
    if target.types[column] == "text":
        return name
    return sql.SQL("{}::{}").format(name, sql.SQL(target.types[column]))


def check_stamp(connection: psycopg.Connection, target: Target, stamp: datetime) -> None:
    """Refuse a stamp before the newest row's: builds find rows by `_loaded_at`, in its order.

    Raises WarehouseError that names both times.
    """
    newest = connection.execute(
        sql.SQL("select max({}) from {}").format(sql.Identifier(LOADED_AT), target.name)
    ).fetchone()[0]
    if newest is not None and stamp < newest:
        raise WarehouseError(
            f"{target.table.name} holds rows loaded at {newest}, and this load would be stamped "
            f"{stamp}: a build would overlook it. Load history from the oldest to the newest."
        )


def upsert(
    connection: psycopg.Connection,
    target: Target,
    columns: list[str],
    stamp: datetime,
    summary: TableSummary,
    *,
    is_checked: bool,
) -> None:
    """Write what is new or changed, and count it in the summary; leave the rest untouched.

    A row that was deleted and is in the file again counts as changed. Rows that are not checked
    yet are checked on the way: _Doubtful or psycopg.DataError says that one must be rejected.
    """
    table = target.name
    key = sql.Identifier(target.table.key)
    typed_key = _typed(target, target.table.key, "incoming")
    values = {name: _typed(target, name, "incoming") for name in columns}
    values[LOADED_AT] = sql.Literal(stamp)
    insert = sql.SQL("insert into {} ({}) select {} from pg_temp.incoming").format(
        table,
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(values.values()),
    )
    waiting = connection.execute("select count(*) from pg_temp.incoming").fetchone()[0]
    amiss = _any([*_key_problems(target), *_form_problems(target, columns)])
    is_empty = connection.execute(
        sql.SQL("select not exists (select from {})").format(table)
    ).fetchone()[0]
    if is_empty:
        if not is_checked:
            insert += sql.SQL(" where not {}").format(amiss)
        summary.new = connection.execute(insert).rowcount
        if summary.new != waiting:
            raise _Doubtful
        return
    if not is_checked and _has_repeated_keys(connection, typed_key):
        raise _Doubtful

    differs = [
        sql.SQL("({}) is distinct from ({})").format(
            _row("present", columns),
            sql.SQL("row({})").format(sql.SQL(", ").join(values[name] for name in columns)),
        )
    ]
    if DELETED_AT not in columns:
        values[DELETED_AT] = sql.SQL("null")
        differs.append(sql.SQL("present.{} is not null").format(sql.Identifier(DELETED_AT)))
    connection.execute(
        sql.SQL(
            """
            create temporary table touched as
            select incoming.n, present.{key} is null as is_new, {amiss} as is_amiss
            from pg_temp.incoming
            left join {table} as present on present.{key} = {typed_key}
            where present.{key} is null or {differs} or {amiss}
            """
        ).format(
            amiss=amiss,
            key=key,
            table=table,
            typed_key=typed_key,
            differs=sql.SQL(" or ").join(differs),
        )
    )
    has_amiss = connection.execute(
        "select exists (select from pg_temp.touched where is_amiss)"
    ).fetchone()[0]
    if has_amiss:
        raise _Doubtful
    summary.changed = connection.execute(
        sql.SQL(
            """
            update {table} as present
            set {assignments}
            from pg_temp.incoming
            inner join pg_temp.touched on touched.n = incoming.n
            where not touched.is_new and present.{key} = {typed_key}
            """
        ).format(
            table=table,
            assignments=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), value)
                for name, value in values.items()
                if name != target.table.key
            ),
            key=key,
            typed_key=typed_key,
        )
    ).rowcount
    summary.new = connection.execute(
        insert
        + sql.SQL(" inner join pg_temp.touched on touched.n = incoming.n where touched.is_new")
    ).rowcount
    summary.unchanged = waiting - summary.changed - summary.new
    connection.execute("drop table pg_temp.touched")


def _has_repeated_keys(connection: psycopg.Connection, typed_key: sql.Composable) -> bool:
    return connection.execute(
        sql.SQL(
            """
            select exists (
                select {0} from pg_temp.incoming group by {0} having count(*) > 1
            )
            """
        ).format(typed_key)
    ).fetchone()[0]


def delete_missing(
    connection: psycopg.Connection,
    target: Target,
    stamp: datetime,
    options: Options,
    summary: TableSummary,
) -> None:
    """Mark living rows that the load did not find; a row that was found but rejected lives on.

    Raises WarehouseError when these are more than the user allows.
    """
    shown = ", ".join(summary.files)
    unknown = connection.execute(
        "select count(*) from pg_temp.rejects where kind = 'unreadable' and key is null"
    ).fetchone()[0]
    if unknown:
        raise WarehouseError(
            f"{shown}: the key of {unknown:,} row(s) cannot be read, so --complete cannot tell "
            "which rows are missing. Correct them, or load without --complete. "
            "Nothing of the table was loaded."
        )
    living = connection.execute(
        sql.SQL("select count(*) from {} where {} is null").format(
            target.name, sql.Identifier(DELETED_AT)
        )
    ).fetchone()[0]
    key = sql.Identifier(target.table.key)
    summary.deleted = connection.execute(
        sql.SQL(
            """
            update {table} as present
            set {deleted_at} = {stamp}, {loaded_at} = {stamp}
            where present.{deleted_at} is null
                and not exists (
                    select from pg_temp.incoming where {typed_key} = present.{key}
                )
                and not exists (
                    select from pg_temp.rejects where rejects.key = present.{key}::text
                )
            """
        ).format(
            table=target.name,
            deleted_at=sql.Identifier(DELETED_AT),
            loaded_at=sql.Identifier(LOADED_AT),
            stamp=sql.Literal(stamp),
            typed_key=_typed(target, target.table.key, "incoming"),
            key=key,
        )
    ).rowcount
    before = living - summary.new
    if summary.deleted and not summary.read and options.allow_empty:
        return
    if summary.deleted * 100 > options.max_deletes * before:
        raise WarehouseError(
            f"{shown}: --complete would delete {summary.deleted:,} of the {before:,} living rows "
            f"of {target.table.name}, more than the {options.max_deletes:g} % allowed. If that is "
            "right, allow it with --max-deletes PERCENT. Nothing of the table was loaded."
        )


def quarantine(
    connection: psycopg.Connection, target: Target, files: list[str], stamp: datetime | None
) -> None:
    """Write the rejected rows to quarantine; those that are there already are only seen again.

    `stamp` is that of the load, null when it was refused.
    """
    connection.execute(
        sql.SQL(
            """
            insert into {} as rejected (
                table_name, file_name, line_number, reason, row_text,
                rejected_at, last_seen_at, loaded_at
            )
            select distinct on (file_name, line, md5(row_text), md5(reason))
                %(table)s, file_name, line, reason, row_text,
                statement_timestamp(), statement_timestamp(), %(stamp)s::timestamptz
            from (
                select
                    (%(files)s::text[])[(n >> %(bits)s) + 1] as file_name,
                    line,
                    reason,
                    coalesce(row_text, '') as row_text
                from pg_temp.rejects
                where kind <> 'duplicate'
            ) as found
            order by file_name, line, md5(row_text), md5(reason)
            on conflict (table_name, file_name, line_number, md5(row_text), md5(reason))
            do update set
                last_seen_at = excluded.last_seen_at,
                loaded_at = coalesce(excluded.loaded_at, rejected.loaded_at)
            """
        ).format(warehouse.QUARANTINE),
        {"table": target.table.name, "files": files, "bits": ROW_BITS, "stamp": stamp},
    )


def count_rejects(connection: psycopg.Connection, summary: TableSummary) -> None:
    """Count the rejected rows by kind in the summary."""
    counts = dict(
        connection.execute("select kind, count(*) from pg_temp.rejects group by 1").fetchall()
    )
    summary.rejected = counts.get("unreadable", 0)
    summary.superseded = counts.get("superseded", 0)
    summary.duplicates = counts.get("duplicate", 0)


def check_rejected(
    connection: psycopg.Connection, summary: TableSummary, read: list[int], options: Options
) -> None:
    """Raise WarehouseError when one of the files has more unreadable rows than allowed.

    Arguments: `read` holds the number of rows of each file.
    """
    rows = connection.execute(
        """
        select
            (n >> %s)::int,
            count(*),
            (array_agg(concat('line ' || line || ': ', reason) order by n))[1]
        from pg_temp.rejects
        where kind = 'unreadable'
        group by 1
        """,
        (ROW_BITS,),
    ).fetchall()
    for number, rejected, first in rows:
        if rejected * 100 > options.max_rejected * read[number]:
            raise WarehouseError(
                f"{summary.files[number]}: {rejected:,} of {read[number]:,} rows cannot be read, "
                f"more than the {options.max_rejected:g} % allowed; nothing of {summary.table} "
                f"was loaded. The first, {first}. All are in quarantine.rejected_rows; "
                "--max-rejected PERCENT allows more."
            )


def apply(
    connection: psycopg.Connection,
    target: Target,
    columns: list[str],
    read: list[int],
    summary: TableSummary,
    options: Options,
    report: Reporter,
    *,
    find_texts: Callable[[], None] | None = None,
    before_commit: Callable[[datetime], None] | None = None,
) -> None:
    """Apply the waiting rows to the raw table in one transaction, and count them.

    Arguments: `columns` that are waiting, `read` rows per file, `find_texts` completes the
    rejected rows with their line and text, `before_commit` runs in the same transaction.
    Raises WarehouseError when the load is refused; the table is then as before, and the rejected
    rows are in quarantine.
    """
    summary.read = sum(read)
    for name in columns:
        if target.types[name] == "jsonb":
            reject_nested_too_deeply(connection, "incoming", name, target.table.key)

    def write(*, is_checked: bool) -> datetime:
        with connection.transaction():
            warehouse.lock(connection, target, report)
            # Taken after the lock: stamps and commits of a table have one order.
            now = connection.execute("select clock_timestamp()").fetchone()[0]
            stamp = options.loaded_at or now
            check_stamp(connection, target, stamp)
            report.step("writing")
            upsert(connection, target, columns, stamp, summary, is_checked=is_checked)
            if options.complete:
                delete_missing(connection, target, stamp, options, summary)
            if summary.rejected or summary.superseded:
                quarantine(connection, target, summary.files, stamp)
            if before_commit:
                before_commit(stamp)
        return stamp

    stamp = None
    if not connection.execute("select exists (select from pg_temp.rejects)").fetchone()[0]:
        # Most loads have nothing to reject: PostgreSQL's own types and the key say so while it
        # writes, which costs half of checking first.
        try:
            stamp = write(is_checked=False)
        except (_Doubtful, psycopg.DataError, psycopg.errors.UniqueViolation):
            summary.new = summary.changed = summary.unchanged = summary.deleted = 0
            # What the first try wrote is dead; its space is free for the second.
            connection.execute(sql.SQL("vacuum {}").format(target.name))
    if stamp is None:
        report.step("checking")
        reject_unreadable(connection, target, columns)
        reject_superseded(connection, target, columns)
        count_rejects(connection, summary)
        if find_texts and (summary.rejected or summary.superseded):
            find_texts()
        try:
            check_rejected(connection, summary, read, options)
            stamp = write(is_checked=True)
        except WarehouseError:
            quarantine(connection, target, summary.files, None)
            raise
    summary.loaded_at = stamp
    touched = summary.new + summary.changed + summary.deleted
    if touched > _ANALYZE_SHARE * summary.read:
        connection.execute(sql.SQL("analyze {}").format(target.name))
