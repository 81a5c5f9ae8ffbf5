"""Macros call each other in one direction, and nothing outside calls an internal macro."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from tests.support import dbt_project

PROJECT = "analytics_warehouse"
# A macro may call macros of its own folder and of earlier folders.
LAYERS = (
    *("sql/internal", "sql"),
    *("project/internal", "project"),
    # What a model keeps is checked with its partitions, before anything is built.
    "retention/internal",
    *("postgres/catalog", "postgres/locks"),
    *("postgres/indexes", "postgres/replace", "postgres/constraints"),
    *("postgres/partitions", "postgres/statistics"),
    # Only dbt calls these. Macros of earlier folders may call dbt's macro that dispatches to them.
    "postgres/overrides",
    "retention",
    # Independent of incremental. The internal macros create the table that the public ones name.
    *("clv", "clv/internal"),
    *("incremental/internal", "incremental"),
    # What a build asks of the rows that it writes, and of the keys that changed.
    *("audits/internal", "audits"),
    *("quality/internal", "quality"),
    # What a run found, and what readers get to see.
    *("results/internal", "publication/internal", "publication"),
    *("observability/internal", "observability"),
    *("privacy/internal", "privacy"),
    # They ask whether the upstreams of a model changed.
    "postgres/materializations",
    *("hooks/internal", "hooks"),
)
# Implementations of a dispatched macro, in the same folder. Macros call only the dispatcher.
IMPLEMENTATION = re.compile("(default|postgres|spark)__")

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def macros() -> dict[str, Any]:
    """All macros by unique id, including dbt's own."""
    return dbt_project.parsed().macros


def own(macros: Mapping[str, Any]) -> dict[str, Any]:
    """This project's macros by unique id."""
    found = {key: macro for key, macro in macros.items() if macro.package_name == PROJECT}
    assert len(found) > 150
    return found


def calls(macros: Mapping[str, Any]) -> Graph:
    """The macros that each macro calls, including calls that dbt does not detect.

    dbt detects calls by name, and for a dispatch the implementation of the current adapter. This
    adds the other implementations, and macros that the adapter runs by name.
    """
    by_name: Graph = {}
    for key, macro in macros.items():
        by_name.setdefault(macro.name, set()).add(key)
    graph: Graph = {}
    for key, macro in macros.items():
        names = re.findall(r"adapter\.dispatch\(\s*'(\w+)'", macro.macro_sql)
        names += re.findall(r"adapter\.(\w+)\(", macro.macro_sql)
        by_adapter = {
            found
            for name in names
            for engine in ("default", "postgres", "spark")
            for found in by_name.get(f"{engine}__{name}", ())
            if macros[found].package_name == PROJECT
        }
        graph[key] = {*macro.depends_on.macros, *by_adapter} & macros.keys() - {key}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """The groups of two or more nodes that reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def file_of(macro: Any) -> str:
    """The file of a macro, relative to the folder of macros."""
    return str(PurePosixPath(macro.original_file_path).relative_to("macros"))


def folder_of(macro: Any) -> str:
    """The folder of a macro, relative to the folder of macros."""
    return str(PurePosixPath(file_of(macro)).parent)


def is_internal(macro: Any) -> bool:
    """Whether only other macros and dbt may call it, judged by its folder and name."""
    folder = folder_of(macro)
    return (
        folder.startswith("postgres/")
        or folder.endswith("/internal")
        or IMPLEMENTATION.match(macro.name) is not None
    )


def jinja_calls(text: str) -> Iterator[str]:
    """The names that a text calls inside Jinja braces."""
    for braces in re.findall(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL):
        yield from re.findall(r"(?<![\w.])(\w+)\(", braces)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        # A retry loop sleeps.
        (r"pg_sleep|time\.sleep|LockNotAvailable", "macros/postgres/locks/try_for_locks.sql"),
        (r"\.relpartbound", "macros/postgres/partitions/partition_bounds.sql"),
        (r"\.get\('retain'\)\s*-?%}", "macros/retention/internal/read_retain.sql"),
        (r"such as {months: 24}", "macros/retention/internal/read_retain.sql"),
    ],
)
def test_what_has_one_place_is_nowhere_else(pattern: str, place: str) -> None:
    """Retrying for locks, reading the bounds of partitions, and validating retain."""
    root = dbt_project.ROOT
    folders = ("macros", "models", "snapshots", "warehouse/retention")
    files = [path for folder in folders for path in sorted((root / folder).rglob("*"))]
    found = [
        str(path.relative_to(root))
        for path in files
        if path.suffix in (".sql", ".py") and re.search(pattern, path.read_text())
    ]
    assert found == [place]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d", "a"}}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}}) == []


def test_every_folder_has_a_layer(macros: dict[str, Any]) -> None:
    folders = {folder_of(macro) for macro in own(macros).values()}
    assert sorted(folders - set(LAYERS)) == []


def test_no_macro_calls_one_of_a_higher_folder(macros: dict[str, Any]) -> None:
    ours, graph = own(macros), calls(macros)
    upwards = [
        f"{file_of(macro)}: {macro.name} calls {ours[called].name} of {file_of(ours[called])}"
        for key, macro in ours.items()
        for called in sorted(graph[key] & ours.keys())
        # Such a call goes to dbt's macro of this name, which dispatches to the override.
        if folder_of(ours[called]) != "postgres/overrides"
        and LAYERS.index(folder_of(ours[called])) > LAYERS.index(folder_of(macro))
    ]
    assert upwards == []


def test_no_macro_calls_an_override_by_its_name(macros: dict[str, Any]) -> None:
    ours = own(macros)
    overrides = {key for key, each in ours.items() if folder_of(each) == "postgres/overrides"}
    assert overrides
    direct = [
        f"{macro.name} calls {name}"
        for key, macro in ours.items()
        for name in sorted(ours[found].name for found in overrides - {key})
        if re.search(rf"(?<![\w.]){name}\(", macro.macro_sql)
    ]
    assert direct == []


def test_no_files_call_each_other_in_a_circle(macros: dict[str, Any]) -> None:
    ours, graph = own(macros), calls(macros)
    files: Graph = {}
    for key, macro in ours.items():
        called = {file_of(ours[each]) for each in graph[key] & ours.keys()}
        files.setdefault(file_of(macro), set()).update(called - {file_of(macro)})
    assert circles(files) == []


def test_no_macros_call_each_other_in_a_circle(macros: dict[str, Any]) -> None:
    """Not even through dbt's own macros. A macro may call itself."""
    ours = own(macros)
    assert [group for group in circles(calls(macros)) if ours.keys() & set(group)] == []


def test_internal_macros_are_hidden_and_no_others(macros: dict[str, Any]) -> None:
    wrong = [
        f"{file_of(macro)}: {macro.name} has docs.show {macro.docs.show}"
        for macro in own(macros).values()
        if macro.docs.show == is_internal(macro)
    ]
    assert wrong == []


def test_public_macros_are_described_with_their_arguments(macros: dict[str, Any]) -> None:
    wrong = []
    for macro in own(macros).values():
        if is_internal(macro):
            continue
        match = re.search(r"{%-?\s*macro\s+\w+\((.*?)\)\s*-?%}", macro.macro_sql, re.DOTALL)
        assert match is not None, macro.name
        names = [each.split("=")[0].strip() for each in match[1].split(",") if each.strip()]
        if not macro.description.strip():
            wrong.append(f"{macro.name} has no description")
        if [each.name for each in macro.arguments] != names:
            wrong.append(f"{macro.name} takes {names}, and other arguments are described")
        wrong += [
            f"{macro.name}: {each.name} has no type or no description"
            for each in macro.arguments
            if not (each.type and each.description)
        ]
    assert wrong == []


def texts_that_call() -> Iterable[tuple[str, str]]:
    """The path and text of every file that may call only public macros."""
    root = dbt_project.ROOT
    folders = ("models", "seeds", "snapshots", "analyses", "tests/integrity", "docs")
    found = [path for folder in folders for path in sorted((root / folder).rglob("*"))]
    found += [root / "dbt_project.yml", root / "README.md"]
    for path in found:
        if path.suffix in (".sql", ".yml", ".md"):
            yield str(path.relative_to(root)), path.read_text()


def test_only_public_macros_are_called_from_outside(macros: dict[str, Any]) -> None:
    """From models, tests, hooks and docs; tests/macros may also call internal macros."""
    ours = {macro.name: macro for macro in own(macros).values()}
    called = {
        (path, name)
        for path, text in texts_that_call()
        for name in (*jinja_calls(text), *re.findall(r"run-operation (\w+)", text))
        if name in ours
    }
    names = {name for _, name in called}
    assert {"changed_keys", "backfill_snapshot", "read_source", "as_of"} <= names
    assert [f"{path}: {name}" for path, name in sorted(called) if is_internal(ours[name])] == []


def test_nodes_call_public_macros_only(macros: dict[str, Any]) -> None:
    """According to dbt, including generic tests and hooks, which are defined in YAML."""
    ours = own(macros)
    wrong = [
        f"{node.unique_id} calls {ours[key].name}"
        for node in dbt_project.parsed().nodes.values()
        if not node.original_file_path.startswith("tests/macros/")
        for key in node.depends_on.macros
        if key in ours and is_internal(ours[key])
    ]
    assert wrong == []


def test_hooks_of_the_project_are_known(macros: dict[str, Any]) -> None:
    """Every hook of dbt_project.yml calls a macro of this project."""
    whole = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())
    hooks: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if str(key).strip("+") in ("pre-hook", "post-hook", "on-run-start", "on-run-end"):
                    hooks.append(yaml.safe_dump(inner))
                else:
                    collect(inner)

    collect(whole)
    names = {name for hook in hooks for name in jinja_calls(hook)}
    assert hooks
    assert names <= {macro.name for macro in own(macros).values()}
