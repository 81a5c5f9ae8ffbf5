"""`warehouse hold`: persons who must not be erased, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from warehouse import console
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.privacy import audit, keys
from warehouse.privacy.session import open_session, require_state

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Legal holds: persons who must not be erased, with the reason.",
)


@app.command()
def add(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="Who must not be erased.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, such as the number of a case.")],
) -> None:
    """Stop the erasure of a person until the hold is released."""
    if not user_id.strip() or not reason.strip():
        raise WarehouseError("A hold needs a USER_ID and a --reason that are not empty.")
    preflight(where := settings())
    of = keys.read_keys()
    with open_session(where, of) as session:
        require_state(session)
        with session.transaction():
            session.execute("lock table privacy.legal_holds in share row exclusive mode")
            held = session.execute(
                "select reason from privacy.legal_holds where user_id = %s and released_at is null",
                [user_id],
            ).fetchone()
            if held:
                raise WarehouseError(f"{user_id} is held already: {held[0]}.")
            session.execute(
                "insert into privacy.legal_holds (user_id, reason, held_by, held_at)"
                " values (%s, %s, session_user, now())",
                [user_id, reason],
            )
            audit.record(session, "hold", {"reason": reason}, of)
    console.say(f"{user_id} is held, and will not be erased.")


@app.command()
def release(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="Whose hold ends.")],
) -> None:
    """End the hold of a person; who asked to be erased is erased by the next build."""
    preflight(where := settings())
    of = keys.read_keys()
    with open_session(where, of) as session:
        require_state(session)
        with session.transaction():
            released = session.execute(
                "update privacy.legal_holds set released_at = now(), released_by = session_user"
                " where user_id = %s and released_at is null returning reason",
                [user_id],
            ).fetchone()
            if released is None:
                raise WarehouseError(f"{user_id} is not held; `warehouse hold list` shows who is.")
            audit.record(session, "release", {"reason": released[0]}, of)
    console.say(f"The hold of {user_id} is released.")


@app.command("list")
def show() -> None:
    """List who is held, and why."""
    preflight(where := settings())
    with open_session(where) as session:
        require_state(session, with_key=False)
        holds = session.execute(
            "select user_id, reason, held_by, to_char(held_at, 'YYYY-MM-DD')"
            " from privacy.legal_holds where released_at is null order by held_at, user_id"
        ).fetchall()
    if holds:
        console.show_table(("user_id", "reason", "held by", "since"), holds, wrapped=("reason",))
    else:
        console.say("Nobody is held.")
