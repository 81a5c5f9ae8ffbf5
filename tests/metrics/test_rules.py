"""The rules of monitoring/: valid, unit-tested, on metrics that exist, and with a runbook."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.metrics.tools import MONITORING, RULES, alerts, program, run
from tests.support.dbt_project import ROOT
from warehouse.metrics.catalogue import METRICS

UNIT_TESTS = MONITORING / "prometheus" / "tests" / "warehouse.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTMANAGER = MONITORING / "alertmanager" / "alertmanager.yml"

# Edits that must make a unit test fail: each bound, each duration, each part of a condition.
EDITS = [
    ("last_run_success == 0", "last_run_success == 1"),
    ('_seconds{command="build"})', "_seconds)"),
    ("== 0\n          unless", "== 0\n          and"),
    ("< on (job, instance) group_left ()", "> on (job, instance) group_left ()"),
    ("> 0.1\n", ">= 0.1\n"),
    ("> 0.1\n", "> 0.12\n"),
    ("> 26 * 3600", ">= 26 * 3600"),
    ("> 26 * 3600", "> 27 * 3600"),
    ('command=~"build|run"', 'command="build"'),
    ('command=~"build|run"', 'command=~".+"'),
    ('max by (job, instance) (warehouse_collector_success{collector="runs"} == 1)', "vector(1)"),
    ("> 6 * 3600", ">= 6 * 3600"),
    ("> 6 * 3600", "> 7 * 3600"),
    ("and warehouse_source_freshness_checked == 1", ""),
    ("ratio > 0.05", "ratio >= 0.05"),
    ("ratio > 0.05", "ratio > 0.06"),
    ("and warehouse_null_ratio_usual <= 0.05", ""),
    ("usual <= 0.05", "usual < 0.05"),
    ("< 95", "<= 95"),
    ("< 95", "< 94"),
    ('{scope="warehouse"}', ""),
    ("anomalies > 0", "anomalies > 2"),
    ("partition_rows > 0", "partition_rows > 1"),
    ("warehouse_up == 0", "warehouse_up == 1"),
    ('up{job="warehouse"} == 0', "up == 0"),
    ("and on (job, instance) warehouse_up == 1", ""),
    ("for: 1m", "for: 0m"),
    ("for: 2m", "for: 0m"),
    ("for: 5m", "for: 0m"),
    ("for: 10m", "for: 0m"),
    ("for: 15m", "for: 0m"),
]


def test_rules_and_configurations_are_valid() -> None:
    promtool = program("promtool")
    for arguments in (
        ("check", "rules", RULES),
        ("check", "config", MONITORING / "prometheus" / "prometheus.yml"),
    ):
        said = run(promtool, *arguments)
        assert said.returncode == 0, said.stdout + said.stderr


def test_unit_tests_pass() -> None:
    said = run(program("promtool"), "test", "rules", UNIT_TESTS)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_unit_tests_notice_a_changed_rule(before: str, after: str, tmp_path: Path) -> None:
    promtool = program("promtool")
    text = RULES.read_text()
    assert before in text
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "rules" / "warehouse.yml").write_text(text.replace(before, after))
    shutil.copy(UNIT_TESTS, tmp_path / "tests")
    said = run(promtool, "test", "rules", tmp_path / "tests" / "warehouse.yml")
    assert said.returncode == 1, f"no unit test fails with {after!r}"
    assert "FAILED" in said.stdout + said.stderr


def test_each_alert_is_seen_firing_and_silent() -> None:
    fires, silent = set(), set()
    for case in yaml.safe_load(UNIT_TESTS.read_text())["tests"]:
        for check in case["alert_rule_test"]:
            (fires if check["exp_alerts"] else silent).add(check["alertname"])
    assert len(alerts()) > 8
    assert fires == silent == set(alerts())


def test_alerts_name_metrics_and_labels_that_exist() -> None:
    for name, rule in alerts().items():
        found = set(re.findall(r"\bwarehouse_\w+", rule["expr"]))
        assert found <= set(METRICS), name
        labels = {label for metric in found for label in METRICS[metric].labels}
        selected = set(re.findall(r"[{,]\s*(\w+)\s*=", rule["expr"]))
        written = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert selected | written <= {*labels, "job", "instance"}, name


def test_each_alert_leads_to_its_paragraph() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == list(alerts()), "one paragraph for each alert, in their order"
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["for"]


def test_alertmanager_routes_by_severity() -> None:
    amtool = program("amtool")
    said = run(amtool, "check-config", ALERTMANAGER)
    assert said.returncode == 0, said.stdout + said.stderr
    routes = {
        "critical": "pager,chat",
        "warning": "chat",
        "info": "mail",
    }
    for severity, receivers in routes.items():
        routed = run(
            amtool, "config", "routes", "test", "--config.file", ALERTMANAGER,
            f"--verify.receivers={receivers}", f"severity={severity}",
        )  # fmt: skip
        assert routed.returncode == 0, routed.stdout + routed.stderr
