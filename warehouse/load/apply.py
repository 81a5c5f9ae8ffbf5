"""From `incoming` to the raw table, in one transaction per table: check, upsert, quarantine."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime

import psycopg
from psycopg import sql

from warehouse.contract import LOADED_AT
from warehouse.errors import WarehouseError
from warehouse.load import target as warehouse
from warehouse.load.checks import (
    check_rejected,
    check_stamp,
    count_rejects,
    reject_superseded,
    reject_unreadable,
)
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.stage import ROW_BITS, make_printable, reject_nested_too_deeply
from warehouse.load.target import Target
from warehouse.load.upsert import Doubtful, delete_missing, upsert
from warehouse.privacy import loaded

QUARANTINE_NAME = "quarantine.rejected_rows"
# If a larger share of the rows that were read was written, the planner needs new statistics.
_ANALYZE_SHARE = 0.1


def quarantine(
    connection: psycopg.Connection, target: Target, files: list[str], stamp: datetime | None
) -> None:
    """Write the rejected rows to quarantine; update `last_seen_at` of those already there.

    Args:
        connection: the load's connection.
        target: the raw table.
        files: the names of the files.
        stamp: the time of the load; None if it was refused.
    """
    with connection.transaction():
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
        if loaded.has_ledger(connection):
            loaded.erase_rejected(connection, QUARANTINE_NAME, target.table.name)


def _warn_of_future(connection: psycopg.Connection, target: Target, report: Reporter) -> None:
    """Warn of rows that are stamped in the future; every build reads them again until then."""
    rows, latest = connection.execute(
        sql.SQL("select count(*), max({0})::text from {1} where {0} > clock_timestamp()").format(
            sql.Identifier(LOADED_AT), target.name
        )
    ).fetchone()
    if rows:
        shown = f"{target.schema}.{target.table.name}"
        report.warn(
            f"{shown}: {rows:,} rows have a _loaded_at in the future, up to {latest}. Every build "
            f"reads them again until then. Correct them: update {shown} set _loaded_at = "
            "clock_timestamp() where _loaded_at > clock_timestamp();"
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
    finds_deleted: bool = False,
    exact: Container[str] = (),
    before_commit: Callable[[datetime], None] | None = None,
) -> None:
    """Apply the rows in `incoming` to the raw table in one transaction, and count them.

    Args:
        connection: the load's connection, in autocommit.
        target: the raw table.
        columns: the columns of `incoming`.
        read: the number of rows of each file.
        summary: receives the counts.
        options: the options of the load.
        report: receives the progress.
        find_texts: adds the line and the text to the rejected rows.
        finds_deleted: whether `incoming` has the whole table, as with `complete`.
        exact: the columns whose values are known to have the form of their type.
        before_commit: runs in the same transaction, with the time of the load.

    Raises:
        WarehouseError: the load is refused; the table is unchanged, and the rejected rows are in
            quarantine.
    """
    summary.read = sum(read)
    for name in columns:
        if target.types[name] == "jsonb":
            reject_nested_too_deeply(connection, "incoming", name, target.table.key)

    def write(*, is_checked: bool) -> datetime:
        with connection.transaction():
            warehouse.lock(connection, target, report)
            # Read after the lock, so that the stamps of a table have the order of its commits.
            now = connection.execute("select clock_timestamp()").fetchone()[0]
            stamp = options.loaded_at or now
            warehouse.check_stamp(connection, options.loaded_at)
            check_stamp(connection, target, stamp)
            # After the lock: an erasure that ended before is in the ledger.
            if loaded.has_ledger(connection):
                name = f"{target.schema}.{target.table.name}"
                if erased := loaded.erase_incoming(connection, name, columns):
                    report.note(
                        f"{target.table.name}: {erased:,} rows of erased persons came again, and "
                        "stay erased."
                    )
            report.step("writing")
            upsert(connection, target, columns, stamp, summary, is_checked=is_checked, exact=exact)
            if options.complete or finds_deleted:
                delete_missing(connection, target, stamp, options, summary)
            if summary.rejected or summary.superseded:
                quarantine(connection, target, summary.files, stamp)
            if before_commit:
                before_commit(stamp)
        return stamp

    stamp = None
    if not connection.execute("select exists (select from pg_temp.rejects)").fetchone()[0]:
        # Most loads have nothing to reject. Writing without checks takes half the time, and the
        # types and the key of the table raise an error if there is something to reject.
        try:
            stamp = write(is_checked=False)
        except (Doubtful, psycopg.DataError, psycopg.errors.UniqueViolation):
            summary.new = summary.changed = summary.unchanged = summary.deleted = 0
            # Free the space of the rows of the first attempt for the second.
            connection.execute(sql.SQL("vacuum {}").format(target.name))
    if stamp is None:
        report.step("checking")
        reject_unreadable(connection, target, columns)
        reject_superseded(connection, target, columns)
        count_rejects(connection, summary)
        if find_texts and (summary.rejected or summary.superseded):
            find_texts()
        make_printable(connection)
        try:
            check_rejected(connection, summary, read, options)
            stamp = write(is_checked=True)
        except WarehouseError:
            quarantine(connection, target, summary.files, None)
            raise
    summary.loaded_at = stamp
    _warn_of_future(connection, target, report)
    touched = summary.new + summary.changed + summary.deleted
    if touched > _ANALYZE_SHARE * summary.read:
        connection.execute(sql.SQL("analyze {}").format(target.name))
