"""Keep the generated sample out of databases that hold other people's rows.

`truth.json` marks a folder of `warehouse sample`; the table `raw._sample_loads` marks a database
into which a sample was loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse import console, contract
from warehouse.database.connection import connect
from warehouse.database.preflight import Purpose, preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.load.target import exists

GUIDE = "docs/adapting.md, step 1, says how to remove the sample"


def is_sample(folder: Path) -> bool:
    """Whether a folder is a sample, or one of its loads."""
    for place in (folder, folder.resolve().parent):
        try:
            truth = json.loads((place / "truth.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(truth, dict) and {"dirty", "rows"} <= set(truth):
            return True
    return False


def check(folder: Path | None, *, allow_sample: bool, quiet: bool) -> str:
    """Check the database before a load, and that it mixes no sample with other rows.

    Args:
        folder: the folder to load; None for a source database.
        allow_sample: load the sample all the same.
        quiet: print only warnings and errors.

    Returns:
        The description of the database.

    Raises:
        WarehouseError: the database cannot be loaded into, or a sample does not belong there.
    """
    if folder is not None and not folder.is_dir():
        return ""  # the load says so, without a database
    where = settings()
    preflight(where, purpose=Purpose.LOAD, quiet=quiet)
    sample = folder is not None and is_sample(folder)
    if allow_sample:
        if not sample:
            raise WarehouseError(
                "--allow-sample is allowed only with a folder of `warehouse sample`."
            )
        return where.description
    with connect(where, autocommit=True) as session:
        marked = exists(session, _mark())
        if sample and not where.embedded:
            raise WarehouseError(
                f"{folder} holds the generated sample, and the database is not the embedded "
                f"server's: {where.description}. Nothing was loaded. Its invented rows would count "
                "as yours; if that is what you want, add --allow-sample."
            )
        if sample and not marked and _has_rows(session):
            raise WarehouseError(
                f"{folder} holds the generated sample, and {where.description} already holds other "
                "rows. Nothing was loaded. To mix them, add --allow-sample."
            )
        if marked and not sample:
            console.say(
                "Warning: this database holds the generated sample: your rows and its invented "
                f"ones are mixed in all marts. {GUIDE}.",
                style="yellow",
                stderr=True,
            )
    return where.description


def mark(session: psycopg.Connection) -> None:
    """Mark the database as one that holds the sample."""
    if not exists(session, _mark()):
        session.execute(
            sql.SQL("create table if not exists {} (loaded_at timestamptz not null)").format(
                _mark()
            )
        )
    session.execute(
        sql.SQL("insert into {} (loaded_at) values (clock_timestamp())").format(_mark())
    )


def _mark() -> sql.Identifier:
    return sql.Identifier(contract.read().schema, "_sample_loads")


def _has_rows(session: psycopg.Connection) -> bool:
    given = contract.read()
    for name in given.tables:
        table = sql.Identifier(given.schema, name)
        if exists(session, table) and session.execute(
            sql.SQL("select exists (select from {})").format(table)
        ).fetchone() == (True,):
            return True
    return False
