"""Read Parquet: every value as a text that PostgreSQL then parses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import WarehouseError
from warehouse.load.formats.opening import Counted

_BATCH_ROWS = 8_192


def columns(path: Path) -> tuple[list[str], int]:
    """The names of the file's columns and the number of its rows."""
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow.names, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> WarehouseError:
    shown = " ".join(str(error).split())[:200]
    return WarehouseError(f"{path} is not a readable Parquet file: {shown}")


def stage(path: Path, wanted: list[str], write: Callable, advance: Callable) -> int:
    """Write the file's rows into `incoming`; returns their number. Arguments as in `csv`."""
    counted = Counted(path)
    with write() as writer:
        try:
            with pq.ParquetFile(pa.PythonFile(_Seekable(path, counted), mode="r")) as file:
                names = {name.strip().lower(): name for name in file.schema_arrow.names}
                used = [names[name] for name in wanted]
                for batch in file.iter_batches(_BATCH_ROWS, columns=used):
                    writer.write([as_text(batch.column(name)) for name in used])
                    advance(counted.done, writer.rows)
        except (pa.ArrowException, OSError) as error:
            raise _broken(path, error) from None
        return writer.rows


class _Seekable:
    """A file that counts the bytes that were read and can seek."""

    def __init__(self, path: Path, counted: Counted) -> None:
        self._file = path.open("rb")
        self._counted = counted

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._counted.done += len(data)
        return data

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def as_text(column: pa.Array) -> pa.Array:
    """A column as strings: times in UTC, numbers exact, nested values as JSON."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if pa.types.is_nested(kind):
        return pa.array(
            [None if value is None else _json(value) for value in column.to_pylist()], pa.string()
        )
    if pa.types.is_timestamp(kind):
        # Without its zone the value is UTC; text with a zone would need a time zone database on
        # this machine.
        return column.cast(pa.timestamp(kind.unit)).cast(pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # The writer checks for UTF-8, row by row.
        return column.cast(pa.binary()).view(pa.string())
    return column.cast(pa.string())


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
