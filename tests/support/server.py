"""Temporary PostgreSQL servers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warehouse.server import Server

# The data is temporary, so durability would only cost time.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


# The defaults of `warehouse up`, for measurements.
DURABLE: Mapping[str, str] = {}


@contextmanager
def short_folder() -> Iterator[Path]:
    """Create a temporary folder whose path is short enough for a Unix socket; delete it later."""
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
        version: the major version of PostgreSQL; None uses WAREHOUSE_POSTGRES or else the newest.
        settings: parameters of postgresql.conf, such as FAST or DURABLE.

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
