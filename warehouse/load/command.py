"""The command `warehouse load`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from warehouse.errors import WarehouseError
from warehouse.load.database import is_database, load_database
from warehouse.load.files import load_folder
from warehouse.load.report import Reporter, TableSummary


class ConsoleReporter(Reporter):
    """Shows a bar per table while it loads, and notes and warnings as they come."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__()
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = None
        self._table = ""

    def __enter__(self) -> ConsoleReporter:
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()

    def note(self, message: str) -> None:
        super().note(message)
        if not self._quiet:
            self._console.print(f"Note: {message}", markup=False)

    def warn(self, message: str) -> None:
        super().warn(message)
        self._console.print(f"Warning: {message}", markup=False, style="yellow")

    def start(self, table: str, total: int | None) -> None:
        self._table = table
        self._task = self._progress.add_task(table, total=total, rows="")

    def advance(self, done: int, rows: int) -> None:
        task = self._progress.tasks[self._task]
        rate = rows / task.elapsed if task.elapsed else 0
        self._progress.update(
            self._task, completed=done, rows=f"{rows:,} rows, {rate:,.0f} a second"
        )

    def step(self, what: str) -> None:
        self._progress.update(self._task, description=f"{self._table}: {what}")

    def finish(self, summary: TableSummary) -> None:
        total = self._progress.tasks[self._task].total or 1
        self._progress.update(self._task, description=self._table, total=total, completed=total)


def show(summaries: list[TableSummary], console: Console) -> None:
    """Print the counts of the tables; columns that are zero everywhere are left out."""
    names = ["read", "new", "changed", "unchanged", "rejected"]
    names += [
        name
        for name in ("superseded", "duplicates", "deleted")
        if any(getattr(summary, name) for summary in summaries)
    ]
    # No frame and no wrapping, so that eight counts fit a terminal of 80 columns.
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("table", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for summary in summaries:
        counts = [f"{getattr(summary, name):,}" for name in names]
        table.add_row(summary.table, *counts)
    console.print(table)
    console.print(f"Loaded in {sum(summary.seconds for summary in summaries):.1f} s.")
    if any(summary.rejected or summary.superseded for summary in summaries):
        console.print("Rejected and superseded rows are in quarantine.rejected_rows.")


def parse_time(text: str | None) -> datetime | None:
    """The time of `--loaded-at`: ISO, UTC unless it names a zone."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise WarehouseError(
            f"--loaded-at {text!r} is no ISO timestamp; for example 2024-01-31T06:00:00Z."
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def percent(value: float, option: str) -> float:
    """A percentage of an option, from 0 to 100."""
    if not 0 <= value <= 100:
        raise WarehouseError(f"{option} {value:g} is no percentage from 0 to 100.")
    return value


def load(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER | postgresql://...",
            help="A folder of files named after the tables (users.csv, orders.parquet, "
            "events.jsonl.gz, events/part.csv ...), or a source database.",
        ),
    ],
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="The source holds the whole table: rows missing from it get _deleted_at.",
        ),
    ] = False,
    loaded_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIMESTAMP", help="Stamp the rows as if loaded then, for replaying history."
        ),
    ] = None,
    tables: Annotated[
        str | None, typer.Option(metavar="A,B", help="Load these tables only.")
    ] = None,
    max_deletes: Annotated[
        float,
        typer.Option(
            metavar="PERCENT", help="The share of a table's living rows that --complete may delete."
        ),
    ] = 50,
    max_rejected: Annotated[
        float,
        typer.Option(metavar="PERCENT", help="The share of a file's rows that may be unreadable."),
    ] = 10,
    allow_empty: Annotated[
        bool,
        typer.Option("--allow-empty", help="Let --complete take an empty file for an empty table."),
    ] = False,
    schema: Annotated[
        str, typer.Option(help="Source database: the schema that holds its tables.")
    ] = "public",
    overlap_hours: Annotated[
        float,
        typer.Option(
            metavar="HOURS",
            help="Source database: how far before the last change seen to read again.",
        ),
    ] = 24,
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="Source database: read all rows, not only later ones."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")
    ] = False,
) -> None:
    """Load files or a source database into the raw tables.

    Rows are upserted by the key of their table; rows that did not change are not rewritten; rows
    that cannot be read go to quarantine.rejected_rows. Each table is loaded whole or not at all.
    """
    if overlap_hours < 0:
        raise WarehouseError(f"--overlap-hours {overlap_hours:g} must not be negative.")
    options = {
        "complete": complete,
        "loaded_at": parse_time(loaded_at),
        "tables": tuple(name.strip() for name in (tables or "").split(",") if name.strip()),
        "max_deletes": percent(max_deletes, "--max-deletes"),
        "max_rejected": percent(max_rejected, "--max-rejected"),
        "allow_empty": allow_empty,
    }
    with ConsoleReporter(quiet=quiet) as report:
        if is_database(source):
            summaries = load_database(
                source,
                schema=schema,
                overlap_hours=overlap_hours,
                from_start=from_start,
                report=report,
                **options,
            )
        else:
            summaries = load_folder(Path(source), report=report, **options)
    if not quiet:
        show(summaries, Console(highlight=False))
