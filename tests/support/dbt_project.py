"""Runs dbt in the test process, against the database of a test.

Importing dbt and parsing the project often cost more than a build, so all runs share one process.
The parsed project is cached per database (every node contains its name) and per value of the
variables that parsing reads. Each run gets a copy, because dbt modifies its manifest. The parse
results of a text, such as a macro, are cached by that text for the next parse.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import itertools
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner
from dbt.contracts.results import NodeStatus, RunResult
from dbt.version import __version__ as dbt_version
from dbt_common.tests import disable_test_caching, enable_test_caching

from tests.support import quick_dbt
from warehouse import dbt
from warehouse.build import known_tests

quick_dbt.install()

ROOT = Path(__file__).resolve().parents[2]
# Options of dbt build. Unit tests define their own rows; other data does not change their result.
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
FAILED = (NodeStatus.Error, NodeStatus.Fail, NodeStatus.RuntimeErr, NodeStatus.PartialSuccess)

# dbt reads these when a node runs, never when it parses, so a new value needs no new parse. Only a
# semantic model, which no build reads, has time_zone.
RUNTIME_VARIABLES = frozenset(
    (
        *("as_of", "from", "to", "time_zone"),
        *("simple_clv_factor", "clv_monthly_discount", "rfm_window_months"),
        *("max_excluded_share", "accept_excluded", "full_refresh_max_loss", "allow_loss"),
        *("publish_untested", "min_quality_score", "run_results_retention"),
        *("max_lost_share", "accept_volumes"),
        *("index_lock_timeout", "replace_lock_timeout", "replace_lock_attempts"),
        *("anomaly_days", "anomaly_threshold", "known_anomalies"),
    )
)
# Variables of a test's own project with this prefix are runtime variables too; small_project.py
# enforces it.
RUNTIME_PREFIX = "sql_"


SOMEWHERE = {"PGHOST": "/nowhere", "PGUSER": "nobody", "PGDATABASE": "some_database"}
# The parsed projects by environment, variables and project, and the same per database. There are
# many databases, so the cache drops the least recently used ones. They are pickled, because that
# gives a copy in a tenth of the time of dbt's deepcopy.
_parses: dict[tuple, Any] = {}
_databases: dict[tuple, Any] = {}
KEPT_DATABASES = 16
# dbt-core 1.11 pickles a project without some of its parts.
CAN_PICKLE = not dbt_version.startswith("1.11")
# Projects whose files change often, which are parsed by dbt's partial parsing.
_changing: set[Path] = set()
# Names of databases for which `configure` has changed a parse.
_configured: set[str] = set()


class DbtFailed(AssertionError):
    """dbt failed; the message names the failed nodes with their errors."""

    # What dbt said of each node, also of those that it skipped.
    results: Sequence[RunResult] = ()


@functools.cache
def scratch() -> Path:
    """The folder for all files that dbt writes in this process."""
    folder = tempfile.mkdtemp(prefix="dbt-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables temporarily, and unset all other PG* variables.

    Args:
        variables: the variables to set.
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
    """Run one dbt command and return dbtRunner's result; raise if dbt itself crashed."""
    # A build logs tens of thousands of lines, so the log is written only on request.
    files = () if "--log-level-file" in arguments else ("--log-level-file", "none")
    whole = [
        *("--log-level", "none", "--log-path", str(scratch() / "logs"), *files),
        *("--no-use-colors", "--no-send-anonymous-usage-stats"),
        *(() if "--write-json" in arguments else ("--no-write-json",)),
        *arguments,
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *(() if "--target-path" in arguments else ("--target-path", str(scratch() / "target"))),
    ]
    answer = dbtRunner(manifest=manifest).invoke(whole)
    if answer.exception is not None:
        raise DbtFailed(f"dbt {arguments[0]}: {answer.exception}") from answer.exception
    return answer


@contextmanager
def _remembering_texts() -> Iterator[None]:
    """Let dbt cache parse results by text, as it does in its own tests.

    Lexing the macros costs more than the rest of a small project's parse. The cache is on only
    during a parse, because other tests measure the cost of a run.
    """
    enable_test_caching()
    try:
        yield
    finally:
        disable_test_caching()


def _parsed_once(others: tuple, variables: str, project: Path) -> Any:
    """The parsed project, whose nodes contain the database name of `SOMEWHERE`."""
    key = (others, variables, project)
    if key not in _parses:
        # The parser ignores the address of the database, but not its name, which is replaced later.
        with environment({**dict(others), **SOMEWHERE}), _remembering_texts():
            # dbt's saved state of the last parse names files in that project's folder.
            how = ["--no-partial-parse"]
            if project in _changing:
                number = hash((others, variables))
                how = ["--partial-parse", "--target-path", str(project / "target" / str(number))]
            parse = ["parse", *how, "--vars", variables]
            manifest = _invoke(parse, project).result
        # A run reads neither.
        manifest.disabled = {}
        manifest.files = {}
        _parses[key] = _pickled(manifest)
    return _unpickled(_parses[key])


def _pickled(manifest: Any) -> Any:
    """A parsed project as bytes, or as a copy where dbt cannot pickle it."""
    if not CAN_PICKLE:
        return manifest.deepcopy()
    return pickle.dumps(manifest, pickle.HIGHEST_PROTOCOL)


def _unpickled(pickled: Any) -> Any:
    """A new copy of a parsed project."""
    if not CAN_PICKLE:
        return pickled.deepcopy()
    return pickle.loads(pickled)  # noqa: S301 - this process wrote it


def _key(database: Any, variables: str = "{}", project: Path = ROOT) -> tuple:
    """The key of a parsed project in `_databases`."""
    return (tuple(sorted(database.environment.items())), variables, project)


def _parsed(environment_items: tuple, variables: str, project: Path) -> Any:
    """The parsed project (dbt's Manifest) for one database; each run gets its own copy."""
    key = (environment_items, variables, project)
    if key in _databases:
        # The most recently used one comes last.
        _databases[key] = _databases.pop(key)
        return _unpickled(_databases[key])
    given = dict(environment_items)
    # The parser ignores the connection parameters and session options.
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
    _databases[key] = _pickled(manifest)
    return manifest if CAN_PICKLE else _unpickled(_databases[key])


def parsed(project: Path = ROOT) -> Any:
    """The parsed project (dbt's Manifest), for no particular database.

    Args:
        project: the folder of the dbt project.

    Returns:
        A copy, which the caller may change.

    Raises:
        DbtFailed: dbt cannot parse the project.
    """
    return _parsed_once((), "{}", project)


def forget(project: Path) -> None:
    """Drop the cached parse of a project, because its files have changed.

    Args:
        project: the folder of the dbt project.
    """
    for kept in (_parses, _databases):
        for key in [key for key in kept if key[-1] == project]:
            del kept[key]


def parse_in_parts(project: Path) -> None:
    """Parse only the changed files of a project after `forget`, as `dbt build` does.

    Args:
        project: the folder of the dbt project, in which dbt saves the state of its parses.
    """
    _changing.add(project)


def _is_for_parsing(variable: str) -> bool:
    """Whether a different value of a variable may change the parse."""
    return variable not in RUNTIME_VARIABLES and not variable.startswith(RUNTIME_PREFIX)


def _failures(results: Sequence[Any]) -> list[str]:
    """One line per failed node or operation, with its message."""
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
    left_out: Sequence[str] = (),
) -> list[RunResult]:
    """Run a dbt command that visits nodes: build, run, test, seed, snapshot, compile.

    Args:
        database: has `environment`, the PG* variables of the database.
        command: the dbt command.
        select: the nodes to select; everything if empty.
        as_of: the variable of this name; a date means its end, in `time_zone`.
        full_refresh: rebuild incremental models from scratch.
        variables: additional variables of the project. Those in `RUNTIME_VARIABLES` and those
            that begin with `RUNTIME_PREFIX` need no new parse.
        options: additional options of the command, such as `("--exclude", "tag:slow")`.
        threads: the number of nodes that run at once.
        project: the folder of the dbt project.
        left_out: the unique ids of tests that the run leaves out, as `warehouse build` does.

    Returns:
        The result of every node, including warnings.

    Raises:
        DbtFailed: a node or dbt itself failed.
    """
    # Tests choose rows that are excluded, delete what a full refresh cannot restore, and leave data
    # tests out of most builds.
    accepted = dict.fromkeys(
        ("accept_excluded", "accept_volumes", "allow_loss", "publish_untested"), True
    )
    given = {**accepted, "min_quality_score": 0, **(variables or {})}
    parse_variables = json.dumps(
        {name: value for name, value in given.items() if _is_for_parsing(name)},
        sort_keys=True,
    )
    if as_of is not None:
        given["as_of"] = str(as_of)
    parsed = _parsed(*_key(database, parse_variables, project))
    arguments = [command, "--vars", json.dumps(given), "--threads", str(threads), *options]
    arguments += known_tests.leave_out(parsed, left_out)
    if select:
        arguments += ["--select", *select]
    if full_refresh:
        arguments.append("--full-refresh")
    with environment(database.environment):
        answer = _invoke(arguments, project, parsed)
    results = list(answer.result.results) if answer.result else []
    failures = _failures(results)
    if failures or not answer.success:
        listed = "\n  ".join(failures) or "no node says why"
        failed = DbtFailed(
            f"dbt {command}: {len(failures)} of {len(results)} nodes failed:\n  {listed}"
        )
        failed.results = results
        raise failed
    return results


def invoke(database: Any, *arguments: str, project: Path = ROOT) -> None:
    """Run any dbt command, also one without results of nodes.

    Args:
        database: has `environment`, the PG* variables of the database.
        arguments: the command and its options.
        project: the folder of the dbt project.

    Raises:
        DbtFailed: a node or dbt itself failed.
    """
    parsed = _parsed(*_key(database, project=project))
    with environment(database.environment):
        answer = _invoke(arguments, project, parsed)
    if not answer.success:
        failures = _failures(getattr(answer.result, "results", None) or ())
        raise DbtFailed(f"dbt {arguments[0]}: " + ("\n  ".join(failures) or "no node says why"))


def compiled(database: Any, project: Path = ROOT) -> dict[str, Any]:
    """The manifest with the compiled SQL of all models, snapshots and analyses.

    Args:
        database: has `environment`, the PG* variables of the database.
        project: the folder of the dbt project.

    Raises:
        DbtFailed: a node could not be compiled.
    """
    parsed = _parsed(*_key(database, project=project))
    with environment(database.environment):
        answer = _invoke(dbt.COMPILE_PROJECT, project, parsed)
    results = list(answer.result.results) if answer.result else []
    if not answer.success:
        raise DbtFailed("dbt compile: " + "\n  ".join(_failures(results)))
    return dbt.with_compiled_code(parsed, results)


def configure(database: Any, model: str, project: Path = ROOT, **config: Any) -> None:
    """Change a model's configuration in the parsed project, as if its file did, for later runs.

    A run with a variable that needs a new parse reads the file again and ignores this change.

    Args:
        database: has `environment`; other databases keep the configuration of the file.
        model: the name of the model.
        project: the folder of the dbt project.
        config: the new values by configuration key.
    """
    key = _key(database, project=project)
    parsed = _parsed(*key)
    (node,) = (node for node in parsed.nodes.values() if node.name == model)
    for name, value in config.items():
        node.config[name] = value
    _databases[key] = _pickled(parsed)
    _configured.add(database.environment["PGDATABASE"])


def configure_test(database: Any, name: str, **arguments: Any) -> None:
    """Change the arguments of a generic data test, as if its YAML did, for later runs.

    Args:
        database: has `environment`; other databases keep the arguments of the file.
        name: the name of the test.
        arguments: the new values by name.
    """
    key = _key(database)
    parsed = _parsed(*key)
    (node,) = (node for node in parsed.nodes.values() if node.name == name)
    node.test_metadata.kwargs.update(arguments)
    _databases[key] = _pickled(parsed)
    _configured.add(database.environment["PGDATABASE"])


def edit(database: Any, name: str, old: str, new: str, count: int = -1) -> None:
    """Replace a text in a model or macro of this project, as if its file changed, for later runs.

    Args:
        database: has `environment`; other databases keep the text of the file.
        name: the name of the model or macro.
        old: the text to replace.
        new: its replacement.
        count: how often it is replaced; by default everywhere.
    """
    key = _key(database)
    parsed = _parsed(*key)
    everything = itertools.chain(parsed.nodes.values(), parsed.macros.values())
    (node,) = (
        node
        for node in everything
        if node.name == name and node.package_name == "analytics_warehouse"
    )
    text = "macro_sql" if hasattr(node, "macro_sql") else "raw_code"
    assert old in getattr(node, text), f"{name} does not contain {old}"
    setattr(node, text, getattr(node, text).replace(old, new, count))
    _databases[key] = _pickled(parsed)
    _configured.add(database.environment["PGDATABASE"])


def forget_configured(database: Any) -> None:
    """Undo `configure` for a database whose name may be reused.

    Args:
        database: has `environment`.
    """
    name = database.environment["PGDATABASE"]
    if name in _configured:
        _configured.remove(name)
        for key in [key for key in _databases if ("PGDATABASE", name) in key[0]]:
            del _databases[key]


def build(database: Any, *select: str, **options: Any) -> list[RunResult]:
    """Run `dbt build`: seeds, models, snapshots and tests in dependency order.

    Args:
        database: has `environment`.
        select: the nodes to select; everything if empty.
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
    """Copy the files that dbt reads into a folder, where a test may change seeds and macros.

    Args:
        folder: an empty or nonexistent folder.

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
