"""Make a failing history small enough to read."""

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

# Which of these histories fail under the plan, by their position.
Failing = Callable[[Plan, Sequence[History]], Iterable[int]]


def shrink(
    plan: Plan, history: History, failing: Failing, rounds: int = 12, plans: int = 20
) -> tuple[Plan, History]:
    """Leave out of a failing history whatever does not matter.

    All smaller histories of a round are tried at once, in one database, because a build costs the
    same for one history as for hundreds. That is why this is not left to hypothesis, which tries
    one example after another.

    Args:
        plan: what the history was built with.
        history: one that fails.
        failing: tells which histories fail.
        rounds: how often to try at most, once for the operations and once for their details.
        plans: how many plainer plans to try at most.

    Returns:
        The plan and the history, as small as they became; they still fail.
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
    """The history with as few pieces of a kind as it needs to fail."""
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
        # What could go alone may go together, unless one stood in for the other.
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
    """The plan with as little that is unusual as the history needs to fail."""
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
