"""Loading a folder of files."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse import contract as contracts
from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.load import stage, target
from warehouse.load.apply import apply
from warehouse.load.formats import csv, jsonl, parquet
from warehouse.load.formats.opening import BROKEN, broken, open_bytes
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.sample_guard import is_sample
from warehouse.load.sample_guard import mark as mark_sample
from warehouse.load.target import Target

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
}
# Files of `warehouse sample` that are not tables.
TRUTH = {"truth", "truth.json"}


@dataclass
class Part:
    """One file of a table: its path, its name in messages, and its columns."""

    path: Path
    name: str
    format: str
    columns: set[str] = field(default_factory=set)
    is_empty: bool = False


@dataclass
class TableFiles:
    """The files of one table, in the order in which they are loaded."""

    table: Table
    parts: list[Part]

    def columns(self) -> list[str]:
        """The columns of the contract that the files have, in the contract's order."""
        found = set().union(*(part.columns for part in self.parts))
        return [name for name in (*self.table.columns, DELETED_AT) if name in found]


def split_name(path: Path) -> tuple[str, str] | None:
    """The stem and the format of a data file; None for any other file."""
    name = path.name.lower()
    for extension in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(extension):
            return name.removesuffix(extension), FORMATS[extension]
    return None


def discover(
    folder: Path, contract: Contract, options: Options, report: Reporter
) -> list[TableFiles]:
    """Find the tables' files in a folder, and read the header of each.

    Args:
        folder: the folder.
        contract: the tables by name.
        options: the options of the load.
        report: receives notes and warnings.

    Raises:
        WarehouseError: a name, a header or an archive is wrong; nothing has been loaded.
    """
    address = re.match("([a-z][a-z0-9+.-]*):/", str(folder), re.IGNORECASE)
    if address:
        # The rest of the address may contain a password.
        raise WarehouseError(
            f"{address[1]}:// is not supported: a source database must be PostgreSQL, "
            "postgresql://user@host/database."
        )
    if not folder.exists():
        raise WarehouseError(f"{folder} does not exist; pass the folder that contains the files.")
    if not folder.is_dir():
        raise WarehouseError(f"{folder} is a file; pass the folder that contains the files.")
    allowed = ", ".join(contract.tables)
    tables = options.tables
    options.check_tables(contract)
    found: dict[str, list[Part]] = {}
    claims: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            stem = path.name.lower()
            if stem not in contract.tables:
                if path.name not in TRUTH:
                    report.note(f"Ignored {path.name}/: no table has this name.")
                continue
            parts = _parts(path, folder, report)
            if not parts:
                report.warn(f"{path.name}/ contains no data file: {stem} is not loaded.")
                continue
        else:
            split = split_name(path)
            if split is None:
                if path.name not in TRUTH:
                    report.note(f"Ignored {path.name}: not a data file ({', '.join(FORMATS)}).")
                continue
            stem, kind = split
            if tables and stem not in tables and stem in contract.tables:
                continue
            if stem not in contract.tables:
                raise WarehouseError(
                    f"{path.name}: {stem!r} is not a table of the contract; allowed: {allowed}. "
                    "Put the parts of a table into a folder with its name. Nothing was loaded."
                )
            parts = [Part(path, path.name, kind)]
        if stem in claims:
            raise WarehouseError(
                f"{claims[stem]} and {path.name} are both for the table {stem}; keep one, or "
                f"put them as parts into a folder {stem}/. Nothing was loaded."
            )
        claims[stem] = path.name
        found[stem] = parts
    missing = [name for name in tables if name not in found]
    if missing:
        raise WarehouseError(f"{folder} has no file for {', '.join(missing)}. Nothing was loaded.")
    selected = [
        TableFiles(table, found[name])
        for name, table in contract.tables.items()
        if name in found and (not tables or name in tables)
    ]
    if not selected:
        raise WarehouseError(
            f"{folder} contains no data file: name them after the tables ({allowed}), with one "
            f"of the extensions {', '.join(FORMATS)}."
        )
    for each in selected:
        _inspect(each, report)
    return selected


def _parts(folder: Path, top: Path, report: Reporter) -> list[Part]:
    parts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(top).as_posix()
        split = split_name(path)
        if split is None:
            report.note(f"Ignored {name}: not a data file ({', '.join(FORMATS)}).")
        else:
            parts.append(Part(path, name, split[1]))
    return parts


def _inspect(files: TableFiles, report: Reporter) -> None:
    """Read and check each file's header; report what the load will ignore."""
    table = files.table
    known = {*table.columns, DELETED_AT}
    unknown: list[str] = []
    for part in files.parts:
        names = _header(part)
        if names is None:
            part.is_empty = True
            continue
        for name in known:
            if names.count(name) > 1:
                raise WarehouseError(
                    f"{part.name} has the column {name} {names.count(name)} times. "
                    "Nothing was loaded."
                )
        if table.key not in names and not (part.is_empty and part.format == "jsonl"):
            shown = ", ".join(names)[:200]
            hint = (
                " Separate columns by commas."
                if part.format == "csv" and len(names) == 1 and any(c in names[0] for c in ";\t|")
                else ""
            )
            raise WarehouseError(
                f"{part.name} has no column {table.key}, the key of {table.name}; "
                f"it has: {shown}.{hint} Nothing was loaded."
            )
        part.columns = known.intersection(names)
        unknown += [n for n in names if n not in known and n != LOADED_AT and n not in unknown]
        if LOADED_AT in names:
            report.note(f"{part.name}: ignored the column {LOADED_AT}, which the load sets.")
    full = [part for part in files.parts if part.columns and part.format != "jsonl"]
    for part in full[1:]:
        if part.columns != full[0].columns:
            differing = sorted(part.columns ^ full[0].columns)
            raise WarehouseError(
                f"{full[0].name} and {part.name} have different columns ({', '.join(differing)}); "
                "all parts of a table need the same. Nothing was loaded."
            )
    if unknown:
        report.warn(
            f"{table.name}: ignored columns that are not in the contract: {', '.join(unknown)}."
        )


def _header(part: Part) -> list[str] | None:
    """The names of a file's columns; None if the file is empty."""
    if part.path.stat().st_size == 0:
        return None
    if part.format == "parquet":
        names, rows = parquet.columns(part.path)
        part.is_empty = rows == 0
        return [name.strip().lower() for name in names]
    if part.format == "jsonl":
        found, some = jsonl.sample(part.path)
        part.is_empty = not some
        return sorted(found)
    try:
        with open_bytes(part.path) as stream:
            names = csv.header(stream)
            part.is_empty = names is None or next(csv.records(stream), None) is None
            return names
    except UnicodeDecodeError:
        raise WarehouseError(
            f"{part.name} is not UTF-8 text; convert it first, for example with "
            "iconv -f LATIN1 -t UTF-8. Nothing was loaded."
        ) from None
    except csv.BadHeader as error:
        raise WarehouseError(
            f"{part.name}: cannot read the header: {error}. Nothing was loaded."
        ) from None
    except BROKEN as error:
        raise broken(part.path, error) from None


def check_empty(files: list[TableFiles], options: Options, report: Reporter) -> None:
    """Warn of files without rows; with --complete, refuse a table without rows."""
    for each in files:
        for part in each.parts:
            if part.is_empty:
                report.warn(f"{part.name} is empty: it has no rows.")
        if options.complete and not options.allow_empty and all(p.is_empty for p in each.parts):
            raise WarehouseError(
                f"{each.parts[0].name} is empty, and --complete would delete all of "
                f"{each.table.name}. If that is right, add --allow-empty. Nothing was loaded."
            )


def load_folder(
    folder: Path | str,
    *,
    connection: psycopg.Connection | None = None,
    complete: bool = False,
    loaded_at=None,
    tables: tuple[str, ...] = (),
    max_deletes: float | None = None,
    accept_deletes: bool = False,
    max_rejected: float = 10.0,
    allow_empty: bool = False,
    report: Reporter | None = None,
    contract: Contract | None = None,
) -> list[TableSummary]:
    """Load the files of a folder into the raw tables, each table completely or not at all.

    Args:
        folder: the folder.
        connection: to the warehouse, not in a transaction; default a new one, by the settings.
        report: receives progress and warnings.
        contract: the tables; default those of the project.
        complete, loaded_at, tables, max_deletes, accept_deletes, max_rejected, allow_empty: as in
            `Options`.

    Returns:
        The counts of each table.

    Raises:
        WarehouseError: the load was refused, or failed.
    """
    report = report or Reporter()
    contract = contract or contracts.read()
    options = Options(
        complete=complete,
        loaded_at=loaded_at,
        tables=tuple(tables),
        max_deletes=max_deletes,
        accept_deletes=accept_deletes,
        max_rejected=max_rejected,
        allow_empty=allow_empty,
    )
    files = discover(Path(folder), contract, options, report)
    check_empty(files, options, report)
    with target.session(connection) as connected:
        target.check_stamp(connected, loaded_at)
        target.create(connected, contract)
        if is_sample(Path(folder)):
            mark_sample(connected)
        targets = [target.check(connected, contract, each.table) for each in files]
        return [
            _load_table(connected, each, raw_table, options, report)
            for each, raw_table in zip(files, targets, strict=True)
        ]


def _load_table(
    connection: psycopg.Connection,
    files: TableFiles,
    raw_table: Target,
    options: Options,
    report: Reporter,
) -> TableSummary:
    began = time.monotonic()
    table = files.table
    summary = TableSummary(table.name, [part.name for part in files.parts])
    report.start(table.name, sum(part.path.stat().st_size for part in files.parts))
    columns, read = _stage(connection, files, report)
    missing = [name for name in table.columns if name not in columns]
    if missing and any(read):
        report.warn(
            f"{table.name}: the file has no {', '.join(missing)}; new rows get null there, "
            "existing rows keep their values."
        )

    def find_texts() -> None:
        _find_texts(connection, files)

    with target.writing(raw_table):
        apply(connection, raw_table, columns, read, summary, options, report, find_texts=find_texts)
    stage.drop(connection)
    summary.seconds = time.monotonic() - began
    report.finish(summary)
    return summary


def _stage(
    connection: psycopg.Connection, files: TableFiles, report: Reporter
) -> tuple[list[str], list[int]]:
    """Write the rows of all parts into `incoming`; returns its columns and the rows per part."""
    table = files.table
    columns = files.columns() or [table.key]
    done = rows = 0

    def advance(part_done: int, part_rows: int) -> None:
        report.advance(done + part_done, rows + part_rows)

    lines = [part for part in files.parts if part.format == "jsonl"]
    unseen = {*table.columns, DELETED_AT} - set(columns)
    stage.create(connection, columns)
    if lines:
        jsonl.create_lines(connection)
    read: list[int] = []
    for number, part in enumerate(files.parts):
        if part.is_empty:
            count = 0
        elif part.format == "jsonl":
            count = jsonl.stage(connection, part.path, number, unseen, advance)
        else:
            reader = csv if part.format == "csv" else parquet
            wanted = [name for name in columns if name in part.columns]

            def write(number: int = number, wanted: list[str] = wanted):
                return stage.writer(connection, number, wanted)

            count = reader.stage(part.path, wanted, write, advance)
        read.append(count)
        done += part.path.stat().st_size
        rows += count
        report.advance(done, rows)
    if lines:
        late = [c for c in (*table.columns, DELETED_AT) if c not in columns and c not in unseen]
        for name in late:
            connection.execute(
                sql.SQL("alter table pg_temp.incoming add column {} text").format(
                    sql.Identifier(name)
                )
            )
        columns = [c for c in (*table.columns, DELETED_AT) if c in columns or c in late]
        types = {**table.columns, DELETED_AT: "timestamptz"}
        report.step("reading JSON")
        jsonl.unfold(connection, {name: types[name] for name in columns})
    return columns, read


def _find_texts(connection: psycopg.Connection, files: TableFiles) -> None:
    """Add the line and the text in the file to the rejected rows."""
    connection.execute("create temporary table texts (n bigint, line bigint, row_text text)")
    for number, part in enumerate(files.parts):
        first = number << stage.ROW_BITS
        rows = connection.execute(
            """
            select n - %s from pg_temp.rejects
            where kind <> 'duplicate' and n > %s and n < %s
            """,
            (first, first, (number + 1) << stage.ROW_BITS),
        ).fetchall()
        if not rows or part.format != "csv":
            continue
        with connection.cursor().copy("copy pg_temp.texts from stdin") as copy:
            for row, line, text in csv.row_texts(part.path, {row for (row,) in rows}):
                copy.write_row((first + row, line, text))
    if any(part.format == "jsonl" for part in files.parts):
        connection.execute(
            """
            insert into pg_temp.texts (n, line, row_text)
            select lines.n, null, lines.line
            from pg_temp.lines
            inner join pg_temp.rejects on rejects.n = lines.n and rejects.kind <> 'duplicate'
            """
        )
    connection.execute(
        """
        update pg_temp.rejects
        set line = texts.line, row_text = texts.row_text
        from pg_temp.texts
        where texts.n = rejects.n
        """
    )
    # In formats other than CSV, the number of the row is the line number.
    connection.execute(
        "update pg_temp.rejects set line = n & %s where line is null",
        ((1 << stage.ROW_BITS) - 1,),
    )
    connection.execute("drop table pg_temp.texts")
