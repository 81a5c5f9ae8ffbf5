"""What a load says: its progress, its warnings and the counts of each table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class TableSummary:
    """The counts of one table's load, in rows.

    Every row that was read is in exactly one of the counts:
    read = new + changed + unchanged + rejected + superseded + duplicates.
    `deleted` counts rows that the load did not find and marked (`--complete`).
    """

    table: str
    files: list[str] = field(default_factory=list)
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    superseded: int = 0
    duplicates: int = 0
    deleted: int = 0
    seconds: float = 0.0
    loaded_at: datetime | None = None


class Reporter:
    """Collects what is said; the command's reporter also shows it."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        """Something good to know: nothing needs to be done."""
        self.notes.append(message)

    def warn(self, message: str) -> None:
        """Something that may need a look: the load goes on."""
        self.warnings.append(message)

    def start(self, table: str, total: int | None) -> None:
        """A table begins; `total` is its size in bytes, null when unknown."""

    def advance(self, done: int, rows: int) -> None:
        """`done` bytes of the table and `rows` of its rows are read so far."""

    def step(self, what: str) -> None:
        """The table's rows are read and the next step is `what`."""

    def finish(self, summary: TableSummary) -> None:
        """The table is loaded."""
