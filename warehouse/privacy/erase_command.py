"""`warehouse erase`: erase persons from every layer, and keep them erased."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse import console, dbt, private
from warehouse.database.build_lock import build_lock
from warehouse.database.preflight import preflight
from warehouse.database.profile import Settings, settings
from warehouse.errors import WarehouseError
from warehouse.options import refuse_unused
from warehouse.privacy import erase as erasing
from warehouse.privacy import keys, ledger, registry
from warehouse.privacy import verify as verifying
from warehouse.privacy.session import open_session, require_state

if TYPE_CHECKING:
    import psycopg

BY_REQUEST = "request of the person (table erasure_requests)"
BY_COMMAND = "request of the person"


def erase(
    user_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="USER_ID", help="Whom to erase; default those of raw.erasure_requests."
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Erase. Without this option, only show what is held.")
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="For the audit trail; it must not name the person."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", help="With --apply: write the certificate to this file."),
    ] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite",
            help="With --apply: write the tables anew, so that no byte stays in their free space; "
            "a table cannot be read meanwhile.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Look for the persons in every text and json column, after erasing or alone.",
        ),
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", help="With --verify: another value of the person, such as an old address."
        ),
    ] = None,
) -> None:
    """Erase persons from all layers, in one transaction. It cannot be undone.

    Keys of the persons are replaced, other personal values are emptied; amounts and counts stay.
    The ledger keeps them erased in later loads and builds. Finishes what an earlier run left.
    """
    if not apply:
        given = {"--certificate": certificate, "--reason": reason, "--rewrite": rewrite or None}
        refuse_unused(given, "with --apply")
    if not verify:
        refuse_unused({"--also": also}, "with --verify")
    persons = checked(user_ids or [])
    where = settings()
    preflight(where)
    of = keys.read_keys()
    with build_lock(where, wait=False), open_session(where, of) as session:
        require_state(session)
        held = registry.read(session, dbt.compile_project())
        session.rollback()
        if verify and not apply:
            _verify(session, held, {*persons, *(also or ())})
            return
        asked = persons or erasing.pending_requests(session, held)
        session.rollback()
        if persons:
            erasing.check_holds(session, persons)
            session.rollback()
        if not apply:
            _show_plan(session, held, asked)
            return
        values = finish_open(session, held, of, where)
        erase_loaded(session)
        if asked:
            why = reason or (BY_COMMAND if persons else BY_REQUEST)
            outcome = carry_out(session, held, asked, of, where, why)
            values |= outcome.values
            _show(outcome.rows)
            if certificate is not None:
                private.write_text(certificate, certificate_of(session, outcome))
        elif not values:
            console.say("Nobody asks to be erased, and no earlier erasure is unfinished.")
        session.rollback()
        erase_archived(session, held, of, where)
        clean(session, held, where, rewrite=rewrite)
        if verify:
            _verify(session, held, values | {*(also or ())})


def carry_out(
    session: psycopg.Connection[Any],
    held: registry.Registry,
    persons: list[str],
    of: keys.Keys,
    where: Settings,
    reason: str,
) -> erasing.Outcome:
    """Erase persons, and note them in the ledger's file before the commit."""
    file = ledger.file_of(session.info.dbname)
    return erasing.erase(
        session,
        held,
        persons,
        of=of,
        target=where.target,
        reason=reason,
        before_commit=lambda _, erasure: ledger.append(file, erasure),
    )


def finish_open(
    session: psycopg.Connection[Any], held: registry.Registry, of: keys.Keys, where: Settings
) -> set[str]:
    """Carry out what this database or target has not done yet; returns the values it erased."""
    file = ledger.file_of(session.info.dbname)
    restored = erasing.restore_ledger(session, ledger.read_file(file))
    session.rollback()
    pending = erasing.unfinished(session, where.target, erasing.ROWS)
    session.rollback()
    if not pending:
        return set()
    outcome = erasing.erase_again(
        session,
        held,
        pending,
        of=of,
        target=where.target,
        before_commit=(lambda noted: ledger.append(file, noted)) if restored else None,
    )
    why = "the database did not have them" if restored else "this target had not done them"
    console.say(f"Erased again the persons of {len(pending)} earlier erasures: {why}.")
    _show(outcome.rows)
    return outcome.values


def erase_archived(
    session: psycopg.Connection[Any], held: registry.Registry, of: keys.Keys, where: Settings
) -> None:
    """Erase from archived files what an erasure has not reached yet."""
    from warehouse.privacy import archived

    for file, rows in archived.erase_archived(session, held, of, where.target).items():
        console.say(f"Erased {rows:,} rows of {file}.")


def erase_loaded(session: psycopg.Connection[Any]) -> None:
    """Erase rows of erased persons that came back into raw, as the start of a build does."""
    with session.transaction():
        row = session.execute(
            "select privacy.erase_loaded(jsonb_agg(source), interval '0', true)"
            " from privacy.sources"
        ).fetchone()
    if row and row[0]:
        console.say(f"Erased again: {row[0]:,} rows of persons who came back into raw.")


def clean(
    session: psycopg.Connection[Any],
    held: registry.Registry,
    where: Settings,
    *,
    rewrite: bool = False,
) -> None:
    """Vacuum the tables that erasures changed, or write them anew."""
    session.autocommit = True
    try:
        erasing.vacuum(session, held, where.target)
        if rewrite:
            erasing.vacuum(session, held, where.target, rewrite=True)
    finally:
        session.autocommit = False


def certificate_of(session: psycopg.Connection[Any], outcome: erasing.Outcome) -> str:
    """The certificate as json: what was erased, when and by whom; no identity."""
    row = session.execute(
        "select erased_at, erased_by, reason, person_count from privacy.erasures"
        " where erasure_id = %s",
        [outcome.erasure_id],
    ).fetchone()
    assert row is not None
    at, by, reason, persons = row
    certificate = {
        "erasure_id": outcome.erasure_id,
        "erased_at": at.isoformat(),
        "erased_by": by,
        "reason": reason,
        "persons": persons,
        "rows": dict(sorted(outcome.rows.items())),
    }
    return json.dumps(certificate, indent=2, ensure_ascii=False) + "\n"


def checked(persons: list[str]) -> list[str]:
    """The keys of persons, each once.

    Raises:
        WarehouseError: one is empty, or of a person who is erased.
    """
    for each in persons:
        if not each.strip():
            raise WarehouseError("A USER_ID is empty; it takes the user_id of the application.")
        if each.startswith(ledger.REPLACEMENT):
            raise WarehouseError(f"{each} is the key of a person who is erased already.")
    return [*dict.fromkeys(persons)]


def _show_plan(
    session: psycopg.Connection[Any], held: registry.Registry, persons: list[str]
) -> None:
    """Count the rows of the persons."""
    if not persons:
        console.say("Nobody asks to be erased.")
        return
    _show(erasing.count(session, held, persons))
    console.say("--apply erases them, which cannot be undone. Without it, nothing is changed.")


def _show(rows: Mapping[str, int]) -> None:
    if rows:
        console.show_table(
            ("relation", "rows"),
            [(name, f"{count:,}") for name, count in sorted(rows.items())],
            numbers=("rows",),
        )
    else:
        console.say("No row of any relation is theirs.")


def _verify(session: psycopg.Connection[Any], held: registry.Registry, values: set[str]) -> None:
    if not values:
        raise WarehouseError("--verify needs a USER_ID, or something that was erased.")
    found, searched = verifying.find(session, values, held.names)
    session.rollback()
    if found:
        lines = "\n".join(f"- {place}: {rows:,} rows" for place, rows in sorted(found.items()))
        raise WarehouseError(
            f"Values of the persons are still there:\n{lines}\nIf they are theirs, tag the column "
            "that they come from with meta.pii (docs/privacy.md), and erase again."
        )
    console.say(f"Searched {searched} columns of text and json: no value of theirs is left.")
