"""`warehouse metrics`: what it serves, what it writes, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.metrics.conftest import Metrics, parsed
from tests.metrics.serving import closed_to_all, serving
from tests.metrics.state import add_run
from tests.support.command import warehouse
from tests.support.database import Database, do
from tests.support.dbt_project import ROOT
from warehouse.errors import WarehouseError
from warehouse.metrics.server import address_of
from warehouse.server import Server


def get(address: str) -> tuple[int, str]:
    """The status and the text of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics_at(address: str) -> Metrics:
    return parsed(get(f"{address}/metrics")[1])


def test_it_serves_metrics_and_its_health(state: Database) -> None:
    add_run(state)
    with serving(state, "--cache-seconds", "0") as (address, process):
        assert metrics_at(address)["warehouse_recent_runs", "build", "success"] == 1
        add_run(state)
        assert metrics_at(address)["warehouse_recent_runs", "build", "success"] == 2
        assert get(f"{address}/-/healthy") == (200, "Healthy.\n")
        assert get(f"{address}/")[0] == 404
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(f"{address}/metrics", data=b"written", timeout=30)  # noqa: S310
        # Only this machine may ask.
        port = int(address.rpartition(":")[2])
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((own, port), timeout=5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_it_is_interrupted(database: Database) -> None:
    with serving(database) as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_the_metrics_are_given_again_for_some_seconds(state: Database) -> None:
    add_run(state)
    with serving(state, "--cache-seconds", "600") as (address, _):
        metrics_at(address)
        add_run(state)
        assert metrics_at(address)["warehouse_recent_runs", "build", "success"] == 1


def test_it_starts_and_stays_without_a_database(server: Server, database: Database) -> None:
    with closed_to_all(server, database), serving(database, "--cache-seconds", "0") as (address, _):
        assert metrics_at(address)[("warehouse_up",)] == 0
        assert get(f"{address}/-/healthy")[0] == 200
        with server.connect("postgres") as session:
            session.execute(f"alter database {database.name} allow_connections true")
        assert metrics_at(address)[("warehouse_up",)] == 1


def test_a_port_in_use_is_named(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        said = warehouse(database, "metrics", "--listen", place)
    assert said.returncode == 1
    assert f"Cannot listen on {place}: Address already in use. Choose another" in said.stderr


@pytest.mark.parametrize("listen", ["9187", "localhost", ":9187", "localhost:x", "a:70000", "a:-1"])
def test_addresses_that_are_refused(listen: str) -> None:
    with pytest.raises(WarehouseError, match=r"--listen must be HOST:PORT, such as 127\.0\.0\.1"):
        address_of(listen)


def test_addresses() -> None:
    assert address_of("[::1]:10187") == ("::1", 10187)
    assert address_of("localhost:0") == ("localhost", 0)


# --- --once -------------------------------------------------------------------------------------


def test_once_writes_the_file_of_the_textfile_collector(state: Database, tmp_path: Path) -> None:
    add_run(state)
    file = tmp_path / "warehouse.prom"
    said = warehouse(state, "metrics", "--once", str(file))
    assert (said.returncode, said.stdout) == (0, f"Wrote {file}.\n")
    assert parsed(file.read_text())["warehouse_recent_runs", "build", "success"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["warehouse.prom"]
    assert file.stat().st_mode & 0o044 == 0o044  # node_exporter is another user


def test_once_replaces_the_file_in_one_step(state: Database, tmp_path: Path) -> None:
    """A reader always finds a whole file, with its last line."""
    file = tmp_path / "warehouse.prom"
    assert warehouse(state, "metrics", "--once", str(file)).returncode == 0
    whole = file.stat().st_size
    opened = file.open()
    before = file.stat().st_ino
    writing = subprocess.Popen(
        [sys.executable, "-m", "warehouse.cli", "metrics", "--once", str(file)],
        cwd=ROOT,
        env={**os.environ, **state.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while writing.poll() is None:
        assert file.stat().st_size > whole / 2
        assert file.read_text().endswith("\n")
        time.sleep(0.001)
    assert writing.returncode == 0
    assert file.stat().st_ino != before
    with opened:
        assert len(opened.read()) == whole


def test_once_says_that_the_database_is_down(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.prom"
    gone = {"PGHOST": str(tmp_path), "PGPORT": "5432", "PGUSER": "x", "PGDATABASE": "x"}
    said = warehouse(Database("x", gone), "metrics", "--once", str(file))
    assert said.returncode == 1
    assert "The database failed: No PostgreSQL answers at" in said.stderr
    assert f"{file} lacks the metrics of: database." in said.stderr
    assert parsed(file.read_text())[("warehouse_up",)] == 0


def test_once_says_what_it_could_not_read(state: Database, tmp_path: Path) -> None:
    do(state, "create schema quarantine", "create table quarantine.row_issues (rule_name text)")
    file = tmp_path / "warehouse.prom"
    said = warehouse(state, "metrics", "--once", str(file))
    assert said.returncode == 1
    assert f"{file} lacks the metrics of: quarantine." in said.stderr
    assert parsed(file.read_text())["warehouse_collector_success", "quarantine"] == 0


def test_once_into_a_folder_that_does_not_exist(database: Database, tmp_path: Path) -> None:
    said = warehouse(database, "metrics", "--once", str(tmp_path / "no" / "warehouse.prom"))
    assert said.returncode == 1
    assert "No such file or directory" in said.stderr
    assert "Traceback" not in said.stderr


def test_once_does_not_listen(database: Database, tmp_path: Path) -> None:
    said = warehouse(
        database, "metrics", "--once", str(tmp_path / "a.prom"), "--listen", "127.0.0.1:1"
    )
    assert said.returncode == 1
    assert "--listen 127.0.0.1:1 is allowed only without --once, which serves." in said.stderr
