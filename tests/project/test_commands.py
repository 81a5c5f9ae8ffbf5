"""Every dbt command works on every materialization, or does nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.adapters.postgres import PostgresAdapter

from tests.support import dbt_project
from tests.support.database import Database, ask, do, new_database
from tests.support.small_project import write_model, write_project
from warehouse.server import Server

CHANGED_KEYS = {"incremental_strategy": "changed_keys", "unique_key": "id"}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "seen": ("select id, day from {{ source('given', 'rows') }}", {"materialized": "view"}),
    "inlined": ("select id, day from {{ ref('seen') }}", {"materialized": "ephemeral"}),
    "stored": (
        "select id, day from {{ ref('inlined') }}",
        {"materialized": "table", "indexes": [{"columns": ["day"]}]},
    ),
    "added": (
        "select id, day from {{ ref('seen') }}",
        {"materialized": "incremental", "unique_key": "id", "incremental_strategy": "merge"},
    ),
    "followed": (
        "{%- set keys = changed_keys('id', [ref('stored')]) %}"
        "select id, day from {{ ref('stored') }} where {{ is_in(keys) }}",
        {"materialized": "incremental", **CHANGED_KEYS, "meta": {"tracked_keys": ["id"]}},
    ),
    "divided": (
        "select id, day from {{ ref('seen') }}",
        {
            "materialized": "incremental",
            "partition_by": {"fields": ["day"]},
            "unique_key": "id",
            "incremental_strategy": "delete+insert",
        },
    ),
    "refreshed": (
        "select id, day from {{ ref('kept') }} inner join {{ ref('planted') }} using (id)",
        {"materialized": "materialized_view", "indexes": [{"columns": ["id"], "unique": True}]},
    ),
}
RELATIONS = (*(set(MODELS) - {"inlined"}), "kept", "planted")
COMMANDS = {
    "compile": "compile",
    "show": "show --select followed",
    "list": "list",
    "test": "test",
    "seed": "seed",
    "snapshot": "snapshot",
    "source freshness": "source freshness",
    "docs generate": "docs generate",
    "run-operation": "run-operation accept_nothing",
    "run --empty": "run --empty",
    "build --empty": "build --empty",
    "run": "run",
    "build --full-refresh": "build --full-refresh",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model of each materialization, a seed and a snapshot, with all hooks."""
    folder = write_project(tmp_path_factory.mktemp("commands") / "project", {})
    for name, (query, config) in MODELS.items():
        yml = {"columns": [{"name": "id", "data_tests": ["not_null"]}]}
        write_model(folder, name, query, yml, **config)
    source = {
        "name": "given",
        "schema": "public",
        "loaded_at_field": "at",
        "freshness": {"warn_after": {"count": 1, "period": "day"}},
        "tables": [{"name": "rows"}],
    }
    (folder / "models" / "given.yml").write_text(
        yaml.safe_dump({"version": 2, "sources": [source]})
    )
    for name in ("seeds", "snapshots"):
        (folder / name).mkdir()
    (folder / "seeds" / "planted.csv").write_text("id\n1\n2\n")
    snapshot = {
        "name": "kept",
        "relation": "ref('seen')",
        "config": {"unique_key": "id", "strategy": "check", "check_cols": ["day"]},
    }
    (folder / "snapshots" / "kept.yml").write_text(
        yaml.safe_dump({"version": 2, "snapshots": [snapshot]})
    )
    path = folder / "dbt_project.yml"
    whole = yaml.safe_load(path.read_text())
    own = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())
    for kind in ("seeds", "snapshots"):
        config = own[kind]["analytics_warehouse"]
        whole[kind] = {
            "small": {
                "+schema": "marts",
                **{key: value for key, value in config.items() if key.endswith("hook")},
            }
        }
    whole["on-run-end"] = own["on-run-end"]
    path.write_text(yaml.safe_dump(whole))
    (folder / "macros").mkdir()
    (folder / "macros" / "accept_nothing.sql").write_text(
        "{% macro accept_nothing() %}{% do run_query('select 1') %}{% endmacro %}"
    )
    whole["macro-paths"] = [*whole["macro-paths"], "macros"]
    path.write_text(yaml.safe_dump(whole))
    return folder


@pytest.fixture(scope="module")
def database(server: Server, project: Path) -> Iterator[Database]:
    """A database in which the project was built once."""
    with new_database(server) as made:
        do(
            made,
            "create table public.rows as select n as id, date '2026-01-01' + n as day,"
            " now() as at from generate_series(1, 5) as n",
        )
        dbt_project.invoke(made, "build", project=project)
        yield made


def rows(database: Database, schema: str) -> dict[str, Any]:
    """The number of rows of each relation; the materialized view joins five rows with two."""
    return {name: ask(database, f"select count(*) from {schema}.{name}") for name in RELATIONS}


WHOLE = {name: 2 if name in ("refreshed", "planted") else 5 for name in RELATIONS}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(database: Database, project: Path, command: str) -> None:
    dbt_project.invoke(database, *COMMANDS[command].split(), project=project)
    # A table model is its query, also if that is empty; the next command restores it.
    assert rows(database, "marts") == WHOLE | ({"stored": 0} if "--empty" in command else {})


def test_a_role_that_may_only_read_runs_what_only_reads(database: Database, project: Path) -> None:
    do(
        database,
        "do $$ begin create role commands_reader login; exception when duplicate_object"
        " then null; end $$",
        "grant usage on schema marts to commands_reader",
        "grant select on all tables in schema marts, public to commands_reader",
    )
    reader = dataclasses.replace(
        database, environment={**database.environment, "PGUSER": "commands_reader"}
    )
    for command in ("compile", "show", "list", "test", "source freshness", "docs generate"):
        dbt_project.invoke(reader, *COMMANDS[command].split(), project=project)


def test_retry_continues_a_build(database: Database, project: Path, tmp_path: Path) -> None:
    options = ("--write-json", "--target-path", str(tmp_path))
    do(database, "alter table public.rows rename to gone")
    with pytest.raises(dbt_project.DbtFailed, match=r"public.*rows"):
        dbt_project.invoke(database, "build", *options, project=project)
    do(database, "alter table public.gone rename to rows")
    dbt_project.invoke(database, "retry", *options, project=project)
    assert rows(database, "marts") == WHOLE


def test_a_clone_is_built_upon(
    database: Database, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot is copied, all else is a view until its own build makes it what it is."""
    options = ("--write-json", "--target-path", str(tmp_path))
    dbt_project.invoke(database, "compile", *options, project=project)
    target = dataclasses.replace(database, environment={**database.environment, "DBT_TARGET": "ci"})
    clone = ("clone", "--state", str(tmp_path))
    list_relations = PostgresAdapter.list_relations
    with monkeypatch.context() as patched:
        # As a thread finds dbt's cache of a schema that another thread begins to fill.
        patched.setattr(
            PostgresAdapter,
            "list_relations",
            lambda self, database, schema: (
                [] if schema == "marts" else list_relations(self, database, schema)
            ),
        )
        for _ in range(2):
            dbt_project.invoke(target, *clone, project=project)
            assert rows(database, "ci_marts") == WHOLE
    kinds = (
        "select relname::text, relkind::text from pg_class where relname = any(%s)"
        " and relnamespace = %s::regnamespace"
    )
    with database.connect() as session:
        cloned = dict(session.execute(kinds, [list(RELATIONS), "ci_marts"]).fetchall())
        assert cloned == {name: "r" if name == "kept" else "v" for name in RELATIONS}

    dbt_project.invoke(target, "snapshot", project=project)
    dbt_project.invoke(target, "build", project=project)
    dbt_project.invoke(target, "build", project=project)
    assert rows(database, "ci_marts") == WHOLE
    with database.connect() as session:
        built = dict(session.execute(kinds, [list(RELATIONS), "ci_marts"]).fetchall())
        assert built == dict(session.execute(kinds, [list(RELATIONS), "marts"]).fetchall())

    with pytest.raises(dbt_project.DbtFailed, match="is a snapshot, and its rows would be lost"):
        dbt_project.invoke(target, *clone, "--full-refresh", project=project)
    others = ("--full-refresh", "--exclude", "kept")
    dbt_project.invoke(target, *clone, *others, project=project)
    assert rows(database, "ci_marts") == WHOLE
    do(database, "drop view ci_marts.added", "drop table marts.added")
    with pytest.raises(dbt_project.DbtFailed, match=r"added.* of the state does not exist"):
        dbt_project.invoke(target, *clone, project=project)
