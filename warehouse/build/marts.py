"""`warehouse marts`: list the marts, their rows, and the questions that they answer."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import console, dbt
from warehouse.database.connection import connect

if TYPE_CHECKING:
    import psycopg

QUESTION = "select * from marts.daily_revenue order by revenue_date desc limit 7"


@dataclasses.dataclass(frozen=True)
class Mart:
    """A mart and the question that it answers; `rows` is None until it is built."""

    schema: str
    name: str
    question: str
    rows: int | None = None


def marts() -> None:
    """List the marts: their rows, and the question that each of them answers."""
    show_marts()


def show_marts() -> None:
    """Print the table of the marts, and what to do next."""
    listed = read_marts(dbt.manifest_path())
    with connect() as session:
        found = count_rows(session, listed)
    console.say()
    console.show_table(
        ("mart", "rows", "what it answers"),
        [
            (
                f"{mart.schema}.{mart.name}",
                "not built" if mart.rows is None else f"{mart.rows:,}",
                mart.question,
            )
            for mart in found
        ],
        heading="The marts",
        numbers=("rows",),
        wrapped=("what it answers",),
        emphasized=("mart",),
    )
    console.say()
    for title, command in next_steps():
        console.say(f"{title + ':':<18} {command}")


def next_steps() -> list[tuple[str, str]]:
    """What to do with a built warehouse, as commands to copy."""
    prefix = "" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/"
    return [
        ("Ask a question", f'{prefix}warehouse psql -c "{QUESTION}"'),
        ("Look around", f"{prefix}warehouse psql"),
        ("Docs and lineage", f"make docs, then {prefix}dbt docs serve"),
        ("Your own data", "docs/adapting.md"),
    ]


def read_marts(manifest: Path) -> list[Mart]:
    """The models that people may query, by schema and folder, with the question that each answers.

    These are the models with `access: public` or `meta.answers`. Without `meta.answers`, the first
    sentence of the description stands for the question.

    Raises:
        WarehouseError: dbt has not written its manifest yet.
    """
    nodes = dbt.read_manifest(manifest)["nodes"]
    models = [
        node
        for node in nodes.values()
        if node["resource_type"] == "model"
        and (node["config"].get("access") == "public" or node["config"]["meta"].get("answers"))
    ]
    return [
        Mart(node["schema"], node["alias"], question_of(node))
        for node in sorted(models, key=lambda node: (node["schema"], node["path"]))
    ]


def question_of(node: dict[str, Any]) -> str:
    """The question that a model answers, or else the first sentence of its description."""
    (first, *_) = node["description"].strip().split(". ")
    return str(node["config"]["meta"].get("answers") or f"{first.rstrip('.')}.")


def count_rows(session: psycopg.Connection[Any], listed: list[Mart]) -> list[Mart]:
    """The marts with their numbers of rows."""
    from psycopg import sql

    counted = []
    for mart in listed:
        name = sql.Identifier(mart.schema, mart.name)
        row = session.execute("select to_regclass(%s)", [name.as_string(session)]).fetchone()
        rows = None
        if row and row[0]:
            counted_row = session.execute(
                sql.SQL("select count(*) from {}").format(name)
            ).fetchone()
            rows = counted_row[0] if counted_row else None
        counted.append(dataclasses.replace(mart, rows=rows))
    return counted
