"""Anomalies, and the share of nulls in each column."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

_ANOMALIES = """
    with

    judged as (
        select
            table_name,
            measure,
            is_anomaly,
            rank() over (partition by table_name, measure order by day desc) as days_back
        from {anomalies}
        where is_anomaly is not null and day > current_date - 7
    )

    select
        table_name,
        measure,
        count(*) filter (where is_anomaly) as number
    from judged
    where days_back = 1
    group by 1, 2
"""

# Of fewer than 20 rows, a single null is more than 5 %.
_NULLS = """
    with

    days as (
        select
            table_name,
            column_name,
            day,
            max(value) as value,
            max(day) over (partition by table_name, column_name) as last_day
        from {anomalies}
        where measure = 'null_rate' and row_count >= 20 and day > current_date - 35
        group by table_name, column_name, day
    )

    select
        table_name,
        column_name,
        max(value) filter (where day = last_day) as value,
        percentile_cont(0.5) within group (order by value)
            filter (where day < last_day and day >= last_day - 28) as usual
    from days
    where last_day > current_date - 7
    group by 1, 2
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the anomalies and the shares of nulls."""
    anomalies = reader.own("observability", "anomalies")
    for row in reader.rows(_ANOMALIES, anomalies=anomalies):
        yield Sample("warehouse_anomalies", row.number, (row.table_name, row.measure))
    for row in reader.rows(_NULLS, anomalies=anomalies):
        labels = (row.table_name, row.column_name)
        if row.value is not None:
            yield Sample("warehouse_null_ratio", row.value, labels)
        if row.usual is not None:
            yield Sample("warehouse_null_ratio_usual", row.usual, labels)
