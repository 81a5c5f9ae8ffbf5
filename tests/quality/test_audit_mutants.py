"""Each mutant of the audits is noticed by the test that it names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.audit_mutants import MUTANTS, AuditMutant
from tests.support.dbt_project import ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "target", "logs", "__pycache__", "sample")


def test_each_mutant_fits(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "macros", tmp_path / "macros")
    for mutant in MUTANTS:
        text = (tmp_path / mutant.file).read_text()
        mutant.apply(tmp_path)
        (tmp_path / mutant.file).write_text(text)


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant: AuditMutant, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT, symlinks=True)
    mutant.apply(copy)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", f"tests/quality/{mutant.killed_by}"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, f"{mutant.killed_by} does not fail:\n{run.stdout[-2000:]}"
