"""Tags of the sources are followed to every column, and no role sees what it may not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database
from warehouse.errors import WarehouseError
from warehouse.privacy import inventory
from warehouse.privacy.inventory import Inventory
from warehouse.privacy.lineage import Column

PLACE = "        user_analytics.country,\n"
# Each puts an e-mail address into a column that engineers may read.
LEAKS = {
    "renamed": "users.email",
    "concatenated": "user_analytics.country || ' ' || users.email",
    "converted": "cast(users.email as varchar)",
    "united": "(select max(contact) from (select country as contact from {{ ref('dim_users') }}"
    " union all select email from {{ ref('dim_users') }}) as contacts)",
    "in_json": "jsonb_build_object('contact', users.email)::text",
    "in_a_whole_row": "(select to_jsonb(other)::text from {{ ref('dim_users') }} as other"
    " where other.user_key = users.user_key)",
    "by_a_macro": "{{ clean_text('users.email') }}",
    "beside_a_mask": "{{ mask_email('users.email') }} || users.email",
}


@pytest.fixture(scope="module")
def found(manifest: dict[str, Any]) -> Inventory:
    return inventory.read(manifest)


@pytest.fixture(scope="module")
def leaky(sample_warehouse: Database) -> Iterator[list[inventory.Leak]]:
    """The leaks of a project with each kind of them, and of a mart that grants too much."""
    columns = "".join(f"        {text} as {name},\n" for name, text in LEAKS.items())
    dbt_project.edit(sample_warehouse, "pub_user_analytics", PLACE, PLACE + columns)
    grants = {"select": ["warehouse_analyst"]}
    dbt_project.configure(sample_warehouse, "dim_users", grants=grants)
    try:
        yield inventory.leaks(inventory.read(dbt_project.compiled(sample_warehouse)))
    finally:
        dbt_project.forget_configured(sample_warehouse)


def test_no_role_sees_what_it_may_not(found: Inventory) -> None:
    assert inventory.leaks(found) == []


def test_a_tag_follows_its_values(found: Inventory) -> None:
    shown = {str(column): {*kinds} for column, kinds in found.personal.items()}
    assert shown["marts.dim_users.email"] == {"email"}
    assert shown["snapshots.snp_app__users.last_name"] == {"name"}
    assert shown["marts.fct_user_events.properties"] == {"free_text"}
    assert shown["quarantine.row_issues.personal_data"] >= {"email", "phone", "birth_date"}
    assert shown["marts.fct_orders.user_key"] == {"identifier"}
    assert "reporting.user_analytics.email" not in shown
    assert {str(column) for column in found.masked} >= {
        "published.next_user_analytics.email",
        "published.user_analytics.email",
        "reporting.user_analytics.email",
    }
    path = found.personal[Column("marts", "dim_users", "email")]["email"]
    assert [str(each) for each in path] == [
        "raw.users.email",
        "staging.stg_app__users.email",
        "snapshots.snp_app__users.email",
        "marts.dim_users.email",
    ]


def test_the_page_is_up_to_date(found: Inventory) -> None:
    """To write it: warehouse pii inventory --write docs/personal-data.md."""
    page = dbt_project.ROOT / "docs" / "personal-data.md"
    assert inventory.page(found) == page.read_text()


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_is_found_with_its_path(leaky: list[inventory.Leak], kind: str) -> None:
    assert any(
        str(leak).startswith(f"published.next_user_analytics.{kind} shows an e-mail address")
        and "warehouse_engineer: raw.users.email -> staging.stg_app__users.email" in str(leak)
        for leak in leaky
    )


def test_a_mart_that_grants_too_much_is_found(leaky: list[inventory.Leak]) -> None:
    found = {leak.column.name for leak in leaky if leak.column.relation == "dim_users"}
    assert found == {"email", "first_name", "last_name", "phone", "birth_date"}
    assert {leak.role for leak in leaky if leak.column.relation == "dim_users"} == {
        "warehouse_analyst"
    }


def test_misuses_are_named(manifest: dict[str, Any]) -> None:
    wrong = copy.deepcopy(manifest)
    email = wrong["sources"]["source.analytics_warehouse.app.users"]["columns"]["email"]
    email["meta"] = email["config"]["meta"] = {"pii": "mail"}
    with pytest.raises(WarehouseError, match=r"has meta\.pii 'mail'; it takes one of: email"):
        inventory.read(wrong)
    email["meta"] = email["config"]["meta"] = {"pii": "email"}
    wrong["nodes"]["model.analytics_warehouse.user_rfm"]["compiled_code"] = "select from where"
    with pytest.raises(WarehouseError, match=r"lineage of model\S*user_rfm cannot be followed"):
        inventory.read(wrong)
