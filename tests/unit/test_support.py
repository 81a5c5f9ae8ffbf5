"""The support modules of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import command, dbt_project
from tests.support.small_project import write_project
from warehouse import project
from warehouse.errors import WarehouseError
from warehouse.server import Server


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("one", "{{ config(alias=var('sql_name')) }} select 1 as one"),
        ("one", "{% if var('sql_name') %} {{ config(alias='two') }} {% endif %} select 1 as one"),
        ("one", 'select * from {{ ref(var( "sql_name", "two")) }}'),
        ("one.yml", "models: [{name: one, description: \"{{ var('sql_name') }}\"}]"),
    ],
)
def test_a_variable_of_a_query_is_refused_elsewhere(tmp_path: Path, file: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"{file}.* says var\( ?.sql_name.*is for a query"):
        write_project(tmp_path / "small", {file: text})


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.delenv("PGHOST", raising=False)

    with dbt_project.environment({"PGHOST": "/somewhere"}):
        inside = {name: dbt_project.os.environ.get(name) for name in ("PGHOST", "PGPORT")}

    assert inside == {"PGHOST": "/somewhere", "PGPORT": None}
    assert dbt_project.os.environ["PGPORT"] == "1"
    assert "PGHOST" not in dbt_project.os.environ


def test_no_test_starts_a_server_in_this_checkout() -> None:
    """It would go on running after the tests, in the place of the developer's own."""
    assert project.home() == Path(os.devnull, "warehouse")
    with pytest.raises(WarehouseError):
        Server().up()


def test_a_command_leaves_no_file_in_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(command.subprocess, "run", lambda *_, env, **__: given.update(env))
    command.warehouse(None, "build")
    paths = [Path(given[name]) for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH")]
    assert [path.parent for path in paths] == [dbt_project.scratch()] * 2
