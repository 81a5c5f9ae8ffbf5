"""What a table keeps is validated in one place, for builds and for the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.retention.support import plan_json
from tests.support import dbt_project
from tests.support.small_project import write_model, write_project
from warehouse.errors import WarehouseError
from warehouse.retention.policy import Hold, make_plan

RANGE = {"fields": ["at"]}
PERIOD = "it takes one of days, months, years with a whole number from 1 on"
# Invalid values of `retain` of a model partitioned by at, and what the message says.
MALFORMED: dict[str, tuple[Any, str]] = {
    "weeks": ({"weeks": 3}, "retain is {'weeks': 3}; "),
    "two": ({"days": 3, "months": 1}, "retain is {'days': 3, 'months': 1}; "),
    "number": (24, "retain is 24; "),
    "text": ("24 months", "retain is 24 months; "),
    "zero": ({"months": 0}, f"retain.months is 0; {PERIOD}"),
    "negative": ({"days": -1}, f"retain.days is -1; {PERIOD}"),
    "boolean": ({"months": True}, f"retain.months is True; {PERIOD}"),
    "fraction": ({"years": 1.5}, f"retain.years is 1.5; {PERIOD}"),
    "word": ({"months": "two"}, f"retain.months is two; {PERIOD}"),
    "tier": ({"cold": {"months": 2}}, "retain "),
    "hot_text": ({"hot": "2 months"}, f"retain.hot is 2 months; {PERIOD}"),
    "order": (
        {"hot": {"months": 24}, "archive": {"years": 1}},
        "retain.archive is 1 years, and hot is 24 months; each tier says until what age",
    ),
    "only_archive": ({"archive": {"years": 1}}, "retain has archive, and neither hot nor warm"),
    "no_tablespace": (
        {"hot": {"months": 1}, "warm": {"months": 2}},
        "retain.warm.tablespace is None; it takes the name of a tablespace",
    ),
    "other_column": (
        {"months": 1, "column": "id"},
        "retain.column is id; whole partitions expire, which are by at. Leave it out.",
    ),
    "hold_text": ({"months": 1, "hold": "case 17"}, "retain.hold is case 17; it takes a list"),
    "hold_months": (
        {"months": 1, "hold": [{"reason": "a", "months": "2024-03..2024-01"}]},
        "retain.hold has {'reason': 'a', 'months': '2024-03..2024-01'}; it takes a list",
    ),
    "hold_reason": ({"months": 1, "hold": [{"months": "2024-03"}]}, "retain.hold has "),
    "consent": ({"months": 1, "consent": "marketing"}, "retain.consent is marketing; it takes a"),
    "consent_source": (
        {"months": 1, "consent": {"purpose": "analytics", "column": "id"}},
        "retain.consent names the purpose analytics, and no source of the model does",
    ),
}
# The same of a model that has other partitions, or none.
OTHERWISE: dict[str, tuple[dict[str, Any], str]] = {
    "list": (
        {"retain": {"months": 1}, "partition_by": {**RANGE, "method": "list"}},
        "retain needs partition_by with the method range",
    ),
    "no_column": (
        {"retain": {"months": 1}},
        "retain.column is None; a table without partitions needs the column",
    ),
    "warm_rows": (
        {"retain": {"warm": {"months": 1, "tablespace": "slow"}, "column": "at"}},
        "retain has warm, and the table has no partition_by",
    ),
    "view": (
        {"retain": {"months": 1}, "materialized": "view"},
        "retain is set, and materialized is view",
    ),
}


def test_policies_are_validated(database: Any, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", {})
    tracked = {"meta": {"change_log_keys": ["id"]}, "schema": None}
    good = {
        "retain": {
            "hot": {"months": 2},
            "warm": {"months": 24, "tablespace": "slow"},
            "archive": {"years": 10},
            "hold": [{"reason": "case 17", "months": "2024-01..2024-03"}],
        },
        "partition_by": {**RANGE, "method": "range"},
        **tracked,
    }
    configs = {
        **{name: {"partition_by": RANGE, "retain": kept} for name, (kept, _) in MALFORMED.items()},
        **{name: config for name, (config, _) in OTHERWISE.items()},
        "good": good,
        "everything": {"partition_by": RANGE},
    }
    for name, config in configs.items():
        config = {"materialized": "incremental", **config}
        write_model(project, name, "select 1 as id, now() as at", **config)
    text = plan_json(database, project)
    policies = {entry["model"]: entry for entry in json.loads(text)["policies"]}
    expected = {**MALFORMED, **OTHERWISE}
    assert policies.keys() == expected.keys() | {"good"}
    faults = {name: policies[name]["fault"] or "none" for name in expected}
    wrong = {
        name: faults[name]
        for name, (_, message) in expected.items()
        if not faults[name].startswith(f"{name}: {message}")
    }
    assert wrong == {}
    (first, *_) = (entry["fault"] for entry in policies.values() if entry["fault"])
    with pytest.raises(WarehouseError, match=re.escape(first)):
        make_plan(text)

    # Targets prefix the schemas with their name; all models of a target share its log.
    for name in expected:
        (project / "models" / f"{name}.sql").unlink()
    dbt_project.forget(project)
    for options, schema in (((), "observability"), (("--target", "ci"), "ci_observability")):
        (policy,) = make_plan(plan_json(database, project, options)).policies
        assert (policy.model, policy.change_log_keys, policy.observability) == (
            *("good", ("id",)),
            schema,
        )
        assert policy.retention == "hot 2 months, warm 24 months, archive 10 years"
        assert (policy.tablespace, policy.leaves_after) == ("slow", "24 months")
        assert policy.holds[0].covers("2024-03-01 00:00:00+00", "2024-04-01 00:00:00+00")
        assert policy.relation.endswith('"good"')


# Two models that read a raw table through a view; one of them is held.
SOURCES = """
version: 2
sources:
  - name: app
    schema: raw
    tables:
      - name: events
        config:
          meta:
            retain: {months: 6, column: at, consent: {purpose: analytics, column: user_id}}
        columns: [{name: at}, {name: user_id}]
"""
OF_EVENTS = {"partition_by": RANGE, "materialized": "incremental"}


def test_a_hold_of_a_model_holds_what_it_reads(database: Any, tmp_path: Path) -> None:
    """A build takes out of the model what its sources lost."""
    project = write_project(
        tmp_path / "project",
        {
            "sources.yml": SOURCES,
            "stg_events": "select * from {{ source('app', 'events') }}",
            "stg_app__consents": "select 1 as user_id",
        },
    )
    query, consent = "select * from {{ ref('stg_events') }}", {"column": "user_id"}
    held = [{"reason": "case 17", "months": "2024-01"}]
    tiers = {"hot": {"months": 3}, "archive": {"years": 1}}
    asks = {**tiers, "hold": held, "consent": {**consent, "purpose": "analytics"}}
    write_model(project, "held", query, retain=asks, **OF_EVENTS)
    write_model(project, "other", query, retain=tiers, **OF_EVENTS)
    policies = {policy.model: policy for policy in make_plan(plan_json(database, project)).policies}
    assert {name: policy.holds for name, policy in policies.items()} == {
        "app.events": (Hold("held: case 17", "2024-01", "2024-01"),),
        "held": (Hold("case 17", "2024-01", "2024-01"),),
        "other": (),
    }
    assert policies["app.events"].readers == ("stg_events",)
    assert policies["app.events"].consent == policies["held"].consent == ("analytics", "user_id")

    # Deleted in the model only, a full refresh would restore the rows.
    asks["consent"] = {**consent, "purpose": "research"}
    write_model(project, "held", query, retain=asks, **OF_EVENTS)
    with pytest.raises(WarehouseError, match=r"held: .* purpose research, and no source of the"):
        make_plan(plan_json(database, project))
