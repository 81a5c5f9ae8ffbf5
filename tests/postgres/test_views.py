"""Rebuilt views: readers always find them and the views that depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do
from tests.support.small_project import polled, run, write_project

VIEW, ON_TOP = "staging.stg_app__consents", "quarantine.excluded_rows"


def identities(database: Any) -> tuple[tuple[int, str], tuple[int, str]]:
    """Return the oid and the query of VIEW and of ON_TOP; both must exist."""
    with database.connect() as session:
        return tuple(
            session.execute(
                "select %(name)s::regclass::oid::int, pg_get_viewdef(%(name)s::regclass)",
                {"name": name},
            ).fetchone()
            for name in (VIEW, ON_TOP)
        )


def put_in_place(database: Any, query: str) -> None:
    """Recreate VIEW with another query."""
    with database.connect() as session:
        session.execute(f"drop view {VIEW} cascade")
        session.execute(f"create view {VIEW} as {query}")


def text_of(database: Any) -> str:
    """Return the query of VIEW."""
    return identities(database)[0][1].rstrip(";")


def test_a_view_that_stays_the_same_is_not_locked(built: Any) -> None:
    before = identities(built)
    with built.connect() as reader:
        reader.execute(f"select count(*) from {VIEW}")
        with built.connect() as session:
            session.execute(f"alter database {built.name} set lock_timeout = '2s'")
        dbt_project.run(built, "run", "stg_app__consents")

    assert identities(built) == before


def test_another_text_takes_its_place_below_the_views_that_read_it(built: Any) -> None:
    before = identities(built)
    with built.connect() as session:
        session.execute(f"create or replace view {VIEW} as {text_of(built)} limit 0")
        session.execute(f"alter view {VIEW} set (security_barrier, security_invoker = true)")
    assert identities(built) != before
    dbt_project.run(built, "run", "stg_app__consents")

    assert identities(built) == before
    options = (
        f"select array_to_string(reloptions, ',') from pg_class where oid = '{VIEW}'::regclass"
    )
    assert ask(built, options) == "security_barrier=true,security_invoker=true"


def test_a_view_with_fewer_columns_gains_them_in_its_place(built: Any) -> None:
    whole = text_of(built)
    put_in_place(built, f"select consent_id from ({whole}) as whole")
    with built.connect() as session:
        (before,) = session.execute("select %s::regclass::oid::int", [VIEW]).fetchone()
    dbt_project.run(built, "run", "stg_app__consents", "excluded_rows")

    assert identities(built)[0] == (before, f"{whole};")


def test_what_cannot_be_replaced_is_made_anew(built: Any) -> None:
    whole = text_of(built)
    for query in (
        "select 1 as of_old_times",
        "select 1 as consent_id",
        f"select user_id, consent_id from ({whole}) as whole",
    ):
        put_in_place(built, query)
        dbt_project.run(built, "run", "stg_app__consents", "excluded_rows")
        assert text_of(built) == whole, query

    with built.connect() as session:
        session.execute(f"drop view {VIEW} cascade")
        session.execute(f"create table {VIEW} (consent_id text)")
    dbt_project.run(built, "run", "stg_app__consents", "excluded_rows")
    assert text_of(built) == whole


def test_a_grant_that_the_model_no_longer_has_is_taken_back(database: Any, tmp_path: Path) -> None:
    text = (
        "{{ config(materialized='view', grants={'select': var('readers')}) }}"
        " select {{ var('number') }} as number"
    )
    first, second = "pg_monitor", "pg_read_all_stats"
    project = write_project(tmp_path / "project", {"seen": text})
    identities = set()
    for readers, number in (([first, second], 1), ([first], 1), ([second], 2)):
        run(database, project, variables={"readers": readers, "number": number})
        granted = ask(
            database,
            "select array_agg(grantee::regrole::text) from pg_class, aclexplode(relacl)"
            " where pg_class.oid = 'marts.seen'::regclass and grantee != relowner",
        )
        assert sorted(granted) == readers
        identities.add(ask(database, "select 'marts.seen'::regclass::oid"))
    assert len(identities) == 1


@pytest.mark.parametrize("materialized", ["view", "table", "incremental", "materialized_view"])
def test_a_grant_to_everybody_is_taken_back_too(
    database: Any, tmp_path: Path, materialized: str
) -> None:
    """Made by hand, or by a configuration that changed."""
    text = (
        f"{{{{ config(materialized='{materialized}', grants={{'select': var('readers')}}) }}}}"
        " select 1 as number"
    )
    project = write_project(tmp_path / "project", {"seen": text})
    granted = (
        "select array_agg(case when grantee = 0 then 'public' else grantee::regrole::text end)"
        " from pg_class, aclexplode(relacl)"
        " where pg_class.oid = 'marts.seen'::regclass and grantee != relowner"
    )
    run(database, project, variables={"readers": ["pg_monitor"]})
    do(
        database,
        "grant select on marts.seen to public",
        "grant select on marts.seen to pg_read_all_stats with grant option",
        "grant usage on schema marts to pg_read_all_stats",
        "set role pg_read_all_stats",
        "grant select on marts.seen to pg_read_all_settings",
        "reset role",
    )
    run(database, project, variables={"readers": ["pg_monitor"]})
    assert ask(database, granted) == ["pg_monitor"]
    run(database, project, variables={"readers": ["public"]})
    assert ask(database, granted) == ["public"]
    run(database, project, variables={"readers": ["pg_monitor"]})
    assert ask(database, granted) == ["pg_monitor"]


def test_an_open_reader_of_another_text_stops_the_build_and_nobody_else(
    database: Any, tmp_path: Path
) -> None:
    """The replacement retries, then fails; other readers continue, and the old view stays."""
    text = "{{ config(materialized='view') }} select 1 as number -- with a comment, $lock$ and %"
    project = write_project(tmp_path / "project", {"seen": text})
    run(database, project)
    do(database, "create or replace view marts.seen as select 2 as number")
    look = "select 'marts.seen'::regclass::oid::int, number from marts.seen"
    before = ask(database, look)
    patience = {"replace_lock_timeout": "200ms", "replace_lock_attempts": 3}
    with database.connect() as reader:
        reader.execute("select * from marts.seen")
        with (
            polled(database, "marts.seen"),
            pytest.raises(
                dbt_project.DbtFailed,
                match=r"view .*seen.* could not be replaced: locked by other sessions.*"
                r"lock timeout, tried 3 times for 200ms; held: .*seen by pid"
                rf" {reader.info.backend_pid} ",
            ),
        ):
            run(database, project, variables=patience)
    assert ask(database, look) == before

    assert run(database, project, variables=patience)["seen"] == "CREATE VIEW"
    ((oid, _),) = before
    assert ask(database, look) == [(oid, 1)]


def test_a_backup_of_an_earlier_run_goes_and_its_reader_stays(
    database: Any, tmp_path: Path
) -> None:
    """A killed run left the backup and a view that reads it: the next run redirects the view."""
    project = write_project(
        tmp_path / "project", {"seen": "{{ config(materialized='view') }} select 1 as number"}
    )
    run(database, project)
    do(
        database,
        "create table marts.seen__dbt_backup as select 2 as number",
        "create view marts.on_top as select number from marts.seen__dbt_backup",
        "create view marts.seen__dbt_tmp as select 3 as number",
    )
    run(database, project)
    assert ask(database, "select number from marts.on_top") == 1
    assert ask(database, "select relname from pg_class where relname ~ '__dbt_'") == []


def test_hooks_come_once_and_before_the_query(database: Any, tmp_path: Path) -> None:
    """The query may need what the hooks create, whether the view is new, replaced or recreated."""
    text = (
        "{{ config(materialized='view', pre_hook=["
        "'create or replace function public.two() returns int language sql return 2',"
        " 'create or replace function public.three() returns text language sql return 3',"
        " 'create table if not exists public.runs ()', 'insert into public.runs default values'"
        "]) }} select {{ var('sql_number') }} as number"
    )
    project = write_project(tmp_path / "project", {"seen": text})
    for times, (number, needed) in enumerate((("1", "two"), ("public.two()", "three")), 1):
        run(database, project, variables={"sql_number": number})
        assert ask(database, "select count(*) from public.runs") == times
        do(database, f"drop function public.{needed}()")
    run(database, project, variables={"sql_number": "public.three()"})
    assert ask(database, "select count(*) from public.runs") == 3
    assert ask(database, "select number from marts.seen") == "3"


def test_a_backup_that_cannot_go_stops_a_view_with_other_columns(
    database: Any, tmp_path: Path
) -> None:
    text = "{{ config(materialized='view') }} select {{ var('sql_number') }} as number"
    project = write_project(tmp_path / "project", {"seen": text})
    patience = {"replace_lock_timeout": "100ms", "replace_lock_attempts": 1}
    run(database, project, variables={"sql_number": "1"})
    do(
        database,
        "create table marts.seen__dbt_backup as select 2 as number",
        "create view marts.on_top as select number from marts.seen__dbt_backup",
    )
    with database.connect() as reader:
        reader.execute("select * from marts.on_top")
        with pytest.raises(dbt_project.DbtFailed, match="of an earlier run still exists"):
            run(database, project, variables={"sql_number": "'one'", **patience})
    run(database, project, variables={"sql_number": "'one'", **patience})
    assert ask(database, "select number from marts.seen") == "one"
    assert ask(database, "select relname from pg_class where relname ~ '__dbt_'") == []
