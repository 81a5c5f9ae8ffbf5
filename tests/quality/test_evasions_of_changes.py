"""No build that asks of changes passes a test that `dbt test` fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.quality.test_evasions import assert_found, assert_honest, failures
from tests.quality.test_tests_of_changes import MODELS, NO_OVERLAP, insert
from tests.support import dbt_project
from tests.support.database import Database, do
from tests.support.small_project import write_tested_project

KEYS = (
    "{%- set orders_to_test = keys_to_test('order_id', [ref('fct_orders'), ref('fct_lines')]) %}\n"
)
ASKED = "{{ is_to_test(orders_to_test) }}"


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    do(
        database,
        "create schema raw",
        "create table raw.lines (line_id int, order_id int, amount int, _loaded_at timestamptz)",
        "create table raw.most as select 1000 as amount",
        "insert into raw.lines select n, n / 3, n, clock_timestamp()"
        " from generate_series(1, 60) as n",
    )
    return write_tested_project(tmp_path / "project", MODELS, NO_OVERLAP, hook="{{ after_run() }}")


def write_test(project: Path, query: str) -> None:
    (project / "tests" / "amounts_are_small.sql").write_text(KEYS + query)
    dbt_project.forget(project)


OF_LIMITS = (
    "select order_id from {{ ref('fct_orders') }} where "
    + ASKED
    + " and amount > (select max(amount) from %s)"
    "\nunion all select order_id from {{ ref('fct_lines') }} where false"
)


@pytest.mark.parametrize(
    "kind", ["seed", "view", "source", "materialized_view", "table", "ephemeral"]
)
def test_what_a_test_reads_besides(database: Database, project: Path, kind: str) -> None:
    relation = "{{ ref('most') }}"
    change = "update raw.most set amount = 1"
    if kind == "seed":
        (project / "seeds").mkdir()
        (project / "seeds" / "most.csv").write_text("amount\n1000\n")
    elif kind == "source":
        relation = "{{ source('more', 'most') }}"
        (project / "models" / "more.yml").write_text(
            "sources: [{name: more, schema: raw, tables: [{name: most}]}]"
        )
    else:
        (project / "models" / "most.sql").write_text(
            f"{{{{ config(materialized='{kind}') }}}}\nselect amount from raw.most"
        )
    write_test(project, OF_LIMITS % relation)
    for _ in range(2):
        told = failures(database, project, "build")
        if told:
            assert "no keys_to_test of it follows" in told, told
            return
    if kind == "seed":
        (project / "seeds" / "most.csv").write_text("amount\n1\n")
        dbt_project.forget(project)
    else:
        do(database, change)
    assert_found(database, project)


def test_a_key_that_is_null(database: Database, project: Path) -> None:
    write_test(
        project,
        "select line_id from {{ ref('fct_lines') }} where " + ASKED + " and amount > 1000"
        "\nunion all select order_id from {{ ref('fct_orders') }} where false",
    )
    for _ in range(2):
        assert not failures(database, project, "build")
    do(database, insert("61", "null", "2000"))
    assert_found(database, project)


def test_a_staged_row_that_vanishes(database: Database, project: Path) -> None:
    """A staging view may leave rows out."""
    path = project / "models" / "staging" / "stg_lines.sql"
    path.write_text(path.read_text() + " where amount < 5000")
    (project / "models" / "staging" / "stg_parts.sql").write_text(
        "select line_id + 100 as part_id, line_id, _loaded_at, {{ row_xid() }} as _row_xid"
        " from {{ source('app', 'lines') }} where line_id < 5"
    )
    (project / "models" / "parts.yml").write_text(
        yaml.safe_dump(
            {
                "models": [
                    {
                        "name": "stg_parts",
                        "columns": [
                            {"name": "_loaded_at"},
                            {"name": "_row_xid"},
                            {
                                "name": "line_id",
                                "data_tests": [
                                    {
                                        "relationships": {
                                            "name": "held",
                                            "arguments": {
                                                "to": "ref('stg_lines')",
                                                "field": "line_id",
                                            },
                                        }
                                    }
                                ],
                            },
                        ],
                    }
                ]
            }
        )
    )
    write_test(
        project,
        "select 1 from {{ ref('fct_orders') }} cross join {{ ref('fct_lines') }} where false",
    )
    do(database, "create table raw.other as table raw.lines")
    source = project / "models" / "sources.yml"
    sources = yaml.safe_load(source.read_text())
    sources["sources"][0]["tables"].append({"name": "other"})
    source.write_text(yaml.safe_dump(sources))
    part = project / "models" / "staging" / "stg_parts.sql"
    part.write_text(part.read_text().replace("'lines'", "'other'"))
    dbt_project.forget(project)
    for _ in range(2):
        assert not failures(database, project, "build")
    do(
        database,
        "update raw.lines set amount = 6000, _loaded_at = clock_timestamp() where line_id = 3",
    )
    assert_found(database, project)


def test_a_time_that_went_back(database: Database, project: Path) -> None:
    write_test(
        project,
        "select 1 from {{ ref('fct_orders') }} cross join {{ ref('fct_lines') }} where false",
    )
    for _ in range(2):
        assert not failures(database, project, "build")
    do(database, "update observability.tested_keys set passed_whole_at = now() + interval '1 year'")
    log = dbt_project.scratch() / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    assert not failures(database, project, "build", options=("--log-level-file", "debug"))
    assert "asked of what changed" not in log.read_text()


def test_a_deferred_build(database: Database, project: Path, tmp_path: Path) -> None:
    """References are asked in the tables that this target has."""
    write_test(
        project,
        "select 1 from {{ ref('fct_orders') }} cross join {{ ref('fct_lines') }} where false",
    )
    models = yaml.safe_load((project / "models" / "models.yml").read_text())
    models["models"][2]["columns"][0]["data_tests"].append(
        {
            "relationships": {
                "name": "back",
                "arguments": {"to": "ref('fct_lines')", "field": "order_id"},
            }
        }
    )
    (project / "models" / "models.yml").write_text(yaml.safe_dump(models))
    dbt_project.forget(project)
    state = str(tmp_path / "state")
    assert not failures(database, project, "build")
    dbt_project.run(
        database, "compile", project=project, options=("--write-json", "--target-path", state)
    )
    other = Database(database.name, {**database.environment, "DBT_TARGET": "ci"})
    options = ("--defer", "--state", state)
    for number in (61, 62):
        told = failures(other, project, "build", "fct_orders", options=options)
        assert not told, told
        do(database, insert(str(number), "30", "1"))
        assert not failures(database, project, "build")


@pytest.mark.parametrize(
    "statement",
    [
        "update marts.fct_lines set amount = -5 where line_id = 5",
        "insert into marts.fct_lines values (70, 1, -5)",
        "delete from marts.fct_orders where order_id = 5",
    ],
)
@pytest.mark.parametrize("when", ["pre-hook", "post-hook"])
def test_a_hook(database: Database, project: Path, statement: str, when: str) -> None:
    """It is there from the first build, and changes other rows than a later run."""
    do(
        database,
        "create function public.meddle() returns void language plpgsql as $$ begin"
        " if to_regclass('marts.fct_orders') is not null"
        " and exists (select from raw.lines where line_id = 61)"
        f" then {statement}; end if; end $$",
    )
    models = yaml.safe_load((project / "models" / "models.yml").read_text())
    models["models"][1]["config"] = {when: "select public.meddle()"}
    in_range = {"dbt_utils.accepted_range": {"name": "amounts", "arguments": {"min_value": 0}}}
    models["models"][1]["columns"].append({"name": "amount", "data_tests": [in_range]})
    (project / "models" / "models.yml").write_text(yaml.safe_dump(models))
    write_test(project, "select 1 from {{ ref('fct_orders') }}, {{ ref('fct_lines') }} where false")
    for _ in range(2):
        assert not failures(database, project, "build")
    do(database, insert("61", "30", "1"))
    assert_honest(database, project)
