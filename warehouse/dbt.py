"""Run dbt, and read its manifest. No other module starts dbt."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from warehouse import project
from warehouse.errors import WarehouseError

# The dbt of this environment, whatever is on the PATH.
COMMAND = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")

# What has lineage, as a full refresh would run it.
COMPILE_PROJECT = (
    *("compile", "--full-refresh", "--select"),
    *(f"resource_type:{kind}" for kind in ("model", "snapshot", "analysis")),
)

LAST_LOAD = "last_load.txt"


def run(arguments: Sequence[str]) -> int:
    """Run dbt in the project's folder.

    It runs in this process, so that a killed build also ends the session that holds its lock.

    Args:
        arguments: dbt's command and options.

    Returns:
        0, or 1 if a node failed.

    Raises:
        WarehouseError: dbt stopped before it ran any node; exit code 2.
    """
    return 0 if _invoke(arguments).success else 1


def parse() -> Any:
    """Parse the project, as each run does before it begins.

    Returns:
        dbt's parsed project, for `run` and `run_quietly`, which then need not parse it.

    Raises:
        WarehouseError: dbt cannot parse it; exit code 2.
    """
    return _invoke(["--log-level", "none", "--log-level-file", "debug", "parse"]).result


def run_quietly(
    arguments: Sequence[str], listener: Callable[[Any], None], manifest: Any = None
) -> tuple[int, Sequence[Any]]:
    """Run dbt in the project's folder as `run`, without its own output; its log has everything.

    Args:
        arguments: dbt's command and options.
        listener: gets each event of dbt.
        manifest: the parsed project; None to parse it.

    Returns:
        0, or 1 if a node failed; and the results of the nodes.

    Raises:
        WarehouseError: dbt stopped before it ran any node; exit code 2.
    """
    quietly = ("--log-level", "none", "--log-level-file", "debug")
    answer = _invoke([*quietly, *arguments], listener, manifest=manifest)
    return 0 if answer.success else 1, getattr(answer.result, "results", None) or ()


def run_operation(macro: str) -> str:
    """Run a macro of the project that logs its answer.

    Args:
        macro: the name of the macro.

    Returns:
        The lines that the macro logged, its warnings marked as such.

    Raises:
        WarehouseError: the macro failed, or dbt stopped before.
    """
    said: list[str] = []

    def listen(event: Any) -> None:
        if event.info.name == "JinjaLogInfo":
            said.append(event.data.msg)
        elif event.info.name == "JinjaLogWarning":
            said.append(f"Warning: {event.data.msg}")

    quietly = ("--log-level", "none", "--log-level-file", "debug")
    answer = _invoke([*quietly, "run-operation", macro], listen)
    if not answer.success:
        raise WarehouseError("\n".join(reason_of(each.message) for each in answer.result.results))
    return "\n".join(said)


def reason_of(message: str | None) -> str:
    """dbt's message of an error, without the macros through which it came.

    Args:
        message: what dbt says, such as the message of a result.
    """
    lines = [line.strip() for line in (message or "").strip().splitlines()]
    told = [line for line in lines if line and not line.startswith(("> in ", "> called by "))]
    if len(told) > 1 and told[0].startswith(("Compilation Error", "Database Error", "Runtime Err")):
        del told[0]
    return "\n".join(told)


def run_apart(
    arguments: Sequence[str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run dbt in a separate process.

    Args:
        arguments: dbt's command and options.
        folder: the working directory.
        seconds: how long to wait for it.

    Raises:
        subprocess.TimeoutExpired: it took longer; it was killed.
    """
    return subprocess.run(
        [*COMMAND, "--no-use-colors", *arguments],
        cwd=folder,
        env=os.environ | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def compile_node(arguments: Sequence[str], variables: dict[str, str]) -> Any:
    """Compile one node.

    Args:
        arguments: the node, as options of `dbt compile`.
        variables: variables of the project.

    Returns:
        The node, with its compiled_code.

    Raises:
        WarehouseError: dbt could not compile it.
    """
    # dbt would print the compiled SQL otherwise, even with --quiet.
    quietly = ("--log-level", "none", "--log-level-file", "debug")
    answer = _invoke([*quietly, "compile", *arguments, "--vars", json.dumps(variables)])
    results = answer.result.results if answer.result else []
    if not answer.success:
        failed = [" ".join(str(result.message).split()) for result in results if result.message]
        raise WarehouseError(f"dbt could not compile the project: {'; '.join(failed)}")
    return compiled(results)


def compile_project() -> dict[str, Any]:
    """Compile all models, snapshots and analyses, as a full refresh would run them.

    Returns:
        The manifest, with the `compiled_code` of these nodes.

    Raises:
        WarehouseError: dbt could not compile them.
    """
    manifest = parse()
    quietly = ("--log-level", "none", "--log-level-file", "debug", "--no-write-json")
    answer = _invoke([*quietly, *COMPILE_PROJECT], manifest=manifest)
    results = answer.result.results if answer.result else []
    if not answer.success:
        failed = [reason_of(result.message) for result in results if result.message]
        raise WarehouseError(f"dbt could not compile the project: {'; '.join(failed)}")
    return with_compiled_code(manifest, results)


def with_compiled_code(manifest: Any, results: Sequence[Any]) -> dict[str, Any]:
    """A manifest as dbt writes it, with the SQL of nodes that were compiled.

    Args:
        manifest: dbt's parsed project.
        results: the results of `dbt compile`.
    """
    written = manifest.writable_manifest().to_dict(omit_none=False)
    for result in results:
        written["nodes"][result.node.unique_id]["compiled_code"] = result.node.compiled_code
    return written


def compiled(results: Sequence[Any]) -> Any:
    """The one node among the results of `dbt compile` that is not a test."""
    (node,) = (
        result.node for result in results if result.node.resource_type in ("model", "sql_operation")
    )
    return node


def manifest_path() -> Path:
    """Where dbt writes its manifest: `target/` of the project, or DBT_TARGET_PATH."""
    folder = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    return (folder if folder.is_absolute() else project.root() / folder) / "manifest.json"


def read_manifest(path: Path | None = None) -> dict[str, Any]:
    """Read dbt's manifest.

    Args:
        path: the file; default `manifest_path()`.

    Raises:
        WarehouseError: dbt has not written it yet.
    """
    path = path or manifest_path()
    if not path.is_file():
        raise WarehouseError(f"There is no {path.name} of dbt yet: run `warehouse build` first.")
    return json.loads(path.read_text(encoding="utf-8"))


def remember_load(database: str) -> None:
    """Note beside dbt's files which database was loaded last from this folder.

    Args:
        database: its description, without the target.
    """
    file = manifest_path().with_name(LAST_LOAD)
    with contextlib.suppress(OSError):  # only a warning depends on it
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(database, encoding="utf-8")


def last_load() -> str | None:
    """The database that was loaded last from this folder; None if there was no load."""
    try:
        return manifest_path().with_name(LAST_LOAD).read_text(encoding="utf-8")
    except OSError:
        return None


def _invoke(
    arguments: Sequence[str], *listeners: Callable[[Any], None], manifest: Any = None
) -> Any:
    from dbt.cli.main import dbtRunner

    folder = project.root()
    os.chdir(folder)
    os.environ["PWD"] = str(folder)
    answer = dbtRunner(manifest=manifest, callbacks=[*listeners]).invoke([*arguments])
    if answer.exception is not None:
        reason = reason_of(str(answer.exception)) or "interrupted"
        raise WarehouseError(f"dbt stopped: {reason}", exit_code=2) from answer.exception
    return answer
