"""Read JSON lines: PostgreSQL parses the JSON, so that numbers keep every digit."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse.load.formats.opening import BROKEN, Counted, broken, open_bytes
from warehouse.load.stage import (
    ROW_BITS,
    add_rejects,
    reject_nested_too_deeply,
    unwritable,
)
from warehouse.printable import printable

_SAMPLE = 1_000  # lines to read before the load
_FLUSH = 1 << 20  # bytes to send at once
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\r": b"\\r"}


def sample(path: Path) -> tuple[set[str], bool]:
    """The names in the objects of the first lines, and whether there is any row.

    Names are without capitals and blanks around, as those of other formats.
    """
    names: set[str] = set()
    some = False
    try:
        with open_bytes(path) as stream:
            rows = (line for line in stream if line.strip())
            for line in itertools.islice(rows, _SAMPLE):
                some = True
                names |= _names(line)
    except BROKEN as error:
        raise broken(path, error) from None
    return names, some


def _names(line: bytes) -> set[str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return set()
    return {plain(name) for name in value} if isinstance(value, dict) else set()


def plain(name: str) -> str:
    """A name as it is compared with those of the contract."""
    return name.strip().lower()


def create_lines(connection: psycopg.Connection) -> None:
    """Create the temporary table of the lines."""
    connection.execute("drop table if exists pg_temp.lines")
    connection.execute("create temporary table lines (n bigint, line text)")


def stage(
    connection: psycopg.Connection,
    path: Path,
    file_number: int,
    advance: Callable[[int, int], None],
) -> int:
    """Write the file's lines into the table of lines; returns the number of rows."""
    counted = Counted(path)
    first = file_number << ROW_BITS
    rejects: list[tuple[int, str, str | None]] = []
    rows = size = 0
    waiting: list[bytes] = []
    try:
        with (
            connection.transaction(),
            open_bytes(path, counted) as stream,
            connection.cursor().copy("copy pg_temp.lines (n, line) from stdin") as copy,
        ):
            for number, ended in enumerate(stream, start=first + 1):
                line = ended.strip()
                if number == first + 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line:
                    continue
                rows += 1
                problem = unwritable(line)
                if problem:
                    rejects.append((number, problem, printable(line)))
                    continue
                for character, escape in _ESCAPES.items():
                    if character in line:
                        line = line.replace(character, escape)
                waiting.append(b"%d\t%s\n" % (number, line))
                size += len(line)
                if size > _FLUSH:
                    copy.write(b"".join(waiting))
                    waiting.clear()
                    size = 0
                    advance(counted.done, rows)
            copy.write(b"".join(waiting))
    except BROKEN as error:
        raise broken(path, error) from None
    add_rejects(connection, rejects)
    advance(counted.done, rows)
    return rows


def reject_unreadable(connection: psycopg.Connection) -> None:
    """Move lines that are not JSON objects from the table of lines to `rejects`."""
    reject_nested_too_deeply(connection, "lines", "line")
    connection.execute(
        """
        insert into pg_temp.rejects (n, kind, reason, row_text)
        select n, 'unreadable', reason, line
        from (
            select
                n,
                line,
                case
                    when not pg_input_is_valid(line, 'jsonb') then (
                        select concat_ws(': ', 'not JSON', info.message, info.detail)
                        from pg_input_error_info(line, 'jsonb') as info
                    )
                    when line not like '{%' then 'not a JSON object'
                end as reason
            from pg_temp.lines
        ) as checked
        where reason is not null
        """
    )


def spellings(connection: psycopg.Connection, known: set[str]) -> dict[str, list[str]]:
    """The keys of the objects by their plain name; rejects objects that have a known one twice.

    Args:
        connection: the load's connection.
        known: the columns of the contract.
    """
    # Most files have few distinct lists of keys. Unlike jsonb, json keeps a key that is repeated.
    valid = """
        select n, line, array(select json_object_keys(line::json)) as keys
        from (
            select n, line from pg_temp.lines where n not in (select n from pg_temp.rejects)
            offset 0
        ) as valid
    """
    lists = connection.execute(
        f"select distinct keys, keys::text from ({valid}) as rows"
    ).fetchall()
    found: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for keys, shown in lists:
        names: dict[str, list[str]] = {}
        for key in keys:
            names.setdefault(plain(key), []).append(key)
        for name, same in names.items():
            known_spellings = found.setdefault(name, [])
            known_spellings += [key for key in dict.fromkeys(same) if key not in known_spellings]
            if len(same) > 1 and name in known:
                reasons[shown] = f"the key {name} {len(same)} times: {', '.join(same)}"
    if reasons:
        connection.execute(
            f"""
            insert into pg_temp.rejects (n, kind, reason, row_text)
            select n, 'unreadable', reason, line
            from ({valid}) as rows
            inner join unnest(%s::text[], %s::text[]) as repeated (keys, reason)
                on repeated.keys = rows.keys::text
            """,
            ([*reasons], [*reasons.values()]),
        )
    return found


def unfold(
    connection: psycopg.Connection, columns: dict[str, str], keys: dict[str, list[str]]
) -> None:
    """Turn the lines into rows of `incoming`.

    In a jsonb column, a string that contains an object or an array is read as that value.

    Args:
        connection: the load's connection.
        columns: the columns of the file with their types.
        keys: the spellings of each column's name.
    """
    values = [
        sql.SQL("coalesce({})").format(
            sql.SQL(", ").join(
                (_JSON if data_type == "jsonb" else _TEXT).format(name=sql.Literal(key))
                for key in keys.get(name, [name])
            )
        )
        for name, data_type in columns.items()
    ]
    # `offset 0` keeps the parsed object from being computed again for every column.
    connection.execute(
        sql.SQL(
            """
            insert into pg_temp.incoming (n, {names})
            select n, {values}
            from (
                select n, line::jsonb as object
                from pg_temp.lines
                where n not in (select n from pg_temp.rejects)
                offset 0
            ) as parsed
            """
        ).format(
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(values),
        )
    )


_TEXT = sql.SQL("object ->> {name}")
_JSON = sql.SQL(
    """
    case
        when jsonb_typeof(object -> {name}) = 'string'
            and object ->> {name} ~ '^\\s*[{{[]' and pg_input_is_valid(object ->> {name}, 'jsonb')
            then object ->> {name}
        when jsonb_typeof(object -> {name}) <> 'null' then (object -> {name})::text
    end
    """
)
