"""Reads the SQL in Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path


def blocks(path: Path, language: str = "sql") -> list[str]:
    """The code blocks of a document in the given language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def is_question(block: str) -> bool:
    """Whether a block of SQL only reads data."""
    return block.lstrip().startswith(("select", "with"))
