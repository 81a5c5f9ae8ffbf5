"""Names that the project composes fit into the 63 bytes of PostgreSQL, and stay different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.relations import leftovers
from tests.support.small_project import run, write_model, write_project

QUERY = (
    "select {{ var('sql_more') }} as more, n as id, date '2026-01-01' as day"
    " from generate_series(1, 3) as n"
)
KINDS: dict[str, dict[str, Any]] = {
    "tab": {"materialized": "table", "indexes": [{"columns": ["id"]}]},
    "inc": {
        "materialized": "incremental",
        "unique_key": "id",
        "incremental_strategy": "delete+insert",
    },
    "div": {"materialized": "incremental", "partition_by": {"fields": ["day"]}},
    "vie": {"materialized": "view"},
    "mat": {
        "materialized": "materialized_view",
        "indexes": [{"columns": ["id"], "unique": True}],
    },
}
# Aliases of 63 bytes that differ after the 50th. If only the last byte differed, PostgreSQL could
# not create both array types at once.
ENDINGS = tuple(
    letters + end + last
    for letters, last in (("a" * 53, "a" * 5), ("ü" * 26, "ü" * 3))
    for end in "12"
)


@pytest.mark.long
def test_long_names_do_not_meet(database: Database, tmp_path: Path) -> None:
    """Each model has temporary relations, a backup, indexes and partitions of its own."""
    project = write_project(tmp_path / "project", {}, {"sql_more": "1"})
    aliases = {
        f"{kind}_{number}": f"{kind}_{ending}"
        for kind in KINDS
        for number, ending in enumerate(ENDINGS)
    }
    assert {len(alias.encode()) for alias in aliases.values()} == {63}
    for model, alias in aliases.items():
        write_model(project, model, QUERY, alias=alias, **KINDS[model[:3]])
    run(database, project)
    for number, alias in enumerate(aliases.values()):
        do(database, f'create view public.on_{number} as select id from marts."{alias}"')
    # The type of a column changes, so that views are replaced as well.
    for more in ("1", "'text'"):
        run(database, project, full_refresh=True, variables={"sql_more": more})
        run(database, project, variables={"sql_more": more})
        assert leftovers(database) == []
    for number, alias in enumerate(aliases.values()):
        assert ask(database, f'select count(*) from marts."{alias}"') > 0
        assert ask(database, f"select count(*) from public.on_{number}") > 0


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ("ä" * 32, r"model rows: its alias is 'ä{32}', which has 64 bytes; PostgreSQL takes up to"),
        ("a" * 64, "is longer than 63 characters"),
    ],
)
def test_an_alias_that_is_too_long_is_refused(
    database: Database, tmp_path: Path, alias: str, message: str
) -> None:
    project = write_project(tmp_path / "project", {}, {"sql_more": "1"})
    write_model(project, "rows", QUERY, alias=alias, materialized="view")
    with pytest.raises(dbt_project.DbtFailed, match=message):
        run(database, project)


def test_a_target_whose_schemas_would_be_cut_is_refused(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", {}, {"sql_more": "1"})
    write_model(project, "rows", QUERY)
    path = project / "profiles.yml"
    profiles = yaml.safe_load(path.read_text())
    outputs = profiles["analytics_warehouse"]["outputs"]
    fits = 62 - len("observability")
    for length in (fits, 59):
        outputs["t" * length] = outputs["dev"]
    profiles["analytics_warehouse"]["target"] = "t" * fits
    path.write_text(yaml.safe_dump(profiles))
    dbt_project.parsed(project)
    profiles["analytics_warehouse"]["target"] = "t" * 59
    path.write_text(yaml.safe_dump(profiles))
    dbt_project.forget(project)
    with pytest.raises(
        dbt_project.DbtFailed,
        match=r"The schema of target 't{59}' would be 't{59}_marts', which has 65 bytes; PostgreSQL"
        r" takes up to 63. Give the target in profiles.yml a name of at most 57 bytes",
    ):
        dbt_project.parsed(project)
