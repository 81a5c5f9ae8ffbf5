"""Every ref of a model is its upstream; mistakes stop the first build; definitions are state."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.incremental.test_state import MODELS, NO_OVERLAP, assert_right, change, do, load
from tests.support import dbt_project
from tests.support.database import ask
from tests.support.small_project import WARNINGS, run, warned, write_project

INCREMENTAL = "materialized='incremental', incremental_strategy='changed_keys'"


def model(call: str, query: str, config: str = "unique_key='order_id'") -> str:
    """A model with the strategy changed_keys."""
    return f"{{{{ config({INCREMENTAL}, {config}) }}}}\n{{%- set keys = {call} %}}\n{query}"


def select(columns: str = "order_id, amount", upstream: str = "ref('fct_orders')") -> str:
    return f"select {columns} from {{{{ {upstream} }}}} where {{{{ is_changed(keys) }}}}"


FACT = "ref('fct_orders')"
STAGED = "ref('stg_orders')"
# A model with a mistake, and what its first build says.
MISTAKES = {
    "without_key": (
        f"{{{{ config({INCREMENTAL}) }}}} select 1 as order_id",
        "without_key: the incremental strategy changed_keys needs a unique_key",
    ),
    "unlogged": (
        model("changed_keys('amount')", select(), "unique_key='amount'"),
        "changed_keys in unlogged: fct_orders logs the keys order_id of its changes, not amount."
        " Either add amount to meta.change_log_keys in the config of fct_orders; or follow logged"
        " columns, with upstream(ref('fct_orders'), columns=...), and compute the key from them"
        " with key=..., or look it up with lookup=...; or, if its changes do not matter, name it in"
        " ignoring.",
    ),
    "misspelled": (
        model("changed_keys('order')", select(), "unique_key='order_id'"),
        "changed_keys in misspelled: fct_orders has no column 'order', which is to be followed; it"
        " has order_id, amount.",
    ),
    "asks_a_name": (
        model("changed_keys()", select().replace("(keys)", "(keys.columns[0])")),
        "is_changed in asks_a_name is given 'order_id'; it takes what changed_keys returned",
    ),
    "asks_two_columns": (
        model("changed_keys()", select().replace("(keys)", "(keys, ['order_id', 'amount'])")),
        "is_changed in asks_two_columns is given the columns order_id, amount, and the keys have",
    ),
    "asks_an_unknown_column": (
        model("changed_keys()", select().replace("(keys)", "(keys, 'order_number')")),
        'column "order_number" does not exist',
    ),
    "asks_nothing": (
        model("changed_keys()", select().replace("{{ is_changed(keys) }}", "true -- keys: all")),
        "changed_keys in asks_nothing: nothing uses keys, so every build would select all rows.",
    ),
    "adds_siblings_only": (
        model(
            f"changed_keys() %}}{{% set keys = with_siblings(keys, {FACT}, 'amount')",
            select().replace("{{ is_changed(keys) }}", "true /* {{ is_changed(keys) }} */"),
        ),
        "changed_keys in adds_siblings_only: nothing uses keys, so every build would select all",
    ),
    "keeps_no_name": (
        f"{{{{ config({INCREMENTAL}, unique_key='order_id') }}}}\n{{%- do changed_keys() %}}\n"
        + select().split(" where")[0],
        "changed_keys in keeps_no_name: nothing uses keys, so every build would select all rows.",
    ),
    "asks_siblings_by_an_unknown_column": (
        model("with_siblings(changed_keys(), ref('fct_orders'), 'customer')", select()),
        'column "customer" does not exist',
    ),
    "asks_siblings_by_a_column_it_lacks": (
        model("with_siblings(changed_keys(), ref('fct_orders'), 'amount')", select("order_id")),
        "asks_siblings_by_a_column_it_lacks has no column 'amount', which its unique_key,",
    ),
    "asks_days_by_an_unknown_column": (
        model(
            f"changed_keys(upstreams=upstream({FACT}, columns='order_id',"
            " key=['order_id', 'order_id']))",
            "select order_id, order_id as date_key"
            " from {{ rows_of_changed_days(keys, ref('fct_orders'), 'ordered_at') }}",
            "unique_key=['order_id', 'date_key']",
        ),
        'column "ordered_at" does not exist',
    ),
    "keeps_json": (
        model("changed_keys()", select("order_id, json_build_object('a', amount) as document")),
        "keeps_json: document is json, whose values have no equality, and the strategy changed_keys"
        " compares rows. Cast it to jsonb.",
    ),
    "skips_and_appends": (
        "{{ config(materialized='incremental', incremental_strategy='append') }}"
        "{%- do skip_unless_changed() %} select order_id from {{ ref('fct_orders') }}",
        "skip_unless_changed in skips_and_appends needs materialized='incremental' and incremental"
        "_strategy='changed_keys'; the config has materialized='incremental' and incremental"
        "_strategy='append'.",
    ),
    "rebuilt": (
        model("changed_keys()", select()).replace("'incremental'", "'table'"),
        "changed_keys in rebuilt needs materialized='incremental' and incremental_strategy="
        "'changed_keys'; the config has materialized='table' and incremental_strategy='changed",
    ),
    "merged": (
        model("changed_keys()", select()).replace("strategy='changed_keys'", "strategy='merge'"),
        "the config has materialized='incremental' and incremental_strategy='merge'.",
    ),
    "computed_of_another_type": (
        model(
            f"changed_keys(upstreams=upstream({FACT}, columns='order_id', key='order_id::text'))",
            select(),
        ),
        "operator does not exist: integer = text",
    ),
    "silent": (
        model("changed_keys()", select(upstream="ref('logs_nothing')")),
        "changed_keys in silent: logs_nothing logs no keys of its changes, not order_id.",
    ),
    "unknown_column": (
        model("changed_keys('id')", select("order_id as id", STAGED), "unique_key='id'"),
        "changed_keys in unknown_column: stg_orders has no column 'id', which is to be followed;"
        " it has order_id, amount, _loaded_at, _row_xid.",
    ),
    "unstamped": (
        model("changed_keys()", select("order_id", "ref('stg_unstamped')")),
        "changed_keys in unstamped: stg_unstamped has no column '_loaded_at', by which its changes"
        " are found.",
    ),
    "from_source": (
        model("changed_keys()", select(upstream="source('app', 'orders')")),
        "changed_keys in from_source: source.small.app.orders is a source, whose changes cannot"
        " be found.",
    ),
    "from_ephemeral": (
        model("changed_keys()", select("order_id", "ref('stg_ephemeral')")),
        "changed_keys in from_ephemeral: stg_ephemeral is ephemeral, so it cannot be queried",
    ),
    "contract_without_columns": (
        model(
            "changed_keys()",
            select(),
            "unique_key='order_id', on_schema_change='fail', contract={'enforced': true}",
        ),
        "contract_without_columns: its contract is enforced, and declares no columns. Add"
        " contract_without_columns with the name and the data_type of each column",
    ),
    "null_in_key": (
        model("changed_keys()", select("nullif(order_id, 7) as order_id, amount")),
        "null_in_key: order_id is null in 1 row(s), and it is part of unique_key.",
    ),
    "followed_by_another_column": (
        model(
            "changed_keys('amount')",
            select("amount, count(*) as orders", "ref('stg_keyed')") + " group by 1",
            "unique_key='amount'",
        ),
        "changed_keys in followed_by_another_column: stg_keyed is followed by amount, which is not"
        " of its key order_id.",
    ),
    "snapshot_by_another_column": (
        model(
            "changed_keys('amount')",
            select("amount, count(*) as orders", "ref('snp_orders')") + " group by 1",
            "unique_key='amount'",
        ),
        "changed_keys in snapshot_by_another_column: snp_orders is followed by amount, which is"
        " not of its key order_id.",
    ),
    "lookup_without_key": (
        model(
            f"changed_keys('line_id', [upstream({FACT}, columns='order_id', lookup={STAGED})])",
            "select order_id as line_id from {{ ref('fct_orders') }}"
            "{% if false %}{{ ref('stg_orders') }}{% endif %}",
            "unique_key='line_id'",
        ),
        "changed_keys in lookup_without_key: fct_orders is looked up in a relation without the"
        " column 'line_id'; it has order_id, amount, _loaded_at, _row_xid.",
    ),
    "condition_without_lookup": (
        model(f"changed_keys(upstreams=[upstream({FACT}, except_when='true')])", select()),
        "changed_keys in condition_without_lookup: fct_orders has except_when and no lookup",
    ),
    "named_twice": (
        model(f"changed_keys(upstreams=[{FACT}], ignoring=[{FACT}])", select()),
        "changed_keys in named_twice names fct_orders twice",
    ),
    "ignores_a_name": (
        model("changed_keys(ignoring='dim_date')", select()),
        "changed_keys in ignores_a_name: ignoring is 'dim_date'; it takes a list of relations",
    ),
    "ignores_itself": (
        model("changed_keys(ignoring=[this])", select()),
        "is not a model, snapshot or seed that this model refs; pass the upstreams as ref(...). It"
        " refs fct_orders.",
    ),
    "two_for_one": (
        model(
            f"changed_keys(upstreams=[upstream({STAGED}, columns=['order_id', 'amount'])])",
            select(upstream=STAGED),
        ),
        "changed_keys in two_for_one: stg_orders is followed by order_id, amount, and the key is"
        " order_id. Give as many columns",
    ),
    "computed_and_looked_up": (
        model(
            f"changed_keys(upstreams=[upstream({STAGED}, key='order_id / 2', lookup=this)])",
            select(upstream=STAGED),
        ),
        "changed_keys in computed_and_looked_up: stg_orders has key and lookup",
    ),
    "two_computed": (
        model(
            f"changed_keys(upstreams=[upstream({STAGED}, key=['order_id', 'amount'])])",
            select(upstream=STAGED),
        ),
        "changed_keys in two_computed: stg_orders is followed by order_id, amount, and the key is",
    ),
    "computed_from_nothing": (
        model(
            f"changed_keys(upstreams=[upstream({STAGED}, key='order_id / parts')])",
            select(upstream=STAGED),
        ),
        'column "parts" does not exist',
    ),
    "computed_from_unlogged": (
        model(
            f"changed_keys(upstreams=[upstream({FACT}, columns='order_id', key='amount::int')])",
            select(),
        ),
        'column "amount" does not exist',
    ),
    "asks_partitions_for_two": (
        model(
            "changed_keys()",
            select().replace("is_changed(", "is_changed_in_partitions("),
            "unique_key=['order_id', 'amount']",
        ).replace("ref('fct_orders')", "ref('stg_orders')"),
        "is_changed_in_partitions in asks_partitions_for_two takes keys of one column, and these"
        " have order_id, amount",
    ),
    "has_no_day": (
        model(
            "changed_keys()",
            "select order_id from {{ rows_of_changed_days(keys, ref('fct_orders'), 'at') }}",
        ),
        "rows_of_changed_days or rows_of_changed_months in has_no_day: the keys have no column"
        " 'date_key'; they have order_id.",
    ),
    "columns_of_a_table": (
        model(
            "changed_keys(upstreams=[upstream(ref('plain'), columns='order_id')])",
            select(upstream="ref('plain')"),
        ),
        "changed_keys in columns_of_a_table: plain is compared as a whole",
    ),
    "logs_another": (
        model(
            "changed_keys()",
            select(),
            "unique_key='order_id', meta={'change_log_keys': ['user_id']}",
        ),
        "logs_another has no column 'user_id', which its unique_key, meta.change_log_keys,",
    ),
    "looks_itself_up": (
        model(
            f"changed_keys(upstreams=[upstream({FACT}, columns='order_id', lookup=this)])",
            select("order_id as id").replace("(keys)", "(keys, 'order_id')"),
            "unique_key='id'",
        ).replace("changed_keys(", "changed_keys('id', "),
        "looks_itself_up has no column 'order_id', which its unique_key",
    ),
    "due_by_nothing": (
        model("changed_keys(recompute_when='changes_at < now()')", select()),
        'column "changes_at" does not exist',
    ),
    "excepts_by_nothing": (
        model(
            f"changed_keys(upstreams=[upstream({FACT}, columns='order_id', lookup=this,"
            " except_when='looked_up.user_key is null')])",
            select(),
        ),
        "column looked_up.user_key does not exist",
    ),
    "undated": (
        model("changed_keys(upstreams=[user_versions()])", select(upstream="ref('dim_users')")),
        "user_versions in undated: the config event_time is missing",
    ),
    "skips_ephemeral": (
        model("skip_unless_changed()", select("order_id", "ref('stg_ephemeral')")).replace(
            " where {{ is_changed(keys) }}", ""
        ),
        "skip_unless_changed in skips_ephemeral: stg_ephemeral is ephemeral",
    ),
    "stock": (
        f"{{{{ config({INCREMENTAL}, unique_key='order_id') }}}} {select().split(' where')[0]}"
        "{% if is_incremental() %} where order_id > (select max(order_id) from {{ this }})"
        "{% endif %} -- is_changed(keys)",
        "stock calls is_incremental(). With the strategy changed_keys, a query returns all rows",
    ),
    "logs_outside_meta": (
        model("changed_keys()", select(), "unique_key='order_id', change_log_keys=['order_id']"),
        "logs_outside_meta: the config change_log_keys has no effect; set it in meta",
    ),
    "calls_twice": (
        model("changed_keys() %}{%- set more = changed_keys('order_id')", select()),
        "calls_twice calls changed_keys or skip_unless_changed more than once",
    ),
    "refs_nothing": (
        model(
            "changed_keys()",
            "select order_id, 1 as amount from marts.fct_orders where {{ is_changed(keys) }}",
        ),
        "changed_keys in refs_nothing: the model refs nothing, so no change would be found.",
    ),
    "follows_in_other_order": (
        model(
            f"changed_keys(['order_id', 'amount'], [upstream({FACT}, ['amount', 'order_id'])])",
            select(),
            "unique_key=['order_id', 'amount']",
        ),
        "fct_orders is followed by amount, order_id, and the key is order_id, amount. Columns are",
    ),
    "asks_in_other_order": (
        model(
            "changed_keys(['order_id', 'amount'])",
            select(upstream=STAGED).replace("(keys)", "(keys, ['amount', 'order_id'])"),
            "unique_key=['order_id', 'amount']",
        ),
        "is_changed in asks_in_other_order is given the columns amount, order_id, and the keys have"
        " order_id, amount. Columns are matched by their place",
    ),
    "uncast": (
        model(
            "changed_keys()",
            "select order_id, sum(amount::numeric) as amount from {{ ref('fct_orders') }}"
            " where {{ is_changed(keys) }} group by 1",
            "unique_key='order_id', on_schema_change='fail', contract={'enforced': true}",
        ),
        "uncast: amount is numeric in the query and numeric(20,2) in the contract. Cast each",
    ),
}
SNAPSHOT = """{% snapshot snp_orders %}
{{ config(schema='marts', unique_key='order_id', strategy='check', check_cols='all') }}
select * from {{ ref('stg_orders') }}
{% endsnapshot %}
"""
UPSTREAMS = {
    **{name: text for name, text in MODELS.items() if name != "doubled"},
    "logs_nothing": model(
        "changed_keys()", select(), "unique_key='order_id', meta={'change_log_keys': []}"
    ),
    "dim_users": "{{ config(materialized='table') }} select 1 as order_id, 1 as amount",
    "plain": "{{ config(materialized='table') }} select 1 as order_id, 1 as amount",
    "staging/stg_keyed": MODELS["staging/stg_orders"],
    "staging/stg_unstamped": "select 1 as order_id",
    "staging/stg_ephemeral": "{{ config(materialized='ephemeral') }} select 1 as order_id",
    "types.yml": yaml.safe_dump(
        {
            "version": 2,
            "models": [
                {
                    "name": "stg_keyed",
                    "columns": [{"name": "order_id", "data_tests": ["unique", "not_null"]}],
                },
                {
                    "name": "uncast",
                    "columns": [
                        {"name": "order_id", "data_type": "integer"},
                        {"name": "amount", "data_type": "numeric(20,2)"},
                    ],
                },
            ],
        }
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a fact and a mart that reads its changed keys, and a macro of its own."""
    folder = write_project(tmp_path / "project", MODELS, {**NO_OVERLAP, "factor": 2})
    (folder / "macros").mkdir()
    (folder / "macros" / "own.sql").write_text("{% macro times(n) %}{{ n }} * amount{% endmacro %}")
    path = folder / "dbt_project.yml"
    settings = yaml.safe_load(path.read_text())
    settings["macro-paths"].append("macros")
    path.write_text(yaml.safe_dump(settings))
    doubled = folder / "models" / "doubled.sql"
    doubled.write_text(doubled.read_text().replace("2 * amount", "{{ times(var('factor')) }}"))
    return folder


@pytest.fixture
def shop(database: Any, project: Path) -> Any:
    """A database with 100 orders, all of them built."""
    load(database)
    run(database, project)
    return database


def test_mistakes_stop_the_first_build(database: Any, tmp_path: Path) -> None:
    """The obvious call on an unsuitable upstream must not give a mart that is never updated."""
    models = {**UPSTREAMS, **{name: text for name, (text, _) in MISTAKES.items()}}
    load(database)
    folder = write_project(tmp_path / "project", models)
    (folder / "snapshots").mkdir()
    (folder / "snapshots" / "snp_orders.sql").write_text(SNAPSHOT)
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(database, folder)
    said = str(failed.value)
    print(said)
    of_model = dict(
        re.findall(r"model\.small\.(\w+) \[error\] (.*?)(?=\n  model\.small|\Z)", said, re.S)
    )
    assert of_model.keys() == MISTAKES.keys()
    for name, (_, message) in MISTAKES.items():
        assert message in " ".join(of_model[name].split()), name


def test_dashes_in_a_text_hide_no_use_of_the_keys(shop: Any, project: Path) -> None:
    """Neither in the query, nor in a variable of the template."""
    query = select().replace("where", "where '--' != '' and")
    (project / "models" / "dashes.sql").write_text(model("changed_keys()", query))
    query = "{% set separator = '--' %}{% set chosen = is_changed(keys) %}" + select()
    query = query.replace("{{ is_changed(keys) }}", "{{ chosen }}")
    (project / "models" / "dashed.sql").write_text(model("changed_keys()", query))
    dbt_project.forget(project)
    run(shop, project)
    change(shop, 3, 33)
    run(shop, project)
    assert_right(shop, "dashes", "dashed")


def test_a_snapshot_that_cannot_compare_stops_its_first_build(
    database: Any, tmp_path: Path
) -> None:
    """It would store the first states, and fail at every later build."""
    load(database)
    folder = write_project(tmp_path / "project", MODELS)
    (folder / "snapshots").mkdir()
    wrong = {
        "snp_unknown": ("['amount', 'customer']", 'column "customer" does not exist'),
        "snp_json": ("['document']", "operator does not exist: json = json"),
        "snp_right": ("['order_id', 'amount']", None),
    }
    for name, (columns, _) in wrong.items():
        (folder / "snapshots" / f"{name}.sql").write_text(
            SNAPSHOT.replace("snp_orders", name)
            .replace("'all'", columns)
            .replace("select *", "select *, json_build_object('a', amount) as document")
        )
    run(database, folder)
    with pytest.raises(dbt_project.DbtFailed) as failed:
        dbt_project.run(database, "snapshot", project=folder)
    for name, (_, message) in wrong.items():
        assert (f"snapshot.small.{name} [error]" in str(failed.value)) == bool(message), name
        assert message is None or message in str(failed.value)
    assert ask(database, "select count(*) from marts.snp_right") == 100


def test_a_period_that_there_is_not_stops_the_parse(database: Any, tmp_path: Path) -> None:
    one = "select {{ first_day_of('mnth', 'now()') }} as first_day"
    with pytest.raises(
        dbt_project.DbtFailed, match="first_day_of in one: the period is 'mnth'; it takes week, mo"
    ):
        run(database, write_project(tmp_path / "project", {"one": one}))


def test_an_upstream_that_is_not_built_is_named(database: Any, project: Path) -> None:
    load(database)
    with pytest.raises(dbt_project.DbtFailed, match=r"fct_orders: stg_orders does not exist as .*"):
        run(database, project, "fct_orders")


def test_a_ref_that_is_not_named_is_followed(shop: Any, project: Path) -> None:
    """An upstream is forgotten by naming it in `ignoring` only."""
    models = project / "models"
    (models / "joined.sql").write_text(
        model(
            "changed_keys()",
            "select order_id, d.amount from {{ ref('fct_orders') }} as f"
            " join {{ ref('doubled') }} as d using (order_id) where {{ is_changed(keys) }}",
        )
    )
    (models / "deaf.sql").write_text(model(f"changed_keys(ignoring=[{FACT}])", select()))
    dbt_project.forget(project)
    run(shop, project)
    change(shop, 7, 70)
    run(shop, project)
    assert ask(shop, "select amount from marts.joined where order_id = 7") == 140
    assert ask(shop, "select amount from marts.deaf where order_id = 7") == 7


def test_former_names_work_and_warn(database: Any, tmp_path: Path) -> None:
    former = (
        f"{{{{ config({INCREMENTAL}, unique_key='order_id', meta={{'tracked_keys': ['order_id']}})"
        " }}\n{%- set keys = changed_keys('order_id', [upstream(ref('fct_orders'),"
        " columns='order_id', through=this, unless='led.amount = 8'), ref('stg_orders')],"
        " due='order_id = 9', dated_by='order_id') %}\n"
        "with a as {{ computed_once() }} (select order_id, amount from {{ ref('fct_orders') }}"
        " where {{ is_in(keys) }}) select * from a"
        "{% if false %}{{ ref('stg_orders') }}{% endif %}"
    )
    project = write_project(tmp_path / "project", {**MODELS, "former": former}, NO_OVERLAP)
    load(database)
    with warned() as said:
        run(database, project, options=WARNINGS)
        change(database, 7, 70)
        run(database, project, options=WARNINGS)
    assert_right(database, "former")
    for name in ("due", "dated_by", "through", "unless", "is_in", "computed_once"):
        assert f"former: {name} is deprecated" in said[0], name
    assert "meta.tracked_keys of former is deprecated" in said[0]


def test_a_changed_macro_or_variable_reaches_every_row(shop: Any, project: Path) -> None:
    run(shop, project, variables={"factor": 3})
    assert ask(shop, "select sum(amount) from marts.doubled") == 3 * 5050
    run(shop, project)
    assert_right(shop)
    own = project / "macros" / "own.sql"
    own.write_text(own.read_text().replace("{{ n }}", "10 * {{ n }}"))
    dbt_project.forget(project)
    run(shop, project)
    assert ask(shop, "select sum(amount) from marts.doubled") == 20 * 5050


def test_changed_sql_of_a_view_below_reaches_every_row(shop: Any, project: Path) -> None:
    """Its rows carry the same _loaded_at. A build of the model alone still reads the old view."""
    staged = project / "models" / "staging" / "stg_orders.sql"
    staged.write_text(staged.read_text().replace("amount,", "amount + 1 as amount,"))
    dbt_project.forget(project)
    run(shop, project, "fct_orders", "doubled")
    assert_right(shop)
    run(shop, project, "stg_orders")
    run(shop, project, "fct_orders", "doubled")
    assert ask(shop, "select sum(amount) from marts.fct_orders") == 5150
    assert ask(shop, "select sum(amount) from marts.doubled") == 2 * 5150


def test_changed_sql_of_a_staging_table_reaches_every_row(database: Any, project: Path) -> None:
    """PostgreSQL keeps no query of a table, so the text in the project counts."""
    staged = project / "models" / "staging" / "stg_orders.sql"
    text = "{{ config(materialized='table') }} " + staged.read_text()
    staged.write_text(text)
    dbt_project.forget(project)
    load(database)
    run(database, project)
    staged.write_text(text.replace("amount,", "amount + 1 as amount,"))
    dbt_project.forget(project)
    run(database, project)
    assert ask(database, "select sum(amount) from marts.doubled") == 2 * 5150


def test_a_session_with_other_formats_finds_nothing_changed(database: Any, project: Path) -> None:
    """PostgreSQL shows the constants of a view in the formats of the session."""
    staged = project / "models" / "staging" / "stg_orders.sql"
    constant = " where _loaded_at > '1900-01-01 00:00:00+00'::timestamptz"
    staged.write_text(staged.read_text() + constant)
    dbt_project.forget(project)
    load(database)
    database.environment["WAREHOUSE_SESSION_OPTIONS"] = ""
    run(database, project)
    for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'"):
        do(database, f"alter database {database.name} set {setting}")
        found = run(database, project)
        assert {found["fct_orders"], found["doubled"]} == {"UNCHANGED"}, setting


def test_an_upstream_that_becomes_incremental_is_read_whole(database: Any, project: Path) -> None:
    """It logged nothing of what its reader has not read."""
    query = "select order_id, amount from {{ ref('stg_orders') }}"
    upstream = project / "models" / "changing.sql"
    upstream.write_text("{{ config(materialized='table') }} " + query)
    text = model("changed_keys()", select(upstream="ref('changing')"))
    (project / "models" / "reader.sql").write_text(text)
    dbt_project.forget(project)
    load(database)
    run(database, project)
    do(database, "insert into raw.orders values (101, 101)")
    run(database, project, "changing")
    upstream.write_text(model("changed_keys()", query + " where {{ is_changed(keys) }}"))
    dbt_project.forget(project)
    run(database, project)
    assert ask(database, "select count(*) from marts.reader") == 101


def test_a_late_commit_is_found_behind_a_staging_table(database: Any, tmp_path: Path) -> None:
    """The table was built before it, and the reader ran after it."""
    staged = "{{ config(materialized='table') }} " + MODELS["staging/stg_orders"]
    project = write_project(tmp_path / "project", {**MODELS, "staging/stg_orders": staged})
    load(database)
    run(database, project)
    do(
        database,
        "insert into raw.orders select 101, 101, max(_loaded_at) - interval '1 minute'"
        " from raw.orders",
    )
    run(database, project, "fct_orders")
    run(database, project)
    assert ask(database, "select count(*) from marts.fct_orders") == 101


def test_changed_sql_of_a_source_that_is_a_view(database: Any, project: Path) -> None:
    """Nothing that dbt knows of changes."""
    view = "create or replace view raw.orders as select order_id, amount{}, _loaded_at from kept"
    load(database)
    do(database, "alter table raw.orders rename to kept", "alter table raw.kept set schema public")
    do(database, view.format(""))
    staged = project / "models" / "staging" / "stg_orders.sql"
    staged.write_text(
        "select order_id, amount, _loaded_at, null::bigint as _row_xid"
        " from {{ source('app', 'orders') }}"
    )
    dbt_project.forget(project)
    run(database, project)
    do(database, view.format(" + 1 as amount"))
    run(database, project)
    assert ask(database, "select sum(amount) from marts.doubled") == 2 * 5150


def test_a_backfill_by_the_options_of_dbt(database: Any, project: Path) -> None:
    """event_time of the staging model and of the fact; the end is excluded, as in dbt."""
    load(database)
    do(
        database,
        "alter table raw.orders add ordered_at timestamptz",
        "update raw.orders set ordered_at = '2026-01-01'::timestamptz"
        " + order_id * interval '1 day'",
    )
    (project / "models" / "staging" / "stg_orders.sql").write_text(
        "{{ config(event_time='ordered_at') }} select order_id, amount, ordered_at, _loaded_at,"
        " {{ row_xid() }} as _row_xid from {{ source('app', 'orders') }}"
    )
    (project / "models" / "fct_orders.sql").write_text(
        model(
            "changed_keys()",
            select("order_id, amount, ordered_at", STAGED),
            "unique_key='order_id', event_time='ordered_at'",
        )
    )
    dbt_project.forget(project)
    run(database, project)
    # Nobody stamps these rows: only a backfill reads them again.
    do(database, "update raw.orders set amount = -amount where order_id in (1, 2, 3, 4)")
    do(database, "delete from raw.orders where order_id = 5")
    run(database, project)
    window = ("--event-time-start", "2026-01-03", "--event-time-end", "2026-01-05")
    run(database, project, options=window)
    changed = "select array_agg(order_id order by order_id) from marts.doubled where amount < 0"
    assert ask(database, changed) == [2, 3]
    run(
        database,
        project,
        options=("--event-time-start", "2026-01-06", "--event-time-end", "2027-01-01"),
    )
    assert ask(database, "select count(*) from marts.doubled where order_id = 5") == 0
    run(database, project, variables={"from": "2026-01-05", "to": "2026-01-05"})
    assert ask(database, changed) == [2, 3, 4]
    with pytest.raises(dbt_project.DbtFailed, match="give the window of a backfill once"):
        run(database, project, variables={"from": "2026-01-05"}, options=window)


def test_a_backfill_takes_days_of_the_zone(database: Any, project: Path) -> None:
    """A window of days is local, one of dbt's options in UTC; a model by day takes whole days."""
    load(database)
    do(
        database,
        "alter table raw.orders add ordered_at timestamptz",
        "update raw.orders set ordered_at = (array["
        "'2024-03-10 04:30+00', '2024-03-10 05:00+00', '2024-03-11 03:59+00',"
        " '2024-03-11 04:00+00'])[least(order_id, 4)]::timestamptz",
    )
    (project / "models" / "staging" / "stg_orders.sql").write_text(
        "{{ config(event_time='ordered_at') }} select order_id, amount, ordered_at, _loaded_at,"
        " {{ row_xid() }} as _row_xid from {{ source('app', 'orders') }}"
    )
    (project / "models" / "fct_orders.sql").write_text(
        model(
            "changed_keys()",
            select("*, {{ local_date('ordered_at') }} as ordered_on", STAGED),
            "unique_key='order_id', event_time='ordered_at',"
            " meta={'change_log_keys': ['order_id', 'ordered_on']}",
        )
    )
    (project / "models" / "order_days.sql").write_text(
        model(
            "changed_keys()",
            select("ordered_on, count(*) as orders") + " group by 1",
            "unique_key='ordered_on', event_time='ordered_on'",
        )
    )
    (project / "models" / "order_days.yml").write_text(
        "models: [{name: order_days, columns: [{name: ordered_on, data_type: date}]}]"
    )
    dbt_project.forget(project)
    zone = {"time_zone": "America/New_York"}
    days = "select array_agg(orders order by ordered_on) from marts.order_days"
    run(database, project, variables=zone)
    assert ask(database, days) == [1, 2, 97]

    # Nobody stamps these rows: only a backfill reads them again.
    spoil = (
        "update raw.orders set amount = -1 where order_id < 4",
        "update marts.order_days set orders = -1",
    )
    spoilt = "select array_agg(order_id order by order_id) from marts.fct_orders where amount = -1"
    do(database, *spoil)
    run(database, project, variables={**zone, "from": "2024-03-10", "to": "2024-03-10"})
    assert ask(database, spoilt) == [2, 3]
    assert ask(database, days) == [-1, 2, -1]
    window = ("--event-time-start", "2024-03-10", "--event-time-end", "2024-03-11")
    run(database, project, variables=zone, options=window)
    assert ask(database, spoilt) == [1, 2, 3]
    assert ask(database, days) == [1, 2, -1]


def test_a_null_in_the_key_stops_a_later_run(shop: Any, project: Path) -> None:
    """No later run would find the row: it would stay, and come again."""
    part = project / "models" / "part.sql"
    query = "select nullif(order_id, 101) as order_id, amount from {{ ref('fct_orders') }}"
    part.write_text(model("changed_keys()", f"{query} where {{{{ is_changed(keys) }}}}"))
    dbt_project.forget(project)
    run(shop, project)
    do(shop, "insert into raw.orders values (101, 5)")
    with pytest.raises(dbt_project.DbtFailed, match=r"part: order_id is null in 1 row\(s\), and"):
        run(shop, project)
    assert ask(shop, "select count(*) from marts.part") == 100


def test_rows_of_other_keys_stop_the_build(shop: Any, project: Path) -> None:
    """They were compared with nothing, and would be there twice."""
    part = project / "models" / "part.sql"
    query = "select order_id, amount from {{ ref('fct_orders') }} where {{ is_changed(keys) }}"
    part.write_text(model("changed_keys()", f"{query} or order_id = 1", "unique_key='order_id'"))
    dbt_project.forget(project)
    run(shop, project)
    do(shop, "insert into raw.orders values (101, 5)")
    said = "part: the query returns a row of order_id 1, which is not among the keys of this run"
    with pytest.raises(dbt_project.DbtFailed, match=said):
        run(shop, project)
    assert ask(shop, "select count(*) from marts.part") == 100


def test_columns_that_change_places_are_a_change(shop: Any, project: Path) -> None:
    """The rows of a relation that is compared as a whole look the same."""
    rates = project / "models" / "rates.sql"
    rates.write_text("{{ config(materialized='table') }} select 2 as tax, 3 as tip")
    (project / "models" / "taxed.sql").write_text(
        model(
            "changed_keys()",
            "select order_id, amount * tax as amount from {{ ref('fct_orders') }}"
            " cross join {{ ref('rates') }} where {{ is_changed(keys) }}",
        )
    )
    dbt_project.forget(project)
    run(shop, project)
    rates.write_text("{{ config(materialized='table') }} select 2 as tip, 3 as tax")
    dbt_project.forget(project)
    run(shop, project)
    assert ask(
        shop,
        "select sum(taxed.amount) = 3 * sum(orders.amount) from marts.taxed"
        " inner join marts.fct_orders as orders using (order_id)",
    )


def test_rows_that_an_empty_view_hides_are_not_taken_for_deleted(shop: Any, project: Path) -> None:
    """By a model that is computed as a whole, and by a snapshot."""
    (project / "models" / "all_orders.sql").write_text(
        "{{ config(materialized='incremental', incremental_strategy='changed_keys',"
        " unique_key='order_id') }} {%- do skip_unless_changed() %}"
        " select * from {{ ref('stg_orders') }}"
    )
    (project / "snapshots").mkdir()
    hooked = SNAPSHOT.replace("strategy=", "pre_hook='{{ before_build() }}', strategy=")
    (project / "snapshots" / "snp_orders.sql").write_text(hooked)
    dbt_project.forget(project)
    built = ("all_orders", "snp_orders")
    dbt_project.run(shop, "build", project=project, options=dbt_project.NO_TESTS)
    # A view whose SQL stays the same is left alone.
    staged = project / "models" / "staging" / "stg_orders.sql"
    staged.write_text(staged.read_text().replace("select", "select 1 as one,", 1))
    dbt_project.forget(project)
    dbt_project.run(shop, "run", "stg_orders", project=project, options=("--empty",))
    for name in built:
        with pytest.raises(dbt_project.DbtFailed, match="view stg_orders was created with --empty"):
            dbt_project.build(shop, name, project=project, options=dbt_project.NO_TESTS)
    assert ask(shop, "select count(*) from marts.all_orders") == 100
