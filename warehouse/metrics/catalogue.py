"""The metrics that the exporter exports: their names, types, labels and help.

Label values are names of the project: commands, models, sources, rules, tables. None is a value of
a row, so their number does not grow with the data.
"""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        help: what it says.
        labels: the names of its labels.
        type: its type in Prometheus.
    """

    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"


METRICS = {
    "warehouse_up": Metric("1 if the database answers, else 0."),
    "warehouse_exporter_info": Metric(
        "Always 1; its labels name the version of the exporter and dbt's target.",
        ("version", "target"),
    ),
    "warehouse_collector_success": Metric(
        "1 if the collector could read its tables, else 0.", ("collector",)
    ),
    "warehouse_collector_skipped": Metric(
        "1 if a table of the collector does not exist yet, else 0.", ("collector",)
    ),
    "warehouse_collector_duration_seconds": Metric("How long the collector took.", ("collector",)),
    # --- runs
    "warehouse_runs_total": Metric(
        "Runs of dbt that finished since the month began, in UTC.",
        ("command", "status"),
        "counter",
    ),
    "warehouse_recent_runs": Metric(
        "Runs of dbt that finished in the last 24 hours.", ("command", "status")
    ),
    "warehouse_last_run_success": Metric(
        "1 if the last run of the command succeeded, else 0.", ("command",)
    ),
    "warehouse_last_run_published": Metric(
        "1 if the last run of the command published to the reporting views, else 0.",
        ("command",),
    ),
    "warehouse_last_run_timestamp_seconds": Metric(
        "When the last run of the command finished.", ("command",)
    ),
    "warehouse_last_success_timestamp_seconds": Metric(
        "When the last successful run of the command finished.", ("command",)
    ),
    "warehouse_last_run_duration_seconds": Metric(
        "How long the last run of the command took.", ("command",)
    ),
    "warehouse_last_run_nodes": Metric(
        "Nodes of the last run of the command, by how they ended.", ("command", "status")
    ),
    # --- models
    "warehouse_model_duration_seconds": Metric(
        "How long the last run of the model, snapshot or seed took.", ("model", "resource_type")
    ),
    "warehouse_model_rows_written": Metric(
        "Rows that the last run of the model, snapshot or seed wrote.", ("model", "resource_type")
    ),
    "warehouse_model_last_run_timestamp_seconds": Metric(
        "When the last run of the model, snapshot or seed finished.", ("model", "resource_type")
    ),
    # --- quality
    "warehouse_quality_score": Metric(
        "Quality score from 0 to 100, of the warehouse, a dimension or a model.", ("scope", "name")
    ),
    "warehouse_quality_score_timestamp_seconds": Metric("When the last score was computed."),
    "warehouse_anomalies": Metric(
        "Anomalies of the last day that was judged.", ("table", "measure")
    ),
    "warehouse_null_ratio": Metric(
        "Share of nulls in the column on the last day with 20 rows, from 0 to 1.",
        ("table", "column"),
    ),
    "warehouse_null_ratio_usual": Metric(
        "Median of the share of nulls in the column over the 28 days before.", ("table", "column")
    ),
    # --- sources and quarantine
    "warehouse_source_last_load_timestamp_seconds": Metric(
        "The latest _loaded_at of the source; 0 if it has no row.", ("source",)
    ),
    "warehouse_source_age_seconds": Metric(
        "Seconds since the latest _loaded_at of the source; +Inf if it has no row.", ("source",)
    ),
    "warehouse_source_freshness_checked": Metric(
        "1 if the source contract checks the freshness of the source, else 0.", ("source",)
    ),
    "warehouse_source_rows": Metric(
        "Rows in the raw table of the source, as PostgreSQL estimates them.", ("source",)
    ),
    "warehouse_rejected_rows": Metric(
        "Rows of the source in quarantine.rejected_rows.", ("source",)
    ),
    "warehouse_quarantine_rows": Metric(
        "Rows of the source that fail the rule now.", ("source", "rule", "effect")
    ),
    # --- tables
    "warehouse_table_size_bytes": Metric(
        "Size of the table on disk with all partitions, without indexes.", ("schema", "table")
    ),
    "warehouse_index_size_bytes": Metric(
        "Size of all indexes of the table on disk.", ("schema", "table")
    ),
    "warehouse_partitions": Metric("Partitions of the table.", ("schema", "table")),
    "warehouse_partitions_ahead": Metric(
        "Partitions of the table that begin in the future.", ("schema", "table")
    ),
    "warehouse_default_partition_rows": Metric(
        "Rows in the default partition of the table; counts up to 10000.", ("schema", "table")
    ),
    # --- locks and backups
    "warehouse_lock_waits": Metric("Sessions of the database that wait for a lock."),
    "warehouse_lock_wait_longest_seconds": Metric(
        "How long the longest of these waits has lasted; 0 if there is none."
    ),
    "warehouse_backup_last_timestamp_seconds": Metric(
        "When the newest backup finished; NaN if there is none."
    ),
    "warehouse_backup_age_seconds": Metric("Age of the newest backup; NaN if there is none."),
}
