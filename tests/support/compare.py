"""Compares a mart with an expected table row by row; exactly, except for cells that are Near."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

Row = dict[str, Any]


@dataclass(frozen=True)
class Near:
    """An expected number with a tolerance, for values that two programs compute in floating point.

    The actual value may differ by `tolerance` times the larger of the expected size and 1.
    """

    value: float
    tolerance: float

    def __str__(self) -> str:
        return f"about {self.value!r}"


def fetch(database: Any, relation: str, columns: Sequence[str], where: str = "true") -> list[Row]:
    """Read columns of a table or view as Python values.

    Args:
        database: has `connect()`, which returns a psycopg connection.
        relation: schema and name, such as `marts.user_analytics`.
        columns: the columns to read.
        where: an SQL condition, written by the test.

    Returns:
        One dictionary per row. Numerics are decimals; timestamps are aware and in UTC.
    """
    query = sql.SQL("select {columns} from {relation} where {where}").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        relation=sql.Identifier(*relation.split(".")),
        where=sql.SQL(where),
    )
    with database.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows = connection.execute(query).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _by_key(rows: Iterable[Row], key: Sequence[str], side: str) -> tuple[dict, list[str]]:
    """Rows by key, and an error line for each duplicate key."""
    found: dict[tuple, Row] = {}
    complaints = []
    for row in rows:
        value = tuple(row[name] for name in key)
        if value in found:
            complaints.append(f"twice in {side}: {_show_key(key, value)}")
        found[value] = row
    return found, complaints


def _show_key(key: Sequence[str], value: Sequence[Any]) -> str:
    return ", ".join(f"{name}={part}" for name, part in zip(key, value, strict=True))


def _differs(actual: Any, expected: Any) -> bool:
    """Whether two cells differ; the float 1.0 differs from the exact decimal 1.0."""
    if isinstance(expected, Near):
        allowed = expected.tolerance * max(abs(expected.value), 1)
        return actual is None or not abs(float(actual) - expected.value) <= allowed
    if actual is None or expected is None:
        return actual is not expected
    return type(actual) is not type(expected) or actual != expected


def _show_cell(cell: Any) -> str:
    return "null" if cell is None else str(cell)


def _show_difference(name: str, actual: Any, expected: Any) -> str:
    """Describe a differing cell; includes the types if the values look the same."""
    if str(actual) == str(expected) or (actual == expected and type(actual) is not type(expected)):
        actual, expected = (f"{cell} ({type(cell).__name__})" for cell in (actual, expected))
    return f"{name} is {_show_cell(actual)}, expected {_show_cell(expected)}"


def differences(actual: Iterable[Row], expected: Iterable[Row], key: Sequence[str]) -> list[str]:
    """List every difference between two tables, one line each.

    Args:
        actual: the rows of the mart.
        expected: the rows of the oracle; only their columns are compared.
        key: the columns that identify a row.

    Returns:
        Lines such as `user_id=7: total_orders is 2, expected 3`; empty when the tables are equal.
    """
    is_there, lines = _by_key(actual, key, "the mart")
    should_be, expected_lines = _by_key(expected, key, "the oracle")
    lines += expected_lines
    for value, wanted in should_be.items():
        if value not in is_there:
            lines.append(f"missing in the mart: {_show_row(wanted)}")
            continue
        row = is_there[value]
        cells = [
            _show_difference(name, row[name], wanted[name])
            for name in wanted
            if _differs(row[name], wanted[name])
        ]
        if cells:
            lines.append(f"{_show_key(key, value)}: {'; '.join(cells)}")
    lines += [
        f"not expected in the mart: {_show_row(row)}"
        for value, row in is_there.items()
        if value not in should_be
    ]
    return lines


def _show_row(row: Row) -> str:
    return ", ".join(f"{name}={_show_cell(cell)}" for name, cell in row.items())


def assert_same(
    actual: Sequence[Row],
    expected: Sequence[Row],
    key: Sequence[str],
    what: str,
    limit: int = 10,
) -> None:
    """Fail with the first differing rows, unless the two tables are equal.

    Args:
        actual: the rows of the mart.
        expected: the rows of the oracle.
        key: the columns that identify a row.
        what: the name of the table, for the message.
        limit: the maximum number of differences to show.

    Raises:
        AssertionError: the tables differ.
    """
    lines = differences(actual, expected, key)
    if lines:
        shown = "\n  ".join(lines[:limit])
        more = f"\n  ... and {len(lines) - limit} more" if len(lines) > limit else ""
        raise AssertionError(
            f"{what}: {len(lines)} differences ({len(actual)} rows, expected {len(expected)}):"
            f"\n  {shown}{more}"
        )


def assert_mart(
    database: Any,
    relation: str,
    expected: Sequence[Row],
    key: Sequence[str],
    where: str = "true",
    what: str | None = None,
) -> None:
    """Compare a relation with the oracle's rows, over the oracle's columns.

    Args:
        database: has `connect()`.
        relation: schema and name.
        expected: the oracle's rows; at least one, because it names the columns.
        key: the columns that identify a row.
        where: an SQL condition that selects the rows of the relation to compare.
        what: a prefix for the message, such as the data set and the day.

    Raises:
        AssertionError: the tables differ, or `expected` is empty.
    """
    assert expected, f"{relation}: the oracle expects no row, so the comparison would prove nothing"
    actual = fetch(database, relation, list(expected[0]), where)
    assert_same(actual, expected, key, f"{what}: {relation}" if what else relation)
