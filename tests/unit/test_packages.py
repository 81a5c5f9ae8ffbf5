"""The stand-ins of the dbt packages: their completeness and their comparison."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parity import compare as parity
from warehouse.errors import WarehouseError

ROOT = Path(__file__).resolve().parents[2]


STAND_INS = ROOT / "offline_packages"


def stand_ins() -> set[str]:
    """The macros that offline_packages/ provides, as `package.macro`, without internal helpers."""
    found = {f"{path.parents[1].name}.{path.stem}" for path in STAND_INS.glob("*/macros/*.sql")}
    helpers = {"matches_regex", "within_bounds", "rows_that_break", "wall_clock_now"}
    assert {f"dbt_expectations.{name}" for name in helpers} < found
    return found - {f"dbt_expectations.{name}" for name in helpers}


def calls(*paths: Path) -> set[str]:
    """The macros and tests of the packages that files and folders call."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    return set(re.findall(r"\b(?:dbt_utils|dbt_expectations|dbt_date)\.\w+", text))


def test_every_stand_in_is_compared():
    assert calls(ROOT / parity.SMALL_PROJECT / "models") == stand_ins()


def test_the_stand_ins_are_what_the_project_calls():
    """A missing one breaks the project without the hub; an unused one would go unmaintained."""
    folders = ("models", "macros", "seeds", "snapshots", "analyses")
    folders += ("tests/integrity", "tests/macros")
    assert calls(ROOT / "dbt_project.yml", *(ROOT / name for name in folders)) == stand_ins()


def test_stand_ins_are_told_from_genuine_packages(tmp_path):
    with pytest.raises(WarehouseError, match="is the stand-in"):
        parity.check_folder(STAND_INS, STAND_INS)
    with pytest.raises(WarehouseError, match=r"There is no .*dbt_utils/dbt_project.yml"):
        parity.check_folder(tmp_path, STAND_INS)


def test_a_difference_is_found():
    same = parity.Outcome("one", "test", "dbt_utils", "fail", 1, ('{"id": 1}',))
    other_rows = parity.Outcome("one", "test", "dbt_utils", "fail", 1, ('{"id": 2}',))
    passed = parity.Outcome("one", "test", "dbt_utils", "pass", 0, ())
    skipped = parity.Outcome("one", "test", "dbt_utils", "skipped", None, None)
    assert parity.compare({"test.one": same}, {"test.one": same}) == []
    assert "rows only genuine" in parity.compare({"test.one": same}, {"test.one": other_rows})[0]
    assert "status fail" in parity.compare({"test.one": same}, {"test.one": passed})[0]
    assert "only with the genuine" in parity.compare({"test.one": same}, {})[0]
    assert "skipped" in parity.compare({"test.one": skipped}, {"test.one": skipped})[0]
