"""The newest backup."""

from __future__ import annotations

import time
from collections.abc import Iterator

from warehouse.metrics.reader import MissingRelationError, Reader, Sample

_NEWEST = "select extract(epoch from max(finished_at)) as finished_at from {backups}"


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the age of the newest backup.

    It is NaN while there is none, not absent: a dashboard then shows that it is not known, and no
    comparison is true.
    """
    seconds = None
    try:
        (row,) = reader.rows(_NEWEST, backups=reader.own("observability", "backups"))
        seconds = row.finished_at
    except MissingRelationError:
        pass
    yield Sample("warehouse_backup_last_timestamp_seconds", seconds)
    yield Sample(
        "warehouse_backup_age_seconds",
        None if seconds is None else max(0.0, time.time() - float(seconds)),
    )
