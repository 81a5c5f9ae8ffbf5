"""Tests of tests/support/dbt_project.py, on a project of three files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbt_common.tests
import pytest

from tests.support import dbt_project
from tests.support.database import ask
from tests.support.small_project import run, write_project

FILES = {
    "dbt_project.yml": "{name: tiny, version: 0.1.0, profile: tiny, vars: {as_of: null}}",
    "profiles.yml": """
        tiny:
          target: dev
          outputs:
            dev:
              type: postgres
              host: "{{ env_var('PGHOST') }}"
              port: "{{ env_var('PGPORT', '5432') | as_number }}"
              user: "{{ env_var('PGUSER') }}"
              password: "{{ env_var('PGPASSWORD', '') }}"
              dbname: "{{ env_var('PGDATABASE') }}"
              schema: tiny
        """,
    "models/here.sql": """
        {{ config(materialized='ephemeral') }}
        select '{{ var("as_of") }}' as as_of, current_database()::text as database_name
        """,
    "models/visits.sql": """
        {{ config(materialized='incremental') }}
        select * from {{ ref('here') }}
        """,
    "models/visits.yml": """
        models:
          - name: visits
            columns:
              - name: as_of
                data_tests:
                  - not_null
                  - accepted_values: {arguments: {values: [a, b, c]}}
        """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def another_database(database: Any) -> Iterator[Any]:
    """A second database."""
    name = f"{database.name}_another"
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute(f"create database {name}")
        yield dataclasses.replace(
            database, name=name, environment={**database.environment, "PGDATABASE": name}
        )
        connection.execute(f"drop database {name} with (force)")


def visits(database: Any) -> list[tuple]:
    with database.connect() as connection:
        return connection.execute("select * from tiny.visits order by 1").fetchall()


def test_every_run_reaches_the_database_and_the_day_it_is_given(
    database: Any, another_database: Any, project: Path
) -> None:
    for target, as_of in [(database, "a"), (another_database, "b"), (database, "c")]:
        results = dbt_project.build(target, as_of=as_of, project=project)
        assert len(results) == 3

    assert visits(database) == [("a", database.name), ("c", database.name)]
    assert visits(another_database) == [("b", another_database.name)]

    dbt_project.build(database, "visits", as_of="b", full_refresh=True, project=project)
    assert visits(database) == [("b", database.name)]


def test_a_failure_names_the_node_and_what_it_said(database: Any, project: Path) -> None:
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.build(database, as_of="unheard of", project=project)

    assert "1 of 3 nodes failed" in str(failure.value)
    assert "accepted_values_visits_as_of__a__b__c" in str(failure.value)
    assert "Got 1 result" in str(failure.value)


def test_a_project_that_cannot_be_parsed_fails(database: Any, project: Path) -> None:
    (project / "models" / "broken.sql").write_text("select * from {{ ref('nowhere') }}")

    with pytest.raises(dbt_project.DbtFailed, match="nowhere"):
        dbt_project.build(database, project=project)


def test_a_macro_that_changes_is_parsed_anew(database: Any, project: Path) -> None:
    """dbt caches parse results by text, and caches nothing during a run."""
    (project / "macros").mkdir()
    (project / "models" / "said.sql").write_text("select '{{ say() }}' as said")
    word = "{% macro word() %}a word{% endmacro %}"
    for text, said in (("one", "one"), ("two", "two"), ("{{ word() }}", "a word"), ("one", "one")):
        macros = f"{word} {{% macro say() %}}{text}{{% endmacro %}}"
        (project / "macros" / "say.sql").write_text(macros)
        dbt_project.forget(project)
        dbt_project.run(database, "run", "said", project=project)
        assert ask(database, "select said from tiny.said") == said
        assert not dbt_common.tests.test_caching_enabled()


def test_a_variable_of_a_query_needs_no_new_parse(database: Any, tmp_path: Path) -> None:
    query = """
        select {{ var('sql_number') }} as number, '{{ var("replace_lock_timeout") }}' as patience
    """
    project = write_project(tmp_path / "small", {"one": query}, {"sql_number": 1})
    parses = len(dbt_project._parses)
    for number, patience in ((2, "1s"), (3, "2s")):
        variables = {"sql_number": number, "replace_lock_timeout": patience}
        run(database, project, variables=variables)
        assert ask(database, "select number, patience from marts.one") == [(number, patience)]
    assert len(dbt_project._parses) == parses + 1
