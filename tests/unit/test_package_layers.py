"""The layers of the package `warehouse`: imports go downwards only; each job has one module."""

from __future__ import annotations

import ast
import graphlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "warehouse"

# The layers, from the lowest to the highest. A module or folder of `warehouse` may import those of
# lower layers, but not those of its own layer.
FLOORS = (
    {"errors", "printable", "private", "redaction"},
    {"console", "project"},
    {"contract", "options", "server"},
    {"database", "dbt", "mapping"},
    {"retention"},
    {"privacy"},
    {"build", "clv", "load", "metrics", "sample", "setup"},
    {"init"},
    {"cli"},
)
# The only modules that may import these packages.
PLACES = {"dbt": {"warehouse.dbt"}, "rich": {"warehouse.console"}}


def modules(package: Path) -> dict[str, Path]:
    """The files of a package by module name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """The imports of a file, including those inside functions, with their line numbers.

    For imports from the package itself, the name is that of the module.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write the import from `warehouse` on"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield (submodule if submodule in known else str(node.module)), node.lineno


def lazily_imported() -> Iterator[str]:
    """The names of the modules that `warehouse.cli` imports lazily."""
    tree = ast.parse((PACKAGE / "cli.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Lazy":
            yield ast.literal_eval(node.args[0])


def faults(package: Path) -> list[str]:
    """Imports that go upwards, sideways or in a circle, or that only another module may have."""
    known = modules(package)
    name = package.name
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    found = []
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        room = module.removeprefix(f"{name}.").split(".")[0]
        graph[module] = set()
        if module != name and room not in floor_of:
            found.append(f"{module} has no floor")
            continue
        for target, line in imports(path, known):
            where = f"{module}, line {line}"
            top = target.split(".")[0]
            if module not in PLACES.get(top, {module}):
                found.append(f"{where}: imports {target}, which only {PLACES[top]} may")
            if top != name:
                continue
            graph[module].add(target)
            if target == name:
                continue
            other = target.removeprefix(f"{name}.").split(".")[0]
            if other != room and floor_of.get(other, len(FLOORS)) >= floor_of.get(room, -1):
                found.append(f"{where}: {room} imports {other}, which is not on a lower floor")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"circle: {' -> '.join(error.args[1])}")
    return found


def test_no_import_goes_upwards_or_in_a_circle() -> None:
    assert len(modules(PACKAGE)) > 40
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {"errors.py": "def f():\n    from warehouse.project import root\n"},
            "warehouse.errors, line 2: errors imports project, which is not on a lower floor",
        ),
        (
            {"clv/fit.py": "from warehouse.metrics import policy\n", "metrics/policy.py": ""},
            "warehouse.clv.fit, line 1: clv imports metrics, which is not on a lower floor",
        ),
        (
            {"database/a.py": "import warehouse.cli\n", "cli.py": ""},
            "warehouse.database.a, line 1: database imports cli, which is not on a lower floor",
        ),
        (
            {
                "load/a.py": "from warehouse.load import b\n",
                "load/b.py": "def f():\n    from warehouse.load.a import x\n",
            },
            "circle: ",
        ),
        ({"attic.py": ""}, "warehouse.attic has no floor"),
        (
            {"build/a.py": "from dbt.cli.main import dbtRunner\n"},
            "warehouse.build.a, line 1: imports dbt.cli.main, which only {'warehouse.dbt'} may",
        ),
        (
            {"load/a.py": "def f():\n    from rich.table import Table\n"},
            "warehouse.load.a, line 2: imports rich.table, which only {'warehouse.console'} may",
        ),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    package = tmp_path / "warehouse"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in {package, path.parent}:
            (folder / "__init__.py").touch()
        path.write_text(text)
    found = faults(package)
    assert [each[: len(fault)] for each in found] == [fault]


def test_commands_are_in_the_package() -> None:
    lazy = set(lazily_imported())
    assert len(lazy) > 5
    assert lazy <= set(modules(PACKAGE))


def test_every_folder_is_installed() -> None:
    """setuptools installs only folders of the package that have an `__init__.py`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["setuptools"]["packages"]["find"]["include"] == [
        "warehouse",
        "warehouse.*",
    ]
    folders = {path.parent for path in modules(PACKAGE).values()}
    assert len(folders) > 8
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
