"""`warehouse sample`: check the arguments, generate the sample, and print what was written."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from warehouse import console, private
from warehouse.errors import WarehouseError
from warehouse.options import day, refuse_unused
from warehouse.sample.files import FORMATS
from warehouse.sample.generate import TABLES, generate
from warehouse.sample.plan import Plan

# A constant, so that the same command writes the same bytes every day.
DEFAULT_END = date(2026, 10, 31)
DEFAULT_DIRTY = 0.002
# The keys have no more digits.
MOST_USERS = 10_000_000
MOST_DAYS = 36_525
MOST_EVENTS_PER_SESSION = 1000


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
    """The plan of these arguments; raises WarehouseError if one of them is wrong."""
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
        f"Pass --start-date or --end-date, not both ({start_date}, {end_date}): the other follows "
        "from --days.",
    )
    start = None if start_date is None else day(start_date, "--start-date")
    end = None if end_date is None else day(end_date, "--end-date")
    try:
        end = start + timedelta(days=days - 1) if start else end or DEFAULT_END
        first = end - timedelta(days=days - 1)
    except OverflowError:
        raise WarehouseError(f"A history of {days} days does not fit these dates.") from None
    _check(
        first.year >= 1900 and end.year <= 2200,
        f"The history must be between 1900 and 2200, got {first} to {end}.",
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
    """Files of an earlier run in the folder; nothing else is ever removed."""
    found = [out / "truth.json", out / "truth", *out.glob("load_*")]
    found += [out / f"{name}.{kind}" for name in TABLES for kind in FORMATS]
    return [path for path in found if path.exists()]


def prepare(out: Path, *, overwrite: bool) -> None:
    """Create the folder, or remove an earlier sample from it; raises WarehouseError if it has other
    files."""
    _check(not out.exists() or out.is_dir(), f"--out must be a folder, {out} is a file.")
    if out.exists() and any(out.iterdir()):
        _check(
            overwrite,
            f"{out} is not empty. Choose another --out, or add --overwrite to replace "
            "the sample in it.",
        )
        for path in _written_before(out):
            is_folder = path.is_dir() and not path.is_symlink()
            shutil.rmtree(path) if is_folder else path.unlink()
        left = sorted(path.name for path in out.iterdir())
        _check(
            not left,
            f"{out} has files that are not part of a sample ({', '.join(left[:3])}), and "
            "--overwrite keeps them: choose another --out.",
        )
    try:
        private.make_folder(out)
    except OSError as error:
        raise WarehouseError(f"Cannot create the folder {out}: {error.strerror}.") from None


def sample(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    users: Annotated[int, typer.Option(help="Number of users.")] = 2000,
    days: Annotated[int, typer.Option(help="Days of the history.")] = 180,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 42,
    end_date: Annotated[
        str | None,
        typer.Option(help=f"Last day of the history ({DEFAULT_END}).", show_default=False),
    ] = None,
    start_date: Annotated[
        str | None,
        typer.Option(help="First day of the history, instead of --end-date.", show_default=False),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help=" | ".join(FORMATS))] = "parquet",
    loads: Annotated[
        int, typer.Option(help="Split the history into N folders load_01, load_02, ...")
    ] = 1,
    dirty: Annotated[
        float | None,
        typer.Option(
            help="Dirty rows of each kind, as a share of the table's rows (2 to 1000 rows); "
            f"default {DEFAULT_DIRTY:g}.",
        ),
    ] = None,
    no_dirty: Annotated[bool, typer.Option("--no-dirty", help="Generate clean rows only.")] = False,
    events_per_session: Annotated[
        float, typer.Option(help="Mean number of events of a session.")
    ] = 8,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the sample in the folder.")
    ] = False,
) -> None:
    """Generate the history of a fictional shop: the same arguments give the same bytes.

    `warehouse load` reads the folder; truth.json describes its rows, dirty rows included.
    """
    if no_dirty:
        refuse_unused({"--dirty": dirty}, "without --no-dirty")
        dirty = 0.0
    plan = make_plan(
        users=users,
        days=days,
        seed=seed,
        out=out,
        start_date=start_date,
        end_date=end_date,
        kind=kind,
        loads=loads,
        dirty=DEFAULT_DIRTY if dirty is None else dirty,
        events_per_session=events_per_session,
    )
    prepare(out, overwrite=overwrite)
    with console.progress(transient=True) as bar:
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
    """Print the number of rows of each table, and where the truth is."""
    dirty: dict[str, int] = {}
    for kind in truth["dirty"].values():
        dirty[kind["table"]] = dirty.get(kind["table"], 0) + kind["rows"]
    console.show_table(
        ("table", "rows", "dirty"),
        [(name, f"{rows:,}", f"{dirty.get(name, 0):,}") for name, rows in truth["rows"].items()],
        heading=f"Sample in {out}",
        numbers=("rows", "dirty"),
    )
    console.say(f"As of {truth['as_of']}; {out / 'truth.json'} describes the rows.")
