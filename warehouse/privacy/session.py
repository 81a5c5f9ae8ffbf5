"""Sessions that have the keys of pseudonyms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warehouse.database.connection import connect
from warehouse.errors import WarehouseError
from warehouse.privacy import keys

if TYPE_CHECKING:
    import psycopg

    from warehouse.database.profile import Settings


def open_session(where: Settings, of: keys.Keys | None = None) -> psycopg.Connection[Any]:
    """A connection in UTC, whose session can compute pseudonyms if it gets keys.

    Args:
        where: the database.
        of: the keys; None for a session without them.
    """
    options = f"{keys.session_settings(of) if of else ''} -c timezone=UTC"
    return connect(where, options=options)


def require_state(session: psycopg.Connection[Any], *, with_key: bool = True) -> None:
    """Refuse if no build has created the schema privacy.

    Args:
        session: a connection, not in a transaction.
        with_key: also require the functions that compute pseudonyms.

    Raises:
        WarehouseError: something is missing; says what to run.
    """
    row = session.execute(
        "select to_regclass('privacy.audit_trail') is not null,"
        " to_regprocedure('privacy.pseudonym(text, text)') is not null"
    ).fetchone()
    session.rollback()
    there, has_functions = row or (False, False)
    if not there or (with_key and not has_functions):
        raise WarehouseError(
            "The schema privacy is not complete: run `warehouse build` once; it creates the ledger "
            "and, with the key of `warehouse pii create-key`, the functions for pseudonyms."
        )
