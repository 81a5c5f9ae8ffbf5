"""Partitions: how many lie ahead, and whether the default partition has rows."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

# A default partition should be empty; if it is not, it may be large.
COUNTED = 10_000

# Bounds are cast after those of other types are filtered out.
_PARTITIONS = """
    with

    bounds as materialized (
        select
            pg_namespace.nspname as schema_name,
            tables.relname as table_name,
            partitions.lower_bound
        from {bounds} as partitions
        inner join pg_class as tables on partitions.parent = tables.oid
        inner join pg_namespace on tables.relnamespace = pg_namespace.oid
        inner join pg_partitioned_table on tables.oid = pg_partitioned_table.partrelid
        inner join pg_attribute
            on tables.oid = pg_attribute.attrelid
                and pg_partitioned_table.partattrs[0] = pg_attribute.attnum
        where pg_namespace.nspname = any(%s)
            and not partitions.is_default
            and partitions.lower_bound is not null
            and pg_attribute.atttypid in (
                'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype
            )
    )

    select
        schema_name,
        table_name,
        count(*) as partitions,
        count(*) filter (where lower_bound::timestamptz > now()) as ahead
    from bounds
    group by 1, 2
"""

_DEFAULTS = """
    select
        pg_namespace.nspname as schema_name,
        tables.relname as table_name,
        default_namespace.nspname as default_schema,
        defaults.relname as default_name,
        has_table_privilege(defaults.oid, 'select')
            and has_schema_privilege(defaults.relnamespace, 'usage') as may_count,
        greatest(defaults.reltuples, pg_stat_get_live_tuples(defaults.oid), 0) as estimate
    from pg_partitioned_table
    inner join pg_class as tables on pg_partitioned_table.partrelid = tables.oid
    inner join pg_namespace on tables.relnamespace = pg_namespace.oid
    inner join pg_class as defaults on pg_partitioned_table.partdefid = defaults.oid
    inner join pg_namespace as default_namespace on defaults.relnamespace = default_namespace.oid
    where pg_namespace.nspname = any(%s)
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the metrics of partitioned tables."""
    bounds = reader.own("observability", "partition_bounds")
    for row in reader.rows(_PARTITIONS, [reader.schemas()], bounds=bounds):
        labels = (row.schema_name, row.table_name)
        yield Sample("warehouse_partitions", row.partitions, labels)
        yield Sample("warehouse_partitions_ahead", row.ahead, labels)
    for row in reader.rows(_DEFAULTS, [reader.schemas()]):
        labels = (row.schema_name, row.table_name)
        yield Sample("warehouse_default_partition_rows", _default_rows(reader, row), labels)


def _default_rows(reader: Reader, row: object) -> float:
    from psycopg import sql

    if not row.may_count:  # type: ignore[attr-defined]
        return float(row.estimate)  # type: ignore[attr-defined]
    table = sql.Identifier(row.default_schema, row.default_name)  # type: ignore[attr-defined]
    query = "select count(*) as number from (select from {table} limit %s) as counted"
    (counted,) = reader.rows(query, [COUNTED], table=table)
    return float(counted.number)
