"""Running dbt in the process of the tests, against the database of a test.

Importing dbt and parsing the project often cost more than a build, so all runs share one process.
The parsed project is cached per database (its name is part of every node) and per variable that
parsing reads; each run gets a copy, because dbt changes what it is given. What a parse finds in a
text, such as a macro, is cached by that text for the next parse.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner
from dbt.contracts.results import NodeStatus, RunResult
from dbt_common.tests import disable_test_caching, enable_test_caching

ROOT = Path(__file__).resolve().parents[2]
# Options of dbt build. Unit tests bring their own rows; other data do not change their result.
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
FAILED = (NodeStatus.Error, NodeStatus.Fail, NodeStatus.RuntimeErr, NodeStatus.PartialSuccess)

# Read when a node runs and never when the project is parsed, so a new value needs no new parse.
RUNTIME_VARIABLES = frozenset(
    (
        *("as_of", "from", "to"),
        *("simple_clv_factor", "clv_monthly_discount", "rfm_window_months"),
        *("index_lock_timeout", "replace_lock_timeout", "replace_lock_attempts"),
    )
)
# A variable of a test's own project that begins so is one of them; small_project.py sees to it.
RUNTIME_PREFIX = "sql_"


SOMEWHERE = {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": "some_database"}
# The parsed projects by environment, variables and project; and the same for each database. There
# are many databases, so the least recently used ones are dropped.
_parses: dict[tuple, Any] = {}
_databases: dict[tuple, Any] = {}
KEPT_DATABASES = 16
# Names of databases for which `configure` has changed a parse.
_configured: set[str] = set()


class DbtFailed(AssertionError):
    """dbt failed; the message names the failed nodes with their errors."""


@functools.cache
def _scratch() -> Path:
    """The folder for everything that dbt writes in this process."""
    folder = tempfile.mkdtemp(prefix="dbt-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while, with no other PG* variable beside them.

    Args:
        variables: what to set.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith("PG"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _invoke(arguments: Sequence[str], project: Path, manifest: Any = None) -> Any:
    """Run one dbt command and return dbtRunner's answer; raise when dbt itself broke down."""
    # A build logs tens of thousands of lines, so the log is written only on request.
    files = () if "--log-level-file" in arguments else ("--log-level-file", "none")
    whole = [
        *("--log-level", "none", "--log-path", str(_scratch() / "logs"), *files),
        *("--no-use-colors", "--no-send-anonymous-usage-stats", "--no-write-json"),
        *arguments,
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(_scratch() / "target")),
    ]
    # dbt looks for the source of every caller, up to the first one, for each of twenty settings.
    # Those of pytest and its plugins take seconds; a thread has none of them.
    with ThreadPoolExecutor(max_workers=1) as thread:
        answer = thread.submit(dbtRunner(manifest=manifest).invoke, whole).result()
    if answer.exception is not None:
        raise DbtFailed(f"dbt {arguments[0]}: {answer.exception}") from answer.exception
    return answer


@contextmanager
def _remembering_texts() -> Iterator[None]:
    """Let dbt keep what it finds in a text, by that text, as it does in its own tests.

    Lexing the macros costs more than all the rest of a small project's parse. It is for the parse
    alone: what a run costs is measured by others.
    """
    enable_test_caching()
    try:
        yield
    finally:
        disable_test_caching()


def _parsed_once(others: tuple, variables: str, project: Path) -> Any:
    """The parsed project, whose nodes carry the name of `SOMEWHERE`."""
    key = (others, variables, project)
    if key not in _parses:
        # Where the database is does not matter to the parser; its name does, and it is exchanged.
        with environment({**dict(others), **SOMEWHERE}), _remembering_texts():
            # What dbt remembers of the last parse names files of that project's folder.
            parse = ["parse", "--no-partial-parse", "--vars", variables]
            manifest = _invoke(parse, project).result
        # A run looks at neither, and dbt's own copy stumbles over what is disabled.
        manifest.disabled = {}
        manifest.files = {}
        _parses[key] = manifest
    return _parses[key].deepcopy()


def _parsed(environment_items: tuple, variables: str, project: Path) -> Any:
    """The parsed project (dbt's Manifest) for one database; every run gets a copy of its own."""
    key = (environment_items, variables, project)
    if key not in _databases:
        given = dict(environment_items)
        # Where and how a session is opened is no matter of the parser.
        others = tuple(
            (name, value)
            for name, value in environment_items
            if not name.startswith("PG") and name != "WAREHOUSE_SESSION_OPTIONS"
        )
        manifest = _parsed_once(others, variables, project)
        parsed_name, name = SOMEWHERE["PGDATABASE"], given["PGDATABASE"]
        several = (manifest.nodes, manifest.sources, manifest.unit_tests)
        for node in itertools.chain.from_iterable(each.values() for each in several):
            if getattr(node, "database", None) == parsed_name:
                node.database = name
            if getattr(node, "relation_name", None):
                node.relation_name = node.relation_name.replace(f'"{parsed_name}".', f'"{name}".')
        while len(_databases) >= KEPT_DATABASES:
            del _databases[next(iter(_databases))]
    else:
        manifest = _databases.pop(key)
    _databases[key] = manifest
    return manifest


def parsed(project: Path = ROOT) -> Any:
    """The parsed project (dbt's Manifest), of no database in particular.

    Args:
        project: its folder.

    Returns:
        A copy of its own.

    Raises:
        DbtFailed: dbt cannot parse the project.
    """
    return _parsed_once((), "{}", project)


def forget(project: Path) -> None:
    """Drop the cached parse of a project, because its files have changed.

    Args:
        project: its folder.
    """
    for kept in (_parses, _databases):
        for key in [key for key in kept if key[-1] == project]:
            del kept[key]


def _is_for_parsing(variable: str) -> bool:
    """Whether another value of a variable may give another parse."""
    return variable not in RUNTIME_VARIABLES and not variable.startswith(RUNTIME_PREFIX)


def _failures(results: Sequence[Any]) -> list[str]:
    """One line per node or operation that failed, with what it said."""
    return [
        f"{getattr(result, 'node', result).unique_id} [{result.status}]"
        f" {(result.message or '').strip()}"
        for result in results
        if result.status in FAILED
    ]


def run(
    database: Any,
    command: str,
    *select: str,
    as_of: str | dt.date | dt.datetime | None = None,
    full_refresh: bool = False,
    variables: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
    threads: int = 4,
    project: Path = ROOT,
) -> list[RunResult]:
    """Run a dbt command that visits nodes: build, run, test, seed, snapshot, compile.

    Args:
        database: offers `environment`, the PG* variables that lead to it.
        command: the dbt command.
        select: what to select, everything when empty.
        as_of: the variable of this name; a date means its end, in UTC.
        full_refresh: build incremental models anew.
        variables: further variables of the project. One of `RUNTIME_VARIABLES`, or one that begins
            with `RUNTIME_PREFIX`, needs no new parse.
        options: further options of the command, such as `("--exclude", "tag:slow")`.
        threads: how many nodes run at once.
        project: the folder of the dbt project.

    Returns:
        The result of every node, warnings among them.

    Raises:
        DbtFailed: a node or dbt itself failed.
    """
    given = dict(variables or {})
    parse_variables = json.dumps(
        {name: value for name, value in given.items() if _is_for_parsing(name)},
        sort_keys=True,
    )
    if as_of is not None:
        given["as_of"] = str(as_of)
    parsed = _parsed(tuple(sorted(database.environment.items())), parse_variables, project)
    arguments = [command, "--vars", json.dumps(given), "--threads", str(threads), *options]
    if select:
        arguments += ["--select", *select]
    if full_refresh:
        arguments.append("--full-refresh")
    with environment(database.environment):
        answer = _invoke(arguments, project, parsed.deepcopy())
    results = list(answer.result.results) if answer.result else []
    failures = _failures(results)
    if failures or not answer.success:
        listed = "\n  ".join(failures) or "no node says why"
        raise DbtFailed(
            f"dbt {command}: {len(failures)} of {len(results)} nodes failed:\n  {listed}"
        )
    return results


def configure(database: Any, model: str, project: Path = ROOT, **config: Any) -> None:
    """Change a model's configuration in what was parsed, as if its file said so, for later runs.

    A run with a variable that needs a parse of its own reads the file again, and not this.

    Args:
        database: offers `environment`; other databases keep the configuration of the file.
        model: the name of the model.
        project: the folder of the dbt project.
        config: the new values by key.
    """
    parsed = _parsed(tuple(sorted(database.environment.items())), "{}", project)
    (node,) = (node for node in parsed.nodes.values() if node.name == model)
    for key, value in config.items():
        node.config[key] = value
    _configured.add(database.environment["PGDATABASE"])


def forget_configured(database: Any) -> None:
    """Let `configure` end with a database whose name another one may get.

    Args:
        database: offers `environment`.
    """
    name = database.environment["PGDATABASE"]
    if name in _configured:
        _configured.remove(name)
        for key in [key for key in _databases if ("PGDATABASE", name) in key[0]]:
            del _databases[key]


def build(database: Any, *select: str, **options: Any) -> list[RunResult]:
    """`dbt build`: seeds, models, snapshots and tests in their order.

    Args:
        database: offers `environment`.
        select: what to select, everything when empty.
        options: the keyword arguments of `run`.

    Returns:
        The result of every node.

    Raises:
        DbtFailed: a node or dbt itself failed.
    """
    return run(database, "build", *select, **options)


PROJECT_FILES = (
    *("dbt_project.yml", "profiles.yml", "packages.yml", "dbt_packages"),
    *("macros", "models", "seeds", "snapshots", "tests/integrity", "tests/generic"),
)


def copy_project(folder: Path) -> Path:
    """Copy what dbt reads into a folder, where seeds and macros may be changed.

    Args:
        folder: an empty folder, or none yet.

    Returns:
        The folder.
    """
    for name in PROJECT_FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        elif source.exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    return folder
