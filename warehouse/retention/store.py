"""Where the archive's files are: a folder, or any store that fsspec knows.

A file is written under another name first, or in a temporary folder, so that it appears in the
archive only when it is complete. Files hold personal data: only their owner can read them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from warehouse import private
from warehouse.errors import WarehouseError

UNFINISHED = ".part"


def absolute(location: str, folder: Path) -> str:
    """A store as it is noted in the catalogue: an absolute path, or a URL.

    Args:
        location: a folder, `file://` and a folder, or the URL of another store.
        folder: what a relative path starts from.
    """
    if _is_remote(location):
        return location.rstrip("/")
    return str((folder / Path(location.removeprefix("file://")).expanduser()).resolve())


def join(location: str, *parts: str) -> str:
    """A location below another one."""
    return "/".join((location, *parts))


def folder_of(location: str) -> str:
    """The location of the folder that a file is in."""
    return location.rpartition("/")[0]


@contextlib.contextmanager
def creating(location: str) -> Iterator[Path]:
    """Give a path to write a file to; afterwards, put the file into the archive.

    The file appears there in one step. If the block fails, nothing appears.

    Raises:
        WarehouseError: the store cannot be written to.
    """
    if _is_remote(location):
        with tempfile.TemporaryDirectory(prefix="archive-") as folder:
            path = Path(folder) / "file"
            with _explained(location, "written", OSError):
                yield private.create(path)
            with _explained(location, "written"):
                _filesystem(location).put_file(str(path), location)
        return
    path = Path(location)
    unfinished = path.with_name(path.name + UNFINISHED)
    with _explained(location, "written", OSError):
        private.make_folder(path.parent)
        try:
            yield private.create(unfinished)
            _flush(unfinished)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        # Without it, a power failure could take the name of the file away again.
        _flush(path.parent)


@contextlib.contextmanager
def opened(location: str) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        WarehouseError: it is missing, or the store does not answer.
    """
    with contextlib.ExitStack() as stack:
        with _explained(location, "read"):
            if _is_remote(location):
                file = stack.enter_context(_filesystem(location).open(location, "rb"))
            else:
                file = stack.enter_context(Path(location).open("rb"))
        yield file


def read(location: str) -> bytes | None:
    """The contents of a small file; None if it is missing.

    Raises:
        WarehouseError: the store does not answer.
    """
    if size(location) is None:
        return None
    with opened(location) as file, _explained(location, "read"):
        return file.read()


def write(location: str, contents: bytes) -> None:
    """Create or replace a small file, in one step.

    Raises:
        WarehouseError: the store cannot be written to.
    """
    with creating(location) as path:
        path.write_bytes(contents)


def size(location: str) -> int | None:
    """The size of a file in bytes; None if it is missing.

    Raises:
        WarehouseError: the store does not answer.
    """
    with _explained(location, "found"):
        try:
            if _is_remote(location):
                filesystem = _filesystem(location)
                filesystem.invalidate_cache()
                return int(filesystem.info(location)["size"])
            return Path(location).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None


def delete(location: str) -> None:
    """Delete a file, and what a killed run left of it; a missing file is deleted already.

    Raises:
        WarehouseError: the store refuses it, or does not answer.
    """
    with _explained(location, "deleted"):
        if _is_remote(location):
            with contextlib.suppress(FileNotFoundError):
                _filesystem(location).rm_file(location)
            return
        path = Path(location)
        path.with_name(path.name + UNFINISHED).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _is_remote(location: str) -> bool:
    return "://" in location and not location.startswith("file://")


def _filesystem(location: str) -> Any:
    try:
        import fsspec

        return fsspec.core.url_to_fs(location)[0]
    except ImportError as error:
        raise WarehouseError(
            f"{location} needs a package that is not installed ({error}). For s3://, run:"
            " .venv/bin/uv pip install --require-hashes --no-deps -r requirements/s3.txt"
        ) from None
    except ValueError as error:
        raise WarehouseError(
            f"{location} is in no store that is known here: {error}. An archive store is a folder,"
            " or a URL of fsspec such as s3://bucket/archive."
        ) from None


@contextlib.contextmanager
def _explained(location: str, verb: str, errors: type[Exception] = Exception) -> Iterator[None]:
    """Explain a failure of the store in a sentence; each kind of store has its own exceptions."""
    try:
        yield
    except WarehouseError:
        raise
    except errors as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WarehouseError(f"{location} could not be {verb}: {reason}") from error


def _flush(path: Path) -> None:
    """Write a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
