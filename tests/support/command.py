"""Running the command `warehouse` as a process, as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.dbt_project import ROOT


def warehouse(
    database: Any, *arguments: str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `warehouse` against a database.

    Args:
        database: offers `environment`; None keeps the variables of this process.
        arguments: the arguments of the command.
        folder: where it runs.
        variables: further environment variables.

    Returns:
        The process after its end; whether it failed is for the test to say.
    """
    reached = database.environment if database else {}
    # Another folder does not hide the package of this checkout.
    given = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "warehouse.cli", *arguments],
        cwd=folder,
        env={**os.environ, **reached, **given, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
