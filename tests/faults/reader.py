"""A reader in a separate process that queries every mart by name, repeatedly."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from tests.faults.builder import context
from tests.support.relations import DATED_BY_THE_BUILD

# The schemas that analysts read, and whose relations must always exist.
SCHEMAS = ("marts", "intermediate", "reporting", "quarantine", "snapshots")
# Columns computed at query time, and the column with the transaction ID of a raw row.
LEFT_OUT = ("days_since_signup", "days_since_last_activity", "recency_days", "_row_xid")


# While a build updates the marts of such a view one by one, the view shows a mixture of two builds.
# None of its rows, by this key, may be missing or duplicated.
OF_SEVERAL = {"reporting.user_analytics": "user_id"}
# Only counted: the calendar is large and depends only on variables, and a load stamps rejected rows
# with the current time.
COUNTED = ("marts.dim_date", "marts.dim_time", "quarantine.rejected_rows")
PAUSE = 0.05  # seconds between two rounds of queries
TOLD_APART = 200  # maximum number of states kept per relation


@dataclasses.dataclass(frozen=True)
class Question:
    """One relation, and the query for its number of rows and their fingerprint."""

    relation: str
    text: str


# The state of a relation: number of rows and fingerprint.
State = tuple[int, str]


def questions(session: psycopg.Connection) -> list[Question]:
    """The reader's queries for all existing tables and views of `SCHEMAS`."""
    found = session.execute(
        """
        select nspname, relname, array_agg(attname::text order by attnum)
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        inner join pg_attribute on pg_attribute.attrelid = pg_class.oid and attnum > 0
        where nspname = any(%s) and relkind in ('r', 'p', 'm', 'v')
            and not relispartition and not attisdropped and attname != all(%s)
        group by 1, 2
        order by 1, 2
        """,
        [list(SCHEMAS), list(LEFT_OUT)],
    ).fetchall()
    asked = []
    for schema, name, all_columns in found:
        without = DATED_BY_THE_BUILD.get(f"{schema}.{name}", ())
        columns = [column for column in all_columns if column not in without]
        fingerprint = sql.SQL("coalesce(sum(hashtextextended(row({})::text, 0)), 0)::text").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        if f"{schema}.{name}" in OF_SEVERAL:
            fingerprint = sql.SQL("count(distinct {})::text").format(
                sql.Identifier(OF_SEVERAL[f"{schema}.{name}"])
            )
        elif f"{schema}.{name}" in COUNTED:
            fingerprint = sql.SQL("''")
        query = sql.SQL("select count(*), {} from {}").format(
            fingerprint, sql.Identifier(schema, name)
        )
        asked.append(Question(f"{schema}.{name}", query.as_string(session)))
    return asked


@dataclasses.dataclass
class Seen:
    """The observations of the reader.

    `states`: the states of each relation in order, without consecutive duplicates; `errors`: lines
    such as `relation: message`; `rounds`: how often it read everything; `slowest`: the duration and
    relation of the slowest query; `lost`: how often it lost the connection.
    """

    states: dict[str, list[State]] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    rounds: int = 0
    slowest: tuple[float, str] = (0.0, "")
    lost: int = 0


def look(session: psycopg.Connection, asked: Sequence[Question]) -> dict[str, State]:
    """The current state of every relation."""
    return {question.relation: session.execute(question.text).fetchone() for question in asked}


class Reader:
    """Reads from its creation until `stop`.

    Args:
        parameters: the connection parameters for psycopg.
        asked: the queries.
        may_lose_connection: whether the test stops the server. If so, the reader reconnects
            after losing its connection; otherwise that is an error.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        asked: Sequence[Question],
        *,
        may_lose_connection: bool = False,
    ) -> None:
        self._here, there = context().Pipe()
        self._process = context().Process(
            target=_read, args=(there, dict(parameters), list(asked), may_lose_connection)
        )
        self._process.start()
        there.close()
        self._ask("round")

    def rounds(self) -> int:
        """The number of completed rounds."""
        return self._ask("rounds")

    def round(self) -> None:
        """Wait until another round is complete."""
        self._ask("round")

    def stop(self) -> Seen:
        """Stop the reader after another round."""
        self._ask("round")
        seen = self._ask("stop")
        self._process.join()
        return seen

    def kill(self) -> None:
        """Kill the reader without waiting for a round."""
        self._process.kill()
        self._process.join()

    def _ask(self, what: str) -> Any:
        self._here.send(what)
        if not self._here.poll(60):
            raise TimeoutError("the reader does not answer")
        return self._here.recv()


def _read(
    pipe: Any, parameters: Mapping[str, str], asked: Sequence[Question], may_lose_connection: bool
) -> None:
    """The main function of the process."""
    seen = Seen()
    session: psycopg.Connection | None = None
    waiting = False
    while True:
        whole = True
        for question in asked:
            started = time.monotonic()
            try:
                if session is None:
                    session = psycopg.connect(**parameters, autocommit=True)
                    session.execute("set timezone = 'UTC'")
                state = session.execute(question.text).fetchone()
            except psycopg.OperationalError as error:
                is_lost = session is None or session.closed
                if not (is_lost and may_lose_connection):
                    seen.errors.append(f"{question.relation}: {error}")
                if is_lost:
                    seen.lost += session is not None
                    session = None
                    time.sleep(PAUSE)
                whole = False
                continue
            except psycopg.Error as error:
                seen.errors.append(f"{question.relation}: {error}")
                continue
            seen.slowest = max(seen.slowest, (time.monotonic() - started, question.relation))
            states = seen.states.setdefault(question.relation, [])
            if not states or (states[-1] != state and len(states) < TOLD_APART):
                states.append(state)
        if whole:
            seen.rounds += 1
            if waiting:
                pipe.send(None)
                waiting = False
        if pipe.poll():
            match pipe.recv():
                case "round":
                    waiting = True
                case "rounds":
                    pipe.send(seen.rounds)
                case "stop":
                    pipe.send(seen)
                    return
        time.sleep(PAUSE)
