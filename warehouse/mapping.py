"""The mapping of a source to the contract: a folder of the user's, with one select per table.

`mapping/users.sql` selects the columns of the contract's table `users` from the tables of the
application. `warehouse init` proposes the files, and `warehouse load --mapping` reads through them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from warehouse import project
from warehouse.contract import Contract
from warehouse.errors import WarehouseError

FOLDER = Path("mapping")
OPEN = "OPEN"

# Comments, quoted texts and semicolons of SQL; dollar-quoted texts have no place in a select.
_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|;", re.DOTALL)


@dataclass(frozen=True)
class Mapping:
    """The file of one table.

    Attributes:
        table: the name of the contract's table.
        path: the file.
        text: its whole text.
        query: its select, without comments and without a semicolon.
    """

    table: str
    path: Path
    text: str
    query: str

    @property
    def fingerprint(self) -> str:
        """Changes if the select does, not if a comment or a line break does."""
        words = " ".join(self.query.split())
        return hashlib.md5(words.encode(), usedforsecurity=False).hexdigest()[:12]

    @property
    def open_lines(self) -> list[tuple[int, str]]:
        """The lines that wait for a decision: their numbers and texts."""
        found = []
        for number, line in enumerate(self.text.splitlines(), start=1):
            _, marked, text = line.partition(f"-- {OPEN}")
            if marked:
                found.append((number, text.lstrip(": ").strip()))
        return found


def folder_of(named: Path | None) -> Path:
    """The folder of the mapping: the one that is named, else `mapping` in the project."""
    return named if named is not None else project.root() / FOLDER


def read(folder: Path, contract: Contract) -> dict[str, Mapping]:
    """Read the files of a mapping, in the order of the contract.

    Raises:
        WarehouseError: there is no such folder or no file in it, a file is not named after a table
            of the contract, or is not a single select.
    """
    if not folder.is_dir():
        raise WarehouseError(
            f"There is no folder {folder}: `warehouse init` writes the mapping into it."
        )
    found = {path.stem: path for path in sorted(folder.glob("*.sql"))}
    unknown = [path.name for name, path in found.items() if name not in contract.tables]
    if unknown:
        raise WarehouseError(
            f"{folder}: {', '.join(unknown)} is not named after a table of the contract; allowed: "
            f"{', '.join(f'{name}.sql' for name in contract.tables)}."
        )
    if not found:
        raise WarehouseError(f"{folder} has no file such as orders.sql: run `warehouse init`.")
    return {name: parse(name, found[name]) for name in contract.tables if name in found}


def read_text(path: Path) -> str:
    """The text of a file, without the mark of UTF-8 at its beginning.

    Raises:
        WarehouseError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise WarehouseError(f"{path} is not UTF-8 text: save it as UTF-8.") from None


def parse(table: str, path: Path) -> Mapping:
    """Read one file.

    Raises:
        WarehouseError: it is not a single select, or not UTF-8.
    """
    text = read_text(path)
    bare = _TOKEN.sub(lambda match: " " if match[0].startswith(("--", "/*")) else match[0], text)
    query = bare.strip().removesuffix(";").strip()
    if any(match[0] == ";" for match in _TOKEN.finditer(query)):
        raise WarehouseError(f"{path} has more than one statement: it must be a single select.")
    if not re.match(r"(?i)\(|(select|with)\b", query):
        began = query.split(maxsplit=1)[0] if query else "nothing"
        raise WarehouseError(f"{path} must be a select, but begins with {began}.")
    return Mapping(table, path, text, query)
