"""Read CSV: a fast parser for well-formed files, a careful one that finds the errors in others.

Both number the records in the same way, so that a row that is rejected later can be looked up.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from warehouse.load.formats.opening import BROKEN, Counted, broken, open_bytes
from warehouse.load.stage import Writer, printable, unwritable

_BLOCK = 4 << 20  # bytes that are parsed at once
_BATCH_ROWS = 20_000
_LONGEST = 64 << 20  # bytes; a longer quoted value counts as a quote that is never closed


class Suspicious(Exception):
    """The fast parser may misread this file."""


class BadHeader(Exception):
    """The header of a file cannot be read."""


@dataclass(frozen=True)
class Record:
    """A record of a CSV file: its first line, its text, its fields, or why it cannot be read."""

    line: int
    text: bytes
    fields: list[str]
    problem: str | None = None


def records(stream: BinaryIO) -> Iterator[Record]:
    """The records of a stream, without blank lines.

    A quote that is never closed spoils only its own line: reading continues with the next.
    """
    csv.field_size_limit(2**31 - 1)
    waiting: deque[bytes] = deque()
    taken: list[bytes] = []
    size = 0
    line = 1

    def lines() -> Iterator[str]:
        nonlocal size
        while size < _LONGEST:
            next_line = waiting.popleft() if waiting else stream.readline()
            if not next_line:
                break
            taken.append(next_line)
            size += len(next_line)
            yield next_line.decode("utf-8", "surrogateescape")
        taken.append(b"")  # marks a record that ended with the file

    reader = csv.reader(lines())
    while True:
        taken.clear()
        size = 0
        problem = None
        try:
            fields = next(reader, None)
        except csv.Error as error:
            fields, problem = [], str(error)
        if not taken or taken == [b""]:
            return
        if taken[-1] == b"":
            taken.pop()
            fields, problem = [], "a quote is opened and never closed"
            waiting.extendleft(reversed(taken[1:]))
            del taken[1:]
            reader = csv.reader(lines())
        elif problem:
            reader = csv.reader(lines())
        text = b"".join(taken)
        if problem or fields:
            yield Record(line, text.rstrip(b"\r\n"), fields, problem)
        line += len(taken)


def header(stream: BinaryIO) -> list[str] | None:
    """Read the header from a stream, up to the first row; returns None if the file is empty.

    Raises BadHeader, or UnicodeDecodeError if it is not UTF-8.
    """
    first = next(records(stream), None)
    if first is None:
        return None
    if b"\r" in first.text:
        raise BadHeader("its lines end in carriage returns alone")
    if first.problem:
        raise BadHeader(first.problem)
    names = first.text.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    return [name.strip().lower() for name in next(csv.reader(io.StringIO(names, newline="")))]


def stage(
    path: Path,
    wanted: list[str],
    write: Callable[[], Writer],
    advance: Callable[[int, int], None],
) -> int:
    """Write the file's rows into `incoming`; returns their number.

    Args:
        path: the file.
        wanted: the columns to write.
        write: opens the writer (a context manager); called again if the careful parser must start.
        advance: receives the bytes and the rows that were read.
    """
    try:
        return _stage_fast(path, wanted, write, advance)
    except (pa.ArrowInvalid, pa.ArrowKeyError, Suspicious, *BROKEN):
        return _stage_carefully(path, wanted, write, advance)


class _Watched(io.RawIOBase):
    """Passes a stream on, and counts what the fast parser would misread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._after_return = False
        self._quotes = 0
        # A row begins where the stream does.
        self._last = b"\n"
        self._stray_quotes = False
        self.is_empty = True
        self._lone_returns = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.is_empty = self.is_empty and not data
        self._count_quotes(data)
        if self._after_return and data[:1] != b"\n":
            self._lone_returns = True
        self._after_return = data.endswith(b"\r")
        if b"\r" in data and data.count(b"\r") - self._after_return != data.count(b"\r\n"):
            self._lone_returns = True
        return data

    def _count_quotes(self, data: bytes) -> None:
        """Count quotes, and look for one that neither opens nor closes a field.

        Every first quote of a pair opens, after a comma, a line break, or the quote that it
        doubles; every second one closes, before one of these.
        """
        around = np.frombuffer(self._last + data, np.uint8)
        places = np.flatnonzero(around[1:] == ord('"')) + 1
        if places.size or self._last == b'"':
            opening = places[self._quotes % 2 :: 2]
            closing = places[1 - self._quotes % 2 :: 2]
            # What follows a quote at the end of this block is the beginning of the next one.
            if self._last == b'"' and self._quotes % 2 == 0:
                closing = np.append(closing, 0)
            closing = closing[closing + 1 < around.size]
            beside = np.concatenate([around[opening - 1], around[closing + 1]])
            if not np.isin(beside, np.frombuffer(b',\r\n"', np.uint8)).all():
                self._stray_quotes = True
        self._quotes += places.size
        self._last = data[-1:] or self._last

    def check(self) -> None:
        """Raise Suspicious if a quote may be open at the end or is stray, or a carriage return is
        ambiguous."""
        if self._quotes % 2 or self._stray_quotes or self._lone_returns:
            raise Suspicious


def _stage_fast(path: Path, wanted: list[str], write: Callable, advance: Callable) -> int:
    counted = Counted(path)
    with open_bytes(path, counted) as stream, write() as writer:
        names = header(stream)
        columns = [f"c{number}" for number in range(len(names))]
        used = [columns[names.index(name)] for name in wanted]
        watched = _Watched(stream)
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(watched, mode="r"),
                pacsv.ReadOptions(column_names=columns, block_size=_BLOCK),
                pacsv.ParseOptions(newlines_in_values=True),
                pacsv.ConvertOptions(
                    include_columns=used,
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
        except pa.ArrowInvalid:
            if watched.is_empty:
                return 0
            raise
        for batch in reader:
            if batch.num_rows:
                writer.write(batch.columns)
                advance(counted.done, writer.rows)
        watched.check()
        return writer.rows


def _stage_carefully(path: Path, wanted: list[str], write: Callable, advance: Callable) -> int:
    counted = Counted(path)
    try:
        with open_bytes(path, counted) as stream, write() as writer:
            names = header(stream)
            places = [names.index(name) for name in wanted]
            numbers: list[int] = []
            rows: list[list[str]] = []
            size = number = 0

            def flush() -> None:
                columns = [
                    pa.array([row[place] or None for row in rows], pa.string()) for place in places
                ]
                if rows:
                    writer.write(columns, pa.array(numbers, pa.int64()))
                advance(counted.done, number)
                numbers.clear()
                rows.clear()

            for number, record in enumerate(records(stream), start=1):
                problem = record.problem or _problem(record, len(names))
                if problem:
                    writer.reject(number, problem)
                    continue
                numbers.append(number)
                rows.append(record.fields)
                size += len(record.text)
                if len(rows) >= _BATCH_ROWS or size >= _BLOCK:
                    flush()
                    size = 0
            flush()
            return number
    except BROKEN as error:
        raise broken(path, error) from None


def _problem(record: Record, expected: int) -> str | None:
    if len(record.fields) != expected:
        return f"{len(record.fields)} columns, but the header has {expected}"
    return unwritable(record.text)


def row_texts(path: Path, numbers: set[int]) -> Iterator[tuple[int, int, str]]:
    """The rows with these numbers: the number, the first line, the text."""
    left = len(numbers)
    with open_bytes(path) as stream:
        skipped = header_lines(stream)
        for number, record in enumerate(records(stream), start=1):
            if number in numbers:
                yield number, record.line + skipped, printable(record.text)
                left -= 1
                if not left:
                    return


def header_lines(stream: BinaryIO) -> int:
    """Read the header from a stream; returns its number of lines, blank ones before it included."""
    first = next(records(stream))
    return first.line - 1 + first.text.count(b"\n") + 1
