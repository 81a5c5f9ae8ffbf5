"""Fixtures of all tests: PostgreSQL servers, databases on them, and a built sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.database import Database, new_database
from tests.support.server import short_folder, temporary_server
from warehouse.project import HOME_VARIABLE
from warehouse.server import Server

# The tests must not use the developer's own database, so they ignore variables with these prefixes.
_OUTSIDE = ("PG", "DBT_", "WAREHOUSE_")
_KEPT = {"WAREHOUSE_POSTGRES"}

# `make test` distributes whole files to its processes. A long file that starts last makes the other
# processes wait, so the longest files come first and the short ones fill the gaps.
LONGEST_FIRST = (
    *("project/test_project", "replay/test_replay", "faults/test_faults"),
    *("postgres/test_partitions", "clv/test_clv", "postgres/test_indexes"),
    *("real/test_real_data", "incremental/test_cost", "incremental/test_time_zones"),
    *("build/test_build", "project/test_docs", "retention/test_retain", "load/test_load_files"),
    *("incremental/test_upstreams", "marts/test_currencies", "incremental/test_snapshots"),
    *("incremental/test_incremental", "postgres/test_properties", "server/test_connection"),
    *("incremental/test_history", "marts/test_metrics", "marts/test_edge_values"),
    *("benchmarks/test_benchmarks", "incremental/test_own_tables", "marts/test_segments"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files of `LONGEST_FIRST` first; keep the order of tests in each file."""
    here = Path(__file__).parent
    if unknown := [name for name in LONGEST_FIRST if not (here / f"{name}.py").is_file()]:
        raise pytest.UsageError(
            f"LONGEST_FIRST in {__file__} names {', '.join(unknown)}: no such file in tests/"
        )
    place = {here / f"{name}.py": number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(_OUTSIDE) and name not in _KEPT:
            patch.delenv(name)
    # A folder that cannot be created, so that no test starts a server in this checkout.
    patch.setenv(HOME_VARIABLE, os.devnull + "/warehouse")
    yield
    patch.undo()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder whose path is short enough for a socket; tmp_path is often too long."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running embedded server, shared by the session; fast, but not durable.

    It runs PostgreSQL 18; `WAREHOUSE_POSTGRES=16 pytest` runs the same tests on 16.
    """
    with temporary_server() as running:
        yield running


@pytest.fixture(scope="session")
def server_16() -> Iterator[Server]:
    """A second server like `server`, with PostgreSQL 16, the oldest supported version."""
    with temporary_server(version=16) as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A new, empty database on the shared server, dropped after the test."""
    with new_database(server) as made:
        yield made


@pytest.fixture
def database_16(server_16: Server) -> Iterator[Database]:
    """A new, empty database of PostgreSQL 16, dropped after the test."""
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
    """The small sample, loaded and built once without tests. It is shared: only read it.

    test_the_sample_passes_all_tests runs all tests of the project on it.
    """
    from tests.support import dbt_project
    from warehouse.load import load_folder

    with new_database(server) as made:
        with made.connect() as connection:
            load_folder(sample_folder, connection=connection)
        # One model at a time: what was written while another model took its watermark is read again
        # by the next build, and a test of a backfill would see more than its window.
        dbt_project.build(made, options=dbt_project.NO_TESTS, threads=1)
        yield made


@pytest.fixture
def built(server: Server, sample_warehouse: Database) -> Iterator[Database]:
    """A copy of the built sample, which the test may change.

    It has the same name in every test, so that dbt does not parse the project for each test.
    """
    from tests.support import dbt_project

    with new_database(server, template=sample_warehouse.name, name="built") as made:
        yield made
        dbt_project.forget_configured(made)
