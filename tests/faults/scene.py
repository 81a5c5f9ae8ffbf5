"""The database whose builds get faults, and the expected result of a build without faults."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.faults.builder import DATABASE, Build, Kill
from tests.faults.reader import Question, Reader, Seen, State, look, questions
from tests.replay.workshop import Contents, Workshop, compare_contents, show
from tests.support import dbt_project
from tests.support.database import Database
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate
from warehouse.server import Server

LOADS = 5
HISTORY = 3  # number of loads built before any fault
HOLD = (4712, 1)

# A session of a killed build ends within this time: client_connection_check_interval plus a margin.
ORPHAN_SECONDS = 5 + 5

# In every load, these statements change some of the rows loaded earlier.
# {at} is the timestamp of the load, {some} a condition on the table's key.
CHANGES = (
    # New versions of users, some of them valid before events that are already built.
    "update raw.users set subscription_tier = 'tier of ' || {at}, country = 'NL',"
    " updated_at = {at} - interval '9 days', _loaded_at = {at} where {some:user_id}",
    "update raw.users set _deleted_at = {at}, _loaded_at = {at}"
    " where _deleted_at is null and {few:user_id}",
    "update raw.users set _deleted_at = null, updated_at = {at}, _loaded_at = {at}"
    " where _deleted_at < {at} and {some:user_id}",
    "update raw.products set unit_price = unit_price + 1, updated_at = {at}, _loaded_at = {at}"
    " where {some:product_id}",
    "update raw.products set _deleted_at = {at}, _loaded_at = {at} where {few:product_id}",
    "update raw.categories set category_name = category_name || '+', _loaded_at = {at}"
    " where {some:category_id}",
    "update raw.orders set order_status = 'refunded', _loaded_at = {at} where {some:order_id}",
    "update raw.orders set _deleted_at = {at}, _loaded_at = {at} where {few:order_id}",
    "update raw.order_items set quantity = quantity + 1, _loaded_at = {at}"
    " where {some:order_item_id}",
    "update raw.payments set _deleted_at = {at}, _loaded_at = {at} where {few:payment_id}",
    "update raw.user_sessions set session_end = session_start + interval '1 hour',"
    " _loaded_at = {at} where {some:session_id}",
    "update raw.events set _deleted_at = {at}, _loaded_at = {at} where {few:event_id}",
    # Late events, in a month without other events.
    "insert into raw.events (event_id, user_id, event_type, event_timestamp, _loaded_at)"
    " select 'late of ' || {at} || user_id, user_id, 'page_view',"
    " {at} - interval '100 days', {at} from raw.users where {some:user_id}",
)


class _Share:
    """`{some:column}` in a statement: a condition that is true for one row in `one_in`."""

    def __init__(self, number: int, one_in: int) -> None:
        self._number = number
        self._one_in = one_in

    def __format__(self, column: str) -> str:
        return f"abs(hashtext({column} || '{self._number}')) % {self._one_in} = 0"


@dataclasses.dataclass(frozen=True)
class Expected:
    """The result of builds without faults: all rows, and each relation's state for a reader."""

    rows: Contents
    states: dict[str, State]


class Scene:
    """A server with a database that has a history of builds, and copies of it.

    The database has `HISTORY` loads, each of them built; the next one is loaded but not built.

    Args:
        server: a running server, durable enough for the faults of the tests.
        folder: a folder for files.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.database = Database.of(server, DATABASE)
        self._workshop = Workshop(server, dbt_project.ROOT, DATABASE)
        self._numbers = itertools.count(1)
        plan = make_plan(
            users=120, days=60, seed=12, out=folder / "sample", loads=LOADS, end_date="2026-03-31"
        )
        generate(plan)
        self._files = plan.folders
        self._stamps = [
            dt.datetime.fromtimestamp(int(bound) // 1_000_000, dt.UTC) for bound in plan.bounds
        ]
        self.expected: dict[int, Expected] = {}
        self.statements = 0  # of an incremental build; a kill at any of them takes effect
        self.questions: list[Question] = []
        self._make()

    def _make(self) -> None:
        self.administer("create database {} template template0", DATABASE)
        for number in range(LOADS):
            self.load(number)
            if number in (0, HISTORY):
                self._keep_as(f"loaded_{number}")
            outcome = self.build(number).wait()
            assert outcome.status == 0 and not outcome.failures, outcome
            if number == HISTORY:
                # Without the last ones: the process may end before the kill takes effect.
                self.statements = outcome.statements - 5
            self.questions = self.questions or self._ask()
            with self._session() as session:
                states = look(session, self.questions)
            self.expected[number] = Expected(self._workshop.contents(), states)
        # The first build finds no moves between segments, and the sample has no rates.
        may_be_empty = {"marts.segment_transitions", "marts.fct_exchange_rates"}
        empty = [
            name
            for name, state in self.expected[0].states.items()
            if not state[0] and name not in may_be_empty
        ]
        assert not empty, f"nothing is in {empty}, so nothing could go missing"

    def _ask(self) -> list[Question]:
        with self._session() as session:
            return questions(session)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        """A session in autocommit mode, in UTC."""
        with self.server.connect(DATABASE) as session:
            yield session

    def administer(self, statement: str, *names: str) -> None:
        """Run a statement in the database postgres; the names replace its `{}` placeholders."""
        with self.server.connect("postgres") as session:
            session.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _keep_as(self, name: str) -> None:
        self.administer("create database {} template {}", name, DATABASE)

    def restore(self, number: int = HISTORY) -> None:
        """Reset the database to the state with this load (0 or `HISTORY`) loaded but not built."""
        self.server.up()  # a failed test may have left it stopped
        self.administer("drop database if exists {} with (force)", DATABASE)
        self.administer("create database {} template {}", DATABASE, f"loaded_{number}")

    # --- Loads and builds ---------------------------------------------------------------------

    def load(self, number: int) -> None:
        """Load the files of a load, and change rows of earlier loads."""
        at = self._stamps[number]
        with self.database.connect() as session:
            load_folder(self._files[number], connection=session, loaded_at=at)
        with self.database.connect() as session:
            for position, change in enumerate(CHANGES if number else ()):
                session.execute(
                    change.format(
                        at=f"'{at.isoformat()}'::timestamptz",
                        some=_Share(number * 100 + position, 9),
                        few=_Share(number * 100 + position, 40),
                    )
                )

    def build(self, number: int, kill: Kill | None = None, **more: Any) -> Build:
        """Start a build of a load.

        Args:
            number: the number of the load, which determines as_of.
            kill: where the build kills itself.
            more: `options` for dbt, and additional environment variables as `environment`.
        """
        environment = {**self.database.environment, **more.pop("environment", {})}
        folder = self.folder / f"build_{next(self._numbers)}"
        return Build(environment, folder, self.as_of(number), kill, **more)

    def as_of(self, number: int) -> str:
        """The value of as_of for the build of a load."""
        return self._stamps[number].date().isoformat()

    # --- Watching and checking ----------------------------------------------------------------

    @contextmanager
    def watched(self, number: int, *, may_lose_connection: bool = False) -> Iterator[list[Seen]]:
        """Read everything continuously while this load is built, and check the observed states.

        Raises AssertionError if a query failed, if a relation was in a state other than the one
        before or the one after the build, or if it returned to the earlier one.
        """
        told: list[Seen] = []
        parameters = {**self.server.parameters(DATABASE), "application_name": "reader"}
        reader = Reader(parameters, self.questions, may_lose_connection=may_lose_connection)
        try:
            yield told
        except BaseException:
            reader.kill()
            raise
        seen = reader.stop()
        told.append(seen)
        assert not seen.errors, "a reader's query failed:\n" + show(seen.errors)
        assert seen.rounds >= 3, f"the reader read everything {seen.rounds} times only"
        wrong = []
        for relation, states in seen.states.items():
            before, after = (
                self.expected[each].states[relation] for each in (max(number - 1, 0), number)
            )
            if relation in ("quarantine.excluded_rows", "quarantine.rejected_rows"):
                before = after  # they show the loaded rows, built or not
            if states not in ([before], [after], [before, after]):
                wrong.append(
                    f"{relation} went through {states}; before the build it is {before}, after it"
                    f" {after}"
                )
        assert not wrong, "a reader saw what was neither before nor after:\n" + show(wrong)

    def recover(self, number: int) -> None:
        """Build again, and compare every row with the build without faults.

        Raises AssertionError if the build fails, a row differs, or something is left behind.
        """
        outcome = self.build(number).wait()
        assert outcome.status == 0 and not outcome.failures, f"the build after the fault: {outcome}"
        complaints = compare_contents(self._workshop.contents(), self.expected[number].rows)
        lines = [line for several in complaints.values() for line in several]
        with self._session() as session:
            states = look(session, self.questions)
            lines += [
                f"{name} is {states[name]}, expected {state}"
                for name, state in self.expected[number].states.items()
                if states[name] != state
            ]
        deadline = time.monotonic() + ORPHAN_SECONDS
        while (left := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        lines += left
        assert not lines, "after the fault and one more build:\n" + show(lines)

    def _leftovers(self) -> list[str]:
        """Relations, sessions and locks that a build left behind, except temporary relations.

        PostgreSQL drops those at the end of the session, or at some later time after a crash.
        """
        with self._session() as session:
            rows = session.execute(
                """
                select format('the relation %s is left', oid::regclass)
                from pg_class where relname ~ '__dbt_' and relpersistence != 't'
                union all
                select format('session %s still does: %s', pid, query)
                from pg_stat_activity
                where datname = current_database() and application_name = 'dbt'
                union all
                select format('advisory lock %s of session %s', objid, pid)
                from pg_locks where locktype = 'advisory'
                """
            ).fetchall()
        return [row[0] for row in rows]

    def backends(self) -> set[int]:
        """The process IDs of all sessions on the server."""
        with self._session() as session:
            return {row[0] for row in session.execute("select pid from pg_stat_activity")}

    def waiting_for(self, relation: str) -> int | None:
        """The process ID of a dbt session that waits for a lock on a relation."""
        with self._session() as session:
            row = session.execute(
                "select pid from pg_locks inner join pg_stat_activity using (pid)"
                " where relation = %s::regclass and not granted and application_name = 'dbt'",
                [relation],
            ).fetchone()
        return row and row[0]

    def wait_until(self, condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
        """Wait until the condition returns a true value, and return it."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {seconds} seconds: {what}"
            time.sleep(0.01)
        return found

    @contextmanager
    def held(self, relation: str, moment: str = "before insert") -> Iterator[Held]:
        """Block every write to a relation, inside its transaction, until released.

        Args:
            relation: schema and name.
            moment: the time and event of the trigger, such as `before insert`.
        """
        with self._session() as control:
            control.execute(
                f"""
                create or replace function public.wait_here() returns trigger language plpgsql as $$
                begin
                    perform pg_advisory_xact_lock_shared({HOLD[0]}, {HOLD[1]});
                    return null;
                end $$
                """
            )
            control.execute("select pg_advisory_lock(%s, %s)", HOLD)
            control.execute(
                f"create trigger wait_here {moment} on {relation}"
                " for each statement execute function public.wait_here()"
            )
            hold = Held(self, control)
            try:
                yield hold
            finally:
                hold.release()
        with self._session() as control:
            # After a crash of the server the trigger may be missing.
            control.execute(f"drop trigger if exists wait_here on {relation}")


class Held:
    """A blocked write."""

    def __init__(self, scene: Scene, control: psycopg.Connection) -> None:
        self._scene = scene
        self._control = control

    def backend(self) -> int:
        """Wait for a blocked write, and return the process ID of its backend."""
        return self._scene.wait_until(self._waiting, "no write came to where it is held")

    def _waiting(self) -> int | None:
        row = self._control.execute(
            "select pid from pg_locks where locktype = 'advisory' and classid = %s and objid = %s"
            " and not granted",
            HOLD,
        ).fetchone()
        return row and row[0]

    @property
    def waits(self) -> bool:
        """Whether a write is blocked."""
        return self._waiting() is not None

    def release(self) -> None:
        """Unblock the write, and block no others; a stopped server blocks none anyway."""
        with contextlib.suppress(psycopg.OperationalError):
            self._control.execute("select pg_advisory_unlock_all()")


def kill_points(seed: str, count: int, statements: int) -> list[Kill]:
    """Kill points that cover a whole build: one in each of `count` ranges of its statements.

    Args:
        seed: the random seed.
        count: the number of points.
        statements: the number of statements of a whole build.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    points = []
    for number in range(count):
        first = 1 + number * statements // count
        last = (number + 1) * statements // count
        moment = dice.choice(("before", "during", "after"))
        delay = dice.uniform(0, 0.02) if moment == "during" else 0.0
        points.append(Kill(dice.randint(first, last), moment=moment, delay=delay))
    return points
