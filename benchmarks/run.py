"""Measure daily and full builds against stock dbt, hand-written SQL and two other tools.

    python -m benchmarks.run [--scale full|small] [--only daily,questions] [--runs 3]

Starts an embedded server in a temporary folder, with the settings of `warehouse up`, creates a
history in it, and measures the sections that README.md describes:

    full        full build of fct_user_events against by_hand.sql, and of the whole project
    daily       daily build of fct_user_events against stock dbt-postgres, and of the whole project
    keys        the same day of fct_user_events with event keys that grow with time
    tests       daily builds with tests and without, and all tests once, on the larger history
    questions   ten questions on the marts, and on the raw tables
    sqlmesh     the same model in SQLMesh on the same server, full and daily
    dbt-duckdb  the same model in dbt-duckdb on Parquet files, full and daily

Writes the numbers to benchmarks/results/ as JSON, and prints them as tables. The exit status is 1
if a bound is missed at full scale, or if the benchmark itself fails.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import history, questions, report
from tests.support import dbt_project
from tests.support.database import environment_of
from tests.support.server import DURABLE, temporary_server
from warehouse.server import Server, core_count, memory_bytes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SECTIONS = ("full", "daily", "keys", "tests", "questions", "sqlmesh", "dbt-duckdb")
# Sizes from small to large, all with the same day, and the number of runs.
SCALES = {
    "full": ((history.Size(1_000_000, 14_000), history.Size(10_000_000, 14_000)), 3),
    "small": ((history.Size(100_000, 1_000),), 1),
    "tiny": ((history.Size(5_000, 500),), 1),
}
# Above this size, builds without a bound are measured only once.
MANY_EVENTS = 5_000_000
DATABASE = "bench"
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
PEERS = {"sqlmesh": "peer_sqlmesh", "dbt-duckdb": "peer_dbt_duckdb"}

COLUMNS = (
    "event_id", "user_key", "date_key", "time_key", "event_type_key", "user_id", "session_id",
    "event_type", "page_url", "referrer_url", "properties", "event_timestamp",
)  # fmt: skip
# Columns of the Parquet files that are not text.
TYPES = {
    "event_timestamp": "timestamptz", "_loaded_at": "timestamptz", "_deleted_at": "timestamptz",
    "effective_date": "timestamptz", "expiry_date": "timestamptz", "properties": "json",
}  # fmt: skip
# Checksums that PostgreSQL and DuckDB compute alike, to verify the tables of other tools. The
# digest of all columns covers every seventh date_key only, which takes a seventh of the time.
CHECK = """
    select
        count(*),
        sum(date_key::bigint),
        sum(time_key::bigint),
        sum(ascii(digest) + 100 * ascii(substr(digest, 2)) + 10000 * ascii(substr(digest, 3)))
    from (
        select
            date_key,
            time_key,
            case when date_key % 7 = 0 then md5(concat_ws(
                '|',
                event_id,
                user_key,
                date_key::text,
                time_key::text,
                event_type_key,
                user_id,
                session_id,
                event_type,
                page_url,
                referrer_url,
                properties::text,
                floor(extract(epoch from event_timestamp))::bigint::text
            )) end as digest
        from {relation}
    ) as digests
"""

_began = time.monotonic()


def say(message: str) -> None:
    """Print the progress, with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _began), 60)
    print(f"{minutes:3d}:{seconds:02d}  {message}", file=sys.stderr, flush=True)


# --- The database -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Database:
    """The database of the benchmark; `environment` makes dbt connect to it."""

    server: Server
    environment: dict[str, str]

    @contextlib.contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection in autocommit mode, closed afterwards."""
        with self.server.connect(DATABASE) as connection:
            yield connection

    def execute(self, statements: str) -> None:
        """Run statements and ignore their results."""
        with self.connect() as connection:
            connection.execute(statements)

    def timed(self, statements: str) -> float:
        """Run statements in one transaction; returns the seconds."""
        with self.connect() as connection:
            began = time.perf_counter()
            with connection.transaction():
                connection.execute(statements)
            return time.perf_counter() - began

    def settle(self) -> None:
        """VACUUM, ANALYZE and CHECKPOINT now, so that they do not run during a measurement."""
        self.execute("vacuum analyze")
        self.execute("checkpoint")


@contextlib.contextmanager
def new_database(server: Server) -> Iterator[Database]:
    """An empty database, dropped afterwards."""
    with server.connect("postgres") as connection:
        connection.execute(f"create database {DATABASE} template template0")
    yield Database(server, environment_of(server, DATABASE))
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {DATABASE} with (force)")


def check(database: Database, relation: str) -> list[int]:
    """The checksums of a relation (see CHECK)."""
    with database.connect() as connection:
        row = connection.execute(CHECK.format(relation=relation)).fetchone()
    return [int(value) for value in row]


def expect_equal(found: list[int], expected: list[int], what: str) -> None:
    """Stop if a table differs from fct_user_events, because the times would not be comparable."""
    if found != expected:
        raise SystemExit(f"{what} is not fct_user_events: {found}, expected {expected}")


def rows_that_differ(database: Database, relation: str) -> int:
    """The number of events that are missing, additional or different from fct_user_events."""
    ours, theirs = (
        ", ".join(f"{side}.{column}" for column in COLUMNS) for side in ("ours", "theirs")
    )
    with database.connect() as connection:
        return connection.execute(
            f"""
            select count(*)
            from marts.fct_user_events as ours
            full join {relation} as theirs on ours.event_id = theirs.event_id
            where ({ours}) is distinct from ({theirs})
            """
        ).fetchone()[0]


# --- dbt --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Build:
    """Seconds of one dbt invocation, without startup and parsing, and of each node."""

    wall: float
    nodes: dict[str, float]


def dbt(
    database: Database,
    command: str,
    *select: str,
    as_of: dt.date | None = None,
    full_refresh: bool = False,
    tests: bool = False,
    project: Path = ROOT,
) -> Build:
    """Run dbt with one thread, so that nodes do not slow each other down."""
    began = time.perf_counter()
    results = dbt_project.run(
        database,
        command,
        *select,
        as_of=as_of,
        full_refresh=full_refresh,
        options=() if tests or command in ("run", "test", "parse") else NO_TESTS,
        threads=1,
        project=project,
    )
    wall = time.perf_counter() - began
    nodes = {
        result.node.name: result.execution_time
        for result in results
        if result.node.resource_type in ("model", "snapshot", "seed", "test", "unit_test")
    }
    return Build(wall, nodes)


def copy_of(folder: str, scratch: Path) -> Path:
    """Copy one of this folder's projects, because the tools write into their project folder."""
    return Path(shutil.copytree(HERE / folder, scratch / folder, dirs_exist_ok=True))


# --- Peers ------------------------------------------------------------------------------------


class Peer:
    """A tool in its own environment, controlled through its drive.py."""

    def __init__(self, name: str, scratch: Path, environment: dict[str, str]) -> None:
        self.name = name
        folder = copy_of(PEERS[name], scratch)
        python = ROOT / f".venv-bench-{name}/bin/python"
        if not python.exists():
            raise SystemExit(f"{python} is missing: run `make bench`, which creates it.")
        self._errors = (scratch / f"{name}.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [python, "drive.py"],
            cwd=folder,
            env={**os.environ, **environment, "DO_NOT_TRACK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request; returns the answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.flush()
            self._errors.seek(0)
            raise SystemExit(f"{self.name} failed:\n{self._errors.read()[-12000:]}")
        return json.loads(line)

    def close(self) -> None:
        """Close its input and wait until it exits."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._errors.close()


class Files:
    """The raw events and the dimensions as Parquet files, for other tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events").mkdir(parents=True)

    def write(self, database: Database, query: str, name: str) -> None:
        """Write the rows of a query into a Parquet file."""
        between = self.folder / "rows.csv"
        with database.connect() as connection, between.open("wb") as file:
            copy = f"copy ({query}) to stdout (format csv, header)"
            with connection.cursor().copy(copy) as rows:
                for block in rows:
                    file.write(block)
        with between.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file))
        columns = {column: TYPES.get(column, "varchar") for column in names}
        with duckdb.connect() as memory:
            memory.execute("set timezone = 'UTC'")
            memory.execute(
                f"copy (select * from read_csv('{between}', header = true, columns = {columns}))"
                f" to '{self.folder / name}' (format parquet)"
            )
        between.unlink()

    def add(self, database: Database, number: int | None) -> None:
        """Add the history's events (`number` is None), or those of a day, and the dimensions."""
        stamped = history.LOADED_AT if number is None else history.stamp(number)
        name = "history" if number is None else f"day-{number}"
        self.write(
            database,
            f"select * from raw.events where _loaded_at = timestamptz '{stamped:%F %T+00}'",
            f"events/{name}.parquet",
        )
        self.write(
            database,
            "select user_key, user_id, effective_date, expiry_date from marts.dim_users",
            "dim_users.parquet",
        )
        self.write(
            database,
            "select event_type_key, event_type from marts.dim_event_types",
            "dim_event_types.parquet",
        )


# --- One size ---------------------------------------------------------------------------------


class Bench:
    """All measurements on a history of one size; the seconds are collected in `results`.

    With `select`, only a part of the project is built. `save` is called with `results` after each
    section, so that a later section that fails does not lose them.
    """

    def __init__(
        self,
        database: Database,
        size: history.Size,
        sections: Sequence[str],
        runs: int,
        tmp: Path,
        select: Sequence[str] = (),
        save: Callable[[dict[str, Any]], None] = lambda results: None,
    ) -> None:
        self.database = database
        self.size = size
        self.sections = sections
        self.runs = runs
        self.scratch = tmp
        self.select = select
        self.save = save
        self.results: dict[str, Any] = {"events": size.events, "day_events": size.day_events}

    def prepare(self) -> None:
        """Create the history and build the warehouse; a snapshot keeps the earlier users."""
        grow = " with growing keys" if self.size.keys_grow else ""
        say(f"{self.size.events:,} events{grow}: creating them")
        with self.database.connect() as connection:
            history.create(connection, self.size)
            say("building the warehouse")
            dbt(self.database, "build", "+snp_app__users", as_of=self._history_day())
            history.change_some_users(connection)
        say("building the measured part" if self.select else "building the whole project")
        self._first = self._whole(full_refresh=False, as_of=self._history_day())
        self.database.settle()

    def run(self) -> None:
        """Measure the sections, in the order of their dependencies."""
        self.prepare()
        if "full" in self.sections:
            self.full()
            self.save(self.results)
        if {"daily", "sqlmesh", "dbt-duckdb"} & set(self.sections):
            self.days()
            self.save(self.results)
        if "tests" in self.sections:
            self.tested_days()
            say("the tests")
            tests = dbt(self.database, "test", as_of=self._today, tests=True)
            self.results["tests"] = {"wall": tests.wall, "count": len(tests.nodes)}
            self.save(self.results)
        if "questions" in self.sections:
            say("ten questions")
            with self.database.connect() as connection:
                found = questions.ask(connection, str(self._today), self.runs)
            self.results["questions"] = found
            self.save(self.results)
        if "full" in self.sections:
            self.fact()
            self.save(self.results)

    @property
    def _today(self) -> dt.date:
        return self._last_day or self._history_day()

    _first: Build
    _last_day: dt.date | None = None
    _next_number = 0

    @staticmethod
    def _history_day() -> dt.date:
        return history.FIRST_DAY - dt.timedelta(days=1)

    def _whole(self, *, full_refresh: bool, as_of: dt.date) -> Build:
        return dbt(self.database, "build", *self.select, as_of=as_of, full_refresh=full_refresh)

    # --- Full builds

    def full(self) -> None:
        """Further full builds of the whole project.

        The first build of the warehouse is the first run: like a full refresh, it creates every
        table from rows that were just written.
        """
        builds = [self._first]
        for number in range(1, self._often()):
            say(f"full refresh {number} of {self.runs - 1}")
            self.database.execute("checkpoint")
            builds.append(self._whole(full_refresh=True, as_of=self._history_day()))
        self.results["full"] = [dataclasses.asdict(build) for build in builds]
        self.database.settle()

    def fact(self) -> None:
        """Full builds of the events only, alternating with the same table in hand-written SQL.

        This comes last, because afterwards a daily build would rebuild everything downstream.
        """
        by_hand = (HERE / "by_hand.sql").read_text(encoding="utf-8")
        hand, analyses, ours = [], [], []
        for number in range(self.runs):
            say(f"the events in hand-written SQL and in this project, {number + 1} of {self.runs}")
            self.database.execute("drop schema if exists by_hand cascade")
            self.database.execute("checkpoint")
            hand.append(self.database.timed(by_hand))
            analyses.append(self.database.timed("analyze by_hand.fct_user_events"))
            self.database.execute("checkpoint")
            build = dbt(self.database, "build", report.FACT, full_refresh=True, as_of=self._today)
            ours.append(build.nodes[report.FACT])
        expected = check(self.database, "marts.fct_user_events")
        expect_equal(check(self.database, "by_hand.fct_user_events"), expected, "by_hand.sql")
        self.database.execute("drop schema by_hand cascade")
        self.results["fact"] = {"by_hand": hand, "analyze": analyses, "ours": ours}

    def _often(self) -> int:
        """The number of runs of builds without a bound."""
        return self.runs if self.size.events < MANY_EVENTS else 1

    # --- Days

    def days(self) -> None:
        """One warm-up day, then the measured days; each tool processes each of them."""
        stock = copy_of("stock", self.scratch) if "daily" in self.sections else None
        peers = {name: self._start(name) for name in PEERS if name in self.sections}
        files = self._files if "dbt-duckdb" in peers else None
        expected = check(self.database, "marts.fct_user_events")
        if stock:
            say("stock dbt-postgres, full")
            built = dbt(self.database, "run", project=stock)
            self.results["stock_full"] = built.nodes
            for name in built.nodes:
                expect_equal(check(self.database, f"stock.{name}"), expected, f"stock.{name}")
        for name, peer in peers.items():
            self.results[name] = {"full": self._peer_full(name, peer, expected), "days": []}
        self.database.settle()
        daily: list[dict[str, Any]] = []
        try:
            for number in range(self.runs + 1):
                say(f"day {number} of {self.runs}" + ("" if number else ", warm-up"))
                measured = self._day(number, stock, peers, files)
                if number:
                    daily.append(measured)
        finally:
            for peer in peers.values():
                peer.close()
        self.results["daily"] = daily
        say("comparing the tables")
        differ = {}
        if stock:
            differ["stock"] = rows_that_differ(self.database, "stock.events_indexed")
            self.database.execute("drop schema stock cascade")
        if "sqlmesh" in peers:
            differ["sqlmesh"] = rows_that_differ(self.database, "peer.fct_user_events")
        self.results["rows_that_differ"] = differ

    def _day(
        self, number: int, stock: Path | None, peers: dict[str, Peer], files: Files | None
    ) -> dict[str, Any]:
        with self.database.connect() as connection:
            counts = history.add_day(connection, self.size, number)
            connection.execute("checkpoint")
        self._last_day = history.day(number)
        self._next_number = number + 1
        measured: dict[str, Any] = {"counts": counts}
        measured["build"] = dataclasses.asdict(
            self._whole(full_refresh=False, as_of=self._last_day)
        )
        if stock:
            self.database.execute("checkpoint")
            measured["stock"] = dbt(self.database, "run", project=stock).nodes
        if "sqlmesh" in peers:
            self.database.execute("checkpoint")
            # The load is stamped with the next morning, a day that has ended on the one after.
            at = dt.datetime.combine(history.day(number + 2), dt.time(1), dt.UTC)
            measured["sqlmesh"] = peers["sqlmesh"].ask(do="day", at=at.isoformat())["seconds"]
        if files:
            files.add(self.database, number)
            measured["dbt-duckdb"] = self._ask_duckdb(peers["dbt-duckdb"], "day")["seconds"]
        return measured

    def tested_days(self) -> None:
        """Days as `warehouse build` builds them, with its tests, then days without any test.

        They do not take turns, because a day without tests leaves rows that no test was asked of.
        Of the days with tests the first three are not measured: only then are all tests known.
        """
        with_tests = [self._command() for _ in range(self.runs + 3)][3:]
        without = [self._command("--without-tests") for _ in range(self.runs + 1)][1:]
        self.results["tested_days"] = {"with": with_tests, "without": without}

    def _command(self, *options: str) -> dict[str, Any]:
        """The next day, built by a process of its own."""
        with self.database.connect() as connection:
            history.add_day(connection, self.size, self._next_number)
            connection.execute("checkpoint")
        self._last_day = history.day(self._next_number)
        self._next_number += 1
        folder = self.scratch / "dbt"
        with dbt_project.environment(self.database.environment):
            given = {**os.environ, "DBT_TARGET_PATH": f"{folder}", "DBT_LOG_PATH": f"{folder}/logs"}
        command = [sys.executable, "-m", "benchmarks.daily_build", f"{self._last_day}", *options]
        began = time.perf_counter()
        answer = subprocess.run(
            command, cwd=ROOT, env=given, capture_output=True, text=True, check=False
        )
        wall = time.perf_counter() - began
        if answer.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{answer.stdout}{answer.stderr}")
        counts = (
            "select count(*) filter (where seconds > 0), count(*) filter (where seconds = 0)"
            " from observability.run_results where resource_type = 'test' and invocation_id ="
            " (select invocation_id from observability.runs order by finished_at desc limit 1)"
        )
        with self.database.connect() as connection:
            asked, left_out = connection.execute(counts).fetchone()
        what = " ".join(["a day", *options]) if options else "a day with tests"
        say(f"{what}: {wall:.1f} s; {asked} tests visited, {left_out} left out")
        return {"wall": wall, "asked": asked, "left_out": left_out}

    # --- Peers

    def _start(self, name: str) -> Peer:
        environment = dict(self.database.environment)
        if name == "dbt-duckdb":
            environment["BENCH_DUCKDB"] = str(self.scratch / "peer.duckdb")
            say("writing the events into Parquet files")
            self._files = Files(self.scratch / "files")
            self._files.add(self.database, None)
        return Peer(name, self.scratch, environment)

    def _peer_full(self, name: str, peer: Peer, expected: list[int]) -> list[float]:
        seconds = []
        runs = self._often()
        for number in range(runs):
            say(f"{name}, full {number + 1} of {runs}")
            if name == "sqlmesh":
                self.database.execute(
                    "drop schema if exists peer cascade; drop schema if exists sqlmesh__peer"
                    " cascade; drop schema if exists sqlmesh cascade"
                )
                self.database.execute("checkpoint")
                at = dt.datetime.combine(history.day(0), dt.time(1), dt.UTC)
                answer = peer.ask(do="full", at=at.isoformat())
            else:
                answer = self._ask_duckdb(peer, "full")
            seconds.append(answer["seconds"])
        found = answer.get("check") or check(self.database, "peer.fct_user_events")
        expect_equal(found, expected, f"the table of {name}")
        return seconds

    def _ask_duckdb(self, peer: Peer, what: str) -> dict[str, Any]:
        return peer.ask(
            do=what, files=str(self._files.folder), check=CHECK.format(relation="fct_user_events")
        )


# --- Command line -----------------------------------------------------------------------------


def machine(server: Server) -> dict[str, Any]:
    """The machine and the versions."""
    with server.connect("postgres") as connection:
        version = connection.info.parameter_status("server_version")
    git = [
        subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
        for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
    ]
    model = "unknown"
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model n"))
    return {
        "cores": core_count(),
        "processor": model,
        "memory_gb": round(memory_bytes() / 1e9),
        "system": platform.system(),
        "load_before": round(os.getloadavg()[0], 1),
        "postgresql": version,
        "dbt": importlib.metadata.version("dbt-core"),
        "dbt_postgres": importlib.metadata.version("dbt-postgres"),
        "commit": git[0] + (" and changes" if git[1] else ""),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def peer_versions(sections: Sequence[str]) -> dict[str, str]:
    """The versions of the measured peers, from their environments."""
    versions = {}
    for name in PEERS:
        if name in sections:
            python = ROOT / f".venv-bench-{name}/bin/python"
            code = f"import importlib.metadata as m; print(m.version('{name}'))"
            versions[name] = subprocess.run(
                [python, "-c", code], capture_output=True, text=True, check=True
            ).stdout.strip()
    return versions


def chosen_sections(text: str) -> list[str]:
    """The sections in `--only`; all if it is empty."""
    names = text.replace(",", " ").split()
    for name in names:
        if name not in SECTIONS:
            raise SystemExit(f"'{name}' is not a section: choose from {', '.join(SECTIONS)}.")
    return [name for name in SECTIONS if not names or name in names]


def of_size(
    server: Server,
    size: history.Size,
    sections: Sequence[str],
    runs: int,
    select: Sequence[str] = (),
    save: Callable[[dict[str, Any]], None] = lambda results: None,
) -> dict[str, Any]:
    """The results of `Bench`, in a database of its own."""
    # A short path, because drive.py and its tools create files below it.
    with (
        tempfile.TemporaryDirectory(prefix="wh-", dir="/tmp") as scratch,
        new_database(server) as database,
    ):
        bench = Bench(database, size, sections, runs, Path(scratch), select, save)
        bench.run()
        return bench.results


def measure(
    sizes: Sequence[history.Size],
    sections: Sequence[str],
    runs: int,
    save: Callable[[dict[str, Any]], None],
) -> None:
    """Start a server, measure, and stop it.

    Args:
        sizes: the sizes of the histories.
        sections: names from SECTIONS.
        runs: number of runs of each measurement.
        save: called with all results so far, in the form that `report` reads, so that an
            interrupted run keeps them.
    """
    with temporary_server(settings=DURABLE) as server:
        results: dict[str, Any] = {
            "machine": {**machine(server), "peers": peer_versions(sections)},
            "runs": runs,
            "sections": list(sections),
            "sizes": [],
        }
        # The largest first, because a run that is stopped should have measured that.
        for size in reversed(sizes):
            # The tests take long, and only the large history is of interest.
            chosen = [name for name in sections if name != "tests" or size == sizes[-1]]
            measured: dict[str, Any] = {"events": size.events, "day_events": size.day_events}
            results["sizes"].insert(0, measured)

            def keep(found: dict[str, Any], measured: dict[str, Any] = measured) -> None:
                measured.update(found)
                save(results)

            if chosen != ["keys"]:
                of_size(server, size, chosen, runs, save=keep)
            if "keys" in sections:
                growing = dataclasses.replace(size, keys_grow=True)
                fact = [f"+{report.FACT}"]
                keep({"keys": of_size(server, growing, ["daily"], runs, fact)})


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="full", choices=SCALES)
    parser.add_argument("--only", default="", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--runs", type=int, help="number of runs of each measurement")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    sections = chosen_sections(arguments.only)
    sizes, runs = SCALES[arguments.scale]
    runs = arguments.runs or runs
    if runs < 1:
        parser.error(f"--runs must be 1 or more, got {runs}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    every = "" if len(sections) == len(SECTIONS) else "-" + "-".join(sections)
    path = arguments.results / f"{arguments.scale}{every}.json"
    results: dict[str, Any] = {}

    def save(measured: dict[str, Any]) -> None:
        minutes = round((time.monotonic() - _began) / 60, 1)
        results.update({"scale": arguments.scale, "minutes": minutes, **measured})
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        say(f"written to {path}")

    measure(sizes, sections, runs, save)
    print(report.tables(results))
    missed = [bound for bound in report.bounds(results) if bound.is_kept is False]
    return int(arguments.scale == "full" and bool(missed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except dbt_project.DbtFailed as failed:
        sys.exit(f"{failed}")
