"""`warehouse roles`: create the roles of the warehouse, and grant what they need."""

from __future__ import annotations

from typing import Annotated

import typer

from warehouse import console, dbt
from warehouse.database.connection import connect
from warehouse.database.preflight import Purpose, preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.privacy import roles as of_warehouse


def roles(
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Run the statements. Without this option, only show them."),
    ] = False,
) -> None:
    """Show the statements that create the roles and grant what they need; --apply runs them.

    An administrator runs it once: roles belong to the server. What was built by then is granted by
    the role that owns it, and each build grants what it builds.
    """
    import psycopg

    where = settings()
    preflight(where, purpose=Purpose.ADMINISTER)
    with connect(where, autocommit=True) as session:
        if not apply:
            statements = of_warehouse.plan(session)
            for statement in statements:
                console.say(f"{statement};")
            console.say(
                "\n--apply runs these statements. Without it, nothing is changed."
                if statements
                else "Nothing is to be done: the roles exist, with their rights on the database."
            )
            return
        try:
            statements = of_warehouse.apply(session)
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"The role {session.info.user} may not do this: {error.diag.message_primary}. Let "
                "an administrator run `warehouse roles --apply`, or the statements that "
                "`warehouse roles` shows."
            ) from None
    dbt.run_operation("grant_to_roles")
    console.say(f"Ran {len(statements)} statements, and granted what the roles need so far.")
