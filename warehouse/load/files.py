"""Loading a folder of files."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import psycopg
from psycopg import sql

from warehouse import contract as contracts
from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.load import stage, target
from warehouse.load.apply import apply
from warehouse.load.checks import form_of, note_local_times
from warehouse.load.formats import csv, jsonl, parquet
from warehouse.load.formats.opening import BROKEN, broken, open_bytes
from warehouse.load.options import Options
from warehouse.load.report import Reporter, TableSummary
from warehouse.load.sample_guard import is_sample
from warehouse.load.sample_guard import mark as mark_sample
from warehouse.load.target import Target
from warehouse.printable import printable

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
    """One file of a table: its path, its name in messages, and its columns.

    `constants` are columns that only the names of its folders have, as in `country=DE/`.
    """

    path: Path
    name: str
    format: str
    columns: set[str] = field(default_factory=set)
    is_empty: bool = False
    constants: dict[str, str | None] = field(default_factory=dict)


@dataclass
class TableFiles:
    """The files of one table, in the order in which they are loaded."""

    table: Table
    parts: list[Part]
    unknown: list[str] = field(default_factory=list)

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
    with _readable(_shown(folder)):
        exists = folder.exists()
    if not exists:
        raise WarehouseError(
            f"{_shown(folder)} does not exist; pass the folder that contains the files."
        )
    if not folder.is_dir():
        raise WarehouseError(
            f"{_shown(folder)} is a file; pass the folder that contains the files."
        )
    allowed = ", ".join(contract.tables)
    tables = options.tables
    options.check_tables(contract)
    found: dict[str, list[Part]] = {}
    claims: dict[str, str] = {}
    hidden: list[str] = []
    for path, is_folder in _entries(folder):
        name = _shown(path.name)
        if _is_hidden(path):
            hidden.append(name)
            continue
        if is_folder:
            stem = path.name.lower()
            if stem not in contract.tables:
                if path.name not in TRUTH:
                    report.note(f"Ignored {name}/: no table has this name.")
                continue
            if tables and stem not in tables:
                continue
            parts = _parts(path, folder, report)
            if not parts:
                report.warn(f"{name}/ contains no data file: {stem} is not loaded.")
                continue
        else:
            split = split_name(path)
            if split is None:
                if path.name not in TRUTH:
                    report.note(f"Ignored {name}: not a data file ({', '.join(FORMATS)}).")
                continue
            stem, kind = split
            if tables and stem not in tables and stem in contract.tables:
                continue
            if stem not in contract.tables:
                raise WarehouseError(
                    f"{name}: {stem!r} is not a table of the contract; allowed: {allowed}. "
                    "Put the parts of a table into a folder with its name. Nothing was loaded."
                )
            _check_file(path, name)
            parts = [Part(path, name, kind)]
        if stem in claims:
            raise WarehouseError(
                f"{claims[stem]} and {name} are both for the table {stem}; keep one, or "
                f"put them as parts into a folder {stem}/. Nothing was loaded."
            )
        claims[stem] = name
        found[stem] = parts
    _note_hidden(hidden, report)
    missing = [name for name in tables if name not in found]
    if missing:
        raise WarehouseError(
            f"{_shown(folder)} has no file for {', '.join(missing)}. Nothing was loaded."
        )
    selected = [
        TableFiles(table, found[name])
        for name, table in contract.tables.items()
        if name in found and (not tables or name in tables)
    ]
    if not selected:
        raise WarehouseError(
            f"{_shown(folder)} contains no data file: name them after the tables ({allowed}), "
            f"with one of the extensions {', '.join(FORMATS)}."
        )
    for each in selected:
        _inspect(each, report)
    return selected


def _shown(path: Path | str) -> str:
    return printable(os.fsencode(path))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn an error of the file system into a WarehouseError that names the file."""
    try:
        yield
    except OSError as error:
        raise WarehouseError(
            f"{name} cannot be read: {error.strerror or error}. Nothing of its table was loaded."
        ) from None


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What a folder contains, in the order of the names, and whether each is a folder."""
    with _readable(f"The folder {_shown(folder)}"):
        return [(path, path.is_dir()) for path in sorted(folder.iterdir())]


def _is_hidden(path: Path) -> bool:
    """Whether Spark and Hive leave the file or folder out: those of unfinished or other work."""
    return path.name.startswith((".", "_"))


def _note_hidden(names: list[str], report: Reporter) -> None:
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        report.note(f"Ignored names that begin with _ or .: {', '.join(names[:5])}{more}.")


def _check_file(path: Path, name: str) -> None:
    """Raise WarehouseError if this is no file that can be read more than once."""
    if path.is_symlink() and not path.exists():
        raise WarehouseError(
            f"{name} is a link to {_shown(path.readlink())}, which does not exist. "
            "Nothing was loaded."
        )
    with _readable(name):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise WarehouseError(
                f"{name} is a pipe, a socket or a device; a load reads regular files only. "
                "Nothing was loaded."
            )
        path.open("rb").close()


def _parts(folder: Path, top: Path, report: Reporter) -> list[Part]:
    """The parts in a table's folder, in the order of their names; links are followed."""
    parts: list[Part] = []
    hidden: list[str] = []

    def walk(inner: Path, above: tuple[Path, ...], constants: dict[str, str | None]) -> None:
        for path, is_folder in _entries(inner):
            name = _shown(path.relative_to(top))
            if _is_hidden(path):
                hidden.append(name)
            elif is_folder:
                real = path.resolve()
                if real in above:
                    report.note(f"Ignored {name}/: a link to a folder that contains it.")
                    continue
                column, equals, value = path.name.partition("=")
                own = {column.lower(): _partition_value(value)} if equals else {}
                walk(path, (*above, real), constants | own)
            elif split := split_name(path):
                _check_file(path, name)
                parts.append(Part(path, name, split[1], constants=constants))
            else:
                report.note(f"Ignored {name}: not a data file ({', '.join(FORMATS)}).")

    walk(folder, (folder.resolve(),), {})
    parts.sort(key=lambda part: part.path.relative_to(folder).parts)
    _note_hidden(hidden, report)
    return parts


def _partition_value(text: str) -> str | None:
    """The value in the name of a folder, as Hive writes it."""
    return None if text == "__HIVE_DEFAULT_PARTITION__" else unquote(text) or None


def _inspect(files: TableFiles, report: Reporter) -> None:
    """Read and check each file's header; report what the load will ignore."""
    table = files.table
    known = {*table.columns, DELETED_AT}
    for part in files.parts:
        with _readable(part.name):
            names = _header(part, known)
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
            shown = printable(", ".join(names)[:200])
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
        _note_unknown(files, part.name, [*names, *part.constants], report)
        for name in [*part.constants]:
            if name not in known or name in names or name == table.key:
                del part.constants[name]
        part.columns.update(part.constants)
    full = [part for part in files.parts if part.columns and part.format != "jsonl"]
    for part in full[1:]:
        if part.columns != full[0].columns:
            differing = sorted(part.columns ^ full[0].columns)
            raise WarehouseError(
                f"{full[0].name} and {part.name} have different columns ({', '.join(differing)}); "
                "all parts of a table need the same. Nothing was loaded."
            )
    _warn_unknown(table, files.unknown, report)


def _note_unknown(files: TableFiles, name: str, names: list[str], report: Reporter) -> list[str]:
    """Remember the names that are not in the contract; returns the new ones."""
    known = {*files.table.columns, DELETED_AT, LOADED_AT, *files.unknown}
    new = [each for each in dict.fromkeys(names) if each not in known]
    files.unknown += new
    if LOADED_AT in names:
        report.note(f"{name}: ignored the column {LOADED_AT}, which the load sets.")
    return new


def _warn_unknown(table: Table, names: list[str], report: Reporter) -> None:
    if names:
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        shown = printable(", ".join(names[:20]))
        report.warn(f"{table.name}: ignored columns that are not in the contract: {shown}{more}.")


def _header(part: Part, known: set[str]) -> list[str] | None:
    """The names of a file's columns; None if the file is empty."""
    if part.path.stat().st_size == 0:
        return None
    if part.format == "parquet":
        names, rows, problems = parquet.columns(part.path)
        part.is_empty = rows == 0
        for name, problem in problems.items():
            if name.strip().lower() in known:
                raise WarehouseError(
                    f"{part.name}: the column {name} has the type {problem}, which cannot be "
                    "loaded; write it as text. Nothing was loaded."
                )
        return [name.strip().lower() for name in names]
    _check_text(part)
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
        raise _not_utf8(part) from None
    except csv.BadHeader as error:
        raise WarehouseError(
            f"{part.name}: cannot read the header: {error}. Nothing was loaded."
        ) from None
    except BROKEN as error:
        raise broken(part.path, error) from None


def _not_utf8(part: Part) -> WarehouseError:
    return WarehouseError(
        f"{part.name} is not UTF-8 text; convert it first, for example with "
        "iconv -f LATIN1 -t UTF-8, or -f UTF-16. Nothing was loaded."
    )


def _check_text(part: Part) -> None:
    """Raise WarehouseError if a file of text is UTF-16 or 32, or compressed without saying so."""
    try:
        with open_bytes(part.path) as stream:
            start = stream.read(4)
    except BROKEN as error:
        raise broken(part.path, error) from None
    if start.startswith(b"\x1f\x8b"):
        raise WarehouseError(
            f"{part.name} is compressed; let its name end in .gz. Nothing was loaded."
        )
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise _not_utf8(part)


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
    columns, read, exact = _stage(connection, files, raw_table, report)
    missing = [name for name in table.columns if name not in columns]
    if missing and any(read):
        report.warn(
            f"{table.name}: the file has no {', '.join(missing)}; new rows get null there, "
            "existing rows keep their values."
        )

    def find_texts() -> None:
        _find_texts(connection, files)

    with target.writing(raw_table):
        note_local_times(connection, raw_table, columns, report)
        apply(
            *(connection, raw_table, columns, read, summary, options, report),
            find_texts=find_texts,
            exact=exact,
        )
    stage.drop(connection)
    summary.seconds = time.monotonic() - began
    report.finish(summary)
    return summary


def _stage(
    connection: psycopg.Connection, files: TableFiles, raw_table: Target, report: Reporter
) -> tuple[list[str], list[int], set[str]]:
    """Write the rows of all parts into `incoming`.

    Returns:
        The columns of `incoming`, the number of rows per part, and the columns whose values are
        known to have the form of their type.
    """
    table = files.table
    columns = files.columns() or [table.key]
    done = rows = 0

    def advance(part_done: int, part_rows: int) -> None:
        report.advance(done + part_done, rows + part_rows)

    types = {**table.columns, DELETED_AT: "timestamptz"}
    lines = [part for part in files.parts if part.format == "jsonl"]
    stage.create(connection, columns)
    if lines:
        jsonl.create_lines(connection)
    forms = {name: form for name in columns if (form := form_of(raw_table.types[name]))}
    doubtful = {name for part in files.parts for name in part.constants}
    read: list[int] = []
    for number, part in enumerate(files.parts):
        if part.is_empty:
            count = 0
        elif part.format == "jsonl":
            with _readable(part.name):
                count = jsonl.stage(connection, part.path, number, advance)
        else:
            wanted = [n for n in columns if n in part.columns and n not in part.constants]

            def write(number: int = number, wanted: list[str] = wanted):
                return stage.writer(connection, number, wanted, forms, doubtful)

            with _readable(part.name):
                if part.format == "csv":
                    count = csv.stage(part.path, wanted, write, advance)
                else:
                    json = {name for name in wanted if types[name] == "jsonb"}
                    count = parquet.stage(part.path, wanted, write, advance, json)
        read.append(count)
        done += part.path.stat().st_size
        rows += count
        report.advance(done, rows)
    if lines:
        report.step("reading JSON")
        jsonl.reject_unreadable(connection)
        keys = jsonl.spellings(connection, {*types})
        for name in types:
            if name in keys and name not in columns:
                connection.execute(
                    sql.SQL("alter table pg_temp.incoming add column {} text").format(
                        sql.Identifier(name)
                    )
                )
        columns = [name for name in types if name in columns or name in keys]
        late = _note_unknown(files, lines[0].name, [n for n in keys if n != LOADED_AT], report)
        _warn_unknown(table, late, report)
        jsonl.unfold(connection, {name: types[name] for name in columns}, keys)
    for number, part in enumerate(files.parts):
        for name, value in part.constants.items() if not part.is_empty else ():
            first = number << stage.ROW_BITS
            connection.execute(
                sql.SQL("update pg_temp.incoming set {} = %s where n > %s and n < %s").format(
                    sql.Identifier(name)
                ),
                (value, first, (number + 1) << stage.ROW_BITS),
            )
    return columns, read, set() if lines else {*forms} - doubtful


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
