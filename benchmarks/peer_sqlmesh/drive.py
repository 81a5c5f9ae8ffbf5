"""SQLMesh for the benchmark: one request per line of standard input, one answer per line.

Runs with the Python of SQLMesh's own environment. A request is JSON: `do` is `full` or `day`, and
`at` is the execution time for SQLMesh. The answer has the seconds that SQLMesh took for

    full   the first plan of an empty project, applied: the model with all its rows
    day    `sqlmesh run`: the days that have ended since
"""

import contextlib
import json
import sys
import time
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.console import MarkdownConsole, set_console


def answer(request: dict, state: dict) -> dict:
    """Execute a request; `state` keeps the context between requests."""
    if request["do"] == "full":
        state["context"] = Context(paths=[Path.cwd()])
        # SQLMesh creates its state tables on first access.
        state["context"].state_sync.get_environments()
        began = time.perf_counter()
        state["context"].plan(
            auto_apply=True, no_prompts=True, skip_tests=True, execution_time=request["at"]
        )
        return {"seconds": time.perf_counter() - began}
    began = time.perf_counter()
    status = state["context"].run(execution_time=request["at"])
    return {"seconds": time.perf_counter() - began, "status": str(status)}


def main() -> None:
    """Answer until the input ends. The output of SQLMesh goes to standard error."""
    # This console prints the reasons of failures.
    set_console(MarkdownConsole())
    state: dict = {}
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            reply = answer(json.loads(line), state)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
