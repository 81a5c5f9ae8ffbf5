"""A build that audits finds exactly what `dbt test` finds: faults, whatever happens between."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.quality.faults import AUDIT, CONSTRAINT, FAULTS, KEYS, NODE, Fault
from tests.quality.trial import Trial
from tests.support import dbt_project
from tests.support.database import do
from warehouse.server import Server

# `make proof N=10 SEED=7` chooses others.
SEEDS = range(
    int(os.environ.get("PROOF_SEED", "1")),
    int(os.environ.get("PROOF_SEED", "1")) + int(os.environ.get("PROOF_N", "3")),
)
STEPS = 12
# Where a build is killed; the mart itself in addition.
KILLED_AT = ("audited_tables", "audited_tests", "tested_keys", "watermarks")


@pytest.fixture(scope="module")
def trial(server: Server) -> Iterator[Trial]:
    made = Trial(server)
    made.begin()
    yield made
    made.end()


def of(model: str, found_by: str | None = None) -> list[Fault]:
    return [
        fault for fault in FAULTS if fault.model == model and found_by in (None, fault.found_by)
    ]


def build_upstream(trial: Trial, model: str) -> None:
    """Build what a model reads, without tests."""
    options = ("--exclude", model, *dbt_project.NO_TESTS)
    trial.run("build", f"+{model}", options=options)


def wander(trial: Trial, seed: int, steps: int) -> list[str]:
    """Do what users do, in random order, and compare the verdicts of each build.

    Args:
        trial: the trial, in any state.
        seed: decides everything.
        steps: the number of builds.

    Returns:
        What was found wrong, by step.
    """
    chance = random.Random(f"proof {seed}")  # noqa: S311 - test data
    loaded: list[Fault] = []
    changed: list[tuple[str, str]] = []
    wrong: list[str] = []
    for step in range(steps):
        model = chance.choice(list(KEYS))
        did = []
        for number in range(chance.choice((1, 1, 2, 3))):
            what = chance.choice(
                ("fault", "fault", "fault", "good", "touch", "spoil", "unasked", "killed", "test")
            )
            did.append(what)
            if what == "fault":
                fault = chance.choice(of(model))
                trial.load_fault(fault, 100 * (step + 100 * seed) + number)
                loaded.append(fault)
                did[-1] = fault.tag
            elif what == "good":
                trial.load(f"{seed}-{step}-{number}~")
            elif what == "touch":
                do(
                    trial.built,
                    "update raw.orders set _loaded_at = clock_timestamp() where order_id ~ '~$'",
                )
            elif what == "spoil":
                trial.spoil(chance.choice([each for each in of(model) if each.changes]))
            elif what == "unasked":
                build_upstream(trial, model)
                trial.verdicts("run", model)
            elif what == "killed":
                build_upstream(trial, model)
                tables = [f"observability.{name}" for name in KILLED_AT]
                wrong += trial.killed(chance.choice([*tables, f"marts.{model}"]), model)
            else:
                config = chance.choice(
                    ({"severity": "warn"}, {"where": "1 = 0"}, {"error_if": "> 1"})
                )
                changed.append((model, trial.change_test(model, chance, **config)))
        build_upstream(trial, model)
        is_refresh = chance.random() < 0.1
        found = trial.judge(model, full_refresh=is_refresh)
        if is_refresh:
            # It computes all rows again.
            trial.spoilt.discard(model)
        wrong += [
            f"seed {seed}, step {step}, {model}, after {', '.join(did)}: {each}" for each in found
        ]
        if chance.random() < 0.7:
            for fault in loaded:
                trial.repair(fault)
            loaded.clear()
            if model in trial.spoilt and chance.random() < 0.5:
                trial.rebuild(model)
        if changed and chance.random() < 0.5:
            trial.restore_tests({name for _, name in changed})
            changed.clear()
    for fault in loaded:
        trial.repair(fault)
    trial.restore_tests({name for _, name in changed})
    return wrong


def test_a_short_history(trial: Trial) -> None:
    assert wander(trial, seed=0, steps=5) == []
    assert trial.found


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_histories(trial: Trial, seed: int) -> None:
    assert wander(trial, seed, STEPS) == []


@pytest.mark.long
@pytest.mark.parametrize("model", KEYS)
def test_each_fault_is_found_where_it_should(trial: Trial, model: str) -> None:
    wrong = trial.judge(model)
    for fault in of(model):
        trial.load_fault(fault)
        build_upstream(trial, model)
        wrong += trial.judge(model)
        said = trial.last
        how = AUDIT if said.rolled_back else CONSTRAINT if said.refused else NODE
        if fault.found_by != how:
            wrong.append(f"{fault.tag} is found by {how}")
        trial.repair(fault)
        trial.run("run", f"+{model}")
    assert wrong == []


@pytest.mark.long
def test_whole_builds(trial: Trial) -> None:
    """What several tables must agree on is asked when all of them are built."""
    for fault in FAULTS:
        if fault.found_by == NODE:
            trial.load_fault(fault, 7)
    assert trial.judge() == []
    assert {"fct_payments"} < {model for model, _, _ in trial.found} | {"fct_payments"}
    failed = trial.last.failed
    for fault in FAULTS:
        if fault.found_by == AUDIT:
            trial.load_fault(fault, 7)
    assert trial.judge() == []
    assert failed and trial.last.rolled_back
    for fault in FAULTS:
        trial.repair(fault)
    assert trial.judge() == []
    assert not trial.last.failed and not trial.last.rolled_back
