"""Compares the verdicts of a build that audits with those of `dbt test` on the same rows.

A **trial** has two databases. The first one is built as users do. Before each build the second one
becomes a copy of it, is built by the same command without any test, and is then tested whole: it
is the state that the first one would have without audits. What `exactly` means:

- A test that fails there fails in the build: as a node, or named by the model that wrote nothing.
- A test that fails in the build fails there.
- If a model wrote nothing, dbt skips what reads it. Only tests of such tables are excused.
- The tests that a model names are all row-wise tests of it that fail there, no fewer, unless rows
  were bad before this build: those fail at the node, once the model is written.
- A build that fails without naming a test fails there with the same error.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from tests.quality.faults import AUDIT, FAULTS, KEYS, Fault, faulty_query
from tests.support import dbt_project
from tests.support.database import Database, do, fetch
from warehouse import contract
from warehouse.load import target
from warehouse.server import Server

AS_OF = "2024-07-01"
NAMES = ("trial", "trial_plain")
# Each key holds the tag of a fault, or of none.
CUSTOMER = """
insert into raw.users (user_id, email, country, created_at, updated_at, _loaded_at)
values ('u{tag}', 'a@example.org', 'DE', {day}, {day}, clock_timestamp());
insert into raw.orders (order_id, user_id, order_status, currency, order_date, updated_at, _loaded_at)
values ('o{tag}', 'u{tag}', 'completed', 'EUR', {day}::timestamptz + interval '2 hours', {day}, clock_timestamp());
insert into raw.order_items (order_item_id, order_id, product_id, quantity, price_at_purchase, updated_at, _loaded_at)
values ('i{tag}', 'o{tag}', 'p', 2, 10, {day}, clock_timestamp());
insert into raw.payments (payment_id, order_id, payment_method, payment_status, amount, paid_at, updated_at, _loaded_at)
values ('y{tag}', 'o{tag}', 'card', 'paid', 20, {day}::timestamptz + interval '3 hours', {day}, clock_timestamp());
insert into raw.user_sessions (session_id, user_id, session_start, session_end, device, updated_at, _loaded_at)
values ('s{tag}', 'u{tag}', {day}::timestamptz + interval '1 hour', {day}::timestamptz + interval '2 hours', 'phone', {day}, clock_timestamp());
insert into raw.events (event_id, user_id, session_id, event_type, event_timestamp, page_url, _loaded_at)
values ('e{tag}', 'u{tag}', 's{tag}', 'page_view', {day}::timestamptz + interval '1 hour', '/', clock_timestamp())
"""  # noqa: E501
# Also tests of tables that are not selected, which are built.
ASKED = (*dbt_project.NO_UNIT_TESTS, "--indirect-selection", "eager")
RAW = ("users", "orders", "order_items", "payments", "user_sessions", "events")
NAMED = re.compile(r"^ *- ([\w.]+): got ", re.MULTILINE)


@dataclass
class Verdicts:
    """What a command said.

    Args:
        failed: the tests of severity `error` that failed.
        rolled_back: the tests that each model named when it wrote nothing, by the model.
        refused: the messages of nodes that failed for another reason, by the node.
        skipped: what dbt skipped.
        asked: the tests that were nodes of the command and were not skipped.
    """

    failed: set[str] = field(default_factory=set)
    rolled_back: dict[str, set[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)

    @property
    def named(self) -> set[str]:
        """The tests that any model named."""
        return set().union(*self.rolled_back.values())


def verdicts_of(results: Sequence[Any]) -> Verdicts:
    """Sort the results of a command."""
    found = Verdicts()
    for result in results:
        name, status = result.node.name, str(result.status)
        message = result.message or ""
        if status == "skipped":
            found.skipped.add(name)
        elif result.node.resource_type == "test":
            found.asked.add(name)
            if status == "fail":
                found.failed.add(name)
            elif status not in ("pass", "warn"):
                found.refused[name] = message
        elif status == "error" and (tests := set(NAMED.findall(message))):
            found.rolled_back[name] = tests
        elif status not in ("success", "pass"):
            found.refused[name] = message
    return found


class Trial:
    """Two databases, and the faulty project that is built in them.

    Args:
        server: a running server.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.built, self.plain = (Database.of(server, name) for name in NAMES)
        # Rows that were bad before a build, by the model.
        self.spoilt: set[str] = set()
        # What was compared.
        self.builds = 0
        self.last = Verdicts()
        self.found: set[tuple[str, str, str]] = set()

    def begin(self) -> None:
        """Create the first database, and build it with the faults in force."""
        self.end()
        self._administer("create database {} template template0 strategy file_copy", NAMES[0])
        with self.built.connect() as session:
            target.create(session, contract.read())
            session.execute(
                "insert into raw.categories (category_id, category_name, updated_at, _loaded_at)"
                " values ('c', 'Shoes', '2020-01-01', clock_timestamp());"
                "insert into raw.products (product_id, category_id, product_name, unit_price,"
                " created_at, updated_at, _loaded_at)"
                " values ('p', 'c', 'Boot', 10, '2020-01-01', '2020-01-01', clock_timestamp())"
            )
        for number in range(3):
            self.load(f"{number}~")
        nodes = {node.name: node for node in dbt_project.parsed().nodes.values()}
        for model in KEYS:
            types = {name: column.data_type for name, column in nodes[model].columns.items()}
            for database in (self.built, self.plain):
                query = faulty_query(model, types)
                dbt_project.edit(database, model, "select * from final", query)
        self.run("build", options=dbt_project.NO_TESTS)

    def end(self) -> None:
        """Drop the databases."""
        for database in (self.built, self.plain):
            self._administer("drop database if exists {} with (force)", database.name)
            dbt_project.forget_configured(database)

    def _administer(self, statement: str, *names: str) -> None:
        with self.server.connect("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    # --- What happens between builds ------------------------------------------------------------

    def load(self, tag: str, day: str | None = None) -> None:
        """Load a customer.

        Args:
            tag: what all the keys hold.
            day: when everything happens; a usual day if None.
        """
        do(self.built, CUSTOMER.format(tag=tag, day=f"'{day or '2024-03-10'}'"))

    def load_fault(self, fault: Fault, number: int = 0) -> None:
        """Load the customer of a fault."""
        self.load(f"{number}~{fault.tag}", fault.day)

    def repair(self, fault: Fault) -> None:
        """Delete all customers of a fault, as the application does."""
        keys = zip(RAW, ("user", "order", "order_item", "payment", "session", "event"), strict=True)
        do(
            self.built,
            *(
                f"update raw.{table} set _deleted_at = clock_timestamp(),"
                f" _loaded_at = clock_timestamp() where {key}_id like '%~{fault.tag}'"
                for table, key in keys
            ),
        )

    def spoil(self, fault: Fault) -> bool:
        """Let another session write the fault into a row of the mart.

        Returns:
            Whether there was a row.
        """
        relation = f"marts.{fault.model}"
        columns = ", ".join(fault.changes)
        values = ", ".join(fault.changes.values())
        with self.built.connect() as session:
            changed = session.execute(
                f"update {relation} as held set ({columns}) = row({values}) from"
                f" (select *, tableoid as table_id, ctid as row_id from {relation}"
                f" order by {KEYS[fault.model]} limit 1) as old"
                " where (held.tableoid, held.ctid) = (old.table_id, old.row_id)"
            ).rowcount
        if changed:
            self.spoilt.add(fault.model)
        return changed > 0

    def change_test(self, model: str, chance: random.Random, **config: Any) -> str:
        """Change the configuration of a test of a model, drawn by chance.

        Returns:
            The name of the test.
        """
        nodes = dbt_project.parsed().nodes.values()
        own = sorted(
            node.name
            for node in nodes
            if node.resource_type == "test"
            and str(getattr(node, "attached_node", None)).endswith(f".{model}")
        )
        name = chance.choice(own)
        for database in (self.built, self.plain):
            dbt_project.configure(database, name, **config)
        return name

    def restore_tests(self, names: set[str]) -> None:
        """Give tests their own configuration again."""
        for node in dbt_project.parsed().nodes.values():
            if node.resource_type == "test" and node.name in names:
                own = {name: node.config[name] for name in ("severity", "where", "error_if")}
                for database in (self.built, self.plain):
                    dbt_project.configure(database, node.name, **own)

    def killed(self, table: str, model: str) -> list[str]:
        """Kill a build of a model when it writes into a table.

        Returns:
            What it left half judged: rows that no write tells of.
        """
        query = (
            f"select md5(string_agg(old::text, ',' order by old::text)), (select writes from"
            f" observability.audited_tables where model_name = '{model}') from marts.{model} as old"
        )
        ((rows, writes),) = fetch(self.built, query)
        with self.killed_at(table):
            self.verdicts("build", model, options=ASKED)
        ((rows_after, writes_after),) = fetch(self.built, query)
        if rows != rows_after and writes == writes_after:
            return [f"{model}: a build that was killed at {table} wrote rows, and says nothing"]
        return []

    def rebuild(self, model: str) -> None:
        """Repair what another session wrote, with a full refresh that asks no test."""
        self.run("run", model, full_refresh=True)
        self.spoilt.discard(model)

    # --- Builds ---------------------------------------------------------------------------------

    def run(
        self, command: str, *select: str, database: Database | None = None, **options: Any
    ) -> list[Any]:
        """Run dbt in the first database; the arguments are those of `dbt_project.run`."""
        return dbt_project.run(database or self.built, command, *select, as_of=AS_OF, **options)

    def verdicts(self, command: str, *select: str, **options: Any) -> Verdicts:
        """Run dbt and sort its results; the arguments are those of `run`."""
        try:
            return verdicts_of(self.run(command, *select, **options))
        except dbt_project.DbtFailed as failed:
            if not failed.results:
                raise
            return verdicts_of(failed.results)

    def would_be(self, *select: str, **options: Any) -> tuple[Verdicts, Verdicts]:
        """Copy the first database, build it without tests, and test it whole.

        Returns:
            What the build says, and what the tests say.
        """
        self._administer("drop database if exists {} with (force)", self.plain.name)
        self._administer(
            "create database {} template {} strategy file_copy", self.plain.name, self.built.name
        )
        untested = {"options": dbt_project.NO_TESTS, **options}
        built = self.verdicts("build", *select, database=self.plain, **untested)
        return built, self.verdicts("test", *select, database=self.plain, options=ASKED)

    def judge(self, *select: str, **options: Any) -> list[str]:
        """Build with all tests, and compare the verdicts.

        Args:
            select: the nodes to build; everything if empty.
            options: those of `dbt_project.run`.

        Returns:
            What the build did not find, and what it should not have found.
        """
        would_write, would_say = self.would_be(*select, **options)
        unseen = [fault for fault in FAULTS if fault.found_by == AUDIT and not fault.is_missing]
        is_refresh = bool(options.get("full_refresh"))
        with self._reading([] if is_refresh else unseen, self.spoilt) as seen:
            said = self.verdicts("build", *select, options=ASKED, **options)
        self.last = said
        self.builds += 1
        for model, tests in said.rolled_back.items():
            self.found |= {(model, test, AUDIT) for test in tests}
        self.found |= {("", test, "node") for test in said.failed}
        if select:
            # A build of a part of their tables does not ask them.
            would_say.failed -= of_whole_builds() - said.failed
        wrong = compare(said, would_write, would_say, self.spoilt)
        return wrong + [f"a reader saw a row of the fault {tag}" for tag in sorted(seen)]

    @contextmanager
    def _reading(self, faults: Sequence[Fault], spoilt: set[str]) -> Iterator[set[str]]:
        """Poll the marts for rows of faults that no reader may see; yields the tags of those."""
        seen: set[str] = set()
        queries: dict[str, list[str]] = {}
        for fault in faults:
            if fault.model not in spoilt:
                queries.setdefault(fault.model, []).append(
                    f"select '{fault.tag}' from marts.{fault.model} where {fault.condition}"
                )
        already = {
            row[0] for each in queries.values() for row in fetch(self.built, " union ".join(each))
        }
        is_over = threading.Event()

        def read() -> None:
            with self.built.connect() as session:
                session.autocommit = True
                while not is_over.is_set():
                    for each in queries.values():
                        rows = session.execute(" union ".join(each)).fetchall()
                        seen.update(row[0] for row in rows)
                    is_over.wait(0.01)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield seen
        finally:
            is_over.set()
            reader.join()
            seen -= already

    @contextmanager
    def killed_at(self, table: str, when: str = "true") -> Iterator[None]:
        """Let the backend that writes a table be killed.

        Args:
            table: the table.
            when: SQL on `new`, the row that is written.
        """
        do(
            self.built,
            "create or replace function public.die() returns trigger language plpgsql as $$"
            f" begin if {when} then perform pg_terminate_backend(pg_backend_pid());"
            " end if; return new; end $$",
            f"create trigger die before insert or update on {table}"
            " for each row execute function public.die()",
        )
        try:
            yield
        finally:
            do(self.built, f"drop trigger die on {table}")


def compare(
    said: Verdicts, would_write: Verdicts, would_say: Verdicts, spoilt: set[str]
) -> list[str]:
    """What a build did not find, and what it should not have found.

    Args:
        said: the verdicts of the build that audits.
        would_write: those of the same build without tests.
        would_say: those of `dbt test` on what that build wrote.
        spoilt: the models that had bad rows before.
    """
    wrong = [
        f"the build says that {test} fails, and dbt test says that it passes"
        for test in (said.failed | said.named) - would_say.failed
    ]
    has_failed = bool(said.rolled_back or said.refused or said.failed)
    for test in would_say.failed - said.failed - said.named:
        if test in said.asked or not has_failed:
            wrong.append(f"dbt test says that {test} fails, and the build passes it")
        elif test not in said.skipped:
            wrong.append(f"dbt test says that {test} fails, and the build does not ask it")
    wrong += [
        f"{node} fails only with tests: {message}"
        for node, message in said.refused.items()
        if node not in would_write.refused and node not in would_say.refused
    ]
    nodes = {node.name: node for node in dbt_project.parsed().nodes.values()}
    for model, tests in said.rolled_back.items():
        if model in spoilt:
            continue
        own = {
            test
            for test in would_say.failed - tests
            if getattr(nodes[test], "attached_node", None) == nodes[model].unique_id
        }
        own = {test for test in own if is_asked_before_commit(nodes[test])}
        wrong += [f"{model} wrote nothing and does not name {test}" for test in own]
    return wrong


def of_whole_builds() -> set[str]:
    """The tests that a build of a part of their tables does not ask."""
    return {
        node.name
        for node in dbt_project.parsed().nodes.values()
        if any(name.endswith(".were_built_together") for name in node.depends_on.macros)
    }


# As docs/quality.md lists them.
ROW_WISE = {
    *("not_null", "accepted_values", "relationships", "unique", "accepted_range"),
    *("expression_is_true", "not_accepted_values", "not_empty_string"),
    "expect_column_pair_values_A_to_be_greater_than_B",
}


def is_asked_before_commit(test: Any) -> bool:
    """Whether a model asks a test of its rows, and writes nothing if one fails.

    Args:
        test: the node of the test.
    """
    metadata = getattr(test, "test_metadata", None)
    if metadata is None or metadata.name not in ROW_WISE:
        return False
    others = [name for name in test.depends_on.nodes if name != test.attached_node]
    return all(other in _ancestors(test.attached_node) for other in others)


def _ancestors(unique_id: str) -> set[str]:
    """What a node reads, directly or not."""
    nodes = dbt_project.parsed().nodes
    found, open_ones = set(), [unique_id]
    while open_ones:
        # A seed depends on macros only.
        for parent in getattr(nodes[open_ones.pop()].depends_on, "nodes", ()):
            if parent in nodes and parent not in found:
                found.add(parent)
                open_ones.append(parent)
    return found
