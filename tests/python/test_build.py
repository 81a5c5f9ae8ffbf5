"""`warehouse build` and `warehouse marts`, as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dbt_project
import pytest

from warehouse import build
from warehouse.errors import WarehouseError

pytestmark = pytest.mark.dbt


def call(database: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `warehouse` command against a test's database, with dbt's files in `folder`."""
    variables = {**os.environ, **database.environment}
    variables |= {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}
    return subprocess.run(
        [sys.executable, "-m", "warehouse.cli", *arguments],
        cwd=dbt_project.ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_build_passes_its_arguments_on_and_lists_the_marts(built: Any, tmp_path: Path) -> None:
    answer = call(built, tmp_path, "build", "--select", "dim_time", "--exclude", "test_type:unit")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "dim_time" in answer.stdout
    assert "dim_users" not in answer.stdout.split("The marts")[0]
    listed = answer.stdout.split("The marts")[1]
    assert "1,440" in listed
    assert "reporting.user_analytics" in listed
    assert "warehouse psql" in listed


def test_marts_before_a_build(database: Any, tmp_path: Path) -> None:
    answer = call(database, tmp_path, "marts")

    assert answer.returncode == 1
    assert "run `warehouse build` first" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_failing_build_says_so(database: Any, tmp_path: Path) -> None:
    answer = call(database, tmp_path, "build", "--select", "stg_app__users")

    assert answer.returncode == 1
    assert "dbt build failed" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_every_mart_says_what_it_answers(built: Any, tmp_path: Path) -> None:
    assert call(built, tmp_path, "build", "--select", "dim_time").returncode == 0
    marts = build.read_marts(tmp_path / "target" / "manifest.json")
    folders = [
        path.stem
        for folder in ("marts", "reporting")
        for path in (dbt_project.ROOT / "models" / folder).rglob("*.sql")
    ]

    assert len(marts) == len(folders)
    assert all(mart.question.endswith(("?", ".")) for mart in marts)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"no manifest.json"):
        build.read_marts(tmp_path / "manifest.json")
