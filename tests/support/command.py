"""Runs the command `warehouse` as a process, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.dbt_project import ROOT, scratch


def warehouse(
    database: Any, *arguments: str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `warehouse` against a database.

    Args:
        database: has `environment`; None keeps the variables of this process.
        arguments: the arguments of the command.
        folder: the working directory.
        variables: additional environment variables.

    Returns:
        The completed process. The test decides whether the exit code is right.
    """
    reached = database.environment if database else {}
    # Makes the package of this checkout importable from any working directory.
    given = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}
    if folder == ROOT:
        # dbt keeps its parse there from call to call, for databases of one name.
        given["DBT_TARGET_PATH"] = str(scratch() / "commands")
        given["DBT_LOG_PATH"] = str(scratch() / "commands")
    return subprocess.run(
        [sys.executable, "-m", "warehouse.cli", *arguments],
        cwd=folder,
        env={**os.environ, **reached, **given, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
