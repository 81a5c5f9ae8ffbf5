"""Runs `warehouse metrics` as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.dbt_project import ROOT
from warehouse.server import Server


@contextmanager
def serving(database: Any, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the metrics of a database on a free port.

    Args:
        database: the database.
        arguments: more options of the command.

    Yields:
        The address, such as http://127.0.0.1:34567, and the process.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "warehouse.cli", "metrics"),
            *("--listen", "127.0.0.1:0", *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, **database.environment, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"Serving metrics on (http://127\.0\.0\.1:\d+)/metrics\.\n", line)
        assert found, line
        yield found[1], process
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@contextmanager
def closed_to_all(server: Server, database: Any) -> Iterator[None]:
    """Let nobody connect to a database, as if it were down, and end its sessions."""
    with server.connect("postgres") as session:
        session.execute(f"alter database {database.name} allow_connections false")
        session.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            [database.name],
        )
    try:
        yield
    finally:
        with server.connect("postgres") as session:
            session.execute(f"alter database {database.name} allow_connections true")
