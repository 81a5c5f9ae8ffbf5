"""Events before a login belong to the user of their session or visitor, if the project says so."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import fetch
from tests.support.files import load_csv
from tests.support.relations import contents, row_versions

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
    # Without the variable, the project leaves these unit tests out.
    unit_tests = dbt_project.run(
        database,
        "test",
        "fct_user_events,test_type:unit",
        "int_session_users,test_type:unit",
        variables=STITCHED,
    )
    assert {
        "fct_user_events_take_the_user_of_their_session",
        "int_session_users_have_the_only_user_of_their_visitor",
        "int_session_users_reads_the_keys_of_the_run",
    } <= {result.node.name for result in unit_tests}


def load_sessions(database: Any, folder: Path, hour: int, sessions: str) -> None:
    """Load all sessions, each as "session visitor user" with - for none; others are deleted."""
    rows = [session.replace("-", "").split(" ") for session in sessions.split(",")]
    text = "".join(f"{','.join(row)},2026-02-02 12:00\n" for row in rows)
    load(
        database, folder, hour, user_sessions="session_id,visitor_id,user_id,session_start\n" + text
    )
    with database.connect() as connection:
        connection.execute(
            "update raw.user_sessions set _deleted_at = %(at)s, _loaded_at = %(at)s"
            " where session_id != all(%(present)s) and _deleted_at is null",
            {
                "at": dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC),
                "present": [row[0] for row in rows],
            },
        )


def recomputed(database: Any, table: str, key: str, column: str, run: Callable[[], Any]) -> str:
    """The keys of rows that a run computes again: it corrects what was written into the column."""
    with database.connect() as connection:
        connection.execute(f"update {table} set {column} = 'stale' || coalesce({column}, '')")
    before = {row[0] for row in fetch(database, f"select {key} from {table}")}
    run()
    is_stale = f"{column} like 'stale%'"
    left = {row[0] for row in fetch(database, f"select {key} from {table} where {is_stale}")}
    with database.connect() as connection:
        connection.execute(
            f"update {table} set {column} = nullif(substr({column}, 6), '') where {is_stale}"
        )
    return " ".join(sorted(before - left))


def test_a_session_has_the_only_user_of_its_visitor(database: Any, tmp_path: Path) -> None:
    """Whatever changes, only the sessions of its visitor are computed, before and after it."""

    def build(*, full: bool = False) -> None:
        dbt_project.build(
            database,
            "+int_session_users",
            options=dbt_project.NO_TESTS,
            full_refresh=full,
            variables=STITCHED,
        )

    table = "intermediate.int_session_users"
    load_sessions(database, tmp_path, 1, "a v -,b v -,c w -,d - -,e - eve,x y -,z y zoe")
    build()
    for hour, (sessions, expected, computed) in enumerate(
        (
            # A late login: the session before it belongs to the user too.
            ("a v -,b v ann,c w -,d - -,e - eve,x y -,z y zoe", "a ann,b ann,e eve", "a b"),
            # A session after it, and another of nobody's visitor: null is no visitor.
            ("a v -,b v ann,c w -,d - -,e - eve,f v -,g - -,x y -,z y zoe",
             "a ann,b ann,e eve,f ann", "a b"),
            # A second user, in a session of the other visitor that moves.
            ("a v -,b v ann,c v bo,d - -,e - eve,f v -,g - -,x y -,z y zoe",
             "b ann,c bo,e eve", "a b c f"),
            # It moves back, and takes a session along.
            ("a w -,b v ann,c w bo,d - -,e - eve,f v -,g - -,x y -,z y zoe",
             "a bo,b ann,c bo,e eve,f ann", "a b c f"),
            # Deleted, and restored.
            ("a w -,b v ann,d - -,e - eve,f v -,g - -,x y -,z y zoe", "b ann,e eve,f ann", "a c"),
            ("a w -,b v ann,c w bo,d - -,e - eve,f v -,g - -,x y -,z y zoe",
             "a bo,b ann,c bo,e eve,f ann", "a"),
            # A login is deleted, a user is replaced, and a session loses its visitor.
            ("a - -,c w bo,d - -,e - eva,f v -,g - -,x y -,z y zoe", "c bo,e eva", "a b c e f"),
        ),
        start=2,
    ):  # fmt: skip
        load_sessions(database, tmp_path, hour, sessions)
        assert recomputed(database, table, "session_id", "user_id", build) == computed, hour
        users = f"select session_id, user_id from {table} where user_id is not null"
        expected += ",x zoe,z zoe"
        assert dict(fetch(database, users)) == dict(pair.split() for pair in expected.split(",")), (
            hour
        )
    incremental, versions = contents(database), row_versions(database)
    build()
    assert row_versions(database) == versions
    build(full=True)
    assert contents(database) == incremental


@pytest.mark.long
def test_the_events_before_a_login_in_another_session(database: Any, tmp_path: Path) -> None:
    """A change computes the events of the sessions whose user changed, and of no others."""

    def build(*, stitched: bool = True, full: bool = False) -> None:
        dbt_project.build(
            database,
            "+fct_user_events",
            as_of="2026-03-02",
            options=dbt_project.NO_TESTS,
            full_refresh=full,
            variables={"stitch_sessions": stitched},
        )

    def users() -> str:
        """The events with a user, as "event user"."""
        query = "select event_id, user_id from marts.fct_user_events where user_id is not null"
        return ",".join(" ".join(row) for row in fetch(database, query + " order by 1"))

    def computed() -> str:
        """The events that a build computes again."""
        # Not the user: the log of changes would tell readers of a wrong one.
        return recomputed(database, "marts.fct_user_events", "event_id", "page_url", build)

    events = "".join(
        f"{event},{session},{user},page_view,2026-02-0{day} 12:00\n"
        for event, session, user, day in (
            *(("a1", "a", "", 1), ("a2", "a", "", 1), ("b1", "b", "", 3), ("b2", "b", "ann", 3)),
            *(("c1", "c", "", 4), ("c2", "c", "bo", 4), ("d1", "d", "", 1), ("n1", "", "", 1)),
            *(("s1", "s", "", 5), ("s2", "s", "ann", 5), ("s3", "s", "bo", 5)),
        )
    )
    load(
        database,
        tmp_path,
        1,
        users="user_id,created_at\nann,2025-01-01\nbo,2025-01-01\n",
        orders="order_id,user_id,order_date\n",
        events="event_id,session_id,user_id,event_type,event_timestamp\n" + events,
    )
    load_sessions(database, tmp_path, 1, "a v -,b v -,c w -,d - -,s v -")
    named, alone = "b1 ann,b2 ann,c1 bo,c2 bo", "s2 ann,s3 bo"
    build()
    # The logins that only events name do not reach another session.
    assert users() == f"{named},{alone}"

    # The session names its user now; two users share the session s.
    load_sessions(database, tmp_path, 2, "a v -,b v ann,c w -,d - -,s v -")
    assert computed() == "a1 a2 b1 b2 s1 s2 s3"
    assert users() == f"a1 ann,a2 ann,{named},{alone}"

    # The user that the events of a session name comes before the user of its visitor.
    load_sessions(database, tmp_path, 3, "a v -,b v ann,c v -,d - -,s v -")
    assert computed() == "c1 c2"
    assert users() == f"a1 ann,a2 ann,{named},{alone}"

    # A change of a session that changes no user.
    load(
        database,
        tmp_path,
        4,
        user_sessions="session_id,visitor_id,session_start,session_end\n"
        "a,v,2026-02-01 12:00,2026-02-01 12:30\n",
    )
    assert computed() == ""

    # Its visitor gains a second user.
    load_sessions(database, tmp_path, 5, "a v -,b v ann,c v bo,d - -,s v -")
    assert computed() == "a1 a2 c1 c2 s1 s2 s3"
    assert users() == f"{named},{alone}"
    load_sessions(database, tmp_path, 6, "a v -,b v ann,d - -,s v -")
    build()
    assert users() == f"a1 ann,a2 ann,{named},{alone}"

    # Off, with changes meanwhile, and on again.
    load_sessions(database, tmp_path, 7, "a v -,b v bo,d - -,s v -")
    build(stitched=False)
    assert users() == f"b2 ann,c2 bo,{alone}"
    load_sessions(database, tmp_path, 8, "a v -,b v bo,d v -,s v -")
    build()
    assert users() == f"a1 bo,a2 bo,b1 bo,b2 ann,c1 bo,c2 bo,d1 bo,{alone}"
    versions = row_versions(database)
    build()
    assert row_versions(database) == versions
    incremental = contents(database)
    build(full=True)
    assert contents(database) == incremental


def stitched_users(
    sessions: dict[str, tuple[str | None, str | None]],
    events: dict[str, tuple[str | None, str | None]],
) -> dict[str, str | None]:
    """The user of each event, from (visitor, user) by session and (session, user) by event."""
    found = {}
    for event, (session, user) in events.items():
        visitor, owner = sessions.get(session, (None, None))
        named = {name for other, name in events.values() if session and other == session and name}
        of_visitor = {name for other, name in sessions.values() if visitor == other and name}
        found[event] = user or owner
        if not found[event] and named:
            found[event] = named.pop() if len(named) == 1 else None
        elif not found[event] and visitor and len(of_visitor) == 1:
            found[event] = of_visitor.pop()
    return found


@pytest.mark.long
def test_random_changes_of_sessions_and_events(database: Any, tmp_path: Path) -> None:
    """After each load, every event has the user that the rule gives it."""
    chance = random.Random(11)  # noqa: S311 - test data
    load(
        database,
        tmp_path,
        1,
        users="user_id,created_at\nann,2025-01-01\nbo,2025-01-01\n",
        orders="order_id,user_id,order_date\n",
        user_sessions="session_id,session_start\n",
        events="event_id,event_timestamp\n",
    )

    def put(table: str, key: str, number: int, hour: int, **values: str | None) -> None:
        """Insert or replace a row; without a value, mark it as deleted."""
        at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour)
        moment = "session_start" if table == "user_sessions" else "event_timestamp"
        row = {
            key: f"{table[0]}{number}",
            moment: dt.datetime(2026, 2, 1 + number, tzinfo=dt.UTC),
            **values,
            "_loaded_at": at,
            "_deleted_at": None if values else at,
        }
        names, cells = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        changes = ", ".join(f"{name} = excluded.{name}" for name in row if name != key)
        with database.connect() as connection:
            connection.execute(
                f"insert into raw.{table} ({names}) values ({cells})"
                f" on conflict ({key}) do update set {changes}",
                row,
            )

    def build(*, full: bool = False) -> None:
        dbt_project.build(
            database,
            "+fct_user_events",
            as_of="2026-03-02",
            options=dbt_project.NO_TESTS,
            full_refresh=full,
            variables=STITCHED,
        )

    sessions: dict[str, tuple[str | None, str | None]] = {}
    events: dict[str, tuple[str | None, str | None]] = {}
    users, visitors = ("ann", "bo", None, None, None, None), ("v", "v", "w", None)
    for hour in range(2, 22):
        for number in {chance.randrange(6) for _ in range(chance.randint(0, 3))}:
            if chance.random() < 0.2:
                sessions.pop(f"u{number}", None)
                put("user_sessions", "session_id", number, hour)
            else:
                visitor, user = chance.choice(visitors), chance.choice(users)
                sessions[f"u{number}"] = (visitor, user)
                names = {"visitor_id": visitor, "user_id": user}
                put("user_sessions", "session_id", number, hour, **names)
        for number in {chance.randrange(12) for _ in range(chance.randint(0, 4))}:
            if chance.random() < 0.2:
                events.pop(f"e{number}", None)
                put("events", "event_id", number, hour)
            else:
                session = chance.choice((*(f"u{each}" for each in range(6)), None))
                user = chance.choice(users)
                events[f"e{number}"] = (session, user)
                names = {"session_id": session, "user_id": user}
                put("events", "event_id", number, hour, **names)
        build()
        found = dict(fetch(database, "select event_id, user_id from marts.fct_user_events"))
        assert found == stitched_users(sessions, events), (hour, sessions, events)
    incremental = contents(database)
    build(full=True)
    assert contents(database) == incremental
