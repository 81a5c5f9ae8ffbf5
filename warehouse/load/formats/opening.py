"""Open a plain or gzipped file, and count the bytes that are read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from warehouse.errors import WarehouseError

# What a damaged archive raises while it is read.
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


class Counted(io.RawIOBase):
    """A file that counts the bytes that were read, for the progress bar."""

    def __init__(self, path) -> None:
        self._file = path.open("rb", buffering=0)
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._file.readinto(buffer)
        self.done += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def is_gzip(path: Path) -> bool:
    """Whether the file is compressed, by its name."""
    return path.name.lower().endswith(".gz")


@contextmanager
def open_bytes(path: Path, counted: Counted | None = None) -> Iterator[BinaryIO]:
    """Open a plain or gzipped file to read its uncompressed bytes."""
    with io.BufferedReader(counted or Counted(path), 1 << 20) as raw:
        if not is_gzip(path):
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked, io.BufferedReader(unpacked, 1 << 20) as stream:
            yield stream


def broken(path: Path, error: Exception) -> WarehouseError:
    """The error for an archive that cannot be decompressed."""
    return WarehouseError(
        f"{path} is a broken gzip archive ({error}): nothing of it was loaded. Create it again."
    )
