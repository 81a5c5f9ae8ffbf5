"""The exception whose message the user sees."""

from __future__ import annotations


class WarehouseError(Exception):
    """An error that the user can fix; the message says what is wrong and what to do.

    `exit_code` becomes the exit status of the command: 1 unless a caller needs another one.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
