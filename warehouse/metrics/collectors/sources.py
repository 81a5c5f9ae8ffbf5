"""The sources: when each was loaded last, and how many rows it has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any

from warehouse.contract import LOADED_AT
from warehouse.metrics.reader import MissingRelationError, Reader, Sample

if TYPE_CHECKING:
    from psycopg import sql

# Above this, PostgreSQL would read the whole table for the latest _loaded_at: there is no index.
# An index costs less than 1, and a table of a few thousand rows less than this.
CHEAP = 1000

# As numbers, which can be infinite, like a _loaded_at.
# A row stamped in the future must not hide that nothing else arrives.
_LATEST = """
    select extract(epoch from max({column})) as loaded_at
    from {table}
    where {column} <= now()
"""

_THROUGH = """
    select extract(epoch from max(loaded_through)) as loaded_at
    from {watermarks}
    where upstream_name = %s
"""

# The counters of the table and its partitions; a view has none. Both numbers can be too small:
# one after a crash of the server, the other between two runs of autovacuum.
_ROWS = """
    select sum(greatest(leaves.reltuples, pg_stat_get_live_tuples(leaves.oid), 0)) as number
    from pg_class as tables
    cross join lateral (
        select tables.oid as relid
        where tables.relkind in ('r', 'm')
        union all
        select relid from pg_partition_tree(tables.oid)
        where tables.relkind = 'p' and isleaf
    ) as parts
    inner join pg_class as leaves on parts.relid = leaves.oid
    where tables.oid = to_regclass(%s)
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the metrics of sources."""
    for name in reader.present:
        try:
            table = reader.shared(reader.contract.schema, name)
        except MissingRelationError:
            continue
        source = (name,)
        loaded_at = _loaded_at(reader, table, name)
        yield Sample("warehouse_source_last_load_timestamp_seconds", loaded_at, source)
        age = max(0.0, time.time() - loaded_at) if loaded_at else inf
        yield Sample("warehouse_source_age_seconds", age, source)
        is_checked = reader.contract.tables[name].has_freshness
        yield Sample("warehouse_source_freshness_checked", is_checked, source)
        yield Sample("warehouse_source_rows", _row_count(reader, table), source)


def _loaded_at(reader: Reader, table: sql.Identifier, name: str) -> float:
    """When a source was loaded last, as a Unix timestamp; 0 if never."""
    from psycopg import sql

    latest = sql.SQL(_LATEST).format(column=sql.Identifier(LOADED_AT), table=table)
    if _plan(reader, latest)["Total Cost"] <= CHEAP:
        row = reader.session.execute(latest).fetchone()
        loaded_at = row[0] if row else None
    else:
        # As far as the last build read; a view of another schema may lack the index.
        watermarks = reader.own("observability", "watermarks")
        (found,) = reader.rows(_THROUGH, [f"stg_app__{name}"], watermarks=watermarks)
        loaded_at = found.loaded_at
    return float(loaded_at or 0)


def _row_count(reader: Reader, table: sql.Identifier) -> float:
    from psycopg import sql

    (found,) = reader.rows(_ROWS, [table.as_string(reader.session)])
    if found.number is not None:
        return float(found.number)
    query = sql.SQL("select {} from {}").format(sql.Identifier(LOADED_AT), table)
    return float(_plan(reader, query)["Plan Rows"])


def _plan(reader: Reader, query: sql.Composed) -> dict[str, Any]:
    from psycopg import sql

    row = reader.session.execute(sql.SQL("explain (format json) ") + query).fetchone()
    assert row is not None
    return row[0][0]["Plan"]
