"""Conventions of the dbt project that can be checked from its files."""

from __future__ import annotations

import re

from tests.support import dbt_project


def test_no_model_ignores_an_upstream() -> None:
    """A model would miss changes of what it ignores, and need not follow what it does not read."""
    seen = 0
    for path in (dbt_project.ROOT / "models").rglob("*.sql"):
        text = path.read_text()
        assert "ignoring" not in text, path.name
        call = re.search(r"changed_keys\(.*?\) %\}", text, re.DOTALL)
        if call is None:
            continue
        seen += 1
        named = set(re.findall(r"ref\('(\w+)'\)", call.group()))
        assert named <= set(re.findall(r"ref\('(\w+)'\)", text.replace(call.group(), ""))), (
            path.name
        )
    assert seen >= 15


def test_no_configuration_disables_an_option_of_the_command_line() -> None:
    """dbt prefers these to --full-refresh and --store-failures, also where they say the default."""
    option = re.compile(r"\b\+?(?:full_refresh|store_failures)\s*[:=]\s*\w+")
    files = [dbt_project.ROOT / "dbt_project.yml"]
    for folder in ("models", "snapshots", "seeds", "tests/integrity"):
        for kind in ("*.yml", "*.sql"):
            files += (dbt_project.ROOT / folder).rglob(kind)
    assert len(files) > 100
    for path in files:
        assert not option.search(path.read_text()), path


def test_no_relation_gets_an_alias() -> None:
    """With --empty dbt puts a subquery with its own alias there, unless render() is called."""
    aliased = re.compile(r"\b(?:ref|source)\([^()]*\)\s*-?\}\}\s+as\b")
    folders = ("models", "macros", "tests/integrity", "tests/macros", "analyses")
    seen = 0
    for path in (path for folder in folders for path in (dbt_project.ROOT / folder).rglob("*.sql")):
        seen += 1
        assert not aliased.search(path.read_text()), path
    assert seen > 100


def test_the_overridden_macros_of_dbt_are_listed() -> None:
    """Whoever updates dbt compares these with the new version."""
    macros = dbt_project.ROOT / "macros"
    (listed,) = re.findall(r"\| names \|.*", (macros / "README.md").read_text())
    overridden = {
        name
        for path in macros.rglob("*.sql")
        for name in re.findall(r"macro postgres__(\w+)", path.read_text())
    }
    materializations = {
        name
        for path in macros.rglob("*.sql")
        for name in re.findall(r"{% materialization (\w+)", path.read_text())
    }
    assert len(overridden) > 5 and len(materializations) > 1
    assert overridden | {"generate_schema_name"} | materializations == set(
        re.findall(r"`(\w+)`", listed)
    )
