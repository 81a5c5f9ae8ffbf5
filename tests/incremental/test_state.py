"""The state of an incremental model belongs to its table, and holds only what a run has read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.database import ask
from tests.support.small_project import run, write_model, write_project

CONFIG = (
    "{{ config(materialized='incremental', incremental_strategy='changed_keys',"
    " unique_key='order_id') }}\n"
)
MODELS = {
    "sources.yml": yaml.safe_dump(
        {
            "version": 2,
            "sources": [
                {
                    "name": "app",
                    "schema": "raw",
                    "tables": [{"name": "orders", "config": {"event_time": "_loaded_at"}}],
                }
            ],
        }
    ),
    "staging/stg_orders": "select order_id, amount, _loaded_at, {{ row_xid() if not flags.EMPTY"
    " and not is_sample() else 'null::bigint' }} as _row_xid from {{ source('app', 'orders') }}",
    "fct_orders": CONFIG + "{%- set keys = changed_keys() %}\n"
    "select order_id, amount from {{ ref('stg_orders') }} where {{ is_changed(keys) }}",
    "doubled": CONFIG + "{%- set keys = changed_keys() %}\n"
    "select order_id, 2 * amount as amount from {{ ref('fct_orders') }}"
    " where {{ is_changed(keys) }}",
}
STRATEGY = {"materialized": "incremental", "incremental_strategy": "changed_keys"}
# The overlap would hide what is missed: without it, a run reads only what is new.
NO_OVERLAP = {"load_overlap": "0 seconds"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a fact and a mart that reads its changed keys."""
    return write_project(tmp_path / "project", MODELS, NO_OVERLAP)


@pytest.fixture
def shop(database: Any, project: Path) -> Any:
    """A database with 100 orders, all of them built."""
    load(database)
    run(database, project)
    return database


def load(database: Any) -> None:
    """Create the source, with 100 orders."""
    do(
        database,
        "create schema raw",
        "create table raw.orders (order_id int primary key, amount int,"
        " _loaded_at timestamptz default clock_timestamp())",
        "insert into raw.orders select number, number from generate_series(1, 100) as number",
    )


def do(database: Any, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with database.connect() as session:
        session.autocommit = True
        for statement in statements:
            session.execute(statement)


def change(database: Any, order_id: int, amount: int) -> None:
    """Load an order again, with another amount."""
    do(
        database,
        f"update raw.orders set amount = {amount}, _loaded_at = clock_timestamp()"
        f" where order_id = {order_id}",
    )


def assert_right(database: Any, *tables: str) -> None:
    """Check that a fact and the mart of it are what a full refresh would make."""
    for table in tables or ("fct_orders", "doubled"):
        factor = 2 if table == "doubled" else 1
        wrong = ask(
            database,
            f"select order_id, raw.amount, built.amount from marts.{table} as built"
            " full join raw.orders as raw using (order_id)"
            f" where built.amount is distinct from {factor} * raw.amount order by 1",
        )
        assert wrong == [], table


def truncate(database: Any) -> None:
    do(database, "truncate marts.fct_orders")


def swap(database: Any) -> None:
    do(
        database,
        "create table marts.other (like marts.fct_orders including all)",
        "insert into marts.other values (1, 7)",
        "drop table marts.fct_orders",
        "alter table marts.other rename to fct_orders",
    )


@pytest.mark.parametrize("what", [truncate, swap])
def test_a_table_that_was_changed_behind_our_back_is_built_whole(
    shop: Any, project: Path, what: Callable[[Any], None]
) -> None:
    what(shop)
    change(shop, 5, 50)
    run(shop, project)
    assert_right(shop)


def test_changes_logged_without_a_followed_key_are_read_whole(shop: Any, project: Path) -> None:
    model = project / "models" / "fct_orders.sql"
    text = model.read_text()
    model.write_text(
        text.replace("unique_key=", "meta={'change_log_keys': ['amount']}, unique_key=")
    )
    dbt_project.forget(project)
    change(shop, 5, 50)
    dbt_project.run(shop, "run", "fct_orders", project=project)
    model.write_text(text)
    dbt_project.forget(project)
    change(shop, 6, 60)
    run(shop, project)
    assert_right(shop)


def test_a_key_may_be_an_expression_that_begins_with_a_literal(shop: Any, project: Path) -> None:
    """Among the keys, its column would be another one."""
    mart = (
        "{%- set keys = changed_keys(['order_id', 'kind'], [upstream(ref('fct_orders'),"
        " columns='order_id', key=[\"'' || order_id\", \"'order'::text\"])]) %}\n"
        "select '' || order_id as order_id, 'order'::text as kind, amount"
        " from {{ ref('fct_orders') }}"
        " where {{ is_changed(keys, [\"'' || order_id\", \"'order'\"]) }}"
    )
    write_model(project, "named", mart, unique_key=["order_id", "kind"], **STRATEGY)
    run(shop, project)
    do(shop, "update marts.named set amount = -1")
    change(shop, 6, 60)
    run(shop, project)
    assert ask(shop, "select count(*) from marts.named where amount = -1") == 99
    assert ask(shop, "select amount from marts.named where order_id = '6'") == 60


def test_a_table_of_another_server_is_built_whole(shop: Any, project: Path) -> None:
    """Even if a restored table has its old numbers: transactions have other numbers there."""
    do(
        shop,
        "update observability.watermarks set system_identifier = '1', run_snapshot ="
        " format('%1$s:%1$s:', pg_snapshot_xmax(run_snapshot)::text::bigint + 1000)::pg_snapshot",
        "update raw.orders set amount = 50 where order_id = 5",
    )
    run(shop, project)
    assert_right(shop)


def test_an_older_copy_is_built_whole_and_its_reader_too(shop: Any, project: Path) -> None:
    """Order 2 is equal in the copy and in the source, but the reader has seen another value."""
    do(
        shop,
        "create table marts.kept (like marts.fct_orders including all)",
        "insert into marts.kept select * from marts.fct_orders",
    )
    change(shop, 2, -2)
    run(shop, project)
    assert ask(shop, "select amount from marts.doubled where order_id = 2") == -4
    do(
        shop,
        "drop table marts.fct_orders",
        "alter table marts.kept rename to fct_orders",
    )
    change(shop, 2, 2)
    run(shop, project)
    assert_right(shop)


def test_a_model_that_had_another_alias_meanwhile(shop: Any, project: Path) -> None:
    for number, alias in enumerate(("renamed", "fct_orders")):
        entry = {"name": "fct_orders", "config": {"alias": alias}}
        (project / "models" / "fct_orders.yml").write_text(
            yaml.safe_dump({"version": 2, "models": [entry]})
        )
        dbt_project.forget(project)
        change(shop, number + 1, -1)
        run(shop, project)
        assert_right(shop, alias, "doubled")


def test_versions_of_a_model_have_a_state_each(shop: Any, project: Path) -> None:
    path = project / "models" / "fct_orders.sql"
    text = path.read_text()
    for version in (1, 2):
        (project / "models" / f"fct_orders_v{version}.sql").write_text(text)
    path.unlink()
    versions = {"name": "fct_orders", "latest_version": 1, "versions": [{"v": 1}, {"v": 2}]}
    (project / "models" / "versions.yml").write_text(
        yaml.safe_dump({"version": 2, "models": [versions]})
    )
    dbt_project.forget(project)
    run(shop, project)
    change(shop, 3, 33)
    run(shop, project, "fct_orders.v1", "doubled")
    change(shop, 4, 44)
    run(shop, project, "fct_orders.v2")
    assert_right(shop, "fct_orders_v2")
    run(shop, project)
    assert_right(shop, "fct_orders_v1", "fct_orders_v2", "doubled")


def test_a_run_that_reads_another_target_leaves_nothing_to_go_on_from(
    shop: Any, project: Path, tmp_path: Path
) -> None:
    """The other target has older rows; a plain run afterwards must not take them for its own."""
    ci = {**shop.environment, "DBT_TARGET": "ci"}
    other = type(shop)(shop.name, ci)
    run(other, project)
    change(shop, 9, 99)
    run(shop, project)
    dbt_project.run(
        other, "compile", project=project, options=("--write-json", "--target-path", str(tmp_path))
    )
    deferred = ("--defer", "--favor-state", "--state", str(tmp_path))
    run(shop, project, "doubled", options=deferred)
    assert ask(shop, "select amount from marts.doubled where order_id = 9") == 18
    run(shop, project, "doubled")
    assert_right(shop)


def test_a_sample_deletes_nothing_and_is_not_gone_on_from(shop: Any, project: Path) -> None:
    do(shop, "update raw.orders set _loaded_at = '2020-01-01' where order_id <= 50")
    sampled = ("--sample", "2 days")
    with pytest.raises(dbt_project.DbtFailed, match="fct_orders: --sample shows a part of the"):
        run(shop, project, options=sampled)
    assert ask(shop, "select count(*) from marts.stg_orders") == 100
    assert_right(shop)

    do(shop, "drop schema marts cascade")
    run(shop, project, options=sampled)
    assert ask(shop, "select count(*) from marts.fct_orders") == 50
    with pytest.raises(dbt_project.DbtFailed, match="fct_orders: the view stg_orders was created"):
        run(shop, project, "fct_orders")
    run(shop, project)
    assert_right(shop)


def test_views_of_an_empty_build_do_not_hide_rows(shop: Any, project: Path) -> None:
    run(shop, project, options=("--empty",))
    assert ask(shop, "select count(*) from marts.stg_orders") == 100
    run(shop, project, "fct_orders")
    assert_right(shop)

    # A view with other columns has to be replaced.
    path = project / "models" / "staging" / "stg_orders.sql"
    path.write_text(path.read_text().replace("amount,", "amount, 1 as number,"))
    path.write_text(path.read_text().replace("order_id, amount", "amount, order_id"))
    dbt_project.forget(project)
    run(shop, project, options=("--empty",))
    with pytest.raises(dbt_project.DbtFailed, match="fct_orders: the view stg_orders was created"):
        run(shop, project, "fct_orders")
    assert_right(shop)
    run(shop, project, "stg_orders", "fct_orders")
    assert_right(shop)


def test_a_first_empty_build_says_what_to_build(database: Any, project: Path) -> None:
    load(database)
    run(database, project, options=("--empty",))
    with pytest.raises(dbt_project.DbtFailed, match="dbt run --select stg_orders"):
        run(database, project, "fct_orders")
    run(database, project)
    assert_right(database)


def test_state_of_an_earlier_version_of_the_project(shop: Any, project: Path) -> None:
    do(shop, "alter table observability.watermarks drop column storage")
    change(shop, 5, 50)
    run(shop, project)
    assert_right(shop)
    assert ask(shop, "select count(storage) from observability.watermarks") == 2


@pytest.mark.parametrize("key", ["amount", "coalesce(amount, 0)"])
def test_rows_with_a_null_in_a_new_key_leave_the_table(
    database: Any, tmp_path: Path, key: str
) -> None:
    """A null equals no key, so a comparison by key does not find such a row."""
    project = write_project(tmp_path / "own", MODELS)
    with database.connect() as session:
        session.execute("create schema raw")
        session.execute(
            "create table raw.orders as select n as order_id, nullif(n, 2) as amount,"
            " now() as _loaded_at from generate_series(1, 3) as n"
        )
    run(database, project)
    assert ask(database, "select count(*) from marts.fct_orders") == 3
    query = MODELS["fct_orders"].replace("unique_key='order_id'", "unique_key='amount'")
    query = query.replace("order_id, amount from", f"order_id, {key} as amount from")
    if key == "amount":
        query += " and amount is not null"
    (project / "models" / "fct_orders.sql").write_text(
        query.replace("changed_keys()", "changed_keys('order_id')")
    )
    dbt_project.forget(project)
    run(database, project, "fct_orders")
    rows = (
        "select array_agg(order_id || ':' || coalesce(amount::text, '-') order by order_id) from {}"
    )
    found = ask(database, rows.format("marts.fct_orders"))
    run(database, project, "fct_orders", full_refresh=True)
    assert found == ask(database, rows.format("marts.fct_orders"))
    assert "2:-" not in found
