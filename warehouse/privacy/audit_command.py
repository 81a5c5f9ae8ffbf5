"""`warehouse audit`: what was done with personal data, and whether the trail is whole."""

from __future__ import annotations

import json

import typer

from warehouse import console
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.privacy import audit, keys, ledger
from warehouse.privacy.session import open_session, require_state

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The audit trail of erasures, holds and exports.",
)


@app.command()
def show() -> None:
    """List the entries of the audit trail; none names a person."""
    preflight(where := settings())
    with open_session(where) as session:
        require_state(session, with_key=False)
        entries = audit.read(session)
    if not entries:
        console.say("The audit trail is empty.")
        return
    console.show_table(
        ("number", "at (UTC)", "by", "action", "details"),
        [
            (
                str(each.number),
                f"{each.recorded_at:%Y-%m-%d %H:%M}",
                each.actor,
                each.action,
                json.dumps(each.details, ensure_ascii=False),
            )
            for each in entries
        ],
        numbers=("number",),
        wrapped=("details",),
    )


@app.command()
def verify() -> None:
    """Fail if an entry of the audit trail was changed, removed or added by another hand."""
    preflight(where := settings())
    of = keys.read_keys()
    with open_session(where, of) as session:
        require_state(session)
        entries = audit.read(session)
        path = ledger.file_of(session.info.dbname)
    noted = ledger.read_file(path)
    audit.verify(entries, noted[-1].last_entry if noted else None, of)
    console.say(f"The {len(entries)} entries of the audit trail are as they were written.")
