"""The replay itself: histories, mutants, shrinking, comparing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replay import edits
from tests.replay.__main__ import SEEDS_WITH_ACTIONS, VERSIONS, kinds_of, make
from tests.replay.actions import KINDS, SWITCHED_OFF, allowed_kinds
from tests.replay.edits import EDITS
from tests.replay.histories import (
    BEFORE,
    PLAIN,
    Generator,
    History,
    Plan,
    details_of,
    operations_of,
    plainer,
    script,
    without,
)
from tests.replay.mutants import MUTANTS
from tests.replay.shrink import shrink
from tests.replay.workshop import (
    Workshop,
    compare_contents,
    load_of,
    replay,
    whose,
)
from tests.support.dbt_project import DbtFailed, copy_project


def test_every_mutant_fits_the_project(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for mutant in MUTANTS:
        text = (project / mutant.file).read_text()
        mutant.apply(project)
        assert (project / mutant.file).read_text() != text, mutant.name
        (project / mutant.file).write_text(text)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 14


def test_a_mutant_whose_text_is_gone_is_an_error(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    MUTANTS[0].apply(project)
    with pytest.raises(ValueError, match=r"must stand there\s+once; it stands there 0 times"):
        MUTANTS[0].apply(project)


def test_every_edit_fits_the_project(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for edit in EDITS.values():
        needed = (EDITS[edit.needs],) if edit.needs else ()
        changed = edits.apply(project, (*needed, edit))
        assert all(change.file in changed for change in edit.changes), edit.name


def test_an_edit_whose_text_is_gone_is_an_error(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    edit = edits.MACROS[0]
    (project / edit.changes[0].file).write_text("{# nothing #}")
    with pytest.raises(ValueError, match=r"must occur\s+once; it occurs 0 times"):
        edits.apply(project, (edit,))


def test_forty_batches_have_actions_of_every_kind() -> None:
    drawn: Counter[str] = Counter()
    for seed in range(40):
        plan, _ = make(seed, 1, 8, kinds_of(seed))
        drawn.update(action.kind for load in plan for action in load.actions)
        has_actions = seed % len(VERSIONS) in SEEDS_WITH_ACTIONS
        assert has_actions == any(load.actions for load in plan)
    assert set(drawn) == set(allowed_kinds()), drawn
    assert min(drawn.values()) >= 3, drawn
    assert set(KINDS) >= {edit.kind for edit in EDITS.values()}
    assert not SWITCHED_OFF - {*KINDS, *EDITS}


def test_a_plan_with_actions_is_shrunk_to_one_without() -> None:
    plan, of_prefix = make(1, 1, 6, allowed_kinds())
    names = {name for name, _, _ in plainer(plan, of_prefix["h0"])}
    assert {f"{load.clock} actions" for load in plan if load.actions} <= names
    assert {
        f"{load.clock} {action}"
        for load in plan
        for action in load.actions
        if len(load.actions) > 1
    } <= names
    assert PLAIN["actions"] == ()
    text = script(plan, of_prefix["h0"])
    assert all(str(action) in text for load in plan for action in load.actions)


seeds = st.integers(0, 10**6)


def operations(history: History) -> Iterator[tuple[int, Any]]:
    """The operations of a history, each with the number of its load."""
    for number, load in enumerate(history.loads):
        for batch in load:
            for operation in batch.operations:
                yield number, operation


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_seed_gives_the_same_histories_again(seed: int) -> None:
    assert make(seed, 2, 6) == make(seed, 2, 6)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_no_two_open_transactions_change_the_same_row(seed: int) -> None:
    plan, of_prefix = make(seed, 3, 6)
    for history in of_prefix.values():
        for load, batches in zip(plan, history.loads, strict=True):
            rows = [{(each.table, each.key) for each in batch.operations} for batch in batches]
            assert len(set().union(*rows)) == sum(map(len, rows))
            assert not load.is_quiet or all(batch.commit == BEFORE for batch in batches)
    assert plan[-1].is_quiet
    assert not plan[-1].select


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_what_shrinking_tries_is_smaller(seed: int) -> None:
    generator = Generator(seed)
    history = generator.history(0, generator.plan(4))
    pieces = [*operations_of(history), *details_of(history)]
    for piece in pieces:
        assert without(history, {piece}).size < history.size
    assert without(history, set()) == history
    assert without(history, set(pieces)).size == 0


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_failing_history_shrinks_to_what_matters(seed: int) -> None:
    """A failure that needs a put and a later delete of a user shrinks to these two operations."""

    def fails(history: History) -> bool:
        put = {each.key for _, each in operations(history) if each.kind == "put"}
        return any(each.kind == "delete" and each.key in put for _, each in operations(history))

    def failing(_: Plan, candidates: Sequence[History]) -> list[int]:
        return [position for position, each in enumerate(candidates) if fails(each)]

    generator = Generator(seed)
    plan = generator.plan(6)
    history = next(each for number in range(100) if fails(each := generator.history(number, plan)))
    plan, smallest = shrink(plan, history, failing, rounds=40)

    assert [each.kind for _, each in operations(smallest)] in (["put", "delete"], ["delete", "put"])
    assert all(not each.values for _, each in operations(smallest))
    text = script(plan, smallest)
    assert text.count("delete") == 1
    assert text.count("load ") == len(plan)


def test_a_row_says_whose_it_is() -> None:
    assert whose('{"user_id": "h12-u3"}') == "h12"
    assert whose('{"revenue_date": "2024-01-01"}') == ""


def test_a_difference_is_told_by_its_cells() -> None:
    def order(key: str, amount: str) -> str:
        return f'{{"order_id": "{key}", "currency": "EUR", "paid": true, "amount": {amount}}}'

    both = order("h1-o0", "1.0")
    built = {"marts.fct_orders": Counter([both, order("h1-o1", "2.50"), order("h2-o2", "3"), both])}
    full = {"marts.fct_orders": Counter([both, order("h1-o1", "null"), order("h3-o3", "5")])}

    assert compare_contents(built, full) == {
        "h1": [
            "marts.fct_orders, order_id=h1-o1: amount is 2.50, expected null",
            f"marts.fct_orders has, and should not: {both}",
        ],
        "h2": [f"marts.fct_orders has, and should not: {order('h2-o2', '3')}"],
        "h3": [f"marts.fct_orders lacks {order('h3-o3', '5')}"],
    }
    assert compare_contents(built, built) == {}


class Failing(Workshop):
    """A workshop whose first build fails with a given cause."""

    def __init__(self, cause: BaseException | None) -> None:
        self.cause = cause

    def reset(self) -> None:
        pass

    def restore_project(self) -> None:
        pass

    def load(self, *_: Any) -> None:
        raise DbtFailed("dbt build: it failed") from self.cause


def test_a_build_that_fails_is_a_complaint() -> None:
    plan, of_prefix = make(1, 1, 2)
    complaints = replay(Failing(None), plan, of_prefix)

    assert complaints == {"": ["in load 1: dbt build: it failed"]}
    assert load_of(complaints) == 1


def test_a_replay_that_is_told_to_end_ends() -> None:
    plan, of_prefix = make(1, 1, 2)
    with pytest.raises(SystemExit, match="143"):
        replay(Failing(SystemExit(143)), plan, of_prefix)
