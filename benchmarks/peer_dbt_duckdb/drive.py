"""dbt-duckdb for the benchmark: one request per line of standard input, one answer per line.

Runs with the Python of dbt-duckdb's own environment. A request is JSON: `do` is `full` or `day`,
`files` is the folder of the Parquet files, and `check` is a query. The answer has the seconds that
dbt reports for the model, and the result of `check`.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner


def answer(request: dict) -> dict:
    """Run the model, in full or for a day."""
    arguments = ["run", "--vars", json.dumps({"files": request["files"]}), "--log-level", "none"]
    if request["do"] == "full":
        Path(os.environ["BENCH_DUCKDB"]).unlink(missing_ok=True)
        arguments.append("--full-refresh")
    ran = dbtRunner().invoke(
        [*arguments, "--project-dir", ".", "--profiles-dir", ".", "--target-path", "target"]
    )
    if not ran.success:
        said = ran.exception or [result.message for result in ran.result]
        raise SystemExit(f"dbt-duckdb failed: {said}")
    # dbt-duckdb keeps the file open until its process ends.
    DuckDBConnectionManager.close_all_connections()
    with duckdb.connect(os.environ["BENCH_DUCKDB"], read_only=True) as database:
        checked = database.sql(request["check"]).fetchall()[0]
    return {
        "seconds": sum(result.execution_time for result in ran.result),
        "check": [int(value) for value in checked],
    }


def main() -> None:
    """Answer until the input ends. The output of dbt goes to standard error."""
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            reply = answer(json.loads(line))
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
