"""Whom analysts see in reporting.marketing_audience, without a build in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from tests.privacy.conftest import logged_in
from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch

AUDIENCE = "select user_id, agreed_at::text from reporting.marketing_audience"
# By user, the decisions in the order of their loads, and whether the user is in the audience then.
DECISIONS: dict[str, Sequence[tuple[str, str, str, bool]]] = {
    "agrees": [("marketing", "true", "2026-01-01", True)],
    "writes in capitals": [(" Marketing", "true", "2026-01-01", True)],
    "refuses": [("marketing", "false", "2026-01-01", False)],
    "agrees to another purpose": [("analytics", "true", "2026-01-01", False)],
    "withdraws": [
        ("marketing", "true", "2026-01-01", True),
        ("marketing", "false", "2026-03-01", False),
        # An older consent that is loaded late.
        ("marketing", "true", "2026-02-01", False),
    ],
    "agrees again": [
        ("marketing", "true", "2026-01-01", True),
        ("marketing", "false", "2026-02-01", False),
        ("marketing", "true", "2026-03-01", True),
    ],
    "has a withdrawal that is loaded late": [
        ("marketing", "true", "2026-03-01", True),
        ("marketing", "false", "2026-02-01", True),
        ("marketing", "false", "2026-03-01", False),
    ],
    "will agree": [("marketing", "true", "2100-01-01", False)],
    "will withdraw": [
        ("marketing", "true", "2026-01-01", True),
        ("marketing", "false", "2100-01-01", False),
    ],
    "withdraws everything": [
        ("marketing", "true", "2026-01-01", True),
        (" ", "false", "2026-02-01", False),
    ],
    "withdraws on no day": [
        ("marketing", "true", "2026-01-01", True),
        ("marketing", "false", "infinity", False),
    ],
    "does not say": [
        ("marketing", "true", "2026-01-01", True),
        ("marketing", "null", "2026-02-01", False),
    ],
}
# What ends a membership although the consent stands.
ENDS = {
    "deleted": "update raw.users set _deleted_at = now() where user_id = 'agrees'",
    "with a consent that was deleted": (
        "update raw.consents set _deleted_at = now() where user_id = 'agrees'"
    ),
    "to be erased": (
        "insert into raw.erasure_requests (request_id, user_id, requested_at, _loaded_at)"
        " values ('new', 'agrees', now(), now())"
    ),
    "excluded": (
        "with longer as (select 'agrees' || repeat('x', 2000) as user_id), moved as (update"
        " raw.consents set user_id = (select user_id from longer) where user_id = 'agrees')"
        " update raw.users set user_id = (select user_id from longer) where user_id = 'agrees'"
    ),
    "gone": "delete from raw.users where user_id = 'agrees'",
}


def decide(session: psycopg.Connection[Any], user: str, purpose: str, granted: str, at: str) -> str:
    """Load a decision, and return its key."""
    (key,) = session.execute(
        "insert into raw.consents (consent_id, user_id, purpose, is_granted, recorded_at,"
        " _loaded_at) select 'new ' || count(*), %s, %s, %s::boolean, %s, now() from raw.consents"
        " returning consent_id",
        [user, purpose, None if granted == "null" else granted, at],
    ).fetchone()
    return key


def new_users(database: Database) -> None:
    do(
        database,
        *(
            "insert into raw.users (user_id, created_at, updated_at, _loaded_at)"
            f" values ('{user}', '2025-01-01', '2025-01-01', now())"
            for user in DECISIONS
        ),
    )


def test_each_decision_counts_when_it_is_loaded(governed: Database) -> None:
    new_users(governed)
    with (
        logged_in(governed, "an_analyst") as analyst,
        governed.connect() as session,
    ):
        session.autocommit = True
        assert analyst.execute(AUDIENCE).rowcount > 50
        for user, decisions in DECISIONS.items():
            for *decision, is_in in decisions:
                decide(session, user, *decision)
                found = analyst.execute(f"{AUDIENCE} where user_id = %s", [user]).fetchall()
                assert len(found) == is_in, f"{user}, after {decision}"
        # A deleted withdrawal still counts; a deleted consent no longer.
        session.execute("update raw.consents set _deleted_at = now() where consent_id ~ '^new '")
        session.execute(
            "update raw.consents set _deleted_at = null where user_id = 'withdraws' and is_granted"
        )
        users = analyst.execute(f"{AUDIENCE} where user_id = any(%s)", [[*DECISIONS]]).fetchall()
        assert users == []
        # Nobody has asked a stranger, whatever the consents say.
        decide(session, "a stranger", "marketing", "true", "2026-01-01")
        strangers = analyst.execute(f"{AUDIENCE} where user_id = 'a stranger'")
        assert strangers.fetchall() == []


@pytest.mark.parametrize("how", ENDS)
def test_who_is_gone_is_not_written_to(governed: Database, how: str) -> None:
    new_users(governed)
    with governed.connect() as session:
        session.autocommit = True
        decide(session, "agrees", "marketing", "true", "2026-01-01")
        with logged_in(governed, "an_analyst") as analyst:
            one = f"{AUDIENCE} where user_id ~ '^agrees'"
            assert analyst.execute(one).fetchall() == [("agrees", "2026-01-01 00:00:00+00")]
            session.execute(ENDS[how])
            assert analyst.execute(one).fetchall() == []


def test_a_transaction_that_is_open_is_not_seen_and_blocks_nobody(governed: Database) -> None:
    new_users(governed)
    with governed.connect() as session, logged_in(governed, "an_analyst") as analyst:
        one = f"{AUDIENCE} where user_id = 'agrees'"
        decide(session, "agrees", "marketing", "true", "2026-01-01")
        assert analyst.execute(one).fetchall() == []
        session.commit()
        assert len(analyst.execute(one).fetchall()) == 1


def test_the_tables_below_are_closed(governed: Database) -> None:
    below = ("raw.consents", "raw.users", "raw.erasure_requests")
    staged = ("staging.stg_app__consents", "staging.stg_app__users")
    with logged_in(governed, "an_analyst") as analyst:
        for relation in (*below, *staged):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(f"select from {relation} limit 1")
        for statement in (
            "delete from reporting.marketing_audience",
            "create or replace view reporting.marketing_audience as select 1 as user_id",
        ):
            with pytest.raises(psycopg.Error):
                analyst.execute(statement)


def test_the_audience_agrees_with_the_history(sample_warehouse: Database) -> None:
    """In a warehouse that was just built, without rows in doubt."""
    differing = fetch(
        sample_warehouse,
        """
        with history as (
            select consents.user_id, consents.valid_from
            from marts.fct_user_consents as consents
            inner join marts.dim_users as users
                on consents.user_id = users.user_id and users.is_current and not users.is_deleted
            where consents.is_current and consents.is_granted and consents.purpose = 'marketing'
                and consents.user_id not in (select user_id from staging.stg_app__erasure_requests)
        )
        select count(*), count(*) filter (
            where history.user_id is null or audience.user_id is null
                or history.valid_from != audience.agreed_at
        )
        from history
        full join reporting.marketing_audience as audience on history.user_id = audience.user_id
        """,
    )
    ((users, wrong),) = differing
    assert users > 50 and wrong == 0


def test_a_query_reads_the_consents_once(sample_warehouse: Database) -> None:
    """And those of one user without the audience of all."""
    for query in (AUDIENCE, f"{AUDIENCE} where user_id = 'somebody'"):
        plan = "\n".join(line for (line,) in fetch(sample_warehouse, f"explain {query}"))
        assert plan.count(" on consents") == 1, plan
    of_consents = plan[plan.index(" on consents") : plan.index(" on users")]
    assert "= 'somebody'::text" in of_consents, plan


def test_a_purpose_that_nobody_consents_to_is_told(
    built: Database,
) -> None:
    log = dbt_project.scratch() / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    dbt_project.build(
        built,
        *("fct_user_consents", "rpt_marketing_audience"),
        variables={"marketing_purpose": "Post"},
        options=(*dbt_project.NO_TESTS, "--log-level-file", "warn"),
    )
    said = " ".join(log.read_text().split())
    assert "fct_user_consents: none of " in said, said
    assert (
        "rows has the purpose 'post' (variable marketing_purpose), so that reporting.mark" in said
    )
    assert "personalisation (" in said and "marketing (" in said
    assert ask(built, "select count(*) from reporting.marketing_audience") == 0
