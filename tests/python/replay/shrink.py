"""Make a failing history small enough to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from replay.histories import History, Plan, plainer, reductions

# Which of these histories fail under the plan, by their position.
Failing = Callable[[Plan, Sequence[History]], Iterable[int]]


def shrink(
    plan: Plan, history: History, failing: Failing, rounds: int = 15
) -> tuple[Plan, History]:
    """Leave out of a failing history whatever does not matter.

    All smaller histories of a round are tried at once, in one database, because a build costs the
    same for one history as for hundreds. That is why this is not left to hypothesis, which tries
    one example after another.

    Args:
        plan: what the history was built with.
        history: one that fails.
        failing: tells which histories fail.
        rounds: how often to try at most; the plan is tried as often again.

    Returns:
        The plan and the history, as small as they became; they still fail.
    """
    for _ in range(rounds):
        candidates = list(reductions(history))
        found = [candidates[position] for position in failing(plan, candidates)]
        smallest = min(found, key=lambda each: each.size, default=history)
        if smallest.size >= history.size:
            break
        history = smallest
    left = rounds
    progress = True
    while progress and left:
        progress = False
        for plain, rest in plainer(plan, history):
            left -= 1
            if list(failing(plain, [rest])):
                plan, history, progress = plain, rest, True
                break
            if not left:
                break
    return plan, history
