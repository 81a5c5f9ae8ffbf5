"""The audit trail of personal data: append-only, and each entry's digest covers the one before it.

A digest is an HMAC with the key of pseudonyms, so that whoever writes to the database but lacks the
key cannot write a trail that fits. The last entry is noted in the ledger's file as well, so that a
trail whose end was cut off is noticed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.privacy import keys

if TYPE_CHECKING:
    import psycopg

PURPOSE = "audit_trail"


@dataclass(frozen=True)
class Entry:
    """An entry of the trail.

    Attributes:
        number: counted from 1.
        recorded_at: when.
        actor: the login of the session.
        action: what was done: erase, hold, release or export.
        details: counts and reasons; never a person.
        digest: of this entry and all before it.
    """

    number: int
    recorded_at: datetime
    actor: str
    action: str
    details: dict[str, Any]
    digest: str


def record(
    session: psycopg.Connection[Any], action: str, details: dict[str, Any], of: keys.Keys
) -> Entry:
    """Append an entry, in the transaction of the session.

    Args:
        session: a connection; its login is the actor.
        action: what is done.
        details: counts and reasons, without anything that names a person.
        of: the keys.
    """
    session.execute("lock table privacy.audit_trail in share row exclusive mode")
    row = session.execute(
        "select entry_number, digest from privacy.audit_trail order by entry_number desc limit 1"
    ).fetchone()
    number, before = (row[0] + 1, row[1]) if row else (1, "")
    now, actor = session.execute("select clock_timestamp(), session_user::text").fetchone() or ()
    digest = _digest(number, now, actor, action, details, before, of, of.current)
    session.execute(
        "insert into privacy.audit_trail"
        " (entry_number, recorded_at, actor, action, details, digest)"
        " values (%s, %s, %s, %s, %s, %s)",
        [number, now, actor, action, json.dumps(details), digest],
    )
    return Entry(number, now, actor, action, details, digest)


def read(session: psycopg.Connection[Any]) -> list[Entry]:
    """All entries, the first one first."""
    return [
        Entry(*row)
        for row in session.execute(
            "select entry_number, recorded_at, actor, action, details, digest"
            " from privacy.audit_trail order by entry_number"
        )
    ]


def verify(entries: list[Entry], last: tuple[int, str] | None, of: keys.Keys) -> None:
    """Check that no entry was changed, removed or added by another hand.

    Args:
        entries: of the database.
        last: the number and digest that the ledger's file noted last; None if it noted none.
        of: the keys.

    Raises:
        WarehouseError: names the first entry that does not fit.
    """
    before = ""
    for place, entry in enumerate(entries, start=1):
        if entry.number != place:
            raise WarehouseError(
                f"The audit trail was tampered with: entry {place} is missing, {entry.number} "
                "follows."
            )
        named = re.match(r"p(\d+)_", entry.digest)
        version = int(named[1]) if named else 0
        if version not in of.versions or entry.digest != _digest(
            entry.number,
            entry.recorded_at,
            entry.actor,
            entry.action,
            entry.details,
            before,
            of,
            version,
        ):
            raise WarehouseError(
                f"The audit trail was tampered with: entry {entry.number} ({entry.action}, "
                f"{entry.recorded_at:%Y-%m-%d %H:%M}) does not fit its digest."
            )
        before = entry.digest
    if last and (len(entries) < last[0] or entries[last[0] - 1].digest != last[1]):
        raise WarehouseError(
            f"The audit trail was tampered with: the ledger's file noted {last[0]} entries, and the"
            f" database has {len(entries)}, or others. After a restore from a backup, "
            "`warehouse erase --apply` brings the ledger back, and notes the trail anew."
        )


def _digest(
    number: int,
    recorded_at: datetime,
    actor: str,
    action: str,
    details: dict[str, Any],
    before: str,
    of: keys.Keys,
    version: int,
) -> str:
    said = json.dumps(
        [before, number, recorded_at.timestamp(), actor, action, details],
        sort_keys=True,
        ensure_ascii=False,
    )
    digest = keys.pseudonym(said, PURPOSE, of, version)
    assert digest is not None
    return digest
