"""`warehouse pii`: where personal data is, and whether somebody sees it who may not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse import console, dbt
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.privacy import keys

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show where personal data is, and find what is not declared.",
)


@app.command()
def inventory(
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Write it to this file, as a page in Markdown."),
    ] = None,
) -> None:
    """List the columns that hold personal data, and those that show it behind a mask.

    A column of a source is tagged with meta.pii; the tag is followed through the compiled SQL of
    all models and snapshots.
    """
    from warehouse.privacy import inventory as inventories

    preflight(settings())
    found = inventories.read(dbt.compile_project())
    if write is not None:
        write.write_text(inventories.page(found), encoding="utf-8")
        return
    rows = []
    for column in sorted({*found.personal, *found.masked}):
        shown = sorted(found.personal.get(column, ()))
        masked = sorted(f"{kind} (masked)" for kind in found.masked.get(column, ()))
        readers = found.relations[column.schema, column.relation].readers
        rows.append((str(column), ", ".join([*shown, *masked]), ", ".join(readers)))
    console.show_table(
        ("column", "personal data", "readers"), rows, wrapped=("personal data", "readers")
    )


@app.command()
def create_key() -> None:
    """Create the key of pseudonyms, in a file that only you can read; an existing one stays.

    Builds give it to their sessions from then on, so that models may call the macro pseudonym.
    """
    created = keys.create_keys()
    console.say(f"The key of version {created.current} is in {keys.key_file()}. Back it up, apart.")


@app.command()
def rotate_key() -> None:
    """Add a key, with which new pseudonyms are computed; the former ones stay in the file.

    A full refresh of the models that call pseudonym gives all rows the new ones.
    """
    added = keys.add_version()
    console.say(f"The key of version {added.current} is current now, in {keys.key_file()}.")


@app.command()
def check() -> None:
    """Fail if a role that may see no personal data can read an unmasked column of it.

    Says for each such column on which way the values got there.
    """
    from warehouse.privacy import inventory as inventories

    preflight(settings())
    found = inventories.read(dbt.compile_project())
    leaks = inventories.leaks(found)
    if leaks:
        lines = "\n".join(f"- {leak}" for leak in leaks)
        raise WarehouseError(
            f"{lines}\nMask the column (docs/privacy.md#masks), or take the role out of the "
            "model's configuration `grants`."
        )
    console.say(
        f"{len(found.personal)} columns hold personal data, {len(found.masked)} show it behind a "
        "mask, and no role sees what it may not."
    )


@app.command()
def scan() -> None:
    """Look for personal data in columns that are not tagged, in samples of all text and json.

    Prints columns and kinds, never a value. Fails if there is one.
    """
    from psycopg import sql

    from warehouse.privacy import inventory as inventories
    from warehouse.privacy import scan as scans

    where = settings()
    preflight(where)
    found = inventories.read(dbt.compile_project())
    tagged = {(each.schema, each.relation, each.name) for each in found.personal}
    schemas = sorted({schema for schema, _ in found.relations})
    users = next(
        (each for each in found.relations.values() if each.unique_id.endswith(".app.users")), None
    )
    names = users and sql.SQL("select first_name, last_name from {}").format(
        sql.Identifier(users.schema, users.name)
    )
    findings, unread = [], []
    with connect(where, autocommit=True) as session:
        relations = scans.relations_in(session, schemas)
        for each in scans.scan(session, relations, tagged, names_query=names):
            (findings if isinstance(each, scans.Finding) else unread).append(each)
    for each in unread:
        console.say(f"Not scanned: {each.schema}.{each.relation}, because {each.reason}.")
    if findings:
        console.show_table(
            ("column", "kind", "share", "values"),
            [
                (
                    f"{each.schema}.{each.relation}.{each.column}",
                    each.kind,
                    f"{each.share:.1%}",
                    f"{each.sampled:,}",
                )
                for each in findings
            ],
            numbers=("share", "values"),
        )
        raise WarehouseError(
            "These columns seem to hold personal data and are not tagged: tag the source column "
            "with meta.pii (docs/privacy.md)."
        )
    console.say(f"{len(relations)} relations were scanned; no other column holds personal data.")
