"""Rows that fail a rule now."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

_OPEN = """
    select
        table_name,
        rule_name,
        effect,
        count(*) as number
    from {issues}
    where resolved_at is null
    group by 1, 2, 3
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the rows in quarantine by rule."""
    for row in reader.rows(_OPEN, issues=reader.own("quarantine", "row_issues")):
        labels = (row.table_name, row.rule_name, row.effect)
        yield Sample("warehouse_quarantine_rows", row.number, labels)
