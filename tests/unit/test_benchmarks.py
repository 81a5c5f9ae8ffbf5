"""The report of the benchmarks: bounds, tables, sections."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import report, run


def results_of(day: float, stock: float, small_day: float, full: float, hand: float) -> Any:
    """The result that a run with these measured seconds would write."""

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
    assert [bound.is_kept for bound in report.bounds(results)[:5]] == kept
    assert report.bounds_table(results).count("**missed**") == kept.count(False)


def test_keys_that_grow_have_bounds_of_their_own() -> None:
    results = results_of(1.0, 10.0, 0.8, 13.0, 10.0)
    slow = results["sizes"][-1]["keys"]["daily"][0]["build"]["nodes"]
    slow["fct_user_events"] = 1.4
    kept = [bound.is_kept for bound in report.bounds(results)[:5]]
    assert kept == [True, True, False, False, True]


def results_of_days(
    small_day: dict[str, float], day: dict[str, float], full: dict[str, float], tested: float = 1
) -> Any:
    """The result of a run with these seconds per model."""

    def build(nodes: dict[str, float]) -> dict[str, Any]:
        return {"nodes": nodes, "wall": sum(nodes.values())}

    def size(events: int, nodes: dict[str, float]) -> dict[str, Any]:
        stock = {"events_plain": 3.0, "events_indexed": 2.0}
        return {
            "events": events,
            "daily": [{"build": build(nodes), "stock": stock}],
            "full": [build(full)],
            "tested_days": {"with": [{"wall": 13.0 * tested}], "without": [{"wall": 10.0}]},
        }

    return {"sizes": [size(1_000_000, small_day), size(10_000_000, day)]}


@pytest.mark.parametrize(
    ("small_day", "day", "full", "kept"),
    [
        (14.0, {"a": 19.5, "b": 0.5}, {"a": 299.5, "b": 0.5}, [True, True, True, True]),
        (14.0, {"a": 19.6, "b": 0.5}, {"a": 399.5, "b": 0.5}, [False, True, True, True]),
        (13.0, {"a": 19.5, "b": 0.5}, {"a": 299.5, "b": 0.5}, [True, False, True, True]),
        (14.0, {"a": 19.4, "b": 0.6}, {"a": 299.5, "b": 0.5}, [True, True, False, True]),
        # Too short to be a model's own time.
        (14.0, {"a": 19.6, "b": 0.4}, {"a": 299.9, "b": 0.1}, [True, True, True, True]),
        (14.0, {"a": 19.5, "b": 0.5}, {"a": 299.0, "b": 0.5}, [True, True, True, False]),
    ],
)
def test_a_day_of_the_whole_project_has_bounds(
    small_day: float, day: dict[str, float], full: dict[str, float], kept: list[bool]
) -> None:
    results = results_of_days({"a": small_day}, day, full)
    assert [bound.is_kept for bound in report.bounds(results)[5:]] == [*kept, True]


def test_tests_have_a_bound() -> None:
    results = results_of_days({"a": 14.0}, {"a": 20.0}, {"a": 300.0}, tested=1.1)
    bound = report.bounds(results)[-1]
    assert "relative to one without any test" in bound.what
    assert (bound.measured, bound.is_kept) == (pytest.approx(1.43), False)


def test_a_day_is_compared_with_rebuilding_everything() -> None:
    nodes = {report.FACT: 100.0, "other": 50.0}
    results = results_of_days({"other": 1.0}, {"other": 2.0}, nodes)
    text = report.whole_days(results)
    assert "| every table rebuilt | 150.00 s | 150.0 | 150.00 s | 75.0 |" in text
    assert "all other tables rebuilt | 53.00 s | 53.0 | 53.00 s | 26.5 |" in text
    assert "| the same, with two indexes | 52.00 s | 52.0 | 52.00 s | 26.0 |" in text


def test_what_was_not_measured_is_neither_kept_nor_missed() -> None:
    bounds = report.bounds({"sizes": [{"events": 1}, {"events": 10}]})
    assert [bound.is_kept for bound in bounds] == [None] * 10


def test_a_small_shop_says_nothing_of_the_bounds() -> None:
    results = results_of(1.0, 1.0, 0.1, 20.0, 10.0)
    results["sizes"].pop()
    assert [bound.is_kept for bound in report.bounds(results)] == [None] * 10
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
    with pytest.raises(SystemExit, match=r"'dayly' is not a section: choose from full, daily"):
        run.chosen_sections("dayly")
