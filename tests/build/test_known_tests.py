"""A daily build leaves out the tests that it knows to pass, and asks what it no longer knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.database import Database, ask, do
from warehouse.build import known_tests

OF_LAST_RUN = (
    "select count(*), count(*) filter (where seconds = 0) from observability.run_results"
    " where resource_type = 'test' and invocation_id ="
    " (select invocation_id from observability.runs order by finished_at desc limit 1)"
)


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ((), True),
        (("--threads", "4"), True),
        (("--threads=4", "--target", "prod"), True),
        (("--select", "fct_orders"), False),
        (("--exclude=fct_orders",), False),
        (("--full-refresh",), False),
        (("--vars", "{as_of: 2026-01-01}"), False),
        (("--threads",), False),
        (("--empty",), False),
    ],
)
def test_only_a_build_of_everything_leaves_tests_out(
    arguments: tuple[str, ...], whole: bool
) -> None:
    assert known_tests.is_whole(arguments) == whole


def test_other_code_is_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = dbt_project.parsed()
    code = known_tests.code_of(manifest)
    assert known_tests.code_of(dbt_project.parsed()) == code
    hashes = {code}

    def changed(kind: str, name: str, attribute: str, value: Any) -> None:
        other = dbt_project.parsed()
        (node,) = (each for each in getattr(other, kind).values() if each.name == name)
        setattr(node, attribute, value)
        hashes.add(known_tests.code_of(other))

    changed("macros", "test_accepted_range", "macro_sql", "another text")
    changed("macros", "reporting_currency", "macro_sql", "another text")
    changed("nodes", "horizontal_order_items_sum_to_orders", "raw_code", "select 1 where false")
    (node,) = (
        each
        for each in manifest.nodes.values()
        if each.name == "not_null_stg_app__users_user_id"
        or each.name.startswith("not_null_stg_app__users_user_id")
    )
    node.config.severity = "warn"
    hashes.add(known_tests.code_of(manifest))
    assert len(hashes) == 5
    monkeypatch.setenv("DBT_SOMETHING", "else")
    assert known_tests.code_of(dbt_project.parsed()) not in hashes
    monkeypatch.delenv("DBT_SOMETHING")
    monkeypatch.setenv("WAREHOUSE_ACCEPT_EXCLUDED", "1")
    assert known_tests.code_of(dbt_project.parsed()) == code


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt")


def build(database: Any, folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    variables = {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}
    answer = warehouse(database, "build", "--accept-excluded", **variables)
    assert answer.returncode == status, answer.stdout + answer.stderr
    return answer


def passed(answer: Any) -> int:
    return int(re.findall(r"(\d+) tests passed", answer.stdout)[0])


@pytest.mark.long
def test_a_daily_build_asks_less_and_knows_as_much(built: Database, folder: Path) -> None:
    """On the sample, with the real command."""
    everything = passed(build(built, folder))
    build(built, folder)
    third = build(built, folder)
    assert passed(third) < everything - 100
    # The hook records those that were left out as passed, but for the tests that read no table.
    _, left_out = ask(built, OF_LAST_RUN)[0]
    assert left_out > 100
    assert ask(built, "select not_published_because from observability.runs"
               " order by finished_at desc limit 1") is None  # fmt: skip

    # Another hand: its table is asked of everything, in a second step, and fails.
    do(built, "update marts.fct_orders set item_count = -1"
       " where order_id = (select min(order_id) from marts.fct_orders)")  # fmt: skip
    answer = build(built, folder, status=1)
    assert "which changed otherwise" in answer.stdout
    assert re.search("item_count", answer.stdout.partition("which changed otherwise")[2])

    # A table whose rows nobody was asked of, which also repairs it, is asked of everything.
    dbt_project.run(built, "run", "fct_orders", full_refresh=True)
    build(built, folder)
    asked = (
        "select seconds > 0 from observability.run_results where resource_type = 'test'"
        " and node_name like '%fct_orders_item_count%' order by finished_at desc limit 1"
    )
    assert ask(built, asked) is True
    build(built, folder)
    assert ask(built, asked) is False
