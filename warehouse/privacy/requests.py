"""What a build does first: erase who asks for it, and whom the database does not know as erased."""

from __future__ import annotations

from typing import Any

from warehouse import console, contract, dbt
from warehouse.database.profile import Settings
from warehouse.privacy import erase as erasing
from warehouse.privacy import keys, ledger, registry
from warehouse.privacy.erase_command import (
    BY_REQUEST,
    carry_out,
    clean,
    erase_archived,
    finish_open,
)
from warehouse.privacy.session import open_session

REQUESTS = "erasure_requests"

# Without the table of holds nobody is held.
_PENDING = """
    select count(distinct requests.user_id)
    from {requests} as requests
    where trim(requests.user_id::text) != ''
        and requests._deleted_at is null
        and requests.user_id::text not like 'erased\\_p%'
        and not exists (
            select from privacy.legal_holds
            where legal_holds.user_id = requests.user_id::text and legal_holds.released_at is null
        )
"""


def erase_requested(where: Settings) -> None:
    """Erase the persons of raw.erasure_requests, and finish erasures that are open.

    Needs the key of pseudonyms and the right to change raw; without them, says that there are
    requests. A first build has no ledger yet: the next one does it.

    Args:
        where: the database; the caller holds its build lock.

    Raises:
        WarehouseError: the rows cannot be erased; says why.
    """
    number, is_open, may_erase = _open(where)
    if not number and not is_open:
        return
    if not number and not keys.has_keys():
        return  # dbt refuses to run, and says what is missing
    remedy = ""
    if not keys.has_keys():
        remedy = "Run `warehouse pii create-key`; builds erase them from then on"
    elif not may_erase and not is_open:
        remedy = (
            f"The user {where.parameters.get('user')} may not change raw: run `warehouse erase "
            "--apply` as a member of warehouse_owner"
        )
    if remedy:
        people = "1 person asks" if number == 1 else f"{number:,} persons ask"
        console.say(
            f"Warning: {people} to be erased (raw.{REQUESTS}). {remedy} (docs/privacy.md).",
            style="yellow",
            stderr=True,
        )
        return
    of = keys.read_keys()
    with open_session(where, of) as session:
        held = registry.read(session, dbt.compile_project())
        session.rollback()
        finish_open(session, held, of, where)
        asked = erasing.pending_requests(session, held)
        session.rollback()
        if asked:
            outcome = carry_out(session, held, asked, of, where, BY_REQUEST)
            people = "1 person" if outcome.persons == 1 else f"{outcome.persons:,} persons"
            rows = sum(outcome.rows.values())
            console.say(f"Erased {people} who asked for it: {rows:,} rows.")
        erase_archived(session, held, of, where)
        clean(session, held, where)


def _open(where: Settings) -> tuple[int, bool, bool]:
    """How many persons ask to be erased, whether an earlier erasure is open here, and whether
    this user may erase from the requests."""
    from psycopg import sql

    with open_session(where) as session:
        if not _is_there(session, "privacy.legal_holds"):
            return 0, False, False
        number, may_erase = 0, True
        relation = f"{contract.read().schema}.{REQUESTS}"
        if _is_there(session, relation):
            query = sql.SQL(_PENDING).format(requests=sql.SQL(relation))
            number = _first(session, query)
            may_erase = _first(session, "select has_table_privilege(%s, 'update')", relation)
        noted = {each.erasure_id for each in ledger.read_file(ledger.file_of(session.info.dbname))}
        known = {row[0] for row in session.execute("select erasure_id from privacy.erasures")}
        is_open = bool(noted - known) or any(
            erasing.unfinished(session, where.target, step)
            for step in (erasing.ROWS, erasing.ARCHIVE, erasing.VACUUM)
        )
    return number, is_open, may_erase


def _is_there(session: Any, relation: str) -> bool:
    return bool(_first(session, "select to_regclass(%s) is not null", relation))


def _first(session: Any, query: Any, *values: Any) -> Any:
    row = session.execute(query, values or None).fetchone()
    return row[0] if row else None
