"""Each mutant of the audits and of the gate is noticed by the test that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality.audit_mutants import MUTANTS, AuditMutant
from tests.quality.gate_mutants import GATE_MUTANTS
from tests.support.dbt_project import ROOT, scratch
from tests.support.small_project import undescribed_macros

ALL = (*MUTANTS, *GATE_MUTANTS)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant: AuditMutant, tmp_path: Path) -> None:
    (tmp_path / mutant.file).parent.mkdir(parents=True)
    (tmp_path / mutant.file).write_text((ROOT / mutant.file).read_text())
    mutant.apply(tmp_path)
    file, name = mutant.killed_by.split("::")
    assert f"def {name.split('[')[0]}(" in (Path(__file__).parent / file).read_text()


@pytest.mark.long
@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant: AuditMutant) -> None:
    """In this process, because dbt takes long to start; small projects read this copy of macros."""
    undescribed_macros()
    path = scratch() / mutant.file
    text = path.read_text()
    mutant.apply(scratch())
    test = Path(__file__).parent / mutant.killed_by
    try:
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(test)])
    finally:
        path.write_text(text)
    assert code == pytest.ExitCode.TESTS_FAILED, f"{mutant.killed_by} says {code!r}"
