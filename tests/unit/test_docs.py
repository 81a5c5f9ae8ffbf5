"""The Markdown documents: links, the commands and tests they name, the conventions of layers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import dbt_project
from tests.support.documents import blocks

ROOT = dbt_project.ROOT


README = ROOT / "README.md"


GUIDE = ROOT / "docs" / "adapting.md"


# Names of folders with installed or generated files, which contain no documents of this project.
FOREIGN = {".venv", ".warehouse", "dbt_packages", "target", "node_modules", "sample"}


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = [
        path
        for path in ROOT.rglob("*.md")
        if not FOREIGN.intersection(path.relative_to(ROOT).parts)
        and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    assert len(found) > 20
    return found


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as hosting sites generate them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_every_layer_states_its_conventions() -> None:
    layers = [folder for folder in (ROOT / "models").iterdir() if folder.is_dir()]
    layers = [folder for folder in layers if not folder.name.startswith("_")]
    layers += [ROOT / name for name in ("snapshots", "seeds", "macros", "tests")]
    assert len(layers) > 8
    for layer in layers:
        readme = layer / "README.md"
        assert readme.is_file(), f"{layer.name} has no README.md"
        assert "| convention | |" in readme.read_text(), f"{readme} states no conventions"


def test_named_commands_exist() -> None:
    """`make <target>` and `warehouse <command>`, in every document."""
    targets = set(
        re.findall(r"^([a-z][a-z0-9.-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    answer = subprocess.run(
        [sys.executable, "-m", "warehouse.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
    )
    commands = set(re.findall(r"^│ ([a-z]+)  ", answer.stdout, re.MULTILINE))
    assert {"up", "load", "build"} <= commands
    seen: set[str] = set()
    for path in documents():
        text = path.read_text()
        code = "\n".join(re.findall(r"`[^`\n]+`|^```.*?^```$", text, re.MULTILINE | re.DOTALL))
        for target in re.findall(r"(?:^|`)make ([a-z][a-z0-9.-]*)", code, re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"
            seen.add(target)
        for command in re.findall(r"(?:^|`|bin/)warehouse ([a-z]+)", code, re.MULTILINE):
            assert command in commands, f"{path.name}: warehouse {command}"
            seen.add(command)
    assert {"demo", "test", "psql", "load"} <= seen


def test_the_guide_names_every_variable() -> None:
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
    guide = GUIDE.read_text()
    assert len(project["vars"]) > 5
    assert [name for name in project["vars"] if f"`{name}`" not in guide] == []


def test_blocks_are_told_apart() -> None:
    """Otherwise a block could be neither found nor run, so no test would check it."""
    for path in documents():
        fences = re.findall(r"^```.*", path.read_text(), re.MULTILINE)
        opening, closing = fences[::2], fences[1::2]
        assert set(closing) <= {"```"} and len(opening) == len(closing), path.name
        for fence in set(opening):
            found = blocks(path, fence.removeprefix("```"))
            assert len(found) == opening.count(fence), f"{path.name}: {fence}"
            assert not any("```" in block for block in found), f"{path.name}: {fence}"


def named_tests(text: str) -> list[tuple[str, str]]:
    """The test files named in a text, each with the test or class after `::`, or ""."""
    return re.findall(r"(?:tests/)?((?:\w+/)*test_\w+\.py)(?:::(\w+))?", text)


def test_named_tests_exist() -> None:
    """A document names a test by its path below tests/: `load/test_load_files.py::test_...`."""
    seen = 0
    for path in documents():
        for file, name in named_tests(path.read_text()):
            source = ROOT / "tests" / file
            assert source.is_file(), f"{path.name}: {file} does not exist in tests/"
            defined = rf"^ *(?:def|class) {name}\b"
            assert re.search(defined, source.read_text(), re.MULTILINE) or not name, (
                f"{path.name}: {file}::{name}"
            )
            seen += bool(name)
    assert seen > 20


def test_names_of_tests_are_found() -> None:
    text = "`tests/load/test_a.py`, `unit/test_b.py::test_c` and (`test_d.py::TestE`)"
    found = [("load/test_a.py", ""), ("unit/test_b.py", "test_c"), ("test_d.py", "TestE")]
    assert named_tests(text) == found
