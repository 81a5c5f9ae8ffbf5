"""Look for values of a person in every text and json column of the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

LEFT_OUT = ("pg_catalog", "information_schema")
# A shorter value is part of many others: it is looked for in columns of keys only.
SHORTEST = 6

_COLUMNS = """
    select
        pg_namespace.nspname,
        pg_class.relname,
        pg_attribute.attname,
        pg_type.typname in ('json', 'jsonb')
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


def find(
    session: psycopg.Connection[Any], values: Iterable[str], names: Collection[str]
) -> tuple[dict[str, int], int]:
    """Search all columns for values.

    Args:
        session: a connection that may read every table.
        values: of the person. One of at least `SHORTEST` characters is found anywhere in a text; a
            shorter one as the whole value of a column, or a json key, with one of the names.
        names: the columns that hold keys of persons.

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
    columns: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for schema, relation, column, is_json in session.execute(_COLUMNS, [[*LEFT_OUT]]).fetchall():
        columns.setdefault((schema, relation), []).append((column, is_json))
    # Many values at once would be compared one by one.
    anywhere = len(given) <= 100
    found: dict[str, int] = {}
    for (schema, relation), held in columns.items():
        tests = [_test(sql, name, is_json, names, anywhere) for name, is_json in held]
        row = session.execute(
            sql.SQL("select {} from {} as t").format(
                sql.SQL(", ").join(
                    sql.SQL("count(*) filter (where {})").format(test) for test in tests
                ),
                sql.Identifier(schema, relation),
            )
        ).fetchone()
        for (name, _), count in zip(held, row or (), strict=True):
            if count:
                found[f"{schema}.{relation}.{name}"] = count
    return found, sum(len(held) for held in columns.values())


def _test(sql: Any, name: str, is_json: bool, names: Collection[str], anywhere: bool) -> Any:
    """The condition that a column of a row holds one of the values."""
    column = sql.SQL("t.{}").format(sql.Identifier(name))
    text = sql.SQL("lower({}::text)").format(column)
    searched = sql.SQL("(select value from pg_temp.searched_values)")
    of_length = sql.SQL("(select value from pg_temp.searched_values where length(value) >= {})")
    long = of_length.format(sql.Literal(SHORTEST))
    tests = [
        sql.SQL(
            "exists (select from privacy.words_of({text}) as words (word)"
            " where words.word in {long})"
        ).format(text=text, long=long),
        sql.SQL("{} in {}").format(text, searched if name in names else long),
    ]
    if is_json:
        tests += [
            sql.SQL("lower({}::jsonb ->> {}) in {}").format(column, sql.Literal(key), searched)
            for key in names
        ]
    if anywhere:
        tests.append(
            sql.SQL(
                "exists (select from pg_temp.searched_values where length(value) >= {least}"
                " and strpos({text}, value) > 0)"
            ).format(least=sql.Literal(SHORTEST), text=text)
        )
    return sql.SQL("({})").format(sql.SQL(" or ").join(tests))
