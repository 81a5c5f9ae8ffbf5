"""An incremental build equals a full one: a short seeded run of `make replay`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.replay.__main__ import make, outline
from tests.replay.actions import allowed_kinds
from tests.replay.histories import (
    script,
)
from tests.replay.workshop import (
    Workshop,
    replay,
    show,
)
from tests.support.dbt_project import copy_project, parse_in_parts
from warehouse.server import Server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, parsed once for all histories; each replay resets its seeds."""
    folder = copy_project(tmp_path_factory.mktemp("replay") / "project")
    parse_in_parts(folder)
    return folder


def assert_incremental_equals_full(
    server: Server, project: Path, seed: int, size: Any, kinds: Sequence[str] = ()
) -> None:
    """Replay the histories of a seed.

    Args:
        server: the server.
        project: a copy of the project.
        seed: the seed.
        size: the number of histories, and of loads.
        kinds: the kinds of actions between the loads.
    """
    plan, of_prefix = make(seed, *size, kinds)
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
        f" --actions {','.join(kinds) or 'none'}"
    )
    assert not complaints, "\n".join([*told[:2], outline(plan), hint])


@pytest.mark.long
def test_incremental_equals_full(server: Server, project: Path) -> None:
    assert_incremental_equals_full(server, project, seed=1, size=(25, 8))


@pytest.mark.long
def test_incremental_equals_full_on_postgresql_16(server_16: Server, project: Path) -> None:
    assert_incremental_equals_full(server_16, project, seed=4, size=(25, 4))


FEW_KINDS = ("alias", "kill", "redefine", "swap", "truncate")


def test_incremental_equals_full_whatever_users_do(server: Server, project: Path) -> None:
    assert_incremental_equals_full(server, project, seed=3, size=(25, 3), kinds=FEW_KINDS)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 5])
def test_incremental_equals_full_whatever_else_users_do(
    server: Server, project: Path, seed: int
) -> None:
    assert_incremental_equals_full(server, project, seed, size=(25, 8), kinds=allowed_kinds())
