"""Builds a day as `warehouse build` does, in a process of its own.

    python -m benchmarks.daily_build 2026-01-31 [--without-tests]

The connection is that of the environment, as for dbt.
"""

from __future__ import annotations

import argparse
import json
import os

from warehouse import dbt
from warehouse.build import command


def main() -> int:
    """Build; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("as_of", help="the last day of the history, as a date")
    parser.add_argument("--without-tests", action="store_true", help="leave out every data test")
    arguments = parser.parse_args()
    # The histories have faults on purpose, and no volumes of other days to compare with.
    for name in ("ACCEPT_EXCLUDED", "ACCEPT_VOLUMES"):
        os.environ[f"WAREHOUSE_{name}"] = "1"
    variables = json.dumps({"as_of": arguments.as_of, "min_quality_score": 0})
    options = ["build", "--exclude-resource-type", "unit_test", "--vars", variables]
    if arguments.without_tests:
        # Parsed apart, because dbt parses everything anew when a variable changes.
        return command.build_and_report([*options, "--exclude-resource-type", "test"], dbt.parse())
    return command.build_everything(options)


if __name__ == "__main__":
    raise SystemExit(main())
