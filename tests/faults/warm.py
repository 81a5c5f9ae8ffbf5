"""The parsed project, made when this module is imported: in the process that builds are forks of,
and nowhere else.

What the first build of a process does once, such as compiling the macros, is done here for all.
"""

from __future__ import annotations

import gc
from typing import Any

import dbt.task.build  # noqa: F401 - dbt imports these two when it first needs them
import dbt_common.clients.agate_helper  # noqa: F401
from dbt_common.clients.jinja import template_cache

from tests.faults.builder import DATABASE
from tests.support import dbt_project


def _parse() -> Any:
    """dbt's Manifest. Nothing is connected to: parsing needs the name of the database alone."""
    nowhere = {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": DATABASE}
    return dbt_project._parsed(tuple(sorted(nowhere.items())), "{}", dbt_project.ROOT)


MANIFEST = _parse()
for _macro in MANIFEST.macros.values():
    template_cache.get_node_template(_macro)
# A collection in a fork would write to what it looks at, and so copy it.
gc.collect()
gc.freeze()
