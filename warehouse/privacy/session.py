"""Sessions that have the keys of pseudonyms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warehouse.database.connection import connect
from warehouse.errors import WarehouseError
from warehouse.privacy import keys

if TYPE_CHECKING:
    import psycopg

    from warehouse.database.profile import Settings


@contextmanager
def open_session(where: Settings, of: keys.Keys | None = None) -> Iterator[psycopg.Connection[Any]]:
    """A connection in UTC, whose session can compute pseudonyms if it gets keys.

    Args:
        where: the database.
        of: the keys; None for a session without them.

    Raises:
        WarehouseError: as `connect`; PostgreSQL refused a statement of the block. The message has
            no detail, which may show a row.
    """
    import psycopg

    options = f"{keys.session_settings(of) if of else ''} -c timezone=UTC"
    try:
        with connect(where, options=options) as session:
            yield session
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"The role {where.parameters.get('user')} may not do this: "
            f"{error.diag.message_primary}. Work as a login that owns the tables, such as a member "
            "of warehouse_owner. Nothing was changed."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(
            f"PostgreSQL refused this: {error.diag.message_primary or error}. Nothing was changed."
        ) from error


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
