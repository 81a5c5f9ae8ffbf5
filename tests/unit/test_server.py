"""The settings of the embedded server, and the folders that it rejects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import warehouse
from warehouse.errors import WarehouseError
from warehouse.server import Server, machine_settings, programs, socket_folder

GIGABYTE = 1024**3


@pytest.mark.parametrize(
    ("gigabytes", "cores", "shared_buffers", "work_mem"),
    [(0.5, 1, "128MB", "12MB"), (8, 4, "2048MB", "192MB"), (64, 16, "8192MB", "256MB")],
)
def test_settings_follow_the_machine(
    gigabytes: float, cores: int, shared_buffers: str, work_mem: str
) -> None:
    memory = int(gigabytes * GIGABYTE)
    settings = machine_settings(memory, cores, 500 * GIGABYTE, GIGABYTE, 18)
    assert settings["shared_buffers"] == shared_buffers
    assert settings["work_mem"] == work_mem
    assert settings["max_parallel_workers"] == str(cores)
    # Eight concurrent sorts and the shared buffers must fit into memory.
    megabytes = int(shared_buffers[:-2]) + 8 * int(work_mem[:-2])
    assert megabytes * 1024**2 < memory
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(settings)


def test_small_shared_memory_and_disk() -> None:
    settings = machine_settings(GIGABYTE, 2, GIGABYTE, 64 * 1024**2, 16)
    assert settings["dynamic_shared_memory_type"] == "mmap"
    assert settings["max_wal_size"] == "256MB"
    assert "summarize_wal" not in settings  # needs PostgreSQL 17 or newer
    assert "dynamic_shared_memory_type" not in machine_settings(GIGABYTE, 2, GIGABYTE, GIGABYTE, 18)


def test_socket_of_somebody_else_is_refused(short_path: Path) -> None:
    home = short_path / ("long-" * 20) / ".warehouse"
    trap, socket_path = short_path / "trap", socket_folder(home)
    trap.mkdir()
    socket_path.symlink_to(trap)
    try:
        with pytest.raises(WarehouseError, match="belongs to another user"):
            Server(home).up()
    finally:
        socket_path.unlink()


def test_too_many_bytes_in_a_short_path(short_path: Path) -> None:
    with pytest.raises(WarehouseError, match="too long for a Unix socket: set WAREHOUSE_HOME"):
        Server(short_path / ("ä" * 60)).up()


def test_folder_that_cannot_be_made(short_path: Path) -> None:
    (short_path / "file").write_text("")
    with pytest.raises(WarehouseError, match=r"Cannot create the folder .*: Not a directory"):
        Server(short_path / "file" / ".warehouse").up()


def test_folder_with_other_files(short_path: Path) -> None:
    home = short_path / ".warehouse"
    (home / "data").mkdir(parents=True)
    (home / "data" / "letter.txt").write_text("mine")
    with pytest.raises(WarehouseError, match="contains files, but no PostgreSQL data"):
        Server(home).up()
    assert (home / "data" / "letter.txt").read_text() == "mine"


def test_unknown_version(short_path: Path) -> None:
    home = str(short_path / ".warehouse")
    refused = warehouse(None, "up", WAREHOUSE_HOME=home, WAREHOUSE_POSTGRES="15")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Error: WAREHOUSE_POSTGRES is '15': it must be 16 or 18.\n",
    )


def test_wrong_start_seconds(short_path: Path) -> None:
    home = str(short_path / ".warehouse")
    refused = warehouse(None, "up", WAREHOUSE_HOME=home, WAREHOUSE_START_SECONDS="soon")
    assert refused.returncode == 1
    assert "WAREHOUSE_START_SECONDS is 'soon'" in refused.stderr


def test_missing_wheel(monkeypatch: pytest.MonkeyPatch, short_path: Path) -> None:
    home = short_path / ".warehouse"
    monkeypatch.setitem(programs.DISTRIBUTIONS, 18, ("no_such_wheel", "pginstall"))
    with pytest.raises(WarehouseError, match="package no-such-wheel, which is not installed"):
        Server(home, version=18).up()
