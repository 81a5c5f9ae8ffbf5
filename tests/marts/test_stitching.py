"""Events before a login belong to the user of their session, if the project says so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

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
    assert purchases() in ([], [(0,)])

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
