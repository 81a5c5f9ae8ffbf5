"""Reads the Grafana dashboard of monitoring/."""

from __future__ import annotations

import json
from typing import Any

from tests.metrics.tools import MONITORING

FILE = MONITORING / "grafana" / "dashboards" / "warehouse.json"


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    return json.loads(FILE.read_text())


def panels() -> list[dict[str, Any]]:
    """Its panels, without the rows that group them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Its queries for all instances, by panel and name."""
    return {
        f"{panel['title']} {panel['id']}{target['refId']}": target["expr"].replace(
            "$instance", ".*"
        )
        for panel in panels()
        for target in panel["targets"]
    }
