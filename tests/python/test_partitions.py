"""Partitions that a model declares: what the catalog says, in a small project with these macros."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbt_project
import psycopg
import pytest
import yaml

pytestmark = pytest.mark.dbt

HOOKS = ("pre-hook", "post-hook")
ROWS = """
create table public.given as
select
    number as id,
    '2026-01-30 12:00:00+00'::timestamptz + number * interval '12 hours' as at,
    date '2026-01-30' + number as day,
    timestamp '2026-01-30' + number * interval '1 day' as moment,
    (array['a', 'B c', null, 'it''s'])[1 + number % 4] as kind,
    number % 3 as part
from generate_series(0, 9) as number
"""


class Project:
    """A dbt project of its own, with the macros and the hooks of the warehouse."""

    def __init__(self, folder: Path, database: Any) -> None:
        self.folder, self.database = folder, database
        folder.mkdir(exist_ok=True)
        for name in ("macros", "dbt_packages"):
            shutil.copytree(dbt_project.ROOT / name, folder / name)
        for name in ("profiles.yml", "packages.yml"):
            shutil.copy(dbt_project.ROOT / name, folder)
        whole = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())
        own = whole["models"]["analytics_warehouse"]
        hooks = {f"+{hook}": own[f"+{hook}"] for hook in HOOKS}
        models = {"+schema": "marts", "+persist_docs": {"relation": True, "columns": True}}
        keys = ("name", "version", "config-version", "profile", "vars")
        (folder / "dbt_project.yml").write_text(
            yaml.safe_dump(
                {
                    **{key: whole[key] for key in keys},
                    "on-run-start": ["{{ create_partition_schema() }}"],
                    "models": {"analytics_warehouse": {**models, **hooks}},
                }
            )
        )
        (folder / "models").mkdir()

    def write(self, name: str, query: str, yml: dict | None = None, **config: Any) -> None:
        """Write a model; `yml` is what the YAML file says of it."""
        given = ", ".join(f"{key}={value!r}" for key, value in config.items())
        path = self.folder / "models" / f"{name}.sql"
        path.write_text(f"{{{{ config({given}) }}}}\n{query}\n")
        described = path.with_suffix(".yml")
        described.unlink(missing_ok=True)
        if yml:
            described.write_text(yaml.safe_dump({"version": 2, "models": [{"name": name, **yml}]}))
        dbt_project.forget()

    def run(self, *select: str, **options: Any) -> None:
        """`dbt run`."""
        dbt_project.run(self.database, "run", *select, project=self.folder, **options)

    def ask(self, query: str, *values: Any) -> list[tuple]:
        """The rows of a query."""
        with self.database.connect() as session:
            return session.execute(query, values or None).fetchall()

    def do(self, statement: str, *values: Any) -> None:
        """Run a statement."""
        with self.database.connect() as session:
            session.execute(statement, values or None)

    def partitions(self, table: str) -> dict[str, int]:
        """The bounds of each partition of a table, and its rows."""
        names = self.ask(
            "select c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid) from pg_inherits"
            " inner join pg_class as c on inhrelid = c.oid where inhparent = %s::regclass",
            f"marts.{table}",
        )
        return {
            bounds: self.ask(f"select count(*) from only {name}")[0][0] for name, bounds in names
        }


@pytest.fixture(params=["18", "16"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """The small project beside a database with ten rows, on either version of PostgreSQL."""
    database = request.getfixturevalue("database" if request.param == "18" else "database_16")
    made = Project(tmp_path / "project", database)
    made.do(ROWS)
    yield made


def month(first: str, after: str) -> str:
    """The bounds of a partition of a timestamptz."""
    return f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"


JANUARY, FEBRUARY, MARCH = (
    month("2026-01-01", "2026-02-01"),
    month("2026-02-01", "2026-03-01"),
    month("2026-03-01", "2026-04-01"),
)
BY_MONTH = {"fields": ["at"], "method": "range", "granularity": "month", "default_partition": True}


def test_every_method_makes_its_partitions(project: Project) -> None:
    declared = {
        "by_day": {"fields": ["day"], "granularity": "day"},
        "by_week": {"fields": ["day"], "granularity": "week"},
        "by_month": BY_MONTH,
        "by_quarter": {"fields": ["moment"], "granularity": "quarter"},
        "by_year": {"fields": ["at"], "granularity": "year"},
        "by_kind": {"fields": ["kind"], "method": "list", "default_partition": True},
        "by_part": {"fields": ["part"], "method": "list"},
        "by_hash": {"fields": ["id", "kind"], "method": "hash", "partitions": 3},
        "a" * 63: {"fields": ["at"], "granularity": "month"},
    }
    for name, partition_by in declared.items():
        project.write(
            name, "select * from public.given", materialized="table", partition_by=partition_by
        )
    project.run()

    assert len(project.partitions("by_day")) == 11
    assert project.partitions("by_week") == {
        "FOR VALUES FROM ('2026-01-26') TO ('2026-02-02')": 3,
        "FOR VALUES FROM ('2026-02-02') TO ('2026-02-09')": 7,
        "FOR VALUES FROM ('2026-02-09') TO ('2026-02-16')": 0,
    }
    assert project.partitions("by_month") == {JANUARY: 3, FEBRUARY: 7, MARCH: 0, "DEFAULT": 0}
    assert project.partitions("by_quarter") == {
        "FOR VALUES FROM ('2026-01-01 00:00:00') TO ('2026-04-01 00:00:00')": 10,
        "FOR VALUES FROM ('2026-04-01 00:00:00') TO ('2026-07-01 00:00:00')": 0,
    }
    assert list(project.partitions("by_year").values()) == [10, 0]
    assert project.partitions("by_kind") == {
        "FOR VALUES IN ('a')": 3,
        "FOR VALUES IN ('B c')": 3,
        "FOR VALUES IN ('it''s')": 2,
        "FOR VALUES IN (NULL)": 2,
        "DEFAULT": 0,
    }
    assert project.partitions("by_part") == {
        "FOR VALUES IN (0)": 4,
        "FOR VALUES IN (1)": 3,
        "FOR VALUES IN (2)": 3,
    }
    hashed = project.partitions("by_hash")
    assert (len(hashed), sum(hashed.values())) == (3, 10)
    assert len(project.partitions("a" * 63)) == 3
    children = "select relname from pg_class inner join pg_inherits on oid = inhrelid"
    assert project.ask(f"{children} where relnamespace != 'partitions'::regnamespace") == []
    assert project.ask(f"{children} where octet_length(relname) > 63") == []
    assert project.ask(
        "select count(*) from pg_class where relnamespace = 'marts'::regnamespace"
        " and relkind in ('r', 'p')"
    ) == [(len(declared),)]
    never_analysed = "select relname from pg_class where reltuples < 0 and relkind in ('r', 'p')"
    assert project.ask(f"{never_analysed} and relnamespace = 'marts'::regnamespace") == []


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_partitions_come_with_the_rows(database: Any, tmp_path: Path, strategy: str) -> None:
    """Also years back, and whatever strategy writes the rows."""
    project = Project(tmp_path / "project", database)
    project.do(ROWS)
    project.write(
        "rows",
        "select * from public.given {% if is_incremental() %} where id >= 10 {% endif %}",
        materialized="incremental",
        unique_key=None if strategy == "append" else ["id", "at"],
        incremental_strategy=strategy,
        partition_by=BY_MONTH,
    )
    project.run()
    project.do(
        "insert into public.given (id, at) values"
        " (10, '1999-12-31 23:59:59.999999+00'), (11, 'infinity'), (12, '2026-03-31 23:00:00+00')"
    )
    # A row of May, which somebody wrote by hand, waits in the default partition.
    project.do("insert into marts.rows (id, at) values (99, '2026-05-05')")
    project.do("insert into public.given (id, at) values (13, '2026-05-31')")
    project.run()

    assert project.partitions("rows") == {
        month("1999-12-01", "2000-01-01"): 1,
        JANUARY: 3,
        FEBRUARY: 7,
        MARCH: 1,
        month("2026-05-01", "2026-06-01"): 2,
        month("2026-06-01", "2026-07-01"): 0,
        "DEFAULT": 1,
    }
    with pytest.raises(dbt_project.DbtFailed, match=r"rows: \d rows are in the default partition"):
        project.run(options=("--warn-error",))


def test_partitions_are_switched_on_changed_and_off(project: Project) -> None:
    """A table that exists keeps its rows, and what stands on it; rows that no source has, too."""
    incremental = {"materialized": "incremental", "indexes": [{"columns": ["id"]}]}
    query = "select * from public.given {% if is_incremental() %} where false {% endif %}"
    yml = {"description": "Rows.", "columns": [{"name": "id", "description": "Number."}]}
    project.write("rows", query, yml, **incremental)
    project.run()
    project.do("create view public.on_top as select id, at from marts.rows")
    project.do("insert into marts.rows (id, at) values (99, '2026-02-02')")
    project.do("drop table public.given")
    project.do(ROWS)
    rows = project.ask("select * from public.on_top order by 1")
    assert len(rows) == 11

    shapes = []
    for partition_by in (
        BY_MONTH,
        BY_MONTH,
        {**BY_MONTH, "granularity": "year"},
        {"fields": ["id"], "method": "hash", "partitions": 2},
        {"fields": ["id"], "method": "hash", "partitions": 4},
        {"fields": ["part"], "method": "list"},
        None,
    ):
        extra = {} if partition_by is None else {"partition_by": partition_by}
        project.write("rows", query, yml, **incremental, **extra)
        project.run()
        assert project.ask("select * from public.on_top order by 1") == rows, partition_by
        assert project.ask(
            "select obj_description('marts.rows'::regclass),"
            " col_description('marts.rows'::regclass, 1),"
            " count(*) from pg_index where indrelid = 'marts.rows'::regclass"
        ) == [("Rows.", "Number.", 1)]
        shapes.append(
            (len(project.partitions("rows")), project.ask("select 'marts.rows'::regclass::oid"))
        )
    assert [number for number, _ in shapes] == [4, 4, 3, 2, 4, 4, 0]
    assert shapes[0] == shapes[1], "what fits already is left alone"
    leftovers = "select relname from pg_class where relname like '%\\_\\_dbt\\_%' and relkind = 'r'"
    assert project.ask(leftovers) == []
    assert project.ask(
        "select count(*) from pg_class where relnamespace = 'partitions'::regnamespace"
    ) == [(0,)]


def test_a_full_refresh_swaps_under_the_eyes_of_a_reader(project: Project) -> None:
    """Contract, grants, comments and --empty with it."""
    columns = [
        {"name": "id", "data_type": "int", "constraints": [{"type": "not_null"}]},
        {"name": "at", "data_type": "timestamptz"},
    ]
    yml = {
        "description": "Rows.",
        "config": {"contract": {"enforced": True}},
        "columns": [{**column, "description": "What it is."} for column in columns],
    }
    project.do("create role analysts")
    project.write("given", "select id::int as id, at from public.given", materialized="view")
    project.write(
        "rows",
        "select id, at from {{ ref('given') }}",
        yml,
        materialized="incremental",
        partition_by=BY_MONTH,
        on_schema_change="fail",
        unique_key=["id", "at"],
        indexes=[{"columns": ["id", "at"], "unique": True}],
        grants={"select": ["analysts"]},
    )
    project.run()
    before = project.partitions("rows")
    seen, done, wrong = set(), threading.Event(), []

    def read() -> None:
        with project.database.connect() as session:
            session.autocommit = True
            while not done.is_set():
                try:
                    seen.add(session.execute("select count(*) from marts.rows").fetchone()[0])
                except psycopg.Error as error:
                    wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        project.do("insert into public.given (id, at) values (10, '2026-02-20')")
        project.run(full_refresh=True)
        project.run()
    finally:
        done.set()
        reader.join()
    assert wrong == []
    assert seen == {10, 11}

    assert project.partitions("rows") == {**before, FEBRUARY: 8}
    assert project.ask(
        "select count(*) from pg_class where relnamespace = 'partitions'::regnamespace"
        " and relkind = 'r'"
    ) == [(4,)]
    assert project.ask("select has_table_privilege('analysts', 'marts.rows', 'select')") == [
        (True,)
    ]
    assert project.ask(
        "select attnotnull, col_description(attrelid, attnum) from pg_attribute"
        " where attrelid = 'marts.rows'::regclass and attname = 'id'"
    ) == [(True, "What it is.")]
    with pytest.raises(psycopg.errors.UniqueViolation):
        project.do("insert into marts.rows select id, at from marts.rows limit 1")

    project.run(options=("--empty",))
    assert sum(project.partitions("rows").values()) == 11
    project.run(full_refresh=True, options=("--empty",))
    assert project.partitions("rows") == {"DEFAULT": 0}


def test_a_new_column_reaches_the_partitions(project: Project) -> None:
    config = {
        "materialized": "incremental",
        "partition_by": BY_MONTH,
        "on_schema_change": "append_new_columns",
    }
    query = (
        "select id, at {} from public.given {{% if is_incremental() %}} where id = 9 {{% endif %}}"
    )
    project.write("rows", query.format(""), **config)
    project.run()
    project.write("rows", query.format(", part"), **config)
    project.run()

    assert project.ask("select part, count(*) from marts.rows group by 1 order by 1") == [
        (0, 1),
        (None, 10),
    ]


def test_partitions_of_another_time_zone_are_those_of_utc(project: Project) -> None:
    project.do(f"alter database {project.database.name} set timezone = 'Pacific/Kiritimati'")
    project.database.environment["WAREHOUSE_SESSION_OPTIONS"] = "-c lock_timeout=10s"
    project.write(
        "rows", "select * from public.given", materialized="incremental", partition_by=BY_MONTH
    )
    project.run()
    project.run()
    project.do(f"alter database {project.database.name} set timezone = 'UTC'")

    assert project.partitions("rows") == {JANUARY: 6, FEBRUARY: 14, MARCH: 0, "DEFAULT": 0}


def partitions_written(server: Any, since: int) -> set[str]:
    """The partitions in the plans of statements that wrote fct_user_events, by the server's log."""
    log = server.log.read_text(errors="replace")[since:]
    plans = re.split(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", log, flags=re.MULTILINE)
    writes = [plan for plan in plans if re.search(r"(Delete|Insert) on .*fct_user_events", plan)]
    assert writes
    return set(re.findall(r"fct_user_events_(\w+?)_\d+ ", " ".join(writes)))


def test_the_daily_write_touches_the_partitions_of_its_batch(built: Any, server: Any) -> None:
    """No other partition is in the plans of the writes, only in the search for old places."""
    with built.connect() as session:
        session.autocommit = True
        for name, value in {
            "session_preload_libraries": "auto_explain",
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_verbose": "on",
        }.items():
            session.execute(f"alter database {built.name} set {name} = '{value}'")
        months = session.execute(
            "select distinct date_trunc('month', event_timestamp at time zone 'UTC')::date"
            " from marts.fct_user_events group by 1 having count(*) > 20 order by 1"
        ).fetchall()
        first, last = (month.strftime("%Y_%m") for (month,) in (months[0], months[-1]))
        assert len(months) > 2
        again = (
            "update raw.events set page_url = '/again', _loaded_at = clock_timestamp() where"
            " event_id in (select event_id from marts.fct_user_events where"
            " event_timestamp >= %s order by event_timestamp, event_id limit 20)"
        )
        session.execute(again, [months[-1][0]])
    since = len(server.log.read_text(errors="replace"))
    dbt_project.run(built, "run", "fct_user_events")
    assert partitions_written(server, since) == {last}

    with built.connect() as session:
        # The same events come once more, with a moment in the first month.
        session.execute(
            "update raw.events set event_timestamp = %s, _loaded_at = clock_timestamp()"
            " where page_url = '/again'",
            [f"{months[0][0]} 23:00:00+00"],
        )
        before = session.execute("select count(*) from marts.fct_user_events").fetchone()
    since = len(server.log.read_text(errors="replace"))
    dbt_project.run(built, "run", "fct_user_events")
    # Where they were is read; where they go PostgreSQL finds without a plan.
    assert partitions_written(server, since) == {last}
    with built.connect() as session:
        ((stored_in,),) = session.execute(
            "select distinct tableoid::regclass::text from marts.fct_user_events"
            " where page_url = '/again'"
        ).fetchall()
        assert f"fct_user_events_{first}_" in stored_in
        assert session.execute("select count(*) from marts.fct_user_events").fetchone() == before
        assert session.execute(
            "select count(*), count(distinct event_id) from marts.fct_user_events"
            " where page_url = '/again'"
        ).fetchone() == (20, 20)


@pytest.mark.parametrize(
    ("partition_by", "message"),
    [
        ("at", "rows: partition_by is at; it takes a dictionary with the keys fields, method"),
        ({"field": "at"}, "rows: partition_by is the key 'field'; it takes fields, method"),
        ({"fields": []}, "rows: partition_by.fields is []; it takes a list of columns"),
        ({"fields": ["at", "id"]}, "it takes a list of columns: one for range and list"),
        ({"fields": ["since"]}, "rows: partition_by.fields is since; it takes a column of the"),
        ({"fields": ["kind"]}, "partition_by.fields is kind, of type text; it takes for range a"),
        ({"fields": ["at"], "method": "span"}, "rows: partition_by.method is span; it takes range"),
        (
            {"fields": ["at"], "granularity": "hour"},
            "rows: partition_by.granularity is hour; it takes day, week, month, quarter, year",
        ),
        (
            {"fields": ["at"], "default_partition": "yes"},
            "rows: partition_by.default_partition is yes; it takes True, False",
        ),
        (
            {"fields": ["id"], "method": "hash"},
            "rows: partition_by.partitions is None; it takes for hash their number, 1 or more",
        ),
        ({"fields": ["at"], "partitions": 3}, "rows: partition_by.partitions is 3; it takes for"),
        (
            {"fields": ["id"], "method": "hash", "partitions": 3, "default_partition": True},
            "rows: partition_by.default_partition is True; it takes false for hash",
        ),
    ],
)
def test_a_mistake_is_named(shared: Project, partition_by: Any, message: str) -> None:
    shared.write(
        "rows", "select * from public.given", materialized="incremental", partition_by=partition_by
    )
    with pytest.raises(dbt_project.DbtFailed) as caught:
        shared.run()
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def shared(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project for many mistakes, none of which makes a table."""
    from conftest import new_database

    with new_database(server) as database:
        project = Project(tmp_path_factory.mktemp("project"), database)
        project.do(ROWS)
        yield project
