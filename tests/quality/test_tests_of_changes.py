"""A build asks tests of what changed since they last passed, and says when that was whole."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import Database, ask, do
from tests.support.small_project import write_tested_project

CONFIG = (
    "{{{{ config(materialized='incremental', incremental_strategy='changed_keys',"
    " unique_key='{}', on_schema_change='fail') }}}}\n"
)
LOADED = "{{ row_xid() if not flags.EMPTY and not is_sample() else 'null::bigint' }} as _row_xid"
MODELS = {
    "sources.yml": yaml.safe_dump(
        {"sources": [{"name": "app", "schema": "raw", "tables": [{"name": "lines"}]}]}
    ),
    "staging/stg_lines": f"select line_id, order_id, amount, _loaded_at, {LOADED}"
    " from {{ source('app', 'lines') }}",
    "fct_lines": CONFIG.format("line_id").replace(
        "fail'", "fail', meta={'change_log_keys': ['order_id']}"
    )
    + "{%- set keys = changed_keys() %}\nselect line_id, order_id, amount"
    " from {{ ref('stg_lines') }} where {{ is_changed(keys) }}",
    "fct_orders": CONFIG.format("order_id")
    + "{%- set keys = changed_keys() %}\nselect order_id, sum(amount)::int as amount"
    " from {{ ref('fct_lines') }} where {{ is_changed(keys) }} group by 1",
    "models.yml": yaml.safe_dump(
        {
            "models": [
                {
                    "name": "stg_lines",
                    "columns": [
                        {"name": "_loaded_at"},
                        {"name": "_row_xid"},
                        {"name": "line_id", "data_tests": ["unique", "not_null"]},
                        {
                            "name": "amount",
                            "data_tests": [
                                {
                                    "dbt_utils.accepted_range": {
                                        "name": "amount_is_positive",
                                        "arguments": {"min_value": 0},
                                    }
                                }
                            ],
                        },
                    ],
                },
                {
                    "name": "fct_lines",
                    "columns": [
                        {
                            "name": "order_id",
                            "data_tests": [
                                {
                                    "relationships": {
                                        "name": "lines_have_orders",
                                        "arguments": {
                                            "to": "ref('fct_orders')",
                                            "field": "order_id",
                                        },
                                    }
                                }
                            ],
                        }
                    ],
                },
                {"name": "fct_orders", "columns": [{"name": "order_id", "data_tests": ["unique"]}]},
            ]
        }
    ),
}
SUMS = """
{%- set orders_to_test = keys_to_test('order_id', [ref('fct_orders'), ref('fct_lines')]) %}
select orders.order_id
from {{ ref('fct_orders') }} as orders
left join (
    select order_id, sum(amount) as amount from {{ ref('fct_lines') }}
    where {{ is_to_test(orders_to_test) }} group by 1
) as lines on orders.order_id = lines.order_id
where {{ is_to_test(orders_to_test, 'orders.order_id') }}
    and orders.amount is distinct from lines.amount
"""
WHOLE = "select max(passed_whole_at) from observability.tested_keys where test_name ~ 'sums_agree'"
OF_CHANGES = {
    "sums_agree", "lines_have_orders", "amount_is_positive", "unique_stg_lines_line_id",
    "not_null_stg_lines_line_id",
}  # fmt: skip
# The overlap would ask of rows again that passed.
NO_OVERLAP = {"load_overlap": "0 seconds"}


def insert(line: str, order: str, amount: str, loaded: str = "clock_timestamp()") -> str:
    return f"insert into raw.lines values ({line}, {order}, {amount}, {loaded})"


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.lines (line_id int, order_id int, amount int, _loaded_at timestamptz)",
        "insert into raw.lines select n, n / 3, n, clock_timestamp()"
        " from generate_series(1, 60) as n",
    )
    return write_tested_project(
        tmp_path / "project", MODELS, NO_OVERLAP, {"sums_agree": SUMS}, "{{ after_run() }}"
    )


def write_test(project: Path, query: str) -> None:
    (project / "tests" / "sums_agree.sql").write_text(query)
    dbt_project.forget(project)


def build(database: Database, project: Path, **options: Any) -> tuple[set[str], dict[str, str]]:
    """Build; return the tests that were asked of changes, and why others were asked whole."""
    log = dbt_project.scratch() / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    dbt_project.run(
        database, "build", project=project, options=("--log-level-file", "debug"), **options
    )
    text = log.read_text()
    return set(re.findall(r"(\w+): asked of what changed", text)), dict(
        re.findall(r"(\w+): asked of everything, because (.*)\.$", text, re.MULTILINE)
    )


def failing(database: Database, project: Path) -> str:
    with pytest.raises(dbt_project.DbtFailed) as failed:
        build(database, project)
    return str(failed.value)


def spoil(database: Database, *statements: str) -> None:
    """Change a mart as if PostgreSQL had not counted it: as a fault of a model would."""
    do(
        database,
        *statements,
        "select pg_stat_force_next_flush()",
    )
    do(
        database,
        "update observability.audited_tables set counted_changes = (select n_tup_ins + n_tup_upd"
        " + n_tup_del from pg_stat_all_tables where relid = ('marts.' || model_name)::regclass)",
    )


def test_a_build_asks_of_what_changed_only(database: Database, project: Path) -> None:
    changed, whole = build(database, project)
    assert changed == set()
    assert set(whole.values()) == {"it has not passed whole within 7 days"}
    assert whole.keys() == OF_CHANGES

    passed = ask(database, WHOLE)
    # A wrong sum that no key of a run tells is found by a whole test only.
    spoil(database, "update marts.fct_orders set amount = 7 where order_id = 5")
    for statement in ("select 1", insert("61", "19", "1"), insert("62", "21", "5")):
        do(database, statement)
        changed, whole = build(database, project)
        assert (changed, whole) == (OF_CHANGES, {}), statement
    with pytest.raises(dbt_project.DbtFailed, match="sums_agree"):
        dbt_project.run(database, "test", project=project)
    assert ask(database, WHOLE) == passed
    do(database, "update observability.tested_keys set passed_whole_at = now() - interval '8 days'")
    assert "sums_agree" in failing(database, project)


def test_a_changed_key_is_asked_of_until_it_passes(database: Database, project: Path) -> None:
    build(database, project)
    do(database, insert("61", "19", "1"))
    dbt_project.run(database, "run", project=project)
    spoil(database, "update marts.fct_orders set amount = 7 where order_id = 19")
    for _ in range(2):
        assert "sums_agree" in failing(database, project)
    do(database, insert("62", "19", "1"))
    changed, whole = build(database, project)
    assert "sums_agree" in changed and whole == {}


def test_a_build_of_a_part_that_asks_nothing_records_nothing(
    database: Database, project: Path
) -> None:
    write_test(project, SUMS + "and {{ were_built_together() }}")
    build(database, project)
    do(database, insert("61", "19", "1"))
    dbt_project.run(database, "run", project=project)
    spoil(database, "update marts.fct_orders set amount = 7 where order_id = 19")
    dbt_project.run(database, "build", "sums_agree", project=project)
    assert "sums_agree" in failing(database, project)


def test_references_to_a_table_above_are_asked_by_key(database: Database, project: Path) -> None:
    build(database, project)
    do(database, insert("61", "30", "1"))
    dbt_project.run(database, "run", project=project)
    spoil(database, "delete from marts.fct_orders where order_id = 30")
    assert "lines_have_orders" in failing(database, project)


def test_a_reference_whose_row_is_gone_is_asked_by_its_key(
    database: Database, project: Path
) -> None:
    build(database, project)
    spoil(
        database,
        "delete from marts.fct_orders where order_id = 5",
        "insert into observability.key_changes"
        " values ('fct_orders', pg_current_xact_id(), '{\"order_id\": 5}')",
    )
    assert "lines_have_orders" in failing(database, project)


@pytest.mark.parametrize(
    ("statement", "test"),
    [
        (insert("61", "1", "-1"), "amount_is_positive"),
        (insert("1", "1", "1"), "unique_stg_lines_line_id"),
        (insert("null", "1", "1"), "not_null_stg_lines_line_id"),
        (insert("61", "1", "-1", "null"), "amount_is_positive"),
        (insert("61", "1", "-1", "clock_timestamp() + interval '1 day'"), "amount_is_positive"),
    ],
)
def test_loaded_rows_are_asked_of(
    database: Database, project: Path, statement: str, test: str
) -> None:
    build(database, project)
    build(database, project)
    do(database, statement)
    for _ in range(2):
        assert test in failing(database, project)


def test_another_hand_a_rebuild_and_a_changed_test_are_told(
    database: Database, project: Path
) -> None:
    build(database, project)
    do(database, "update marts.fct_orders set amount = 7 where order_id = 5")
    assert "sums_agree" in failing(database, project)
    do(database, "update marts.fct_orders set amount = 48 where order_id = 5")
    _, whole = build(database, project)
    assert whole["sums_agree"] == "another hand changed fct_orders"

    dbt_project.run(database, "run", "fct_lines", project=project, full_refresh=True)
    _, whole = build(database, project)
    assert whole["sums_agree"] == "another hand changed fct_lines, fct_orders"
    write_test(project, SUMS + "and orders.order_id != 1000")
    _, whole = build(database, project)
    assert whole == {"sums_agree": "it changed"}
    _, whole = build(database, project, full_refresh=True)
    assert set(whole.values()) == {"this is a full refresh"}
    changed, whole = build(database, project)
    assert (changed, whole) == (OF_CHANGES, {})


def test_keys_of_each_table_are_asked(database: Database, project: Path) -> None:
    build(database, project)
    do(database, insert("61", "19", "1"))
    dbt_project.run(database, "run", "fct_lines", project=project)
    with pytest.raises(dbt_project.DbtFailed, match="sums_agree"):
        dbt_project.run(database, "build", "sums_agree", project=project)


def test_all_keys_begin_an_epoch(database: Database, project: Path) -> None:
    build(database, project)
    path = project / "models" / "fct_orders.sql"
    path.write_text(path.read_text() + "\n-- the same rows\n")
    dbt_project.forget(project)
    _, whole = build(database, project)
    assert whole["sums_agree"] == "another hand changed fct_orders"


def test_a_rebuilt_table_is_told(database: Database, project: Path) -> None:
    build(database, project)
    do(
        database,
        "insert into observability.key_changes values ('fct_orders', pg_current_xact_id(), null)",
    )
    _, whole = build(database, project)
    assert whole["sums_agree"] == "fct_orders was rebuilt"


def test_a_test_keeps_the_keys_that_it_has_not_read(database: Database, project: Path) -> None:
    build(database, project)
    do(database, insert("61", "19", "1"))
    for _ in range(3):
        dbt_project.run(database, "run", project=project)
    kept = "select count(*) from observability.key_changes"
    assert ask(database, kept) > 0
    build(database, project)
    build(database, project)
    assert ask(database, kept) == 0


def test_no_other_run_prunes_the_log_while_a_test_reads(database: Database, project: Path) -> None:
    """Before a test has passed once, nothing else says that it needs the keys."""
    write_test(project, SUMS + "and (select pg_sleep(2)) is not null")
    held = "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ShareLock'"
    waiting = (
        "select count(*) from pg_stat_activity where query ~ 'pg_sleep' and wait_event = 'PgSleep'"
    )
    dbt_project.run(database, "run", project=project)
    building = threading.Thread(
        target=dbt_project.run,
        args=(database, "build", "sums_agree"),
        kwargs={"project": project},
    )
    building.start()
    seen = set()
    while building.is_alive():
        if ask(database, waiting):
            seen.add(ask(database, held))
    building.join()
    assert seen and 0 not in seen


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            "keys_to_test('amount', [ref('fct_orders'), ref('fct_lines')])",
            "is given the column amount of fct_orders, which logs order_id. Follow another table",
        ),
        (
            "keys_to_test('order_id', [ref('fct_orders')])",
            "sums_agree reads fct_lines, and no keys_to_test of it follows that table",
        ),
    ],
)
def test_misuses_are_named(database: Database, project: Path, call: str, said: str) -> None:
    right = "keys_to_test('order_id', [ref('fct_orders'), ref('fct_lines')])"
    write_test(project, SUMS.replace(right, call))
    assert said in failing(database, project)


def test_what_the_database_guarantees_is_not_asked(database: Database, project: Path) -> None:
    log = dbt_project.scratch() / "logs" / "dbt.log"
    build(database, project)
    asked = "unique_fct_orders_order_id: not asked, because the index"
    assert asked in log.read_text()
    name = ask(
        database,
        "select indexrelid::regclass::text from pg_index where indrelid = 'marts.fct_orders'"
        "::regclass and indisunique",
    )
    do(
        database,
        f"drop index {name} cascade",
        "create index on marts.fct_orders (order_id)",
        "insert into marts.fct_orders select * from marts.fct_orders where order_id = 5",
    )
    with pytest.raises(dbt_project.DbtFailed, match="unique_fct_orders_order_id"):
        dbt_project.run(database, "build", "unique_fct_orders_order_id", project=project)


def test_a_constraint_that_is_not_valid_guarantees_nothing(
    database: Database, project: Path
) -> None:
    if ask(database, "show server_version_num") < "180000":
        pytest.skip("PostgreSQL has such constraints since 18")
    build(database, project)
    whole = yaml.safe_load((project / "models" / "models.yml").read_text())
    whole["models"][2]["columns"].append({"name": "amount", "data_tests": ["not_null"]})
    (project / "models" / "models.yml").write_text(yaml.safe_dump(whole))
    dbt_project.forget(project)
    do(
        database,
        "update marts.fct_orders set amount = null where order_id = 5",
        "alter table marts.fct_orders add constraint later not null amount not valid",
    )
    with pytest.raises(dbt_project.DbtFailed, match="not_null_fct_orders_amount"):
        dbt_project.run(database, "build", "not_null_fct_orders_amount", project=project)
