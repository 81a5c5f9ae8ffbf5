"""Data tests are asked of the rows that a build writes, before it commits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch
from tests.support.small_project import polled, use_packages, write_model, write_project

CONFIG = {
    "materialized": "incremental",
    "incremental_strategy": "changed_keys",
    "unique_key": "id",
    "on_schema_change": "fail",
}
TESTS: dict[str, Any] = {
    "data_tests": [
        {"dbt_utils.expression_is_true": {"arguments": {"expression": "amount != 13"}}},
    ],
    "columns": [
        {"name": "id"},
        {
            "name": "kind",
            "data_tests": ["not_null", {"accepted_values": {"arguments": {"values": ["a", "b"]}}}],
        },
        {
            "name": "amount",
            "data_tests": [
                {"dbt_utils.accepted_range": {"arguments": {"min_value": 0}}},
                {
                    "dbt_utils.accepted_range": {
                        "name": "warned",
                        "arguments": {"max_value": 100},
                        "config": {"severity": "warn"},
                    }
                },
            ],
        },
        {
            "name": "parent_id",
            "data_tests": [
                {"relationships": {"arguments": {"to": "ref('parents')", "field": "id"}}}
            ],
        },
    ],
}
NAMES = 6
THINGS = (
    "-- depends_on: {{ ref('parents') }}\n"
    "{%- do skip_unless_changed() %}\nselect id, kind, amount, parent_id from {{ ref('given') }}"
)
PARENTS = "select id from raw.parents"
UNTIL_THINGS_ARE_WRITTEN = """
do $$
begin
    for attempt in 1 .. 200 loop
        if to_regclass('marts.things') is not null then
            perform from marts.things where id = (select max(id) from raw.given);
            exit when found;
        end if;
        perform pg_sleep(0.05);
    end loop;
end $$
"""


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.parents as select generate_series(1, 3) as id",
        "create table raw.given as select n as id, 'a' as kind, n as amount, 1 as parent_id"
        " from generate_series(1, 50) as n where n != 13",
    )
    folder = write_project(tmp_path / "project", {})
    use_packages(folder)
    write_model(folder, "given", "select * from raw.given")
    write_model(folder, "parents", PARENTS, **CONFIG)
    write_model(folder, "things", THINGS, TESTS, **CONFIG)
    return folder


def build(database: Database, project: Path, **options: Any) -> tuple[dict[str, str], set[str]]:
    """Build; return the status of each test, and the tests that read nothing."""
    log = dbt_project.scratch() / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    results = dbt_project.run(
        database, "build", project=project, options=("--log-level-file", "debug"), **options
    )
    statuses = {
        result.node.name: str(result.status)
        for result in results
        if result.node.resource_type == "test"
    }
    return statuses, set(re.findall(r"(\w+): not read again", log.read_text()))


def failing(database: Database, project: Path) -> str:
    with pytest.raises(dbt_project.DbtFailed) as failed:
        build(database, project)
    return str(failed.value)


@pytest.mark.parametrize(
    ("meta", "materialized", "says"),
    [
        ({"error_above_percent": "five"}, None, "error_above_percent is 'five'; it takes a number"),
        ({"error_above_percent": 101}, None, "error_above_percent is '101'; it takes a number"),
        ({"error_above_percent": 5}, "view", "error_above_percent has no effect here; only tests"),
        ({"dimension": "accuracy"}, None, "dimension is 'accuracy'; it takes completeness, "),
    ],
)
def test_wrong_meta_of_a_test_stops_the_run_at_once(
    database: Database, project: Path, meta: Any, materialized: str | None, says: str
) -> None:
    share = {"not_null": {"name": "share", "config": {"meta": meta}}}
    tests = {"columns": [{"name": "id", "data_tests": [share]}]}
    config = {"materialized": materialized} if materialized else CONFIG
    sql = "select * from raw.given" if materialized else THINGS
    write_model(project, "things", sql, tests, **config)
    assert f"share: meta.{says}" in failing(database, project)
    assert ask(database, "select to_regclass('marts.things')") is None


def things(database: Database) -> int:
    return ask(database, "select count(*) from marts.things")


def test_only_the_first_build_reads_the_table(database: Database, project: Path) -> None:
    statuses, skipped = build(database, project)
    assert len(statuses) == NAMES and set(statuses.values()) == {"pass"}
    assert skipped == set()
    for statement in (
        "select 1",
        "insert into raw.given values (60, 'b', 60, 2)",
        "update raw.given set kind = 'b' where id = 2",
        "delete from raw.given where id = 3",
    ):
        do(database, statement)
        statuses, skipped = build(database, project)
        assert set(statuses.values()) == {"pass"}
        assert skipped == set(statuses), statement
    _, skipped = build(database, project, full_refresh=True)
    assert skipped == set()
    _, skipped = build(database, project)
    assert len(skipped) == NAMES


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "(99, 'x', 1, 1)",
            r"accepted_values_\w+: got 1 result, configured to fail if != 0; id: 99",
        ),
        ("(99, null, 1, 1)", r"not_null_things_kind: got 1 result, .*; id: 99"),
        ("(99, 'a', -1, 1)", r"accepted_range_\w+: got 1 result, .*; id: 99"),
        ("(99, 'a', 13, 1)", r"expression_is_true_\w+: got 1 result, .*; id: 99"),
        ("(99, 'a', 1, 7)", r"relationships_\w+: got 1 result, .*; id: 99"),
    ],
)
def test_a_failing_row_is_never_seen(
    database: Database, project: Path, row: str, said: str
) -> None:
    build(database, project)
    do(
        database,
        "create view marts.bad as select 1 as found where not exists ("
        "select from marts.things where id = 99)",
        f"insert into raw.given values {row}, (98, 'a', 1, 1)",
    )
    with polled(database, "marts.bad"):
        message = failing(database, project)
    assert "the rows of this run fail 1 data test, so nothing was written" in message
    assert re.search(said, message), message
    assert things(database) == 49

    do(database, "delete from raw.given where id = 99")
    statuses, _ = build(database, project)
    assert set(statuses.values()) == {"pass"}
    assert things(database) == 50


def test_a_warning_writes_and_is_counted(database: Database, project: Path) -> None:
    build(database, project)
    do(database, "insert into raw.given values (98, 'a', 200, 1), (99, 'a', 300, 1)")
    for _ in range(2):
        statuses, skipped = build(database, project)
        assert statuses.pop("warned") == "warn"
        assert skipped == set(statuses)
        assert things(database) == 51
    do(database, "update raw.given set amount = 1 where amount > 100")
    statuses, skipped = build(database, project)
    assert statuses["warned"] == "pass" and "warned" not in skipped
    _, skipped = build(database, project)
    assert "warned" in skipped


def test_thresholds_mean_what_dbt_says(database: Database, project: Path) -> None:
    """error_if counts the failing rows of the table, in however many runs they were written."""
    tests = {
        "columns": [
            {
                "name": "amount",
                "data_tests": [
                    {
                        "dbt_utils.accepted_range": {
                            "name": "few",
                            "arguments": {"min_value": 0},
                            "config": {"warn_if": ">0", "error_if": ">2", "where": "kind = 'b'"},
                        }
                    },
                    {
                        "dbt_utils.accepted_range": {
                            "name": "share",
                            "arguments": {"max_value": 100},
                            "config": {"severity": "warn", "meta": {"error_above_percent": 50}},
                        }
                    },
                ],
            }
        ]
    }
    write_model(project, "things", THINGS, tests, **CONFIG)
    build(database, project)
    do(database, "insert into raw.given values (80, 'b', -1, 1), (81, 'a', -1, 1)")
    assert build(database, project)[0] == {"few": "warn", "share": "pass"}
    do(database, "insert into raw.given values (82, 'b', -1, 1)")
    assert build(database, project)[0]["few"] == "warn"
    do(database, "insert into raw.given values (83, 'b', -1, 1)")
    assert "few: got 1 result, configured to fail if >2; id: 83" in failing(database, project)

    do(database, "delete from raw.given where id = 83")
    do(database, "insert into raw.given values (84, 'a', 101, 1), (85, 'a', 1, 1)")
    assert build(database, project)[0] == {"few": "warn", "share": "warn"}
    do(database, "insert into raw.given values (86, 'a', 101, 1)")
    assert "share: got 1 result, configured to fail above 50 %" in failing(database, project)


@pytest.mark.parametrize(
    "change",
    [
        "update marts.things set amount = amount where id = 5",
        "delete from marts.things where id = 5",
        "insert into marts.things values (70, 'a', 1, 1)",
        "truncate marts.things",
        "create table public.copied as select * from marts.things; drop table marts.things;"
        " alter table public.copied rename to things; alter table public.things set schema marts",
    ],
)
def test_what_another_hand_changed_is_read_whole(
    database: Database, project: Path, change: str
) -> None:
    build(database, project)
    do(database, change)
    statuses, skipped = build(database, project)
    assert len(statuses) == NAMES and skipped == set()
    do(database, "select pg_stat_force_next_flush()")
    _, skipped = build(database, project)
    assert len(skipped) == NAMES


def test_a_bad_row_of_another_hand_is_found(database: Database, project: Path) -> None:
    build(database, project)
    do(database, "update marts.things set kind = 'x' where id = 5")
    assert "accepted_values" in failing(database, project)
    assert "accepted_values" in failing(database, project)


def test_a_lost_parent_is_found(database: Database, project: Path) -> None:
    build(database, project)
    do(database, "insert into raw.parents values (4)")
    _, skipped = build(database, project)
    assert len(skipped) == NAMES
    do(database, "delete from raw.parents where id = 1")
    assert "relationships_things" in failing(database, project)


def test_a_parent_that_the_model_does_not_read_may_be_built_later(
    database: Database, project: Path
) -> None:
    """dbt's own node of the test decides after both; what passed at the write is not read again."""
    write_model(project, "things", THINGS.split("\n", 1)[1], TESTS, **CONFIG)
    write_model(project, "first", PARENTS, pre_hook=UNTIL_THINGS_ARE_WRITTEN)
    write_model(project, "second", "select * from {{ ref('first') }}")
    write_model(project, "third", "select * from {{ ref('second') }}")
    write_model(project, "parents", "select id from {{ ref('third') }}", **CONFIG)
    build(database, project)
    do(
        database,
        "insert into raw.parents values (4)",
        "insert into raw.given values (60, 'a', 1, 4)",
    )
    statuses, skipped = build(database, project)
    assert set(statuses.values()) == {"pass"} and len(skipped) >= NAMES - 1
    do(database, "insert into raw.given values (61, 'a', 1, 7)")
    assert "relationships_things" in failing(database, project)


def test_a_changed_test_is_asked_of_everything(database: Database, project: Path) -> None:
    build(database, project)
    tests = yaml_with_values(["a", "b", "c"])
    write_model(project, "things", THINGS, tests, **CONFIG)
    statuses, skipped = build(database, project)
    assert {name for name in statuses if name not in skipped} == {
        name for name in statuses if name.startswith("accepted_values")
    }
    write_model(project, "things", THINGS, yaml_with_values(["b"]), **CONFIG)
    assert "accepted_values" in failing(database, project)


def yaml_with_values(values: list[str]) -> dict[str, Any]:
    kind, *others = TESTS["columns"][1:]
    accepted = {"accepted_values": {"arguments": {"values": values}}}
    return {
        **TESTS,
        "columns": [{"name": "id"}, {**kind, "data_tests": ["not_null", accepted]}, *others],
    }


@pytest.mark.parametrize("command", ["run", "test"])
def test_a_run_without_tests_and_dbt_test(database: Database, project: Path, command: str) -> None:
    """Rows that no test was asked of are read by the next build; `dbt test` reads everything."""
    build(database, project)
    if command == "run":
        do(database, "insert into raw.given values (99, 'x', 1, 1)")
        dbt_project.run(database, "run", project=project)
        assert things(database) == 50
    else:
        do(database, "update marts.things set kind = 'x' where id = 5")
        with pytest.raises(dbt_project.DbtFailed, match="accepted_values"):
            dbt_project.run(database, "test", project=project)
    assert "accepted_values" in failing(database, project)


def test_a_run_without_tests_before_one_with_tests(database: Database, project: Path) -> None:
    build(database, project)
    do(database, "insert into raw.given values (99, 'x', 1, 1)")
    dbt_project.run(database, "run", project=project)
    do(database, "insert into raw.given values (98, 'a', 1, 1)")
    assert "accepted_values" in failing(database, project)


def test_one_test_does_not_answer_for_another(database: Database, project: Path) -> None:
    """The first test that is asked after another hand remembers how it found the table."""
    build(database, project)
    do(database, "update marts.things set kind = 'x' where id = 5")
    dbt_project.run(database, "build", "warned", project=project)
    assert "accepted_values" in failing(database, project)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"expression": "amount <= (select max(amount) from raw.given)"}, None),
        ({"expression": "amount < extract(epoch from now())"}, None),
        ({"expression": "amount > 0"}, "id in (select id from raw.parents)"),
    ],
)
def test_what_depends_on_other_rows_or_the_time_is_read_whole(
    database: Database, project: Path, arguments: dict[str, Any], where: str | None
) -> None:
    test = {"arguments": arguments, "config": {"where": where} if where else {}}
    write_model(
        project,
        "things",
        THINGS,
        {"data_tests": [{"dbt_utils.expression_is_true": test}]},
        **CONFIG,
    )
    for _ in range(2):
        statuses, skipped = build(database, project)
        assert set(statuses.values()) == {"pass"} and skipped == set()


def test_everything_is_read_again_in_time(database: Database, project: Path) -> None:
    build(database, project)
    _, skipped = build(database, project)
    assert len(skipped) == NAMES
    do(
        database,
        "update observability.audited_tests set passed_whole_at = now() - interval '8 days'",
    )
    _, skipped = build(database, project)
    assert skipped == set()
    _, skipped = build(database, project)
    assert len(skipped) == NAMES


def test_the_state_names_what_passed(database: Database, project: Path) -> None:
    build(database, project)
    tables = "select model_name, writes from observability.audited_tables order by 1"
    assert fetch(database, tables) == [("parents", 1), ("things", 1)]
    assert ask(database, "select count(*) from observability.audited_tests") == NAMES
