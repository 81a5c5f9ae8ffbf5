"""Collects all metrics: each group apart, so that one that fails does not take the others along."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector as PrometheusCollector

from warehouse import console, contract, project
from warehouse.database.profile import Settings, first_line
from warehouse.errors import WarehouseError
from warehouse.metrics import collectors
from warehouse.metrics.catalogue import METRICS
from warehouse.metrics.connection import Connection
from warehouse.metrics.reader import MissingRelationError, Reader, Sample

# Prometheus gives up after its scrape_timeout, and then has no metric at all.
COLLECTION_SECONDS = 15


class Exporter(PrometheusCollector):
    """The metrics of a warehouse, as prometheus-client collects them.

    Args:
        where: the database.
        cache_seconds: how long the metrics of one collection are given again.
        groups: the collectors by name.
    """

    def __init__(
        self,
        where: Settings,
        *,
        cache_seconds: float = 0,
        groups: dict[str, Callable[[Reader], Iterable[Sample]]] = collectors.ALL,
    ) -> None:
        self._where = where
        self._cache_seconds = cache_seconds
        self._groups = groups
        self._contract = contract.read()
        self._present = tuple(project.variable("sources_present"))
        self._connection = Connection(where)
        # One collection at a time; who waits for it gets its answer.
        self._lock = threading.Lock()
        self._collected: list[Family] = []
        self._collected_at = -math.inf
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> dict[str, str]:
        """What failed in the last collection, by collector; `database` if it did not answer."""
        return dict(self._problems)

    def describe(self) -> Iterable[Family]:
        """Nothing, so that registering does not ask the database."""
        return []

    def collect(self) -> Iterator[Family]:
        """All metrics; those of the last collection if it is recent."""
        with self._lock:
            if time.monotonic() - self._collected_at >= self._cache_seconds:
                self._collected = families(self._samples())
                self._collected_at = time.monotonic()
            collected = self._collected
        yield from collected

    def close(self) -> None:
        """Close the connection, after the collection that uses it."""
        with self._lock:
            self._connection.close()

    def _samples(self) -> list[Sample]:
        labels = (version("warehouse"), self._where.target)
        found = [Sample("warehouse_exporter_info", 1, labels)]
        reader = self._reader()
        found.append(Sample("warehouse_up", int(reader is not None)))
        until = time.monotonic() + COLLECTION_SECONDS
        for name, collect in self._groups.items():
            found += self._group(name, collect, reader, until)
        return found

    def _reader(self) -> Reader | None:
        try:
            session = self._connection.session()
        except Exception as error:
            self._tell("database", str(error) if isinstance(error, WarehouseError) else repr(error))
            return None
        self._tell("database", None)
        return Reader(session, self._where.schema_prefix, self._contract, self._present)

    def _group(
        self,
        name: str,
        collect: Callable[[Reader], Iterable[Sample]],
        reader: Reader | None,
        until: float,
    ) -> list[Sample]:
        started = time.monotonic()
        found: list[Sample] = []
        succeeded, skipped = False, False
        if reader is not None and not reader.session.closed:
            try:
                if started > until:
                    raise TimeoutError(f"the collection took more than {COLLECTION_SECONDS} s")
                collected = list(collect(reader))
                check(collected)
                found = collected
                succeeded = True
                self._tell(name, None)
            except MissingRelationError:
                succeeded = skipped = True
                self._tell(name, None)
            # Whatever goes wrong in one collector, the others go on; the message is printed.
            except Exception as error:
                self._tell(name, first_line(str(error)))
        return [
            *found,
            Sample("warehouse_collector_success", succeeded, (name,)),
            Sample("warehouse_collector_skipped", skipped, (name,)),
            Sample("warehouse_collector_duration_seconds", time.monotonic() - started, (name,)),
        ]

    def _tell(self, name: str, problem: str | None) -> None:
        """Print a problem when it begins and when it ends, not at each scrape."""
        before = self._problems.get(name)
        if problem == before:
            return
        what = "The database" if name == "database" else f"The collector {name}"
        if problem is None:
            del self._problems[name]
            console.say(f"{what} works again.", stderr=True)
        else:
            self._problems[name] = problem
            console.say(f"{what} failed: {problem}", style="yellow", stderr=True)


def check(samples: Iterable[Sample]) -> None:
    """Check what Prometheus would refuse, and with it all other metrics.

    Raises:
        ValueError: a sample is not of the catalogue, a label is no text, or two samples have the
            same labels.
    """
    seen = set()
    for sample in samples:
        metric = METRICS.get(sample.metric)
        texts = [label for label in sample.labels if isinstance(label, str)]
        if metric is None or len(texts) != len(sample.labels) or len(texts) != len(metric.labels):
            raise ValueError(f"{sample.metric}{list(sample.labels)} does not fit the catalogue")
        if (sample.metric, sample.labels) in seen:
            raise ValueError(f"{sample.metric}{list(sample.labels)} was collected twice")
        seen.add((sample.metric, sample.labels))


def families(samples: Iterable[Sample]) -> list[Family]:
    """The samples by metric, with the type, the labels and the help of the catalogue."""
    by_metric: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for sample in samples:
        value = math.nan if sample.value is None else float(sample.value)
        by_metric[sample.metric][sample.labels] = value
    made = []
    for name, metric in METRICS.items():
        if name not in by_metric:
            continue
        kind: Any = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
        family = kind(name, metric.help, labels=metric.labels)
        for labels, value in sorted(by_metric[name].items()):
            family.add_metric(labels, value)
        made.append(family)
    return made
