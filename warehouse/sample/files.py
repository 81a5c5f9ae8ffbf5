"""Write tables as Parquet, CSV or JSON lines, the same bytes for the same rows."""

from __future__ import annotations

import gzip
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from warehouse import private
from warehouse.sample import columns

FORMATS = ("parquet", "csv", "csv.gz", "jsonl")
# The most rows to convert to text, or to a row group, at once: limits the memory.
SLICE = 1 << 18
# The most tables that wait for the writing thread.
WAITING = 2


class _Parquet:
    """One Parquet file; every table is at least one row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        distinct = {"event_id", "event_timestamp"}
        self._schema = schema
        self._writer = pq.ParquetWriter(
            private.create(path),
            schema,
            compression="zstd",
            compression_level=1,
            # Readers get plain columns; the dictionaries only make the writing fast.
            store_schema=False,
            use_dictionary=[name for name in schema.names if name not in distinct],
            dictionary_pagesize_limit=1 << 23,
        )

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self._schema), row_group_size=SLICE * 4)

    def close(self) -> None:
        self._writer.close()


class _Text:
    """One CSV or JSON lines file, gzipped or not."""

    def __init__(self, path: Path, kind: str) -> None:
        self._file = private.create(path).open("wb")
        # The file contains neither its name nor the time.
        self._stream: IO[bytes] = (
            gzip.GzipFile("", "wb", 5, self._file, mtime=0) if path.suffix == ".gz" else self._file
        )
        self._as_json = kind == "jsonl"
        self._is_new = True

    def write(self, table: pa.Table) -> None:
        for first in range(0, len(table), SLICE):
            part = columns.plain(table.slice(first, SLICE))
            if self._as_json:
                self._stream.write(_json_lines(part))
            else:
                pa.csv.write_csv(
                    part,
                    pa.PythonFile(self._stream, "w"),
                    pa.csv.WriteOptions(include_header=self._is_new),
                )
            self._is_new = False

    def close(self) -> None:
        if self._stream is not self._file:
            self._stream.close()
        self._file.close()


def _json_lines(table: pa.Table) -> bytes:
    """The rows as JSON objects, one per line, made column by column."""
    parts: list[pa.Array | pa.Scalar] = []
    for number, name in enumerate(table.column_names):
        column = table.column(name).combine_chunks()
        text = column.cast(pa.string())
        if name != "properties" and not (
            pa.types.is_decimal(column.type)
            or pa.types.is_integer(column.type)
            or pa.types.is_boolean(column.type)
        ):
            text = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
            text = pc.binary_join_element_wise('"', text, '"', "")
        opening = ("{" if number == 0 else ", ") + f'"{name}": '
        parts += [pa.scalar(opening), pc.fill_null(text, "null")]
    lines = pc.binary_join_element_wise(*parts, pa.scalar("}\n"), "")
    return b"".join(buffer_of(lines))


def buffer_of(lines: pa.Array | pa.ChunkedArray) -> Iterable[memoryview]:
    """The bytes of all strings, concatenated."""
    for chunk in lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]:
        if len(chunk) == 0:
            continue
        _, offsets, data = chunk.buffers()
        places = memoryview(offsets).cast("i")
        yield memoryview(data)[places[chunk.offset] : places[chunk.offset + len(chunk)]]


class Output:
    """The files of all loads. A separate thread writes them in the order of the calls, while the
    next rows are generated."""

    def __init__(self, folders: list[Path], kind: str) -> None:
        self.folders, self.kind = folders, kind
        self.rows: list[Counter[str]] = [Counter() for _ in folders]
        self._files: dict[tuple[int, str], _Parquet | _Text] = {}
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[None]] = deque()
        for folder in folders:
            private.make_folder(folder)

    @property
    def is_text(self) -> bool:
        """Whether a file can contain a value that its type does not allow."""
        return self.kind != "parquet"

    def write(self, load: int, name: str, table: pa.Table) -> None:
        """Add rows to a table's file of a load (from 0)."""
        if len(table) == 0 and (load, name) in self._files:
            return
        if (load, name) not in self._files:
            path = self.folders[load] / f"{name}.{self.kind}"
            self._files[load, name] = (
                _Text(path, self.kind) if self.is_text else _Parquet(path, table.schema)
            )
        self.rows[load][name] += len(table)
        self._do(self._files[load, name].write, table)

    def finish(self, load: int, name: str) -> None:
        """Close a file."""
        if (load, name) in self._files:
            self._do(self._files.pop((load, name)).close)

    def _do(self, job: object, *arguments: object) -> None:
        self._waiting.append(self._thread.submit(job, *arguments))
        while len(self._waiting) > WAITING:
            self._waiting.popleft().result()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for load, name in list(self._files):
                self.finish(load, name)
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown()
