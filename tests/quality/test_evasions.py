"""No build passes a test that `dbt test` fails, whatever was done to deceive it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, do
from tests.support.small_project import use_packages, write_model, write_project

CONFIG = {
    "materialized": "incremental",
    "incremental_strategy": "changed_keys",
    "unique_key": "id",
    "on_schema_change": "fail",
}
THINGS = (
    "-- depends_on: {{ ref('parents') }}\n"
    "{%- do skip_unless_changed() %}\nselect id, kind, amount, parent_id from {{ ref('given') }}"
)
PARENTS = "select id from raw.parents"
ACCEPTED = {"accepted_values": {"name": "kinds", "arguments": {"values": ["a", "b"]}}}
BAD_ROW = "update marts.things set kind = 'x' where id = 5"


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.parents as select generate_series(1, 3) as id",
        "create table raw.given as select n as id, 'a' as kind, n as amount, 1 as parent_id"
        " from generate_series(1, 50) as n",
    )
    folder = write_project(tmp_path / "project", {})
    use_packages(folder)
    write_model(folder, "given", "select * from raw.given")
    write_model(folder, "parents", PARENTS, **CONFIG)
    return folder


def write_things(
    project: Path, *tests: Any, column: str = "kind", query: str = THINGS, **config: Any
) -> None:
    """Write the model with these tests of a column, or of the model."""
    columns = [{"name": column, "data_tests": list(tests)}] if column else []
    yml = {"columns": columns} if column else {"data_tests": list(tests)}
    write_model(project, "things", query, yml, **{**CONFIG, **config})


def failures(database: Database, project: Path, command: str, *select: str, **options: Any) -> str:
    """What fails; nothing if all is green."""
    try:
        dbt_project.run(database, command, *select, project=project, **options)
    except dbt_project.DbtFailed as failed:
        return str(failed)
    return ""


def assert_found(database: Database, project: Path, **options: Any) -> None:
    """A build must fail, and so must the next one and `dbt test`."""
    for command in ("build", "build", "test"):
        assert failures(database, project, command, **options), f"dbt {command} is green"


def assert_honest(database: Database, project: Path, **options: Any) -> None:
    """If a build is green, then so is `dbt test`."""
    for _ in range(2):
        built = failures(database, project, "build", **options)
        told = failures(database, project, "test", **options)
        assert built or not told, f"the build is green, dbt test says: {told}"


def insert(number: int, kind: str = "a", amount: str = "1", parent: str = "1") -> str:
    return f"insert into raw.given values ({number}, '{kind}', {amount}, {parent})"


# --- What a test says ---------------------------------------------------------------------------


def test_a_test_that_must_find_rows(database: Database, project: Path) -> None:
    few = {
        "accepted_values": {
            "name": "kinds",
            "arguments": {"values": ["a", "b"]},
            "config": {"error_if": "< 1"},
        }
    }
    write_things(project, few)
    assert_found(database, project)


def test_a_guaranteed_test_that_must_find_rows(database: Database, project: Path) -> None:
    write_things(project, {"unique": {"config": {"error_if": "< 1"}}}, column="id")
    assert_found(database, project)


def test_failures_that_are_not_counted(database: Database, project: Path) -> None:
    few = {
        "dbt_utils.accepted_range": {
            "name": "few",
            "arguments": {"min_value": 0},
            "config": {"fail_calc": "case when count(*) > 2 then count(*) else 0 end"},
        }
    }
    write_things(project, few, column="amount")
    for number in (60, 61, 62):
        failures(database, project, "build")
        do(database, insert(number, amount="-1"))
    assert_found(database, project)


def test_failures_that_add_up_to_nothing(database: Database, project: Path) -> None:
    balanced = {
        "dbt_utils.accepted_range": {
            "name": "balanced",
            "arguments": {"min_value": 0, "max_value": 100},
            "config": {"fail_calc": "abs(coalesce(sum(amount), 0))"},
        }
    }
    write_things(project, balanced, column="amount")
    assert not failures(database, project, "build")
    do(database, insert(60, amount="300"))
    assert not failures(database, project, "run")
    do(database, insert(61, amount="-300"))
    assert not failures(database, project, "build")


def test_a_test_of_ones_own_with_a_known_name(database: Database, project: Path) -> None:
    (project / "own").mkdir()
    (project / "own" / "not_null.sql").write_text(
        "{% test not_null(model, column_name) %}\n"
        "select 1 from {{ model }} where {{ column_name }} is null having count(*) > 2\n"
        "{% endtest %}"
    )
    text = (project / "dbt_project.yml").read_text()
    (project / "dbt_project.yml").write_text(
        text.replace("macro-paths:\n", "macro-paths:\n- own\n")
    )
    write_things(project, "not_null", column="amount")
    for number in (60, 61, 62):
        assert not failures(database, project, "build")
        do(database, insert(number, amount="null"))
    assert_found(database, project)


@pytest.mark.parametrize(
    ("expression", "later"),
    [
        ("amount >= (table raw.least)", "update raw.least set amount = 5"),
        ("amount >= public.least_amount()", "update raw.least set amount = 5"),
        ("amount >= public.least_amount_stable()", "update raw.least set amount = 5"),
        ("amount >= raw.least_amount()", "update raw.least set amount = 5"),
    ],
)
def test_arguments_that_read_other_rows(
    database: Database, project: Path, expression: str, later: str
) -> None:
    do(
        database,
        "create table raw.least as select 0 as amount",
        "create function public.least_amount() returns int language sql as 'table raw.least'",
        "create function raw.least_amount() returns int language sql as 'table raw.least'",
        "create function public.least_amount_stable() returns int language sql stable"
        " as 'table raw.least'",
    )
    write_things(
        project,
        {"dbt_utils.expression_is_true": {"name": "few", "arguments": {"expression": expression}}},
        column="",
    )
    assert not failures(database, project, "build")
    do(database, later)
    assert_found(database, project)


@pytest.mark.parametrize(
    "expression",
    [
        "amount > 0 or localtimestamp < '2020-01-01'",
        "amount > 0 or current_time < '00:00'",
        "amount > 0 or 'today'::date < '2020-01-01'",
        "amount > 0 or timestamptz 'now' < '2020-01-01'",
        "amount > 0 or age(timestamptz '2020-01-01') < interval '1 year'",
        "amount > 0 or {{ local_today() }} < '2020-01-01'",
        "amount > 0 or nextval('public.numbers') < 5",
        "amount > 0 or session_user = 'x'",
    ],
)
def test_arguments_that_depend_on_the_time_are_read_whole(
    database: Database, project: Path, expression: str
) -> None:
    do(database, "create sequence public.numbers")
    write_things(
        project,
        {"dbt_utils.expression_is_true": {"name": "few", "arguments": {"expression": expression}}},
        column="",
    )
    log = dbt_project.scratch() / "logs" / "dbt.log"
    for _ in range(2):
        log.unlink(missing_ok=True)
        told = failures(database, project, "build", options=("--log-level-file", "debug"))
        assert not told
    assert "few: not read again" not in log.read_text()


@pytest.mark.parametrize("to", ["ref('light')", "source('app', 'parents')", "ref('seen')"])
def test_parents_of_other_kinds(database: Database, project: Path, to: str) -> None:
    write_model(project, "light", "select id from raw.parents", materialized="ephemeral")
    write_model(project, "seen", "select id from raw.parents")
    (project / "models" / "sources.yml").write_text(
        "sources: [{name: app, schema: raw, tables: [{name: parents}]}]"
    )
    write_things(
        project,
        {"relationships": {"name": "held", "arguments": {"to": to, "field": "id"}}},
        column="parent_id",
    )
    for number in (60, 61):
        told = failures(database, project, "build")
        assert not told
        do(database, insert(number))
    do(database, "delete from raw.parents where id = 1")
    assert_found(database, project)


def test_values_of_a_variable(database: Database, project: Path) -> None:
    listed = {
        "accepted_values": {"name": "kinds", "arguments": {"values": "{{ var('kinds_taken') }}"}}
    }
    named = {
        "accepted_values": {
            "name": "named",
            "arguments": {"values": ["{{ var('kind_taken') }}", "b"]},
        }
    }
    write_things(project, listed, named)
    kinds = {"variables": {"kinds_taken": ["a", "b"], "kind_taken": "a"}}
    for number in (60, 61):
        assert not failures(database, project, "build", **kinds)
        do(database, insert(number, "b"))
    do(database, insert(62, "z"))
    assert "- named: got 1 result" in failures(database, project, "build", **kinds)
    do(database, "delete from raw.given where id = 62")
    assert not failures(database, project, "build", **kinds)
    assert_found(database, project, variables={"kinds_taken": ["b"], "kind_taken": "a"})
    assert_found(database, project, variables={"kinds_taken": ["a", "b"], "kind_taken": "c"})


@pytest.mark.parametrize(
    "expression",
    [
        "kind ~ '^[a-z]{1,3}$'",
        "kind != 'it''s'",
        "kind not like '%x%'",
        "kind != 'a\"b'",
        "kind ~ '^\\w$'",
    ],
)
def test_arguments_with_signs(database: Database, project: Path, expression: str) -> None:
    write_things(
        project,
        {"dbt_utils.expression_is_true": {"name": "few", "arguments": {"expression": expression}}},
        column="",
    )
    for number in (60, 61):
        assert not failures(database, project, "build")
        do(database, insert(number))


def test_a_test_that_moved_to_another_model(database: Database, project: Path) -> None:
    write_things(project, {"unique": {"name": "one"}}, ACCEPTED)
    write_things(project, ACCEPTED)
    others = "{%- do skip_unless_changed() %}\nselect id, 'x' as kind from {{ ref('given') }}"
    write_model(project, "others", others, **CONFIG)
    assert not failures(database, project, "build")
    write_things(project)
    write_model(
        project,
        "others",
        others,
        {"columns": [{"name": "kind", "data_tests": [ACCEPTED]}]},
        **CONFIG,
    )
    assert_found(database, project)


# --- Another hand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        (
            "alter table marts.things drop column kind",
            "alter table marts.things add column kind text default 'x'",
        ),
        (
            "alter table marts.things rename column kind to other",
            "alter table marts.things add column kind text default 'x'",
        ),
        (
            "create table public.more () inherits (marts.things)",
            "insert into public.more select id, 'x', 1, 1 from marts.things",
        ),
        (
            "select pg_stat_reset()",
            "update marts.things set kind = 'x'",
        ),
        (
            "select pg_stat_reset_single_table_counters('marts.things'::regclass)",
            "update marts.things set kind = 'x'",
        ),
        ("copy marts.things from program 'printf \"99\\tx\\t1\\t1\\n\"'",),
        ("vacuum full marts.things", BAD_ROW),
        (
            "begin; delete from marts.things where id = 5; "
            "insert into marts.things values (5, 'x', 1, 1); commit",
        ),
    ],
)
def test_another_hand(database: Database, project: Path, changes: tuple[str, ...]) -> None:
    write_things(project, ACCEPTED)
    assert not failures(database, project, "build")
    for change in changes:
        with database.connect() as session:
            session.autocommit = True
            session.execute(change)
    assert_honest(database, project)


def test_another_table_in_its_place(database: Database, project: Path) -> None:
    """PostgreSQL has counted as many rows in it. Only the test is asked, so no model repairs it."""
    write_things(project, ACCEPTED)
    assert not failures(database, project, "build")
    do(
        database,
        "create table public.things as select id, case when id = 5 then 'x' else kind end as kind,"
        " amount, parent_id from marts.things",
        "drop table marts.things",
        "alter table public.things set schema marts",
    )
    assert failures(database, project, "build", "kinds")


def test_a_clock_that_went_back(database: Database, project: Path) -> None:
    write_things(project, ACCEPTED)
    assert not failures(database, project, "build")
    do(
        database,
        "update observability.audited_tests set passed_whole_at = now() + interval '1 year'",
    )
    log = dbt_project.scratch() / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    failures(database, project, "build", options=("--log-level-file", "debug"))
    assert "kinds: not read again" not in log.read_text()
