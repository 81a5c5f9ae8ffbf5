"""Each run leaves its results, and a score that anybody can compute from them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import write_tested_project

INCREMENTAL = (
    "{{ config(materialized='incremental', incremental_strategy='changed_keys',"
    " unique_key='order_id', on_schema_change='fail', meta={'change_log_keys': []}) }}\n"
    "{%- set keys = changed_keys('order_id') %}\n"
)
TESTS = [
    ("amount_is_small", "accepted_range", {"max_value": 90}, {"severity": "warn"}),
    ("amount_is_positive", "accepted_range", {"min_value": 0}, {}),
    (
        "amount_is_even",
        "expression_is_true",
        {"expression": "% 2 = 0"},
        {"severity": "warn", "meta": {"quality_weight": 5, "dimension": "consistency"}},
    ),
]
MODELS = {
    "sources.yml": yaml.safe_dump(
        {"sources": [{"name": "app", "schema": "raw", "tables": [{"name": "orders"}]}]}
    ),
    "stg_orders": "select order_id, amount, _loaded_at, "
    "{{ row_xid() if not flags.EMPTY else 'null::bigint' }} as _row_xid"
    " from {{ source('app', 'orders') }}",
    "fct_orders": INCREMENTAL
    + "select order_id, amount from {{ ref('stg_orders') }} where {{ is_changed(keys) }}",
    "broken": "{{ config(materialized='table') }} select 1 / {{ var('sql_divisor') }} as n"
    " from {{ ref('fct_orders') }}",
    "reader": "select * from {{ ref('broken') }}",
    "models.yml": yaml.safe_dump(
        {
            "models": [
                {
                    "name": "fct_orders",
                    "columns": [
                        {"name": "order_id", "data_tests": ["unique", "not_null"]},
                        {
                            "name": "amount",
                            "data_tests": [
                                {
                                    f"dbt_utils.{kind}": {
                                        "name": name,
                                        "arguments": arguments,
                                        "config": config,
                                    }
                                }
                                for name, kind, arguments, config in TESTS
                            ],
                        },
                    ],
                },
                {"name": "stg_orders", "columns": [{"name": "order_id", "data_tests": ["unique"]}]},
            ]
        }
    ),
}
SINGULAR = "{{ config(severity='warn') }} select * from {{ ref('fct_orders') }} where amount = 95"
LAST = (
    "(select invocation_id from observability.runs order by finished_at desc limit 1) as last_run"
)


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.orders (order_id int, amount int, _loaded_at timestamptz)",
        "insert into raw.orders select n, n, clock_timestamp() from generate_series(1, 100) as n",
        "analyze raw.orders",
    )
    return write_tested_project(
        tmp_path / "project", MODELS, {"sql_divisor": 1}, {"no_amount_is_95": SINGULAR}
    )


def run(database: Database, project: Path, command: str = "build", *select: str, **given: Any):
    variables = {"load_overlap": "0 seconds", **given.pop("variables", {})}
    return dbt_project.run(
        database, command, *select, project=project, variables=variables, **given
    )


def results(database: Database) -> dict[str, tuple]:
    """Of the last run: status, rows judged, failing, written, by node."""
    rows = ask(
        database,
        "select node_name, status, rows_judged, failing_rows, rows_written"
        f" from observability.run_results, {LAST.replace(' as last_run', '')} as l"
        " where run_results.invocation_id = l.invocation_id",
    )
    return {name: rest for name, *rest in rows}


def test_a_run_leaves_what_it_wrote_and_judged(database: Database, project: Path) -> None:
    run(database, project)
    found = results(database)
    assert found["fct_orders"] == ["success", None, None, 100]
    assert found["stg_orders"] == ["success", None, None, None]
    assert found["amount_is_small"] == ["warn", 100, 10, None]
    assert found["amount_is_positive"] == ["pass", 100, 0, None]
    assert found["unique_stg_orders_order_id"] == ["pass", 100, 0, None]
    assert found["no_amount_is_95"] == ["warn", None, 1, None]

    do(
        database,
        "insert into raw.orders select n, 2, clock_timestamp() from generate_series(101, 105) as n",
        "update raw.orders set amount = 0, _loaded_at = clock_timestamp() where order_id < 3",
    )
    run(database, project)
    # A model that logs no keys reports its own rows, not those of the log.
    assert results(database)["fct_orders"] == ["success", None, None, 7]
    run(database, project)
    assert results(database)["fct_orders"] == ["success", None, None, 0]

    with pytest.raises(dbt_project.DbtFailed):
        run(database, project, variables={"sql_divisor": 0})
    found = results(database)
    assert (found["broken"][0], found["reader"][0]) == ("error", "skipped")
    counts = "select status, node_count, failed_count, warned_count, skipped_count from"
    assert ask(database, f"{counts} observability.runs order by finished_at desc limit 1") == [
        ("failure", len(found), 1, 3, 1)
    ]
    # What readers of results may see holds no value of a row.
    assert ask(database, "select count(*) from observability.runs where command = 'build'") == 4


def test_results_outlive_a_full_refresh_and_are_pruned_by_month(
    database: Database, project: Path
) -> None:
    run(database, project)
    run(database, project, full_refresh=True)
    assert ask(database, "select count(distinct invocation_id) from observability.run_results") == 2

    do(
        database,
        "create table observability.run_results_2020_01 partition of observability.run_results"
        " for values from ('2020-01-01 00:00+00') to ('2020-02-01 00:00+00')",
        "insert into observability.run_results select invocation_id, node_id, node_name,"
        " resource_type, model_name, status, severity, dimension, weight, counts_rows, rows_judged,"
        " failing_rows, rows_written, seconds, started_at, '2020-01-15'"
        " from observability.run_results",
        "update observability.runs set finished_at = '2020-01-15'"
        " where invocation_id = (select min(invocation_id) from observability.runs)",
    )
    with database.connect() as reader:
        reader.execute("select count(*) from observability.run_results")
        run(database, project, "test")  # is not held up by a reader
        kept = "select count(*) from observability.run_results where finished_at < '2020-02-01'"
        assert ask(database, kept) > 0
    run(database, project, "test")
    assert ask(database, kept) == 0
    assert ask(database, "select count(*) from observability.runs") == 3


def test_the_score_is_what_the_page_says(database: Database, project: Path) -> None:
    run(database, project)
    expected = scores(database, "weight")
    found = {
        (scope, name): float(score)
        for scope, name, score in ask(
            database, "select scope, name, score from observability.quality_scores"
        )
    }
    assert found == pytest.approx(expected, abs=1e-4)
    # By hand: 10 of 100 rows fail a warning, half of the rows one of weight 5, and a warning of a
    # test in a file counts half; four other checks of weight 3 pass.
    by_hand = 100 * (0.9 * 1 + 0.5 * 5 + 0.5 * 1 + 4 * 3) / (1 + 5 + 1 + 4 * 3)
    assert found["warehouse", "(all)"] == pytest.approx(by_hand, abs=1e-4)
    of_run = ask(database, "select quality_score::float8 from observability.runs")
    assert of_run == pytest.approx(by_hand, abs=1e-4)
    assert set(found) >= {("model", "fct_orders"), ("dimension", "consistency")}

    # A part of the tests is asked: the others keep their latest result.
    do(database, "update raw.orders set amount = 2, _loaded_at = clock_timestamp()")
    run(database, project, "run")
    run(database, project, "test", "amount_is_small")
    latest = "select score::float8 from observability.quality_scores where scope = 'warehouse'"
    by_hand = 100 * (1 + 0.5 * 5 + 0.5 + 4 * 3) / (1 + 5 + 1 + 4 * 3)
    latest_score = ask(database, f"{latest} order by scored_at desc limit 1")
    assert latest_score == pytest.approx(by_hand, abs=1e-4)


def test_the_rules_of_rows_count_in_the_score(built: Database) -> None:
    """On the sample, whose dirty rows fail some of them."""
    do(built, "truncate observability.run_results")
    dbt_project.build(built, "int_row_issues", options=dbt_project.NO_TESTS)
    found = ask(
        built,
        "select model_name, node_name, severity, weight::int, rows_judged, failing_rows"
        " from observability.run_results where resource_type = 'rule'",
    )
    assert len(found) == ask(built, "select count(*) from intermediate.int_quality_rules") > 80
    failing = {(model, rule): number for model, rule, *_, number in found if number}
    issues = ask(
        built,
        "select 'stg_app__' || table_name, rule_name, count(*) from quarantine.row_issues"
        " where resolved_at is null group by 1, 2",
    )
    assert failing == {(model, rule): number for model, rule, number in issues}
    assert {(effect, weight) for _, _, effect, weight, *_ in found} == {("exclude", 3), ("flag", 1)}
    orders = {judged for model, *_, judged, _ in found if model == "stg_app__orders"}
    assert orders == {ask(built, "select count(*) from raw.orders")}

    last = "(select invocation_id from observability.runs order by finished_at desc limit 1)"
    rows = ask(
        built,
        "select scope, name, score::float8 from observability.quality_scores"
        f" where invocation_id = {last}",
    )
    computed = {(scope, name): score for scope, name, score in rows}
    assert computed == pytest.approx(scores(built, "weight"), abs=1e-4)
    assert computed["warehouse", "(all)"] < 100


def test_the_score_of_equal_weights_is_the_usual_one(database: Database, project: Path) -> None:
    """100 * sum(weight * (1 - failing / rows)) / sum(weight), as other tools define it."""
    (project / "models" / "models.yml").write_text(
        MODELS["models.yml"].replace("quality_weight: 5", "quality_weight: 1")
    )
    run(database, project, options=("--exclude", "amount_is_positive", "no_amount_is_95"))
    do(database, "update observability.run_results set weight = 1")
    checks = ask(
        database,
        "select failing_rows, rows_judged from observability.run_results"
        " where resource_type = 'test'",
    )
    usual = 100 * sum(1 - failing / rows for failing, rows in checks) / len(checks)
    assert scores(database, "1")["warehouse", "(all)"] == pytest.approx(usual)


def scores(database: Database, weight: str) -> dict[tuple[str, str], float]:
    """The scores of the last run, computed from its results as docs/quality.md describes it."""
    checks = ask(
        database,
        f"select model_name, dimension, {weight}, status, counts_rows, failing_rows, rows_judged"
        " from observability.run_results where resource_type in ('test', 'rule')",
    )
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for model, dimension, weight_of_check, status, counts_rows, failing, judged in checks:
        if counts_rows and status != "error":
            score = 1 - min(1, failing / judged) if failing else 1
        else:
            score = {"pass": 1, "warn": 0.5}.get(status, 0)
        for key in (("warehouse", "(all)"), ("dimension", dimension), ("model", model)):
            if key[1] is not None:
                sums[key][0] += float(weight_of_check) * score
                sums[key][1] += float(weight_of_check)
    return {key: 100 * got / of for key, (got, of) in sums.items()}


def test_a_weight_that_is_no_number_is_ignored(database: Database, project: Path) -> None:
    (project / "models" / "models.yml").write_text(
        MODELS["models.yml"].replace("quality_weight: 5", "quality_weight: high")
    )
    run(database, project)
    weight = "select weight::int from observability.run_results where node_name = 'amount_is_even'"
    assert ask(database, weight) == 1


def test_nothing_is_recorded_of_runs_that_see_no_rows(database: Database, project: Path) -> None:
    run(database, project)
    run(database, project, options=("--empty",))
    assert ask(database, "select count(*) from observability.runs") == 1


def test_a_role_that_may_only_read_can_test(database: Database, project: Path) -> None:
    run(database, project)
    role = f"reader_of_{database.name}"
    schemas = ("marts", "observability")
    do(
        database,
        f"create role {role} login",
        *(f"grant usage on schema {each} to {role}" for each in schemas),
        *(f"grant select on all tables in schema {each} to {role}" for each in schemas),
    )
    reader = dataclasses.replace(database, environment={**database.environment, "PGUSER": role})
    try:
        run(reader, project, "test", "fct_orders")
    finally:
        do(database, f"drop owned by {role}", f"drop role {role}")
    assert ask(database, "select count(*) from observability.runs") == 1
