"""Events before a login belong to the user of their session, if the project says so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.files import load_csv
from tests.support.relations import contents

STITCHED = {"stitch_sessions": True}
STEPS = ("page_view", "view_item", "add_to_cart", "begin_checkout", "purchase")
NODES = ("+event_funnel", "+user_daily_metrics")


def load(database: Any, folder: Path, hour: int, **tables: str) -> None:
    """Load tables, stamped with an hour of a day."""
    load_csv(database, folder, dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC), **tables)


@pytest.mark.long
def test_a_visitor_who_logs_in(database: Any, tmp_path: Path) -> None:
    """View and cart before the login, checkout and purchase after it, in one session."""

    def build(*, full: bool = False) -> None:
        dbt_project.build(
            database,
            *NODES,
            as_of="2026-03-01",
            options=dbt_project.NO_TESTS,
            full_refresh=full,
            variables=STITCHED,
        )

    def purchases() -> list[tuple]:
        return fetch(database, "select users from marts.event_funnel where funnel_step = 5")

    sessions = "session_id,user_id,session_start\n"
    events = "".join(
        f"{number},{'u' if number > 2 else ''},s,{step},2026-02-02 12:0{number}\n"
        for number, step in enumerate(STEPS)
    )
    load(
        database,
        tmp_path,
        1,
        users="user_id,created_at\nu,2025-01-01\nv,2025-01-01\n",
        orders="order_id,user_id,order_date\n",
        user_sessions=sessions + "s,,2026-02-02 12:00\n",
        events="event_id,user_id,session_id,event_type,event_timestamp\n" + events,
    )
    build()
    # The session does not say it, but its events name one user only.
    assert purchases() == [(1,)]

    load(database, tmp_path, 2, user_sessions=sessions + "s,u,2026-02-02 12:00\n")
    build()
    assert purchases() == [(1,)]
    assert fetch(database, "select user_id, events from marts.user_daily_metrics") == [("u", 5)]

    # Another user: the anonymous events move, those with a user of their own stay.
    load(database, tmp_path, 3, user_sessions=sessions + "s,v,2026-02-02 12:00\n")
    build()
    days = "select user_id, events from marts.user_daily_metrics order by 1"
    assert fetch(database, days) == [("u", 2), ("v", 3)]
    incremental = contents(database)
    build(full=True)
    assert contents(database) == incremental


@pytest.mark.long
def test_the_events_of_a_session_name_its_user(database: Any, tmp_path: Path) -> None:
    """Without a user in the session's row, the events before a login follow the events after it."""

    def step(hour: int, events: str, expected: str, **tables: str) -> None:
        """Load all events, as "event session user", build, and compare "event user"."""
        rows = [event.split() for event in events.split(",")]
        text = "".join(
            f"{event},{session},{''.join(user)},2026-02-02 12:{event[1:]}\n"
            for event, session, *user in rows
        )
        load(
            database,
            tmp_path,
            hour,
            events="event_id,session_id,user_id,event_timestamp\n" + text,
            **tables,
        )
        with database.connect() as connection:
            connection.execute(
                "update raw.events set _deleted_at = %(at)s, _loaded_at = %(at)s"
                " where event_id != all(%(present)s) and _deleted_at is null",
                {
                    "at": dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC),
                    "present": [row[0] for row in rows],
                },
            )
        build()
        assert dict(
            fetch(database, "select event_id, coalesce(user_id, '-') from marts.fct_user_events")
        ) == dict(pair.split() for pair in expected.split(","))

    def build(*, full: bool = False) -> None:
        dbt_project.build(
            database,
            "+fct_user_events",
            as_of="2026-03-02",
            options=dbt_project.NO_TESTS,
            full_refresh=full,
            variables=STITCHED,
        )

    users = "user_id,created_at,updated_at,subscription_tier\n"
    ann, bo = "ann,2025-01-01,2025-01-01,free\n", "bo,2025-01-01,2025-01-01,free\n"
    sessions = "session_id,user_id,session_start\n"
    step(
        1,
        "e00 s,e01 s,e20 t",
        "e00 -,e01 -,e20 -",
        users=users + ann + bo,
        orders="order_id,user_id,order_date\n",
        user_sessions=sessions + "s,,2026-02-02 12:00\n",
    )
    step(2, "e00 s,e01 s,e10 s ann,e11 s,e20 t", "e00 ann,e01 ann,e10 ann,e11 ann,e20 -")
    # A version that is valid from an anonymous event on, but not at the login.
    step(
        3,
        "e00 s,e01 s,e10 s ann,e11 s,e20 t",
        "e00 ann,e01 ann,e10 ann,e11 ann,e20 -",
        users=users + "ann,2025-01-01,2026-02-02 12:11,premium\n" + bo,
    )
    versions = "select count(distinct user_key) from marts.fct_user_events where user_id = 'ann'"
    assert fetch(database, versions) == [(2,)]
    # A second user appears, and moves to another session.
    step(4, "e00 s,e01 s,e10 s ann,e11 s bo,e20 t", "e00 -,e01 -,e10 ann,e11 bo,e20 -")
    step(5, "e00 s,e01 s,e10 s ann,e11 t bo,e20 t", "e00 ann,e01 ann,e10 ann,e11 bo,e20 bo")
    # The login is deleted.
    step(6, "e00 s,e01 s,e11 t bo,e20 t", "e00 -,e01 -,e11 bo,e20 bo")
    # The row of a session comes first.
    step(
        7,
        "e00 s,e01 s ann,e11 t bo,e20 t",
        "e00 bo,e01 ann,e11 bo,e20 bo",
        user_sessions=sessions + "s,bo,2026-02-02 12:00\n",
    )
    incremental = contents(database)
    build(full=True)
    assert contents(database) == incremental
    # Without the variable, the project leaves this unit test out.
    unit_tests = dbt_project.run(
        database, "test", "fct_user_events,test_type:unit", variables=STITCHED
    )
    assert "fct_user_events_take_the_user_of_their_session" in [
        result.node.name for result in unit_tests
    ]
