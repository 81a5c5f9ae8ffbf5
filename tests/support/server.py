"""Temporary PostgreSQL servers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warehouse.server import Server

# The data are temporary, so durability would only cost time.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


# The defaults of `warehouse up`, for what is measured.
DURABLE: Mapping[str, str] = {}


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder, deleted afterwards, whose path is short enough for a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_server(
    *, version: int | None = None, settings: Mapping[str, str] = FAST
) -> Iterator[Server]:
    """Start an embedded server in a temporary folder; stop and delete it afterwards.

    Args:
        version: the major version of PostgreSQL; None follows WAREHOUSE_POSTGRES, else the newest.
        settings: parameters of postgresql.conf; FAST or DURABLE, or others.

    Yields:
        The running server; its folder is `server.home.parent`.
    """
    with short_folder() as folder:
        server = Server(folder / ".warehouse", version=version, settings=dict(settings))
        try:
            server.up()
            yield server
        finally:
            server.down()
