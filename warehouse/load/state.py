"""How far each table of a source database was read, in `raw._load_state`.

A watermark is worth something only for the rows that it was taken from and for the table that they
were written to. `Known.doubt` compares both with what is there now; what it cannot vouch for is
read again as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from warehouse.contract import LOADED_AT
from warehouse.load.source import Identity, SourceTable
from warehouse.load.target import STATE, Target, exists

# Added to installations that have the table already.
_COLUMNS = {
    "columns": "text[]",
    "source_identity": "text",
    "source_parts": "bigint[]",
    "oldest_running": "bigint",
    "target_storage": "text[]",
    "written_at": "timestamptz",
    "unmatched": "bigint",
}


def create(connection: psycopg.Connection) -> None:
    """Create the table of the state, and add the columns that it lacks."""
    if not exists(connection, STATE):
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
    # Only the owner may alter the table, even if there is nothing to add.
    present = {
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and not attisdropped",
            (STATE.as_string(connection),),
        )
    }
    for name, data_type in _COLUMNS.items():
        if name not in present:
            connection.execute(
                sql.SQL("alter table {} add column if not exists {} {}").format(
                    STATE, sql.Identifier(name), sql.SQL(data_type)
                )
            )


@dataclass(frozen=True)
class Known:
    """What the last load of a table stored; None where an earlier version stored nothing."""

    incremental_column: str
    watermark: datetime
    columns: list[str] | None
    source_identity: str | None
    source_parts: list[int] | None
    oldest_running: int | None
    target_storage: list[str] | None
    written_at: datetime | None
    unmatched: int | None

    def doubt(
        self, each: SourceTable, identity: Identity, target: TargetState, now: datetime
    ) -> str | None:
        """Why the watermark does not say what was read; None if it does."""
        if self.columns is None or self.oldest_running is None:
            return "an earlier version of the warehouse loaded it last"
        if self.incremental_column != (each.incremental_column or ""):
            return f"its changes are now found by {each.incremental_column}"
        if self.source_identity != source_identity(each, identity):
            if each.definition is None:
                return (
                    "it is not the table that was read last: it, or the database, was replaced or "
                    "restored"
                )
            if (self.source_identity or "").startswith(f"{identity.database}/"):
                return "its select, or the query of its view, changed"
            return "the database was replaced or restored"
        if self.oldest_running > identity.next_transaction:
            return "the source was restored from an older copy"
        if self.watermark > now:
            return f"it was read up to {self.watermark}, which is in the future of the source"
        new = [name for name in _columns(each) if name not in self.columns]
        if new:
            shown = ", ".join(name.partition(" ")[0] for name in new)
            return f"{shown} was not read before, or had another type"
        if not set(self.target_storage or []) <= set(target.storage):
            return "the raw table was truncated, replaced or rewritten since"
        if self.written_at and (target.newest is None or target.newest < self.written_at):
            return "the raw table lost rows since: it was emptied, or restored from an older copy"
        return None


@dataclass(frozen=True)
class TargetState:
    """The files of a raw table, and the time of its newest row."""

    storage: list[str]
    newest: datetime | None


def read(connection: psycopg.Connection, name: str, each: SourceTable) -> Known | None:
    """The state of a table; None if it was never read."""
    row = connection.execute(
        sql.SQL(
            """
            select incremental_column, watermark, columns, source_identity, source_parts,
                oldest_running, target_storage, written_at, unmatched
            from {}
            where source = %s and table_name = %s
            """
        ).format(STATE),
        (name, each.table.name),
    ).fetchone()
    return Known(*row) if row else None


def other_source(connection: psycopg.Connection, name: str, each: SourceTable) -> str | None:
    """Another source of which the raw table has rows; None if there is none."""
    return connection.execute(
        sql.SQL("select min(source) from {} where table_name = %s and source <> %s").format(STATE),
        (each.table.name, name),
    ).fetchone()[0]


def target_state(connection: psycopg.Connection, target: Target) -> TargetState:
    """What the state is compared with."""
    storage, newest = connection.execute(
        sql.SQL(
            """
            select
                (
                    select array_agg(
                        concat(tables.oid, ':', coalesce(pg_relation_filenode(tables.oid), 0))
                    )
                    from pg_class as tables
                    where tables.oid = {relation}
                        or tables.oid in (select relid from pg_partition_tree({relation}))
                ),
                (select max({loaded_at}) from {table} where {loaded_at} < '9999-01-01')
            """
        ).format(
            relation=sql.SQL("{}::regclass").format(sql.Literal(target.name.as_string(connection))),
            loaded_at=sql.Identifier(LOADED_AT),
            table=target.name,
        )
    ).fetchone()
    return TargetState(storage, newest)


def source_identity(each: SourceTable, identity: Identity) -> str:
    """The relation that was read; a view also counts as replaced if its query changes."""
    return f"{identity.database}/{each.definition or each.oid}"


def _columns(each: SourceTable) -> list[str]:
    return [f"{name} {each.types[name]}" for name in each.columns]


def write(
    connection: psycopg.Connection,
    name: str,
    each: SourceTable,
    target: Target,
    *,
    identity: Identity,
    watermark: datetime,
    oldest_running: int,
    source_parts: list[int],
    unmatched: int | None,
    stamp: datetime,
) -> None:
    """Store how far a table was read, in the transaction that writes its rows.

    Args:
        connection: the load's connection.
        name: the name of the source.
        each: the table of the source.
        target: the raw table.
        identity: of the source.
        watermark: the latest time of change that was read and is not in the future.
        oldest_running: the transactions before it were read.
        source_parts: the tables whose rows were read, by oid.
        unmatched: how many more keys the source had than raw; None if not counted.
        stamp: the time of the load.
    """
    written = target_state(connection, target)
    connection.execute(
        sql.SQL(
            """
            insert into {} as known (
                source, table_name, incremental_column, watermark, loaded_at, columns,
                source_identity, source_parts, oldest_running, target_storage, written_at, unmatched
            )
            values (
                %(source)s, %(table)s, %(column)s, %(watermark)s, %(stamp)s, %(columns)s,
                %(identity)s, %(parts)s, %(oldest)s, %(storage)s, %(written)s, %(unmatched)s
            )
            on conflict (source, table_name) do update set
                incremental_column = excluded.incremental_column,
                watermark = excluded.watermark,
                loaded_at = excluded.loaded_at,
                columns = excluded.columns,
                source_identity = excluded.source_identity,
                source_parts = excluded.source_parts,
                oldest_running = excluded.oldest_running,
                target_storage = excluded.target_storage,
                written_at = excluded.written_at,
                unmatched = coalesce(excluded.unmatched, known.unmatched)
            """
        ).format(STATE),
        {
            "source": name,
            "table": each.table.name,
            "column": each.incremental_column or "",
            "watermark": watermark,
            "stamp": stamp,
            "columns": _columns(each),
            "identity": source_identity(each, identity),
            "parts": source_parts,
            "oldest": oldest_running,
            "storage": written.storage,
            "written": written.newest,
            "unmatched": unmatched,
        },
    )
