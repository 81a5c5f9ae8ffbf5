"""A build that audits finds exactly what `dbt test` finds: faults, whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.quality.faults import AUDIT, CONSTRAINT, FAULTS, KEYS, NODE
from tests.quality.trial import Trial
from warehouse.server import Server


@pytest.fixture(scope="module")
def trial(server: Server) -> Iterator[Trial]:
    made = Trial(server)
    made.begin()
    yield made
    made.end()


@pytest.mark.long
@pytest.mark.parametrize("model", KEYS)
def test_each_fault_is_found_where_it_should(trial: Trial, model: str) -> None:
    own = [fault for fault in FAULTS if fault.model == model]
    assert trial.judge(f"{model}") == []
    problems = []
    for fault in own:
        trial.load_fault(fault)
        trial.run("build", f"+{model}", options=("--exclude", model, "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"))
        before = len(trial.found)
        wrong = trial.judge(model)
        said = trial.last
        how = (
            AUDIT if said.rolled_back else CONSTRAINT if said.refused else NODE if said.failed else "nothing"
        )
        print(fault.tag, how, sorted(said.named | said.failed), list(said.refused.values())[:1], flush=True)
        if how != fault.found_by:
            problems.append((fault.tag, how))
        problems += wrong
        trial.repair(fault)
        trial.run("run", f"+{model}")
    assert not problems
