"""`warehouse sample`: checks the arguments, shows the progress and what was written."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from warehouse.errors import WarehouseError
from warehouse.sample.files import FORMATS
from warehouse.sample.generate import TABLES, generate
from warehouse.sample.plan import Plan

# A constant, so that the same command writes the same bytes on every day.
DEFAULT_END = date(2026, 10, 31)
DEFAULT_DIRTY = 0.002
# Keys are written with so many digits; more would not fit.
MOST_USERS = 10_000_000
MOST_DAYS = 36_525
MOST_EVENTS_PER_SESSION = 1000


def _day(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WarehouseError(f"{option} must be a date such as 2026-10-31, got {text!r}.") from None


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise WarehouseError(message)


def make_plan(
    *,
    users: int,
    days: int,
    seed: int,
    out: Path,
    start_date: str | None = None,
    end_date: str | None = None,
    kind: str = "parquet",
    loads: int = 1,
    dirty: float = DEFAULT_DIRTY,
    events_per_session: float = 8.0,
) -> Plan:
    """The plan of these arguments; raises a WarehouseError that names the wrong one."""
    _check(1 <= users <= MOST_USERS, f"--users must be from 1 to {MOST_USERS}, got {users}.")
    _check(1 <= days <= MOST_DAYS, f"--days must be from 1 to {MOST_DAYS}, got {days}.")
    _check(seed >= 0, f"--seed must be 0 or more, got {seed}.")
    _check(kind in FORMATS, f"--format must be one of {', '.join(FORMATS)}, got {kind!r}.")
    _check(
        1 <= loads <= days,
        f"--loads must be from 1 to the number of days ({days}), got {loads}: "
        "a load holds at least one day.",
    )
    _check(0 <= dirty <= 0.2, f"--dirty is a share from 0 to 0.2, got {dirty}.")
    _check(
        1 <= events_per_session <= MOST_EVENTS_PER_SESSION,
        f"--events-per-session must be from 1 to {MOST_EVENTS_PER_SESSION}, "
        f"got {events_per_session}.",
    )
    _check(
        start_date is None or end_date is None,
        "Give --start-date or --end-date, not both: the other follows from --days.",
    )
    start, end = _day(start_date, "--start-date"), _day(end_date, "--end-date")
    try:
        end = start + timedelta(days=days - 1) if start else end or DEFAULT_END
        first = end - timedelta(days=days - 1)
    except OverflowError:
        raise WarehouseError(f"A history of {days} days does not fit these dates.") from None
    _check(
        first.year >= 1900 and end.year <= 2200,
        f"The history must lie between 1900 and 2200, got {first} to {end}.",
    )
    return Plan(
        users=users,
        days=days,
        seed=seed,
        out=out,
        end_date=end,
        format=kind,
        loads=loads,
        dirty=dirty,
        events_per_session=events_per_session,
    )


def _written_before(out: Path) -> list[Path]:
    """What an earlier run may have left in the folder: nothing else is ever removed."""
    found = [out / "truth.json", out / "truth", *out.glob("load_*")]
    found += [out / f"{name}.{kind}" for name in TABLES for kind in FORMATS]
    return [path for path in found if path.exists()]


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make the folder empty enough to write to; raises a WarehouseError where that is unsafe."""
    _check(not out.exists() or out.is_dir(), f"--out must be a folder, {out} is a file.")
    if out.exists() and any(out.iterdir()):
        _check(
            overwrite,
            f"{out} is not empty. Name another --out, or add --overwrite to replace "
            "the sample in it.",
        )
        for path in _written_before(out):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        left = sorted(path.name for path in out.iterdir())
        _check(
            not left,
            f"{out} holds files that no sample wrote ({', '.join(left[:3])}): "
            "they stay, so name another --out.",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(f"Cannot make the folder {out}: {error.strerror}.") from None


def sample(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    users: Annotated[int, typer.Option(help="How many users sign up.")] = 2000,
    days: Annotated[int, typer.Option(help="How many days the history has.")] = 180,
    seed: Annotated[int, typer.Option(help="Another seed, another history.")] = 42,
    end_date: Annotated[
        str | None,
        typer.Option(help=f"Last day of the history ({DEFAULT_END}).", show_default=False),
    ] = None,
    start_date: Annotated[
        str | None,
        typer.Option(help="First day of the history, instead of the last.", show_default=False),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help=" | ".join(FORMATS))] = "parquet",
    loads: Annotated[
        int, typer.Option(help="Replay the history in so many folders load_01, load_02, ...")
    ] = 1,
    dirty: Annotated[
        float,
        typer.Option(
            help="Share of a table's rows that each kind of dirty rows gets (2 to 1000 rows)."
        ),
    ] = DEFAULT_DIRTY,
    no_dirty: Annotated[bool, typer.Option("--no-dirty", help="Clean rows alone.")] = False,
    events_per_session: Annotated[float, typer.Option(help="Events of a session, on average.")] = 8,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the sample that is in the folder.")
    ] = False,
) -> None:
    """Write a made-up shop's history with known truth: the same arguments, the same bytes.

    The folder is ready for `warehouse load`; truth.json says what was written, dirty rows included.
    """
    plan = make_plan(
        users=users,
        days=days,
        seed=seed,
        out=out,
        start_date=start_date,
        end_date=end_date,
        kind=kind,
        loads=loads,
        dirty=0.0 if no_dirty else dirty,
        events_per_session=events_per_session,
    )
    prepare(out, overwrite=overwrite)
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("starting", total=None)
        try:
            truth = generate(
                plan,
                lambda name, done, total: bar.update(
                    task, description=name, completed=done, total=total or None
                ),
            )
        except OSError as error:
            raise WarehouseError(f"Cannot write to {out}: {error.strerror or error}.") from None
    _show(truth, out)


def _show(truth: dict, out: Path) -> None:
    """Print the rows of each table and what the truth says."""
    dirty: dict[str, int] = {}
    for kind in truth["dirty"].values():
        dirty[kind["table"]] = dirty.get(kind["table"], 0) + kind["rows"]
    table = Table(title=f"Sample in {out}")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("of them dirty", justify="right")
    for name, rows in truth["rows"].items():
        table.add_row(name, f"{rows:,}", f"{dirty.get(name, 0):,}")
    console = Console()
    console.print(table)
    console.print(f"as of {truth['as_of']}; {out / 'truth.json'} holds the truth.", soft_wrap=True)
