"""Tables that builds write, with rows that a test chooses."""

from __future__ import annotations

from typing import Any

from tests.support.database import do

# As the builds create them; keep what exists.
TABLES = """
create schema if not exists {schema};
create table if not exists {schema}.runs (
    invocation_id text primary key,
    command text not null,
    target text not null default 'dev',
    started_at timestamptz not null,
    finished_at timestamptz not null,
    seconds double precision not null,
    status text not null,
    node_count bigint not null,
    failed_count bigint not null,
    warned_count bigint not null,
    skipped_count bigint not null,
    quality_score numeric,
    is_published boolean not null default false,
    not_published_because text
);
create table if not exists {schema}.run_results (
    invocation_id text not null,
    node_id text not null,
    node_name text not null,
    resource_type text not null,
    model_name text,
    status text not null,
    severity text,
    dimension text,
    rows_judged bigint,
    failing_rows bigint,
    rows_written bigint,
    seconds double precision not null,
    finished_at timestamptz not null
);
create table if not exists {schema}.quality_scores (
    invocation_id text not null,
    scored_at timestamptz not null,
    scope text not null,
    name text not null,
    score numeric not null,
    checks bigint not null,
    rows_judged numeric not null,
    failing_rows numeric not null,
    primary key (invocation_id, scope, name)
);
create table if not exists {schema}.anomalies (
    table_name text not null,
    measure text not null,
    column_name text,
    day date not null,
    value numeric,
    expected_low numeric,
    expected_high numeric,
    verdict text,
    is_anomaly boolean
);
"""


def create_state(database: Any, schema: str = "observability") -> None:
    """Create the tables of the contract that do not exist yet."""
    do(database, *(part for part in TABLES.format(schema=schema).split(";") if part.strip()))


def add_run(
    database: Any,
    *,
    status: str = "success",
    command: str = "build",
    ago: str = "0",
    seconds: float = 60,
    counts: tuple[int, int, int, int] = (10, 0, 0, 0),
    score: float | None = None,
    schema: str = "observability",
) -> str:
    """Insert a run.

    Args:
        database: where.
        status: success or failure.
        command: the command of dbt.
        ago: how long ago it finished, as an interval.
        seconds: how long it took.
        counts: its nodes, and the failed, warned and skipped ones.
        score: its quality score, which is also written to quality_scores.
        schema: the schema of the tables.

    Returns:
        Its invocation_id.
    """
    with database.connect() as session:
        (run,) = session.execute(
            f"""
            insert into {schema}.runs (
                invocation_id, command, started_at, finished_at, seconds, status, node_count,
                failed_count, warned_count, skipped_count, quality_score, is_published
            )
            select
                gen_random_uuid()::text, %(command)s, now() - %(ago)s::interval,
                now() - %(ago)s::interval, %(seconds)s, %(status)s, %(nodes)s, %(failed)s,
                %(warned)s, %(skipped)s, %(score)s, %(status)s = 'success'
            returning invocation_id
            """,
            {
                "command": command,
                "ago": ago,
                "seconds": seconds,
                "status": status,
                "score": score,
                **dict(zip(("nodes", "failed", "warned", "skipped"), counts, strict=True)),
            },
        ).fetchone()
        if score is not None:
            session.execute(
                f"insert into {schema}.quality_scores"
                " select %s, now() - %s::interval, 'warehouse', '(all)', %s, 1, 1, 0",
                [run, ago, score],
            )
    return run
