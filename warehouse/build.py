"""`warehouse build` and `warehouse marts`: run dbt, then show what it made."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse import connection, project
from warehouse.errors import WarehouseError
from warehouse.lock import build_lock

if TYPE_CHECKING:
    import psycopg

QUESTION = "select * from marts.daily_revenue order by revenue_date desc limit 7"


@dataclasses.dataclass(frozen=True)
class Mart:
    """A relation that people query, and what it answers; `rows` is None until it is built."""

    schema: str
    name: str
    question: str
    rows: int | None = None


def build(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Passed to dbt build as they are: --select user_analytics+, --full-refresh."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a build that is running; else exit with 75.")
    ] = False,
) -> None:
    """Run `dbt build` on the warehouse's database, then list the marts with their rows.

    One build of a target runs at a time. The embedded server is started when needed, your own is
    checked first; the exit code is dbt's: 1 when a model or a test failed, 2 when dbt did not get
    that far.
    """
    follow_options(arguments or [])
    where = connection.settings()
    if where.embedded:
        connection.ensure_running()
    connection.preflight(where)
    with build_lock(where, wait=wait):
        status = run_dbt(["build", *(arguments or [])])
    if status:
        raise WarehouseError(
            "dbt build failed: the lines above name the model or test; logs/dbt.log has all of it.",
            exit_code=status,
        )
    show_marts()


def marts() -> None:
    """List the marts: their rows, and the question that each answers."""
    show_marts()


def follow_options(arguments: list[str]) -> None:
    """Let dbt's options that choose the database choose ours too, so that both mean the same."""
    options = {
        "--target": "DBT_TARGET",
        "-t": "DBT_TARGET",
        "--profile": "DBT_PROFILE",
        "--profiles-dir": "DBT_PROFILES_DIR",
    }
    for position, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        if name not in options:
            continue
        following = arguments[position + 1 : position + 2]
        if given or following:
            os.environ[options[name]] = value if given else following[0]


def run_dbt(arguments: list[str]) -> int:
    """Run dbt in the project's folder; returns 0, or 1 when a node failed.

    In this process, so that a killed build ends with the session that holds its lock. Raises
    WarehouseError with exit code 2, and dbt's reason, when dbt did not get to the nodes.
    """
    from dbt.cli.main import dbtRunner

    folder = project.root()
    os.chdir(folder)
    os.environ["PWD"] = str(folder)
    answer = dbtRunner().invoke(arguments)
    if answer.exception is not None:
        reason = " ".join(str(answer.exception).split())
        raise WarehouseError(f"dbt stopped: {reason}", exit_code=2) from answer.exception
    return 0 if answer.success else 1


def show_marts() -> None:
    """Print the table of the marts, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    listed = read_marts(manifest_path())
    with connection.connect() as session:
        found = count_rows(session, listed)
    table = Table(title="The marts", title_justify="left", box=None, pad_edge=False)
    table.add_column("mart", style="bold", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("what it answers")
    for mart in found:
        table.add_row(
            f"{mart.schema}.{mart.name}",
            "not built" if mart.rows is None else f"{mart.rows:,}",
            mart.question,
        )
    console = Console(highlight=False)
    console.print()
    console.print(table)
    console.print()
    for title, command in next_steps():
        console.print(f"{title + ':':<18} {command}", markup=False, soft_wrap=True)


def next_steps() -> list[tuple[str, str]]:
    """What to do with a warehouse that stands, as commands that can be copied."""
    prefix = "" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/"
    return [
        ("Ask a question", f'{prefix}warehouse psql -c "{QUESTION}"'),
        ("Look around", f"{prefix}warehouse psql"),
        ("Docs and lineage", f"make docs, then {prefix}dbt docs serve"),
        ("Your own data", "docs/adapting.md"),
    ]


def manifest_path() -> Path:
    """Where dbt leaves its manifest: `target/` of the project, or DBT_TARGET_PATH."""
    folder = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    return (folder if folder.is_absolute() else project.root() / folder) / "manifest.json"


def read_marts(manifest: Path) -> list[Mart]:
    """The models that say which question they answer (`meta.answers`), by schema and folder.

    Raises WarehouseError when dbt has not run yet.
    """
    if not manifest.is_file():
        raise WarehouseError(
            f"There is no {manifest.name} of dbt yet: run `warehouse build` first."
        )
    nodes: dict[str, Any] = json.loads(manifest.read_text())["nodes"]
    models = [
        node
        for node in nodes.values()
        if node["resource_type"] == "model" and node["config"]["meta"].get("answers")
    ]
    return [
        Mart(node["schema"], node["alias"], node["config"]["meta"]["answers"])
        for node in sorted(models, key=lambda node: (node["schema"], node["path"]))
    ]


def count_rows(session: psycopg.Connection[Any], listed: list[Mart]) -> list[Mart]:
    """The same marts with their rows."""
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
