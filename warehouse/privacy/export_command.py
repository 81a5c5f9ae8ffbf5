"""`warehouse export`: everything that is held of a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse import console, dbt, private
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.privacy import audit, keys, registry
from warehouse.privacy import export as exporting
from warehouse.privacy.session import open_session, require_state


def export(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="Whose data.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write; default USER_ID.zip in this folder."),
    ] = None,
) -> None:
    """Write everything that is held of a person to a zip of JSON files, with an index page.

    The tables are those that `warehouse erase` erases from. Only you can read the file.
    """
    preflight(where := settings())
    of = keys.read_keys()
    name = "".join(each if each.isalnum() or each in "-_." else "_" for each in user_id)
    file = out or Path(f"{name}.zip")
    if file.exists():
        raise WarehouseError(f"{file} exists: remove it, or name another file with --out.")
    with open_session(where, of) as session:
        require_state(session)
        manifest = dbt.compile_project()
        held = registry.read(session, manifest)
        session.rollback()
        nodes = {**manifest["sources"], **manifest["nodes"]}
        descriptions = {key: node.get("description") or "" for key, node in nodes.items()}
        found = exporting.export(session, held, user_id, descriptions)
        if not found.rows:
            raise WarehouseError(f"The warehouse holds nothing of {user_id}.")
        with session.transaction():
            rows = sum(found.rows.values())
            audit.record(session, "export", {"relations": len(found.rows), "rows": rows}, of)
        with open(file, "xb", opener=private.opener) as target:
            target.write(found.zipped())
    console.say(f"{rows:,} rows of {len(found.rows)} relations are in {file}.")
