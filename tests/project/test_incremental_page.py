"""docs/incremental-models.md, followed to the letter."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import ask, do, fetch
from warehouse.build.marts import read_marts

PAGE = (dbt_project.ROOT / "docs" / "incremental-models.md").read_text()
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERSIONS = "select user_id, device, xmin::text from marts.user_devices"


def section(heading: str) -> str:
    """The text below a heading of the page."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def commands(heading: str) -> Iterator[list[str]]:
    """The commands of a section; quoted text may contain line ends."""
    for language, block in FENCED.findall(section(heading)):
        if language == "sh":
            yield from (shlex.split(each) for each in re.split(r"\n(?=\.venv/)", block))


class Reader:
    """Somebody who follows the page, with a copy of the project and a built warehouse."""

    def __init__(self, database: Any, project: Path) -> None:
        self.database = database
        self.project = project

    def write_the_files(self) -> None:
        """Create the files for which the page says `Create ...`."""
        created = re.findall(r"Create `([\w/.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S)
        assert len(created) == 2
        for path, text in created:
            (self.project / path).write_text(text)
        dbt_project.forget(self.project)

    def run(self, command: list[str]) -> Any:
        """Run a command of the page; a query returns its rows, `warehouse marts` its list."""
        program, *arguments = command
        target = ("--write-json", "--target-path", str(self.project / "target"))
        if program == ".venv/bin/dbt":
            return dbt_project.run(
                self.database,
                *arguments[:1],
                project=self.project,
                options=(*arguments[1:], *target),
            )
        if arguments == ["marts"]:
            return read_marts(self.project / "target" / "manifest.json")
        (query,) = arguments[2:]
        assert [program, *arguments[:2]] == [".venv/bin/warehouse", "psql", "-c"]
        is_question = query.lstrip().startswith(("select", "("))
        return (fetch if is_question else do)(self.database, query)


@pytest.fixture
def reader(built: Any, tmp_path: Path) -> Reader:
    return Reader(built, dbt_project.copy_project(tmp_path / "project"))


def test_the_page_leads_to_an_incremental_mart(reader: Reader) -> None:
    reader.write_the_files()
    build, marts = commands("A mart in two files")
    reader.run(build)
    (mart,) = (mart for mart in reader.run(marts) if mart.name == "user_devices")
    assert mart.schema == "marts" and mart.question.startswith("One row per user and device")
    before = set(fetch(reader.database, VERSIONS))
    assert len(before) > 100

    change, run, ask_for, keep, refresh, compare, drop = commands("Watch a change propagate")
    reader.run(change)
    reader.run(run)
    ((user, *_),) = reader.run(ask_for)
    after = set(fetch(reader.database, VERSIONS))
    assert {key for key, *_ in before ^ after} == {user}
    reader.run(keep)
    reader.run(refresh)
    assert reader.run(compare) == []
    reader.run(drop)


@pytest.mark.long
def test_a_key_that_does_not_fit(reader: Reader) -> None:
    """The message is that of the page, and its first remedy works."""
    text = section("If the key does not fit")
    message = " ".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL)[0].split())
    logged = re.findall(r"```jinja\n(meta=.*?)\n```", text)[0]
    (reader.project / "models" / "marts" / "users" / "units_sold.sql").write_text(
        "{{ config(unique_key='product_key', contract={'enforced': false}) }}\n"
        "{%- set changed_products = changed_keys('product_key') %}\n"
        "select product_key, sum(quantity)::bigint as quantity from {{ ref('fct_order_items') }}\n"
        "where {{ is_changed(changed_products) }} group by 1\n"
    )
    dbt_project.forget(reader.project)
    select = ("fct_order_items", "units_sold")
    with pytest.raises(dbt_project.DbtFailed) as failed:
        dbt_project.run(reader.database, "run", *select, project=reader.project)
    assert message in " ".join(str(failed.value).split())

    fact = reader.project / "models" / "marts" / "core" / "fct_order_items.sql"
    changed, count = re.subn(r"meta=\{'change_log_keys'.*\},", logged, fact.read_text())
    assert count == 1
    fact.write_text(changed)
    dbt_project.forget(reader.project)
    dbt_project.run(reader.database, "run", *select, project=reader.project)
    do(
        reader.database,
        "update raw.order_items set quantity = 7777, _loaded_at = now() where order_item_id ="
        " (select min(order_item_id) from marts.fct_order_items where product_key != 'unknown')",
    )
    dbt_project.run(reader.database, "run", *select, project=reader.project)
    assert ask(reader.database, "select count(*) from marts.units_sold where quantity > 7000") == 1
