"""The hooks of dbt_project.yml, and its former hooks, which users may still have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import ask, new_database
from tests.support.small_project import run, write_model, write_project

# Columns that show the session's time zone, and whether the query runs under the model's lock.
SEEN = """
    current_setting('timezone') as zone,
    (
        select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
    ) as locks
"""
MODELS = {
    "numbers": "{{ config(materialized='table') }} select 1 as id",
    "followed": """
        {{ config(
            materialized='incremental', incremental_strategy='changed_keys', unique_key='id',
        ) }}
        {%- set keys = changed_keys() %}
        select id, """
    + SEEN
    + " from {{ ref('numbers') }} where {{ is_changed(keys) }}",
    "replaced": """
        {{ config(
            materialized='incremental', incremental_strategy='delete+insert', unique_key='id',
            indexes=[{'columns': ['id']}],
        ) }}
        select 1 as id, """
    + SEEN,
    "stored": "{{ config(materialized='table') }} select 1 as id, " + SEEN,
}
OLD_PRE = ["check_indexes()", "apply_partition_by()", "lock_model()", "use_utc()"]
OLD_POST = ["exclude_overlaps(this)", "warn_of_default_partition()", "advance_watermarks()"]
OLD_AFTER = ["reconcile_indexes()", "analyze_changed()"]
OLD_START = ["incremental_state", "partition_schema", "retention_log", "clv_parameters"]


def hooks(*which: str) -> dict[str, Any]:
    """The configuration of pre-hooks and post-hooks: old, new, or both."""
    pre: list[Any] = []
    post: list[Any] = []
    if "old" in which:
        pre += [f"{{{{ {call} }}}}" for call in OLD_PRE]
        post += [f"{{{{ {call} }}}}" for call in OLD_POST]
        post += [{"sql": f"{{{{ {call} }}}}", "transaction": False} for call in OLD_AFTER]
    if "new" in which:
        pre += ["{{ before_build() }}"]
        post += ["{{ before_commit() }}", {"sql": "{{ after_build() }}", "transaction": False}]
    return {"+pre-hook": pre, "+post-hook": post}


def build_twice(database: Any, folder: Path, *which: str) -> dict[str, Any]:
    """Build the models twice with these hooks; return the resulting database objects."""
    project = write_project(folder, MODELS)
    path = project / "dbt_project.yml"
    whole = yaml.safe_load(path.read_text())
    whole["models"]["small"].update(hooks(*which))
    start = [f"{{{{ run_or_stop(create_{name}()) }}}}" for name in OLD_START]
    whole["on-run-start"] = (start if "old" in which else []) + (
        ["{{ before_run() }}"] if "new" in which else []
    )
    whole["on-run-end"] = [
        *(["{{ prune_changed_keys() }}"] if "old" in which else []),
        *(["{{ after_run() }}"] if "new" in which else []),
    ]
    path.write_text(yaml.safe_dump(whole))
    run(database, project)
    run(database, project)
    return {
        "watermarks": ask(
            database,
            "select model_name, upstream_name from observability.watermarks"
            " where model_name = 'followed' order by 1, 2",
        ),
        "indexes": ask(
            database,
            "select indexname, indexdef from pg_indexes where schemaname = 'marts' order by 1",
        ),
        "analyzed": ask(
            database,
            "select relname from pg_class where relnamespace = 'marts'::regnamespace"
            " and relkind = 'r' and reltuples = 1 order by 1",
        ),
        "made": ask(
            database,
            "select nspname from pg_namespace"
            " where nspname in ('observability', 'partitions', 'ml') order by 1",
        ),
    }


def test_old_hooks_do_the_same_and_both_do_no_harm(server: Any, tmp_path: Path) -> None:
    left = {}
    for which in (("new",), ("old",), ("new", "old")):
        with new_database(server) as database:
            left[which] = build_twice(database, tmp_path / "_".join(which), *which)
    assert left["new",] == left["old",] == left["new", "old"]
    found = left["new",]
    assert [row[1] for row in found["watermarks"]] == ["(definition)", "numbers"]
    assert [row[0] for row in found["indexes"]] == ["followed_id_key", "replaced_id_idx"]
    assert [row[0] for row in found["analyzed"]] == ["followed", "numbers", "replaced", "stored"]
    assert [row[0] for row in found["made"]] == ["ml", "observability", "partitions"]


def test_incremental_models_are_locked_and_built_in_utc(database: Any, tmp_path: Path) -> None:
    """With any strategy and folder. Only models that call changed_keys advance watermarks."""
    with database.connect() as session:
        session.execute(f"alter database {database.name} set timezone = 'Asia/Kathmandu'")
    run(database, write_project(tmp_path / "project", MODELS))
    for model in ("followed", "replaced"):
        assert ask(database, f"select zone, locks from marts.{model}") == [("UTC", 2)], model
    assert ask(database, "select locks from marts.stored") == 0
    assert (
        ask(database, "select distinct model_name from observability.watermarks order by 1")
        == "followed"
    )


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    """A project with a model and a snapshot of it."""
    project = write_project(tmp_path / "project", {})
    write_model(project, "states", "select 1 as id, 'a'::text as tier, 'x'::text as name")
    path = project / "dbt_project.yml"
    whole = yaml.safe_load(path.read_text())
    whole["snapshots"] = {"small": {"+schema": "marts", "+pre-hook": "{{ before_build() }}"}}
    path.write_text(yaml.safe_dump(whole))
    (project / "snapshots").mkdir()
    write_snapshot(project)
    return project


def write_snapshot(project: Path, **config: Any) -> None:
    """Create or overwrite the snapshot `kept`."""
    given = {"unique_key": "id", "strategy": "check", "check_cols": ["name"], **config}
    entry = {"name": "kept", "relation": "ref('states')", "config": given}
    text = yaml.safe_dump({"version": 2, "snapshots": [entry]})
    (project / "snapshots" / "kept.yml").write_text(text)
    dbt_project.forget(project)


def test_a_snapshot_stops_before_it_stores_null_in_a_column(database: Any, snapshots: Path) -> None:
    dbt_project.run(database, "build", project=snapshots)
    write_model(snapshots, "states", "select 1 as id, 'y'::text as name")
    message = (
        "kept: its table stores tier, which its query does not select.* Select the columns in"
        ' states; to stop storing them, select null::text as "tier" there'
    )
    with pytest.raises(dbt_project.DbtFailed, match=message):
        dbt_project.run(database, "build", project=snapshots)
    states = "select tier, name from marts.kept order by dbt_valid_from"
    assert ask(database, states) == [("a", "x")]

    write_model(snapshots, "states", "select 1 as id, null::text as tier, 'y'::text as name")
    dbt_project.run(database, "build", project=snapshots)
    assert ask(database, states) == [("a", "x"), (None, "y")]


@pytest.mark.parametrize(
    "config", [{"partition_by": {"fields": ["id"]}}, {"retain": {"months": 1}}], ids=["by", "for"]
)
def test_a_snapshot_takes_no_partitions(
    database: Any, snapshots: Path, config: dict[str, Any]
) -> None:
    write_snapshot(snapshots, **config)
    with pytest.raises(dbt_project.DbtFailed, match="is set on a snapshot; only models take them"):
        dbt_project.run(database, "build", project=snapshots)
    assert ask(database, "select to_regclass('marts.kept') is null") is True
