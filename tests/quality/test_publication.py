"""Readers see one publication whole, or the next; what failed, or scores low, is not published."""

from __future__ import annotations

import dataclasses
import datetime
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.artifacts.schemas import results
from dbt.context import base

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import write_tested_project
from warehouse.build import known_tests

INCREMENTAL = (
    "{{{{ config(materialized='incremental', incremental_strategy='changed_keys',"
    " unique_key='{}', on_schema_change='fail') }}}}\n{{%- set keys = changed_keys() %}}\n"
)
CANDIDATE = "{{{{ config(schema='published', alias='next_{}', unique_key='{}_id') }}}}\n"
VIEW = (
    "{{{{ config(schema='reporting', alias='{0}') }}}}\n"
    "select * from {{{{ published(ref('pub_{0}')) }}}}"
)
LOADED = "{{ row_xid() if not flags.EMPTY and not is_sample() else 'null::bigint' }} as _row_xid"


def positive(severity: str) -> dict[str, Any]:
    return {
        "name": "amount",
        "data_tests": [
            {
                "dbt_utils.accepted_range": {
                    "name": f"amounts_are_{'positive' if severity == 'error' else 'below_90'}",
                    "arguments": {"min_value": 0} if severity == "error" else {"max_value": 90},
                    "config": {"severity": severity},
                }
            }
        ],
    }


MODELS = {
    "sources.yml": yaml.safe_dump(
        {
            "sources": [
                {"name": "app", "schema": "raw", "tables": [{"name": "lines"}]},
                {"name": "observability", "tables": [{"name": "runs"}]},
            ]
        }
    ),
    "staging/stg_lines": f"select line_id, order_id, amount, _loaded_at, {LOADED}"
    " from {{ source('app', 'lines') }}",
    "fct_lines": INCREMENTAL.format("line_id")
    + "select line_id, order_id, amount from {{ ref('stg_lines') }} where {{ is_changed(keys) }}",
    "fct_orders": INCREMENTAL.format("order_id") + "select order_id, sum(amount)::int as amount"
    " from {{ ref('stg_lines') }} where {{ is_changed(keys) }} group by 1",
    "published/pub_lines": CANDIDATE.format("lines", "line")
    + "select line_id, amount from {{ ref('fct_lines') }}",
    "published/pub_orders": CANDIDATE.format("orders", "order")
    + "select order_id, amount from {{ ref('fct_orders') }}",
    "rpt_lines": VIEW.format("lines"),
    "rpt_orders": VIEW.format("orders"),
    "models.yml": yaml.safe_dump(
        {
            "models": [
                {"name": "fct_lines", "columns": [positive("error")]},
                {
                    "name": "fct_orders",
                    "columns": [{"name": "order_id", "data_tests": ["unique"]}],
                },
                {
                    "name": "pub_orders",
                    "columns": [{"name": "order_id"}, positive("warn")],
                },
                {
                    "name": "pub_lines",
                    "columns": [
                        {"name": "line_id", "data_tests": ["unique"]},
                        {"name": "amount"},
                    ],
                },
            ]
        }
    ),
}
# Fails after both tables were written, and does not tell before.
INTEGRITY = """
select order_id from {{ ref('fct_orders') }} where amount = 77
union all select line_id from {{ ref('fct_lines') }} where amount = 77
"""
TESTED = {"publish_untested": False, "min_quality_score": 95, "load_overlap": "0 seconds"}
SUMS = (
    "select (select sum(amount)::int from reporting.orders),"
    " (select sum(amount)::int from reporting.lines)"
)
REASON = "select not_published_because from observability.runs order by finished_at desc limit 1"


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.lines (line_id int, order_id int, amount int, _loaded_at timestamptz)",
        "insert into raw.lines select n, n / 3, 1, clock_timestamp() from generate_series(1, 60) n",
    )
    return write_tested_project(tmp_path / "project", MODELS, tests={"no_amount_is_77": INTEGRITY})


def load(database: Database, line: int, amount: int) -> None:
    do(
        database,
        f"delete from raw.lines where line_id = {line}",
        f"insert into raw.lines values ({line}, {line // 3}, {amount}, clock_timestamp())",
    )


def run(database: Database, project: Path, command: str = "build", *select: str, **given: Any):
    return dbt_project.run(
        database,
        command,
        *select,
        project=project,
        variables={**TESTED, **given.pop("variables", {})},
        **given,
    )


def failure(database: Database, project: Path, *arguments: Any, **given: Any) -> str:
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(database, project, *arguments, **given)
    return str(failed.value)


@contextmanager
def polled(database: Database) -> Iterator[set[tuple[int, int]]]:
    """What a reader sees meanwhile, in one query of two views."""
    seen: set[Any] = set()
    done = threading.Event()

    def poll() -> None:
        with database.connect() as session:
            session.autocommit = True
            while not done.is_set():
                seen.add(session.execute(SUMS).fetchone())

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        yield seen
    finally:
        done.set()
        reader.join()


def test_a_polling_reader_sees_the_last_publication_or_the_next(
    database: Database, project: Path
) -> None:
    run(database, project)
    assert ask(database, SUMS) == [(60, 60)]

    with polled(database) as seen:
        # The audit rolls the lines back, after the orders may have been written.
        load(database, 61, -5)
        assert "amounts_are_positive" in failure(database, project)
        # The test fails after both were written.
        load(database, 61, 77)
        assert "no_amount_is_77" in failure(database, project)
        assert ask(database, "select sum(amount)::int from marts.fct_orders") == 137
        assert "no_amount_is_77" in ask(database, REASON)
        assert "no_amount_is_77" in failure(database, project)
    assert seen == {(60, 60)}

    with polled(database) as seen:
        load(database, 61, 40)
        run(database, project)
    assert seen >= {(60, 60)} and seen <= {(60, 60), (100, 100)}
    assert ask(database, SUMS) == [(100, 100)]
    assert ask(database, REASON) is None
    assert ask(database, "select count(*) from observability.publications") == 2


def test_a_low_score_closes_the_gate(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "update raw.lines set amount = 95, _loaded_at = clock_timestamp()")
    said = failure(database, project)
    # Four tests of severity error pass (weight 3), and one of severity warn (1) fails in all rows.
    assert "the quality score is 92.31, and at least 95.0 is needed" in said
    assert ask(database, SUMS) == [(60, 60)]
    assert "quality score" in ask(database, REASON)
    status = "select status from observability.runs order by finished_at desc limit 1"
    assert ask(database, status) == "failure"
    assert "quality score" in failure(database, project, "test")

    run(database, project, variables={"min_quality_score": 92})
    assert ask(database, SUMS) == [(60 * 95, 60 * 95)]
    (score,) = ask(database, "select quality_score from observability.publications order by 1"
                   " limit 1"),  # fmt: skip
    assert float(score) == pytest.approx(100 * 12 / 13, abs=0.01)


def test_what_no_test_was_asked_of_is_not_published(database: Database, project: Path) -> None:
    run(database, project)
    load(database, 61, 40)
    run(database, project, "run")
    assert ask(database, SUMS) == [(60, 60)]
    assert "data tests not asked since their tables were built" in ask(database, REASON)
    with pytest.raises(dbt_project.DbtFailed, match="not asked since"):
        publish(database, project)

    # A part of the tests does not speak for the rest.
    run(database, project, "test", "no_amount_is_77")
    assert ask(database, SUMS) == [(60, 60)]
    run(database, project, "test")
    assert ask(database, SUMS) == [(100, 100)]

    load(database, 62, 10)
    run(database, project, "run", variables={"publish_untested": True})
    assert ask(database, SUMS) == [(110, 110)]


def publish(database: Database, project: Path) -> None:
    dbt_project.invoke(database, "run-operation", "publish", project=project)


def test_a_publication_follows_a_whole_round(database: Database, project: Path) -> None:
    """A scheduler may run models one by one; what is half built would be a mix of two days."""
    run(database, project)
    load(database, 61, 40)
    for model in ("stg_lines", "fct_lines", "pub_lines"):
        run(database, project, "build", model)
        assert ask(database, SUMS) == [(60, 60)]
    assert "not built since the last publication: fct_orders" in ask(database, REASON)
    run(database, project, "run", "fct_orders", "pub_orders")
    with pytest.raises(dbt_project.DbtFailed, match="unique_fct_orders_order_id"):
        publish(database, project)
    # Only who runs the models knows that the round is complete.
    run(database, project, "test")
    assert "run warehouse publish): fct_lines" in ask(database, REASON)
    assert ask(database, SUMS) == [(60, 60)]
    publish(database, project)
    assert ask(database, SUMS) == [(100, 100)]


def test_what_is_judged_is_what_is_published(database: Database, project: Path) -> None:
    """Another session commits to both marts between the judgement and the last of the copies."""
    run(database, project)
    load(database, 61, 40)
    for model in ("stg_lines", "fct_lines", "fct_orders", "pub_lines", "pub_orders"):
        run(database, project, "run", model)
    run(database, project, "test")
    assert ask(database, SUMS) == [(60, 60)]

    holds_locks = threading.Event()

    def change_both_marts() -> None:
        with database.connect() as session:
            session.execute("lock table published.lines, published.orders in share mode")
            holds_locks.set()
            while not session.execute(
                "select 1 from pg_locks join pg_database on pg_locks.database = pg_database.oid"
                " where datname = current_database() and not granted and relation in"
                " ('published.lines'::regclass, 'published.orders'::regclass)"
            ).fetchone():
                time.sleep(0.01)
            session.execute("update marts.fct_lines set amount = 1040 where line_id = 61")
            session.execute(
                "update marts.fct_orders set amount = amount + 1000 where order_id = 20"
            )

    writer = threading.Thread(target=change_both_marts)
    writer.start()
    assert holds_locks.wait(30)
    publish(database, project)
    writer.join()
    assert ask(database, "select amount from marts.fct_lines where line_id = 61") == 1040
    assert ask(database, SUMS) == [(100, 100)]


def test_a_publication_that_fails_is_a_failed_run(database: Database, project: Path) -> None:
    run(database, project)
    load(database, 61, 40)
    do(
        database,
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise 'no space left'; end $$",
        "create trigger refuse before insert on published.lines execute function refuse()",
    )
    assert "no space left" in failure(database, project)
    ended = "select status, failed_count, is_published, not_published_because"
    ended += " from observability.runs order by finished_at desc limit 1"
    assert ask(database, ended) == [("failure", 0, False, "the publication failed")]
    do(database, "drop function refuse cascade")
    run(database, project)
    assert ask(database, ended) == [("success", 0, True, None)]
    assert ask(database, SUMS) == [(100, 100)]


def test_what_is_left_out_and_not_known_holds_back(database: Database, project: Path) -> None:
    """The score of the first step would count a test that the second step has yet to ask."""
    manifest = dbt_project.parsed(project)

    def first_step() -> list[str]:
        with dbt_project.environment(database.environment):
            os.environ[known_tests.CODE] = code = known_tests.code_of(manifest)
            left_out = known_tests.tests_to_leave_out(manifest, code)
            if left_out:
                os.environ[known_tests.LEFT_OUT] = "1"
            run(database, project, left_out=left_out)
            return known_tests.tests_to_ask(manifest, left_out)

    for _ in range(3):
        assert first_step() == []
    do(database, "update raw.lines set amount = 100, _loaded_at = clock_timestamp()")
    (unknown,) = first_step()
    assert "amounts_are_below_90" in unknown
    assert "not asked since their tables were built: amounts_are_below_90" in ask(database, REASON)
    assert ask(database, SUMS) == [(60, 60)]
    said = failure(database, project, "test", "amounts_are_below_90")
    assert "the quality score is" in said
    assert ask(database, SUMS) == [(60, 60)]

    # The build is what the second step publishes.
    builds = "select (array_agg(is_published order by finished_at desc))[1]"
    builds += " from observability.runs where command = 'build'"
    assert ask(database, builds) is False
    first = ask(
        database,
        "select invocation_id from observability.runs where command = 'build'"
        " order by finished_at desc limit 1",
    )
    environment = {**database.environment, known_tests.FIRST_STEP: first}
    second = dataclasses.replace(database, environment=environment)
    run(second, project, "test", "amounts_are_below_90", variables={"min_quality_score": 0})
    assert ask(database, builds) is True
    assert ask(database, REASON) is None
    assert ask(database, SUMS) != [(60, 60)]


def test_parts_of_two_days_are_not_published(database: Database, project: Path) -> None:
    run(database, project)
    load(database, 61, 40)
    run(database, project, "build", "stg_lines", "fct_lines", "pub_lines")
    load(database, 62, 50)
    run(database, project, "build", "stg_lines", "fct_orders", "pub_orders")
    run(database, project, "test")
    assert "built by another run" in ask(database, REASON)
    assert ask(database, SUMS) == [(60, 60)]
    run(database, project)
    assert ask(database, SUMS) == [(150, 150)]


def test_a_test_that_asks_nothing_says_nothing(database: Database, project: Path) -> None:
    (project / "tests" / "add_up.sql").write_text(
        "select sum(lines.amount) from {{ ref('pub_lines') }} as lines"
        " cross join {{ ref('fct_orders') }} as orders where {{ were_built_together() }}"
        " having max(lines.amount) > 70"
    )
    dbt_project.forget(project)
    run(database, project)
    load(database, 61, 88)
    assert "add_up" in failure(database, project)
    run(database, project, "build", "pub_lines", variables={"min_quality_score": 0})
    with pytest.raises(dbt_project.DbtFailed, match="severity error that fail: add_up"):
        publish(database, project)
    asked = "select status from observability.run_results where node_name = 'add_up'"
    assert ask(database, f"{asked} order by finished_at desc limit 1") == "skipped"
    assert ask(database, SUMS) == [(60, 60)]


def test_a_reporting_view_that_was_not_rebuilt_holds_the_others_back(
    database: Database, project: Path
) -> None:
    run(database, project)
    load(database, 61, 40)
    (project / "models" / "published" / "pub_orders.sql").write_text(
        CANDIDATE.format("orders", "order")
        + "select order_id, amount::bigint as amount from {{ ref('fct_orders') }}"
    )
    dbt_project.forget(project)
    run(database, project, options=("--exclude", "rpt_orders"))
    assert "from before a change of their columns: reporting.orders" in ask(database, REASON)
    assert ask(database, SUMS) == [(60, 60)]
    run(database, project)
    assert ask(database, SUMS) == [(100, 100)]


def test_untested_is_not_failed(database: Database, project: Path) -> None:
    run(database, project)
    load(database, 61, 77)
    untested = {"publish_untested": True, "min_quality_score": 0}
    assert "no_amount_is_77" in failure(database, project, variables=untested)
    assert ask(database, SUMS) == [(60, 60)]


def test_before_the_first_build_there_is_nothing_to_publish(
    database: Database, project: Path
) -> None:
    with pytest.raises(dbt_project.DbtFailed, match="Nothing was built in target dev yet"):
        publish(database, project)


def test_a_failed_model_holds_back_what_was_built_beside_it(
    database: Database, project: Path
) -> None:
    run(database, project)
    load(database, 61, 40)
    (project / "models" / "fct_orders.sql").write_text(
        MODELS["fct_orders"].replace("sum(amount)", "sum(amount / 0)")
    )
    dbt_project.forget(project)
    failure(database, project)
    assert "fct_orders" in ask(database, REASON) and "failed" in ask(database, REASON)
    # A later run of another part does not hide the failure.
    run(database, project, "build", "fct_lines+", options=("--exclude", "no_amount_is_77"))
    assert "fct_orders" in ask(database, REASON)
    assert ask(database, SUMS) == [(60, 60)]


def test_a_publication_writes_the_keys_that_changed(database: Database, project: Path) -> None:
    run(database, project)
    # A row that no key of the log names shows that the others are not read.
    do(database, "update published.orders set amount = 1000 where order_id = 7")
    load(database, 61, 40)
    load(database, 3, 5)
    run(database, project)
    written = "select rows_written from observability.publications order by published_at desc"
    assert ask(database, f"{written} limit 1") == 2 + 2
    assert ask(database, "select amount from published.orders where order_id = 7") == 1000

    # Another query, and a rebuilt model, compare everything.
    (project / "models" / "published" / "pub_orders.sql").write_text(
        MODELS["published/pub_orders"] + " where order_id >= 0"
    )
    dbt_project.forget(project)
    run(database, project)
    assert ask(database, "select amount from published.orders where order_id = 7") == 3
    do(database, "update published.orders set amount = 1000 where order_id = 7")
    run(database, project, full_refresh=True)
    assert ask(database, "select amount from published.orders where order_id = 7") == 3
    same = "select count(*) from (table published.orders except table published.next_orders) as d"
    assert ask(database, same) == 0

    do(database, "truncate published.lines")
    run(database, project)
    assert ask(database, "select count(*) from reporting.lines") == 61


def test_readers_keep_rows_when_columns_change(database: Database, project: Path) -> None:
    run(database, project)
    do(database, "create schema own", "create view own.orders as table published.orders")
    (project / "models" / "published" / "pub_orders.sql").write_text(
        CANDIDATE.format("orders", "order")
        + "select order_id, amount::bigint as amount, 1 as orders from {{ ref('fct_orders') }}"
    )
    dbt_project.forget(project)
    with polled(database) as seen:
        run(database, project)
    assert seen == {(60, 60)}
    assert ask(database, "select sum(orders) from reporting.orders") == 21
    former = "select count(*) from pg_tables where tablename like 'before!_%' escape '!'"
    assert ask(database, former) == 1
    do(database, "drop view own.orders")
    run(database, project)
    assert ask(database, former) == 0


def test_reporting_views_of_an_earlier_version_are_never_empty(
    database: Database, project: Path
) -> None:
    old = {"rpt_orders": "fct_orders", "rpt_lines": "fct_lines"}
    for name, mart in old.items():
        config = f"{{{{ config(schema='reporting', alias='{name[4:]}') }}}}"
        (project / "models" / f"{name}.sql").write_text(
            f"{config}\nselect {name[4:-1]}_id, amount from {{{{ ref('{mart}') }}}}"
        )
    dbt_project.forget(project)
    run(database, project, "build", "rpt_orders", "rpt_lines", "+fct_lines", "+fct_orders")
    for name in old:
        (project / "models" / f"{name}.sql").write_text(MODELS[name])
    dbt_project.forget(project)
    with polled(database) as seen:
        run(database, project)
    assert seen == {(60, 60)}


def test_the_clocks_of_dbt_and_of_the_server_may_differ(
    database: Database, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return super().now(tz) - datetime.timedelta(minutes=10)

    run(database, project)
    load(database, 61, 40)
    monkeypatch.setattr(results, "datetime", Late)
    monkeypatch.setitem(base.get_context_modules()["datetime"], "datetime", Late)
    run(database, project)
    monkeypatch.undo()
    late = "select count(*) from observability.run_results where finished_at < now() - interval"
    assert ask(database, f"{late} '9 minutes'") == 0
    assert ask(database, SUMS) == [(100, 100)]


@pytest.mark.parametrize("hook", ["{{ after_run() }}", "{{ prune_changed_keys() }}", None])
def test_a_project_that_would_publish_nothing_is_told(
    database: Database, project: Path, hook: str | None
) -> None:
    file = project / "dbt_project.yml"
    whole = yaml.safe_load(file.read_text())
    whole["on-run-end"] = [hook] if hook else []
    file.write_text(yaml.safe_dump(whole))
    dbt_project.forget(project)
    said = failure(database, project)
    assert 'on-run-end: "{{ after_run(results) }}"' in said
    assert f"Got: {hook or 'no on-run-end'}" in said


def test_a_candidate_with_two_rows_of_a_key_is_named(database: Database, project: Path) -> None:
    run(database, project)
    load(database, 61, 40)
    (project / "models" / "published" / "pub_orders.sql").write_text(
        CANDIDATE.format("orders", "order") + "select order_id, amount from {{ ref('fct_orders') }}"
        " union all select order_id, amount from {{ ref('fct_orders') }} where order_id = 20"
    )
    dbt_project.forget(project)
    said = failure(database, project)
    assert "pub_orders has more than one row, or a null, for the order_id 20" in said
    assert ask(database, SUMS) == [(60, 60)]


def test_an_unpublishable_candidate_says_what_it_needs(database: Database, project: Path) -> None:
    (project / "models" / "published" / "pub_orders.sql").write_text(
        "{{ config(schema='published', alias='orders') }} select 1 as order_id, 2 as amount"
    )
    dbt_project.forget(project)
    said = failure(database, project)
    assert "needs a unique_key and an alias that begins with next_" in said
