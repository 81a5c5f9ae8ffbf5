"""The documentation is complete and correct: descriptions, and the SQL in the guides."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.documents import blocks, is_question

ROOT = dbt_project.ROOT
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "adapting.md"
PROJECT = "analytics_warehouse"


# --- dbt's own documentation ------------------------------------------------------------------


class Generated(NamedTuple):
    """The result and the output of `dbt docs generate`."""

    manifest: dict[str, Any]
    catalogue: dict[str, Any]
    said: str


@pytest.fixture(scope="module")
def generated(sample_warehouse: Any, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """The output of `dbt docs generate`, on the built sample."""
    target = tmp_path_factory.mktemp("docs")
    with dbt_project.environment(sample_warehouse.environment):
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "dbt.cli.main", "--no-use-colors"),
                *("--show-all-deprecations", "docs", "generate"),
                *("--target-path", str(target), "--log-path", str(target)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert answer.returncode == 0, answer.stdout[-3000:]
    manifest, catalogue = (
        json.loads((target / f"{name}.json").read_text()) for name in ("manifest", "catalog")
    )
    return Generated(manifest, catalogue, answer.stdout)


def own(manifest: dict[str, Any], *kinds: str) -> Iterator[dict[str, Any]]:
    """The nodes of these kinds in this project."""
    for kind in kinds:
        for node in manifest[kind].values():
            if node["package_name"] == PROJECT:
                yield node


def relations(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes with columns: models, snapshots, seeds and sources."""
    kinds = ("model", "snapshot", "seed", "source")
    return [node for node in own(manifest, "nodes", "sources") if node["resource_type"] in kinds]


def test_dbt_has_nothing_to_complain_about(generated: Generated) -> None:
    assert "Catalog written" in generated.said
    assert "WARNING" not in generated.said, generated.said[-3000:]
    assert "Deprecat" not in generated.said, generated.said[-3000:]


def test_everything_has_a_description(generated: Generated) -> None:
    manifest = generated.manifest
    described = [
        *relations(manifest),
        *(node for node in own(manifest, "nodes") if node["resource_type"] == "analysis"),
        *own(manifest, "exposures", "macros"),
    ]
    kinds = Counter(node["resource_type"] for node in described)
    assert set(kinds) == {
        *("model", "snapshot", "seed", "source", "analysis", "exposure", "macro"),
    }
    assert [node["unique_id"] for node in described if not node["description"].strip()] == []
    sources = {node["source_name"]: node["source_description"] for node in own(manifest, "sources")}
    assert all(sources.values())


def test_every_column_has_a_description(generated: Generated) -> None:
    """All columns of the built relations, not only those in the YAML, and no others."""
    manifest, catalogue = generated.manifest, generated.catalogue
    built = {**catalogue["nodes"], **catalogue["sources"]}
    wrong = []
    assert len(relations(manifest)) > 40
    for node in relations(manifest):
        name = node["unique_id"]
        if node["config"].get("materialized") == "ephemeral":
            # It has no relation in the database; the unit tests of the model name its columns.
            assert node["columns"], f"{name}: no column is described"
            continue
        columns = {column.lower() for column in built[name]["columns"]}
        described = {
            column["name"].lower()
            for column in node["columns"].values()
            if column["description"].strip()
        }
        wrong += [f"{name}.{column}: not described" for column in sorted(columns - described)]
        wrong += [f"{name}.{column}: does not exist" for column in sorted(described - columns)]
    assert wrong == []


def test_every_shared_meaning_is_used(generated: Generated) -> None:
    """models/_docs/columns.md has no empty, unused or duplicate block."""
    manifest = generated.manifest
    used = {
        name
        for node in relations(manifest)
        for column in node["columns"].values()
        for name in column["doc_blocks"]
    }
    written = {
        doc["unique_id"]: doc["block_contents"].strip()
        for doc in own(manifest, "docs")
        if doc["path"].endswith("columns.md")
    }
    assert len(written) > 50
    assert sorted(set(written) - used) == []
    meanings = Counter(written.values())
    assert [meaning for meaning, times in meanings.items() if times > 1 or not meaning] == []


def test_no_meaning_is_written_twice(generated: Generated) -> None:
    """Columns whose descriptions differ only in case or punctuation share a columns.md block."""
    said: dict[tuple[str, ...], list[tuple[str, bool]]] = defaultdict(list)
    for node in relations(generated.manifest):
        for column in node["columns"].values():
            words = tuple(re.findall(r"\w+", column["description"].lower()))
            name = f"{node['unique_id']}.{column['name']}"
            said[words].append((name, bool(column["doc_blocks"])))
    assert len(said) > 100
    twice = [
        sorted(name for name, _ in columns)
        for columns in said.values()
        if len(columns) > 1 and not all(from_block for _, from_block in columns)
    ]
    assert twice == []


def signature(macro_sql: str) -> list[str]:
    """The names of the arguments in the first line of a macro."""
    match = re.search(r"{%-?\s*macro\s+\w+\((.*?)\)\s*-?%}", macro_sql, re.DOTALL)
    assert match is not None, macro_sql[:100]
    return [part.split("=")[0].strip() for part in match[1].split(",") if part.strip()]


def test_every_argument_of_a_macro_is_described(generated: Generated) -> None:
    manifest = generated.manifest
    wrong = []
    macros = list(own(manifest, "macros"))
    assert sum(bool(macro["arguments"]) for macro in macros) > 50
    for macro in macros:
        if macro["name"].startswith("materialization_"):
            continue  # dbt itself calls these, and documents an argument that they do not have
        arguments = macro["arguments"]
        if [each["name"] for each in arguments] != signature(macro["macro_sql"]):
            wrong.append(f"{macro['name']}: not the arguments {signature(macro['macro_sql'])}")
        wrong += [
            f"{macro['name']}.{each['name']}: no type or no description"
            for each in arguments
            if not (each["type"] and each["description"])
        ]
    assert wrong == []


def test_exposures_name_an_owner_and_marts(generated: Generated) -> None:
    manifest = generated.manifest
    exposures = list(own(manifest, "exposures"))
    assert exposures
    for exposure in exposures:
        assert exposure["owner"]["name"] and exposure["owner"]["email"].endswith("@example.com")
        schemas = {manifest["nodes"][name]["schema"] for name in exposure["depends_on"]["nodes"]}
        assert schemas and schemas <= {"marts", "reporting"}, exposure["name"]


def test_the_first_page_lists_every_mart_with_its_question(generated: Generated) -> None:
    """A mart without `meta.answers` is somebody's own, and need not be listed there."""
    manifest = generated.manifest
    asked = {
        f"{node['schema']}.{node['alias']}"
        for node in own(manifest, "nodes")
        if node["resource_type"] == "model" and node["config"]["meta"].get("answers")
    }
    assert len(asked) > 20
    rows = re.findall(r"^\| `(\w+\.\w+)` \| [^|]+ \| [^|]+ \|$", README.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(asked)


# --- Markdown ---------------------------------------------------------------------------------


# --- SQL in the guides ------------------------------------------------------------------------


@pytest.mark.parametrize("path", [README, GUIDE], ids=lambda path: path.name)
def test_questions_have_answers(sample_warehouse: Any, path: Path) -> None:
    questions = [block for block in blocks(path) if is_question(block)]
    assert len(questions) >= 4
    with sample_warehouse.connect() as session:
        session.read_only = True
        for question in questions:
            assert session.execute(question).fetchall(), f"{path.name}: no row\n{question}"


# The tables of an application, as the guide assumes them.
APPLICATION = """
create table public.customers (
    id bigint primary key, mail text, full_name text, country_code char(2), plan text,
    registered_at timestamptz, changed_at timestamptz
);
create table public.purchases (
    id bigint primary key, customer_id bigint, state text, total double precision,
    placed_at timestamptz, changed_at timestamptz
);
insert into public.customers values
    (1, 'Ada@example.org', 'Ada L', 'GB', 'free', '2026-01-01', '2026-01-01'),
    (2, 'bo@example.org', 'Bo M', 'DE', 'free', '2026-01-01', '2026-01-01');
insert into public.purchases values
    (1, 1, 'Paid', 20.5, '2026-02-01', '2026-02-01'),
    (2, 2, 'paid', 7, '2026-02-01', '2026-02-01');
"""


@pytest.mark.long
def test_the_guide_disables_a_mart(tmp_path: Path) -> None:
    """Its example leaves nothing that reads the model."""
    (block,) = blocks(GUIDE, "yaml")
    project = dbt_project.copy_project(tmp_path / "project")
    path = project / "dbt_project.yml"
    whole = yaml.safe_load(path.read_text())
    for kind, config in yaml.safe_load(block).items():
        marts = config[PROJECT].pop("marts", None)
        whole.setdefault(kind, {}).setdefault(PROJECT, {}).update(config[PROJECT])
        if marts:
            whole[kind][PROJECT]["marts"].update(marts)
    path.write_text(yaml.safe_dump(whole))
    assert f"model.{PROJECT}.user_clv" not in dbt_project.parsed(project).nodes


def test_the_guide_leads_to_a_warehouse_on_own_tables(database: Any, tmp_path: Path) -> None:
    """Run its statements and `warehouse init`, build, change a row and delete one, build again."""
    statements = [block for block in blocks(GUIDE) if not is_question(block)]
    assert len(statements) >= 2
    with database.connect() as session:
        session.execute(APPLICATION)
        for statement in statements:
            session.execute(statement)
    folder = ("--mapping", str(tmp_path))
    proposed = warehouse(database, "init", "--schema", "public", "--currency", "EUR", *folder)
    assert proposed.returncode == 0, proposed.stderr
    lines = tmp_path / "order_items.sql"
    confirmed = re.sub(r"^-- OPEN.*\n|^where false\n", "", lines.read_text(), flags=re.MULTILINE)
    lines.write_text(confirmed)
    applied = warehouse(database, "init", "--apply", *folder)
    assert applied.returncode == 0, applied.stderr
    assert "create index" not in applied.stdout  # the guide creates all of them
    variables = {"sources_present": ["users", "orders", "order_items"]}
    dbt_project.build(database, variables=variables, options=dbt_project.NO_UNIT_TESTS)
    with database.connect() as session:
        session.execute(
            "update public.customers set plan = 'plus', changed_at = now() where id = 1"
        )
        session.execute("delete from public.purchases where id = 2")
    only_models = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
    dbt_project.build(database, variables=variables, options=only_models)

    with database.connect() as session:
        versions = session.execute(
            "select user_id, subscription_tier, is_current from marts.dim_users"
            " where user_id <> 'unknown' order by user_id, effective_date"
        ).fetchall()
        spent = session.execute(
            "select user_id, total_orders, total_spent::float8 from marts.user_analytics order by 1"
        ).fetchall()
    assert versions == [("1", "free", False), ("1", "plus", True), ("2", "free", True)]
    assert spent == [("1", 1, 20.5), ("2", 0, 0.0)]
