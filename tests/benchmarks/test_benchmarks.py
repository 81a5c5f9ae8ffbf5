"""The benchmark measures what it says, here on a tiny shop and without the peers."""

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
    """What a run on a tiny shop writes down, as JSON would give it back."""
    with run.new_database(server) as database:
        bench = run.Bench(database, SIZE, SECTIONS, 1, tmp_path_factory.mktemp("bench"))
        bench.run()
        # The days are loaded as they are described.
        with database.connect() as connection:
            bench.results["loaded"] = connection.execute(
                "select count(*) from raw.events where _loaded_at = %s", [history.stamp(1)]
            ).fetchone()[0]
        # A change that is told late, with a date before the last one, is no reason to differ.
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


def test_a_day_is_what_it_is_said_to_be(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    (day,) = size["daily"]
    counts = day["counts"]
    assert counts["new events"] == 500
    assert 10 <= counts["late events"] <= 100
    # New ones, those that came again, and those that are gone.
    assert size["loaded"] == 500 + counts["repeated events"] + counts["deleted events"]
    # Stock dbt keeps what was deleted, and the old version of a user.
    assert size["rows_that_differ"]["stock"] >= counts["deleted events"]


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


def test_the_tables_show_what_was_measured(measured: dict[str, Any]) -> None:
    text = report.tables(measured)
    for name in measured["sizes"][0]["daily"][0]["build"]["nodes"]:
        assert f"`{name}`" in text or name.startswith("stg_"), name
    for question in questions.QUESTIONS:
        assert f"| {question.name} |" in text
    for line in text.splitlines():
        if line.startswith(("| this project", "| by hand", "| stock", "| 5,000")):
            cells = line.split("|")[2:4]
            assert all(cell.strip() != report.NOTHING for cell in cells), line


def results_of(day: float, stock: float, small_day: float, full: float, hand: float) -> Any:
    """What a run would write that measured these seconds."""

    def size(events: int, seconds: float) -> dict[str, Any]:
        return {
            "events": events,
            "daily": [
                {"build": {"nodes": {"fct_user_events": seconds}}, "stock": {"events_plain": stock}}
            ],
            "keys": {
                "daily": [
                    {"build": {"nodes": {"fct_user_events": 1.0}}, "stock": {"events_plain": 10.0}}
                ]
            },
            "fact": {"ours": [full], "by_hand": [hand]},
        }

    return {"sizes": [size(1_000_000, small_day), size(10_000_000, day)]}


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        ((1.0, 10.0, 0.8, 13.0, 10.0), [True, True, True, True, True]),
        ((1.0, 9.9, 0.8, 13.0, 10.0), [False, True, True, True, True]),
        ((1.0, 10.0, 0.76, 13.0, 10.0), [True, False, True, True, True]),
        ((1.0, 10.0, 0.8, 13.1, 10.0), [True, True, True, True, False]),
    ],
)
def test_a_bound_that_is_missed_says_so(seconds: tuple[float, ...], kept: list[bool]) -> None:
    results = results_of(*seconds)
    assert [bound.is_kept for bound in report.bounds(results)] == kept
    assert report.bounds_table(results).count("**missed**") == kept.count(False)


def test_keys_that_grow_have_bounds_of_their_own() -> None:
    results = results_of(1.0, 10.0, 0.8, 13.0, 10.0)
    slow = results["sizes"][-1]["keys"]["daily"][0]["build"]["nodes"]
    slow["fct_user_events"] = 1.4
    kept = [bound.is_kept for bound in report.bounds(results)]
    assert kept == [True, True, False, False, True]


def test_what_was_not_measured_is_neither_kept_nor_missed() -> None:
    bounds = report.bounds({"sizes": [{"events": 1}, {"events": 10}]})
    assert [bound.is_kept for bound in bounds] == [None] * 5


def test_a_small_shop_says_nothing_of_the_bounds() -> None:
    results = results_of(1.0, 1.0, 0.1, 20.0, 10.0)
    results["sizes"].pop()
    assert [bound.is_kept for bound in report.bounds(results)] == [None] * 5
    assert "**missed**" not in report.bounds_table(results)


def test_numbers_go_between_their_marks() -> None:
    begin, end = report.MARKS
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert report.written(text, "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert report.MARKS[0] in report.README.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="once each"):
        report.written("no marks", "new")


def test_another_table_stops_the_benchmark() -> None:
    with pytest.raises(SystemExit, match=r"by_hand\.sql is not fct_user_events"):
        run.expect_equal([1, 2], [1, 3], "by_hand.sql")


def test_an_unknown_section_is_named() -> None:
    assert run.chosen_sections("") == list(run.SECTIONS)
    assert run.chosen_sections("questions,daily") == ["daily", "questions"]
    with pytest.raises(SystemExit, match=r"'dayly' is no section: choose from full, daily"):
        run.chosen_sections("dayly")


def test_two_answers_that_differ_stop_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    wrong = questions.Question("one or two", "select 1", "select 2")
    monkeypatch.setattr(questions, "QUESTIONS", (wrong,))
    with server.connect("postgres") as connection, pytest.raises(SystemExit, match="one or two"):
        questions.ask(connection, "2025-01-01", 1)
