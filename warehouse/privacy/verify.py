"""Look for values of a person in every text and json column of the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

LEFT_OUT = ("pg_catalog", "information_schema")
# A shorter value is found as a word only: it is part of many others.
SHORTEST_PART = 6

_COLUMNS = """
    select pg_namespace.nspname, pg_class.relname, pg_attribute.attname
    from pg_attribute
    inner join pg_class on pg_attribute.attrelid = pg_class.oid
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    inner join pg_type on pg_attribute.atttypid = pg_type.oid
    where pg_class.relkind in ('r', 'p', 'm')
        and not pg_class.relispartition
        and pg_attribute.attnum > 0
        and not pg_attribute.attisdropped
        and (
            pg_type.typcategory in ('S', 'A')
            or pg_type.typname in ('json', 'jsonb', 'xml', 'bytea', 'hstore', 'name')
        )
        and pg_namespace.nspname != all(%s)
        and pg_namespace.nspname !~ '^pg_(toast|temp)'
    order by 1, 2, 3
"""


def find(session: psycopg.Connection[Any], values: Iterable[str]) -> tuple[dict[str, int], int]:
    """Search all columns for values.

    Args:
        session: a connection that may read every table.
        values: of the person; a short one is found as a whole value or word, a longer one
            anywhere.

    Returns:
        The number of rows with one of them, by schema.table.column, and the number of columns.
    """
    from psycopg import sql

    given = {each.strip().lower() for each in values if each.strip()}
    session.execute("drop table if exists pg_temp.searched_values")
    session.execute("create temporary table searched_values (value text primary key)")
    with (
        session.cursor() as cursor,
        cursor.copy("copy pg_temp.searched_values (value) from stdin") as rows,
    ):
        for each in given:
            rows.write_row((each,))
    session.execute("analyze pg_temp.searched_values")
    columns: dict[tuple[str, str], list[str]] = {}
    for schema, relation, column in session.execute(_COLUMNS, [[*LEFT_OUT]]).fetchall():
        columns.setdefault((schema, relation), []).append(column)
    parts = any(len(each) >= SHORTEST_PART for each in given) and len(given) <= 100
    found: dict[str, int] = {}
    for (schema, relation), names in columns.items():
        tests = [_test(sql, name, parts) for name in names]
        row = session.execute(
            sql.SQL("select {} from {} as t").format(
                sql.SQL(", ").join(
                    sql.SQL("count(*) filter (where {})").format(test) for test in tests
                ),
                sql.Identifier(schema, relation),
            )
        ).fetchone()
        for name, count in zip(names, row or (), strict=True):
            if count:
                found[f"{schema}.{relation}.{name}"] = count
    return found, sum(len(names) for names in columns.values())


def _test(sql: Any, name: str, parts: bool) -> Any:
    text = sql.SQL("lower(t.{}::text)").format(sql.Identifier(name))
    test = sql.SQL(
        "({text} in (select value from pg_temp.searched_values)"
        " or exists (select from privacy.words_of({text}) as words (word)"
        " where words.word in (select value from pg_temp.searched_values))"
    ).format(text=text)
    if parts:
        # Many values at once would be compared one by one.
        test += sql.SQL(
            " or exists (select from pg_temp.searched_values where length(value) >= {least}"
            " and strpos({text}, value) > 0)"
        ).format(least=sql.Literal(SHORTEST_PART), text=text)
    return test + sql.SQL(")")
