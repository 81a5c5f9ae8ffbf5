"""Create the views of a mapping in `raw`, for tables in the warehouse's own database."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from warehouse import console
from warehouse.contract import LOADED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.mapping import Mapping
from warehouse.privacy import roles


def apply(
    connection: psycopg.Connection, contract: Contract, found: dict[str, Mapping], folder: Path
) -> None:
    """Create or replace one view per file, all in one transaction.

    Raises:
        WarehouseError: a line is still open, or PostgreSQL refuses a view; nothing was changed.
    """
    waiting = [
        f"{each.path}, line {number}: {text}"
        for each in found.values()
        for number, text in each.open_lines
    ]
    if waiting:
        raise WarehouseError(
            f"{len(waiting)} lines are still marked OPEN; decide them, and delete the marks:\n  "
            + "\n  ".join(waiting)
        )
    missing = [name for name in ("users", "orders") if name not in found]
    if missing:
        raise WarehouseError(f"{folder} has no {missing[0]}.sql, and the warehouse needs it.")
    with connection.transaction():
        schema = sql.Identifier(contract.schema)
        if not connection.execute(
            "select to_regnamespace(quote_ident(%s)) is not null", (contract.schema,)
        ).fetchone()[0]:
            connection.execute(sql.SQL("create schema {}").format(schema))
        for name, each in found.items():
            _create(connection, contract.schema, contract.tables[name], each)
        roles.let_transformer_read(connection, contract.schema)
        # Several tables may come from one: name each index once.
        indexes = dict.fromkeys(
            text
            for name in found
            for text in _missing_indexes(connection, contract.schema, contract.tables[name])
        )
    console.say(f"Created the views {', '.join(f'{contract.schema}.{name}' for name in found)}.")
    if indexes:
        console.say("\nBuilds look rows up by these expressions, which no index has. Create them:")
        for text in indexes:
            console.say(f"  {text}")
    absent = [name for name in contract.tables if name not in found]
    variables = f" --vars '{{sources_present: [{', '.join(found)}]}}'" if absent else ""
    console.say(f"\nNext:\n  .venv/bin/dbt build{variables}")


def _create(connection: psycopg.Connection, schema: str, table: Table, each: Mapping) -> None:
    name = sql.Identifier(schema, table.name)
    shown = f"{schema}.{table.name}"
    kind = connection.execute(
        "select relkind::text from pg_class where oid = to_regclass(%s)",
        (name.as_string(connection),),
    ).fetchone()
    if kind is not None and kind[0] != "v":
        raise WarehouseError(
            f"{shown} is a table, perhaps of `warehouse load`: drop or rename it first. Nothing "
            "was changed."
        )
    try:
        # A syntax error has a position in the text, which must begin with the select.
        connection.execute(
            sql.SQL("create or replace view {} as\n{}").format(name, sql.SQL(each.query))
        )
    except psycopg.errors.InvalidTableDefinition as error:
        raise WarehouseError(
            f"{each.path} changes the columns of the view {shown}: {error.diag.message_primary}. "
            f"Drop it first: drop view {shown} cascade; the next build restores the views on it."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(
            f"{each.path}: {error.diag.message_primary}. Nothing was changed."
        ) from None
    columns = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0",
        (name.as_string(connection),),
    ).fetchall()
    needed = [*table.columns, LOADED_AT, "_deleted_at"]
    absent = [column for column in needed if (column,) not in columns]
    if absent:
        raise WarehouseError(
            f"{each.path} lacks {', '.join(absent)}: select a null for each that you do not have. "
            "Nothing was changed."
        )


def _missing_indexes(connection: psycopg.Connection, schema: str, table: Table) -> list[str]:
    """Statements for the indexes that builds need on the table below a view of one table."""
    view = sql.Identifier(schema, table.name).as_string(connection)
    below = connection.execute(
        """
        select distinct relation.oid::regclass::text
        from pg_rewrite as rule
        inner join pg_depend as dependency
            on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
        inner join pg_class as relation
            on relation.oid = dependency.refobjid and relation.relkind in ('r', 'p', 'm')
        where rule.ev_class = to_regclass(%s)
            and dependency.refclassid = 'pg_class'::regclass
        """,
        (view,),
    ).fetchall()
    if len(below) != 1:
        return []
    relation = below[0][0]
    found = []
    for column in (table.key, LOADED_AT, *table.indexes):
        expression = _expression(connection, view, column)
        if expression is None:
            continue
        covered = connection.execute(
            """
            select exists (
                select from pg_index
                where indrelid = to_regclass(%s) and indisvalid and indpred is null
                    and pg_get_indexdef(indexrelid, 1, true) in (%s, '(' || %s || ')')
            )
            """,
            (relation, expression, expression),
        ).fetchone()[0]
        if not covered:
            found.append(f"create index concurrently on {relation} (({expression}));")
    return found


def _expression(connection: psycopg.Connection, view: str, column: str) -> str | None:
    """The expression of a view's column, without the name of the table; None if it is complex."""
    text = connection.execute("select pg_get_viewdef(to_regclass(%s), true)", (view,)).fetchone()[0]
    for line in text.removesuffix(";").splitlines():
        part = line.strip().removeprefix("SELECT ").rstrip(",")
        expression, _, name = part.rpartition(" AS ")
        expression = expression or part
        if (name or part.rpartition(".")[2]) == column or part.rpartition(".")[2] == column:
            expression = expression.replace("source.", "")
            simple = expression.replace("::text", "").replace("_", "a")
            if simple.isalnum():
                return expression
            return expression if "at time zone" in expression.lower() else None
    return None
