"""Sessions that wait for a lock."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

# A wait for a row is one for a transaction, which belongs to no database: the session tells. A
# session waits for one lock at a time.
_WAITS = """
    select
        count(*) as sessions,
        coalesce(max(extract(epoch from clock_timestamp() - waits.waitstart)), 0) as longest
    from pg_locks as waits
    inner join pg_stat_activity as sessions on waits.pid = sessions.pid
    where not waits.granted and sessions.datname = current_database()
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the waits for locks."""
    for row in reader.rows(_WAITS):
        yield Sample("warehouse_lock_waits", row.sessions)
        yield Sample("warehouse_lock_wait_longest_seconds", max(0, row.longest))
