"""The programs of the Debian packages prometheus and prometheus-alertmanager."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dbt_project import ROOT

MONITORING = ROOT / "monitoring"
RULES = MONITORING / "prometheus" / "rules" / "warehouse.yml"


def program(*names: str) -> str:
    """The path of a program that has one of these names; skip the test if it is not installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed: apt-get install prometheus prometheus-alertmanager")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program; the test decides whether its exit code is right."""
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=120, check=False
    )


def alerts() -> dict[str, dict[str, Any]]:
    """The rules by the name of their alert."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}
