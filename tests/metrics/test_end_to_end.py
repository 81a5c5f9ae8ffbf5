"""A fault reaches the receivers of alerts, and its repair too: with the programs themselves."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from tests.metrics.dashboard import queries
from tests.metrics.monitors import monitoring, query
from tests.metrics.recording import build, fail
from tests.metrics.serving import closed_to_all, serving
from tests.metrics.tools import program, run
from tests.support.database import Database
from tests.support.dbt_project import ROOT
from tests.support.documents import blocks
from warehouse.server import Server


def wait_for(prometheus: str, expression: str) -> None:
    """Wait until a query finds something."""
    until = time.monotonic() + 30
    while not query(prometheus, expression):
        assert time.monotonic() < until, expression
        time.sleep(0.2)


def test_alerts_arrive_and_clear(
    server: Server, state: Database, recording: Path, tmp_path: Path
) -> None:
    for names in (["prometheus"], ["prometheus-alertmanager", "alertmanager"]):
        program(*names)
    build(state, recording)
    with (
        serving(state, "--cache-seconds", "0") as (exporter, _),
        monitoring(exporter, tmp_path) as (prometheus, alertmanager, inbox),
    ):
        wait_for(prometheus, 'warehouse_last_run_success{command="build"} == 1')
        assert query(prometheus, 'ALERTS{alertname="WarehouseRunFailed"}') == []

        fail(state, recording)
        alert = inbox.wait("WarehouseRunFailed", "firing", "chat")
        assert alert.labels["command"] == "build"
        assert alert.annotations["summary"] == "The last dbt build failed"
        assert alert.annotations["runbook_url"] == "docs/runbook.md#warehouserunfailed"

        build(state, recording)
        inbox.wait("WarehouseRunFailed", "resolved", "chat")

        # What is critical reaches the pager as well.
        with closed_to_all(server, state):
            inbox.wait("WarehouseDatabaseDown", "firing", "pager")
        inbox.wait("WarehouseDatabaseDown", "resolved", "pager")

        (silence,) = blocks(ROOT / "docs" / "runbook.md", "sh")
        command = shlex.split(silence.replace("http://127.0.0.1:9093", alertmanager))
        said = run(program("amtool"), *command[1:])
        assert said.returncode == 0, said.stderr

        # Prometheus itself accepts each query of the dashboard.
        for expression in queries().values():
            query(prometheus, expression)
