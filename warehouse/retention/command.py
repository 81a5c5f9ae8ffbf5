"""`warehouse retain`: drop partitions that are older than their model keeps them.

A model sets `retain: {months: 24}` beside its `partition_by`. The command lists the expired
partitions; with `--apply` it detaches each of them, writes it to a file (`--export`), and drops it.
It logs the keys of its rows in `observability.key_changes`, so that the next build recomputes them,
and the partition in `observability.expired_partitions`.

One transaction detaches the partition, logs its keys and logs the partition. If a run is killed
after that transaction, the detached table remains; the next run exports and drops it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse import console
from warehouse.database.build_lock import build_lock
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.options import moment_of, refuse_unused
from warehouse.retention.archive import finish
from warehouse.retention.detach import detach
from warehouse.retention.policy import (
    Partition,
    Policy,
    find_expired,
    find_unfinished,
    read_plan,
)


def retain(
    apply: Annotated[
        bool, typer.Option("--apply", help="Drop them. Without this option, only list them.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="With --apply: write each partition to this folder as gzipped CSV, then drop it.",
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="Expire as of the end of this day (in time_zone); default now."
        ),
    ] = None,
) -> None:
    """Drop partitions that are older than their model keeps them (`retain`)."""
    if not apply:
        refuse_unused({"--export": export}, "with --apply, which drops what is exported")
    moment = moment_of(as_of)
    where = settings()
    preflight(where)
    with build_lock(where, wait=False):
        plan = read_plan()
        policies = plan.policies
        with connect(where) as session:
            session.execute("set timezone = 'UTC'")
            session.execute(plan.setup)
            unfinished = find_unfinished(session, policies)
            expired = [
                partition
                for policy in policies
                for partition in find_expired(session, policy, moment)
            ]
            session.commit()
            show(policies, expired, unfinished)
            if not apply:
                return
            for partition in expired:
                detach(session, partition)
            for name, policy in {
                **unfinished,
                **{partition.name: partition.policy for partition in expired},
            }.items():
                finish(session, name, policy, export)
    done = len(expired) + len(unfinished)
    if done:
        console.say(
            f"Dropped {done} partitions. Run `warehouse build` to recompute what used them."
        )


def show(policies: list[Policy], expired: list[Partition], unfinished: dict[str, Policy]) -> None:
    """Print what the models keep, and the partitions that have expired."""
    if not policies:
        console.say("No model sets `retain`: everything is kept. docs/retention.md explains it.")
        return
    for policy in policies:
        number = sum(partition.policy == policy for partition in expired)
        console.say(f"{policy.model} keeps {policy.retention}: {number} partitions have expired.")
    if expired:
        console.show_table(
            ("partition", "from", "before", "size"),
            [
                (
                    partition.name,
                    partition.lower_bound[:10],
                    partition.upper_bound[:10],
                    f"{partition.byte_count / 2**20:,.1f} MiB",
                )
                for partition in expired
            ],
            numbers=("size",),
        )
    for name in unfinished:
        console.say(f"An earlier run detached {name} and did not drop it.")
    if expired or unfinished:
        console.say("--apply drops them. Without it, nothing is changed.")
