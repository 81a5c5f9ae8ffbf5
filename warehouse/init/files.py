"""The files of a mapping: written once, then the user's."""

from __future__ import annotations

import hashlib
import re
import textwrap
from pathlib import Path

from warehouse.init.guess import NONE, OPEN, SOURCE, Guess, Proposal, unused
from warehouse.mapping import read_text

# The fingerprint of the rest of the file: it tells whether somebody edited it.
_MARK = "-- Unedited: "
_MARKED = re.compile(rf"^{_MARK}(\w+).*\n", re.MULTILINE)


def render(proposal: Proposal) -> str:
    """The text of a file."""
    table, relation = proposal.table.name, proposal.relation
    if relation is None:
        origin = f"-- The contract's table {table}, to be written by hand."
    else:
        origin = f"-- The contract's table {table}, from {relation.shown}."
    lines = [origin, f"-- {_flag(proposal.confidence)}: {_line(proposal.reason)}"]
    if relation is not None and relation.hides_rows:
        lines.append(
            f"-- {OPEN}: row-level security of {relation.shown} may hide rows from this user."
        )
    lines.append("select")
    for place, guess in enumerate(proposal.guesses, start=1):
        lines += _column(guess, is_last=place == len(proposal.guesses))
    if relation is not None:
        lines.append(f"from {relation.sql} as {SOURCE}")
    lines += proposal.joins
    if proposal.is_disabled:
        lines.append("where false")
    for question, example in proposal.rows:
        lines.append(f"-- {OPEN}: {_line(question)}" + (" For example:" if example else ""))
        lines += [f"-- where {_line(example)}"] if example else []
    lines += _unused(proposal)
    body = "\n".join(lines) + "\n"
    first, rest = body.split("\n", 1)
    mark = f"{_MARK}{_digest(body)} (warehouse init replaces the file until it is edited)"
    return f"{first}\n{mark}\n{rest}"


def is_unedited(text: str) -> bool:
    """Whether a file is as `warehouse init` wrote it."""
    found = _MARKED.search(text)
    return found is not None and found[1] == _digest(_MARKED.sub("", text, count=1))


def write(folder: Path, proposal: Proposal, *, force: bool) -> str:
    """Write the file of a table, unless somebody edited it.

    Args:
        folder: the folder of the mapping; it exists.
        proposal: what to write.
        force: replace an edited file, too.

    Returns:
        What was done: "written", "unchanged", "replaced" or "kept, edited".
    """
    path = folder / f"{proposal.table.name}.sql"
    text = render(proposal)
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        return "written"
    before = read_text(path)
    if before == text:
        return "unchanged"
    if not force and not is_unedited(before):
        return "kept, edited"
    path.write_text(text, encoding="utf-8")
    return "replaced"


def _column(guess: Guess, *, is_last: bool) -> list[str]:
    comma = "" if is_last else ","
    note = f" -- {_flag(guess.confidence)}: {_line(guess.reason)}"
    lines = [f"    {guess.expression} as {guess.column}{comma}{note}"]
    if guess.confidence == OPEN and guess.choices:
        lines += [f"    --   {_line(choice)} as {guess.column}{comma}" for choice in guess.choices]
    return lines


def _unused(proposal: Proposal) -> list[str]:
    """The columns that the select does not read; lines made from totals are no place for them."""
    names = [_line(column.name) for column in unused(proposal)]
    if not names or proposal.is_disabled:
        return []
    assert proposal.relation is not None
    text = f"Unused columns of {proposal.relation.shown}: {', '.join(names)}"
    return textwrap.wrap(
        text,
        100,
        initial_indent="-- ",
        subsequent_indent="--   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _flag(confidence: str) -> str:
    return "not found" if confidence == NONE else confidence


def _line(text: str) -> str:
    return " ".join(text.split())


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]
