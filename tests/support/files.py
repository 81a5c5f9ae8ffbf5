"""Writes data files for a load."""

from __future__ import annotations

import gzip
from pathlib import Path


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file, compressed if its name ends with `.gz`; return the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder
