"""Rows that could not be loaded."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

_REJECTED = """
    select
        table_name,
        count(*) as number
    from {rejected}
    group by 1
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the rejected rows by source; only those of the contract, whose number is known."""
    rejected = reader.shared("quarantine", "rejected_rows")
    numbers = {row.table_name: row.number for row in reader.rows(_REJECTED, rejected=rejected)}
    for name in reader.contract.tables:
        yield Sample("warehouse_rejected_rows", numbers.get(name, 0), (name,))
