"""A run whose upstreams have nothing new writes nothing, and one that cannot be sure writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import Database, ask, do, new_database
from tests.support.dbt_project import DbtFailed
from tests.support.small_project import run, write_project

UNCHANGED = "UNCHANGED"
REFRESHED = "REFRESH CONCURRENTLY"
CHANGED_KEYS = "materialized='incremental', incremental_strategy='changed_keys'"
VIEW = (
    "{{ config(materialized='materialized_view', indexes=[{'columns': ['one'], 'unique': true}]) }}"
)
MODELS = {
    # Compares all its rows with a table that dbt does not know.
    "numbers": f"{{{{ config({CHANGED_KEYS}, unique_key='id') }}}}"
    " select id, value from public.given",
    "untracked": f"{{{{ config({CHANGED_KEYS}, unique_key='id',"
    " meta={'change_log_keys': []}) }} select id from public.others",
    "followed": f"""
        {{{{ config({CHANGED_KEYS}, unique_key='id', indexes=[{{'columns': ['value']}}]) }}}}
        {{%- set keys = changed_keys('id', [ref('numbers')]) %}}
        select id, value from {{{{ ref('numbers') }}}} where {{{{ is_changed(keys) }}}}
    """,
    "whole": f"""
        {{{{ config({CHANGED_KEYS}, unique_key='one') }}}}
        {{%- do skip_unless_changed(also_each='month') %}}
        select 1 as one, sum(value) as total,
            {{{{ first_day_of('month', local_date(as_of())) }}}} as month
        from {{{{ ref('numbers') }}}}, {{{{ ref('untracked') }}}}
    """,
    "total": VIEW
    + " select 1 as one, sum(value) as total from {{ ref('numbers') }}, {{ ref('untracked') }}",
    "clock": VIEW + " select 1 as one, max(id) as id, now() as at from {{ ref('numbers') }}",
    "bypass": VIEW + " select 1 as one, count(*) as n from {{ ref('numbers') }}, public.given",
    "properties.yml": "models: [{name: followed, description: The numbers again.,"
    " columns: [{name: id, description: The key.}]}]",
}
READERS = ("followed", "whole", "total")
JUNE, LATER, JULY = "2025-06-03", "2025-06-04", "2025-07-01"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, shared by all tests so that dbt parses them once."""
    return write_project(tmp_path_factory.mktemp("unchanged") / "project", MODELS)


@pytest.fixture(scope="module")
def template(server: Any, project: Path) -> Iterator[Database]:
    """A database in which the models are built."""
    with new_database(server) as made:
        do(
            made,
            "create table public.given as select n as id, n as value from generate_series(1, 9) n",
            "create table public.others as select 1 as id",
        )
        run(made, project, as_of=JUNE)
        yield made


@pytest.fixture
def database(server: Any, template: Database) -> Iterator[Database]:
    with new_database(server, template=template.name) as made:
        yield made


def total(database: Any) -> list[int]:
    """The sum of the numbers, as each reader has it."""
    (row,) = ask(
        database,
        "select (select sum(value) from marts.followed), (select total from marts.whole),"
        " (select total from marts.total)",
    )
    return [int(each) for each in row]


def test_an_unchanged_upstream_costs_nothing(database: Any, project: Path) -> None:
    state = (
        "select (select max(advanced_at) from observability.watermarks"
        "   where model_name = 'followed'),"
        " (select json_agg(xmin::text order by id) from marts.followed)::text,"
        " (select json_agg(xmin::text order by objsubid) from pg_description"
        "   where objoid = 'marts.followed'::regclass)::text"
    )
    ((advanced, *rows),) = ask(database, state)
    found = run(database, project, *READERS, "clock", "bypass", as_of=LATER)
    ((advanced_again, *rows_again),) = ask(database, state)

    assert {found[name] for name in READERS} == {UNCHANGED}
    # A clock, and a relation that dbt does not know.
    assert found["clock"] == found["bypass"] == REFRESHED
    assert rows_again == rows
    assert advanced_again > advanced


def test_every_reader_hears_of_a_change(database: Any, project: Path) -> None:
    do(database, "update public.given set value = 100 where id = 9")
    found = run(database, project, as_of=JUNE)
    assert UNCHANGED not in {found[name] for name in READERS}
    assert total(database) == [136, 136, 136]

    # Even if it was found by a run without the readers, of a model that tracks no keys.
    do(database, "insert into public.others values (2)")
    run(database, project, "untracked", as_of=JUNE)
    found = run(database, project, *READERS, as_of=JUNE)
    assert found["followed"] == UNCHANGED
    assert total(database) == [136, 272, 272]

    found = run(database, project, *READERS, as_of=JULY)
    assert (found["followed"], found["total"]) == (UNCHANGED, UNCHANGED)
    assert found["whole"] != UNCHANGED
    assert ask(database, "select month::text from marts.whole") == "2025-07-01"


def test_a_table_that_is_not_as_the_last_run_left_it_is_built(database: Any, project: Path) -> None:
    do(database, "truncate marts.followed, marts.whole")
    do(database, "refresh materialized view marts.total with no data")
    run(database, project, *READERS, as_of=JUNE)
    assert total(database) == [45, 45, 45]

    # The upstream was emptied, and its own run did not log that yet.
    do(database, "truncate marts.numbers")
    found = run(database, project, "whole", "total", as_of=JUNE)
    assert UNCHANGED not in found.values()
    run(database, project, as_of=JUNE)
    assert total(database) == [45, 45, 45]
    assert {run(database, project, *READERS, as_of=JUNE)[name] for name in READERS} == {UNCHANGED}


def test_a_run_that_sees_a_part_vouches_for_nothing(database: Any, project: Path) -> None:
    do(database, "update public.given set value = 100 where id = 9")
    run(database, project, "numbers", as_of=JUNE)
    run(database, project, *READERS, options=("--empty",), as_of=JUNE)
    assert total(database) == [45, 45, 45]
    run(database, project, *READERS, as_of=JUNE)
    assert total(database) == [136, 136, 136]
    with pytest.raises(DbtFailed, match="whole: --sample shows a part"):
        run(database, project, "whole", options=("--sample", "1 day"), as_of=JUNE)


def test_what_the_model_declares_is_repaired_without_new_rows(database: Any, project: Path) -> None:
    do(
        database,
        "drop index marts.followed_value_idx; comment on column marts.followed.id is 'Wrong.';"
        "comment on table marts.followed is null",
    )
    found = run(database, project, "followed", as_of=JUNE)

    assert found["followed"] == UNCHANGED
    assert ask(
        database,
        "select to_regclass('marts.followed_value_idx')::text, col_description(oid, 1),"
        " obj_description(oid) from pg_class where oid = 'marts.followed'::regclass",
    ) == [("marts.followed_value_idx", "The key.", "The numbers again.")]
