"""A small project whose runs succeed or fail, and leave their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support import dbt_project
from tests.support.small_project import write_project

MODELS = {
    "first": "{{ config(materialized='table') }} select 1 as n",
    "broken": "{{ config(materialized='table') }} select 1 / {{ var('sql_divisor') }} as n"
    " from {{ ref('first') }}",
    "reader": "{{ config(materialized='table') }} select * from {{ ref('broken') }}",
}


def write_recording(folder: Path) -> Path:
    """Write the project; return its folder."""
    project = write_project(folder, MODELS, {"sql_divisor": 1})
    path = project / "dbt_project.yml"
    whole = yaml.safe_load(path.read_text())
    whole["on-run-end"] = ["{{ after_run(results) }}"]
    path.write_text(yaml.safe_dump(whole))
    return project


def build(database: Any, project: Path) -> None:
    """Build the project."""
    dbt_project.run(database, "build", project=project)


def fail(database: Any, project: Path) -> None:
    """Build the project with a model that fails.

    Raises:
        AssertionError: it succeeded.
    """
    try:
        dbt_project.run(database, "build", project=project, variables={"sql_divisor": 0})
    except dbt_project.DbtFailed:
        return
    raise AssertionError("the build succeeded")
