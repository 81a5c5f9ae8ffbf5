"""Write the rows in `incoming` to the raw table, and mark those that a complete load lacks."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from warehouse.contract import DELETED_AT, LOADED_AT
from warehouse.errors import WarehouseError
from warehouse.load.checks import any_of, form_problems, key_problems, row_of, typed
from warehouse.load.options import DELETES_DAYS, FEW_DELETES, MAX_DELETES, Options
from warehouse.load.report import TableSummary
from warehouse.load.target import ACCEPTED, Target, exists


class Doubtful(Exception):
    """Some rows in `incoming` must be rejected; the unchecked write cannot tell which."""


def upsert(
    connection: psycopg.Connection,
    target: Target,
    columns: list[str],
    stamp: datetime,
    summary: TableSummary,
    *,
    is_checked: bool,
    exact: Container[str] = (),
) -> None:
    """Insert new rows, update changed ones, leave the others untouched, and count all three.

    A deleted row that is in the file again counts as changed.

    Args:
        connection: the load's connection, in a transaction.
        target: the raw table.
        columns: the columns of `incoming`.
        stamp: the value of `_loaded_at`.
        summary: receives the counts.
        is_checked: whether `reject_unreadable` and `reject_superseded` have run. If not, Doubtful
            or psycopg.DataError is raised for a row that must be rejected.
        exact: the columns whose values are known to have the form of their type.
    """
    table = target.name
    key = sql.Identifier(target.table.key)
    typed_key = typed(target, target.table.key, "incoming")
    values = {name: typed(target, name, "incoming") for name in columns}
    values[LOADED_AT] = sql.Literal(stamp)
    insert = sql.SQL("insert into {} ({}) select {} from pg_temp.incoming").format(
        table,
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(values.values()),
    )
    waiting = connection.execute("select count(*) from pg_temp.incoming").fetchone()[0]
    amiss = any_of([*key_problems(target), *form_problems(target, columns, exact)])
    is_empty = connection.execute(
        sql.SQL("select not exists (select from {})").format(table)
    ).fetchone()[0]
    if is_empty:
        if not is_checked:
            insert += sql.SQL(" where not {}").format(amiss)
        summary.new = connection.execute(insert).rowcount
        if summary.new != waiting:
            raise Doubtful
        return
    if not is_checked and _has_repeated_keys(connection, typed_key):
        raise Doubtful

    differs = [
        sql.SQL("({}) is distinct from ({})").format(
            row_of("present", columns),
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
        raise Doubtful
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
    """Mark the rows that are missing from a complete load as deleted; keep rows that were rejected.

    Raises:
        WarehouseError: the load would delete more rows than allowed, or a rejected row has no
            readable key.
    """
    shown = ", ".join(summary.files)
    unknown = connection.execute(
        "select count(*) from pg_temp.rejects where kind = 'unreadable' and key is null"
    ).fetchone()[0]
    if unknown:
        advice = (
            "Correct them, or load without --complete." if options.complete else "Correct them."
        )
        raise WarehouseError(
            f"{shown}: the key of {unknown:,} row(s) cannot be read, so the load cannot tell "
            f"which rows are missing. {advice} Nothing of the table was loaded."
        )
    living, lately = connection.execute(
        sql.SQL(
            """
            select
                (select count(*) from {table} where {deleted_at} is null),
                (
                    select count(*)
                    from {table}
                    where {deleted_at} = {loaded_at}
                        and {loaded_at} between %(from)s and %(stamp)s
                        and {loaded_at} > coalesce({accepted}, '-infinity')
                )
            """
        ).format(
            table=target.name,
            deleted_at=sql.Identifier(DELETED_AT),
            loaded_at=sql.Identifier(LOADED_AT),
            accepted=_accepted_at(connection, target),
        ),
        {"from": stamp - timedelta(days=DELETES_DAYS), "stamp": stamp},
    ).fetchone()
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
            typed_key=typed(target, target.table.key, "incoming"),
            key=key,
        )
    ).rowcount
    if not summary.deleted:
        return
    before = living - summary.new
    limit = MAX_DELETES if options.max_deletes is None else options.max_deletes
    if not _is_allowed(summary.deleted, lately, before, limit) and not (
        options.accept_deletes or (options.allow_empty and not summary.read)
    ):
        examples = connection.execute(
            sql.SQL(
                "select {0}::text from {1} where {2} = %(stamp)s and {3} = %(stamp)s limit 3"
            ).format(key, target.name, sql.Identifier(LOADED_AT), sql.Identifier(DELETED_AT)),
            {"stamp": stamp},
        ).fetchall()
        also = f", after {lately:,} in the {DELETES_DAYS} days before" if lately else ""
        raise WarehouseError(
            f"{shown}: the load would delete {summary.deleted:,} of the {before:,} current rows "
            f"of {target.table.name} (for example {target.table.key} "
            f"{', '.join(value for (value,) in examples)}){also}: more than {limit:g} % in "
            f"{DELETES_DAYS} days. Is the source complete? If it is, let this load delete them "
            "with --accept-deletes. Nothing of the table was loaded."
        )
    if not _is_allowed(summary.deleted, lately, before, MAX_DELETES):
        _accept(connection, target, stamp)


def _is_allowed(deleted: int, lately: int, before: int, limit: float) -> bool:
    """Whether a load may delete rows without asking: a small share of the table, or a few rows.

    Args:
        deleted: the rows that the load deletes.
        lately: the rows that other loads have deleted.
        before: the rows of the table before the load.
        limit: the share, in percent.
    """
    deletes = deleted + lately
    return deletes * 100 <= limit * (before + lately) or (
        deletes <= FEW_DELETES and deleted < before
    )


def _accepted_at(connection: psycopg.Connection, target: Target) -> sql.Composable:
    """When deletions of a table were last accepted, as an expression; those before do not count."""
    if not exists(connection, ACCEPTED):
        return sql.SQL("null::timestamptz")
    return sql.SQL("(select accepted_at from {} where table_name = {})").format(
        ACCEPTED, sql.Literal(target.table.name)
    )


def _accept(connection: psycopg.Connection, target: Target, stamp: datetime) -> None:
    if not exists(connection, ACCEPTED):
        connection.execute(
            sql.SQL(
                "create table if not exists {} "
                "(table_name text primary key, accepted_at timestamptz not null)"
            ).format(ACCEPTED)
        )
    connection.execute(
        sql.SQL(
            "insert into {} values (%s, %s) "
            "on conflict (table_name) do update set accepted_at = excluded.accepted_at"
        ).format(ACCEPTED),
        (target.table.name, stamp),
    )
