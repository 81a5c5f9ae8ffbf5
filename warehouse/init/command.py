"""`warehouse init`: propose a mapping of an application's tables, check it, and apply it."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg import conninfo, sql

from warehouse import console, mapping, project
from warehouse import contract as contracts
from warehouse.contract import Contract
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.init import apply as views
from warehouse.init import catalogue, files, guess
from warehouse.init.check import check
from warehouse.init.guess import NONE, OPEN, Choices, Proposal
from warehouse.init.words import STATUSES
from warehouse.load.source import connected, is_database, with_plain_scheme
from warehouse.options import refuse_unused

_ROWS = 10_000  # the rows in which nulls are counted


def init(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[postgresql://...]",
            help="The application's database; without it, the warehouse's own database.",
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="The schema of the application's tables; default public of a source."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE=NAME",
            help="Take this table of the source, as in users=customers or users=crm.people; "
            "may be repeated.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="The zone of timestamps without time zone: UTC, Europe/Berlin."),
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="The currency of all orders: EUR, USD.")
    ] = None,
    amounts: Annotated[
        str | None,
        typer.Option(metavar="units|cents", help="What whole-number amounts are."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--mapping", help="The folder of the mapping; default mapping."),
    ] = None,
    empty: Annotated[
        bool,
        typer.Option("--empty", help="Write a file for each missing table, to be filled by hand."),
    ] = False,
    check_only: Annotated[
        bool, typer.Option("--check", help="Run the mapping, and say what is left to do.")
    ] = False,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Own database: create the views of the mapping in raw."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that were edited, too.")
    ] = False,
) -> None:
    """Propose a mapping of your application's tables to the warehouse's contract.

    Writes one select per table into mapping/, with the reason for each column. What cannot be known
    is null and marked OPEN. Edit the files, then check them, then load or apply them:

        warehouse init postgresql://reader@host/shop
        warehouse init postgresql://reader@host/shop --check
        warehouse load postgresql://reader@host/shop --mapping mapping

    For tables in the warehouse's own database: `warehouse init --schema NAME`, then `--check`, then
    `--apply`. Reads only the catalogue and samples; changes nothing in the source.
    """
    if source is not None and not is_database(source):
        # The address may hold a password, so that it is not repeated.
        raise WarehouseError(
            "The source must be the address of a PostgreSQL, such as "
            "postgresql://reader@host:5432/shop. For tables in the warehouse's database, use "
            "--schema."
        )
    modes = [
        name
        for name, used in (("--check", check_only), ("--apply", apply), ("--empty", empty))
        if used
    ]
    if len(modes) > 1:
        raise WarehouseError(f"Use one of {' and '.join(modes)} at a time.")
    if modes:
        refuse_unused(
            {
                "--schema": schema,
                "--table": ", ".join(table) if table else None,
                "--time-zone": time_zone,
                "--currency": currency,
                "--amounts": amounts,
                "--force": force,
            },
            f"without {modes[0]}",
        )
    if source is not None:
        source = with_plain_scheme(source)
    contract = contracts.read()
    where = mapping.folder_of(folder)
    if empty:
        refuse_unused({"The address of a source": source is not None}, "without --empty")
        _write_empty(contract, where)
    elif apply:
        refuse_unused(
            {"The address of a source": source is not None},
            "without --apply: load it with `warehouse load ADDRESS --mapping`",
        )
        preflight(settings())
        with connect() as session:
            views.apply(session, contract, mapping.read(where, contract), where)
    elif check_only:
        found = mapping.read(where, contract)
        with _source(source) as session:
            is_fine = check(session, contract, found, seeds(), is_stamped=source is None)
        _say_next(source, where, found, is_fine=is_fine)
        if not is_fine:
            raise typer.Exit(1)
    else:
        if source is None and schema is None:
            raise WarehouseError(
                "Name the source: an address (postgresql://reader@host/shop), or --schema for "
                "tables in the warehouse's own database; or use --empty, --check or --apply."
            )
        choices = Choices(
            tables=_tables(table or [], schema or "public", contract),
            time_zone=time_zone,
            currency=_currency(currency),
            day_zone=_day_zone(),
            cents=_cents(amounts),
            is_stamped=source is None,
        )
        with _source(source) as session:
            proposals, unreadable = propose(session, schema or "public", contract, choices)
        where.mkdir(parents=True, exist_ok=True)
        _write(proposals, where, source, unreadable, choices, force=force)


def seeds() -> dict[str, set[str]]:
    """The statuses and event types that the warehouse knows, by seed."""
    found = {}
    for seed, column in STATUSES.values():
        path = project.root() / "seeds" / f"{seed}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            found[seed] = {row[column].strip().lower() for row in csv.DictReader(file)}
    return found


@contextmanager
def _source(address: str | None) -> Iterator[psycopg.Connection]:
    """A read-only connection to the source, with a limit on the time of each query."""
    if address is not None:
        with connected(address) as session:
            catalogue.bound(session)
            yield session
        return
    with connect() as session:
        session.read_only = True
        catalogue.bound(session)
        yield session
        session.rollback()


def propose(
    session: psycopg.Connection, schema: str, contract: Contract, choices: Choices
) -> tuple[list[Proposal], tuple[str, ...]]:
    if choices.time_zone:
        # PostgreSQL also takes UTC+3, which lies west, and IST, which has several meanings.
        row = session.execute(
            "select exists (select from pg_timezone_names where lower(name) = lower(%s))",
            (choices.time_zone,),
        ).fetchone()
        if row != (True,):
            raise WarehouseError(
                "--time-zone must be UTC, or the name of a region and city such as Europe/Berlin, "
                f"got {choices.time_zone!r}."
            )

    def values(relation: catalogue.Relation, column: catalogue.Column) -> list | None:
        return catalogue.values(session, relation, column)

    def nulls(relation: catalogue.Relation, columns: list[catalogue.Column]) -> dict[str, float]:
        counts = sql.SQL(", ").join(
            sql.SQL("count({})").format(sql.SQL(column.sql)) for column in columns
        )
        names = sql.SQL(", ").join(sql.SQL(column.sql) for column in columns)
        query = sql.SQL("select count(*), {} from (select {} from {} limit {}) as sampled").format(
            counts, names, sql.SQL(relation.sql), sql.Literal(_ROWS)
        )
        try:
            with session.transaction():
                total, *given = session.execute(query).fetchone() or (0,)
        except psycopg.Error:  # it took too long, or a policy forbids it
            return {}
        return {
            column.name: 1 - count / total if total else 0
            for column, count in zip(columns, given, strict=True)
        }

    found = catalogue.read(session, schema, choices.tables.values())
    return guess.propose(contract, found, choices, seeds(), values, nulls), found.unreadable


def _tables(named: list[str], schema: str, contract: Contract) -> dict[str, str]:
    found = {}
    for text in named:
        table, _, name = text.partition("=")
        if table not in contract.tables or not name:
            raise WarehouseError(
                f"--table must be TABLE=NAME with a table of the contract "
                f"({', '.join(contract.tables)}), got {text!r}."
            )
        found[table] = name if "." in name else f"{schema}.{name}"
    return found


def _currency(text: str | None) -> str | None:
    if text is None:
        return None
    if len(text) != 3 or not text.isascii() or not text.isalpha():
        raise WarehouseError(f"--currency must be a code of three letters, got {text!r}.")
    return text.upper()


def _day_zone() -> str:
    """The zone whose days the models count: the variable `time_zone`, or UTC."""
    try:
        return project.variable("time_zone") or "UTC"
    except WarehouseError:
        return "UTC"


def _cents(text: str | None) -> bool | None:
    if text not in (None, "units", "cents"):
        raise WarehouseError(f"--amounts must be units or cents, got {text!r}.")
    return None if text is None else text == "cents"


def _write(
    proposals: list[Proposal],
    folder: Path,
    source: str | None,
    unreadable: tuple[str, ...],
    choices: Choices,
    *,
    force: bool,
) -> None:
    rows, kept = [], []
    for each in proposals:
        is_found = each.relation is not None or each.confidence == OPEN
        if not is_found:
            path = folder / f"{each.table.name}.sql"
            reason = each.reason
            if path.exists():
                # An earlier run found it, perhaps in another schema.
                if files.is_unedited(mapping.read_text(path)):
                    path.unlink()
                    reason += "; removed its file, which nobody edited"
                else:
                    reason += "; its file was edited and is kept"
            rows.append((each.table.name, "", "not found", "", "", reason))
            continue
        done = files.write(folder, each, force=force)
        if done == "kept, edited":
            kept.append(each.table.name)
        text = mapping.read_text(folder / f"{each.table.name}.sql")
        columns = each.table.columns
        filled = sum(
            guess.confidence not in (NONE, OPEN)
            for guess in each.guesses
            if guess.column in columns
        )
        rows.append(
            (
                each.table.name,
                each.relation.shown if each.relation else "",
                each.confidence,
                f"{filled} of {len(columns)}",
                str(text.count(f"-- {OPEN}")),
                done if done == "kept, edited" else each.reason,
            )
        )
    console.show_table(
        ("table", "from", "confidence", "columns", "open", "reason"),
        rows,
        numbers=("columns", "open"),
        wrapped=("reason",),
    )
    if unreadable:
        console.say(
            f"Not readable for this user, and left out: {', '.join(unreadable)}.", style="yellow"
        )
    for each in proposals:
        if each.relation is not None and each.relation.hides_rows:
            console.say(
                f"Row-level security of {each.relation.shown} may hide rows from this user.",
                style="yellow",
            )
    _say_unused(proposals, choices)
    # Those of files that are kept are decided by hand.
    written = [each for each in proposals if each.table.name not in kept]
    for text in _costs(written, is_stamped=source is None):
        console.say(text)
    for option, count in _missing_options(written).items():
        columns = "1 column waits" if count == 1 else f"{count} columns wait"
        console.say(f"{columns} for one answer: run this again with {option}.")
    if kept:
        console.say(f"Kept {', '.join(kept)}: edited. --force replaces them.")
    console.say(
        f"\nThe files are in {_shown(folder)}. Decide what is marked OPEN and delete the mark, "
        "then run:"
    )
    console.say(f"  {_command('init', source, folder)} --check")


def _say_unused(proposals: list[Proposal], choices: Choices) -> None:
    """Name the answers that no column took."""
    used = set().union(*(each.options for each in proposals))
    given = {
        "--time-zone": (choices.time_zone, "no timestamp without time zone"),
        "--currency": (choices.currency, "no orders without a column of the currency"),
        "--amounts": (choices.cents, "no amount that is a whole number"),
    }
    for option, (answer, nothing) in given.items():
        if answer is not None and option not in used:
            console.say(f"{option} changed nothing: found {nothing}.", style="yellow")


def _costs(proposals: list[Proposal], *, is_stamped: bool) -> list[str]:
    """What the warehouse lacks because a column was not found."""
    columns: dict[str, list[str]] = {}
    for each in proposals:
        for column in each.guesses if each.relation is not None else []:
            without = guess.cost(each.table, column.column, is_stamped=is_stamped)
            if column.confidence == NONE and without:
                columns.setdefault(without, []).append(f"{each.table.name}.{column.column}")
    return [f"Without {', '.join(names)}, {without}."
            for without, names in columns.items()]  # fmt: skip


def _missing_options(proposals: list[Proposal]) -> dict[str, int]:
    """Options that would answer open columns, with their number."""
    options = {"--time-zone": "--time-zone ZONE", "--amounts": "--amounts cents (or units)",
               "--currency": "--currency CODE"}  # fmt: skip
    counts: dict[str, int] = {}
    for each in proposals:
        for column in each.guesses:
            if each.relation is None or column.confidence != OPEN:
                continue
            for option, shown in options.items():
                if f"run again with {option}" in column.reason:
                    counts[shown] = counts.get(shown, 0) + 1
    return counts


def _write_empty(contract: Contract, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in contract.tables.values():
        path = folder / f"{table.name}.sql"
        if not path.exists():
            files.write(
                folder,
                guess.nothing(table, OPEN, "to be written by hand", is_stamped=False),
                force=False,
            )
            written.append(path.name)
    console.say(
        f"Wrote {', '.join(written)} into {_shown(folder)}. Delete the files of tables that you do "
        "not have."
        if written
        else f"Every table has a file in {_shown(folder)}: nothing was written."
    )


def _say_next(
    source: str | None, folder: Path, found: dict[str, mapping.Mapping], *, is_fine: bool
) -> None:
    waiting = sum(len(each.open_lines) for each in found.values())
    if not is_fine:
        console.say(f"\nCorrect the files in {_shown(folder)}, then run this again.")
    elif waiting:
        lines = "1 line is" if waiting == 1 else f"{waiting} lines are"
        console.say(f"\n{lines} still marked OPEN. Decide them, then run this again.")
    elif source is None:
        console.say(f"\nNext:\n  {_command('init', None, folder)} --apply")
    else:
        console.say(f"\nNext:\n  {_command('load', source, folder)}")


def _command(name: str, source: str | None, folder: Path) -> str:
    """A command on this source, to be run next; without the password."""
    parts = [".venv/bin/warehouse", name]
    if source is not None:
        parts.append(shlex.quote(without_password(source)))
    if name == "load" or folder != mapping.folder_of(None):
        parts += ["--mapping", _shown(folder)]
    return " ".join(parts)


def without_password(address: str) -> str:
    if not conninfo.conninfo_to_dict(address).get("password"):
        return address
    scheme, _, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    if not at or "password" in place:
        return "postgresql://..."
    return f"{scheme}://{user.partition(':')[0]}@{place}"


def _shown(folder: Path) -> str:
    try:
        return str(folder.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(folder)
