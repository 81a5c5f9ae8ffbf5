"""Replay random histories, or test the replay with mutants."""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.replay.actions import KINDS, allowed_kinds
from tests.replay.histories import Generator, History, Plan, script
from tests.replay.mutants import MUTANTS, Mutant
from tests.replay.shrink import shrink
from tests.replay.workshop import (
    Complaints,
    Contents,
    Workshop,
    load_of,
    replay,
    show,
)
from tests.support.dbt_project import copy_project, parse_in_parts
from tests.support.server import temporary_server

PER_BATCH = 25
LOADS = 8
# PostgreSQL versions by seed, so that the same version builds a batch again. The oldest supported
# version builds every fourth batch.
VERSIONS = (16, 18, 18, 18)

# Half of the batches have actions of dbt users between their loads, one half of these on the oldest
# version.
SEEDS_WITH_ACTIONS = (0, 1)

# The batches that must not find a mutant for it to survive, in addition to its own, which is first.
# The plans of 893 and 5193 contain nearly all rare features.
MUTANT_SEEDS = (111, 893, 5193, 129, 120, 107, 102)
MUTANT_HISTORIES = 40
# The same for mutants that only an action reveals; the batches have no other actions.
SEEDS_OF_ACTIONS = (7, 9, 13)
HISTORIES_OF_ACTIONS, LOADS_OF_ACTIONS = 10, 5


@contextmanager
def workshop(version: int) -> Iterator[Workshop]:
    """Start a server of this version in a temporary folder, and create a workshop on it."""
    with temporary_server(version=version) as running:
        project = copy_project(running.home.parent / "project")
        parse_in_parts(project)
        yield Workshop(running, project)


# --- Histories --------------------------------------------------------------------------------


def make(
    seed: int, count: int, loads: int, kinds: Sequence[str] = ()
) -> tuple[Plan, dict[str, History]]:
    """The plan and the histories of a seed, by their prefix.

    Args:
        seed: the seed.
        count: the number of histories.
        loads: the number of loads.
        kinds: the kinds of actions between the loads; none if empty.
    """
    generator = Generator(seed)
    plan = generator.plan(loads, kinds)
    return plan, {f"h{number}": generator.history(number, plan) for number in range(count)}


def kinds_of(seed: int) -> tuple[str, ...]:
    """The kinds of actions in the batch of a seed, if the user chose none."""
    return allowed_kinds() if seed % len(VERSIONS) in SEEDS_WITH_ACTIONS else ()


def outline(plan: Plan) -> str:
    """The plan as readable lines."""
    return "\n".join(f"  load {number}: {load}" for number, load in enumerate(plan, start=1))


def explain(
    place: Workshop, plan: Plan, of_prefix: dict[str, History], complaints: Complaints
) -> str:
    """Shrink one failing history, and describe it and its differences.

    Args:
        place: the workshop to replay in.
        plan: the plan of the histories.
        of_prefix: the histories by their prefix.
        complaints: the differences that their replay found.

    Returns:
        The history as a script of loads and actions, with its differences; or the plan and a
        message that no single history reproduces them.
    """
    # Loads after the failed one do not matter, but the last load has to be quiet.
    loads = range(load_of(complaints), len(plan) + 1)
    end = next(n for n in loads if plan[n - 1].is_quiet and plan[n - 1].builds)
    plan = plan[:end]
    of_prefix = {name: History(each.loads[:end]) for name, each in of_prefix.items()}
    with_tests = any("dbt test: " in line for lines in complaints.values() for line in lines)

    def wrong(candidate_plan: Plan, candidates: dict[str, History]) -> Complaints:
        return replay(place, candidate_plan, candidates, check="last", with_tests=with_tests)

    named = sorted((each for each in complaints if each), key=lambda name: of_prefix[name].size)
    prefix = named[0] if named else _find_culprit(wrong, plan, of_prefix)
    if prefix is None or (named and not wrong(plan, {prefix: of_prefix[prefix]})):
        told = show(next(iter(complaints.values())))
        return f"{told}\nNo single history reproduces this, only the whole batch:\n{outline(plan)}"

    def failing(candidate_plan: Plan, candidates: Sequence[History]) -> list[int]:
        of_name = {f"h{position}": each for position, each in enumerate(candidates)}
        found = wrong(candidate_plan, of_name)
        names = {name for name in found if name}
        if found and not names:
            # The build failed, or no row names a history; search the small ones first.
            small_first = sorted(of_name, key=lambda name: of_name[name].size)
            culprit = _find_culprit(wrong, candidate_plan, {n: of_name[n] for n in small_first})
            names = {culprit} if culprit else set()
        print(f"  shrinking: {len(of_name)} tried, {len(names)} fail", flush=True)
        return [position for position, name in enumerate(of_name) if name in names]

    plan, history = shrink(plan, of_prefix[prefix], failing)
    lines = itertools.chain.from_iterable(wrong(plan, {"h0": history}).values())
    return f"{script(plan, history)}\n\n{show(list(lines))}"


def _find_culprit(
    wrong: Callable[[Plan, dict[str, History]], Complaints],
    plan: Plan,
    of_prefix: dict[str, History],
) -> str | None:
    """Bisect for a history that fails alone, searching the first half first."""
    names = list(of_prefix)
    while len(names) > 1:
        half = names[: (len(names) + 1) // 2]
        fails = wrong(plan, {name: of_prefix[name] for name in half})
        names = half if fails else names[len(half) :]
    name = names[0]
    return name if wrong(plan, {name: of_prefix[name]}) else None


def run_histories(
    count: int,
    first_seed: int,
    loads: int,
    kinds: Sequence[str] | None = None,
    is_verbose: bool = False,
) -> int:
    """Replay at least `count` histories, in batches.

    Args:
        count: how many histories.
        first_seed: the seed of the first batch.
        loads: the number of loads.
        kinds: the kinds of actions in all batches; None for all kinds in half of the batches.
        is_verbose: whether to print the plan of each batch.

    Returns:
        0 if incremental equals full in all.
    """
    began = time.monotonic()
    seeds = range(first_seed, first_seed + -(-count // PER_BATCH))
    of_version: dict[int, list[int]] = {}
    for seed in seeds:
        of_version.setdefault(VERSIONS[seed % len(VERSIONS)], []).append(seed)
    for version, chosen in of_version.items():
        with workshop(version) as place:
            for seed in chosen:
                started = time.monotonic()
                chosen_kinds = kinds_of(seed) if kinds is None else kinds
                plan, of_prefix = make(seed, PER_BATCH, loads, chosen_kinds)
                if is_verbose:
                    print(f"seed {seed}:\n{outline(plan)}", flush=True)
                complaints = replay(place, plan, of_prefix, with_tests=True)
                actions = sum(len(load.actions) for load in plan)
                told = f" and {actions} actions" if actions else ""
                seconds = time.monotonic() - started
                print(
                    f"seed {seed}, PostgreSQL {version}: {PER_BATCH} histories of {loads} loads"
                    f"{told}, {seconds:.0f} s, {'DIFFERENT' if complaints else 'equal'}",
                    flush=True,
                )
                if complaints:
                    for name, lines in complaints.items():
                        print(f"{name or 'no history'}:\n{show(lines, 3)}")
                    given = "" if kinds is None else f" ACTIONS={','.join(kinds) or 'none'}"
                    command = f"make replay N={PER_BATCH} SEED={seed}{given}"
                    print(f"To reproduce: {command}\n{outline(plan)}", flush=True)
                    print(explain(place, plan, of_prefix, complaints))
                    return 1
    minutes = (time.monotonic() - began) / 60
    total = len(seeds) * PER_BATCH
    print(f"{total} histories: incremental equals full. {total / minutes:.0f} per minute.")
    return 0


# The contents of full rebuilds by load, for each batch of mutants: its seed and kinds of actions.
Rebuilds = dict[tuple[int, tuple[str, ...]], dict[int, Contents]]


# --- Mutants ----------------------------------------------------------------------------------


def run_mutants(only: str) -> int:
    """Break each mechanism, and check that the replay finds it.

    Args:
        only: comma-separated parts of names; empty for all mutants.

    Returns:
        0 if the replay finds every mutant, 1 if one survives, 2 if a part matches no name.
    """
    parts = [part.strip() for part in only.split(",") if part.strip()]
    for part in parts:
        if not any(part in mutant.name for mutant in MUTANTS):
            names = "\n  ".join(mutant.name for mutant in MUTANTS)
            print(f"No mutant name contains '{part}'. The mutants are:\n  {names}")
            return 2
    chosen = [
        mutant for mutant in MUTANTS if not parts or any(part in mutant.name for part in parts)
    ]
    survivors = []
    # A full rebuild does not use the broken mechanisms, so the original project builds it once.
    rebuilds: Rebuilds = {}
    with workshop(18) as place:
        for mutant in chosen:
            started = time.monotonic()
            found = _try(place, mutant, rebuilds)
            if not found:
                survivors.append(mutant)
            seconds = time.monotonic() - started
            print(f"{'found' if found else 'SURVIVED':8} {mutant.name} ({seconds:.0f} s)")
            print(f"         {found[:200]}" if found else "", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants found.")
    return 1 if survivors else 0


def _try(place: Workshop, mutant: Mutant, rebuilds: Rebuilds) -> str | None:
    """The first difference that a mutant causes, or None if no batch finds it."""
    size, seeds = (MUTANT_HISTORIES, LOADS), MUTANT_SEEDS
    if mutant.kinds:
        size, seeds = (HISTORIES_OF_ACTIONS, LOADS_OF_ACTIONS), SEEDS_OF_ACTIONS
    for seed in dict.fromkeys((mutant.seed, *seeds)):
        plan, of_prefix = make(seed, *size, mutant.kinds)
        batch = (seed, mutant.kinds)
        if batch not in rebuilds:
            rebuilds[batch] = {}
            wrong = replay(place, plan, of_prefix, check="all", rebuilds=rebuilds[batch])
            if wrong:
                raise SystemExit(f"seed {seed} fails without a mutant: {wrong}")
        with _broken(place, mutant):
            found = replay(place, plan, of_prefix, check="all", rebuilds=rebuilds[batch])
        if found:
            first = f"seed {seed}, {next(iter(found.values()))[0]}"
            if re.search(r"(closed the|terminating) connection|connection to server", first):
                raise SystemExit(f"The database was lost, which says nothing of a mutant: {first}")
            return first
    return None


@contextmanager
def _broken(place: Workshop, mutant: Mutant) -> Iterator[None]:
    """Let the workshop use a copy of the project with the mutant applied."""
    whole = place.project
    # A separate folder for each mutant, because parsed projects are cached by folder.
    folder = whole.parent / f"mutant-{MUTANTS.index(mutant)}"
    place.restore_project()
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("target"))
    parse_in_parts(folder)
    mutant.apply(folder)
    place.project = folder
    try:
        yield
    finally:
        place.project = whole
        shutil.rmtree(folder)


def main() -> int:
    """Parse the command line, and run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_histories = commands.add_parser("histories", help="replay random histories")
    of_histories.add_argument("count", type=int, help="how many, rounded up to batches of 25")
    of_histories.add_argument("--seed", type=int, default=1, help="random seed of the first batch")
    of_histories.add_argument("--loads", type=int, default=LOADS, help="loads per history")
    of_histories.add_argument(
        "--actions",
        default="",
        help="comma-separated kinds of actions between the loads of all batches, or none; by"
        f" default all kinds in half of the batches: {', '.join(KINDS)}",
    )
    of_histories.add_argument("--verbose", action="store_true", help="print the plan of each batch")
    of_mutants = commands.add_parser("mutants", help="check that the replay finds each mutant")
    of_mutants.add_argument("--only", default="", help="comma-separated parts of mutant names")
    given = parser.parse_args()
    # A terminated run stops its server, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.command == "mutants":
        return run_mutants(given.only)
    if given.count < 1 or given.loads < 2:
        parser.error(f"need at least 1 history of 2 loads; got {given.count} of {given.loads}")
    kinds = None
    if given.actions:
        kinds = [each.strip() for each in given.actions.split(",") if each.strip() != "none"]
        if unknown := [each for each in kinds if each not in KINDS]:
            parser.error(
                f"no kind of action is called {', '.join(unknown)}; the kinds are none or"
                f" {', '.join(KINDS)}"
            )
    return run_histories(given.count, given.seed, given.loads, kinds, given.verbose)


if __name__ == "__main__":
    sys.exit(main())
