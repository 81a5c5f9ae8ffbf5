"""The console: everything that a command prints goes through here, without passwords.

Answers go to stdout; progress, notes and errors go to stderr. rich is imported at the first print,
so that `warehouse --help` answers at once.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from warehouse.printable import printable
from warehouse.redaction import redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@functools.cache
def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:
            # rich would leave the process. A build prints in threads of dbt, which waits for them
            # forever if they end.
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    return Lasting(stderr=stderr, highlight=False)


def say(text: str = "", *, style: str | None = None, stderr: bool = False) -> None:
    """Print a text without markup or added line breaks; control characters become \\xNN.

    If the reader of the output has closed it, as `| head` does, the rest is not printed, and the
    command goes on.

    Args:
        text: what to print; default an empty line.
        style: a style of rich, such as "red" or "dim".
        stderr: print to stderr instead of stdout.
    """
    shown = printable(redact(text))
    _console(stderr=stderr).print(shown, style=style, markup=False, soft_wrap=True)


def show_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    heading: str | None = None,
    numbers: Collection[str] = (),
    wrapped: Collection[str] = (),
    emphasized: Collection[str] = (),
    compact: bool = False,
) -> None:
    """Print a table to stdout, without a frame.

    Args:
        titles: the titles of the columns.
        rows: the cells of each row, in the order of the titles.
        heading: a line above the table.
        numbers: titles of the columns to align to the right.
        wrapped: titles of the columns whose cells may take several lines.
        emphasized: titles of the columns to print in bold.
        compact: put one space between columns instead of two.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=heading and escape(heading),
        title_justify="left",
        box=None,
        pad_edge=False,
        collapse_padding=compact,
    )
    for title in titles:
        table.add_column(
            title,
            justify="right" if title in numbers else "left",
            no_wrap=title not in wrapped,
            style="bold" if title in emphasized else None,
        )
    for row in rows:
        table.add_row(*(escape(printable(redact(cell))) for cell in row))
    _console(stderr=False).print(table)


def progress(*, detail: bool = False, hidden: bool = False, transient: bool = False) -> Progress:
    """Progress bars on stderr, for terminals only; start and stop them with `with`.

    Args:
        detail: show the field `detail` of each task as well.
        hidden: show nothing.
        transient: clear the bars at the end.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = _console(stderr=True)
    details = [TextColumn("{task.fields[detail]}")] if detail else []
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        *details,
        TimeElapsedColumn(),
        console=console,
        transient=transient,
        disable=hidden or not console.is_terminal,
    )
