"""`warehouse recall`: bring archived months back, beside their table."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse import console
from warehouse.database.build_lock import build_lock
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.retention import archive
from warehouse.retention.archive import FILE_COLUMN, ArchivedFile
from warehouse.retention.columns import FORMATS, hash_of_row
from warehouse.retention.policy import Hold, Policy, parts_of, read_plan, require_logs

if TYPE_CHECKING:
    import psycopg

_MONTH = r"(\d{4}-(?:0[1-9]|1[0-2]))"


def recall(
    months: Annotated[
        str, typer.Argument(help="A month such as 2024-01, or months such as 2024-01..2024-03.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", help="Only this model; default all that have archived rows."),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", help="Number of days until `warehouse retain` drops them.")
    ] = 30,
) -> None:
    """Copy archived months into tables of schema `recalled`, where they stay for some days."""
    period = months_of(months)
    if days < 1:
        raise WarehouseError(f"--days must be a whole number from 1, got {days}.")
    where = settings()
    preflight(where)
    with build_lock(where, wait=False):
        policies = {policy.model: policy for policy in read_plan().policies}
        if model is not None and model not in policies:
            raise WarehouseError(
                f"--model {model} is not a model with `retain`; those are"
                f" {', '.join(sorted(policies)) or 'none'}."
            )
        with connect(where) as session:
            require_logs(session, list(policies.values()))
            session.commit()
            chosen = [policies[model]] if model else list(policies.values())
            found = bring_back(session, chosen, period, datetime.now(UTC) + timedelta(days=days))
    if not found:
        raise WarehouseError(
            f"There are no archived rows of {months}"
            + (f" and the model {model}" if model else "")
            + ": select * from observability.archived_files lists what there is."
        )


def months_of(text: str) -> Hold:
    """The months in an argument.

    Raises:
        WarehouseError: it is not a month, or two with two dots between them.
    """
    found = re.fullmatch(rf"{_MONTH}(?:\.\.{_MONTH})?", text)
    if found is None or (found[2] and found[2] < found[1]):
        raise WarehouseError(
            f"The months must be one such as 2024-01, or a first and a last one such as"
            f" 2024-01..2024-03, got {text!r}."
        )
    return Hold("recalled", found[1], found[2] or found[1])


def bring_back(
    session: psycopg.Connection[Any], policies: list[Policy], period: Hold, until: datetime
) -> int:
    """Copy the archived files of some months into the database.

    Args:
        session: a connection, not in a transaction.
        policies: what the models keep.
        period: the months.
        until: how long they stay.

    Returns:
        The number of files.

    Raises:
        WarehouseError: a file cannot be read, or its rows differ from its checksum.
    """
    count = 0
    for policy in policies:
        for file in archive.archived_files(session, policy.observability, policy.model):
            session.commit()
            if period.covers(file.lower_bound, file.upper_bound):
                _bring_back(session, policy, file, until)
                count += 1
        session.commit()
    return count


def _bring_back(
    session: psycopg.Connection[Any], policy: Policy, file: ArchivedFile, until: datetime
) -> None:
    """Copy one file, in one transaction."""
    from psycopg import sql

    name = sql.Identifier(policy.recalled, parts_of(policy.relation)[-1])
    text = name.as_string(session)
    catalogue = sql.Identifier(policy.observability, "archived_files")
    with session.transaction():
        session.execute(FORMATS)
        _make_table(session, policy, file, name, text)
        there = _checksum(session, file, name)
        is_there = there == (file.row_count, file.checksum)
        if not is_there:
            session.execute(
                sql.SQL("delete from {} where {} = %s").format(name, sql.Identifier(FILE_COLUMN)),
                [file.file_id],
            )
            _copy(session, file, name)
            there = _checksum(session, file, name)
        if there != (file.row_count, file.checksum):
            raise WarehouseError(
                f"{file.file} has {file.row_count} rows with the checksum {file.checksum}; in the"
                f" database they are {there[0]} rows with the checksum {there[1]}. Nothing of it"
                " was recalled."
            )
        session.execute(
            sql.SQL(
                "update {} set recalled_into = %s,"
                " recalled_until = greatest(recalled_until, %s) where file_id = %s"
            ).format(catalogue),
            [text, until, file.file_id],
        )
    console.say(
        f"{'Were there already' if is_there else 'Recalled'}: {file.row_count} rows of"
        f" {policy.model} from {file.lower_bound[:10]} to before {file.upper_bound[:10]}, in"
        f" {text} until {until:%Y-%m-%d}."
    )


def _make_table(
    session: psycopg.Connection[Any], policy: Policy, file: ArchivedFile, name: Any, text: str
) -> None:
    """Create the table of recalled rows, or add the columns that it lacks.

    Who may read the model's table, may read this one.
    """
    from psycopg import sql

    session.execute(
        sql.SQL("create schema if not exists {}").format(sql.Identifier(policy.recalled))
    )
    session.execute(
        sql.SQL("create table if not exists {} ({} bigint not null)").format(
            name, sql.Identifier(FILE_COLUMN)
        )
    )
    there = dict(
        session.execute(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [text],
        ).fetchall()
    )
    for column in file.columns:
        if column.name not in there:
            session.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    name, sql.Identifier(column.name), sql.SQL(column.type)
                )
            )
        elif there[column.name] != column.type:
            raise WarehouseError(
                f"{file.file} has the column {column.name} of type {column.type}, and {text} has"
                f" {there[column.name]}, from a file before a change of the model: drop table"
                f" {text}; and recall one of them at a time."
            )
    readers = session.execute(
        "select distinct quote_ident(rolname) from pg_class"
        " cross join lateral aclexplode(relacl) as granted"
        " inner join pg_roles on granted.grantee = pg_roles.oid"
        " where pg_class.oid = to_regclass(%s) and privilege_type = 'SELECT'",
        [policy.relation],
    ).fetchall()
    for (role,) in readers:
        session.execute(
            sql.SQL("grant usage on schema {} to {role}; grant select on {} to {role}").format(
                sql.Identifier(policy.recalled), name, role=sql.SQL(role)
            )
        )


def _copy(session: psycopg.Connection[Any], file: ArchivedFile, name: Any) -> None:
    """Insert the rows of a file: first as texts, which PostgreSQL then casts."""
    from psycopg import sql

    columns = [sql.Identifier(column.name) for column in file.columns]
    texts = sql.Identifier("texts_of_file")
    session.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            texts, sql.SQL(", ").join(sql.SQL("{} text").format(column) for column in columns)
        )
    )
    with (
        session.cursor() as cursor,
        cursor.copy(sql.SQL("copy {} from stdin").format(texts)) as target,
    ):
        for batch in archive.rows_of(file):
            values = [
                column.readable(array).to_pylist()
                for column, array in zip(file.columns, batch.columns, strict=True)
            ]
            for row in zip(*values, strict=True):
                target.write_row(row)
    session.execute(
        sql.SQL("insert into {} ({}, {}) select {}, {} from {}").format(
            name,
            sql.Identifier(FILE_COLUMN),
            sql.SQL(", ").join(columns),
            sql.Literal(file.file_id),
            sql.SQL(", ").join(column.value() for column in file.columns),
            texts,
        )
    )
    session.execute(sql.SQL("drop table {}").format(texts))


def _checksum(session: psycopg.Connection[Any], file: ArchivedFile, name: Any) -> tuple[int, str]:
    """The number and checksum of the rows of a file that are in the database."""
    from psycopg import sql

    row = session.execute(
        sql.SQL("select count(*), coalesce(sum({}), 0)::text from {} where {} = %s").format(
            hash_of_row(file.columns), name, sql.Identifier(FILE_COLUMN)
        ),
        [file.file_id],
    ).fetchone()
    assert row is not None
    return row
