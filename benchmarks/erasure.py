"""Measure an erasure: of one person, and of many at once, against the scan of one request.

    python -m benchmarks.erasure [--events 10000000] [--persons 10000]

Builds the shop of history.py, then measures in the same database, with a rollback after each:

    scan       the rows of one person are counted in every table of the registry: the baseline
    one        one person is erased
    many       many persons are erased at once
    find many  the rows of as many persons are counted, as the baseline does for one

Prints seconds, rows and ratios. The exit status is 1 if finding many persons takes more than
3 times as long as finding one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.history import Size, create
from benchmarks.run import machine
from tests.support import dbt_project
from tests.support.database import Database, new_database
from tests.support.server import DURABLE, short_folder, temporary_server
from warehouse.privacy import erase as erasing
from warehouse.privacy import keys, registry

MOST_TIMES = 3.0


class _RolledBackError(Exception):
    pass


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--persons", type=int, default=10_000)
    chosen = parser.parse_args()
    with (
        short_folder() as folder,
        temporary_server(settings=DURABLE) as server,
        new_database(server) as database,
    ):
        os.environ[keys.FILE_VARIABLE] = str(folder / "keys.json")
        of = keys.create_keys()
        os.environ[keys.SECRET_VARIABLE] = keys.pads(of)
        print(machine(server), flush=True)
        with database.connect() as connection:
            connection.autocommit = True
            create(connection, Size(events=chosen.events, day_events=15_000))
        began = time.perf_counter()
        dbt_project.build(database, options=dbt_project.NO_TESTS)
        print(f"built {chosen.events:,} events in {time.perf_counter() - began:.0f} s", flush=True)
        manifest = dbt_project.compiled(database)
        with _connect(database) as session:
            return _measure(session, manifest, of, chosen.persons)


def _connect(database: Database) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=database.environment["PGHOST"],
        port=database.environment["PGPORT"],
        user=database.environment["PGUSER"],
        dbname=database.name,
        options=keys.session_settings(),
    )


def _measure(
    session: psycopg.Connection[Any], manifest: dict[str, Any], of: keys.Keys, number: int
) -> int:
    held = registry.read(session, manifest)
    persons = [
        person
        for (person,) in session.execute(
            "select user_id from raw.users order by md5(user_id) limit %s", [number]
        )
    ]
    session.commit()

    def find(some: list[str]) -> Callable[[], int]:
        return lambda: sum(erasing.count(session, held, some).values())

    def erase(some: list[str]) -> Callable[[], int]:
        def run() -> int:
            found: list[int] = []

            def stop(outcome: erasing.Outcome, _: Any) -> None:
                found.append(sum(outcome.rows.values()))
                raise _RolledBackError

            with contextlib.suppress(_RolledBackError):
                erasing.erase(
                    session, held, some, of=of, target="dev", reason="", before_commit=stop
                )
            return found[0]

        return run

    seconds = {}
    for name, run in (
        ("scan", find(persons[:1])),
        ("find many", find(persons)),
        ("one", erase(persons[:1])),
        ("many", erase(persons)),
    ):
        times, rows = [], 0
        for _ in range(3 if name != "many" else 1):
            began = time.perf_counter()
            rows = run()
            times.append(time.perf_counter() - began)
        seconds[name] = sorted(times)[len(times) // 2]
        print(
            f"{name:<10} {seconds[name]:8.1f} s  {rows:>10,} rows"
            f"  {seconds[name] / seconds['scan']:6.2f} times the scan",
            flush=True,
        )
    return int(seconds["find many"] > MOST_TIMES * seconds["scan"])


if __name__ == "__main__":
    sys.exit(main())
