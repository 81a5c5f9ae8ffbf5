"""The policies of retention, and the day that it counts from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warehouse import options
from warehouse.errors import WarehouseError
from warehouse.retention import policy as policies_of


def test_a_model_without_a_schema_of_its_own_has_the_log_of_all() -> None:
    """Targets put their name before the schemas of others, and have one for those without."""

    def node(name: str, schema: str, own: str | None) -> dict[str, Any]:
        kept = {"retain": {"months": 1}, "partition_by": {"fields": ["at"]}}
        return {
            "resource_type": "model",
            "name": name,
            "schema": schema,
            "relation_name": f"{schema}.{name}",
            "config": {"schema": own, "meta": {}, **kept},
        }

    for prefix in ("", "alice_"):
        nodes = [node("plain", "analytics", None), node("fct", f"{prefix}marts", "marts")]
        policies = policies_of.read_policies({"nodes": {each["name"]: each for each in nodes}})
        assert [policy.observability for policy in policies] == [f"{prefix}observability"] * 2


def test_the_day_to_count_from_is_checked() -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    with pytest.raises(WarehouseError, match="is in the future"):
        options.moment_of(tomorrow.isoformat())
    with pytest.raises(WarehouseError, match="must be a date such as 2026-10-31, got 'soon'"):
        options.moment_of("soon")
    assert options.moment_of("2026-01-31").date().isoformat() == "2026-01-31"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"retain": {"weeks": 3}}, "fct: retain is {'weeks': 3}; it takes one of days, months, y"),
        ({"retain": 24}, "fct: retain is 24; it takes one of"),
        ({"retain": {"months": 0}}, "fct: retain.months is 0; it takes"),
        ({"retain": {"months": True}}, "fct: retain.months is True; it takes"),
        ({"retain": {"months": 1}}, "fct: retain needs partition_by with the method range"),
        (
            {"retain": {"months": 1}, "partition_by": "at"},
            "fct: retain needs partition_by with the method range",
        ),
        (
            {"retain": {"months": 1}, "partition_by": {"method": "list", "fields": ["a"]}},
            "fct: retain needs partition_by with the method range",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_named(config: dict[str, Any], message: str) -> None:
    node = {"resource_type": "model", "name": "fct", "config": {"meta": {}, **config}}
    with pytest.raises(WarehouseError) as caught:
        policies_of.read_policies({"nodes": {"model.fct": node}})
    assert message in str(caught.value)
