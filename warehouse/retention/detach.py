"""Take an expired partition out of its table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.retention.policy import Partition, identifier, log_of

if TYPE_CHECKING:
    import psycopg

LOCK_TIMEOUT, ATTEMPTS = "5s", 5


def detach(session: psycopg.Connection[Any], partition: Partition) -> None:
    """Detach a partition from its table, log its keys and log it, in one transaction.

    Retries under a lock_timeout, because queries on the table hold its lock while they run.

    Raises:
        WarehouseError: the table was still locked after the last attempt.
    """
    import psycopg
    from psycopg import sql

    policy = partition.policy
    child = identifier(partition.name)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with session.transaction():
                session.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                # The lock under which dbt writes the model.
                session.execute("select pg_advisory_xact_lock(hashtext(%s))", [policy.relation])
                # Read all rows before taking the lock that blocks readers. The lock of the table
                # makes writers wait there; at the partition they would hold the table's lock.
                session.execute(
                    sql.SQL("lock table only {}, {} in share row exclusive mode").format(
                        identifier(policy.relation), child
                    )
                )
                counted = session.execute(
                    sql.SQL("select count(*) from {}").format(child)
                ).fetchone()
                if policy.tracked_keys:
                    pairs = sql.SQL(", ").join(
                        sql.SQL("{}, {}").format(sql.Literal(key), sql.Identifier(key))
                        for key in policy.tracked_keys
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
                session.execute(
                    sql.SQL("alter table {} detach partition {}").format(
                        identifier(policy.relation), child
                    )
                )
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
            break
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == ATTEMPTS:
                raise WarehouseError(
                    f"{partition.name} could not be detached in {ATTEMPTS} attempts of"
                    f" {LOCK_TIMEOUT}: queries on {policy.model} lock it. Partitions detached"
                    " before it stay detached; run the command again."
                ) from None
            time.sleep(1)
