"""The parsed project, made when this module is imported: in the process that builds are forks of,
and nowhere else."""

from __future__ import annotations

from typing import Any

import dbt_project

from faults.builder import DATABASE


def _parse() -> Any:
    """dbt's Manifest. Nothing is connected to: parsing needs the name of the database alone."""
    nowhere = {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": DATABASE}
    return dbt_project._parsed(tuple(sorted(nowhere.items())), "{}", dbt_project.ROOT)


MANIFEST = _parse()
