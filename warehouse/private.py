"""Files and folders that only their owner can read: samples and exports hold personal data."""

from __future__ import annotations

import os
from pathlib import Path


def opener(path: str, flags: int) -> int:
    """An opener for `open()`: creates the file for its owner only, and follows no link."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def create(path: Path) -> Path:
    """Create an empty file, for a writer that only takes a path; an existing file is emptied."""
    with open(path, "wb", opener=opener):
        return path


def make_folder(path: Path) -> None:
    """Create a folder and the missing ones above it; existing folders stay as they are."""
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with open(path, "w", encoding="utf-8", opener=opener) as file:
        file.write(text)
