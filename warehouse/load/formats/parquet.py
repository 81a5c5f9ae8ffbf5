"""Read Parquet: every value as a text that PostgreSQL then parses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import WarehouseError
from warehouse.load.formats.arrow import Repeated, as_text, unsupported
from warehouse.load.formats.opening import Counted

_BATCH_ROWS = 8_192


def columns(path: Path) -> tuple[list[str], int, dict[str, str]]:
    """The names of the file's columns, the number of its rows, and the types that have no text."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            problems = {field.name: unsupported(field.type) for field in schema}
            for number in range(len(file.schema)):
                leaf = file.schema.column(number)
                # pyarrow shows it as 12 bytes.
                if leaf.converted_type == "INTERVAL":
                    problems[leaf.path.split(".")[0]] = "interval"
            found = {name: problem for name, problem in problems.items() if problem}
            return schema.names, file.metadata.num_rows, found
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> WarehouseError:
    shown = " ".join(str(error).split())[:200]
    return WarehouseError(f"{path} is not a readable Parquet file: {shown}")


def stage(path: Path, wanted: list[str], write: Callable, advance: Callable, json: set[str]) -> int:
    """Write the file's rows into `incoming`; returns their number.

    Args:
        path, wanted, write, advance: as in `csv`.
        json: the columns that PostgreSQL will read as JSON.
    """
    counted = Counted(path)
    with write() as writer:
        try:
            with pq.ParquetFile(pa.PythonFile(_Seekable(path, counted), mode="r")) as file:
                names = {name.strip().lower(): name for name in file.schema_arrow.names}
                used = [names[name] for name in wanted]
                for batch in file.iter_batches(_BATCH_ROWS, columns=used):
                    texts = []
                    for name, column in zip(wanted, used, strict=True):
                        try:
                            texts.append(as_text(batch.column(column), for_json=name in json))
                        except Repeated:
                            raise WarehouseError(
                                f"{path}: the column {name} has a map with a key twice, which JSON "
                                "cannot hold. Nothing of the table was loaded."
                            ) from None
                    writer.write(texts)
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
