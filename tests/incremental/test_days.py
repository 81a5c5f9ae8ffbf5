"""A day costs a day: what a model reads of a long history if a few rows changed."""

from __future__ import annotations

from typing import Any

from tests.support import dbt_project
from tests.support.database import wait_for_counts


def scans(database: Any, pattern: str) -> dict[str, int]:
    """The number of scans of each table, or of its indexes, whose name matches `pattern` (LIKE)."""
    with database.connect() as session:
        session.autocommit = True
        wait_for_counts(session)
        return {
            name: int(number)
            for name, number in session.execute(
                "select relname, seq_scan + coalesce(idx_scan, 0) from pg_stat_user_tables"
                " where relname like %s",
                [pattern],
            )
        }


def test_only_the_partition_of_a_changed_event_is_read(built: Any) -> None:
    """Its user has events in several months, and every month has a partition."""
    with built.connect() as session:
        user, month = session.execute(
            """
            select user_id, to_char(min(event_timestamp) at time zone 'UTC', 'YYYY_MM')
            from marts.fct_user_events
            where user_key != 'unknown'
            group by 1
            having count(distinct date_key / 100) > 1
            order by 1
            limit 1
            """
        ).fetchone()
        session.execute(
            "update raw.events set page_url = '/corrected', _loaded_at = now() where event_id ="
            " (select event_id from marts.fct_user_events where user_id = %s"
            " order by event_timestamp limit 1)",
            [user],
        )
    dbt_project.run(built, "run", "stg_app__events", "fct_user_events", threads=1)
    read = {}
    for model in ("user_daily_metrics", "int_user_funnel_steps"):
        before = scans(built, "fct_user_events_%")
        dbt_project.run(built, "run", model, threads=1)
        after = scans(built, "fct_user_events_%")
        assert len(before) > 3
        read[model] = {name for name, number in after.items() if number > before[name]}

    for model, names in read.items():
        assert len(names) == 1, f"{model} reads {sorted(names)}"
        assert f"fct_user_events_{month}" in names.pop()
