"""What all Python tests share: a real PostgreSQL, and a fresh database in it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from warehouse.server import Server

# Variables of the person who runs the tests must not lead a test to that person's own database.
_OUTSIDE = ("PG", "DBT_", "WAREHOUSE_")
_KEPT = {"WAREHOUSE_POSTGRES"}

# Throw-away data: what makes a server durable only makes a test slow.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}

# A file is the unit that `make test` gives to a process. A long one that starts last keeps the
# others waiting; so these come first, the longest first, and the short ones fill the gaps.
LONGEST_FIRST = (
    *("test_faults", "test_indexes", "test_real_data", "test_partitions", "test_cost"),
    *("test_time_zones", "test_retain", "test_clv", "test_replaced_relations", "test_project"),
    *("test_replay", "test_materialized_views", "test_incremental", "test_segments", "test_docs"),
    *("test_history", "test_metrics", "test_edge_values", "test_benchmarks", "test_own_tables"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `LONGEST_FIRST` first; each file keeps the order of its tests."""
    names = [path.stem for path in Path(__file__).parent.rglob("test_*.py")]
    if unknown := [name for name in LONGEST_FIRST if name not in names]:
        raise pytest.UsageError(
            f"LONGEST_FIRST in {__file__} names {', '.join(unknown)}; it takes test files below it"
        )
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(_OUTSIDE) and name not in _KEPT:
            patch.delenv(name)
    yield
    patch.undo()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder with a path short enough for a socket (tmp_path's is often too long)."""
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running embedded server in a temporary folder, shared by the session; not durable, but
    fast.

    It is PostgreSQL 18; `WAREHOUSE_POSTGRES=16 pytest` runs the same tests on 16.
    """
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    running = Server(folder / ".warehouse", settings=FAST)
    try:
        running.up()
        yield running
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_16() -> Iterator[Server]:
    """A second server like `server`, of the oldest version that is supported."""
    folder = Path(tempfile.mkdtemp(prefix="wh-", dir="/tmp"))
    running = Server(folder / ".warehouse", version=16, settings=FAST)
    try:
        running.up()
        yield running
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Database:
    """A database for one test: `environment` leads psql, dbt and `warehouse` to it."""

    name: str
    environment: dict[str, str]

    @classmethod
    def of(cls, server: Server, name: str) -> Database:
        """The database of this name in a server, whether it is there yet or not."""
        parameters = server.parameters(name)
        return cls(
            name,
            {
                "PGHOST": parameters["host"],
                "PGPORT": parameters["port"],
                "PGUSER": parameters["user"],
                "PGDATABASE": name,
            },
        )

    def connect(self) -> psycopg.Connection:
        """A new connection, not in autocommit mode."""
        return psycopg.connect(
            host=self.environment["PGHOST"],
            port=self.environment["PGPORT"],
            user=self.environment["PGUSER"],
            dbname=self.name,
        )


_numbers = itertools.count(1)


@contextmanager
def new_database(server: Server, template: str = "template0") -> Iterator[Database]:
    """A new database, dropped afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with server.connect("postgres") as connection:
        # Files are copied as they are; the other strategy writes them to the log as well.
        connection.execute(f"create database {name} template {template} strategy file_copy")
    yield Database.of(server, name)
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh, empty database in the shared server, dropped after the test."""
    with new_database(server) as made:
        yield made


@pytest.fixture
def database_16(server_16: Server) -> Iterator[Database]:
    """A fresh, empty database of PostgreSQL 16."""
    with new_database(server_16) as made:
        yield made


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample of 200 users and 60 days that ends yesterday, as Parquet files."""
    from warehouse.sample.command import make_plan
    from warehouse.sample.generate import generate

    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    folder = tmp_path_factory.mktemp("sample") / "files"
    generate(make_plan(users=200, days=60, seed=5, out=folder, end_date=yesterday.isoformat()))
    return folder


@pytest.fixture(scope="session")
def sample_warehouse(server: Server, sample_folder: Path) -> Iterator[Database]:
    """The small sample, loaded and built once. It is shared: read it only. That all tests of the
    project pass on it is shown by test_plain_dbt_finds_the_database_and_passes_twice."""
    from tests.support import dbt_project
    from warehouse.load import load_folder

    with new_database(server) as made:
        with made.connect() as connection:
            load_folder(sample_folder, connection=connection)
        dbt_project.build(made, options=dbt_project.NO_TESTS)
        yield made


@pytest.fixture
def built(server: Server, sample_warehouse: Database) -> Iterator[Database]:
    """A copy of the built sample for one test, to do with as it likes."""
    with new_database(server, template=sample_warehouse.name) as made:
        yield made
