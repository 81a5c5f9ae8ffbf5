"""Fixtures of the tests of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from tests.metrics.recording import build, write_recording
from tests.metrics.state import create_state
from tests.support import dbt_project
from tests.support.database import Database, new_database
from warehouse.database.profile import settings
from warehouse.metrics.catalogue import METRICS
from warehouse.metrics.exporter import Exporter
from warehouse.server import Server

Metrics = dict[tuple[str, ...], float]


def parsed(text: str) -> Metrics:
    """The values of an exposition, by the name of the metric and the values of its labels.

    The labels are in the order of the catalogue.
    """
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = METRICS[sample.name].labels
            assert set(labels) == set(sample.labels)
            found[sample.name, *(sample.labels[label] for label in labels)] = sample.value
    return found


def of(found: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric by its labels."""
    return {key[1:]: value for key, value in found.items() if key[0] == name}


def exposition(exporter: Exporter) -> str:
    """What the exporter gives to Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    return generate_latest(registry).decode()


@pytest.fixture
def collect() -> Iterator[Callable[[Any], Metrics]]:
    """Collects the metrics of a database in this process."""
    opened = []

    def collect(database: Any) -> Metrics:
        with dbt_project.environment(database.environment):
            exporter = Exporter(settings())
        opened.append(exporter)
        return parsed(exposition(exporter))

    yield collect
    for exporter in opened:
        exporter.close()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project whose builds leave their results."""
    return write_recording(tmp_path_factory.mktemp("recording") / "project")


@pytest.fixture(scope="session")
def recorded(server: Server, recording: Path) -> Iterator[Database]:
    """A database with the tables that builds write, as they create them; only copy it."""
    with new_database(server) as made:
        build(made, recording)
        create_state(made)
        yield made


@pytest.fixture
def state(server: Server, recorded: Database) -> Iterator[Database]:
    """A database with the tables that builds write, without rows."""
    with new_database(server, template=recorded.name) as made:
        yield made
