"""What the warehouse holds of a person: the tables, and how their rows are found and erased.

All of it follows from the tags of the source contract and from lineage. A table without a path from
a tagged column is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse.contract import LOADED_AT, SOURCE
from warehouse.errors import WarehouseError
from warehouse.privacy import inventory as inventories
from warehouse.privacy.inventory import Inventory, Relation
from warehouse.privacy.lineage import Column

if TYPE_CHECKING:
    import psycopg

IDENTIFIER = "identifier"
# The identifier of values that are hashes of a person's key, such as surrogate keys.
HASH = "hash"
# Kinds whose value belongs to one person, so that it finds the person in a text.
TELLING_KINDS = ("email", "phone")
# A table of rows of several tables names the table in one column, and the key in another.
_KEYS_OF_ROWS = {"row_key": "table_name", "related_key": "related_table"}
_JSON = ("json", "jsonb")

_COLUMNS = """
    select
        pg_namespace.nspname,
        pg_class.relname,
        pg_class.relkind::text,
        pg_attribute.attname,
        format_type(pg_attribute.atttypid, null)
    from pg_class
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    inner join pg_attribute on pg_class.oid = pg_attribute.attrelid
    where pg_class.relkind in ('r', 'p', 'm', 'v', 'f')
        and pg_namespace.nspname = any(%s)
        and pg_attribute.attnum > 0
        and not pg_attribute.attisdropped
"""


@dataclass(frozen=True)
class Holding:
    """A table that holds personal data, and what privacy.erase_rows does with it.

    Attributes:
        relation: the relation of the project.
        kind: PostgreSQL's relkind: r, p or m.
        plan: as privacy.erase_rows takes it.
        hashes: columns that compute a hash of a person's key.
        telling: columns whose values find the person in a text, with their kind.
        texts: columns of free text in a table without a key of a person.
        condition: SQL of the rows `t` whose texts may name a person.
    """

    relation: Relation
    kind: str
    plan: Mapping[str, Any]
    hashes: tuple[str, ...] = ()
    telling: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    condition: str = "true"

    @property
    def name(self) -> str:
        """Its schema and name, for people."""
        return f"{self.relation.schema}.{self.relation.name}"


@dataclass(frozen=True)
class Belonging:
    """A raw table whose rows belong to rows of persons, such as the lines of orders.

    It has no personal column, so nothing of it is erased; an export has its rows.

    Attributes:
        relation: the raw table.
        key: its column with the key of the other one.
        owner: the raw table that it belongs to, which has that key as its own.
    """

    relation: Relation
    key: str
    owner: Relation


@dataclass(frozen=True)
class Registry:
    """What the warehouse holds of persons.

    Attributes:
        holdings: its tables.
        belongings: raw tables whose rows belong to rows of persons.
        sources: the raw tables, as privacy.add_related_keys takes them.
        person: the column that names a person, in every table.
        names: the columns of the contract that name a person or a device, and the surrogate keys.
        requests: the raw table of erasure requests, schema and name; None if there is none.
        archive: the catalogue of archived files, schema and name; None if there is none.
        test_schemas: where dbt stores the rows that failed a test.
    """

    holdings: tuple[Holding, ...]
    belongings: tuple[Belonging, ...]
    sources: tuple[Mapping[str, Any], ...]
    person: str
    names: tuple[str, ...]
    requests: tuple[str, str] | None
    archive: tuple[str, str] | None
    test_schemas: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    relation: Relation
    primary_key: str
    keys: tuple[str, ...]
    identifiers: tuple[str, ...]
    personal: tuple[str, ...]


def read(session: psycopg.Connection[Any], manifest: Mapping[str, Any]) -> Registry:
    """Read the registry of a compiled project.

    Args:
        session: a connection to its database.
        manifest: dbt's manifest with compiled SQL, as `dbt.compile_project` returns it.

    Raises:
        WarehouseError: as `inventory.read`; no table of the contract has a person's key.
    """
    found = inventories.read(manifest)
    schemas = sorted({schema for schema, _ in found.relations})
    tables: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
    for schema, name, kind, column, data_type in session.execute(_COLUMNS, [schemas]):
        tables.setdefault((schema, name), (kind, {}))[1][column] = data_type
    sources = {source.relation.name: source for source in _sources(manifest, found)}
    person = next(
        (each.primary_key for each in sources.values() if each.primary_key in each.identifiers),
        None,
    )
    if person is None:
        raise WarehouseError(
            "No table of the source contract has a primary key with the tag meta.pii: identifier, "
            "so no row can be told to be a person's."
        )
    present = {relation for place, relation in found.relations.items() if place in tables}
    builder = _Builder(found, sources, person)
    holdings = [
        holding
        for place, relation in found.relations.items()
        if place in tables and tables[place][0] in "rpm"
        if (holding := builder.holding(relation, *tables[place]))
    ]
    return Registry(
        holdings=tuple(holdings),
        belongings=tuple(
            Belonging(each.relation, owner.primary_key, owner.relation)
            for each in sources.values()
            for owner in sources.values()
            if owner.primary_key in each.keys
            and person in owner.identifiers
            and not each.identifiers
            and {each.relation, owner.relation} <= present
        ),
        sources=tuple(
            builder.source(each)
            for each in sources.values()
            if person in each.identifiers
            and tables.get((each.relation.schema, each.relation.name), ("",))[0] in ("r", "p")
        ),
        person=person,
        names=builder.names,
        requests=_find(found, tables, f".{SOURCE}.erasure_requests"),
        archive=_find(found, tables, ".observability.archived_files"),
        test_schemas=tuple(
            sorted(
                {
                    node["schema"]
                    for node in manifest["nodes"].values()
                    if node["resource_type"] == "test"
                }
                - {schema for schema, _ in found.relations}
            )
        ),
    )


def _find(
    found: Inventory, tables: Mapping[tuple[str, str], Any], ending: str
) -> tuple[str, str] | None:
    """The schema and name of the existing relation whose id in dbt has this ending."""
    return next(
        (
            place
            for place, relation in found.relations.items()
            if relation.unique_id.endswith(ending) and place in tables
        ),
        None,
    )


def _sources(manifest: Mapping[str, Any], found: Inventory) -> Iterator[_Source]:
    """The tables of the source contract."""
    for node in manifest["sources"].values():
        if node["source_name"] != SOURCE:
            continue
        relation = found.relations[node["schema"], node["identifier"]]
        meta = node["config"]["meta"]
        kinds = {
            name: set(found.personal.get(Column(relation.schema, relation.name, name), ()))
            for name in relation.columns
        }
        yield _Source(
            relation,
            meta["primary_key"],
            tuple(meta.get("keys") or ()),
            tuple(name for name, tags in kinds.items() if IDENTIFIER in tags),
            tuple(name for name, tags in kinds.items() if tags - {IDENTIFIER}),
        )


class _Builder:
    def __init__(self, found: Inventory, sources: Mapping[str, _Source], person: str) -> None:
        self._found = found
        self._sources = sources
        self._person = person
        self._names = {name for each in sources.values() for name in each.identifiers}
        self._hash_names = {column.name for column in found.hashed}
        self._tables = [name for name, each in sources.items() if each.primary_key == person]
        # Rows without a person belong to whom the row of this key belongs to.
        self._parents = {
            parent.primary_key: parent
            for each in sources.values()
            if each.personal and self._person in each.identifiers
            for parent in sources.values()
            if parent is not each
            and parent.primary_key in each.keys
            and parent.primary_key != person
            and person in parent.identifiers
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that hold a key of a person, by their names."""
        return (*sorted(self._names), *sorted(self._hash_names), *_KEYS_OF_ROWS)

    def source(self, each: _Source) -> dict[str, Any]:
        """A raw table, as privacy.add_related_keys takes it."""
        devices = [name for name in each.identifiers if name != self._person]
        entry: dict[str, Any] = {
            "relation": _quoted(each.relation),
            "person": self._person,
            "devices": [{"column": name} for name in devices],
        }
        for key, parent in self._parents.items():
            if each.personal and key in each.keys and parent is not each:
                entry["parent"] = {
                    "relation": _quoted(parent.relation),
                    "key": key,
                    "keys": self._keys_of_source(parent),
                }
        return entry

    def _keys_of_source(self, each: _Source) -> list[dict[str, Any]]:
        return [
            {"column": name, "identifier": name}
            | ({} if name == self._person else {"match_where": _is_null(self._person)})
            for name in each.identifiers
        ]

    def holding(self, relation: Relation, kind: str, types: Mapping[str, str]) -> Holding | None:
        """How rows of a table are found and erased; None if it holds nothing of a person."""
        keys: list[dict[str, Any]] = []
        cleared: list[str] = []
        hashes: list[str] = []
        telling: list[str] = []
        for name in relation.columns:
            if name not in types:
                continue
            column = Column(relation.schema, relation.name, name)
            kinds = self._found.personal.get(column, {})
            is_json = types[name] in _JSON
            if IDENTIFIER in kinds and is_json:
                keys += self._keys_in_json(name)
            elif IDENTIFIER in kinds:
                keys.append(self._key(relation, column))
            if set(kinds) - {IDENTIFIER} or self._found.masked.get(column):
                cleared.append(name)
            if column in self._found.hashes:
                hashes.append(name)
            if not is_json and set(kinds) & {*TELLING_KINDS}:
                telling.append(name)
        if not keys and not cleared:
            return None
        if not keys:
            texts = tuple(name for name in cleared if types[name] not in _JSON)
            return Holding(relation, kind, {}, texts=texts, condition=self._may_name(relation))
        anonymous = _is_null(self._person) if self._person in relation.columns else None
        if cleared and anonymous:
            keys += [
                {"column": key, "identifier": key, "is_kept": True, "match_where": anonymous}
                for key in self._parents
                if key in types
            ]
        plan: dict[str, Any] = {"keys": keys, "cleared": cleared}
        if relation.unique_id.startswith("source.") and LOADED_AT in types:
            plan["stamp"] = LOADED_AT
            source = self._sources.get(relation.name)
            if source and source.relation == relation and source.primary_key == self._person:
                plan |= {"unique_key": self._person, "identifier_of_key": self._person}
        return Holding(relation, kind, plan, tuple(hashes), tuple(telling))

    def _key(self, relation: Relation, column: Column) -> dict[str, Any]:
        if column in self._found.hashed:
            return {"column": column.name, "identifier": HASH}
        origin = self._found.personal[column][IDENTIFIER][0].name
        entry = {"column": column.name, "identifier": origin}
        table = _KEYS_OF_ROWS.get(column.name)
        if table in relation.columns:
            names = ", ".join(f"'{name}'" for name in self._tables)
            entry["where"] = f't."{table}" in ({names})'
        elif origin != self._person and self._person in relation.columns:
            entry["match_where"] = _is_null(self._person)
        return entry

    def _may_name(self, relation: Relation) -> str:
        """A short key is a word of many rows: those of tables without persons are left out."""
        if "table_name" not in relation.columns:
            return "true"
        names = [name for name, each in self._sources.items() if self._person in each.identifiers]
        return f"t.table_name in ({', '.join(repr(name) for name in names)})"

    def _keys_in_json(self, name: str) -> list[dict[str, Any]]:
        """The keys of persons that a json object may have by their names."""
        anonymous = f"(t.\"{name}\" ->> '{self._person}') is null"
        keys = [
            {"column": name, "json_key": each, "identifier": each}
            | ({} if each == self._person else {"match_where": anonymous})
            for each in sorted(self._names)
        ]
        keys += [
            {"column": name, "json_key": each, "identifier": HASH}
            for each in sorted(self._hash_names)
        ]
        return keys + [
            {"column": name, "json_key": key, "identifier": key}
            | {"is_kept": True, "match_where": anonymous}
            for key in self._parents
        ]


def _is_null(column: str) -> str:
    return f't."{column}" is null'


def _quoted(relation: Relation) -> str:
    """The name of a relation in SQL."""
    return ".".join(
        '"' + part.replace('"', '""') + '"' for part in (relation.schema, relation.name)
    )
