"""Loading a folder of files."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.load import incoming, read_csv, read_jsonl, read_parquet, target
from warehouse.load.apply import Options, apply
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.target import Target

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
}
# What `warehouse sample` writes beside the tables.
TRUTH = {"truth", "truth.json"}


@dataclass
class Part:
    """One file of a table: where it is, its name in messages, and what it holds."""

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
    """The stem and the format of a data file, null for any other file."""
    name = path.name.lower()
    for extension in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(extension):
            return name.removesuffix(extension), FORMATS[extension]
    return None


def discover(
    folder: Path, contract: Contract, tables: tuple[str, ...], report: Reporter
) -> list[TableFiles]:
    """Find the tables' files in a folder and look at the beginning of each.

    Arguments: `tables` limits the load to these, all when empty.
    Raises WarehouseError when a name, a header or an archive is wrong: nothing is loaded then.
    """
    if re.match("[a-z][a-z0-9+.-]*:/", str(folder), re.IGNORECASE):
        raise WarehouseError(
            f"{folder} is no folder, and the only source database is PostgreSQL: "
            "postgresql://user@host/database."
        )
    if not folder.exists():
        raise WarehouseError(f"{folder} does not exist; give the folder that holds the files.")
    if not folder.is_dir():
        raise WarehouseError(f"{folder} is a file; give the folder that holds the files.")
    allowed = ", ".join(contract.tables)
    unknown = [name for name in tables if name not in contract.tables]
    if unknown:
        raise WarehouseError(
            f"--tables: {', '.join(unknown)} is no table of the contract; allowed: {allowed}."
        )
    found: dict[str, list[Part]] = {}
    claims: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            stem = path.name.lower()
            if stem not in contract.tables:
                if path.name not in TRUTH:
                    report.note(f"{path.name}/ is ignored: no table of that name.")
                continue
            parts = _parts(path, folder, report)
            if not parts:
                report.warn(f"{path.name}/ holds no data file: {stem} is not loaded.")
                continue
        else:
            split = split_name(path)
            if split is None:
                if path.name not in TRUTH:
                    report.note(f"{path.name} is ignored: no data file ({', '.join(FORMATS)}).")
                continue
            stem, kind = split
            if tables and stem not in tables and stem in contract.tables:
                continue
            if stem not in contract.tables:
                raise WarehouseError(
                    f"{path.name}: {stem!r} is no table of the contract; allowed: {allowed}. "
                    "Parts of a table go into a folder of its name. Nothing was loaded."
                )
            parts = [Part(path, path.name, kind)]
        if stem in claims:
            raise WarehouseError(
                f"{claims[stem]} and {path.name} both claim the table {stem}; keep one, or put "
                f"them as parts into a folder {stem}/. Nothing was loaded."
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
            f"{folder} holds no data file: name them after the tables ({allowed}), with one of "
            f"the extensions {', '.join(FORMATS)}."
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
            report.note(f"{name} is ignored: no data file ({', '.join(FORMATS)}).")
        else:
            parts.append(Part(path, name, split[1]))
    return parts


def _inspect(files: TableFiles, report: Reporter) -> None:
    """Read each file's header, check it, and say what is odd about it."""
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
                " Columns must be separated by commas."
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
            report.note(f"{part.name}: the column {LOADED_AT} is ignored, the load sets it.")
    full = [part for part in files.parts if part.columns and part.format != "jsonl"]
    for part in full[1:]:
        if part.columns != full[0].columns:
            differing = sorted(part.columns ^ full[0].columns)
            raise WarehouseError(
                f"{full[0].name} and {part.name} do not have the same columns "
                f"({', '.join(differing)}); parts of a table must. Nothing was loaded."
            )
    if unknown:
        report.warn(
            f"{table.name}: columns that the contract does not know are ignored: "
            f"{', '.join(unknown)}."
        )


def _header(part: Part) -> list[str] | None:
    """The names of a file's columns; null when it holds nothing at all."""
    if part.path.stat().st_size == 0:
        return None
    if part.format == "parquet":
        names, rows = read_parquet.columns(part.path)
        part.is_empty = rows == 0
        return [name.strip().lower() for name in names]
    if part.format == "jsonl":
        found, some = read_jsonl.sample(part.path)
        part.is_empty = not some
        return sorted(found)
    try:
        with read_csv.open_bytes(part.path) as stream:
            names = read_csv.header(stream)
            part.is_empty = names is None or next(read_csv.records(stream), None) is None
            return names
    except UnicodeDecodeError:
        raise WarehouseError(
            f"{part.name} is not UTF-8 text; convert it first, for example with "
            "iconv -f LATIN1 -t UTF-8. Nothing was loaded."
        ) from None
    except read_csv.BadHeader as error:
        raise WarehouseError(
            f"{part.name}: the header cannot be read: {error}. Nothing was loaded."
        ) from None
    except read_csv.BROKEN as error:
        raise read_csv.broken(part.path, error) from None


def check_empty(files: list[TableFiles], options: Options, report: Reporter) -> None:
    """Warn of files without rows; refuse to take an empty table for a complete one."""
    for each in files:
        for part in each.parts:
            if part.is_empty:
                report.warn(f"{part.name} is empty: it has no rows.")
        if options.complete and not options.allow_empty and all(p.is_empty for p in each.parts):
            raise WarehouseError(
                f"{each.parts[0].name} is empty, and --complete would delete all of "
                f"{each.table.name}. If that is right, say --allow-empty. Nothing was loaded."
            )


def load_folder(
    folder: Path | str,
    *,
    connection: psycopg.Connection | None = None,
    complete: bool = False,
    loaded_at=None,
    tables: tuple[str, ...] = (),
    max_deletes: float = 50.0,
    max_rejected: float = 10.0,
    allow_empty: bool = False,
    report: Reporter | None = None,
    contract: Contract | None = None,
) -> list[TableSummary]:
    """Load the files of a folder into the raw tables; each table is loaded whole or not at all.

    Arguments: see `warehouse load --help`; `connection` to the warehouse, by default that of the
    settings (it must not be in a transaction); `report` is told of progress and warnings;
    `contract`, by default the project's.
    Returns the counts of each table. Raises WarehouseError.
    """
    from warehouse import contract as contracts

    report = report or Reporter()
    contract = contract or contracts.read()
    options = Options(
        complete=complete,
        loaded_at=loaded_at,
        tables=tuple(tables),
        max_deletes=max_deletes,
        max_rejected=max_rejected,
        allow_empty=allow_empty,
    )
    files = discover(Path(folder), contract, options.tables, report)
    check_empty(files, options, report)
    with session(connection) as connected:
        target.create(connected, contract)
        targets = [target.check(connected, contract, each.table) for each in files]
        return [
            _load_table(connected, each, fitting, options, report)
            for each, fitting in zip(files, targets, strict=True)
        ]


@contextmanager
def session(connection: psycopg.Connection | None):
    """The load's connection, in autocommit; errors of PostgreSQL become WarehouseError."""
    own = None
    if connection is None:
        from warehouse.connection import connect

        own = connection = connect()
    before = connection.autocommit
    try:
        connection.autocommit = True
        target.prepare_session(connection)
        yield connection
    except psycopg.Error as error:
        shown = error.diag.message_primary or str(error).strip().splitlines()[0]
        raise WarehouseError(f"PostgreSQL refused the load: {shown}") from error
    finally:
        if not connection.closed:
            incoming.drop(connection)
            connection.autocommit = before
        if own:
            own.close()


def _load_table(
    connection: psycopg.Connection,
    files: TableFiles,
    fitting: Target,
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
            "rows that exist keep what they have."
        )

    def find_texts() -> None:
        _find_texts(connection, files)

    apply(connection, fitting, columns, read, summary, options, report, find_texts=find_texts)
    incoming.drop(connection)
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

    jsonl = [part for part in files.parts if part.format == "jsonl"]
    unseen = {*table.columns, DELETED_AT} - set(columns)
    incoming.create(connection, columns)
    if jsonl:
        read_jsonl.create_lines(connection)
    read: list[int] = []
    for number, part in enumerate(files.parts):
        if part.is_empty:
            count = 0
        elif part.format == "jsonl":
            count = read_jsonl.stage(connection, part.path, number, unseen, advance)
        else:
            reader = read_csv if part.format == "csv" else read_parquet
            wanted = [name for name in columns if name in part.columns]

            def write(number: int = number, wanted: list[str] = wanted):
                return incoming.writer(connection, number, wanted)

            count = reader.stage(part.path, wanted, write, advance)
        read.append(count)
        done += part.path.stat().st_size
        rows += count
        report.advance(done, rows)
    if jsonl:
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
        read_jsonl.unfold(connection, {name: types[name] for name in columns})
    return columns, read


def _find_texts(connection: psycopg.Connection, files: TableFiles) -> None:
    """Give the rejected rows the line and the text that they have in their file."""
    connection.execute("create temporary table texts (n bigint, line bigint, row_text text)")
    for number, part in enumerate(files.parts):
        first = number << incoming.ROW_BITS
        rows = connection.execute(
            """
            select n - %s from pg_temp.rejects
            where kind <> 'duplicate' and n > %s and n < %s
            """,
            (first, first, (number + 1) << incoming.ROW_BITS),
        ).fetchall()
        if not rows or part.format != "csv":
            continue
        with connection.cursor().copy("copy pg_temp.texts from stdin") as copy:
            for row, line, text in read_csv.row_texts(part.path, {row for (row,) in rows}):
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
    # In a file without line numbers of its own, the row's number is that of its line.
    connection.execute(
        "update pg_temp.rejects set line = n & %s where line is null",
        ((1 << incoming.ROW_BITS) - 1,),
    )
    connection.execute("drop table pg_temp.texts")
