"""`warehouse load`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from warehouse import console, dbt
from warehouse import contract as contracts
from warehouse import mapping as mappings
from warehouse.errors import WarehouseError
from warehouse.load import target
from warehouse.load.database import is_database, load_database
from warehouse.load.files import load_folder
from warehouse.load.options import DELETES_DAYS, MAX_DELETES
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.sample_guard import check
from warehouse.options import refuse_unused

MAX_REJECTED = 10.0
SCHEMA = "public"
OVERLAP_HOURS = 24.0
_LONGEST_OVERLAP = 100_000  # more than eleven years; --from-start reads everything


class ConsoleReporter(Reporter):
    """Shows a bar per table while it loads, and prints notes and warnings."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__()
        self._quiet = quiet
        self._progress = console.progress(detail=True, hidden=quiet)
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
            console.say(f"Note: {message}", stderr=True)

    def warn(self, message: str) -> None:
        super().warn(message)
        console.say(f"Warning: {message}", style="yellow", stderr=True)

    def start(self, table: str, total: int | None) -> None:
        self._table = table
        self._task = self._progress.add_task(table, total=total, detail="")

    def advance(self, done: int, rows: int) -> None:
        task = self._progress.tasks[self._task]
        rate = rows / task.elapsed if task.elapsed else 0
        self._progress.update(
            self._task, completed=done, detail=f"{rows:,} rows, {rate:,.0f} per second"
        )

    def step(self, what: str) -> None:
        self._progress.update(self._task, description=f"{self._table}: {what}")

    def finish(self, summary: TableSummary) -> None:
        total = self._progress.tasks[self._task].total or 1
        self._progress.update(self._task, description=self._table, total=total, completed=total)


def show(summaries: list[TableSummary]) -> None:
    """Print the counts of the tables; leave out columns that are zero for all of them."""
    names = ["read", "new", "changed", "unchanged", "rejected"]
    names += [
        name
        for name in ("superseded", "duplicates", "deleted")
        if any(getattr(summary, name) for summary in summaries)
    ]
    # Compact, so that eight counts fit a terminal of 80 columns.
    console.show_table(
        ("table", *names),
        [
            (summary.table, *(f"{getattr(summary, name):,}" for name in names))
            for summary in summaries
        ],
        numbers=names,
        compact=True,
    )
    console.say(f"Loaded in {sum(summary.seconds for summary in summaries):.1f} s.")
    if any(summary.rejected or summary.superseded for summary in summaries):
        console.say("Rejected and superseded rows are in quarantine.rejected_rows.")


def parse_time(text: str | None) -> datetime | None:
    """The time of `--loaded-at`: an ISO timestamp, in UTC unless it names a zone."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise WarehouseError(
            f"--loaded-at must be an ISO timestamp such as 2024-01-31T06:00:00Z, got {text!r}."
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def percent(value: float, option: str) -> float:
    """A percentage in an option.

    Raises:
        WarehouseError: it is not from 0 to 100.
    """
    if not 0 <= value <= 100:
        raise WarehouseError(f"{option} must be a percentage from 0 to 100, got {value:g}.")
    return value


def _warn_of_empty(report: Reporter) -> None:
    """Warn of tables without rows that every build needs."""
    contract = contracts.read()
    with target.session(None) as connection:
        for name in contracts.REQUIRED:
            if not target.has_rows(connection, contract, name):
                report.warn(f"{contract.schema}.{name} has no rows, and every build needs it.")


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
            help="The source has the whole table: set _deleted_at of rows that it lacks.",
        ),
    ] = False,
    loaded_at: Annotated[
        str | None,
        typer.Option(metavar="TIMESTAMP", help="Stamp the rows with this time, to replay history."),
    ] = None,
    tables: Annotated[
        str | None, typer.Option(metavar="A,B", help="Load only these tables.")
    ] = None,
    max_deletes: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="With --complete: the share of a table's rows that the loads of "
            f"{DELETES_DAYS} days may delete; default {MAX_DELETES:g}.",
        ),
    ] = None,
    accept_deletes: Annotated[
        bool,
        typer.Option("--accept-deletes", help="Let this load delete more rows than that, once."),
    ] = False,
    max_rejected: Annotated[
        float,
        typer.Option(metavar="PERCENT", help="The share of a file's rows that may be unreadable."),
    ] = MAX_REJECTED,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty", help="With --complete: read an empty file as an empty table."
        ),
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(help=f"Source database: the schema of its tables; default {SCHEMA}."),
    ] = None,
    overlap_hours: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            help="Source database: how far before the last change to read again; default "
            f"{OVERLAP_HOURS:g}.",
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Source database: read through the selects in this folder, which `warehouse init` "
            "proposes.",
        ),
    ] = None,
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="Source database: read all rows, not only changed ones."),
    ] = False,
    trust_times: Annotated[
        bool,
        typer.Option(
            "--trust-times",
            help="Source database: find changes by the time column alone, without a scan of its "
            "tables for rows that were committed late.",
        ),
    ] = False,
    allow_sample: Annotated[
        bool,
        typer.Option(
            "--allow-sample",
            help="Load the generated sample also into your own server, or beside other rows.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")] = False,
) -> None:
    """Load files or a source database into the raw tables.

    Upserts the rows by the key of their table, leaves unchanged rows untouched, and moves rows that
    cannot be read to quarantine.rejected_rows. Each table is loaded completely or not at all.
    """
    if not is_database(source):
        refuse_unused(
            {
                "--schema": schema,
                "--overlap-hours": overlap_hours,
                "--mapping": mapping,
                "--from-start": from_start,
                "--trust-times": trust_times,
            },
            "with a source database (postgresql://...), not with a folder",
        )
    if mapping is not None:
        refuse_unused({"--schema": schema}, "without --mapping, whose selects name the tables")
    if tables is not None and not tables.replace(",", "").strip():
        raise WarehouseError("--tables names no table: leave it out to load all tables.")
    if complete:
        refuse_unused({"--from-start": from_start}, "without --complete, which reads all rows")
    if not complete:
        refuse_unused(
            {"--max-deletes": max_deletes, "--allow-empty": allow_empty}, "with --complete"
        )
        if not is_database(source):
            refuse_unused({"--accept-deletes": accept_deletes}, "with --complete")
    elif max_deletes is not None:
        refuse_unused(
            {"--accept-deletes": accept_deletes}, "without --max-deletes, which it overrules"
        )
    for option, reads_all in (("--from-start", from_start), ("--complete", complete)):
        if reads_all:
            refuse_unused(
                {"--overlap-hours": overlap_hours, "--trust-times": trust_times},
                f"without {option}, which reads all rows",
            )
    if overlap_hours is not None and not 0 <= overlap_hours <= _LONGEST_OVERLAP:
        raise WarehouseError(
            f"--overlap-hours must be from 0 to {_LONGEST_OVERLAP}, got {overlap_hours:g}."
        )
    options = {
        "complete": complete,
        "loaded_at": parse_time(loaded_at),
        "tables": tuple(name.strip() for name in (tables or "").split(",") if name.strip()),
        "max_deletes": None if max_deletes is None else percent(max_deletes, "--max-deletes"),
        "accept_deletes": accept_deletes,
        "max_rejected": percent(max_rejected, "--max-rejected"),
        "allow_empty": allow_empty,
    }
    loaded = check(
        None if is_database(source) else Path(source), allow_sample=allow_sample, quiet=quiet
    )
    with ConsoleReporter(quiet=quiet) as report:
        if is_database(source):
            summaries = load_database(
                source,
                schema=SCHEMA if schema is None else schema,
                overlap_hours=OVERLAP_HOURS if overlap_hours is None else overlap_hours,
                from_start=from_start,
                trust_times=trust_times,
                report=report,
                mapping=None if mapping is None else mappings.read(mapping, contracts.read()),
                **options,
            )
        else:
            summaries = load_folder(Path(source), report=report, **options)
        if not tables:
            _warn_of_empty(report)
    dbt.remember_load(loaded)
    if not quiet:
        show(summaries)
