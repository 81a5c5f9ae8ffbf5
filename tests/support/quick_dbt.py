"""Makes dbt in the test process do less work for the same result.

Each change leaves out work that dbt repeats for every node or every run.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

import jinja2
from dbt.context import base
from dbt.plugins.manager import PluginManager
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


def compile_each_text_once() -> None:
    """For each run dbt compiles the settings of the profile, the hooks and the models again."""
    compile_text = jinja2.Environment.compile
    compiled: dict[tuple, Any] = {}

    def compile_once(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
        key = (type(self), *self.extensions, source, arguments, tuple(options.items()))
        if not isinstance(source, str):
            return compile_text(self, source, *arguments, **options)
        if key not in compiled:
            compiled[key] = compile_text(self, source, *arguments, **options)
        return compiled[key]

    jinja2.Environment.compile = compile_once


def list_modules_once() -> None:
    """For each node and macro dbt wraps the functions of `modules` again."""
    base.get_context_modules = functools.cache(base.get_context_modules)


def find_plugins_once() -> None:
    """For each run dbt looks through all installed modules for its plugins."""
    find = functools.cache(PluginManager.get_prefixed_modules)
    PluginManager.get_prefixed_modules = staticmethod(find)


def collect_garbage_seldom() -> None:
    """A collection visits all objects of dbt and of the parsed projects, which stay anyway."""
    gc.set_threshold(100_000, 50, 100)
    gc.freeze()


def install() -> None:
    """Apply all changes to the dbt of this process."""
    share_the_context_of_arguments()
    build_testers_of_types_once()
    name_no_caller_of_settings()
    compile_each_text_once()
    list_modules_once()
    find_plugins_once()
    collect_garbage_seldom()
