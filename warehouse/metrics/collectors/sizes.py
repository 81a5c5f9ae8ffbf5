"""How much disk each table and its indexes take."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

# Partitions count for their table. A relation that is dropped meanwhile has the size null.
_SIZES = """
    select
        pg_namespace.nspname as schema_name,
        tables.relname as table_name,
        sum(pg_table_size(parts.oid)) as table_bytes,
        sum(pg_indexes_size(parts.oid)) as index_bytes
    from pg_class as parts
    inner join pg_class as tables
        on coalesce(pg_partition_root(parts.oid), parts.oid) = tables.oid
    inner join pg_namespace on tables.relnamespace = pg_namespace.oid
    where parts.relkind in ('r', 'm')
        and pg_namespace.nspname = any(%s)
        and tables.relname not like '%%\\_\\_dbt\\_%%'
    group by 1, 2
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the sizes of the project's tables."""
    for row in reader.rows(_SIZES, [reader.schemas()]):
        labels = (row.schema_name, row.table_name)
        if row.table_bytes is not None:
            yield Sample("warehouse_table_size_bytes", row.table_bytes, labels)
            yield Sample("warehouse_index_size_bytes", row.index_bytes or 0, labels)
