"""The conventions of the dbt project's layers, read from the parsed manifest."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import dbt_project
from warehouse.build import report
from warehouse.dbt import compiled

# What the models of each layer may read: the column "may read" in docs/architecture.md.
MAY_READ = {
    "staging": {"source app"},
    "snapshots": {"intermediate/states", "intermediate"},
    "marts/core": {"staging", "snapshots", "seeds", "marts/core"},
    "intermediate": {"staging", "seeds", "marts/core", "intermediate", "source ml"},
    # Ephemeral models with the rows that a snapshot stores. Only snapshots read them.
    "intermediate/states": {"staging", "marts/core", "marts/users"},
    "marts/users": {"seeds", "snapshots", "marts/core", "intermediate", "marts/users"},
    "marts/finance": {"seeds", "marts/core", "intermediate", "marts/users", "marts/finance"},
    "published": {"marts/core", "marts/users", "marts/finance", "quarantine"},
    "reporting": {"published"},
    "quarantine": {"staging", "intermediate", "snapshots", "source observability"},
    "observability": {
        "marts/core",
        "marts/users",
        "marts/finance",
        "intermediate",
        "observability",
    },
}
# Reads what is loaded, because a withdrawn consent must not wait for a build.
LIVE = {"rpt_marketing_audience": {"staging"}}
PUBLIC = {"marts/core", "marts/users", "marts/finance", "reporting"}
# Rows without a key cannot be distinguished.
KEY_WHERE = {"excluded_rows": "row_key is not null"}
# It has one row, with nulls in all columns if there is no fit. A test counts the row instead.
WITHOUT_KEY = {"int_clv_parameters"}


@pytest.fixture(scope="module")
def manifest() -> Any:
    """The parsed project."""
    return dbt_project._parsed_once((), "{}", dbt_project.ROOT)


def layer_of(node: Any) -> str:
    """The layer of a model, snapshot, seed or source, by its folder."""
    if node.resource_type == "source":
        return f"source {node.source_name}"
    if node.resource_type != "model":
        return f"{node.resource_type}s"
    folders = node.fqn[1:-1]
    if folders[0] == "marts" or folders[:2] == ["intermediate", "states"]:
        return "/".join(folders[:2])
    return folders[0]


def built(manifest: Any, *kinds: str) -> Iterator[Any]:
    """The nodes of these kinds in this project."""
    for node in manifest.nodes.values():
        if node.package_name == "analytics_warehouse" and node.resource_type in kinds:
            yield node


def generic_tests(manifest: Any) -> dict[str, list[Any]]:
    """The generic tests of each node."""
    found = defaultdict(list)
    for test in built(manifest, "test"):
        if getattr(test, "attached_node", None):
            found[test.attached_node].append(test)
    return found


def read_against_the_rules(manifest: Any) -> list[str]:
    """What models and snapshots read of layers that they may not read."""
    wrong = []
    for node in built(manifest, "model", "snapshot"):
        layer = layer_of(node)
        for name in node.depends_on.nodes:
            read = layer_of(manifest.nodes.get(name) or manifest.sources[name])
            if read not in LIVE.get(node.name, MAY_READ[layer]):
                wrong.append(f"{node.name} of {layer} reads {name} of {read}")
    return wrong


def test_a_layer_reads_only_what_it_may(manifest: Any) -> None:
    assert read_against_the_rules(manifest) == []
    assert {layer_of(node) for node in built(manifest, "model", "snapshot")} == set(MAY_READ)


def test_stitching_adds_one_model_that_keeps_the_conventions(manifest: Any) -> None:
    variables = json.dumps({"stitch_sessions": True})
    stitched = dbt_project._parsed_once((), variables, dbt_project.ROOT)
    before = {node.unique_id for node in built(manifest, "model", "snapshot", "seed")}
    (model,) = (
        node
        for node in built(stitched, "model", "snapshot", "seed")
        if node.unique_id not in before
    )
    assert model.name == "int_session_users" and model.access == "protected"
    assert has_tested_key(model, generic_tests(stitched)[model.unique_id])
    assert model.description and all(column.description for column in model.columns.values())
    assert read_against_the_rules(stitched) == [
        f"fct_user_events of marts/core reads {model.unique_id} of intermediate"
    ]
    assert overrides_without_effect(stitched) == []


def test_only_snapshots_read_their_states(manifest: Any) -> None:
    states = [node for node in built(manifest, "model") if layer_of(node) == "intermediate/states"]
    assert len(states) == 3
    assert [node.name for node in states if node.config.materialized != "ephemeral"] == []
    names = {node.unique_id for node in states}
    readers = {
        layer_of(node)
        for node in built(manifest, "model", "snapshot")
        if names.intersection(node.depends_on.nodes)
    }
    assert readers == {"snapshots"}


def test_what_people_query_is_public_and_has_an_owner(manifest: Any) -> None:
    owned = {group.name for group in manifest.groups.values() if group.owner.email}
    assert owned == {"analytics"}
    seen = set()
    for node in built(manifest, "model"):
        is_public = layer_of(node) in PUBLIC
        seen.add(is_public)
        assert node.access == ("public" if is_public else "protected"), node.name
        assert (node.config.group in owned) == is_public, node.name
    assert seen == {True, False}


def has_tested_key(node: Any, tests: list[Any]) -> bool:
    """Whether constraints or tests without a condition say what is unique and never null."""
    where = KEY_WHERE.get(node.name)
    unique: list[set[str]] = []
    never_null: set[str] = set()
    if node.config.contract.enforced:
        unique += [set(each.columns) for each in node.constraints if each.type == "primary_key"]
        never_null |= {
            column.name
            for column in node.columns.values()
            if any(each.type == "not_null" for each in column.constraints)
        }
    for test in tests:
        name, condition = test.test_metadata.name, test.config.where
        if test.config.severity.lower() != "error" or condition not in (None, where):
            continue
        if name == "not_null":
            never_null.add(test.column_name)
        elif name == "unique":
            unique.append({test.column_name})
        elif name == "unique_combination_of_columns":
            unique.append(set(test.test_metadata.kwargs["combination_of_columns"]))
    if where:
        never_null.add(where.removesuffix(" is not null"))
    keys = [columns for columns in unique if columns <= never_null]
    declared = node.config.get("unique_key")
    if declared and node.resource_type == "model":
        return {declared} in keys if isinstance(declared, str) else set(declared) in keys
    return bool(keys)


def has_tested_key_of_publication(node: Any, tests: list[Any]) -> bool:
    """Whether the key by which a candidate is copied is the key that its tests prove."""
    key = node.config.get("unique_key")
    columns = {key} if isinstance(key, str) else set(key)
    unique = {
        frozenset(test.test_metadata.kwargs.get("combination_of_columns") or [test.column_name])
        for test in tests
        if test.test_metadata.name in ("unique", "unique_combination_of_columns")
    }
    return frozenset(columns) in unique


def test_every_relation_has_a_tested_key(manifest: Any) -> None:
    tests = generic_tests(manifest)
    relations = [
        node
        for node in built(manifest, "model", "snapshot", "seed")
        if node.config.materialized != "ephemeral"
    ]
    assert len(relations) > 40
    candidates = {node.unique_id: node for node in relations if layer_of(node) == "published"}
    lacking = set()
    for node in relations:
        # A reporting view shows rows of its candidate, which were tested before.
        shows_candidate = layer_of(node) == "reporting" and node.name not in LIVE
        tested = candidates[node.depends_on.nodes[0]] if shows_candidate else node
        if not has_tested_key(tested, tests[tested.unique_id]):
            lacking.add(node.name)
    assert lacking == WITHOUT_KEY
    assert all(
        has_tested_key_of_publication(node, tests[node.unique_id]) for node in candidates.values()
    )
    counted = "test.analytics_warehouse.int_clv_parameters_is_one_row"
    assert manifest.nodes[counted].depends_on.nodes == [
        "model.analytics_warehouse.int_clv_parameters"
    ]


def called(manifest: Any, node: Any) -> set[str]:
    """The names of the macros that a node calls, directly or through others."""
    found, waiting = set(), list(node.depends_on.macros)
    while waiting:
        macro = waiting.pop()
        if macro not in found:
            found.add(macro)
            waiting.extend(manifest.macros[macro].depends_on.macros)
    return {macro.rpartition(".")[2] for macro in found}


def overridden(manifest: Any) -> dict[tuple[str, str], set[str]]:
    """The macros that the model calls, by unit test and overridden macro."""
    return {
        (test.name, macro): called(manifest, manifest.nodes[test.depends_on.nodes[0]])
        for test in manifest.unit_tests.values()
        if test.overrides
        for macro in test.overrides.macros
    }


def overrides_without_effect(manifest: Any) -> list[tuple[str, str]]:
    """The unit tests and macros for which the model does not call the macro."""
    return [key for key, names in overridden(manifest).items() if key[1] not in names]


def test_unit_tests_override_macros_that_are_called(manifest: Any) -> None:
    """dbt ignores an override of any other macro, so the test would test something else."""
    assert len(overridden(manifest)) > 30
    assert overrides_without_effect(manifest) == []


def test_source_is_called_where_it_may_be() -> None:
    """Staging calls `read_source`, and a hook counts what it excludes.

    Models call `source` only for tables that the project owns.
    """
    calls = {
        (str(path.relative_to(dbt_project.ROOT)), call)
        for folder in ("models", "macros", "snapshots")
        for path in (dbt_project.ROOT / folder).rglob("*.sql")
        for call in re.findall(r"\bsource\('(\w+)'", path.read_text())
    }
    assert {call for _, call in calls} == {"app", "ml", "observability"}
    assert {path: call for path, call in calls if call != "app"} == {
        "models/intermediate/users/int_clv_parameters.sql": "ml",
        "models/quarantine/row_issues.sql": "observability",
    }
    assert {path for path, call in calls if call == "app"} == {
        "macros/project/read_source.sql",
        "macros/hooks/internal/check_exclusions.sql",
    }


@pytest.mark.parametrize("target", ["dev", "ci"])
def test_sources_of_our_own_are_where_the_hooks_create_them(database: Any, target: str) -> None:
    """YAML cannot call generate_schema_name, so it repeats the rule of that macro."""
    environment = {**database.environment, "DBT_TARGET": target}
    of_target = dataclasses.replace(database, environment=environment)
    pairs = {
        "source('ml', 'clv_parameters')": "clv_parameters()",
        **{
            f"source('observability', '{name}')": f"state_relation('{name}')"
            for name in ("watermarks", "key_changes", "expired_partitions", "partition_bounds")
        },
    }
    inline = "\n".join(f"{{{{ {left} }}}} {{{{ {right} }}}}" for left, right in pairs.items())
    results = dbt_project.run(of_target, "compile", options=("--inline", inline))
    lines = compiled(results).compiled_code.strip().splitlines()
    assert len(lines) == len(pairs)
    for line in lines:
        declared, created = line.split(" ")
        assert declared == created
        assert (f'"{target}_' in declared) == (target == "ci")


def test_no_expression_passes_a_row_of_nulls(manifest: Any, database: Any) -> None:
    """dbt_utils counts rows for which the expression is false, so a null result passes."""
    seen = 0
    with database.connect() as session:
        for test in built(manifest, "test"):
            metadata = getattr(test, "test_metadata", None)
            if metadata is None or metadata.name != "expression_is_true" or test.column_name:
                continue
            columns = manifest.nodes[test.attached_node].columns.values()
            nulls = ", ".join(f"null::{each.data_type} as {each.name}" for each in columns)
            row = session.execute(
                f"select ({metadata.kwargs['expression']}) from (select {nulls}) as no_value"
            ).fetchone()
            assert row is not None
            assert row[0] is not None, f"{test.name}: null for a row of nulls; add `is true`"
            seen += 1
    assert seen >= 10


def test_every_data_test_can_be_reported(manifest: Any) -> None:
    """Whatever fails, the report of a build names it, and how to look at its rows."""
    tests = [node for node in manifest.nodes.values() if node.resource_type == "test"]
    generic = [node for node in tests if is_generic(node)]
    assert 100 < len(generic) < len(tests)
    for node in tests:
        node.compiled_code = 'select from "d"."marts"."a" inner join "d"."marts"."b"'
        node.compiled_path = "target/compiled/a.sql"
        result = SimpleNamespace(node=node, status="fail", failures=1, message="Got 1 result")
        described = report._described(result)
        assert node.name in described[0] and "warehouse psql -" in described[1]


def is_generic(node: Any) -> bool:
    """Whether a data test is declared in YAML, not a file of its own."""
    return getattr(node, "test_metadata", None) is not None


def test_the_guide_lists_the_keys_that_core_models_log(manifest: Any) -> None:
    guide = (dbt_project.ROOT / "docs" / "incremental-models.md").read_text()
    table = guide.split("| model | logged keys |\n|---|---|\n")[1].split("\n\n")[0]
    listed = {}
    for line in table.splitlines():
        models, keys = (re.findall("`([^`]+)`", cell) for cell in line.strip("|").split("|"))
        listed |= dict.fromkeys(models, keys)
    logged = {
        node.name: list(node.config.meta["change_log_keys"])
        for node in manifest.nodes.values()
        if node.name.startswith(("dim_", "fct_")) and "change_log_keys" in node.config.meta
    }
    assert listed == logged, "docs/incremental-models.md has another list than the models"


def test_tables_that_seldom_change_are_not_said_to_be_stale(manifest: Any) -> None:
    """Their latest row is older than any load that found nothing new."""
    without = {
        source.name
        for source in manifest.sources.values()
        if source.source_name == "app" and not (source.freshness and source.freshness.warn_after)
    }
    assert without == {"categories", "products", "exchange_rates", "consents", "erasure_requests"}
