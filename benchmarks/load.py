"""Measure loading, as ratios to a bare `\\copy` of the same file.

    python -m benchmarks.load [--rows 1000000] [--repeat 3]

Starts an embedded server in a temporary folder, with the settings of `warehouse up`, writes a CSV
file of events, and times, as medians:

    bare copy       psql's `\\copy` of the file into an empty table like raw.events, with its key
    first load      `warehouse load` of the file into an empty raw.events
    reload          the same file again: every row unchanged

The first load and the reload may take at most 2.5 times as long as the bare copy; otherwise the
exit status is 1.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.support.server import DURABLE, temporary_server
from warehouse.load import load_folder
from warehouse.server import Server

LIMIT = 2.5
COLUMNS = (
    "event_id", "user_id", "session_id", "event_type", "event_timestamp", "page_url",
    "referrer_url", "properties",
)  # fmt: skip


def write_events(path: Path, rows: int) -> None:
    """Write events as an application would export them: random keys, ascending times."""
    rng = random.Random(42)  # noqa: S311
    start = datetime(2024, 1, 1, tzinfo=UTC)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            page = rng.randrange(2_000)
            writer.writerow(
                (
                    uuid.UUID(int=rng.getrandbits(128), version=4),
                    "" if rng.random() < 0.3 else f"user-{rng.randrange(50_000):06d}",
                    uuid.UUID(int=rng.getrandbits(128), version=4),
                    rng.choice(("page_view", "add_to_cart", "search", "purchase")),
                    (start + timedelta(seconds=number * 31, microseconds=number % 997)).isoformat(),
                    f"https://shop.example/product/{page}",
                    "" if rng.random() < 0.5 else f"https://shop.example/category/{page % 40}",
                    f'{{"product_id": {page}, "price": {page / 7:.2f}, "tags": ["a", "b"]}}',
                )
            )


def bare_copy(server: Server, path: Path) -> float:
    """The seconds of a `\\copy` into an empty table with the columns and the key of raw.events."""
    parameters = server.parameters()
    with psycopg.connect(**parameters, autocommit=True) as connection:
        connection.execute(
            """
            drop table if exists public.bare;
            create table public.bare (like raw.events including indexes);
            drop index if exists public.bare__loaded_at_idx;
            alter table public.bare alter column _loaded_at set default now();
            checkpoint
            """
        )
        indexes = connection.execute(
            "select count(*) from pg_indexes where schemaname = 'public' and tablename = 'bare'"
        ).fetchone()[0]
        assert indexes == 1, "the bare table has its key and no other index"
    command = f"\\copy public.bare ({', '.join(COLUMNS)}) from '{path}' (format csv, header)"
    link = " ".join(f"{name}={value}" for name, value in parameters.items())
    began = time.monotonic()
    subprocess.run(
        [server.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", link, "-c", command],
        check=True,
    )
    return time.monotonic() - began


def load(server: Server, folder: Path, *, empty: bool, rows: int) -> float:
    """The seconds of a load, into an `empty` or into the existing table."""
    with psycopg.connect(**server.parameters(), autocommit=True) as connection:
        if empty:
            connection.execute("truncate raw.events")
        connection.execute("checkpoint")
        began = time.monotonic()
        (summary,) = load_folder(folder, connection=connection)
        seconds = time.monotonic() - began
    assert summary.read == rows
    assert (summary.new if empty else summary.unchanged) == rows, summary
    return seconds


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with temporary_server(settings=DURABLE) as server:
        files = server.home.parent / "files"
        files.mkdir()
        path = files / "events.csv"
        write_events(path, arguments.rows)
        with psycopg.connect(**server.parameters(), autocommit=True) as connection:
            version = connection.info.parameter_status("server_version")
            load_folder(files, connection=connection)  # creates the tables, warms the caches
        times: dict[str, list[float]] = {"bare copy": [], "first load": [], "reload": []}
        for _ in range(arguments.repeat):
            times["bare copy"].append(bare_copy(server, path))
            times["first load"].append(load(server, files, empty=True, rows=arguments.rows))
            times["reload"].append(load(server, files, empty=False, rows=arguments.rows))
        size = path.stat().st_size / 1e6
    print(
        f"{arguments.rows:,} events, {size:,.0f} MB of CSV, PostgreSQL {version}, "
        f"medians of {arguments.repeat}"
    )
    bare = statistics.median(times["bare copy"])
    late = False
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratio = median / bare
        limit = "" if name == "bare copy" else f"  (at most {LIMIT})"
        late = late or (name != "bare copy" and ratio > LIMIT)
        print(
            f"{name:<11} {median:6.2f} s  {arguments.rows / median:>9,.0f} rows/s  "
            f"ratio {ratio:.2f}{limit}"
        )
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
