"""Raw rows of other tools whose keys no index can hold: the build passes, and says so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support import dbt_project
from tests.support.database import fetch
from warehouse import contract as contracts
from warehouse.project import root

# Random digits, which PostgreSQL cannot compress.
LONG = "(select string_agg(md5(random()::text || n), '') from generate_series(1, 110) as n)"
ROWS = {
    "users": [{"user_id": LONG}, {"user_id": "'long e-mail'", "email": LONG}],
    "categories": [{"category_id": LONG}, {"parent_id": LONG}],
    "products": [{"product_id": LONG}, {"category_id": LONG}],
    "orders": [{"order_id": LONG}, {"user_id": LONG}, {"currency": LONG}],
    "order_items": [{"order_item_id": LONG}, {"product_id": LONG}],
    "payments": [{"payment_id": LONG}, {"order_id": LONG}],
    "user_sessions": [{"session_id": LONG}, {"user_id": LONG}, {"visitor_id": LONG}],
    "events": [{"event_id": LONG}, {"user_id": LONG}, {"session_id": LONG}],
    "consents": [{"consent_id": LONG}, {"user_id": LONG}],
    "erasure_requests": [{"request_id": LONG}, {"user_id": LONG}],
}
READERS = (
    "snp_app__users", "snp_app__products", "dim_users", "dim_products", "dim_categories",
    "bridge_category_ancestors", "fct_orders", "fct_order_items", "fct_payments",
    "fct_user_sessions", "fct_user_events", "fct_user_consents", "excluded_rows",
)  # fmt: skip


def test_a_build_passes_with_keys_that_no_index_holds(built) -> None:
    with built.connect() as connection:
        for table, rows in ROWS.items():
            columns = contracts.read().tables[table].columns
            connection.execute(f"alter table raw.{table} drop constraint {table}_pkey")
            for number, row in enumerate(rows):
                new = {contracts.read().tables[table].key: f"'new {number}'", **row}
                connection.execute(
                    f"insert into raw.{table} ({', '.join(columns)}, _loaded_at) "
                    f"select {', '.join(new.get(name, name) for name in columns)}, now() "
                    f"from raw.{table} where _deleted_at is null limit 1"
                )
        # An update that is excluded leaves the product as it was.
        connection.execute(
            f"update raw.products set category_id = {LONG}, _loaded_at = now() where product_id ="
            " (select min(product_id) from marts.dim_products where is_current and not is_deleted)"
        )
    dbt_project.build(built, *READERS, *dbt_project.NO_TESTS)
    dbt_project.run(built, "test", "vertical_facts_and_quarantine_have_every_staged_row")
    excluded = fetch(
        built,
        """
        select table_name, exclusion_reason, count(*) from quarantine.excluded_rows
        where exclusion_reason like '%too long' group by 1, 2
        """,
    )
    assert sum(count for *_, count in excluded) == sum(map(len, ROWS.values())) - 1 + 1
    assert {table for table, *_ in excluded} == {*ROWS}
    # A user with a long e-mail address stays, without the address.
    ((email, number),) = fetch(
        built,
        "select max(email), count(*) from marts.dim_users where user_id = 'long e-mail'",
    )
    assert (email, number) == (None, 1)


def test_the_contract_lists_all_text_that_marts_index() -> None:
    indexed = set()
    for folder in ("models/intermediate", "models/marts", "snapshots"):
        for path in (Path(root()) / folder).rglob("*"):
            if path.suffix in (".sql", ".yml"):
                text = path.read_text(encoding="utf-8")
                for names in re.findall(
                    r"(?:'columns':|columns:|unique_key[=:])\s*\[?([^\]\n]+)", text
                ):
                    indexed |= set(re.findall(r"\w+", names))
    tables = contracts.read().tables.values()
    assert {"user_id", "email", "order_id"} <= indexed
    missing = [
        f"{table.name}.{name}"
        for table in tables
        for name, data_type in table.columns.items()
        if name in indexed and data_type == "text"
        and name not in (table.key, *table.indexes, *table.keys)
    ]  # fmt: skip
    assert missing == []
