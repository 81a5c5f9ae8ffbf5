"""Take an expired partition out of its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.retention.policy import Partition, identifier, log_of

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

# The locks of readers, which do not conflict with a lock in share row exclusive mode.
READERS = ("AccessShareLock", "RowShareLock")


def detach(session: psycopg.Connection[Any], partition: Partition) -> None:
    """Detach a partition from its table, log its keys and log it, in one transaction.

    Waits for locks in short attempts, as builds do.

    Args:
        session: a connection, not in a transaction, in which `Plan.setup` ran.
        partition: the partition.

    Raises:
        WarehouseError: the table was still locked after the last attempt; names the sessions.
    """
    from psycopg import sql

    policy = partition.policy
    parent, child = identifier(policy.relation), identifier(partition.name)
    with session.transaction():
        # First the lock under which dbt writes the model, then one that blocks writers but not
        # readers, so that the rows are read before readers are blocked. The parent is locked too:
        # writers that waited for the partition would already hold a lock on the parent.
        _execute(
            session,
            partition,
            sql.SQL(
                "select pg_advisory_xact_lock(hashtext({}));"
                " lock table only {}, {} in share row exclusive mode"
            ).format(sql.Literal(policy.relation), parent, child),
            READERS,
        )
        counted = session.execute(sql.SQL("select count(*) from {}").format(child)).fetchone()
        if policy.change_log_keys:
            pairs = sql.SQL(", ").join(
                sql.SQL("{}, {}").format(sql.Literal(key), sql.Identifier(key))
                for key in policy.change_log_keys
            )
            session.execute(
                sql.SQL(
                    "insert into {} (model_name, written_by, changed_keys)"
                    " select distinct {}, pg_current_xact_id(), jsonb_build_object({})"
                    " from {}"
                ).format(
                    sql.Identifier(policy.observability, "key_changes"),
                    sql.Literal(policy.model),
                    pairs,
                    child,
                )
            )
        _execute(
            session,
            partition,
            sql.SQL("alter table {} detach partition {}").format(parent, child),
        )
        _forget_storage(session, partition)
        session.execute(
            sql.SQL(
                "insert into {} (model_name, partition_name, lower_bound, upper_bound,"
                " row_count, byte_count, retention) values (%s, %s, %s, %s, %s, %s, %s)"
            ).format(log_of(policy)),
            [
                policy.model,
                partition.name,
                partition.lower_bound,
                partition.upper_bound,
                *(counted or ()),
                partition.byte_count,
                policy.retention,
            ],
        )


def _forget_storage(session: psycopg.Connection[Any], partition: Partition) -> None:
    """Take the partition out of the storage that the next build expects of the table.

    Args:
        session: a connection in a transaction.
        partition: the partition.
    """
    from psycopg import sql

    policy = partition.policy
    watermarks = sql.Identifier(policy.observability, "watermarks")
    # The first build of this version adds the column.
    (has_storage,) = session.execute(
        "select exists (select from pg_attribute where attrelid = to_regclass(%s)"
        " and attname = 'storage')",
        [watermarks.as_string(session)],
    ).fetchone() or (False,)
    if has_storage:
        session.execute(
            sql.SQL(
                "update {} set storage = array_remove(storage,"
                " (select oid || ':' || pg_relation_filenode(oid) from pg_class"
                " where oid = to_regclass(%s)))"
                " where model_name = %s and upstream_name = '(definition)'"
            ).format(watermarks),
            [partition.name, policy.model],
        )


def _execute(
    session: psycopg.Connection[Any],
    partition: Partition,
    statements: sql.Composed,
    harmless_modes: Sequence[str] = (),
) -> None:
    """Execute statements by the macros' loop, pg_temp.try_for_locks.

    Args:
        session: a connection in a transaction.
        partition: the partition that is being detached.
        statements: what to execute.
        harmless_modes: lock modes that do not conflict; sessions that hold only these are not
            named.

    Raises:
        WarehouseError: the table was still locked after the last attempt; names the sessions.
    """
    row = session.execute(
        "select trouble from pg_temp.try_for_locks("
        "format('select pg_temp.run_statements(%%L)', %s::text),"
        " array[to_regclass(%s)]::oid[], %s::text[])",
        [statements.as_string(session), partition.policy.relation, [*harmless_modes]],
    ).fetchone()
    if row and row[0]:
        raise WarehouseError(
            f"{partition.name} could not be detached: locked by other sessions ({row[0]})."
            " Partitions detached before it stay detached; run the command again."
        )
