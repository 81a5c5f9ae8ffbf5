"""Generate the tables and the chart of docs/clv.md: `make clv-docs`.

Starts an embedded server in a temporary folder, generates a sample, loads it, builds user_clv, and
runs `warehouse clv backtest`, each with the command that a user would run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.database import environment_of
from tests.support.server import DURABLE, temporary_server

ROOT = Path(__file__).resolve().parent.parent
END = "2026-10-31"
COMMANDS = (
    "sample --users 20000 --days 730 --seed 42 --events-per-session 1 --format parquet"
    f" --end-date {END} --out {{sample}}",
    "load {sample}",
    f"build --select +user_clv --exclude-resource-type test unit_test --vars {{{{as_of:{END}}}}}",
    f"clv backtest --as-of {END} --model bg-nbd --markdown {ROOT / 'docs' / 'clv.md'}"
    f" --plot {ROOT / 'docs' / 'clv-backtest.svg'}",
)


def main() -> int:
    """Run the commands; returns the exit status."""
    with temporary_server(settings=DURABLE) as server:
        where = environment_of(server, server.parameters()["dbname"])
        for command in COMMANDS:
            sample = server.home.parent / "sample"
            words = [word.format(sample=sample) for word in command.split()]
            print("warehouse", *words, flush=True)
            subprocess.run(
                [sys.executable, "-m", "warehouse.cli", *words],
                cwd=ROOT,
                env={**os.environ, **where},
                check=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
