"""The source contract, as the loader reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.keys import KEYS
from warehouse import contract, project
from warehouse.errors import WarehouseError

COLUMNS = {
    "user_id": "text",
    "updated_at": "timestamptz",
    "_loaded_at": "timestamptz",
    "_deleted_at": "timestamptz",
}


def write(path: Path, columns: dict, meta: dict | None = None, source: str = "app") -> Path:
    table = {
        "name": "users",
        "config": {"meta": {"primary_key": "user_id"} if meta is None else meta},
        "columns": [{"name": name, "data_type": kind} for name, kind in columns.items()],
    }
    file = path / "sources.yml"
    file.write_text(yaml.safe_dump({"sources": [{"name": source, "tables": [table]}]}))
    return file


def test_the_projects_contract_is_that_of_the_design() -> None:
    tables = contract.read().tables
    assert {name: table.key for name, table in tables.items()} == {
        **KEYS,
        "exchange_rates": "exchange_rate_id",
    }
    assert list(tables["events"].columns.items()) == [
        ("event_id", "text"),
        ("user_id", "text"),
        ("session_id", "text"),
        ("event_type", "text"),
        ("event_timestamp", "timestamptz"),
        ("page_url", "text"),
        ("referrer_url", "text"),
        ("properties", "jsonb"),
    ]
    assert contract.read().schema == "raw"


def test_changes_are_found_by_updated_at_or_by_the_only_timestamp() -> None:
    found = {name: table.incremental_column for name, table in contract.read().tables.items()}
    assert found.pop("events") == "event_timestamp"
    assert found.pop("consents") == "recorded_at"
    assert found.pop("erasure_requests") == "requested_at"
    assert set(found.values()) == {"updated_at"}


def test_the_incremental_column_can_be_named(tmp_path: Path) -> None:
    meta = {"primary_key": "user_id", "incremental_column": "seen_at"}
    file = write(tmp_path, {**COLUMNS, "seen_at": "timestamptz"}, meta)
    assert contract.read(file).tables["users"].incremental_column == "seen_at"


@pytest.mark.parametrize(
    ("columns", "meta", "said"),
    [
        ({**COLUMNS, "user_id": "texd"}, None, "users.user_id has the type 'texd'"),
        (COLUMNS, {}, "users needs config.meta.primary_key"),
        (COLUMNS, {"primary_key": "id"}, "got 'id'"),
        (COLUMNS, {"primary_key": "user_id", "incremental_column": "user_id"}, "got 'user_id'"),
        ({"user_id": "text", "_loaded_at": "timestamptz"}, None, "users needs the column _deleted"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, columns: dict, meta: dict, said: str) -> None:
    with pytest.raises(WarehouseError, match=said):
        contract.read(write(tmp_path, columns, meta))


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="is missing"):
        contract.read(tmp_path / "none.yml")
    file = tmp_path / "sources.yml"
    file.write_text("sources: [")
    with pytest.raises(WarehouseError, match="is not valid YAML"):
        contract.read(file)
    with pytest.raises(WarehouseError, match="no source named 'app'"):
        contract.read(write(tmp_path, COLUMNS, source="crm"))
    file.write_text("- just a list")
    with pytest.raises(WarehouseError, match="no source named 'app'"):
        contract.read(file)


def test_a_load_and_a_build_need_the_same_tables() -> None:
    macros = (project.root() / "macros" / "project").rglob("*.sql")
    texts = [path.read_text(encoding="utf-8") for path in macros]
    assert any(f"for name in {list(contract.REQUIRED)} if" in text for text in texts)
