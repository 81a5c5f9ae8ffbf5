"""Tables that builds write, with rows that a test chooses."""

from __future__ import annotations

from typing import Any

from tests.support.database import do

# As the model creates it.
ANOMALIES = """
create table if not exists observability.anomalies (
    table_name text not null,
    measure text not null,
    column_name text not null default '*',
    day date not null,
    value numeric(24, 6) not null,
    row_count bigint not null default 100,
    expected_low numeric(24, 6),
    expected_high numeric(24, 6),
    verdict text not null default 'normal',
    is_anomaly boolean not null default false
)
"""


def create_state(database: Any) -> None:
    """Create the table of anomalies if it is missing, and empty what builds record."""
    do(
        database,
        ANOMALIES,
        "truncate observability.runs, observability.run_results, observability.quality_scores,"
        " observability.anomalies",
    )


def copy_state(database: Any, schema: str) -> None:
    """Create the same tables in another schema, without rows."""
    tables = ("runs", "run_results", "quality_scores", "anomalies")
    do(
        database,
        f"create schema {schema}",
        *(
            f"create table {schema}.{name} (like observability.{name} including all)"
            for name in tables
        ),
    )


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
                invocation_id, command, target, started_at, finished_at, seconds, status,
                node_count, failed_count, warned_count, skipped_count, quality_score, is_published
            )
            select
                gen_random_uuid()::text, %(command)s, 'dev', now() - %(ago)s::interval,
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
