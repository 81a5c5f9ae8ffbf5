"""The collectors of the exporter. Each reads what belongs together, and may fail alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from warehouse.metrics.collectors import (
    anomalies,
    backups,
    locks,
    models,
    partitions,
    quality,
    quarantine,
    rejected,
    runs,
    sizes,
    sources,
)
from warehouse.metrics.reader import Reader, Sample

ALL: dict[str, Callable[[Reader], Iterable[Sample]]] = {
    "runs": runs.collect,
    "models": models.collect,
    "quality": quality.collect,
    "anomalies": anomalies.collect,
    "sources": sources.collect,
    "quarantine": quarantine.collect,
    "rejected": rejected.collect,
    "sizes": sizes.collect,
    "partitions": partitions.collect,
    "locks": locks.collect,
    "backups": backups.collect,
}
