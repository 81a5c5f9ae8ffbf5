"""Erase persons from the files of the archive, which no transaction of the database reaches.

The ledger says whom: so a run that was killed, or a file that was archived by another machine, is
finished by the next run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from warehouse.privacy import keys, ledger
from warehouse.privacy.erase import ARCHIVE, finish_step, unfinished
from warehouse.privacy.registry import HASH, Holding, Registry
from warehouse.retention import archive

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa


def erase_archived(
    session: psycopg.Connection[Any], registry: Registry, of: keys.Keys, target: str
) -> dict[str, int]:
    """Erase whom the ledger knows from all archived files.

    Args:
        session: a connection, not in a transaction.
        registry: what the warehouse holds.
        of: the keys of pseudonyms.
        target: dbt's target.

    Returns:
        The number of rows that were changed, by file.

    Raises:
        WarehouseError: a file cannot be read or written; the next run tries again.
    """
    pending = unfinished(session, target, ARCHIVE)
    session.rollback()
    changed: dict[str, int] = {}
    if not pending or registry.archive is None:
        return changed
    schema = registry.archive[0]
    holdings = {each.relation.unique_id.split(".", 2)[-1]: each for each in registry.holdings}
    erased = {
        name: ledger.known(session, name)
        for name in {each["identifier"] for held in holdings.values() for each in _keys(held)}
    }
    files = archive.archived_files(session, schema)
    session.rollback()
    for file in files:
        holding = holdings.get(file.model)
        if holding is None:
            continue
        change = _Change(session, registry, holding, erased, of)
        if archive.rewrite_archived(session, file.file_id, change, schema):
            changed[file.file] = change.rows
    for each in pending:
        finish_step(session, each, target, ARCHIVE)
    session.commit()
    return changed


def _keys(holding: Holding) -> list[Mapping[str, Any]]:
    """The columns that hold a key of a person as it is."""
    return [
        each
        for each in holding.plan.get("keys", ())
        if each["identifier"] != HASH and not each.get("is_kept") and "json_key" not in each
    ]


class _Change:
    """What `rewrite_archived` does with the rows of a file."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        registry: Registry,
        holding: Holding,
        erased: Mapping[str, Collection[str]],
        of: keys.Keys,
    ) -> None:
        self._session, self._registry, self._holding = session, registry, holding
        self._erased, self._of = erased, of
        self.rows = 0

    def __call__(self, table: pa.Table) -> pa.Table | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = set(table.column_names)
        replaced: dict[str, dict[str, str]] = {}
        matched = pa.chunked_array([pa.array([False] * len(table), pa.bool_())])
        for each in _keys(self._holding):
            if each["column"] in names:
                found = self._replacements(table[each["column"]], each["identifier"])
                replaced[each["column"]] = found
                matched = pc.or_(matched, _is_in(table[each["column"]], found))
        for each in self._holding.plan["keys"]:
            if each.get("is_kept") and {each["column"], self._registry.person} <= names:
                anonymous = pc.is_null(table[self._registry.person])
                sessions = self._sessions(table[each["column"]].filter(anonymous), each["column"])
                of_them = pc.and_(anonymous, _is_in(table[each["column"]], sessions))
                held = [name for name in self._holding.plan["cleared"] if name in names]
                for name in held:
                    matched = pc.or_(matched, pc.and_(of_them, pc.is_valid(table[name])))
        self.rows = pc.sum(matched).as_py() or 0
        if not self.rows:
            return None
        for each in self._holding.plan["keys"]:
            name = each["column"]
            if each["identifier"] == HASH and name in names and "json_key" not in each:
                # That of an unknown person is in rows of others too.
                others = set(table[name].filter(pc.invert(matched)).unique().to_pylist())
                replaced[name] = {
                    value: f"{ledger.REPLACEMENT}{keys.pseudonym(value, 'erased_hash', self._of)}"
                    for value in table[name].filter(matched).unique().to_pylist()
                    if value is not None and value not in others
                }
        for name, found in replaced.items():
            table = _with(table, name, [found.get(v, v) for v in table[name].to_pylist()])
        for name in self._holding.plan["cleared"]:
            if name in names:
                kept = zip(table[name].to_pylist(), matched.to_pylist(), strict=True)
                table = _with(table, name, [None if gone else value for value, gone in kept])
        return table

    def _replacements(self, column: Any, identifier: str) -> dict[str, str]:
        """The new values of those that the ledger knows."""
        erased = self._erased[identifier]
        values = [each for each in column.unique().to_pylist() if each is not None]
        versions = {int(each[1:].split("_")[0]) for each in erased}
        found = {}
        for version in versions:
            for value in values:
                pseudonym = keys.pseudonym(str(value), f"erased_{identifier}", self._of, version)
                if pseudonym in erased:
                    found[value] = f"{ledger.REPLACEMENT}{pseudonym}"
        return found

    def _sessions(self, column: Any, key: str) -> set[str]:
        """Those keys of a parent, such as a session, whose person was erased."""
        from psycopg import sql

        values = [each for each in column.unique().to_pylist() if each is not None]
        parents = [
            each["parent"]
            for each in self._registry.sources
            if each.get("parent", {}).get("key") == key
        ]
        if not values or not parents:
            return set()
        rows = self._session.execute(
            sql.SQL(
                "select {key}::text from {parent} where {key}::text = any(%s)"
                " and {person}::text like 'erased\\_p%%'"
            ).format(
                key=sql.Identifier(key),
                parent=sql.SQL(parents[0]["relation"]),
                person=sql.Identifier(self._registry.person),
            ),
            [values],
        ).fetchall()
        self._session.rollback()
        return {value for (value,) in rows}


def _is_in(column: Any, values: Collection[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.fill_null(pc.is_in(column, value_set=pa.array([*values], column.type)), False)


def _with(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    import pyarrow as pa

    field = table.schema.field(name)
    place = table.schema.get_field_index(name)
    return table.set_column(place, field, pa.array(values, field.type))
