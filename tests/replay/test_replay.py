"""An incremental build equals a full one: a short seeded run of `make replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.replay.__main__ import make
from tests.replay.histories import (
    script,
)
from tests.replay.workshop import (
    Workshop,
    replay,
    show,
)
from tests.support.dbt_project import copy_project
from warehouse.server import Server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, parsed once for all histories; each replay resets its seeds."""
    return copy_project(tmp_path_factory.mktemp("replay") / "project")


def assert_incremental_equals_full(server: Server, project: Path, seed: int, size: Any) -> None:
    """Replay the histories of a seed; `size` is their number and their number of loads."""
    plan, of_prefix = make(seed, *size)
    place = Workshop(server, project)
    try:
        complaints = replay(place, plan, of_prefix, with_tests=True)
    finally:
        place.drop()
    told = [
        f"seed {seed}, {prefix or 'no history'}:\n{show(lines)}\n"
        + (script(plan, of_prefix[prefix]) if prefix else "")
        for prefix, lines in complaints.items()
    ]
    hint = (
        f"To shrink it: python -m tests.replay histories {size[0]} --seed {seed} --loads {size[1]}"
    )
    assert not complaints, "\n".join([*told[:2], hint])


@pytest.mark.parametrize(
    "size", [(25, 4), pytest.param((25, 8), marks=pytest.mark.long)], ids=["few", "many"]
)
def test_incremental_equals_full(server: Server, project: Path, size: tuple[int, int]) -> None:
    assert_incremental_equals_full(server, project, seed=1, size=size)


@pytest.mark.long
def test_incremental_equals_full_on_postgresql_16(server_16: Server, project: Path) -> None:
    assert_incremental_equals_full(server_16, project, seed=4, size=(25, 4))


# --- The harness itself -----------------------------------------------------------------------
