"""Take rows out of their table, or move a partition to another tablespace.

Each function is one transaction. It waits for locks in short attempts, as builds do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.retention import archive
from warehouse.retention.archive import ArchivedFile
from warehouse.retention.columns import FORMATS, hash_of_row
from warehouse.retention.policy import Part, identifier, log_of

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

# The locks of readers, which do not conflict with a lock in share row exclusive mode.
READERS = ("AccessShareLock", "RowShareLock")


def drop(session: psycopg.Connection[Any], part: Part, files: Sequence[ArchivedFile] = ()) -> None:
    """Drop a partition, log the keys of its rows, and let its archived files count.

    Args:
        session: a connection, not in a transaction, in which `Plan.setup` ran.
        part: the partition.
        files: the files that hold its rows; none if they are deleted without an archive.

    Raises:
        WarehouseError: the rows are not those of the files, or the table was still locked after
            the last attempt; nothing was dropped.
    """
    from psycopg import sql

    parent, child = identifier(part.policy.relation), identifier(part.name)
    with session.transaction():
        # First the lock under which dbt writes the model, then one that blocks writers but not
        # readers, so that the rows are read before readers are blocked. The parent is locked too:
        # writers that waited for the partition would already hold a lock on the parent.
        _execute(
            session,
            part,
            sql.SQL(
                "select pg_advisory_xact_lock(hashtext({}));"
                " lock table only {}, {} in share row exclusive mode"
            ).format(sql.Literal(part.policy.relation), parent, child),
            READERS,
        )
        count, _ = _check_rows(session, part, files)
        _log_keys(session, part)
        storage = _storage_of(session, part.name)
        _execute(
            session,
            part,
            sql.SQL("alter table {} detach partition {}; drop table {}").format(
                parent, child, child
            ),
        )
        _forget_storage(session, part, storage)
        _log(session, part, count, part.byte_count)
        archive.adopt(session, part.policy.observability, files)


def delete(session: psycopg.Connection[Any], part: Part, files: Sequence[ArchivedFile] = ()) -> int:
    """Delete rows of a table without partitions; else as `drop`.

    Returns:
        The number of rows.
    """
    from psycopg import sql

    table = identifier(part.relation)
    with session.transaction():
        _execute(
            session,
            part,
            sql.SQL(
                "select pg_advisory_xact_lock(hashtext({}));"
                " lock table {} in share row exclusive mode"
            ).format(sql.Literal(part.relation), table),
            READERS,
        )
        count, size = _check_rows(session, part, files)
        _log_keys(session, part)
        session.execute(sql.SQL("delete from {} where {}").format(table, part.where))
        _log(session, part, count, size)
        archive.adopt(session, part.policy.observability, files)
    return count


def move(session: psycopg.Connection[Any], part: Part, tablespace: str) -> None:
    """Move a partition and its indexes to another tablespace.

    Readers of the partition wait until it is copied.

    Raises:
        WarehouseError: the table was still locked after the last attempt, or the role may not use
            the tablespace.
    """
    import psycopg
    from psycopg import sql

    target = sql.Identifier(tablespace)
    with session.transaction():
        indexes = session.execute(
            "select format('%%I.%%I', nspname, relname) from pg_index"
            " inner join pg_class on pg_index.indexrelid = pg_class.oid"
            " inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid"
            " where pg_index.indrelid = to_regclass(%s) order by 1",
            [part.name],
        ).fetchall()
        before = _storage_of(session, part.name)
        statements = [
            sql.SQL("alter table {} set tablespace {}").format(identifier(part.name), target),
            *(
                sql.SQL("alter index {} set tablespace {}").format(identifier(name), target)
                for (name,) in indexes
            ),
        ]
        try:
            _execute(session, part, sql.SQL("; ").join(statements), what="moved")
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"{part.name} could not be moved: {error.diag.message_primary}. As an"
                f" administrator, run: grant create on tablespace {tablespace} to"
                f" {session.info.user};"
            ) from error
        # The next build would take the table for one that was rewritten, and compute it whole.
        watermarks = sql.Identifier(part.policy.observability, "watermarks")
        session.execute(
            sql.SQL(
                "update {} set storage = array_replace(storage, %s, %s) where %s = any(storage)"
            ).format(watermarks),
            [before, _storage_of(session, part.name), before],
        )


def _check_rows(
    session: psycopg.Connection[Any], part: Part, files: Sequence[ArchivedFile]
) -> tuple[int, int]:
    """Compare the rows, which nobody can change now, with those of the files.

    Returns:
        Their number and size.
    """
    from psycopg import sql

    checksum = sql.SQL("null")
    if files:
        session.execute(FORMATS)
        checksum = sql.SQL("coalesce(sum({}), 0)::text").format(hash_of_row(files[0].columns))
    count, size, total = session.execute(
        sql.SQL("select count(*), {}, {} from {} where {}").format(
            sql.SQL("coalesce(sum(pg_column_size(held.*)), 0)" if part.where else "0"),
            checksum,
            sql.SQL("{} as held").format(identifier(part.relation)),
            part.where or sql.SQL("true"),
        )
    ).fetchone() or (0, 0, None)
    if files and (
        count != sum(file.row_count for file in files)
        or total != str(sum(int(file.checksum) for file in files))
    ):
        raise WarehouseError(
            f"{part.name} changed while it was archived: it has {count} rows, and the archive"
            f" {sum(file.row_count for file in files)}, or rows with other values. It stays in the"
            " database; run the command again."
        )
    return count, size


def _log_keys(session: psycopg.Connection[Any], part: Part) -> None:
    """Log the keys of the rows, so that the next build recomputes what uses them."""
    from psycopg import sql

    policy = part.policy
    if not policy.change_log_keys:
        return
    pairs = sql.SQL(", ").join(
        sql.SQL("{}, {}").format(sql.Literal(key), sql.Identifier(key))
        for key in policy.change_log_keys
    )
    session.execute(
        sql.SQL(
            "insert into {} (model_name, written_by, changed_keys)"
            " select distinct {}, pg_current_xact_id(), jsonb_build_object({}) from {} where {}"
        ).format(
            sql.Identifier(policy.observability, "key_changes"),
            sql.Literal(policy.model),
            pairs,
            identifier(part.relation),
            part.where or sql.SQL("true"),
        )
    )


def _log(session: psycopg.Connection[Any], part: Part, count: int, size: int) -> None:
    from psycopg import sql

    session.execute(
        sql.SQL(
            "insert into {} (model_name, partition_name, lower_bound, upper_bound, row_count,"
            " byte_count, retention, dropped_at) values (%s, %s, %s, %s, %s, %s, %s,"
            " clock_timestamp())"
        ).format(log_of(part.policy)),
        [
            part.policy.model,
            part.name,
            part.lower,
            part.upper,
            count,
            size,
            part.policy.retention,
        ],
    )


def _storage_of(session: psycopg.Connection[Any], name: str) -> str | None:
    """The file of a table, as the macro `storage_of` names it."""
    row = session.execute(
        "select oid || ':' || pg_relation_filenode(oid) from pg_class where oid = to_regclass(%s)",
        [name],
    ).fetchone()
    return row[0] if row else None


def _forget_storage(session: psycopg.Connection[Any], part: Part, storage: str | None) -> None:
    """Take a partition out of the storage that the next build expects of the table."""
    from psycopg import sql

    session.execute(
        sql.SQL(
            "update {} set storage = array_remove(storage, %s)"
            " where model_name = %s and upstream_name = '(definition)'"
        ).format(sql.Identifier(part.policy.observability, "watermarks")),
        [storage, part.policy.model],
    )


def _execute(
    session: psycopg.Connection[Any],
    part: Part,
    statements: sql.Composable,
    harmless_modes: Sequence[str] = (),
    what: str = "detached",
) -> None:
    """Execute statements by the macros' loop, pg_temp.try_for_locks.

    Args:
        session: a connection in a transaction.
        part: the part of the table.
        statements: what to execute.
        harmless_modes: lock modes that do not conflict; sessions that hold only these are not
            named.
        what: what could not be done, for the message.

    Raises:
        WarehouseError: the table was still locked after the last attempt; names the sessions.
    """
    row = session.execute(
        "select trouble from pg_temp.try_for_locks("
        "format('select pg_temp.run_statements(%%L)', %s::text),"
        " array[to_regclass(%s)]::oid[], %s::text[])",
        [statements.as_string(session), part.policy.relation, [*harmless_modes]],
    ).fetchone()
    if row and row[0]:
        what = "deleted" if part.where else what
        raise WarehouseError(
            f"{part.name} could not be {what}: locked by other sessions ({row[0]})."
            " What was done before it stays done; run the command again."
        )
