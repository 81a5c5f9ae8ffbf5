"""Makes dbt in the test process do less work for the same result.

Each change leaves out work that dbt repeats for every node.
"""

from __future__ import annotations

import functools
from typing import Any

from dbt_common import behavior_flags
from dbt_common.clients import agate_helper, jinja


def share_the_context_of_arguments() -> None:
    """For each argument of a data test dbt copies a context with a thousand macros; look names up
    in the context itself, as dbt does for models.
    """
    jinja.NativeSandboxTemplate.new_context = jinja.MacroFuzzTemplate.new_context


def build_testers_of_types_once() -> None:
    """For each query dbt builds the parsers of dates again."""
    build = functools.cache(agate_helper.build_type_tester)

    def build_type_tester(text_columns: Any, string_null_values: Any = ("null", "")) -> Any:
        return build(tuple(text_columns), tuple(string_null_values))

    agate_helper.build_type_tester = build_type_tester


def name_no_caller_of_settings() -> None:
    """For each of twenty settings of an adapter dbt looks for the module that asked, in the source
    files of all frames on the stack. Only a warning about the setting would name it.
    """
    behavior_flags.BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")


def install() -> None:
    """Apply all changes to the dbt of this process."""
    share_the_context_of_arguments()
    build_testers_of_types_once()
    name_no_caller_of_settings()
