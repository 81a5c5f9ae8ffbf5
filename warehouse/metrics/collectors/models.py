"""The last run of each model, snapshot and seed."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

# A model that did not run for a week is no longer reported; older months are not read.
_LAST = """
    select distinct on (node_name, resource_type)
        node_name,
        resource_type,
        seconds,
        rows_written,
        extract(epoch from finished_at) as finished_at
    from {results} as results
    where finished_at > now() - interval '7 days'
        and resource_type in ('model', 'snapshot', 'seed')
        and status != 'skipped'
    order by node_name, resource_type, results.finished_at desc
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the metrics of models."""
    results = reader.own("observability", "run_results")
    for row in reader.rows(_LAST, results=results):
        labels = (row.node_name, row.resource_type)
        yield Sample("warehouse_model_duration_seconds", row.seconds, labels)
        yield Sample("warehouse_model_last_run_timestamp_seconds", row.finished_at, labels)
        if row.rows_written is not None:
            yield Sample("warehouse_model_rows_written", row.rows_written, labels)
