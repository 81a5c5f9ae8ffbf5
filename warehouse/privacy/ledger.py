"""The ledger of erased persons: by which a person who comes back is recognized.

It holds no key of a person, only HMAC-SHA256 of it (`keys.pseudonym`). The database has it in
`privacy.erased_keys`; a file beside the keys has it too, so that a database that was restored from
a backup of before an erasure learns of it. `WAREHOUSE_LEDGER_FILE` names the file; default
`privacy/<database>.jsonl` in the folder of the embedded server. Back it up, but not with the
database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import private, project
from warehouse.errors import WarehouseError
from warehouse.privacy import keys

if TYPE_CHECKING:
    import psycopg

FILE_VARIABLE = "WAREHOUSE_LEDGER_FILE"
REPLACEMENT = "erased_"


@dataclass(frozen=True)
class Erasure:
    """An erasure, as the file notes it.

    Attributes:
        erasure_id: its id.
        erased_at: when, as an ISO timestamp.
        erased_by: the login.
        reason: why.
        person_count: how many persons.
        erased_keys: pairs of an identifier, such as user_id, and the pseudonym of its value.
        last_entry: number and digest of its entry in the audit trail.
    """

    erasure_id: str
    erased_at: str
    erased_by: str
    reason: str
    person_count: int
    erased_keys: tuple[tuple[str, str], ...]
    last_entry: tuple[int, str]


def file_of(database: str) -> Path:
    """The file of the ledger.

    Args:
        database: the name of the database.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return project.home() / "privacy" / f"{database}.jsonl"


def read_file(path: Path) -> list[Erasure]:
    """The erasures that a file notes; none if there is no file.

    Raises:
        WarehouseError: a line has another form; a last line that was cut off is left out.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise WarehouseError(f"Cannot read the ledger {path}: {error.strerror}.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            given = json.loads(line)
            found.append(
                Erasure(
                    given["erasure_id"],
                    given["erased_at"],
                    given["erased_by"],
                    given["reason"],
                    given["person_count"],
                    tuple(
                        (identifier, pseudonym) for identifier, pseudonym in given["erased_keys"]
                    ),
                    (given["last_entry"][0], given["last_entry"][1]),
                )
            )
        except (ValueError, KeyError, TypeError, IndexError):
            if number == len(lines):
                # The process was killed while it wrote; its transaction was not committed.
                continue
            raise WarehouseError(
                f"Line {number} of the ledger {path} cannot be read: restore the file from its "
                "backup."
            ) from None
    return found


def append(path: Path, erasure: Erasure) -> None:
    """Note an erasure in the file, and wait until the disk has it."""
    try:
        private.make_folder(path.parent)
        with open(path, "ab", opener=private.opener) as file:
            # A line that was cut off belongs to a transaction that was not committed.
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
            file.write(json.dumps(erasure.__dict__, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WarehouseError(
            f"Cannot write the ledger {path}: {error.strerror}. Nothing was erased."
        ) from error


def known(session: psycopg.Connection[Any], identifier: str) -> set[str]:
    """The pseudonyms of erased values of an identifier."""
    return {
        pseudonym
        for (pseudonym,) in session.execute(
            "select pseudonym from privacy.erased_keys where identifier = %s", [identifier]
        )
    }


def pseudonyms(
    values: Iterable[str], identifier: str, of: keys.Keys, before: set[str]
) -> dict[str, str]:
    """The pseudonym of each value: that of an earlier erasure, else one with the current key.

    Args:
        values: values of the identifier.
        identifier: such as user_id.
        of: the keys.
        before: what the ledger has of this identifier.
    """
    versions = sorted({int(each.removeprefix("p").split("_")[0]) for each in before})
    found = {}
    for value in values:
        candidates = [
            keys.pseudonym(value, f"erased_{identifier}", of, version)
            for version in versions
            if version != of.current
        ]
        current = keys.pseudonym(value, f"erased_{identifier}", of)
        assert current is not None
        found[value] = next((each for each in candidates if each in before), None) or current
    return found
