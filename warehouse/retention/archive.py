"""Export a detached partition, and drop it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import console, private
from warehouse.retention.policy import Policy, identifier, log_of, parts_of

if TYPE_CHECKING:
    import psycopg


def finish(
    session: psycopg.Connection[Any], name: str, policy: Policy, export: Path | None
) -> None:
    """Export a detached partition, then drop it and log the drop.

    Args:
        session: a connection, not in a transaction.
        name: the table.
        policy: what its model keeps.
        export: the folder to write it to; None to drop it without an export.
    """
    from psycopg import sql

    child = identifier(name)
    there = session.execute("select to_regclass(%s) is not null", [name]).fetchone() == (True,)
    # The query above began a transaction; the block below needs a separate one.
    session.commit()
    file = None
    if there and export is not None:
        # Late rows can create a partition with this name again, so the name alone is ambiguous.
        row = session.execute(
            sql.SQL(
                "select to_char(detached_at at time zone 'UTC', 'YYYYMMDD\"T\"HH24MISSUS') from {}"
                " where model_name = %s and partition_name = %s and dropped_at is null"
            ).format(log_of(policy)),
            [policy.model, name],
        ).fetchone()
        session.commit()
        stamp = row[0] if row else ""
        file = write_file(
            session, child, export / policy.model / f"{parts_of(name)[-1]}_{stamp}.csv.gz"
        )
    with session.transaction():
        session.execute(sql.SQL("drop table if exists {}").format(child))
        session.execute(
            sql.SQL(
                "update {} set dropped_at = clock_timestamp(), exported_to = %s"
                " where model_name = %s and partition_name = %s and dropped_at is null"
            ).format(log_of(policy)),
            [str(file) if file else None, policy.model, name],
        )
    console.say(f"Dropped {name}" + (f"; its rows are in {file}." if file else "."))


def write_file(session: psycopg.Connection[Any], child: Any, file: Path) -> Path:
    """Write a table as gzipped CSV with a header; the file appears only when it is complete."""
    from psycopg import sql

    private.make_folder(file.parent)
    unfinished = file.with_suffix(".part")
    query = sql.SQL("copy {} to stdout (format csv, header)").format(child)
    with (
        open(unfinished, "wb", opener=private.opener) as plain,
        gzip.open(plain, "wb") as target,
        session.cursor() as cursor,
        cursor.copy(query) as rows,
    ):
        for block in rows:
            target.write(block)
    session.commit()
    return unfinished.rename(file)
