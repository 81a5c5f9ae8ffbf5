"""Segments and their history over builds on several days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import compare, dbt_project, oracle
from tests.support.dbt_project import NO_TESTS
from tests.support.documents import blocks, is_question
from tests.support.relations import contents
from warehouse.load import load_folder

MOVES = ["transition_month", "segmentation", "from_segment", "to_segment", "users", "value"]
SEGMENTS = ("+user_segments", "snp_user_segments", "segment_transitions")


def load(database: Any, folder: Path, day: str, **tables: Sequence[str]) -> None:
    """Load tables, each given as a header and lines, with a day as load time."""
    target = folder / day
    target.mkdir()
    for name, lines in tables.items():
        (target / f"{name}.csv").write_text("\n".join(lines) + "\n")
    with database.connect() as connection:
        loaded_at = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        load_folder(target, connection=connection, loaded_at=loaded_at)


def moves(database: Any, segmentation: str = "business") -> list[tuple]:
    """Return the moves of a segmentation as sorted (month, from, to, users, value)."""
    rows = compare.fetch(
        database, "marts.segment_transitions", MOVES, f"segmentation = '{segmentation}'"
    )
    return sorted(
        (
            f"{row['transition_month']:%Y-%m}",
            row["from_segment"],
            row["to_segment"],
            row["users"],
            int(row["value"]),
        )
        for row in rows
    )


@pytest.mark.long
def test_the_history_of_segments(database: Any, tmp_path: Path) -> None:
    """Builds skip a month, repeat a day, and run as of a past and of a future day."""

    def build(as_of: str) -> list[tuple]:
        dbt_project.build(database, *SEGMENTS, as_of=as_of, options=NO_TESTS)
        return moves(database)

    users = "user_id,created_at,_deleted_at"
    orders = "order_id,user_id,order_status,order_date"
    items = "order_item_id,order_id,quantity,price_at_purchase"
    load(
        database,
        tmp_path,
        "2026-01-10",
        users=(users, "a,2026-01-05,", "b,2025-06-01,", "c,2025-01-01,"),
        orders=(orders, "1,b,paid,2026-01-08"),
        order_items=(items, "1,1,1,50"),
    )
    assert build("2026-01-10") == []  # the initial state

    # As of the same day, B has spent more and so starts in High Value.
    load(database, tmp_path, "2026-01-11", order_items=(items, "2,1,1,2000"))
    assert build("2026-01-10") == []

    # February: A stops being new just by the calendar, and D signs up.
    load(database, tmp_path, "2026-02-10", users=(users, "d,2026-02-09,"))
    february = [("2026-02", "(none)", "New", 1, 0), ("2026-02", "New", "Regular", 1, 0)]
    assert build("2026-02-10") == february
    assert build("2026-02-10") == february

    # No build in March. In April A and D become At Risk, from their segments of February.
    april = [("2026-04", "New", "At Risk", 1, 0), ("2026-04", "Regular", "At Risk", 1, 0)]
    assert build("2026-04-20") == february + april

    # A build as of a past day shows the moves up to then and inserts nothing into the history.
    before = contents(database)["snapshots.snp_user_segments"]
    assert build("2026-02-20") == february
    assert build("2026-01-01") == []
    assert contents(database)["snapshots.snp_user_segments"] == before
    assert build("2026-04-20") == february + april

    # Neither does one as of a future day, which would prevent later builds from writing.
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=400)
    assert build(str(tomorrow)) == february + april
    assert contents(database)["snapshots.snp_user_segments"] == before

    # In May B is deleted together with its value, and C buys; in June B is back.
    load(
        database,
        tmp_path,
        "2026-05-10",
        users=(users, "b,2025-06-01,2026-05-09"),
        orders=(orders, "2,c,paid,2026-05-09"),
        order_items=(items, "3,2,1,70"),
    )
    may = [("2026-05", "At Risk", "Regular", 1, 70), ("2026-05", "High Value", "(none)", 1, 2050)]
    assert build("2026-05-10") == february + april + may
    load(database, tmp_path, "2026-06-10", users=(users, "b,2025-06-01,"))
    june = [("2026-06", "(none)", "High Value", 1, 2050)]
    assert build("2026-06-10") == february + april + may + june

    dbt_project.build(database, *SEGMENTS, as_of="2026-06-10", options=NO_TESTS, full_refresh=True)
    assert moves(database) == february + april + may + june
    assert moves(database, "rfm") == [
        ("2026-02", "(none)", "No Recent Purchase", 1, 0),
        ("2026-05", "Lost", "(none)", 1, 2050),
        ("2026-05", "No Recent Purchase", "Lost", 1, 70),
        ("2026-06", "(none)", "Hibernating", 1, 2050),
        ("2026-06", "Lost", "New", 1, 70),
    ]


def test_another_window_reaches_every_user(built: Any, sample_folder: Path) -> None:
    as_of = dt.datetime.now(dt.UTC).date()
    tables = oracle.latest([oracle.read_folder(sample_folder)])
    for months in (1, 12):
        window = {"rfm_window_months": months}
        dbt_project.build(built, "+user_rfm", as_of=as_of, options=NO_TESTS, variables=window)
        expected = oracle.user_rfm(tables, as_of, months)
        assert any(row["frequency"] for row in expected)
        compare.assert_mart(built, "marts.user_rfm", expected, ["user_id"], what=f"{months} months")


@pytest.mark.parametrize("months", [0, -1, 1.5, "a year", 1201])
def test_a_wrong_window_is_named(built: Any, months: Any) -> None:
    with pytest.raises(dbt_project.DbtFailed) as failure:
        dbt_project.run(
            built, "run", "int_user_recent_orders", variables={"rfm_window_months": months}
        )
    assert f"The variable rfm_window_months is '{months}'" in str(failure.value)
    assert "a whole number of months from 1 to 1200" in str(failure.value)


@pytest.mark.parametrize(
    "change",
    [
        "delete from staging.rfm_segments where recency_score = 3 and fm_score = 3",
        "insert into staging.rfm_segments values (3, 3, 'Twice')",
        "insert into staging.rfm_segments values (6, 1, 'Beyond')",
        "update staging.rfm_segments set rfm_segment = null where recency_score = 1",
    ],
)
def test_a_cell_without_its_one_segment_is_found(built: Any, change: str) -> None:
    with built.connect() as session:
        session.execute(change)
    with pytest.raises(dbt_project.DbtFailed, match="rfm_segments_cover_each_cell_once"):
        dbt_project.run(built, "test", "rfm_segments_cover_each_cell_once")


@pytest.mark.long
def test_users_who_did_nothing_move_when_others_buy(built: Any, tmp_path: Path) -> None:
    """The build writes only rows that differ, including users without newly loaded rows."""
    as_of = dt.datetime.now(dt.UTC).date()
    dbt_project.build(built, "+user_rfm", as_of=as_of, options=NO_TESTS)
    columns = ["user_id", "monetary", "monetary_score", "rfm_segment"]
    before = {row["user_id"]: row for row in compare.fetch(built, "marts.user_rfm", columns)}
    idle = [user_id for user_id, row in before.items() if row["monetary"] == 0][:30]
    day = str(as_of)
    load(
        built,
        tmp_path,
        str(dt.datetime.now(dt.UTC).replace(tzinfo=None)),
        orders=(
            "order_id,user_id,order_status,order_date",
            *(f"new {number},{user_id},paid,{day}" for number, user_id in enumerate(idle)),
        ),
        order_items=(
            "order_item_id,order_id,quantity,price_at_purchase",
            *(f"new {number},new {number},1,5000" for number in range(len(idle))),
        ),
    )
    with built.connect() as session:
        session.execute(
            "create table public.before as select *, xmin::text as x from marts.user_rfm"
        )
    dbt_project.build(built, "+user_rfm", as_of=as_of, options=NO_TESTS)
    after = {row["user_id"]: row for row in compare.fetch(built, "marts.user_rfm", columns)}
    others = [user_id for user_id in after if user_id not in idle]
    moved = [user_id for user_id in others if after[user_id] != before[user_id]]

    assert moved
    assert all(after[user_id]["monetary"] == before[user_id]["monetary"] for user_id in moved)
    assert {after[user_id]["monetary"] for user_id in idle} == {Decimal(5000)}
    with built.connect() as session:
        rewritten = session.execute(
            """
            select count(*) filter (where old.x is distinct from new.xmin::text), count(*) filter (
                where (to_jsonb(old) - 'x') is distinct from to_jsonb(new)
            )
            from marts.user_rfm as new left join public.before as old using (user_id)
            """
        ).fetchone()
    assert rewritten[0] == rewritten[1] < len(after)


def test_the_guide_asks_questions_that_work(built: Any) -> None:
    questions = [
        block for block in blocks(dbt_project.ROOT / "docs" / "segments.md") if is_question(block)
    ]
    assert len(questions) >= 3
    with built.connect() as session:
        session.read_only = True
        for question in questions:
            found = session.execute(question).fetchall()
            assert found or "segment_transitions" in question, question
