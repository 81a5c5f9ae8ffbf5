"""What `warehouse build` prints: models as they finish, and at the end failures and warnings."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from warehouse import console, project
from warehouse.dbt import reason_of

# What a run says of its publication, at its end.
PUBLISHED = re.compile("Published|Not published")
BUILT = ("model", "snapshot", "seed")
FAILED = ("error", "fail", "runtime error", "partial success")
# Options by which a user asks for dbt's own output.
OF_DBT = ("--debug", "-d", "--quiet", "-q", "--log-level", "--log-format", "--print", "--no-print")
# Warnings about single tests are shown with the results.
_SHOWN_LATER = ("LogTestResult", "RunResultWarning", "RunResultWarningMessage", "EndOfRunSummary")


def wants_dbt_output(arguments: Sequence[str]) -> bool:
    """Whether the arguments of dbt choose what dbt prints."""
    return any(each.split("=")[0] in OF_DBT for each in arguments)


class Report:
    """Prints a build while it runs, from dbt's events, and its result.

    Args:
        left_out: how many tests the build leaves out, because it knows them or its models ask them.
    """

    def __init__(self, left_out: int = 0) -> None:
        self._left_out = left_out
        self._started = time.monotonic()
        self._published = ""

    def listen(self, event: Any) -> None:
        """Print a line for a finished model, and each warning; a callback of dbt."""
        if event.info.name == "NodeFinished":
            self._finished(event.data)
        elif event.info.name == "JinjaLogInfo" and PUBLISHED.match(event.data.msg):
            self._published = event.data.msg
        elif event.info.level == "warn" and event.info.name not in _SHOWN_LATER:
            text = getattr(event.data, "msg", "") or event.info.msg
            console.say(f"Warning: {reason_of(text)}", style="yellow", stderr=True)

    def _finished(self, data: Any) -> None:
        node, result = data.node_info, data.run_result
        if node.resource_type not in BUILT:
            return
        status = str(node.node_status)
        if status == "skipped" or node.materialized == "ephemeral":
            return
        name = f"{node.node_relation.schema}.{node.node_relation.alias}"
        said = "failed" if status in FAILED else rows_of(str(result.message or status))
        style = "red" if status in FAILED else None
        console.say(f"{result.execution_time:7.1f} s  {name:<44} {said}", style=style)

    def show(self, results: Sequence[Any]) -> None:
        """Print failures, warnings with their meaning, and totals.

        Args:
            results: the results of the nodes, as dbt returns them.
        """
        failed = [each for each in results if str(each.status) in FAILED]
        warned = [each for each in results if str(each.status) == "warn"]
        if failed:
            console.say(f"\n{len(failed)} failed:", style="red")
        for result in failed:
            for line in _described(result):
                console.say(line)
        if warned:
            console.say(f"\n{_count(len(warned), 'warning')}, of rows that occur in real data:")
        for result in warned:
            for line in _described(result):
                console.say(line)
        if warned and (note := planted()):
            console.say(f"\n{note}")
        if self._published:
            console.say(f"\n{self._published}")
        console.say(f"\n{self._totals(results)}")

    def _totals(self, results: Sequence[Any]) -> str:
        counts: Counter[str] = Counter()
        for each in results:
            kind = each.node.resource_type
            status = str(each.status)
            if status == "skipped":
                counts["skipped"] += 1
            elif str(kind) in BUILT and status not in FAILED:
                counts[str(kind)] += 1
            elif str(kind) in ("test", "unit_test"):
                counts["failed" if status in FAILED else status] += 1
        built = ", ".join(_count(counts[kind], kind) for kind in BUILT)
        tests = [f"{_count(counts['pass'], 'test')} passed", f"{counts['warn']} with warnings"]
        tests += [f"{counts['failed']} failed"] if counts["failed"] else []
        tests += [f"{self._left_out} left to the models"] if self._left_out else []
        skipped = f"; {counts['skipped']} skipped after a failure" if counts["skipped"] else ""
        seconds = time.monotonic() - self._started
        whole = f"Built {built}; {', '.join(tests)}{skipped}; {seconds:.0f} s."
        return f"{whole} dbt's log: {log_file()}"


def _described(result: Any) -> list[str]:
    """What a failure or a warning means, and how to look at its rows."""
    node = result.node
    if str(node.resource_type) == "operation":
        return [f"- {hook_reason(result.message)}"]
    if str(node.resource_type) not in ("test", "unit_test"):
        return [f"- {node.resource_type} {node.name}: {reason_of(result.message)}"]
    rows = f"{_count(result.failures, 'row')}: " if result.failures else ""
    # Without a description, the name states what should be true.
    description = (getattr(node, "description", None) or "").strip()
    lines = [f"- {rows}{f'{description} ({node.name})' if description else node.name}"]
    if not result.failures:
        lines.append(f"  {reason_of(result.message)}")
    elif path := getattr(node, "compiled_path", None):
        prefix = "" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/"
        query = query_of_rows(node)
        if "keys_of_test_" in (node.compiled_code or ""):
            # It read keys that only its own session had; this asks of everything.
            lines.append(f"  {prefix}dbt show --select {node.name} --limit 20")
        else:
            asked = f"-c {_quoted(query)}" if query else f"-f {path}"
            lines.append(f"  {prefix}warehouse psql {asked}")
    return lines


def hook_reason(message: str) -> str:
    """What a hook of a run says when it fails, without its name and PostgreSQL's context."""
    return reason_of(message.partition("error:\n")[2] or message).partition("\nCONTEXT:")[0]


def query_of_rows(node: Any) -> str | None:
    """A query of the whole rows that a test finds, for tests whose own SQL shows only a value.

    Args:
        node: the test, as dbt returns it with a result.

    Returns:
        The query; None if the test's own SQL shows the rows.
    """
    metadata = getattr(node, "test_metadata", None)
    if metadata is None:  # a test in a file of its own selects whole rows
        return None
    given = {**(metadata.kwargs or {}), "model": None}  # a call of dbt
    relations = re.findall(r'"[^"]+"[.]"([^"]+)"[.]"([^"]+)"', node.compiled_code or "")
    if not relations or node.config.where or "{{" in str(given.values()):
        return None
    try:
        return _selected(metadata.name, given, [".".join(each) for each in relations])
    except KeyError:  # a test of this name with other arguments
        return None


def _selected(name: str, given: dict[str, Any], relations: Sequence[str]) -> str | None:
    """The query of the rows that a test of a known name finds; None for other tests."""
    model, *others = relations
    column = given.get("column_name") or ""
    only = f" and {given['row_condition']}" if given.get("row_condition") else ""
    if name == "relationships" and others:
        same = f"parent.{given['field']} = child.{column}"
        parents = f"select from {others[0]} as parent where {same}"
        return (
            f"select * from {model} as child where {column} is not null and not exists ({parents})"
        )
    if name == "expression_is_true":
        condition = f"{column} {given['expression']}".strip()
        return f"select * from {model} where not ({condition})"
    if name == "expect_column_values_to_match_regex":
        return f"select * from {model} where {column} !~ '{given['regex']}'{only}"
    if name == "expect_column_pair_values_A_to_be_greater_than_B":
        sign = "<" if given.get("or_equal") else "<="
        return f"select * from {model} where {given['column_A']} {sign} {given['column_B']}{only}"
    return None


def _quoted(query: str) -> str:
    """A query as one word of a shell: in double quotes if nothing in it has a meaning there."""
    return shlex.quote(query) if re.search(r'[$`"\\!]', query) else f'"{query}"'


def rows_of(message: str) -> str:
    """What a model wrote, from the database's answer: a number of rows, a view, or nothing."""
    if counted := re.fullmatch(r"(?:INSERT 0|SELECT|CREATE|MERGE) (\d+)", message):
        return _count(int(counted[1]), "row")
    return message.removeprefix("CREATE ").lower() if message.isupper() else message


def log_file() -> str:
    """The path of dbt's log."""
    return f"{os.environ.get('DBT_LOG_PATH') or 'logs'}/dbt.log"


def planted() -> str | None:
    """A note if the raw tables hold the sample, which contains dirty rows on purpose.

    The truth of the sample names its dirty rows: they are looked up by their keys.
    """
    import psycopg

    from warehouse.database.connection import connect

    truth = project.root() / "sample" / "truth.json"
    try:
        dirty = json.loads(truth.read_text(encoding="utf-8"))["dirty"]
        keys = dirty["orders_with_unknown_status"]["keys"]
    except (OSError, ValueError, KeyError):
        return None
    query = "select count(*) from raw.orders where order_id = any(%s)"
    try:
        with connect() as session:
            found = session.execute(query, [keys]).fetchone()
    except psycopg.Error:  # raw.orders is another table, with keys of another type
        return None
    if not found or not found[0]:
        return None
    return (
        f"This is the sample, which contains {len(dirty)} kinds of dirty rows on purpose: most of"
        " these warnings find them (docs/sample.md)."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
