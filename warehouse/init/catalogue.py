"""What a source says about its tables: columns, types, keys, references, and sampled values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from warehouse.errors import WarehouseError

SAMPLE_ROWS = 200_000  # a larger table is sampled
MOST_VALUES = 40  # a column with more distinct values is no status
SECONDS = 30  # for each query on the source's rows

_KINDS = {
    "text": ("text", "character varying", "character", "citext", "name", '"char"'),
    "integer": ("smallint", "integer", "bigint"),
    "number": ("numeric", "real", "double precision", "money"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamptz": ("timestamp with time zone",),
    "timestamp": ("timestamp without time zone",),
    "json": ("json", "jsonb"),
    "uuid": ("uuid",),
}


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: its name.
        sql: its name as SQL, quoted if needed.
        data_type: its type; that of the base type for a domain.
        kind: a key of _KINDS, "enum", or "other".
        labels: the values of its enum.
    """

    name: str
    sql: str
    data_type: str
    kind: str
    labels: tuple[str, ...] = ()


@dataclass
class Relation:
    """A table or view of the source.

    Attributes:
        schema, name: its name.
        sql: its name with the schema as SQL.
        kind: pg_class.relkind.
        rows: the estimated number of rows; -1 if it was never analyzed.
        hides_rows: whether row-level security may hide rows from this user.
        shows_xmin: whether this user may read the transactions of its rows.
        columns: the columns that this user may read, by name.
        key: the columns of its primary key, else of a unique index without nulls.
        references: column -> the table and column that its foreign key points to.
    """

    schema: str
    name: str
    sql: str
    kind: str
    rows: float
    hides_rows: bool
    shows_xmin: bool
    columns: dict[str, Column] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    references: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Catalogue:
    """The tables of a source's schema, by "schema.table", and those that may not be read."""

    relations: dict[str, Relation]
    unreadable: tuple[str, ...]


def bound(source: psycopg.Connection) -> None:
    """Limit the time of each query on the source."""
    source.execute(f"set statement_timeout = '{SECONDS}s'")


def read(source: psycopg.Connection, schema: str, named: Iterable[str] = ()) -> Catalogue:
    """Read the catalogue.

    Args:
        source: the connection.
        schema: the schema of the application's tables.
        named: further tables, as "schema.table"; they may be views.

    Raises:
        WarehouseError: the schema does not exist or has no table.
    """
    rows = source.execute(
        """
        select
            relation.oid,
            namespace.nspname,
            relation.relname,
            quote_ident(namespace.nspname) || '.' || quote_ident(relation.relname),
            relation.relkind::text,
            case when relation.relkind = 'p' then (
                select coalesce(sum(part.reltuples), 0) from pg_partition_tree(relation.oid) as tree
                inner join pg_class as part on part.oid = tree.relid
                where tree.isleaf
            ) else relation.reltuples end::float8,
            has_any_column_privilege(relation.oid, 'select')
                and has_schema_privilege(namespace.oid, 'usage'),
            row_security_active(relation.oid),
            case when relation.relkind in ('r', 'p') then
                has_column_privilege(relation.oid, 'xmin', 'select')
            else false end
        from pg_class as relation
        inner join pg_namespace as namespace on namespace.oid = relation.relnamespace
        where not relation.relispartition
            and (
                namespace.nspname = %(schema)s and relation.relkind in ('r', 'p', 'f')
                or namespace.nspname || '.' || relation.relname = any(%(named)s)
                and relation.relkind in ('r', 'p', 'f', 'v', 'm')
            )
        order by 2, 3
        """,
        {"schema": schema, "named": list(named)},
    ).fetchall()
    if not rows:
        raise WarehouseError(_no_tables(source, schema))
    by_oid = {row[0]: Relation(*row[1:6], *row[7:9]) for row in rows if row[6]}
    _read_columns(source, by_oid)
    _read_keys(source, by_oid)
    return Catalogue(
        {relation.shown: relation for relation in by_oid.values()},
        tuple(f"{row[1]}.{row[2]}" for row in rows if not row[6]),
    )


def _no_tables(source: psycopg.Connection, schema: str) -> str:
    rows = source.execute(
        """
        select namespace.nspname, count(*)
        from pg_class as relation
        inner join pg_namespace as namespace on namespace.oid = relation.relnamespace
        where relation.relkind in ('r', 'p', 'f') and not relation.relispartition
            and namespace.nspname !~ '^pg_' and namespace.nspname <> 'information_schema'
        group by 1
        order by 2 desc, 1
        """
    ).fetchall()
    others = ", ".join(f"{name} ({count} tables)" for name, count in rows) or "no schema"
    return f"The schema {schema} of the source has no table. With tables: {others}; set --schema."


def _read_columns(source: psycopg.Connection, by_oid: dict[int, Relation]) -> None:
    rows = source.execute(
        """
        select
            attribute.attrelid,
            attribute.attname,
            quote_ident(attribute.attname),
            format_type(base.oid, null),
            base.typtype = 'e',
            array(
                select enumlabel from pg_enum where enumtypid = base.oid order by enumsortorder
            )::text[]
        from pg_attribute as attribute
        inner join pg_type as base on base.oid = (
            with recursive types as (
                select oid, typtype, typbasetype from pg_type where oid = attribute.atttypid

                union all

                select below.oid, below.typtype, below.typbasetype
                from types
                inner join pg_type as below on below.oid = types.typbasetype
                where types.typtype = 'd'
            )

            select oid from types where typtype <> 'd'
        )
        where attribute.attrelid = any(%s) and attribute.attnum > 0 and not attribute.attisdropped
            and has_column_privilege(attribute.attrelid, attribute.attnum, 'select')
        order by attribute.attrelid, attribute.attnum
        """,
        (list(by_oid),),
    ).fetchall()
    kind_of = {name: kind for kind, names in _KINDS.items() for name in names}
    for oid, name, quoted, data_type, is_enum, labels in rows:
        kind = "enum" if is_enum else kind_of.get(data_type, "other")
        by_oid[oid].columns[name] = Column(name, quoted, data_type, kind, tuple(labels))


def _read_keys(source: psycopg.Connection, by_oid: dict[int, Relation]) -> None:
    keys = source.execute(
        """
        select
            index.indrelid,
            array(
                select attribute.attname
                from unnest(index.indkey::smallint[]) with ordinality as part (attnum, place)
                inner join pg_attribute as attribute
                    on attribute.attrelid = index.indrelid and attribute.attnum = part.attnum
                where attribute.attnotnull and part.place <= index.indnkeyatts
                order by part.place
            )::text[],
            index.indnkeyatts
        from pg_index as index
        where index.indrelid = any(%s) and index.indisunique and index.indisvalid
            and index.indpred is null and index.indexprs is null
        order by index.indisprimary desc, index.indnkeyatts, index.indexrelid
        """,
        (list(by_oid),),
    ).fetchall()
    for oid, columns, count in keys:
        if not by_oid[oid].key and len(columns) == count:
            by_oid[oid].key = tuple(columns)
    references = source.execute(
        """
        select
            reference.conrelid,
            own.attname,
            namespace.nspname || '.' || target.relname,
            other.attname
        from pg_constraint as reference
        inner join pg_class as target on target.oid = reference.confrelid
        inner join pg_namespace as namespace on namespace.oid = target.relnamespace
        inner join pg_attribute as own
            on own.attrelid = reference.conrelid and own.attnum = reference.conkey[1]
        inner join pg_attribute as other
            on other.attrelid = reference.confrelid and other.attnum = reference.confkey[1]
        where reference.contype = 'f' and reference.conrelid = any(%s)
            and cardinality(reference.conkey) = 1
        """,
        (list(by_oid),),
    ).fetchall()
    for oid, column, table, target in references:
        by_oid[oid].references[column] = (table, target)


def values(
    source: psycopg.Connection, relation: Relation, column: Column
) -> list[tuple[str | None, int]] | None:
    """The values of a column as text, with their number of rows; of a sample if it is large.

    Returns:
        The most frequent first, MOST_VALUES + 1 at most; None if the query failed or took too long.
    """
    share = ""
    if relation.rows > SAMPLE_ROWS and relation.kind in ("r", "p", "m"):
        share = f" tablesample system ({100 * SAMPLE_ROWS / relation.rows:.6f})"
    query = sql.SQL(
        "select {0}::text, count(*) from {1}{2} group by 1 order by 2 desc, 1 limit {3}"
    ).format(
        sql.SQL(column.sql),
        sql.SQL(relation.sql),
        sql.SQL(share),
        sql.Literal(MOST_VALUES + 1),
    )
    try:
        with source.transaction():
            return source.execute(query).fetchall()
    except psycopg.Error:  # it took too long, or a policy forbids it
        return None
