"""Parses the project on import. Only the process that forks the builds imports this module.

Work that the first build of a process does once, such as compiling the macros, is done here for all
builds.
"""

from __future__ import annotations

import gc
from typing import Any

import dbt.task.build  # noqa: F401 - dbt imports both on first use
import dbt_common.clients.agate_helper  # noqa: F401
from dbt_common.clients.jinja import template_cache

from tests.faults.builder import DATABASE
from tests.support import dbt_project


def _parse() -> Any:
    """dbt's Manifest. Opens no connection: parsing needs only the name of the database."""
    nowhere = {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": DATABASE}
    return dbt_project._parsed(tuple(sorted(nowhere.items())), "{}", dbt_project.ROOT)


MANIFEST = _parse()
for _macro in MANIFEST.macros.values():
    template_cache.get_node_template(_macro)
# A garbage collection in a fork would write to the objects it visits, and so copy their pages.
gc.collect()
gc.freeze()
