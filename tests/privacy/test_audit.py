"""The audit trail: append-only, and tampering is found."""

from __future__ import annotations

import psycopg
import pytest

from tests.privacy.test_erase import connect
from tests.support.database import Database, ask, do
from warehouse.errors import WarehouseError
from warehouse.privacy import audit, keys

TAMPERED = "The audit trail was tampered with: "
WITHOUT_TRIGGER = "alter table privacy.audit_trail disable trigger all"


@pytest.fixture
def trail(shop: Database, of: keys.Keys) -> Database:
    """Three entries."""
    with connect(shop) as session:
        for place, action in enumerate(("hold", "release", "erase"), start=1):
            entry = audit.record(session, action, {"rows": place, "reason": "a «case»"}, of)
            assert entry.number == place
    return shop


def verify(database: Database, of: keys.Keys, last: tuple[int, str] | None = None) -> None:
    with connect(database) as session:
        audit.verify(audit.read(session), last, of)


def test_a_whole_trail_is_found_whole(trail: Database, of: keys.Keys) -> None:
    verify(trail, of)
    last = ask(trail, "select digest from privacy.audit_trail where entry_number = 3")
    verify(trail, of, (3, last))
    # Also with entries of another version of the key.
    added = keys.add_version()
    with connect(trail) as session:
        audit.record(session, "export", {}, added)
    verify(trail, added, (3, last))


@pytest.mark.parametrize("what", ["update", "delete from", "truncate"])
def test_no_entry_can_be_changed(trail: Database, what: str) -> None:
    statement = f"{what} privacy.audit_trail"
    if what == "update":
        statement += " set actor = 'nobody' where entry_number = 2"
    with pytest.raises(psycopg.Error, match=r"append-only: \w+ is refused"):
        do(trail, statement)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update {} set actor = 'nobody' where entry_number = 2", "entry 2 (release, "),
        ("update {} set details = '[]' where entry_number = 3", "entry 3 (erase, "),
        ("update {} set recorded_at = recorded_at - interval '1 s'", "entry 1 (hold, "),
        ("delete from {} where entry_number = 2", "entry 2 is missing, 3 follows"),
        ("delete from {} where entry_number = 1", "entry 1 is missing, 2 follows"),
        ("delete from {} where entry_number = 3", "file noted 3 entries, and the database has 2"),
        (
            "update {} set digest = 'p1_' || md5(digest) where entry_number = 1",
            "entry 1 (hold, ",
        ),
        ("update {} set digest = 'none' where entry_number = 2", "entry 2 (release, "),
        (
            "insert into {} select 4, now(), actor, action, details, digest from {} limit 1",
            "entry 4 (",
        ),
    ],
)
def test_tampering_is_found(
    trail: Database,
    of: keys.Keys,
    statement: str,
    says: str,
) -> None:
    """By who owns the table, and switches the trigger off."""
    last = ask(trail, "select digest from privacy.audit_trail where entry_number = 3")
    do(trail, WITHOUT_TRIGGER, statement.replace("{}", "privacy.audit_trail"))
    with pytest.raises(WarehouseError) as error:
        verify(trail, of, (3, last))
    assert str(error.value).startswith(TAMPERED)
    assert says in str(error.value)
