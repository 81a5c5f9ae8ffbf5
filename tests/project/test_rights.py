"""A role with the documented rights can build, and a missing right is named with its grant."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import run, write_model, write_project

SCHEMAS = ("marts", "observability", "partitions", "ml", "privacy")
KEYS = "{%- set keys = changed_keys('id', [ref('seen')]) %}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a view, a partitioned table and a table with the strategy changed_keys."""
    folder = write_project(tmp_path / "project", {})
    write_model(folder, "seen", "select 1 as id, date '2026-01-01' as day", materialized="table")
    write_model(
        folder,
        "refreshed",
        "select 1 as id",
        materialized="materialized_view",
        indexes=[{"columns": ["id"], "unique": True}],
    )
    query = "select * from {{ ref('seen') }}"
    write_model(
        folder, "divided", query, materialized="incremental", partition_by={"fields": ["day"]}
    )
    write_model(
        folder,
        "followed",
        f"{KEYS} {query} where {{{{ is_in(keys) }}}}",
        materialized="incremental",
        incremental_strategy="changed_keys",
        unique_key="id",
    )
    return folder


def as_role(database: Database, role: str, options: str = "") -> Database:
    """The same database for another user, created if it does not exist."""
    do(
        database,
        f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$",
    )
    changed = {"PGUSER": role, **({"PGOPTIONS": options} if options else {})}
    return dataclasses.replace(database, environment={**database.environment, **changed})


def refused(database: Database, project: Path, message: str) -> None:
    """Build, and expect an error that begins with this message; dbt prints it and exits with 2."""
    with pytest.raises(dbt_project.DbtFailed, match=message):
        run(database, project)


def test_missing_rights_are_named_and_existing_objects_need_none(
    database: Database, project: Path
) -> None:
    do(database, f"revoke create on database {database.name} from public")
    builder = as_role(database, "rights_builder")
    refused(
        builder, project, "The schema marts does not exist, and the role rights_builder may not"
    )
    do(database, *(f"create schema {schema}" for schema in SCHEMAS))
    refused(
        builder, project, "may not create tables in the schemas marts. As their owner, run: grant"
    )
    do(database, "grant usage, create on schema marts to rights_builder")
    refused(
        builder, project, "may not use the schema observability. As its owner, run: grant usage"
    )
    do(database, "grant usage on schema observability to rights_builder")
    refused(
        builder, project, r"watermarks.* does not exist, and the role rights_builder may not create"
    )
    for schema in SCHEMAS:
        do(database, f"grant usage, create on schema {schema} to rights_builder")
    for _ in range(2):
        run(builder, project)
    do(
        builder,
        "create view marts.on_top as select a.id, divided::text as whole"
        " from marts.divided inner join marts.divided as a on a.id = divided.id",
        'create view marts."Higher" as select * from marts.on_top inner join marts.seen using (id)',
    )
    # Other schemas in which it may create, but where the names are taken, or which it may not use.
    do(
        database,
        "create schema a_taken authorization rights_builder",
        "create schema an_index authorization rights_builder",
        "create schema a_barred",
        "grant create on schema a_barred to rights_builder",
        "create table a_taken.divided ()",
        "create table a_taken.refreshed ()",
        "create table an_index.followed_id_key ()",
    )
    before = ask(builder, "select pg_get_viewdef('marts.on_top')")
    run(builder, project, full_refresh=True)
    assert ask(builder, "select pg_get_viewdef('marts.on_top')") == before
    assert ask(builder, 'select count(*) from marts."Higher"') == 1

    # Another login, first with rights of its own only, then in the role of the owner.
    other = as_role(database, "rights_other")
    do(database, *(f"grant usage, create on schema {schema} to rights_other" for schema in SCHEMAS))
    refused(
        other, project, "The role rights_other lacks rights on the table observability.watermarks"
    )
    do(database, "grant rights_builder to rights_other")
    run(as_role(database, "rights_other", "-c role=rights_builder"), project)
    with database.connect() as session:
        owners = session.execute(
            "select distinct relowner::regrole::text from pg_class where relkind in ('r', 'p')"
            " and relnamespace = any(%s::regnamespace[])",
            [list(SCHEMAS)],
        ).fetchall()
    assert owners == [("rights_builder",)]


def test_a_policy_that_hides_rows_stops_a_change_of_partitions(
    database: Database, project: Path
) -> None:
    do(database, f"grant create on database {database.name} to public")
    builder = as_role(database, "rights_builder")
    run(builder, project)
    do(
        database,
        "alter table marts.divided enable row level security, force row level security",
        "create policy hidden on marts.divided for select using (false)",
        "create policy written on marts.divided for insert with check (true)",
    )
    query = "select * from {{ ref('seen') }}"
    years = {"fields": ["day"], "granularity": "year"}
    write_model(project, "divided", query, materialized="incremental", partition_by=years)
    refused(builder, project, "query would be affected by row-level security policy")
    do(database, "alter table marts.divided disable row level security")
    assert ask(database, "select count(*) from marts.divided") == 1
