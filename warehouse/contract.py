"""The source contract: the tables of the application, read from the dbt source file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from warehouse.errors import WarehouseError
from warehouse.project import root

FILE = Path("models/staging/app/_app__sources.yml")
SOURCE = "app"
# The tables that every build needs; the macro read_source has the same list.
REQUIRED = ("users", "orders")

LOADED_AT = "_loaded_at"
DELETED_AT = "_deleted_at"
TYPES = ("text", "numeric", "boolean", "date", "timestamptz", "jsonb")


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes:
        name: the name of the table.
        key: the column of the primary key.
        columns: each column of the application and its PostgreSQL type, the key included, in the
            order of the contract; without the two columns that the loader adds.
        incremental_column: the timestamp that finds changes in a source database; None if there is
            none, and every load reads the whole table.
        indexes: the columns that the models look up rows by.
        keys: other columns whose text marts index.
        has_freshness: whether the table is expected to get new rows: `freshness` is not null.
    """

    name: str
    key: str
    columns: dict[str, str]
    incremental_column: str | None
    indexes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    has_freshness: bool = True


@dataclass(frozen=True)
class Contract:
    """The tables by name, and their schema."""

    schema: str
    tables: dict[str, Table]


def read(path: Path | None = None) -> Contract:
    """Read the contract.

    Args:
        path: the YAML file; default that of the project.

    Raises:
        WarehouseError: the file has an error; names the table and the entry.
    """
    path = path or root() / FILE
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WarehouseError(f"The source contract {path} is missing.") from None
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise WarehouseError(f"The source contract {path} is not valid YAML: {where}") from None
    sources = document.get("sources") if isinstance(document, dict) else None
    source = next(
        (
            entry
            for entry in sources or []
            if isinstance(entry, dict) and entry.get("name") == SOURCE
        ),
        None,
    )
    if source is None:
        raise WarehouseError(f"{path} has no source named {SOURCE!r}.")
    default = (source.get("config") or {}).get("freshness")
    tables = [_table(entry, path, default) for entry in source.get("tables") or []]
    if not tables:
        raise WarehouseError(f"{path}: the source {SOURCE!r} has no tables.")
    return Contract(
        schema=source.get("schema") or "raw", tables={table.name: table for table in tables}
    )


def _table(entry: dict, path: Path, freshness: dict | None) -> Table:
    name = entry.get("name")
    config = entry.get("config") or {}
    meta = config.get("meta") or {}
    columns = {column.get("name"): column.get("data_type") for column in entry.get("columns") or []}
    for column, data_type in columns.items():
        if data_type not in TYPES:
            raise WarehouseError(
                f"{path}: {name}.{column} has the type {data_type!r}; the loader supports "
                f"{', '.join(TYPES)}."
            )
    for column in (LOADED_AT, DELETED_AT):
        if columns.pop(column, None) != "timestamptz":
            raise WarehouseError(f"{path}: {name} needs the column {column} of type timestamptz.")
    key = meta.get("primary_key")
    if not isinstance(key, str) or key not in columns:
        raise WarehouseError(
            f"{path}: {name} needs config.meta.primary_key, the name of one of its columns; "
            f"got {key!r}."
        )
    indexes, keys = meta.get("indexes") or [], meta.get("keys") or []
    for entry_name, named in (("indexes", indexes), ("keys", keys)):
        for column in named:
            if column not in columns:
                raise WarehouseError(
                    f"{path}: config.meta.{entry_name} of {name} must be columns of it; "
                    f"got {column!r}."
                )
    incremental_column = _incremental_column(name, columns, meta, path)
    has_freshness = config.get("freshness", freshness) is not None
    return Table(name, key, columns, incremental_column, tuple(indexes), tuple(keys), has_freshness)


def _incremental_column(name: str, columns: dict, meta: dict, path: Path) -> str | None:
    """`meta.incremental_column`, else updated_at, else the table's only timestamp."""
    named = meta.get("incremental_column")
    times = [column for column, data_type in columns.items() if data_type == "timestamptz"]
    if named is not None:
        if named not in times:
            raise WarehouseError(
                f"{path}: the incremental_column of {name} must be one of its timestamps "
                f"({', '.join(times)}); got {named!r}."
            )
        return named
    if "updated_at" in times:
        return "updated_at"
    return times[0] if len(times) == 1 else None
