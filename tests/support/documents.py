"""Reads the SQL in Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path


def blocks(path: Path, language: str = "sql") -> list[str]:
    """The code blocks of a document in the given language, "" for those that name none."""
    # Every block is matched, so that the end of one is never taken for the start of the next.
    every = re.findall(r"^```(.*)\n([\s\S]*?)^```$", path.read_text(), re.MULTILINE)
    return [text for named, text in every if named == language]


def is_question(block: str) -> bool:
    """Whether a block of SQL only reads data."""
    return block.lstrip().startswith(("select", "with"))
