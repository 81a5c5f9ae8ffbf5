"""Writes data files, and loads them."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

from warehouse.load import load_folder


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file, compressed if its name ends with `.gz`; return the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def load_csv(
    database: Any, folder: Path, stamp: dt.datetime, *, complete: bool = False, **tables: str
) -> None:
    """Load tables, given as the text of their CSV files.

    Args:
        database: the database.
        folder: a folder for the files, in which each load gets one of its own.
        stamp: when the rows were loaded.
        complete: mark rows that are missing as deleted.
        tables: the text by the name of the table.
    """
    into = folder / f"{stamp:%Y%m%d%H%M%S}"
    for name, text in tables.items():
        write(into, f"{name}.csv", text)
    with database.connect() as connection:
        load_folder(into, connection=connection, loaded_at=stamp, complete=complete)
