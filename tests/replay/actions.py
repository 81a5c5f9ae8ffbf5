"""What dbt users do between two loads, as plain data: drawn from a seed, and printed.

An **action** belongs to the plan, because all histories of a batch share a project and a database.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.replay import edits
from tests.replay.edits import EDITS

# Kinds of actions, and names of edits, that are never drawn. Add one only while it meets a known
# fault of the product that would stop every batch.
SWITCHED_OFF: frozenset[str] = frozenset()

# Tables that a build can repair, because its sources still have all rows.
TABLES = (
    *("dim_users", "dim_products", "dim_categories", "bridge_category_ancestors"),
    *("dim_event_types", "dim_date", "fct_order_items", "fct_payments", "fct_orders"),
    *("fct_user_sessions", "fct_user_events", "user_daily_metrics"),
    *("int_user_activity", "int_user_recent_orders", "int_user_months", "int_user_funnel_steps"),
    *("int_user_purchase_history", "user_rfm", "user_segments", "user_clv", "user_analytics"),
    *("active_users", "cohort_retention", "event_funnel", "segment_transitions"),
    *("int_category_days", "monthly_category_revenue"),
)
VIEWS = (
    *("stg_app__orders", "stg_app__users", "daily_revenue", "rpt_user_analytics"),
    "excluded_rows",
)
SNAPSHOTS = ("snp_app__users", "snp_app__products", "snp_user_segments")
SEEDS = ("segment_thresholds", "order_statuses", "payment_statuses", "event_types")

# The moments at which a backend is killed: before the rows of a model are written, between its rows
# and its watermarks, at the commit.
WRITE, WATERMARK, COMMIT = "rows", "watermarks", "commit"


@dataclass(frozen=True)
class Action:
    """One thing that a user does.

    Args:
        kind: the kind, a key of `KINDS`.
        target: what it concerns: a model, a selection, the name of an edit.
        how: the variant of the action.
        is_before_rows: whether it comes before the rows of its load, not after them.
    """

    kind: str
    target: str = ""
    how: str = ""
    is_before_rows: bool = False

    def __str__(self) -> str:
        words = " ".join(word for word in (self.kind, self.target, self.how) if word)
        return f"[{words}]"


@dataclass
class _State:
    """What the actions drawn so far have left behind."""

    edits: set[str] = field(default_factory=set)
    copies: set[str] = field(default_factory=set)


Draw = Callable[[random.Random, _State], Action | None]


def _selection(chance: random.Random) -> str:
    """One or two models, with or without what is upstream or downstream of them."""
    models = chance.sample(TABLES, chance.choice((1, 1, 2)))
    forms = ("{}", "{}", "+{}", "{}+", "+{}+")
    return " ".join(chance.choice(forms).format(model) for model in models)


def _part(chance: random.Random, _: _State) -> Action:
    command = chance.choice(("build", "build", "run", "snapshot", "seed"))
    return Action("part", _selection(chance) if command in ("build", "run") else "", command)


def _refresh(chance: random.Random, _: _State) -> Action:
    return Action("refresh", chance.choice(TABLES) + chance.choice(("", "+")))


def _empty(chance: random.Random, _: _State) -> Action:
    how = chance.choice(("", "", "first in another target"))
    if how:
        # A model that reads staging views, which the build with --empty has created.
        models = ("fct_orders", "fct_order_items", "fct_payments", "fct_user_sessions")
        return Action("empty", chance.choice(models), how, is_before_rows=True)
    return Action("empty", chance.choice(("", chance.choice(TABLES), "+user_segments")))


def _sample(chance: random.Random, _: _State) -> Action:
    edit = chance.choice([each.name for each in edits.SAMPLED if each.name not in SWITCHED_OFF])
    how = chance.choice(("", "first in another target"))
    return Action("sample", edit, how, is_before_rows=bool(how))


def _edit(kind: str) -> Draw:
    """An edit of a kind that is not in force, or that one in force is taken back."""

    def draw(chance: random.Random, state: _State) -> Action | None:
        of_kind = [
            each for each in EDITS.values() if each.kind == kind and each.name not in SWITCHED_OFF
        ]
        away = [each for each in of_kind if each.name not in state.edits]
        held = [each for each in of_kind if each.name in state.edits and not each.is_final]
        away = [each for each in away if not each.needs or each.needs in state.edits]
        held = [each for each in held if not any(EDITS[n].needs == each.name for n in state.edits)]
        if held and (not away or chance.random() < 0.4):
            chosen = chance.choice(held)
            state.edits.discard(chosen.name)
            return Action(kind, chosen.name, "taken back")
        if not away:
            return None
        chosen = chance.choice(away)
        if not chosen.is_refused:
            state.edits -= conflicts(chosen.name, state.edits)
            state.edits.add(chosen.name)
        how = "interrupted" if kind == "partition" and chance.random() < 0.5 else ""
        return Action(kind, chosen.name, how)

    return draw


def conflicts(name: str, others: set[str]) -> set[str]:
    """The edits among others that replace the same text as the edit of this name."""

    def texts(edit: str) -> set[tuple[str, str]]:
        return {(change.file, change.old) for change in EDITS[edit].changes if change.old}

    return {other for other in others if other != name and texts(other) & texts(name)}


def _truncate(chance: random.Random, _: _State) -> Action:
    return Action("truncate", chance.choice(TABLES))


def _restore(chance: random.Random, state: _State) -> Action:
    if state.copies and chance.random() < 0.7:
        model = chance.choice(sorted(state.copies))
        state.copies.discard(model)
        return Action("restore", model, "the copy")
    # A copy that lacks a column would need a full refresh.
    without = {"dim_date", *(each.model for each in edits.COLUMNS)}
    model = chance.choice([each for each in TABLES if each not in without])
    state.copies.add(model)
    return Action("restore", model, chance.choice(("copy like it", "copy its rows")))


def _swap(chance: random.Random, _: _State) -> Action:
    return Action("swap", chance.choice(TABLES))


def _drop(chance: random.Random, _: _State) -> Action:
    return Action("drop", chance.choice((*TABLES, *VIEWS)))


def _vacuum(chance: random.Random, _: _State) -> Action:
    return Action("vacuum", chance.choice(TABLES))


def _defer(chance: random.Random, _: _State) -> Action:
    models = ("fct_orders", "int_user_activity", "user_segments", "user_analytics", "user_clv")
    models += ("user_daily_metrics", "fct_order_items", "fct_user_events", "int_user_months")
    return Action("defer", chance.choice(models) + chance.choice(("", "", "+")))


def _target(chance: random.Random, _: _State) -> Action:
    return Action("target", is_before_rows=chance.random() < 0.7)


def _clone(_: random.Random, __: _State) -> Action:
    return Action("clone", is_before_rows=True)


def _kill(chance: random.Random, _: _State) -> Action:
    if chance.random() < 0.2:
        return Action("kill", chance.choice(SNAPSHOTS), WRITE)
    models = [model for model in TABLES if model not in ("fct_payments", "dim_date")]
    return Action("kill", chance.choice(models), chance.choice((WRITE, WATERMARK, COMMIT)))


def _retry(chance: random.Random, _: _State) -> Action:
    models = [model for model in TABLES if model not in ("fct_payments", "dim_date")]
    return Action("retry", chance.choice((*models, *SNAPSHOTS[:2])))


def _seed(chance: random.Random, _: _State) -> Action:
    return Action("seed", chance.choice(SEEDS), str(chance.randrange(3)))


KINDS: dict[str, Draw] = {
    "part": _part,
    "refresh": _refresh,
    "empty": _empty,
    "sample": _sample,
    "rewrite": _edit("rewrite"),
    "redefine": _edit("redefine"),
    "staging": _edit("staging"),
    "macro": _edit("macro"),
    "snapshot": _edit("snapshot"),
    "alias": _edit("alias"),
    "version": _edit("version"),
    "column": _edit("column"),
    "partition": _edit("partition"),
    "truncate": _truncate,
    "restore": _restore,
    "swap": _swap,
    "drop": _drop,
    "vacuum": _vacuum,
    "defer": _defer,
    "target": _target,
    "clone": _clone,
    "kill": _kill,
    "retry": _retry,
    "seed": _seed,
}


def allowed_kinds() -> tuple[str, ...]:
    """The kinds that are not switched off."""
    return tuple(kind for kind in KINDS if kind not in SWITCHED_OFF)


def draw(seed: int, loads: int, kinds: Sequence[str]) -> list[tuple[Action, ...]]:
    """The actions of each load of a plan; none in the first load.

    Args:
        seed: the seed of the plan.
        loads: the number of loads.
        kinds: the kinds to draw from.
    """
    chance = random.Random(f"actions {seed}")  # noqa: S311 - test data
    state = _State()
    drawn: list[tuple[Action, ...]] = [()]
    for _ in range(loads - 1):
        count = chance.choice((1, 1, 2, 3)) if len(kinds) > 1 else 1
        chosen = [KINDS[chance.choice(kinds)](chance, state) for _ in range(count)]
        actions = [action for action in chosen if action is not None]
        # Keeps the order of the actions: those before the rows come first.
        before = chance.randint(0, len(actions))
        before = max([before, *(n + 1 for n, each in enumerate(actions) if each.is_before_rows)])
        drawn.append(
            tuple(
                dataclasses.replace(action, is_before_rows=number < before)
                for number, action in enumerate(actions)
            )
        )
    return drawn
