"""Rows of tables without partitions, and rows that depend on a consent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from warehouse.retention import archive
from warehouse.retention.archive import ArchivedFile
from warehouse.retention.policy import Part, Plan, Policy, between, identifier, log_of

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

# Rows of a transaction that deletes. A file of the archive has one of these pieces at most.
BATCH_ROWS = 100_000
EVER = ("-infinity", "infinity")


def pieces_of(session: psycopg.Connection[Any], part: Part) -> Iterator[Part]:
    """Divide the rows of a month into pieces, by their time, one after the other.

    The caller takes each piece out of its table before it asks for the next one. The log of what
    expired then ends where the rows of the table begin, even if the run is killed in between.

    Args:
        session: a connection, not in a transaction, with the time zone UTC.
        part: the rows of a month.
    """
    from psycopg import sql

    column = sql.Identifier(str(part.policy.column))
    lower = part.lower
    while True:
        # The time of the first row that is too many. Rows of one time stay together.
        row = session.execute(
            sql.SQL(
                "select min({column})::timestamptz::text from ("
                "select {column} from {table} where {where} order by 1 offset {count} limit 1"
                ") as next_piece"
                " where {column} > (select min({column}) from {table} where {where})"
            ).format(
                column=column,
                table=identifier(part.relation),
                where=between(part.policy.column, lower, part.upper),
                count=sql.Literal(BATCH_ROWS),
            )
        ).fetchone()
        session.commit()
        upper = (row and row[0]) or part.upper
        yield dataclasses.replace(
            part,
            lower=lower,
            upper=upper,
            where=between(part.policy.column, lower, upper),
        )
        if upper == part.upper:
            return
        lower = upper


def mark(session: psycopg.Connection[Any], part: Part) -> int:
    """Mark rows of a raw table as deleted, so that the next build takes them out of the marts.

    They are removed later, by `remove_marked`: a build finds a row that was marked, and not one
    that is missing.

    Returns:
        The number of rows.
    """
    from psycopg import sql

    policy = part.policy
    with session.transaction():
        count = session.execute(
            sql.SQL(
                "update {} set _deleted_at = now(), _loaded_at = now()"
                " where {} and _deleted_at is null"
            ).format(identifier(part.relation), part.where)
        ).rowcount
        if count:
            session.execute(
                sql.SQL(
                    "insert into {} (model_name, partition_name, lower_bound, upper_bound,"
                    " row_count, byte_count, retention) values (%s, %s, %s, %s, %s, %s, %s)"
                ).format(log_of(policy)),
                [
                    policy.model,
                    part.name,
                    part.lower,
                    part.upper,
                    count,
                    part.byte_count,
                    policy.retention,
                ],
            )
    return count


def count_removable(session: psycopg.Connection[Any], policy: Policy, condition: Any) -> int:
    """The number of rows that `remove_marked` would remove."""
    from psycopg import sql

    row = session.execute(
        sql.SQL("select count(*) from {} where {}").format(
            identifier(policy.relation), _removable(policy, condition)
        )
    ).fetchone()
    return row[0] if row else 0


def remove_marked(session: psycopg.Connection[Any], policy: Policy, condition: Any) -> int:
    """Remove rows of a raw table that are marked as deleted, and that every view's readers saw so.

    Args:
        session: a connection, not in a transaction.
        policy: what the raw table keeps.
        condition: SQL of which rows.

    Returns:
        The number of rows.
    """
    from psycopg import sql

    table = identifier(policy.relation)
    removed = 0
    while True:
        with session.transaction():
            count = session.execute(
                sql.SQL(
                    "delete from {table} where ctid in ("
                    "select ctid from {table} where {which} limit {count})"
                ).format(
                    table=table,
                    which=_removable(policy, condition),
                    count=sql.Literal(BATCH_ROWS),
                )
            ).rowcount
            # The next run would report that the table lost them.
            session.execute(
                sql.SQL(
                    "update {volumes} as volumes set row_count = row_count - %(count)s"
                    " where table_name = %(name)s and measured_at = ("
                    "select max(measured_at) from {volumes}"
                    " where table_name = %(name)s and is_passed)"
                ).format(volumes=sql.Identifier(policy.observability, "source_volumes")),
                {"count": count, "name": policy.model.removeprefix("app.")},
            )
        removed += count
        if not count:
            break
    with session.transaction():
        session.execute(
            sql.SQL(
                "update {} set dropped_at = clock_timestamp() where model_name = %s"
                " and dropped_at is null and not exists (select from {} where {}"
                " and _deleted_at is not null)"
            ).format(log_of(policy), table, condition),
            [policy.model],
        )
    return removed


def _removable(policy: Policy, condition: Any) -> Any:
    """SQL of the rows that are marked as deleted, and that all readers have read since.

    A reader remembers the transactions that it could not see yet. A row that was written by an
    earlier one, it has read.
    """
    from psycopg import sql

    return sql.SQL(
        "{condition} and _deleted_at is not null and age(xmin) > ("
        "select age(mod(coalesce(min(pg_snapshot_xmin(run_snapshot)::text::bigint),"
        " pg_snapshot_xmin(pg_current_snapshot())::text::bigint), 4294967296)::text::xid)"
        " from {watermarks} where upstream_name = any({readers}))"
    ).format(
        condition=condition,
        watermarks=sql.Identifier(policy.observability, "watermarks"),
        readers=sql.Literal(list(policy.readers)),
    )


def withdrawn_users(plan: Plan, purpose: str) -> Any:
    """SQL of the users whose latest consent for a purpose is a withdrawal."""
    from psycopg import sql

    return sql.SQL(
        "select user_id from ("
        "select distinct on (user_id) user_id, is_granted from {}"
        " where purpose = {} and is_included and recorded_at <= now()"
        " order by user_id, recorded_at desc, consent_id desc) as latest where not is_granted"
    ).format(identifier(str(plan.consents)), sql.Literal(purpose))


def rows_without_consent(plan: Plan, policy: Policy) -> Part:
    """The rows of a raw table whose user withdrew the consent; without those under a hold."""
    from psycopg import sql

    assert policy.consent is not None
    purpose, column = policy.consent
    where = sql.SQL("({}::text in ({}) and {})").format(
        sql.Identifier(column), withdrawn_users(plan, purpose), not_held(policy)
    )
    name = f"{policy.model} without consent for {purpose}"
    return Part(policy, name, *EVER, 0, policy.relation, where)


def not_held(policy: Policy) -> Any:
    """SQL of the condition that no legal hold covers a row."""
    from psycopg import sql

    conditions = [sql.SQL("true")]
    for hold in policy.holds:
        if hold.first_month is None or policy.column is None:
            return sql.SQL("false")
        conditions.append(
            sql.SQL(
                "({column} >= {first}::timestamptz and {column}"
                " < {last}::timestamptz + interval '1 month') is not true"
            ).format(
                column=sql.Identifier(policy.column),
                first=sql.Literal(f"{hold.first_month}-01 00:00:00+00"),
                last=sql.Literal(f"{hold.last_month}-01 00:00:00+00"),
            )
        )
    return sql.SQL(" and ").join(conditions)


def erase_withdrawn(
    session: psycopg.Connection[Any], plan: Plan, policy: Policy, file: ArchivedFile
) -> int:
    """Delete the rows of an archived file whose user withdrew the consent.

    Returns:
        The number of rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    assert policy.consent is not None
    purpose, column = policy.consent
    users = [row[0] for row in session.execute(withdrawn_users(plan, purpose)).fetchall()]
    session.commit()
    if not users or column not in [each.name for each in file.columns]:
        return 0
    erased = 0

    def without_them(table: pa.Table) -> pa.Table | None:
        nonlocal erased
        of_users = pc.is_in(
            table.column(column).cast(pa.string()), value_set=pa.array(users, pa.string())
        )
        erased = pc.sum(of_users).as_py() or 0
        return table.filter(pc.invert(of_users)) if erased else None

    archive.rewrite_archived(session, file.file_id, without_them, policy.observability)
    return erased
