"""Erase persons from every layer, in one transaction.

A key of a person is replaced by `erased_` and a pseudonym, everywhere the same, so that amounts and
counts stay; other personal values become null. What is found, and how, is in
`warehouse.privacy.registry`; the functions that change rows are in
macros/privacy/internal/create_erasure_functions.sql.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.privacy import audit, keys, ledger
from warehouse.privacy.registry import HASH, Holding, Registry

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

ROWS, ARCHIVE, VACUUM, REWRITE = "rows", "archive", "vacuum", "rewrite"
# Values that find a person in a text, but stand in no column of keys.
TELLING = "value"
RESTORED = "the ledger's file, after a restore"


@dataclass
class Outcome:
    """What an erasure changed.

    Attributes:
        erasure_id: its id; None if there was nothing to do.
        persons: how many persons.
        rows: rows that were changed, by relation.
        values: keys, e-mail addresses and the like of these persons, to look for them afterwards.
    """

    erasure_id: str | None = None
    persons: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)


def erase(
    session: psycopg.Connection[Any],
    registry: Registry,
    persons: Sequence[str],
    *,
    of: keys.Keys,
    target: str,
    reason: str,
    before_commit: Callable[[Outcome, ledger.Erasure], None] | None = None,
) -> Outcome:
    """Erase persons by their keys.

    Args:
        session: a connection whose session has the keys, not in a transaction.
        registry: what the warehouse holds.
        persons: their keys, as the application wrote them.
        of: the keys of pseudonyms.
        target: dbt's target, whose schemas the registry has.
        reason: for the audit trail; must name nobody.
        before_commit: gets what is done; if it raises, nothing is changed.
    """
    with session.transaction():
        _begin(session, registry)
        before = ledger.known(session, registry.person)
        found = ledger.pseudonyms(persons, registry.person, of, before)
        add_keys(
            session,
            registry.person,
            ((value, ledger.REPLACEMENT + pseudonym) for value, pseudonym in found.items()),
        )
        outcome = _erase_found(session, registry)
        outcome.persons = len(found)
        noted = _note(session, outcome, of, target, reason)
        if before_commit:
            before_commit(outcome, noted)
    return outcome


def erase_again(
    session: psycopg.Connection[Any],
    registry: Registry,
    erasure_ids: Sequence[str],
    *,
    of: keys.Keys,
    target: str,
    before_commit: Callable[[ledger.Erasure], None] | None = None,
) -> Outcome:
    """Erase whom the ledger knows: in a database that was restored, or another target.

    Args:
        session: a connection whose session has the keys, not in a transaction.
        registry: what the warehouse holds.
        erasure_ids: the erasures that are done in this target afterwards.
        of: the keys of pseudonyms.
        target: dbt's target.
        before_commit: after a restore: gets an erasure of nobody, with the last entry of the audit
            trail, which has lost entries that the ledger's file knows.
    """
    with session.transaction():
        _begin(session, registry)
        for holding in registry.holdings:
            for name in _plain_keys(holding):
                session.execute(
                    "select privacy.find_erased_keys(%s::regclass, %s, 'true')",
                    [_regclass(holding), name],
                )
        outcome = _erase_found(session, registry)
        row = session.execute(
            "select count(*) from pg_temp.person_keys where identifier = %s", [registry.person]
        ).fetchone()
        outcome.persons = row[0] if row else 0
        outcome.erasure_id = erasure_ids[-1]
        for each in erasure_ids:
            finish_step(session, each, target, ROWS)
        _note_rows(session, erasure_ids[-1], target, outcome.rows)
        details = {"erasures": [*erasure_ids], "target": target}
        details["rows"] = sum(outcome.rows.values())
        if before_commit:
            details["reason"] = RESTORED
        entry = audit.record(session, "erase again", details, of)
        if before_commit:
            noted = _insert_erasure(session, RESTORED, 0, target)
            before_commit(dataclasses.replace(noted, last_entry=(entry.number, entry.digest)))
    return outcome


def count(
    session: psycopg.Connection[Any], registry: Registry, persons: Sequence[str]
) -> dict[str, int]:
    """Count the rows of persons by relation; changes nothing, and waits for nobody.

    Args:
        session: a connection whose session has the keys, not in a transaction.
        registry: what the warehouse holds.
        persons: their keys.
    """
    from psycopg import sql
    from psycopg.types.json import Jsonb

    rows = {}
    with session.transaction(force_rollback=True):
        session.execute("select privacy.create_person_keys()")
        session.execute("truncate pg_temp.person_keys")
        add_keys(session, registry.person, ((each, "") for each in persons))
        session.execute("select privacy.add_related_keys(%s)", [Jsonb([*registry.sources])])
        _add_hashes(session, registry)
        session.execute("analyze pg_temp.person_keys")
        for holding in registry.holdings:
            query = sql.SQL("select count(*) from {} as t where {}").format(
                _identifier(holding), rows_of(session, holding)
            )
            row = session.execute(query).fetchone()
            if row and row[0]:
                rows[holding.name] = row[0]
    return rows


def rows_of(session: psycopg.Connection[Any], holding: Holding) -> sql.Composable:
    """The condition on rows `t` of the persons in pg_temp.person_keys; of texts, by their words."""
    from psycopg import sql

    if not holding.texts:
        return condition_of(session, holding.plan)
    condition = sql.SQL(" or ").join(
        sql.SQL(
            "exists (select from privacy.words_of(t.{}) as words (word)"
            " where words.word in (select old_value from pg_temp.person_keys))"
        ).format(sql.Identifier(name))
        for name in holding.texts
    )
    return sql.SQL("({}) and {}").format(condition, sql.SQL(holding.condition))


def condition_of(session: psycopg.Connection[Any], plan: Mapping[str, Any]) -> sql.SQL:
    """The condition on rows `t` of the persons in pg_temp.person_keys.

    Args:
        session: a connection.
        plan: of a holding.
    """
    from psycopg import sql
    from psycopg.types.json import Jsonb

    row = session.execute("select privacy.condition_of_persons(%s)", [Jsonb(plan)]).fetchone()
    return sql.SQL(row[0] if row and row[0] else "false")


def restore_ledger(
    session: psycopg.Connection[Any], erasures: Iterable[ledger.Erasure]
) -> list[str]:
    """Write erasures of the ledger's file that the database lacks; returns their ids.

    Args:
        session: a connection.
        erasures: what the file notes.
    """
    with session.transaction():
        known = {row[0] for row in session.execute("select erasure_id from privacy.erasures")}
        missing = [each for each in erasures if each.erasure_id not in known]
        for each in missing:
            session.execute(
                "insert into privacy.erasures values (%s, %s, %s, %s, %s)",
                [each.erasure_id, each.erased_at, each.erased_by, each.reason, each.person_count],
            )
            _write_ledger(session, each.erasure_id, each.erased_keys)
    return [each.erasure_id for each in missing]


def unfinished(session: psycopg.Connection[Any], target: str, step: str) -> list[str]:
    """The erasures of which a step is not done in a target, the oldest first."""
    return [
        erasure_id
        for (erasure_id,) in session.execute(
            """
            select erasure_id
            from privacy.erasures
            where not exists (
                select from privacy.erasure_steps
                where erasure_steps.erasure_id = erasures.erasure_id
                    and erasure_steps.target = %s
                    and erasure_steps.step = %s
            )
            order by erased_at, erasure_id
            """,
            [target, step],
        )
    ]


def vacuum(
    session: psycopg.Connection[Any], registry: Registry, target: str, *, rewrite: bool = False
) -> None:
    """Remove former rows from the tables, and former values from the statistics.

    PostgreSQL leaves the bytes in the free space of a page until another row takes it; a rewrite
    leaves none.

    Args:
        session: a connection in autocommit mode.
        registry: what the warehouse holds.
        target: dbt's target.
        rewrite: write the tables anew, one after the other; nobody can read one meanwhile.
    """
    from psycopg import sql

    step = REWRITE if rewrite else VACUUM
    pending = unfinished(session, target, step)
    if not pending:
        return
    touched = {
        relation
        for (relation,) in session.execute(
            "select relation from privacy.erased_rows where erasure_id = any(%s) and target = %s",
            [pending, target],
        )
    }
    for holding in registry.holdings:
        if holding.name in touched:
            options = sql.SQL("full, analyze" if rewrite else "analyze")
            session.execute(sql.SQL("vacuum ({}) {}").format(options, _identifier(holding)))
    for each in pending:
        finish_step(session, each, target, step)


def pending_requests(session: psycopg.Connection[Any], registry: Registry) -> list[str]:
    """The persons of raw.erasure_requests who are not erased yet and not held.

    Args:
        session: a connection.
        registry: what the warehouse holds.
    """
    from psycopg import sql

    if registry.requests is None:
        return []
    return [
        person
        for (person,) in session.execute(
            sql.SQL(
                "select distinct {person}::text from {requests}"
                " where {person} is not null and trim({person}::text) != ''"
                " and _deleted_at is null and {person}::text not like 'erased\\_p%%'"
                " and {person}::text not in"
                " (select user_id from privacy.legal_holds where released_at is null) order by 1"
            ).format(
                person=sql.Identifier(registry.person),
                requests=sql.Identifier(*registry.requests),
            )
        )
    ]


# --- Steps of the transaction -------------------------------------------------------------------


def _begin(session: psycopg.Connection[Any], registry: Registry) -> None:
    session.execute("set local timezone = 'UTC'")
    # A load that has read the ledger must not bring a person back after the commit.
    for source in registry.sources:
        session.execute(f"lock table {source['relation']} in share row exclusive mode")
    session.execute("select privacy.create_person_keys()")
    session.execute("truncate pg_temp.person_keys")


def add_keys(
    session: psycopg.Connection[Any], identifier: str, pairs: Iterable[tuple[str, str]]
) -> None:
    """Add values of an identifier, with their replacements, to pg_temp.person_keys.

    They are copied, because PostgreSQL may log the parameters of other statements.
    """
    with (
        session.cursor() as cursor,
        cursor.copy(
            "copy pg_temp.person_keys (identifier, old_value, new_value) from stdin"
        ) as rows,
    ):
        for old, new in pairs:
            rows.write_row((identifier, old, new))
    session.execute("analyze pg_temp.person_keys")


def _erase_found(session: psycopg.Connection[Any], registry: Registry) -> Outcome:
    """Erase the persons of pg_temp.person_keys from all layers."""
    from psycopg import sql
    from psycopg.types.json import Jsonb

    session.execute("select privacy.add_related_keys(%s)", [Jsonb([*registry.sources])])
    session.execute("analyze pg_temp.person_keys")
    _add_hashes(session, registry)
    add_telling_values(session, registry)
    session.execute("analyze pg_temp.person_keys")
    outcome = Outcome(values=_values(session))
    _touch_others(session, registry)
    for holding in registry.holdings:
        if holding.kind == "m":
            session.execute(sql.SQL("refresh materialized view {}").format(_identifier(holding)))
            continue
        rows = _erase_texts(session, holding) if holding.texts else _erase_rows(session, holding)
        if rows:
            outcome.rows[holding.name] = rows
    outcome.rows |= _erase_stored_failures(session, registry)
    return outcome


def _erase_rows(session: psycopg.Connection[Any], holding: Holding) -> int:
    from psycopg.types.json import Jsonb

    row = session.execute(
        "select privacy.erase_rows(%s::regclass, %s)",
        [_regclass(holding), Jsonb(holding.plan)],
    ).fetchone()
    return row[0] if row else 0


def _erase_texts(session: psycopg.Connection[Any], holding: Holding) -> int:
    rows = 0
    for name in holding.texts:
        row = session.execute(
            "select privacy.erase_texts(%s::regclass, %s, %s)",
            [_regclass(holding), name, holding.condition],
        ).fetchone()
        rows += row[0] if row else 0
    return rows


def _add_hashes(session: psycopg.Connection[Any], registry: Registry) -> None:
    """A hash of a person's key can be guessed like the key; the next build computes it anew."""
    from psycopg import sql

    for holding in registry.holdings:
        for name in holding.hashes:
            plan = {"keys": [each for each in holding.plan["keys"] if each["identifier"] != HASH]}
            session.execute(
                sql.SQL(
                    "insert into pg_temp.person_keys (identifier, old_value, new_value)"
                    " select {hash}, value, {new} || privacy.pseudonym(value, 'erased_hash')"
                    " from (select distinct t.{name}::text as value from {relation} as t"
                    " where t.{name} is not null and ({condition})) as given"
                    " on conflict do nothing"
                ).format(
                    hash=sql.Literal(HASH),
                    new=sql.Literal(ledger.REPLACEMENT),
                    name=sql.Identifier(name),
                    relation=_identifier(holding),
                    condition=condition_of(session, plan),
                )
            )


def add_telling_values(session: psycopg.Connection[Any], registry: Registry) -> None:
    """Add values that find the persons of pg_temp.person_keys in texts, such as addresses."""
    from psycopg import sql

    for holding in registry.holdings:
        for name in holding.telling:
            session.execute(
                sql.SQL(
                    "insert into pg_temp.person_keys (identifier, old_value, new_value)"
                    " select distinct {telling}, trim(t.{name}::text), '' from {relation} as t"
                    " where trim(t.{name}::text) != '' and ({condition}) on conflict do nothing"
                ).format(
                    telling=sql.Literal(TELLING),
                    name=sql.Identifier(name),
                    relation=_identifier(holding),
                    condition=condition_of(session, holding.plan),
                )
            )


def _touch_others(session: psycopg.Connection[Any], registry: Registry) -> None:
    """Let the next build judge those again who shared an address with somebody who is erased."""
    from psycopg import sql

    for holding in registry.holdings:
        stamp = holding.plan.get("stamp")
        for name in holding.telling if stamp else ():
            session.execute(
                sql.SQL(
                    "update {relation} as t set {stamp} = now()"
                    " where lower(trim(t.{name})) in (select lower(old_value)"
                    " from pg_temp.person_keys where identifier = {telling})"
                ).format(
                    relation=_identifier(holding),
                    stamp=sql.Identifier(stamp),
                    name=sql.Identifier(name),
                    telling=sql.Literal(TELLING),
                )
            )


def _erase_stored_failures(session: psycopg.Connection[Any], registry: Registry) -> dict[str, int]:
    """Rows that failed a test are copies: those of the persons are deleted."""
    from psycopg import sql

    deleted = {}
    for schema, name in session.execute(
        "select nspname, relname from pg_class"
        " inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid"
        " where relkind in ('r', 'p') and not relispartition and nspname = any(%s)",
        [[*registry.test_schemas]],
    ).fetchall():
        cursor = session.execute(
            sql.SQL(
                "delete from {} as t where exists (select from jsonb_each_text(to_jsonb(t)) as each"
                " where trim(each.value) in (select old_value from pg_temp.person_keys)"
                " or exists (select from privacy.words_of(each.value) as words (word)"
                " where words.word in (select old_value from pg_temp.person_keys)))"
            ).format(sql.Identifier(schema, name))
        )
        if cursor.rowcount:
            deleted[f"{schema}.{name}"] = cursor.rowcount
    return deleted


def _note(
    session: psycopg.Connection[Any], outcome: Outcome, of: keys.Keys, target: str, reason: str
) -> ledger.Erasure:
    """Write the ledger, the certificate and the audit trail."""
    erased = [
        (identifier, new.removeprefix(ledger.REPLACEMENT))
        for identifier, old, new in session.execute(
            "select identifier, old_value, new_value from pg_temp.person_keys"
            " where identifier not in (%s, %s)",
            [HASH, TELLING],
        )
        if new != old
    ]
    noted = _insert_erasure(session, reason, outcome.persons, target)
    outcome.erasure_id = noted.erasure_id
    _write_ledger(session, noted.erasure_id, erased)
    _note_rows(session, noted.erasure_id, target, outcome.rows)
    entry = audit.record(
        session,
        "erase",
        {
            "erasure_id": outcome.erasure_id,
            "persons": outcome.persons,
            "rows": sum(outcome.rows.values()),
            "reason": reason,
            "target": target,
        },
        of,
    )
    return dataclasses.replace(
        noted, erased_keys=tuple(erased), last_entry=(entry.number, entry.digest)
    )


def _insert_erasure(
    session: psycopg.Connection[Any], reason: str, persons: int, target: str
) -> ledger.Erasure:
    """Write a new erasure whose rows are done; without its keys and its entry in the trail."""
    erasure_id = secrets.token_hex(8)
    row = session.execute(
        "insert into privacy.erasures (erasure_id, erased_at, erased_by, reason, person_count)"
        " values (%s, now(), session_user, %s, %s) returning erased_at, erased_by",
        [erasure_id, reason, persons],
    ).fetchone()
    assert row is not None
    finish_step(session, erasure_id, target, ROWS)
    return ledger.Erasure(erasure_id, row[0].isoformat(), row[1], reason, persons, (), (0, ""))


def _write_ledger(
    session: psycopg.Connection[Any], erasure_id: str, erased: Iterable[tuple[str, str]]
) -> None:
    session.execute(
        "create temporary table if not exists new_ledger (identifier text, pseudonym text)"
        " on commit delete rows"
    )
    with (
        session.cursor() as cursor,
        cursor.copy("copy pg_temp.new_ledger (identifier, pseudonym) from stdin") as rows,
    ):
        for each in erased:
            rows.write_row(each)
    session.execute(
        "insert into privacy.erased_keys (identifier, pseudonym, erasure_id)"
        " select distinct identifier, pseudonym, %s from pg_temp.new_ledger on conflict do nothing",
        [erasure_id],
    )


def _note_rows(
    session: psycopg.Connection[Any], erasure_id: str, target: str, rows: dict[str, int]
) -> None:
    for relation, count in rows.items():
        session.execute(
            "insert into privacy.erased_rows values (%s, %s, %s, %s, now())"
            " on conflict (erasure_id, target, relation) do update"
            " set row_count = erased_rows.row_count + excluded.row_count",
            [erasure_id, target, relation, count],
        )


def finish_step(session: psycopg.Connection[Any], erasure_id: str, target: str, step: str) -> None:
    """Note that a step of an erasure is done in a target."""
    session.execute(
        "insert into privacy.erasure_steps values (%s, %s, %s, clock_timestamp())"
        " on conflict do nothing",
        [erasure_id, target, step],
    )


def _values(session: psycopg.Connection[Any]) -> set[str]:
    return {
        old
        for (old,) in session.execute(
            "select old_value from pg_temp.person_keys where old_value != new_value"
        )
    }


def _plain_keys(holding: Holding) -> list[str]:
    return [
        each["column"]
        for each in holding.plan.get("keys", ())
        if each["column"] == each["identifier"]
    ]


def _identifier(holding: Holding) -> sql.Identifier:
    from psycopg import sql

    return sql.Identifier(holding.relation.schema, holding.relation.name)


def _regclass(holding: Holding) -> str:
    """The name of its table, quoted for a cast to regclass."""
    parts = (holding.relation.schema, holding.relation.name)
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def check_holds(session: psycopg.Connection[Any], persons: Sequence[str]) -> None:
    """Refuse to erase persons under a legal hold.

    Raises:
        WarehouseError: one is held; says why.
    """
    held = session.execute(
        "select user_id, reason, held_at from privacy.legal_holds"
        " where released_at is null and user_id = any(%s) order by user_id",
        [[*persons]],
    ).fetchall()
    if held:
        lines = "\n".join(f"- {user}: {reason} (since {at:%Y-%m-%d})" for user, reason, at in held)
        raise WarehouseError(
            f"A legal hold stops the erasure; nothing was changed:\n{lines}\n"
            "`warehouse hold release` ends a hold."
        )
