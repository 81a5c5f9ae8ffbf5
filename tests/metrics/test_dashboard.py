"""The Grafana dashboard asks for metrics that exist, in queries that Prometheus accepts."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import yaml

from tests.metrics.dashboard import dashboard, panels, queries
from tests.metrics.tools import MONITORING, alerts, program, run
from warehouse.metrics.catalogue import METRICS


def test_queries_name_metrics_and_labels_that_exist() -> None:
    assert len(queries()) > 20
    for name, query in queries().items():
        found = set(re.findall(r"\bwarehouse_\w+", query))
        assert found and found <= set(METRICS), name
        labels = {label for metric in found for label in METRICS[metric].labels}
        selected = set(re.findall(r"[{,]\s*(\w+)\s*=", query))
        grouped = {
            label.strip()
            for group in re.findall(r"\bby \(([^)]*)\)", query)
            for label in group.split(",")
        }
        assert selected | grouped <= {*labels, "job", "instance"}, name


def test_legends_use_labels_that_the_query_returns() -> None:
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            metrics = re.findall(r"\bwarehouse_\w+", target["expr"])
            labels = {label for metric in metrics for label in METRICS[metric].labels}
            if grouped := re.search(r"\bby \(([^)]*)\)", target["expr"]):
                labels = {label.strip() for label in grouped[1].split(",")}
            assert named <= labels, panel["title"]


def test_queries_are_valid(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate(queries().values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = run(program("promtool"), "check", "rules", file)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_metric_is_shown_or_watched() -> None:
    read = " ".join([*queries().values(), *(rule["expr"] for rule in alerts().values())])
    unread = {name for name in METRICS if not re.search(rf"\b{name}\b", read)}
    # For queries of the reader: when something was measured, and a counter for rate().
    assert unread == {
        *("warehouse_exporter_info", "warehouse_collector_skipped", "warehouse_runs_total"),
        *("warehouse_last_run_published", "warehouse_model_last_run_timestamp_seconds"),
        *("warehouse_quality_score_timestamp_seconds", "warehouse_source_age_seconds"),
        *("warehouse_partitions", "warehouse_backup_last_timestamp_seconds"),
    }


def test_panels_have_their_place() -> None:
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(numbers) == len(set(numbers))
    covered: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & covered, panel["title"]
        assert max(x for x, _ in cells) < 24
        covered |= cells
    for panel in panels():
        assert panel["title"] and panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_provisioning_names_what_there_is() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards" / "warehouse.yml").read_text())["providers"]
    assert provider["options"]["path"]
