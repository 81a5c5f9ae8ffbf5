"""Runs of dbt: how many succeeded and failed, and the last run of each command."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

STATUSES = ("success", "failure")

# Prometheus takes a counter that falls for one that began again at zero, and adds its whole value.
# So the counter begins again each month; what is deleted from the table is older.
_COUNTS = """
    select
        command,
        status,
        count(*) filter (where finished_at >= date_trunc('month', now(), 'UTC')) as this_month,
        count(*) filter (where finished_at > now() - interval '24 hours') as recent,
        extract(epoch from max(finished_at)) as finished_at
    from {runs} as runs
    where finished_at is not null
    group by 1, 2
"""

_LAST = """
    select distinct on (command)
        command,
        status,
        seconds,
        extract(epoch from finished_at) as finished_at,
        is_published,
        coalesce(failed_count, 0) as failed,
        coalesce(warned_count, 0) as warned,
        coalesce(skipped_count, 0) as skipped,
        node_count
    from {runs} as runs
    where finished_at is not null
    order by command, runs.finished_at desc
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the metrics of runs."""
    runs = reader.own("observability", "runs")
    counts = {(row.command, row.status): row for row in reader.rows(_COUNTS, runs=runs)}
    commands = {command for command, _ in counts}
    # A status that did not occur is zero: increase() and ratios need the series before.
    for key in sorted({*counts, *((each, status) for each in commands for status in STATUSES)}):
        row = counts.get(key)
        yield Sample("warehouse_runs_total", row.this_month if row else 0, key)
        yield Sample("warehouse_recent_runs", row.recent if row else 0, key)
        if row and row.status == "success":
            yield Sample(
                "warehouse_last_success_timestamp_seconds", row.finished_at, (row.command,)
            )
    for row in reader.rows(_LAST, runs=runs):
        command = (row.command,)
        yield Sample("warehouse_last_run_success", row.status == "success", command)
        yield Sample("warehouse_last_run_published", row.is_published, command)
        yield Sample("warehouse_last_run_timestamp_seconds", row.finished_at, command)
        yield Sample("warehouse_last_run_duration_seconds", row.seconds, command)
        ended = {"failed": row.failed, "warned": row.warned, "skipped": row.skipped}
        if row.node_count is not None:
            ended["passed"] = max(0, row.node_count - sum(ended.values()))
        for status, number in ended.items():
            yield Sample("warehouse_last_run_nodes", number, (row.command, status))
