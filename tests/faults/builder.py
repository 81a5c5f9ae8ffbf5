"""Runs `dbt build` in a separate process that can be killed at any statement.

Starting an interpreter with dbt and the parsed project takes seconds. Therefore one process, the
forkserver of multiprocessing, imports this module and parses the project once; each build is a fork
of it. A build kills itself with SIGKILL, so no handler or cleanup runs.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "faults"  # the parsed project contains it, so every database under test has this name
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

BEFORE, DURING, AFTER = "before", "during", "after"


@dataclasses.dataclass(frozen=True)
class Kill:
    """The point at which a build kills itself.

    Args:
        statement: the number of the statement, counted from 1 across all threads of the build.
        matching: instead of a number, a regular expression that matches the name of the
            connection (which is that of the node) and the statement, such as
            `model.project.fct_orders: COMMIT`.
        moment: before the statement is sent, during it, or after its result.
        delay: for `during`: seconds after the statement was sent.
    """

    statement: int = 0
    matching: str = ""
    moment: str = BEFORE
    delay: float = 0.0

    def __str__(self) -> str:
        which = f"statement {self.statement}" if self.statement else f"/{self.matching}/"
        after = f" ({1000 * self.delay:.1f} ms after it was sent)" if self.delay else ""
        return f"{self.moment} {which}{after}"


class _Watch:
    """A callback for dbt's events that counts statements and sends the SIGKILL."""

    def __init__(self, kill: Kill | None) -> None:
        self.statements = 0
        self._kill = kill
        self._pattern = re.compile(kill.matching, re.DOTALL) if kill and kill.matching else None
        self._lock = threading.Lock()
        # A result event does not name its statement, but a thread waits for one result at a time.
        self._thread: threading.Thread | None = None

    def __call__(self, event: Any) -> None:
        name = event.info.name
        if name == "SQLQuery":
            with self._lock:
                self.statements += 1
                if not self._is_hit(f"{event.data.conn_name}: {event.data.sql}"):
                    return
                self._thread = threading.current_thread()
            if self._kill.moment == BEFORE:
                _die()
            elif self._kill.moment == DURING:
                threading.Timer(self._kill.delay, _die).start()
        elif (
            name == "SQLQueryStatus"
            and self._thread is threading.current_thread()
            and self._kill.moment == AFTER
        ):
            _die()

    def _is_hit(self, text: str) -> bool:
        if self._kill is None or self._thread is not None:
            return False
        if self._pattern is not None:
            return self._pattern.search(text) is not None
        return self.statements == self._kill.statement


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _work(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    kill: Kill | None,
) -> None:
    """Run dbt in the forked process and record its outcome."""
    from dbt.cli.main import dbtRunner

    from tests.faults.warm import MANIFEST

    os.environ.update(environment)
    watch = _Watch(kill)
    out = Path(folder)
    answer = dbtRunner(manifest=MANIFEST, callbacks=[watch]).invoke(
        [
            *("--log-level", "none", "--log-path", str(out / "logs"), "--no-use-colors"),
            *("--no-send-anonymous-usage-stats", "--no-write-json", *arguments),
            *("--project-dir", str(ROOT), "--profiles-dir", str(ROOT)),
            *("--target-path", str(out / "target")),
        ]
    )
    failures = []
    if answer.exception is not None:
        failures.append(f"dbt: {answer.exception}")
    elif answer.result:
        failures += [
            f"{result.node.name}: {(result.message or '').strip()}"
            for result in answer.result.results
            if result.status in ("error", "fail", "runtime error", "partial success")
        ]
    if not answer.success and not failures:
        failures.append("dbt failed, and no node says why")
    report = {"failures": failures, "statements": watch.statements}
    (out / "report.json").write_text(json.dumps(report))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a build.

    Args:
        status: 0 if the process ended by itself, else the negative number of the signal.
        failures: dbt's message for each failed node.
        statements: the number of statements sent; 0 for a killed build.
    """

    status: int
    failures: tuple[str, ...]
    statements: int


class Build:
    """A running build.

    Args:
        environment: the PG* variables of the database.
        folder: an empty or nonexistent folder for dbt's output.
        as_of: the variable of this name.
        kill: where the build kills itself; None if it does not.
        options: additional options of `dbt build`.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        as_of: str,
        kill: Kill | None = None,
        options: Sequence[str] = WITHOUT_TESTS,
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        arguments = ["build", "--vars", json.dumps({"as_of": as_of}), *options]
        self._process = context().Process(
            target=_work, args=(arguments, dict(environment), str(folder), kill)
        )
        self._process.start()

    @property
    def runs(self) -> bool:
        """Whether the process is running."""
        return self._process.is_alive()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def wait(self, seconds: float = 120) -> Outcome:
        """Wait for the process to end; after `seconds`, kill it and raise TimeoutError."""
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"the build did not end within {seconds} seconds")
        status = self._process.exitcode
        report: dict[str, Any] = {"failures": [], "statements": 0}
        file = self._folder / "report.json"
        if file.exists():
            report = json.loads(file.read_text())
        elif status == 0:
            report["failures"] = ["the build ended without a report"]
        assert status is not None
        return Outcome(status, tuple(report["failures"]), report["statements"])


def context() -> Any:
    """The warm forkserver: its processes are forks of one that has parsed the project."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["tests.faults.warm"])
    started_with = {
        # The forkserver does not inherit sys.path, and ignores modules that it cannot import.
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Suppress the warning that resources of killed builds are cleaned up at exit.
        "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
    }
    before = {name: os.environ.get(name) for name in started_with}
    os.environ.update(started_with)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return found
