"""Which columns hold personal data: tagged once, in the sources, and followed through all models.

A column of a source, model, seed or snapshot is tagged with `meta.pii`, a kind of personal data.
The tag follows the values of the column; what a mask of macros/sql/masks.sql returns is marked as
masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from warehouse.errors import WarehouseError
from warehouse.privacy.lineage import Column, Origins, columns_of, masks_of

# The kinds of personal data, each with its sentence for people.
KINDS = {
    "email": "an e-mail address",
    "name": "a person's name, or a part of it",
    "phone": "a telephone number",
    "birth_date": "a date of birth",
    "address": "a postal address, or a part of it that is finer than the country",
    "ip": "an IP address",
    "free_text": "text, addresses of pages or json, which may say anything about a person",
    "identifier": "a key that the application gave to a person, a device or a browser",
}
# Analysts join and count by them. They say nothing to whom has no access to the application.
READABLE = frozenset(("identifier",))
# Roles that may see no personal data but what is in READABLE.
UNPRIVILEGED = ("warehouse_analyst", "warehouse_engineer", "warehouse_monitor")
MASKS = "masks"
_SNAPSHOT_KEY = "dbt_scd_id"


@dataclass(frozen=True)
class Relation:
    """A relation of the project.

    Attributes:
        unique_id: dbt's id of the node or source.
        schema: its schema.
        name: its name in the database.
        columns: its columns, in their order.
        readers: the roles that may select from it, by the configuration `grants`.
        kind: source, seed, model or snapshot.
    """

    unique_id: str
    schema: str
    name: str
    columns: tuple[str, ...]
    readers: tuple[str, ...]
    kind: str


@dataclass
class Inventory:
    """The personal columns of a project.

    Attributes:
        relations: the relations, by schema and name.
        personal: by column and kind, the path of the values from the tagged column to this one.
        masked: by column, the kinds that it shows behind a mask.
        hashed: columns that hold a hash of a personal column, such as a surrogate key.
        hashes: those of `hashed` that compute it; the others copy them.
    """

    relations: dict[tuple[str, str], Relation] = field(default_factory=dict)
    personal: dict[Column, dict[str, tuple[Column, ...]]] = field(default_factory=dict)
    masked: dict[Column, set[str]] = field(default_factory=dict)
    hashed: set[Column] = field(default_factory=set)
    hashes: set[Column] = field(default_factory=set)


@dataclass(frozen=True)
class Leak:
    """A column that shows personal data to a role that may not see it.

    Attributes:
        column: the column.
        kind: the kind of personal data.
        role: who may read the column.
        path: from the tagged column to this one.
    """

    column: Column
    kind: str
    role: str
    path: tuple[Column, ...]

    def __str__(self) -> str:
        path = " -> ".join(str(each) for each in self.path)
        return (
            f"{self.column} shows {KINDS[self.kind]} ({self.kind}) to the role {self.role}: {path}"
        )


def read(manifest: Mapping[str, Any]) -> Inventory:
    """Follow the tags through a compiled project.

    Args:
        manifest: dbt's manifest as a dictionary, with the compiled SQL of its nodes.

    Raises:
        WarehouseError: a tag is unknown, or the SQL of a model cannot be followed; names it.
    """
    inventory = Inventory()
    nodes = {**manifest["sources"], **manifest["nodes"]}
    masks = list(_masks(nodes).values())
    known: dict[tuple[str, str], tuple[str, ...]] = {}
    for unique_id in _in_order(nodes):
        node = nodes[unique_id]
        columns = {name: Origins() for name in node["columns"]}
        # A table may read itself.
        for relation in _relations(node, tuple(columns)):
            known[relation.schema, relation.name] = relation.columns
        if node["resource_type"] in ("model", "snapshot"):
            try:
                columns = columns_of(node.get("compiled_code") or "", known, masks)
            except WarehouseError as error:
                raise WarehouseError(
                    f"The lineage of {unique_id} cannot be followed: its SQL {error}"
                ) from None
            if node["resource_type"] == "snapshot":
                columns |= _of_snapshot(node, columns)
        for relation in _relations(node, tuple(columns)):
            inventory.relations[relation.schema, relation.name] = relation
            known[relation.schema, relation.name] = relation.columns
            for name, origins in columns.items():
                _follow(inventory, relation, name, origins, _tag(node, unique_id, name))
    return inventory


def leaks(inventory: Inventory) -> list[Leak]:
    """The columns that show unmasked personal data to a role that may see none.

    Args:
        inventory: of the project.
    """
    return sorted(
        (
            Leak(column, kind, role, path)
            for column, kinds in inventory.personal.items()
            for kind, path in kinds.items()
            if kind not in READABLE
            for role in inventory.relations[column.schema, column.relation].readers
            if role in UNPRIVILEGED
        ),
        key=str,
    )


def page(inventory: Inventory) -> str:
    """The inventory as a page in Markdown: a table per schema, with the way of the values.

    Args:
        inventory: of the project.
    """
    lines = [
        "# Inventory of personal data",
        "",
        "`warehouse pii inventory --write docs/personal-data.md` writes this page from the tags",
        "of the [source contract](../models/staging/app/_app__sources.yml) and the SQL of all",
        "models. [Personal data](privacy.md) explains the kinds and the roles. Identifiers are",
        "left out here, and one source is named for each kind.",
    ]
    columns = sorted({*inventory.personal, *inventory.masked})
    for schema in sorted({column.schema for column in columns}):
        rows = []
        for column in (each for each in columns if each.schema == schema):
            shown = inventory.personal.get(column, {})
            kinds = [kind for kind in sorted(shown) if kind not in READABLE]
            kinds += [
                f"{kind} (masked)"
                for kind in sorted(inventory.masked.get(column, ()))
                if kind not in READABLE
            ]
            readers = inventory.relations[column.schema, column.relation].readers
            sources = sorted({str(path[0]) for kind, path in shown.items() if kind in kinds})
            if kinds:
                rows.append(
                    f"| `{column.relation}.{column.name}` | {', '.join(kinds)} | "
                    f"{', '.join(f'`{each}`' for each in sources if each != str(column))} | "
                    f"{', '.join(f'`{each}`' for each in readers)} |"
                )
        if rows:
            lines += ["", f"## Schema `{schema}`", "", "| column | kind | from | readers |"]
            lines += ["|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _masks(nodes: Mapping[str, Any]) -> dict[str, Any]:
    for node in nodes.values():
        if node["resource_type"] == "analysis" and node["name"] == MASKS:
            return masks_of(node["compiled_code"])
    return {}


def _in_order(nodes: Mapping[str, Any]) -> Iterator[str]:
    """The ids of sources, seeds, models and snapshots, each after those that it reads."""
    kinds = ("source", "seed", "model", "snapshot")
    wanted = {
        unique_id: (node.get("depends_on") or {}).get("nodes") or ()
        for unique_id, node in nodes.items()
        if node["resource_type"] in kinds
    }
    order = TopologicalSorter(wanted).static_order()
    # dbt copies the text of an ephemeral model into its readers.
    return (
        each
        for each in order
        if each in wanted and nodes[each]["config"].get("materialized") != "ephemeral"
    )


def _relations(node: Mapping[str, Any], columns: tuple[str, ...]) -> Iterator[Relation]:
    """The relation of a node, and the table that a candidate for publication is copied to."""
    name = node.get("alias") or node["identifier"]
    grants = (node["config"].get("grants") or {}).get("select") or ()
    readers = (grants,) if isinstance(grants, str) else tuple(grants)
    kind = node["resource_type"]
    yield Relation(node["unique_id"], node["schema"], name, columns, readers, kind)
    if kind == "model" and name.startswith("next_"):
        published = name.removeprefix("next_")
        yield Relation(node["unique_id"], node["schema"], published, columns, readers, kind)


def _tag(node: Mapping[str, Any], unique_id: str, name: str) -> str | None:
    column = node["columns"].get(name) or {}
    tag = (column.get("meta") or {}).get("pii") or (
        (column.get("config") or {}).get("meta") or {}
    ).get("pii")
    if tag is not None and tag not in KINDS:
        raise WarehouseError(
            f"The column {name} of {unique_id} has meta.pii {tag!r}; it takes one of: "
            f"{', '.join(KINDS)}."
        )
    return tag


def _of_snapshot(node: Mapping[str, Any], columns: Mapping[str, Origins]) -> dict[str, Origins]:
    """The columns that dbt adds; its key is a hash of the snapshot's key and a time."""
    keys = node["config"].get("unique_key") or ()
    of_key = Origins()
    for key in (keys,) if isinstance(keys, str) else keys:
        of_key.add(columns.get(key, Origins()))
    of_key.hashed |= of_key.values
    added = [name for name in node["columns"] if name not in columns]
    return {name: of_key if name == _SNAPSHOT_KEY else Origins() for name in added}


def _follow(
    inventory: Inventory, relation: Relation, name: str, origins: Origins, tag: str | None
) -> None:
    column = Column(relation.schema, relation.name, name)
    personal: dict[str, tuple[Column, ...]] = {tag: (column,)} if tag else {}
    masked: set[str] = set()
    for origin in _whole_rows(inventory, origins.values):
        for kind, path in inventory.personal.get(origin, {}).items():
            # The shortest path is the easiest to read.
            if kind not in personal or len(path) + 1 < len(personal[kind]):
                personal[kind] = (*path, column)
        masked |= inventory.masked.get(origin, set())
        if origin in inventory.hashed:
            inventory.hashed.add(column)
    if any(inventory.personal.get(each) for each in _whole_rows(inventory, origins.hashed)):
        inventory.hashed.add(column)
        inventory.hashes.add(column)
    for origin in _whole_rows(inventory, origins.masked):
        masked |= {*inventory.personal.get(origin, {})} | inventory.masked.get(origin, set())
    if personal:
        inventory.personal[column] = personal
    if masked:
        inventory.masked[column] = masked


def _whole_rows(inventory: Inventory, columns: set[Column]) -> Iterator[Column]:
    for column in sorted(columns):
        if column.name == "*":
            relation = inventory.relations.get((column.schema, column.relation))
            for name in relation.columns if relation else ():
                yield Column(column.schema, column.relation, name)
        else:
            yield column
