"""Checks of the rows in `incoming`: reject what the raw table cannot hold, and repeated keys."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime

import psycopg
from psycopg import sql

from warehouse import project
from warehouse.contract import LOADED_AT
from warehouse.errors import WarehouseError
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.stage import ROW_BITS
from warehouse.load.target import Target

# As the macro `whitespace`: space, tab, line feed, vertical tab, form feed, carriage return,
# no-break space.
_BLANK = sql.SQL(r"E' \t\n\x0B\f\r\u00A0'")
# In bytes: an index entry of PostgreSQL holds about 2,700. The macro is_too_long has it too.
_LONGEST_KEY = 2_000


def key_problems(target: Target) -> list[tuple[sql.Composable, sql.Composable]]:
    """The errors of a key, as conditions, each with its reason."""
    name = target.table.key
    key = sql.Identifier("incoming", name)
    return [
        (
            sql.SQL("{key} is null or btrim({key}, {blank}) = ''").format(key=key, blank=_BLANK),
            sql.Literal(f"{name}: the key is empty"),
        ),
        (
            sql.SQL("octet_length({}) > {}").format(key, _LONGEST_KEY),
            sql.Literal(f"{name}: the key is longer than {_LONGEST_KEY} bytes"),
        ),
    ]


# The values that a load takes, as regular expressions. PostgreSQL takes more: 'now', '01/02/2024',
# 'UTC+3' (with the sign of POSIX), '07:00:e3' (10:00), 0x1F, 1_000, 'tr'.
_TIME = r"\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
_ZONE = r" ?(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)"
_MIDNIGHT = r"[ Tt]00:00(?::00(?:\.0+)?)?(?: ?(?:Z|UTC|[+-]00(?::?00)?))?"
_TIMESTAMP = rf"^(?:\d{{4,6}}-\d{{2}}-\d{{2}}(?:[ Tt]{_TIME}(?:{_ZONE})?)?(?: BC)?|-?infinity)$"
_DATE = rf"^(?:\d{{4,7}}-\d{{2}}-\d{{2}}(?:{_MIDNIGHT})?(?: BC)?|-?infinity)$"
_NUMBER = r"^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[nN][aA][nN]|[+-]?[iI]nf(?:inity)?)$"
_WHOLE = r"^[+-]?\d+$"
_BOOLEAN = r"^(?:[tTfF01]|[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO])$"

# The expressions for times take 8 microseconds a value. These accept what most files have in 3:
# LIKE finds the marks between the digits, and no two other characters are neighbors.
_OFFSETS = ["", " UTC"] + [
    f"{sign}{hour:02d}{minute}"
    for sign in "+-"
    for hour in range(15)
    for minute in ("", "00", ":00", ":30", ":45")
]
_NO_DIGITS = "'^[0-9]{{0,2}}[^0-9]|[^0-9]([^0-9]|$)'"
_USUAL_DATE = sql.SQL("({0} like '____-__-__' and {0} !~ " + _NO_DIGITS + ")")
_USUAL_TIMESTAMP = sql.SQL(
    """
    (
        (rtrim({0}, 'Z') like '____-__-__ __:__:__%' or rtrim({0}, 'Z') like '____-__-__T__:__:__%')
        and left({0}, 19) !~ """
    + _NO_DIGITS
    + """
        and strpos('.+-Z ', substr({0}, 20, 1)) > 0
        and ltrim(substr(rtrim({0}, 'Z'), 20), '.0123456789') in ("""
    + ", ".join(f"'{offset}'" for offset in _OFFSETS)
    + """)
    )
    """
)
_USUAL_NUMBER = sql.SQL("({0} ~ '^-?[0-9]+[.]?[0-9]*$')")
_NONE = sql.SQL("false")

# By the beginning of the type's name: the usual values, all values, the error of any other.
_FORMS = {
    "timestamp": (_USUAL_TIMESTAMP, _TIMESTAMP, "no ISO date or time"),
    "date": (_USUAL_DATE, _DATE, "no ISO date"),
    "numeric": (_USUAL_NUMBER, _NUMBER, "no decimal number"),
    "smallint": (_NONE, _WHOLE, "no whole number"),
    "integer": (_NONE, _WHOLE, "no whole number"),
    "bigint": (_NONE, _WHOLE, "no whole number"),
    "boolean": (_NONE, _BOOLEAN, "no boolean (true, t, 1, yes, false, f, 0, no)"),
}


def form_of(data_type: str) -> str | None:
    """The values of a type that a load takes, as a regular expression; None if the type has none.

    PostgreSQL and Arrow read it alike.
    """
    return next(
        (form for begin, (_, form, _) in _FORMS.items() if data_type.startswith(begin)), None
    )


def form_problems(
    target: Target, columns: list[str], exact: Container[str] = ()
) -> list[tuple[sql.Composable, sql.Composable]]:
    """Values that PostgreSQL takes, but whose meaning it guesses, or that an index cannot hold.

    Args:
        target: the raw table.
        columns: the columns of `incoming`.
        exact: the columns whose values are known to have the form of their type.
    """
    problems = []
    for name in columns:
        column = sql.Identifier("incoming", name)
        if name in (*target.table.indexes, *target.table.keys) and target.types[name] != "jsonb":
            problems.append(
                (
                    sql.SQL("octet_length({}) > {}").format(column, _LONGEST_KEY),
                    sql.Literal(f"{name}: longer than {_LONGEST_KEY} bytes, the limit of an index"),
                )
            )
        for data_type, (usual, form, problem) in _FORMS.items():
            if target.types[name].startswith(data_type) and name not in exact:
                problems.append(
                    (
                        sql.SQL("not {} and {} !~ {}").format(
                            usual.format(column), column, sql.Literal(form)
                        ),
                        _with_value(f"{name}: {problem}: ", column),
                    )
                )
        digits = re.fullmatch(r"numeric\(\d+,(-?\d+)\)", target.types[name])
        if digits:
            problems.append(
                (
                    sql.SQL(
                        "case when pg_input_is_valid({0}, 'numeric') "
                        "then scale(trim_scale({0}::numeric)) > {1} end"
                    ).format(column, sql.Literal(int(digits[1]))),
                    _with_value(f"{name}: {target.types[name]} would round: ", column),
                )
            )
    return problems


def _with_value(text: str, column: sql.Identifier) -> sql.Composed:
    return sql.SQL("concat({}::text, '\"', left({}, 100), '\"')").format(sql.Literal(text), column)


def _cut(text: str) -> sql.SQL:
    """The beginning of a message; a value that is cut off keeps its closing quote."""
    return sql.SQL(
        f"case when length({text}) > 300 then left({text}, 300) || '...\"' else {text} end"
    )


def type_problems(
    target: Target, columns: list[str]
) -> list[tuple[sql.Composable, sql.Composable]]:
    """Values that PostgreSQL cannot read, with its error messages as reasons."""
    problems = []
    for name in columns:
        if target.types[name] != "text":
            column = sql.Identifier("incoming", name)
            data_type = sql.Literal(target.types[name])
            problems.append(
                (
                    sql.SQL("not pg_input_is_valid({}, {})").format(column, data_type),
                    sql.SQL(
                        """
                        (
                            select concat({}::text, {}, ' (' || {} || ')')
                            from pg_input_error_info({}, {})
                        )
                        """
                    ).format(
                        sql.Literal(f"{name}: "), _cut("message"), _cut("detail"), column, data_type
                    ),
                )
            )
    return problems


def any_of(problems: list[tuple[sql.Composable, sql.Composable]]) -> sql.Composed:
    """The condition that a row has one of the problems; never null."""
    return sql.SQL("coalesce({}, false)").format(
        sql.SQL(" or ").join(sql.SQL("({})").format(condition) for condition, _ in problems)
    )


def reject_unreadable(connection: psycopg.Connection, target: Target, columns: list[str]) -> None:
    """Move the rows that do not fit the table's types from `incoming` to `rejects`."""
    problems = [
        *key_problems(target),
        *form_problems(target, columns),
        *type_problems(target, columns),
    ]
    connection.execute(
        sql.SQL(
            """
            with unreadable as (
                delete from pg_temp.incoming
                where {problems}
                returning *
            )

            insert into pg_temp.rejects (n, key, kind, reason, row_text)
            select n, {key}, 'unreadable', case {reasons} end, to_jsonb(incoming) - 'n'
            from unreadable as incoming
            """
        ).format(
            problems=any_of(problems),
            key=sql.Identifier(target.table.key),
            reasons=sql.SQL(" ").join(
                sql.SQL("when {} then {}").format(condition, reason)
                for condition, reason in problems
            ),
        )
    )


def note_local_times(
    connection: psycopg.Connection, target: Target, columns: list[str], report: Reporter
) -> None:
    """Note values that may be local times: without an offset, in a project with a time zone.

    Args:
        connection: the load's connection.
        target: the raw table.
        columns: the columns of `incoming`.
        report: receives a note for each column.
    """
    zone = project.variable("time_zone", "UTC")
    if zone == "UTC":
        return
    for name in columns:
        if not target.types[name].startswith("timestamp"):
            continue
        rows, example = connection.execute(
            sql.SQL(
                "select count(*), min({0}) from pg_temp.incoming where {0} ~ "
                "'^[0-9]+-[0-9]+-[0-9]+([ Tt][0-9:.]+)?$'"
            ).format(sql.Identifier(name))
        ).fetchone()
        if rows:
            report.note(
                f"{target.table.name}.{name}: {rows:,} times have no offset, such as {example}; "
                f"they are read as UTC. If they are local times of {zone} (variable time_zone), "
                "export them with their offset."
            )


def reject_superseded(connection: psycopg.Connection, target: Target, columns: list[str]) -> None:
    """Keep the last row of each key, and move the others from `incoming` to `rejects`.

    Rows that equal the last one count as duplicates, the others as superseded.
    """
    key = typed(target, target.table.key, "incoming")
    repeated = connection.execute(
        sql.SQL(
            """
            create temporary table repeated as
            select {key} as key, max(n) as last_n
            from pg_temp.incoming
            group by 1
            having count(*) > 1
            """
        ).format(key=key)
    ).rowcount
    if not repeated:
        connection.execute("drop table pg_temp.repeated")
        return
    connection.execute(
        sql.SQL(
            """
            with losers as (
                select
                    incoming.n,
                    ({mine}) is not distinct from ({theirs}) as is_same
                from pg_temp.incoming
                inner join pg_temp.repeated on repeated.key = {key}
                inner join pg_temp.incoming as last on last.n = repeated.last_n
                where incoming.n <> repeated.last_n
            ),

            removed as (
                delete from pg_temp.incoming
                using losers
                where incoming.n = losers.n
                returning incoming.*, losers.is_same
            )

            insert into pg_temp.rejects (n, key, kind, reason, row_text)
            select
                n,
                {name},
                case when is_same then 'duplicate' else 'superseded' end,
                'superseded in the same file',
                to_jsonb(removed) - 'n' - 'is_same'
            from removed
            """
        ).format(
            key=key,
            name=sql.Identifier(target.table.key),
            mine=row_of("incoming", columns),
            theirs=row_of("last", columns),
        )
    )
    connection.execute("drop table pg_temp.repeated")


def row_of(table: str, columns: list[str]) -> sql.Composed:
    """The row of these columns, as an expression."""
    return sql.SQL("row({})").format(
        sql.SQL(", ").join(sql.Identifier(table, name) for name in columns)
    )


def typed(target: Target, column: str, table: str) -> sql.Composable:
    """A text column of a temporary table, cast to the type of the raw table."""
    name = sql.Identifier(table, column)
    if target.types[column] == "text":
        return name
    return sql.SQL("{}::{}").format(name, sql.SQL(target.types[column]))


def check_stamp(connection: psycopg.Connection, target: Target, stamp: datetime) -> None:
    """Refuse a stamp before the newest row's, because builds find new rows by `_loaded_at`.

    Rows that are stamped in the future do not count: builds read past them.

    Raises:
        WarehouseError: the stamp is too early; names both times.
    """
    newest = connection.execute(
        sql.SQL("select max({0}) from {1} where {0} <= clock_timestamp()").format(
            sql.Identifier(LOADED_AT), target.name
        )
    ).fetchone()[0]
    if newest is not None and stamp < newest:
        raise WarehouseError(
            f"{target.table.name} has rows loaded at {newest}, but the stamp of this load is "
            f"{stamp}: a build would miss its rows. Load history from the oldest to the newest."
        )


def count_rejects(connection: psycopg.Connection, summary: TableSummary) -> None:
    """Count the rejected rows by kind, into the summary."""
    counts = dict(
        connection.execute("select kind, count(*) from pg_temp.rejects group by 1").fetchall()
    )
    summary.rejected = counts.get("unreadable", 0)
    summary.superseded = counts.get("superseded", 0)
    summary.duplicates = counts.get("duplicate", 0)


def check_rejected(
    connection: psycopg.Connection, summary: TableSummary, read: list[int], options: Options
) -> None:
    """Refuse a load if one of its files has more unreadable rows than allowed.

    Args:
        connection: the load's connection.
        summary: the counts of the table.
        read: the number of rows of each file.
        options: the options of the load.

    Raises:
        WarehouseError: names the file and its first unreadable row.
    """
    rows = connection.execute(
        """
        select
            (n >> %s)::int,
            count(*),
            (array_agg(concat('line ' || line || ': ', reason) order by n))[1]
        from pg_temp.rejects
        where kind = 'unreadable'
        group by 1
        """,
        (ROW_BITS,),
    ).fetchall()
    for number, rejected, first in rows:
        if rejected * 100 > options.max_rejected * read[number]:
            raise WarehouseError(
                f"{summary.files[number]}: {rejected:,} of {read[number]:,} rows cannot be read, "
                f"more than the {options.max_rejected:g} % allowed; nothing of {summary.table} "
                f"was loaded. The first, {first}. All are in quarantine.rejected_rows; "
                "--max-rejected PERCENT allows more."
            )
