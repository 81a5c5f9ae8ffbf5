"""A small project whose tables expire, and what its tests do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support import dbt_project
from tests.support.small_project import run, write_project
from warehouse import dbt
from warehouse.database.connection import connect
from warehouse.database.profile import settings
from warehouse.retention import policy as policies_of
from warehouse.retention.policy import Plan, Policy
from warehouse.retention.steps import Sessions, Step, carry_out, steps_of

NOW = datetime(2026, 3, 15, tzinfo=UTC)
# Values that are easily changed by a conversion, in every column and often next to a null.
GIVEN = r"""
create type public.mood as enum ('sad', 'ok');
create domain public.positive as integer check (value > 0);
create table public.given as
select
    number as id,
    '2026-01-01 00:00:00+00'::timestamptz + number * interval '7 hours' as at,
    number %% 7 = 0 as is_seventh,
    (number %% 100 - 50)::smallint as small,
    number * 1000000007::bigint as big,
    (number / 7.0)::numeric(20, 4) as amount,
    case number %% 4 when 0 then 'NaN'::numeric when 1 then 1e-30
        when 2 then -12345678901234567890.12 when 3 then 0.00 end as loose,
    case number %% 3 when 0 then null else (number * -1e-9)::numeric(30, 12) end as precise,
    (1.0 / nullif(number, 0))::real as single,
    case number %% 5 when 0 then 'Infinity' when 1 then '-0' when 2 then 'NaN' when 3 then 1e-320
        else 0.1 * number end::double precision as double,
    case number %% 5 when 0 then 'infinity' when 1 then '-infinity' when 2 then null
        when 3 then '4713-01-01 00:00:00.000001+00 BC' else '0099-02-28 23:59:59.999999+00'
        end::timestamptz as moment,
    case number %% 3 when 0 then 'infinity' when 1 then '294246-12-31 23:59:59.999999'
        end::timestamp as local_moment,
    case number %% 4 when 0 then 'infinity' when 1 then '-infinity' when 2 then '4713-01-01 BC'
        else '5874897-12-31' end::date as day,
    case number %% 6
        when 0 then '' when 1 then null when 2 then E'a\nb\r\nc\td\\.\\N'
        when 3 then E'\ufeff"q",''x''' when 4 then E'\u0001\u2028\U0001F600'
        else '~1:a' end as note,
    (E'  x' || number)::char(8) as padded,
    jsonb_build_object('b', number, 'a', null, 'deep', array['x,y', '"']) as properties,
    '{"b" : 1,  "a":1, "a":2}'::json as kept_as_written,
    case number %% 4 when 0 then array['a,b', null, '', 'NULL', '{'] when 1 then '{}'::text[]
        when 2 then array[['a', 'b'], ['c', 'd']] else '[0:1]={x,y}'::text[] end as tags,
    array[1.50::numeric, null] as amounts,
    array['2026-01-01 00:00:00+01'::timestamptz, 'infinity'] as moments,
    interval '1 mon -2 days 03:04:05.000006' * number as span,
    decode(lpad(to_hex(number), 8, '0'), 'hex') as bytes,
    md5(number::text)::uuid as uid,
    'ok'::public.mood as mood,
    3::public.positive as positive,
    int4range(number, number + 5) as span_of_numbers,
    '10.0.0.1/24'::inet as address
from generate_series(0, %(count)s) as number
"""
BY_MONTH = """{{{{ config(
    materialized='table',
    unique_key='id',
    partition_by={{'fields': ['at'], 'default_partition': true}},
    retain={retain},
) }}}}
select * from public.given where {{{{ is_retained('at') }}}}
"""
FLAT = """{{{{ config(materialized='table', unique_key='id', retain={retain}) }}}}
select * from public.given where {{{{ is_retained('at') }}}}
"""
# The events of the sample, by a policy with an archive.
EVENTS = Policy(
    "fct_user_events",
    '"built"."marts"."fct_user_events"',
    ("user_id", "date_key"),
    "observability",
    "hot 1 days, archive 90 years",
    tiers=(("hot", "1 days"), ("archive", "90 years")),
    column="event_timestamp",
)
ARCHIVED = {"hot": {"months": 1}, "archive": {"months": 12}}
ARCHIVED_BY_COLUMN = {**ARCHIVED, "column": "at"}


def write_kept_project(folder: Path, by_month: Any = None, flat: Any = None) -> Path:
    """Write a project with a table by month and one without partitions.

    Args:
        folder: a new folder.
        by_month: `retain` of the table by month; default ARCHIVED.
        flat: `retain` of the other one; default ARCHIVED_BY_COLUMN.
    """
    return write_project(
        folder,
        {
            "by_month": BY_MONTH.format(retain=by_month or ARCHIVED),
            "flat": FLAT.format(retain=flat or ARCHIVED_BY_COLUMN),
        },
    )


def plan_json(
    database: Any, project: Path = dbt_project.ROOT, options: tuple[str, ...] = (), **variables: Any
) -> str:
    """The JSON of `plan_retention`, as `warehouse retain` compiles it."""
    results = dbt_project.run(
        database,
        "compile",
        options=("--inline", policies_of.INLINE, *options),
        project=project,
        variables=variables,
    )
    return str(dbt.compiled(results).compiled_code)


@contextmanager
def sessions_of(database: Any, plan: Plan) -> Iterator[Sessions]:
    """The two connections of a run."""
    with dbt_project.environment(database.environment):
        where = settings()
        with connect(where) as session, connect(where, autocommit=True) as notes:
            session.execute("set timezone = 'UTC'")
            session.execute(plan.setup)
            session.commit()
            yield Sessions(session, notes)


def retain(
    database: Any, plan: Plan, location: Any, as_of: datetime = NOW
) -> tuple[list[Step], list[str]]:
    """Carry out what `warehouse retain --apply` does, and return its steps and failures."""
    with sessions_of(database, plan) as sessions:
        steps = steps_of(sessions, plan, str(location), as_of)
        return steps, carry_out(sessions, steps, plan)


def build(database: Any, project: Path) -> None:
    """Build the tables; every build is a full refresh."""
    run(database, project)


def manifest_of(folder: Path) -> list[dict[str, Any]]:
    """The files that a manifest lists."""
    return json.loads((folder / "manifest.json").read_text())["files"]
