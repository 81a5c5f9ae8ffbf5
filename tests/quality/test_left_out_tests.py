"""The tests that a daily build leaves out are asked by the models, in one query for each model.

The whole command is run by tests/build/test_known_tests.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import write_model, write_tested_project
from warehouse.build import known_tests

LOADED = "{{ row_xid() if not flags.EMPTY and not is_sample() else 'null::bigint' }} as _row_xid"
INCREMENTAL = (
    "{{ config(materialized='incremental', incremental_strategy='changed_keys',"
    " unique_key='order_id', on_schema_change='fail') }}\n{%- set keys = changed_keys() %}\n"
)


def named(kind: str, name: str, config: Any = None, **arguments: Any) -> dict[str, Any]:
    given = {"name": name, "arguments": arguments, "config": config or {}}
    return {kind if kind == "relationships" else f"dbt_utils.{kind}": given}


def column(name: str, *tests: Any) -> dict[str, Any]:
    return {"name": name, "data_tests": list(tests)}


IS_POSITIVE = named("accepted_range", "amount_is_positive", min_value=0)
IS_SMALL = named("accepted_range", "amount_is_small", {"severity": "warn"}, max_value=90)
KNOWN = named("relationships", "status_is_known", to="ref('statuses')", field="status")
UNCOMMON = named(
    "unique_combination_of_columns", "pairs_are_unique", combination_of_columns=["status", "amount"]
)
MODELS = {
    "sources.yml": yaml.safe_dump(
        {
            "sources": [
                {
                    "name": "app",
                    "schema": "raw",
                    "tables": [{"name": "orders", "config": {"meta": {"primary_key": "order_id"}}}],
                },
                {"name": "observability", "tables": [{"name": "runs"}]},
            ]
        }
    ),
    "stg_orders": f"select order_id, status, amount, _loaded_at, {LOADED}"
    " from {{ source('app', 'orders') }}",
    "fct_orders": INCREMENTAL + "select order_id, status, amount"
    " from {{ ref('stg_orders') }} where {{ is_changed(keys) }}",
    "sums": "{{ config(materialized='table') }} select status, sum(amount) - {{ var('sql_less') }}"
    " as amount from {{ ref('fct_orders') }} group by 1",
    "large_orders": "select order_id, amount from {{ ref('fct_orders') }} where amount > 50",
    "models.yml": yaml.safe_dump(
        {
            "models": [
                {
                    "name": "stg_orders",
                    "columns": [
                        {"name": "_loaded_at"},
                        {"name": "_row_xid"},
                        column("order_id", "unique", "not_null"),
                        column("status", KNOWN),
                        column("amount", IS_POSITIVE, IS_SMALL),
                    ],
                },
                {
                    "name": "fct_orders",
                    "data_tests": [UNCOMMON],
                    "columns": [column("order_id", "unique", "not_null")],
                },
                {
                    "name": "sums",
                    "columns": [
                        column("status", "not_null", "unique"),
                        column("amount", named("accepted_range", "sum_is_positive", min_value=0)),
                    ],
                },
                {
                    "name": "large_orders",
                    "columns": [
                        column("amount", named("accepted_range", "is_no_typo", max_value=1000))
                    ],
                },
            ]
        }
    ),
}
SEEDS = {"seeds": [{"name": "statuses", "columns": [column("status", "unique", "not_null")]}]}
TESTS = 14
CALM = {"sql_less": 0, "load_overlap": "0 seconds"}


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.orders (order_id int, status text, amount int,"
        " _loaded_at timestamptz default clock_timestamp())",
        "insert into raw.orders select n, 'paid', n from generate_series(1, 60) as n",
    )
    folder = write_tested_project(tmp_path / "project", MODELS, CALM)
    (folder / "seeds").mkdir()
    (folder / "seeds" / "statuses.csv").write_text("status\npaid\nopen\n")
    (folder / "seeds" / "seeds.yml").write_text(yaml.safe_dump(SEEDS))
    return folder


class Day:
    """A build as `warehouse build` does it.

    `left_out` are the tests that dbt did not visit, `unknown` those of them that the second step
    would ask, `error` is what failed.
    """

    def __init__(self, database: Database, project: Path, **variables: Any) -> None:
        manifest = dbt_project.parsed(project)
        self.error = ""
        with dbt_project.environment(database.environment):
            os.environ[known_tests.CODE] = code = known_tests.code_of(manifest)
            left_out = known_tests.tests_to_leave_out(manifest, code)
            if left_out:
                os.environ[known_tests.LEFT_OUT] = "1"
            try:
                dbt_project.run(
                    database,
                    "build",
                    project=project,
                    variables={**CALM, **variables},
                    left_out=left_out,
                )
            except dbt_project.DbtFailed as failed:
                self.error = str(failed)
            unknown = known_tests.tests_to_ask(manifest, left_out)
        self.left_out, self.unknown = (
            {manifest.nodes[each].name for each in tests} for tests in (left_out, unknown)
        )


@pytest.fixture
def third(database: Database, project: Path) -> Day:
    """The third day; the second knows already what passed on the first."""
    assert Day(database, project).left_out == set()
    assert len(Day(database, project).left_out) == TESTS
    return Day(database, project)


def load(database: Database, *rows: str) -> None:
    for row in rows:
        do(database, f"insert into raw.orders (order_id, status, amount) values {row}")


def verdicts(database: Database) -> dict[str, tuple[str, bool]]:
    """Of the tests in the last run: the status, and whether dbt visited it."""
    rows = ask(
        database,
        "select node_name, status, seconds > 0 from observability.run_results"
        " where resource_type = 'test' and invocation_id ="
        " (select invocation_id from observability.runs order by finished_at desc limit 1)",
    )
    return {name: (status, visited) for name, status, visited in rows}


def test_a_quiet_day_visits_no_test(database: Database, third: Day) -> None:
    assert (len(third.left_out), third.unknown, third.error) == (TESTS, set(), "")
    assert set(verdicts(database).values()) == {("pass", False)}
    assert len(verdicts(database)) == TESTS


@pytest.mark.usefixtures("third")
@pytest.mark.parametrize(
    ("row", "test", "key"),
    [
        ("(61, 'paid', -1)", "amount_is_positive", "order_id: 61"),
        ("(7, 'open', 3)", "unique_stg_orders_order_id", "order_id: 7"),
        ("(null, 'open', 3)", "not_null_stg_orders_order_id", ""),
        ("(61, 'lost', 3)", "status_is_known", "order_id: 61"),
    ],
)
def test_a_loaded_row_stops_its_staging_model(
    database: Database, project: Path, row: str, test: str, key: str
) -> None:
    load(database, row)
    for _ in range(2):
        day = Day(database, project)
        assert "stg_orders: the rows that were loaded since its tests last passed fail" in day.error
        assert test in day.error
        assert key in day.error
        # dbt says more of it, reading everything.
        assert test in day.unknown
        assert ask(database, "select count(*) from marts.fct_orders") == 60
    do(
        database,
        "delete from raw.orders where _loaded_at = (select max(_loaded_at) from raw.orders)",
    )
    day = Day(database, project)
    assert (day.unknown, day.error) == (set(), "")


@pytest.mark.usefixtures("third")
def test_only_loaded_rows_are_read(database: Database, project: Path) -> None:
    """What no load brought is found by `dbt test`, and each week."""
    do(database, "update raw.orders set amount = -1 where order_id = 5")
    load(database, "(61, 'open', 61)")
    assert Day(database, project).error == ""
    with pytest.raises(dbt_project.DbtFailed, match="amount_is_positive"):
        dbt_project.run(database, "test", "stg_orders", project=project, variables=CALM)
    do(database, "update observability.tested_keys set passed_whole_at = now() - interval '8 days'")
    day = Day(database, project)
    assert "amount_is_positive" not in day.left_out
    assert "amount_is_positive" in day.error


@pytest.mark.usefixtures("third")
def test_a_warning_is_left_to_dbt(database: Database, project: Path) -> None:
    load(database, "(61, 'open', 95)")
    day = Day(database, project)
    assert (day.unknown, day.error) == ({"amount_is_small"}, "")
    assert ask(database, "select count(*) from marts.fct_orders") == 61
    # `warehouse build` asks it in its second step.
    dbt_project.run(database, "test", "amount_is_small", project=project, variables=CALM)
    assert verdicts(database)["amount_is_small"] == ("warn", True)
    for _ in range(2):
        day = Day(database, project)
        assert "amount_is_small" not in day.left_out
        assert (day.unknown, day.error) == (set(), "")
        assert verdicts(database)["amount_is_small"][1] is True


@pytest.mark.usefixtures("third")
def test_a_table_is_not_replaced_by_rows_that_fail(database: Database, project: Path) -> None:
    before = ask(database, "select sum(amount) from marts.sums")
    day = Day(database, project, sql_less=10_000)
    assert "sums: its rows fail 1 data test, so nothing was written" in day.error
    assert "sum_is_positive" in day.error
    assert ask(database, "select sum(amount) from marts.sums") == before


@pytest.mark.usefixtures("third")
def test_a_view_and_keys_of_several_columns_are_asked_of_all_rows(
    database: Database, project: Path
) -> None:
    do(database, "update marts.fct_orders set amount = 5000 where order_id = 5")
    assert "large_orders: its rows fail 1 data test" in Day(database, project).error

    do(database, "update marts.fct_orders set amount = 4 where order_id = 5")
    assert "pairs_are_unique" in Day(database, project).error


@pytest.mark.usefixtures("third")
def test_a_view_that_combines_rows_is_asked_whole(database: Database, project: Path) -> None:
    """It may show a row that was loaded long ago."""
    write_model(
        project,
        "stg_orders",
        f"select distinct on (order_id) order_id, status, amount, _loaded_at, {LOADED}"
        " from {{ source('app', 'orders') }} order by order_id, _loaded_at desc",
    )
    do(database, "insert into raw.orders values (5, 'paid', -7, '2020-01-01')")
    for _ in range(3):
        day = Day(database, project)
        assert (day.unknown, day.error) == (set(), "")
    assert {"amount_is_positive", "status_is_known"} <= day.left_out
    do(database, "delete from raw.orders where order_id = 5 and amount = 5")
    for _ in range(2):
        day = Day(database, project)
        assert "stg_orders: its rows fail 1 data test" in day.error
        assert "amount_is_positive" in day.unknown


@pytest.mark.usefixtures("third")
def test_another_view_is_not_known(database: Database, project: Path) -> None:
    """The view of the last build is compared, not the code alone."""
    do(
        database,
        "update observability.tested_keys set fingerprint = 'other'"
        " where upstream_name = 'stg_orders'",
    )
    day = Day(database, project)
    assert {"amount_is_positive", "status_is_known"} <= day.unknown
    assert "is_no_typo" not in day.unknown


@pytest.mark.usefixtures("third")
def test_a_changed_seed_is_asked_by_dbt(database: Database, project: Path) -> None:
    (project / "seeds" / "statuses.csv").write_text("status\npaid\nopen\nopen\n")
    dbt_project.forget(project)
    day = Day(database, project)
    assert day.left_out == set()
    assert "unique_statuses_status" in day.error


@pytest.mark.usefixtures("third")
def test_a_run_that_ends_early_records_nothing(database: Database, project: Path) -> None:
    load(database, "(61, 'open', 62)")
    do(database, "alter table marts.fct_orders add constraint no_61 check (order_id < 61)")
    assert "no_61" in Day(database, project).error
    do(database, "alter table marts.fct_orders drop constraint no_61")
    load(database, "(62, 'open', -3)")
    assert "amount_is_positive" in Day(database, project).error


@pytest.mark.usefixtures("third")
def test_seeds_that_were_not_loaded(database: Database, project: Path) -> None:
    """Another hand's rows stay, so dbt asks them."""
    do(
        database,
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise 'the seed stays as it is'; end $$",
        "create trigger refuse before insert on marts.statuses execute function refuse()",
    )
    day = Day(database, project)
    assert "the seed stays as it is" in day.error
    assert {"unique_statuses_status", "not_null_statuses_status"} <= day.unknown


def rewrite(project: Path, **columns: Any) -> None:
    """Give columns of fct_orders and of the seed these tests."""
    declared = yaml.safe_load(MODELS["models.yml"])
    (fact,) = [model for model in declared["models"] if model["name"] == "fct_orders"]
    fact["columns"] += [column(name, test) for name, test in columns.items()]
    (project / "models" / "models.yml").write_text(yaml.safe_dump(declared))
    dbt_project.forget(project)


def test_a_test_that_failed_with_its_present_code_is_not_known(
    database: Database, project: Path
) -> None:
    small = named("accepted_range", "small", {"where": "order_id < 50"}, max_value=50)
    rewrite(project, amount=small)
    for _ in range(3):
        day = Day(database, project)
    assert "small" in day.left_out
    rewrite(project, amount=named("accepted_range", "small", max_value=50))
    for _ in range(3):
        day = Day(database, project)
        assert "small" not in day.left_out
        assert "small" in day.error
    do(
        database,
        "update raw.orders set status = 'open', amount = amount - 50, _loaded_at = now()"
        " where amount > 50",
    )
    for _ in range(3):
        assert Day(database, project).error == ""


def test_a_test_that_demands_failures_is_not_known(database: Database, project: Path) -> None:
    needs = named("accepted_range", "needs", {"error_if": "< 1", "warn_if": "< 1"}, max_value=500)
    rewrite(project, amount=needs)
    for _ in range(3):
        day = Day(database, project)
        assert "needs" not in day.left_out
        assert "needs" in day.error


@pytest.mark.usefixtures("third")
def test_a_seed_that_was_loaded_a_day_later_is_asked(database: Database, project: Path) -> None:
    """Its test passed with the former file, and was skipped with the present one."""
    (project / "seeds" / "statuses.csv").write_text("status\npaid\nopen\nopen\n")
    dbt_project.forget(project)
    do(
        database,
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise 'not today'; end $$",
        "create trigger refuse before insert on marts.statuses execute function refuse()",
    )
    assert "not today" in Day(database, project).error
    do(database, "drop function refuse cascade")
    for _ in range(2):
        day = Day(database, project)
        assert "unique_statuses_status" not in day.left_out
        assert "unique_statuses_status" in day.error


def test_a_test_of_a_seed_that_names_the_time_is_asked(database: Database, project: Path) -> None:
    declared = yaml.safe_load((project / "seeds" / "seeds.yml").read_text())
    still_valid = named("expression_is_true", "still_valid", expression="::timestamptz > now()")
    known_word = named("expression_is_true", "is_a_date", expression="::timestamptz is not null")
    declared["seeds"][0]["columns"].append(column("valid_until", still_valid, known_word))
    (project / "seeds" / "seeds.yml").write_text(yaml.safe_dump(declared))
    (project / "seeds" / "statuses.csv").write_text(
        "status,valid_until\npaid,2100-01-01\nopen,2100-01-01\n"
    )
    dbt_project.forget(project)
    for _ in range(3):
        day = Day(database, project)
    assert "is_a_date" in day.left_out
    assert "still_valid" not in day.left_out
    assert day.error == ""


@pytest.mark.usefixtures("third")
def test_each_test_is_asked_by_dbt_itself_once_a_week(database: Database, project: Path) -> None:
    do(
        database,
        "update observability.run_results set finished_at = finished_at - interval '8 days'"
        " where seconds > 0",
    )
    assert Day(database, project).left_out == set()
    assert len(Day(database, project).left_out) > 0


@pytest.mark.usefixtures("third")
def test_rows_judged_follow_the_table(database: Database, project: Path) -> None:
    judged = (
        "select rows_judged from observability.run_results where node_name = 'is_no_typo'"
        " or node_name = 'pairs_are_unique' order by finished_at desc, node_name desc limit 1"
    )
    load(database, *(f"({number}, 'open', {number})" for number in range(61, 90)))
    Day(database, project)
    Day(database, project)
    assert ask(database, judged) == 89
