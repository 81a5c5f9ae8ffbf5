"""Personal data in columns that nobody declared: reads a sample of every text column.

No value is returned or logged. Findings hold counts and kinds only, and an error is named by its
SQLSTATE, because PostgreSQL's message may quote a value.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.privacy.detect import KINDS, find, find_in_json, known_names, resembles_card

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

NAMES_LIMIT = 20_000
SAMPLE_ROWS = 1_000
# A column is reported from this share of its values on, but not for a single value.
LEAST_SHARE = 0.01
LEAST_VALUES = 2
# A table with more rows than this many samples is not read whole.
_LARGE = 20
# TABLESAMPLE reads this many times the rows of a sample. It takes whole blocks, whose rows are
# alike; few blocks might even hold no row.
_OVERSAMPLE = 4
# Characters of a value that are read.
_LONGEST = 100_000
# Rows fetched at a time, and values whose kinds are remembered: most columns repeat theirs.
_BATCH = 200
_REMEMBERED = 2_000
# Numbers with the form of a card pass Luhn's formula one time in ten. In a column of cards, nearly
# all pass.
_LEAST_SHARE_OF_CARDS = 0.5

_READ_ONLY = "set transaction read only"
_RELATIONS = """
    select nspname, relname
    from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on relnamespace = pg_namespace.oid
    where nspname = any(%s) and relkind in ('r', 'p', 'v', 'm', 'f')
        -- The partitioned table has the rows of its partitions.
        and not relispartition
    order by nspname, relname
"""
# Text of every type, also in domains and arrays, json, and addresses of hosts.
_COLUMNS = """
    select attname, type.is_json
    from pg_catalog.pg_attribute
    inner join pg_catalog.pg_class on attrelid = pg_class.oid
    inner join pg_catalog.pg_namespace on relnamespace = pg_namespace.oid
    inner join pg_catalog.pg_type on atttypid = pg_type.oid
    cross join lateral (
        select
            coalesce(nullif(typbasetype, 0), pg_type.oid)
            in ('json'::regtype, 'jsonb'::regtype) as is_json
    ) as type
    where nspname = %(schema)s and relname = %(relation)s and attnum > 0 and not attisdropped
        and (
            typcategory in ('S', 'I')
            or type.is_json
            or (
                typcategory = 'A'
                and exists (
                    select from pg_catalog.pg_type as element
                    where element.oid = pg_type.typelem and element.typcategory in ('S', 'I')
                )
            )
        )
    order by attnum
"""
_KIND_OF_RELATION = """
    select relkind::text
    from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on relnamespace = pg_namespace.oid
    where nspname = %(schema)s and relname = %(relation)s
"""
_GONE = "it no longer exists"
_REASONS = {
    "42P01": _GONE,
    "42703": "a column of it no longer exists",
    "3F000": _GONE,
    "42501": "permission denied",
    "55P03": "it is locked by another session",
    "57014": "reading it took longer than statement_timeout, or was cancelled",
    "55000": "it cannot be read now, such as a materialized view without data",
}


@dataclass(frozen=True, order=True)
class Finding:
    """Personal data in a column.

    Attributes:
        schema: the schema of the relation.
        relation: its name.
        column: the column.
        kind: the kind of personal data, of `warehouse.privacy.detect.KINDS`.
        share: the share of the sampled values that hold it.
        sampled: how many values were read, without nulls.
    """

    schema: str
    relation: str
    column: str
    kind: str
    share: float
    sampled: int


@dataclass(frozen=True, order=True)
class NotScanned:
    """A relation that could not be read.

    Attributes:
        schema: its schema.
        relation: its name.
        reason: why, to complete "was not scanned: ...".
    """

    schema: str
    relation: str
    reason: str


def relations_in(session: psycopg.Connection[Any], schemas: Iterable[str]) -> list[tuple[str, str]]:
    """The tables and views of schemas, as (schema, name), in alphabetical order.

    Args:
        session: a connection, not in a transaction.
        schemas: the names of the schemas; one that does not exist has no relations.
    """
    with session.transaction():
        return _rows(session, _RELATIONS, [list(schemas)])


def read_names(
    session: psycopg.Connection[Any],
    query: sql.Composable,
    limit: int = NAMES_LIMIT,
) -> frozenset[str]:
    """The names of users, for `scan`.

    Args:
        session: a connection, not in a transaction.
        query: returns first and last names, such as those of the users table.
        limit: the greatest number of users.

    Raises:
        WarehouseError: they cannot be read; says why.
    """
    import psycopg
    from psycopg import sql

    try:
        with session.transaction():
            session.execute(_READ_ONLY)
            limited = sql.SQL("select * from ({}) as users limit {}").format(query, limit)
            return known_names(_rows(session, limited))
    except psycopg.Error as error:
        if session.closed:
            raise
        raise WarehouseError(
            f"The names of the users could not be read: {_reason(error)}. Correct that, or scan "
            "without names."
        ) from None


def scan(
    session: psycopg.Connection[Any],
    relations: Iterable[tuple[str, str]],
    tagged: Collection[tuple[str, str, str]],
    *,
    names_query: sql.Composable | None = None,
    names_limit: int = NAMES_LIMIT,
    sample_rows: int = SAMPLE_ROWS,
    least_share: float = LEAST_SHARE,
    least_values: int = LEAST_VALUES,
) -> Iterator[Finding | NotScanned]:
    """Look for personal data in the text and json columns of relations.

    A table of at most 20 samples is read whole, a larger one by TABLESAMPLE, a view or a foreign
    table from its beginning. Each relation is read in a read-only transaction of its own; its
    results are yielded after that transaction, so that the caller may use the session or stop.

    Args:
        session: a connection, not in a transaction. Its timeouts apply to each relation.
        relations: (schema, name) of each, as `relations_in` returns them.
        tagged: (schema, relation, column) of the columns that are known to hold personal data and
            are left out.
        names_query: returns first and last names of users; None looks for no names.
        names_limit: the greatest number of users whose names are looked for.
        sample_rows: how many rows of a large table or of a view to look at.
        least_share: the least share of the sampled values to report, from 0 to 1.
        least_values: the least number of values to report.

    Yields:
        For each relation its findings, by column and kind, or why it was not scanned.

    Raises:
        WarehouseError: the names could not be read.
        psycopg.Error: the connection was lost.
    """
    import psycopg

    names: frozenset[str] = frozenset()
    if names_query is not None:
        names = read_names(session, names_query, names_limit)
    for schema, relation in relations:
        found: list[Finding | NotScanned] = []
        try:
            with session.transaction():
                session.execute(_READ_ONLY)
                for column in _read(session, schema, relation, tagged, names, sample_rows) or ():
                    found += column.findings(schema, relation, least_share, least_values)
        except _Gone:
            found = [NotScanned(schema, relation, _GONE)]
        except psycopg.Error as error:
            if session.closed:
                raise
            found = [NotScanned(schema, relation, _reason(error))]
        yield from found


class _Gone(Exception):
    """A relation does not exist."""


class _Column:
    """A column, and how many of its values hold each kind."""

    def __init__(self, name: str, is_json: bool, names: frozenset[str]) -> None:
        self.name = name
        self._sampled = 0
        self._counts: Counter[str] = Counter()
        self._like_cards = 0
        search = find_in_json if is_json else find

        @functools.lru_cache(maxsize=_REMEMBERED)
        def kinds_of(value: str) -> tuple[tuple[str, ...], bool]:
            return tuple(search(value, names, name)), resembles_card(value)

        self._kinds_of = kinds_of

    def add(self, value: str | None) -> None:
        """Count the kinds of a value."""
        if value is None:
            return
        self._sampled += 1
        kinds, is_like_card = self._kinds_of(value)
        self._counts.update(kinds)
        self._like_cards += is_like_card

    def findings(
        self, schema: str, relation: str, least_share: float, least_values: int
    ) -> Iterator[Finding]:
        """What is found in enough of the values."""
        for kind in KINDS:
            count = self._counts[kind]
            if count < max(least_values, 1) or count < least_share * self._sampled:
                continue
            if kind == "card" and count < _LEAST_SHARE_OF_CARDS * self._like_cards:
                continue
            share = count / self._sampled
            yield Finding(schema, relation, self.name, kind, share, self._sampled)


def _read(
    session: psycopg.Connection[Any],
    schema: str,
    relation: str,
    tagged: Collection[tuple[str, str, str]],
    names: frozenset[str],
    sample_rows: int,
) -> list[_Column]:
    """The columns of a relation that are not tagged, with the counts of a sample.

    Raises:
        _Gone: the relation does not exist.
    """
    from psycopg import sql

    where = {"schema": schema, "relation": relation}
    relkind = _rows(session, _KIND_OF_RELATION, where)
    if not relkind:
        raise _Gone
    columns = [
        _Column(name, is_json, names)
        for name, is_json in _rows(session, _COLUMNS, where)
        if (schema, relation, name) not in tagged
    ]
    if not columns:
        return []
    select = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(
            sql.SQL("pg_catalog.left({}::text, {})").format(
                sql.Identifier(column.name), sql.Literal(_LONGEST)
            )
            for column in columns
        ),
        sql.Identifier(schema, relation),
    )
    for clause in _samples(session, sql.Identifier(schema, relation), relkind[0][0], sample_rows):
        read = 0
        # On the server, so that a wide table does not have to fit into memory.
        with session.cursor(name="pii_scan", row_factory=_tuples()) as cursor:
            cursor.itersize = _BATCH
            for row in cursor.execute(sql.SQL(" ").join([select, clause])):
                read += 1
                for column, value in zip(columns, row, strict=True):
                    column.add(value)
        if read:
            break
    return columns


def _samples(
    session: psycopg.Connection[Any], relation: sql.Identifier, relkind: str, sample_rows: int
) -> Iterator[sql.Composable]:
    """What to add to a query for a sample; the next one counts if the sample has no row."""
    from psycopg import sql

    first_rows = sql.SQL("limit {}").format(sql.Literal(sample_rows))
    if relkind in "rpm":
        # The planner knows the size of a table that was never analyzed, and of all partitions.
        ((plan,),) = _rows(
            session, sql.SQL("explain (format json) select from {}").format(relation)
        )
        rows = plan[0]["Plan"]["Plan Rows"]
        if rows <= _LARGE * sample_rows:
            yield sql.SQL("")
            return
        # The same rows at each scan of the same table.
        yield sql.SQL(
            "tablesample system ({}) repeatable (1)"
            " order by pg_catalog.hashtext(tableoid::text || ctid::text) limit {}"
        ).format(sql.Literal(100 * _OVERSAMPLE * sample_rows / rows), sql.Literal(sample_rows))
    yield first_rows


def _tuples() -> Any:
    from psycopg.rows import tuple_row

    return tuple_row


def _rows(session: psycopg.Connection[Any], query: Any, values: Any = None) -> list[Any]:
    """The rows of a query as tuples, whatever the rows of the session are."""
    with session.cursor(row_factory=_tuples()) as cursor:
        return cursor.execute(query, values).fetchall()


def _reason(error: psycopg.Error) -> str:
    """Why a relation could not be read, without the message, which may quote a value."""
    state = error.sqlstate or "unknown"
    return _REASONS.get(state, f"the query failed with SQLSTATE {state} ({type(error).__name__})")
