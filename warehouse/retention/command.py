"""`warehouse retain`: move rows from tier to tier, and delete them when their time is over.

A table sets `retain: {months: 24}`, or tiers. The command shows what has to move, and why; with
`--apply` it carries it out. Each partition is a step of its own: it is archived, the files are read
back and compared with it, and only then one transaction drops it, logs the keys of its rows for the
next build, and lets the files count. If a run is killed, the next one deletes what is unfinished.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from warehouse import console, project
from warehouse.database.build_lock import build_lock
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.options import moment_of
from warehouse.retention import store
from warehouse.retention.policy import Plan, read_plan, require_logs
from warehouse.retention.steps import Sessions, Step, carry_out, steps_of

STORE_VARIABLE = "WAREHOUSE_ARCHIVE"


def retain(
    apply: Annotated[
        bool, typer.Option("--apply", help="Carry it out. Without this option, only show the plan.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="Count ages back from the end of this day (in time_zone); default now."
        ),
    ] = None,
) -> None:
    """Move, archive and delete rows that reached the age of the next tier (`retain`)."""
    moment = moment_of(as_of)
    where = settings()
    preflight(where)
    with build_lock(where, wait=False):
        plan = read_plan()
        location = archive_store(plan)
        with connect(where) as session, connect(where, autocommit=True) as notes:
            session.execute("set timezone = 'UTC'")
            session.execute(plan.setup)
            require_logs(session, plan.policies)
            sessions = Sessions(session, notes)
            steps = steps_of(sessions, plan, location, moment)
            show(plan, steps)
            if not apply:
                return
            failures = carry_out(sessions, steps, plan)
    done = sum(step.apply is not None for step in steps) - len(failures)
    if failures:
        raise WarehouseError(
            f"{len(failures)} steps failed, as said above; what they concern is unchanged. Run the"
            " command again."
        )
    if done:
        console.say("Run `warehouse build` to recompute what used these rows.")


def archive_store(plan: Plan) -> str | None:
    """Where archived rows go: WAREHOUSE_ARCHIVE, or else the variable `archive_store`."""
    given = os.environ.get(STORE_VARIABLE) or plan.archive_store
    return store.absolute(str(given), project.root()) if given else None


def show(plan: Plan, steps: list[Step]) -> None:
    """Print what tables keep, and the steps."""
    if not plan.policies:
        console.say("No table sets `retain`: everything is kept. docs/retention.md explains it.")
        return
    for policy in plan.policies:
        console.say(f"{policy.model} keeps {policy.retention}.")
        for hold in policy.holds:
            months = f"{hold.first_month} to {hold.last_month}" if hold.first_month else "all of it"
            console.say(f"{policy.model} is held, {months}: {hold.reason}")
    if not steps:
        console.say("Nothing has reached the age of the next tier.")
        return
    console.show_table(
        ("what", "step", "rows", "size", "why"),
        [
            (
                step.what,
                step.move if step.apply else f"stays ({step.move})",
                "" if step.row_count is None else f"{step.row_count:,}",
                f"{step.byte_count / 2**20:,.1f} MiB" if step.byte_count else "",
                step.why,
            )
            for step in steps
        ],
        numbers=("rows", "size"),
        wrapped=("why",),
    )
    console.say("--apply carries it out. Without it, nothing is changed.")
