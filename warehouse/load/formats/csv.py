"""Read CSV as RFC 4180 defines it: a fast parser for well-formed files, and a careful one that
finds the errors in the others.

Both number the records in the same way, so that a row that is rejected later can be looked up.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from warehouse.load.formats.opening import BROKEN, Counted, broken, open_bytes
from warehouse.load.stage import Writer, not_utf8
from warehouse.printable import printable

_BLOCK = 4 << 20  # bytes that are parsed at once
_LINES = 1 << 18  # bytes of lines that the careful parser tries to parse at once
_BATCH_ROWS = 20_000
_LONGEST = 64 << 20  # bytes; a longer quoted value counts as a quote that is never closed
_BOM = b"\xef\xbb\xbf"

_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_PLAIN = re.compile(rb'[^",\r\n]*')
_FIELD = _QUOTED.pattern + rb'|[^",\r\n]*+'
_RECORD = re.compile(rb"(?:%b)(?:,(?:%b))*+" % (_FIELD, _FIELD))
_WHOLE = re.compile(rb'(?:^|(?<=,))"[^"]*"(?=[,\r\n]|$)')  # a quoted field within a line

# Reads the record in `_waiting`; to create a reader takes longer than to read a record.
_waiting: list[str] = []
_reader = csv.reader(iter(_waiting.pop, None))
csv.field_size_limit(2**31 - 1)

_NEVER_CLOSED = "a quote is opened and never closed"
_CLOSED_BELOW = "a quote is opened, and the quote that closes it, on a later line, does not fit"
_SWALLOWS = "a quote is opened, and the text up to the next quote looks like rows"


class Suspicious(Exception):
    """The fast parser may misread this file."""


class BadHeader(Exception):
    """The header of a file cannot be read."""


_DOUBTS = (pa.ArrowInvalid, pa.ArrowKeyError, Suspicious)


@dataclass(slots=True)
class Record:
    """A record of a CSV file: its first line, its text, its fields, or why it cannot be read."""

    line: int
    text: bytes
    fields: list[str]
    problem: str | None = None


def records(
    stream: BinaryIO, columns: int | None = None, take: Callable[[bytes], bool] | None = None
) -> Iterator[Record]:
    """The records of a stream, without blank lines.

    If a record of several lines cannot be read, the error is that of its first line, and the
    others are read again: a stray quote spoils only its own line.

    Args:
        stream: the file.
        columns: the number of columns of the header; None to read the header itself.
        take: receives lines that begin with a record, and returns whether it has read them all.
    """
    waiting: deque[bytes] = deque()
    line = 1
    # After a refusal the next lines are not offered, the more the more often it is refused.
    pause = left = 0
    while True:
        if take and not waiting:
            waiting.extend(stream.readlines(_LINES))
            if left:
                left -= 1
            elif waiting and take(b"".join(waiting)):
                pause = 0
                line += len(waiting)
                waiting.clear()
                continue
            else:
                pause = left = min(2 * pause + 1, 15)
        first = waiting.popleft() if waiting else stream.readline()
        if not first:
            return
        text = first.rstrip(b"\r\n")
        fields, problem = _fields(text)
        lines = 1
        if problem == _NEVER_CLOSED:
            taken = [first]
            if _close(taken, waiting, stream):
                whole = b"".join(taken).rstrip(b"\r\n")
                fields, problem = _fields(whole)
                if problem or (columns and len(fields) != columns):
                    problem = _CLOSED_BELOW
                elif columns and _swallows_rows(taken, columns):
                    problem = _SWALLOWS
            if problem:
                waiting.extendleft(reversed(taken[1:]))
            else:
                text, lines = whole, len(taken)
        if text:
            yield Record(line, text, [] if problem else fields, problem)
        line += lines


def _fields(text: bytes) -> tuple[list[str], str | None]:
    """The fields of a record, or its first error."""
    if b'"' not in text and b"\r" not in text:
        return text.decode("utf-8", "surrogateescape").split(","), None
    if _RECORD.fullmatch(text):
        _waiting.append(text.decode("utf-8", "surrogateescape"))
        return next(_reader), None
    place = 0
    while True:
        quoted = _QUOTED.match(text, place)
        found = quoted or _PLAIN.match(text, place)
        end = found.end()
        after = text[end : end + 1]
        if after != b",":
            if quoted:
                return [], "text after a closing quote"
            if after != b'"':
                return [], "a carriage return in a field without quotes"
            return [], _NEVER_CLOSED if end == place else "a quote in a field without quotes"
        place = end + 1


def _close(taken: list[bytes], waiting: deque[bytes], stream: BinaryIO) -> bool:
    """Take lines until the open quote may be closed; returns whether it is.

    Quotes come in pairs: those around a field, and those that stand for one quote.
    """
    size = len(taken[0])
    while size < _LONGEST:
        line = waiting.popleft() if waiting else stream.readline()
        if not line:
            break
        taken.append(line)
        size += len(line)
        if line.count(b'"') % 2:
            return True
    return False


def _swallows_rows(lines: list[bytes], columns: int) -> bool:
    """Whether two stray quotes explain these lines better than a field with line breaks.

    The first line and a later one are then rows: without that quote, they have the columns of the
    header, their first fields are of the same kind, and no blank follows a comma, as it does in
    sentences and addresses.
    """
    first = _like_row(lines[0], columns)
    return first is not None and any(_like_row(line, columns) == first for line in lines[1:])


def _like_row(line: bytes, columns: int) -> bytes | None:
    """The kind of the first field of a line that looks like a row; None if it does not."""
    line = _WHOLE.sub(b"x", line)
    if line.count(b",") != columns - 1 or b", " in line:
        return None
    key = line.rstrip(b"\r\n").replace(b'"', b"").split(b",", 1)[0]
    if not key or key.isspace():
        return None
    return b"0" if key.isdigit() else re.sub(rb"[0-9A-Za-z\x80-\xff]+", b"a", key)


def header(stream: BinaryIO) -> list[str] | None:
    """Read the header from a stream, up to the first row; returns None if the file is empty.

    Raises BadHeader, or UnicodeDecodeError if it is not UTF-8.
    """
    first = _first(stream)
    if first is None:
        return None
    if first.problem and b"\r" in first.text:
        raise BadHeader("its lines end in carriage returns alone")
    if first.problem:
        raise BadHeader(first.problem)
    first.text.decode("utf-8")
    return [_name(field) for field in first.fields]


def _first(stream: BinaryIO) -> Record | None:
    """The record of the header."""
    start = stream.peek(len(_BOM))
    if start.startswith(_BOM):
        stream.read(len(_BOM))
    return next(records(stream), None)


def _name(field: str) -> str:
    return field.strip().lower()


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
    except (*_DOUBTS, *BROKEN):
        return _stage_carefully(path, wanted, write, advance)


class _Watched(io.RawIOBase):
    """Passes a stream on, and finds what the fast parser would misread.

    It looks at whole lines: the part of a line at the end of a block waits for the next block.
    """

    def __init__(self, stream: BinaryIO, columns: int) -> None:
        self._stream = stream
        self._columns = columns
        # The line break before a line stays with it, for a quote at its beginning.
        self._waiting = b"\n"
        self._is_open = False
        self.is_empty = True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.is_empty = self.is_empty and not data
        end = data.rfind(b"\n") + 1
        if not data:
            self._check(self._waiting + b"\n")
            self._waiting = b"\n"
        elif end:
            self._check(b"".join((self._waiting, memoryview(data)[:end])))
            self._waiting = data[end - 1 :]
        else:
            self._waiting += data
        return data

    def _check(self, lines: bytes) -> None:
        """Raise Suspicious if these lines have stray quotes, ambiguous carriage returns, or a
        quoted field one of whose lines may be a row.

        The first byte is the line break before them.
        """
        # The fast parser leaves out a byte order mark at the beginning.
        if lines.startswith(b"\n" + _BOM):
            raise Suspicious
        # Counting one byte is much faster than counting two.
        if b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n"):
            raise Suspicious
        if not self._is_open and b'"' not in lines:
            return
        around = np.frombuffer(lines, np.uint8)
        quotes = np.flatnonzero(around == ord('"'))
        # Every first quote of a pair opens, after a comma, a line break, or the quote that it
        # doubles; every second one closes, before one of these.
        opening = quotes[self._is_open :: 2]
        closing = quotes[1 - self._is_open :: 2]
        beside = np.concatenate([around[opening - 1], around[closing + 1]])
        if beside.tobytes().translate(None, b',\r\n"'):
            raise Suspicious
        breaks = np.flatnonzero(around == ord("\n"))
        inside = breaks[(np.searchsorted(quotes, breaks) + self._is_open) % 2 == 1]
        for before in inside.tolist():
            end = lines.find(b"\n", before + 1)
            if lines.count(b",", before, end) >= self._columns - 1:
                raise Suspicious
        self._is_open = (self._is_open + quotes.size) % 2 == 1

    def check(self) -> None:
        """Raise Suspicious if a quote is open at the end."""
        if self._is_open or self._waiting != b"\n":
            raise Suspicious


def _batches(stream: BinaryIO, names: list[str], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    """The wanted columns of the rows of a stream, by the fast parser."""
    columns = [f"c{number}" for number in range(len(names))]
    watched = _Watched(stream, len(names))
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(watched, mode="r"),
            pacsv.ReadOptions(column_names=columns, block_size=_BLOCK),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                include_columns=[columns[names.index(name)] for name in wanted],
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid:
        if watched.is_empty:
            return
        raise
    for batch in reader:
        if batch.num_rows:
            # It may be the header again.
            if wanted[0].encode() in batch.column(0).buffers()[2].to_pybytes().lower():
                raise Suspicious
            yield batch
    watched.check()


def _take(lines: bytes, names: list[str], wanted: list[str]) -> list[pa.RecordBatch] | None:
    """The rows of these lines by the fast parser; None if it may misread them."""
    try:
        return list(_batches(io.BytesIO(lines), names, wanted))
    except _DOUBTS:
        return None


def _stage_fast(path: Path, wanted: list[str], write: Callable, advance: Callable) -> int:
    counted = Counted(path)
    with open_bytes(path, counted) as stream, write() as writer:
        for batch in _batches(stream, header(stream), wanted):
            writer.write(batch.columns)
            advance(counted.done, writer.rows)
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
                nonlocal size
                columns = [
                    pa.array([row[place] or None for row in rows], pa.string()) for place in places
                ]
                if rows:
                    writer.write(columns, pa.array(numbers, pa.int64()))
                advance(counted.done, number)
                numbers.clear()
                rows.clear()
                size = 0

            def take(lines: bytes) -> bool:
                nonlocal number
                batches = _take(lines, names, wanted)
                if batches is None:
                    return False
                flush()
                for batch in batches:
                    first, number = number + 1, number + batch.num_rows
                    writer.write(batch.columns, pa.array(range(first, number + 1), pa.int64()))
                return True

            for record in records(stream, len(names), take):
                number += 1
                problem = record.problem or _problem(record, names)
                if problem:
                    writer.reject(number, problem)
                    continue
                numbers.append(number)
                rows.append(record.fields)
                size += len(record.text)
                if len(rows) >= _BATCH_ROWS or size >= _BLOCK:
                    flush()
            flush()
            return number
    except BROKEN as error:
        raise broken(path, error) from None


def _problem(record: Record, names: list[str]) -> str | None:
    if len(record.fields) != len(names):
        return f"{len(record.fields)} columns, but the header has {len(names)}"
    if not record.text.isascii() and (problem := not_utf8(record.text)):
        return problem
    if _name(record.fields[0].removeprefix("\ufeff")) == names[0] and names == [
        _name(field.removeprefix("\ufeff")) for field in record.fields
    ]:
        return "the header again"
    return None


def row_texts(path: Path, numbers: set[int]) -> Iterator[tuple[int, int, str]]:
    """The rows with these numbers: the number, the first line, the text."""
    left = len(numbers)
    number = 0
    with open_bytes(path) as stream:
        first = _first(stream)
        skipped = first.line - 1 + first.text.count(b"\n") + 1
        names = [_name(field) for field in first.fields]

        def take(lines: bytes) -> bool:
            nonlocal number
            batches = _take(lines, names, names[:1])
            if batches is None:
                return False
            last = number + sum(batch.num_rows for batch in batches)
            if not numbers.isdisjoint(range(number + 1, last + 1)):
                return False
            number = last
            return True

        for record in records(stream, len(names), take):
            number += 1
            if number in numbers:
                yield number, record.line + skipped, printable(record.text)
                left -= 1
                if not left:
                    return
