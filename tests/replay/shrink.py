"""Shrinks a failing history until it is small enough to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.replay.histories import (
    History,
    Piece,
    Plan,
    details_of,
    operations_of,
    plainer,
    without,
)

# Returns the positions of the histories that fail with the plan.
Failing = Callable[[Plan, Sequence[History]], Iterable[int]]


def shrink(
    plan: Plan, history: History, failing: Failing, rounds: int = 12, plans: int = 40
) -> tuple[Plan, History]:
    """Remove everything from a failing history that does not matter for the failure.

    All candidates of a round are tried at once in one database, because a build costs the same for
    one history as for hundreds. Hypothesis would try one example after another.

    Args:
        plan: the plan of the history.
        history: a failing history.
        failing: returns which histories fail.
        rounds: the maximum number of rounds, for the operations and again for their details.
        plans: the maximum number of simpler plans to try.

    Returns:
        The shrunk plan and history, which still fail.
    """
    history = _leave_out(plan, history, failing, operations_of, rounds)
    plan, history = _make_plain(plan, history, failing, plans)
    return plan, _leave_out(plan, history, failing, details_of, rounds)


def _leave_out(
    plan: Plan,
    history: History,
    failing: Failing,
    pieces_of: Callable[[History], list[Piece]],
    rounds: int,
) -> History:
    """Remove as many pieces of a kind as possible while the history still fails."""
    gone: frozenset[Piece] = frozenset()
    needless: list[Piece] = []
    for _ in range(rounds):
        left = [piece for piece in pieces_of(history) if piece not in gone]
        groups = list(dict.fromkeys((*_parts(needless), *_parts(left))))
        candidates = [without(history, gone.union(group)) for group in groups]
        found = list(failing(plan, candidates)) if candidates else []
        if not found:
            break
        best = min(found, key=lambda position: candidates[position].size)
        gone = gone.union(groups[best])
        # Pieces removable one by one are often removable together, unless one replaces another.
        alone = [groups[position][0] for position in found if len(groups[position]) == 1]
        needless = [piece for piece in alone if piece not in gone]
    return without(history, gone)


def _parts(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    """All pieces, halves, quarters, and so on to single ones."""
    length = len(pieces)
    while length:
        for start in range(0, len(pieces), length):
            yield tuple(pieces[start : start + length])
        length //= 2


def _make_plain(plan: Plan, history: History, failing: Failing, plans: int) -> tuple[Plan, History]:
    """Remove as many unusual properties of the plan as possible while the history still fails."""
    tried: set[str] = set()
    while len(tried) < plans:
        untried = (each for each in plainer(plan, history) if each[0] not in tried)
        candidate = next(untried, None)
        if candidate is None:
            break
        name, plainer_plan, rest = candidate
        tried.add(name)
        if list(failing(plainer_plan, [rest])):
            plan, history = plainer_plan, rest
    return plan, history
