"""What a load reports: its progress, its warnings and the counts of each table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class TableSummary:
    """The counts of one table's load, in rows.

    Every row that was read is in exactly one of the counts:
    read = new + changed + unchanged + rejected + superseded + duplicates.
    `deleted` counts the rows that `--complete` marked because the source lacks them.
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
    """Collects notes and warnings; the reporter of the command also prints them."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        """Add a note: no action is needed."""
        self.notes.append(message)

    def warn(self, message: str) -> None:
        """Add a warning: it may need attention, but the load continues."""
        self.warnings.append(message)

    def start(self, table: str, total: int | None) -> None:
        """The load of a table starts; `total` is its size in bytes, None if unknown."""

    def advance(self, done: int, rows: int) -> None:
        """So far, `done` bytes and `rows` rows of the table have been read."""

    def step(self, what: str) -> None:
        """The rows have been read; the next step is `what`."""

    def finish(self, summary: TableSummary) -> None:
        """The table has been loaded."""
