"""Keep erased persons erased in what a load brings.

The functions and the plans of the tables are in the database, where builds create them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from warehouse.errors import WarehouseError

INCOMING = "pg_temp.incoming"
# The table of the ledger, if it exists, and whether this role may read it.
_LEDGER = """
select
    bool_and(
        has_schema_privilege(relnamespace, 'usage') and has_table_privilege(pg_class.oid, 'select')
    ),
    min(pg_get_userbyid(relowner)),
    quote_ident(current_role)
from pg_class
inner join pg_namespace on relnamespace = pg_namespace.oid
where nspname = 'privacy' and relname in ('erased_keys', 'sources')
having bool_or(relname = 'erased_keys')
"""


def has_ledger(connection: psycopg.Connection[Any]) -> bool:
    """Whether persons were erased from this database.

    Raises:
        WarehouseError: they were, and the session lacks the key to recognize them by; or the role
            may not read whether they were.
    """
    there = connection.execute(_LEDGER).fetchone()
    if there is None:
        return False
    may_read, owner, role = there
    if not may_read:
        raise WarehouseError(
            f"The role {role} may not read who was erased, so this load could bring them back. As "
            f"the owner, {owner}, run: grant usage on schema privacy to {role}; grant select on "
            f"privacy.erased_keys, privacy.sources to {role}; Nothing was loaded."
        )
    erased, has_key = connection.execute(
        "select exists (select from privacy.erased_keys),"
        " coalesce(current_setting('warehouse.pii_pads', true), '') != ''"
    ).fetchone() or (False, False)
    if erased and not has_key:
        raise WarehouseError(
            "Persons were erased from this warehouse, and this load has no key to recognize them "
            "by: restore the key file, or set WAREHOUSE_PII_KEY_FILE. Nothing was loaded."
        )
    return bool(erased)


def erase_incoming(
    connection: psycopg.Connection[Any], relation: str, columns: Sequence[str]
) -> int:
    """Erase the rows of erased persons in pg_temp.incoming.

    Args:
        connection: the load's connection, in the transaction that writes.
        relation: the raw table that the rows are for, schema and name.
        columns: the columns of `incoming`.

    Returns:
        The number of rows that were changed.
    """
    row = connection.execute(
        "select source from privacy.sources where relation = %s", [relation]
    ).fetchone()
    if row is None:
        return 0
    source = _of_incoming(row[0], columns)
    connection.execute("select privacy.create_person_keys()")
    connection.execute("delete from pg_temp.person_keys")
    person = source["person"]
    for name in (person, *(each["column"] for each in source["devices"])):
        if name in columns:
            is_anonymous = "true" if name == person else f'"{person}" is null'
            connection.execute(
                "select privacy.find_erased_keys(%s::regclass, %s, %s)",
                [INCOMING, name, is_anonymous],
            )
    connection.execute("select privacy.add_related_keys(%s)", [Jsonb([source])])
    if not source["plan"]["keys"]:
        return 0
    changed = connection.execute(
        "select privacy.erase_rows(%s::regclass, %s)", [INCOMING, Jsonb(source["plan"])]
    ).fetchone()
    return changed[0] if changed else 0


def erase_rejected(connection: psycopg.Connection[Any], relation: str, table: str) -> None:
    """Erase the rows of erased persons among those that this load rejected.

    Args:
        connection: the load's connection, in the transaction that wrote them.
        relation: the table of rejected rows, schema and name.
        table: the raw table that the rows are of.
    """
    row = connection.execute(
        "select exists (select from privacy.sources where split_part(relation, '.', 2) = %s)",
        [table],
    ).fetchone()
    if row != (True,):
        return  # its rows are nobody's, and a short key is a word of many
    literal = "'" + table.replace("'", "''") + "'"
    connection.execute(
        "select privacy.erase_texts(%s::regclass, 'row_text', %s)",
        [relation, f"t.table_name = {literal} and t.last_seen_at >= now()"],
    )


def _of_incoming(source: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The source with `incoming` in place of the raw table, and the columns that it has."""
    given = json.loads(json.dumps(source))
    person_is_there = given["person"] in columns
    plan = given["plan"]
    given["relation"] = INCOMING
    given["devices"] = [
        each for each in given["devices"] if person_is_there and each["column"] in columns
    ]
    plan["keys"] = [
        each
        for each in plan["keys"]
        if each["column"] in columns and (person_is_there or "match_where" not in each)
    ]
    plan["cleared"] = [name for name in plan["cleared"] if name in columns]
    for name in ("stamp", "unique_key"):
        plan.pop(name, None)
    parent = given.pop("parent", None)
    if parent and person_is_there and parent["key"] in columns:
        given["parent"] = parent | {"loaded_where": "true"}
    return given
