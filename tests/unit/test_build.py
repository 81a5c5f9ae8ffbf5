"""The options of `warehouse build`, and a missing manifest."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warehouse import options, project
from warehouse.build import marts as listing
from warehouse.build import report
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


@pytest.mark.parametrize(
    ("name", "given", "query"),
    [
        (
            "relationships",
            {"column_name": "user_id", "field": "id"},
            "select * from staging.a as child where user_id is not null and not exists"
            " (select from staging.b as parent where parent.id = child.user_id)",
        ),
        (
            "expression_is_true",
            {"column_name": "day", "expression": "<= current_date"},
            "select * from staging.a where not (day <= current_date)",
        ),
        (
            "expression_is_true",
            {"expression": "a = b"},
            "select * from staging.a where not (a = b)",
        ),
        (
            "expect_column_values_to_match_regex",
            {"column_name": "mail", "regex": "^a$"},
            "select * from staging.a where mail !~ '^a$'",
        ),
        (
            "expect_column_pair_values_A_to_be_greater_than_B",
            {
                **{"column_A": "ended_at", "column_B": "started_at", "or_equal": True},
                "row_condition": "ended_at is not null",
            },
            "select * from staging.a where ended_at < started_at and ended_at is not null",
        ),
        ("unique", {"column_name": "id"}, None),
        ("relationships", {"column_name": "id"}, None),
        ("expression_is_true", {"expression": "{{ today() }} = b"}, None),
    ],
)
def test_the_rows_of_a_warning_are_shown_whole(
    name: str, given: dict[str, Any], query: str | None
) -> None:
    node = SimpleNamespace(
        test_metadata=SimpleNamespace(name=name, kwargs={**given, "model": "{{ get(ref('a')) }}"}),
        compiled_code='from "d"."staging"."a" as x, "d"."staging"."b"',
        config=SimpleNamespace(where=None),
    )
    assert report.query_of_rows(node) == query


def test_a_test_in_a_file_of_its_own_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no metadata; its own SQL shows the rows."""
    # After `make demo` the sample is there, and would be looked up in the database.
    monkeypatch.setattr(report, "planted", lambda: None)
    node = SimpleNamespace(
        name="amounts_are_in_one_currency",
        resource_type="test",
        test_metadata=None,
        description="",
        compiled_code='select * from "d"."marts"."fct_orders"',
        compiled_path="target/compiled/amounts.sql",
        config=SimpleNamespace(where=None),
    )
    for status in ("warn", "fail"):
        result = SimpleNamespace(node=node, status=status, failures=2, message="Got 2 results")
        report.Report().show([result])

        shown = capsys.readouterr().out
        assert "- 2 rows: amounts_are_in_one_currency\n" in shown
        assert "warehouse psql -f target/compiled/amounts.sql\n" in shown
        assert "Built 0 models" in shown

    # Its session is over, and with it the keys that it asked of.
    node.compiled_code = "select * from a where id in (select id from keys_of_test_0a1b2c3d4e5f)"
    report.Report().show([result])
    shown = capsys.readouterr().out
    assert "dbt show --select amounts_are_in_one_currency --limit 20\n" in shown
    assert "psql" not in shown


def test_an_impossible_date_in_the_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "vars:\n  known_anomalies:\n    - {day: 2026-11-31}\n"
    (tmp_path / "dbt_project.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WarehouseError, match=r"dbt_project\.yml cannot be read: day "):
        project.variable("time_zone", "UTC")


def test_what_a_model_wrote() -> None:
    answers = ("INSERT 0 1440", "SELECT 1", "CREATE VIEW", "UNCHANGED", "REFRESHED 3")
    assert [report.rows_of(each) for each in answers] == [
        *("1,440 rows", "1 row", "view", "unchanged", "refreshed 3")
    ]


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"no manifest.json"):
        listing.read_marts(tmp_path / "manifest.json")
