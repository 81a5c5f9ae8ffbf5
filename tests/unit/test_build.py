"""The options of `warehouse build`, and a missing manifest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warehouse import options
from warehouse.build import marts as listing
from warehouse.build.command import without_unit_tests
from warehouse.errors import WarehouseError


@pytest.mark.parametrize(
    "given", [["--target", "prod"], ["--target=prod"], ["-t", "prod"], ["-tprod"], ["-xt", "prod"]]
)
def test_the_target_of_dbt_is_the_target_of_the_command(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_TARGET", "dev")
    options.follow_dbt(["--select", "dim_time", *given])

    assert os.environ["DBT_TARGET"] == "prod"


def test_unit_tests_run_only_if_they_are_asked_for() -> None:
    left_out = ["--exclude-resource-type", "unit_test"]

    assert without_unit_tests([], unit_tests=False) == left_out
    assert without_unit_tests(["-s", "dim_time"], unit_tests=False) == [*left_out, "-s", "dim_time"]
    assert without_unit_tests(["-s", "dim_time"], unit_tests=True) == ["-s", "dim_time"]
    for asked in (["--resource-type", "unit_test"], ["--select", "test_type:unit"]):
        assert without_unit_tests(asked, unit_tests=False) == asked


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"no manifest.json"):
        listing.read_marts(tmp_path / "manifest.json")
