"""The benchmarks measure what they claim; the tests use a tiny shop, without the peers."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import history, questions, report, run
from warehouse.server import Server

SIZE = history.Size(events=5_000, day_events=500)
GROWING = history.Size(events=2_000, day_events=300, keys_grow=True)
SECTIONS = ("full", "daily", "questions")


@pytest.fixture(scope="module")
def measured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a run on a tiny shop, as read back from JSON."""
    with run.new_database(server) as database:
        bench = run.Bench(database, SIZE, SECTIONS, 1, tmp_path_factory.mktemp("bench"))
        bench.run()
        # Used to check that the loaded rows match the described day.
        with database.connect() as connection:
            bench.results["loaded"] = connection.execute(
                "select count(*) from raw.events where _loaded_at = %s", [history.stamp(1)]
            ).fetchone()[0]
        # A change that arrives late, dated before the last one, must not make the results differ.
        with database.connect() as connection:
            late = connection.execute(
                "update raw.users set subscription_tier = 'late', _loaded_at = %s,"
                " updated_at = created_at + interval '1 hour' where right(user_id, 1) in ('0', '4')"
                " and user_id in (select user_id from snapshots.snp_app__users"
                " group by 1 having count(*) > 1)",
                [history.stamp(2)],
            ).rowcount
            assert late > 10
        bench._whole(full_refresh=False, as_of=history.day(2))
        with database.connect() as connection:
            questions.ask(connection, str(history.day(2)), 1)
    saved: list[set[str]] = []
    bench.results["keys"] = run.of_size(
        server,
        GROWING,
        ["daily"],
        1,
        ["+fct_user_events"],
        lambda found: saved.append(set(found)),
    )
    assert [found & {"daily", "stock_full"} for found in saved] == [{"daily", "stock_full"}]
    return {
        "machine": {**run.machine(server), "peers": {}},
        "runs": 1,
        "minutes": 1,
        "sections": list(SECTIONS),
        "sizes": [bench.results],
    }


@pytest.mark.long
def test_every_section_is_measured(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    assert len(size["full"]) == len(size["fact"]["by_hand"]) == len(size["fact"]["ours"]) == 1
    (day,) = size["daily"]
    models = set(day["build"]["nodes"])
    assert {"fct_user_events", "dim_users", "snp_app__users", "daily_revenue"} <= models
    assert models == set(size["full"][0]["nodes"])
    assert set(day["stock"]) == {"events_plain", "events_indexed"}
    assert len(size["questions"]) == len(questions.QUESTIONS) == 10
    for question in size["questions"]:
        assert len(question["marts"]) == len(question["raw"]) == 1


@pytest.mark.long
def test_a_day_is_what_it_is_said_to_be(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    (day,) = size["daily"]
    counts = day["counts"]
    assert counts["new events"] == 500
    assert 10 <= counts["late events"] <= 100
    # New events, repeated ones, and deleted ones.
    assert size["loaded"] == 500 + counts["repeated events"] + counts["deleted events"]
    # Stock dbt keeps deleted rows, and the old version of a user.
    assert size["rows_that_differ"]["stock"] >= counts["deleted events"]


@pytest.mark.long
def test_keys_that_grow_are_measured_on_the_fact_alone(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    (day,) = size["keys"]["daily"]
    models = set(day["build"]["nodes"])
    assert {"fct_user_events", "dim_users"} <= models
    assert "user_analytics" not in models
    assert set(day["stock"]) == {"events_plain", "events_indexed"}
    assert day["counts"]["repeated events"] == 9


def test_keys_grow_with_the_time_when_they_are_asked_to(server: Server) -> None:
    keys = "select array_agg({} order by started + position * interval '97 seconds') from"
    sessions = (
        " (select timestamptz '2024-01-01' + s * interval '1 hour' as started, 's' || s as"
        " session_id from generate_series(1, 50) as s) as sessions,"
        " generate_series(0, 4) as position"
    )
    with server.connect("postgres") as connection:
        for size, grow in ((GROWING, True), (SIZE, False)):
            (found,) = connection.execute(keys.format(size.event_id) + sessions).fetchone()
            assert len(set(found)) == 250 and {len(key) for key in found} == {32}
            assert (found == sorted(found)) is grow


@pytest.mark.long
def test_the_tables_show_what_was_measured(measured: dict[str, Any]) -> None:
    text = report.tables(measured)
    for name in measured["sizes"][0]["daily"][0]["build"]["nodes"]:
        assert f"`{name}`" in text or name.startswith("stg_"), name
    for question in questions.QUESTIONS:
        assert f"| {question.name} |" in text
    for line in text.splitlines():
        if line.startswith(("| this project", "| hand-written", "| stock", "| 5,000")):
            cells = line.split("|")[2:4]
            assert all(cell.strip() != report.NOTHING for cell in cells), line


def test_two_answers_that_differ_stop_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    wrong = questions.Question("one or two", "select 1", "select 2")
    monkeypatch.setattr(questions, "QUESTIONS", (wrong,))
    with server.connect("postgres") as connection, pytest.raises(SystemExit, match="one or two"):
        questions.ask(connection, "2025-01-01", 1)
