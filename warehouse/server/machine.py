"""The machine's memory and cores, and the server's settings for them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def memory_bytes() -> int:
    """The memory that this process may use: of the machine or of its control group, the smaller."""
    limits = [psutil.virtual_memory().total]
    for file in _cgroup_files("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(file.read_text()))
    return min(limits)


def core_count() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for file in _cgroup_files("cpu.max"):
        with contextlib.suppress(OSError, ValueError):
            quota, period = file.read_text().split()
            cores = min(cores, max(1, round(int(quota) / int(period))))
    return max(1, cores)


def _cgroup_files(*names: str) -> list[Path]:
    """The files with these names in this process's control group and in the groups around it."""
    base = Path("/sys/fs/cgroup")
    folders = {base}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            group = base / line.split(":", 2)[2].lstrip("/")
            folders.update({group, *(folder for folder in group.parents if base in folder.parents)})
    return [folder / name for folder in folders for name in names]


def machine_settings(
    memory: int, cores: int, disk: int, shared_memory: int | None, version: int
) -> dict[str, str]:
    """The server's settings for a machine.

    Durability is PostgreSQL's default: fsync and full_page_writes stay on.

    Args:
        memory: bytes of memory.
        cores: number of cores.
        disk: bytes that are free on the disk of the data directory.
        shared_memory: bytes of /dev/shm; None if there is none.
        version: the server's major version.
    """
    mebibyte = 1024**2

    def megabytes(value: float, least: int, most: int) -> str:
        return f"{int(min(max(value / mebibyte, least), most))}MB"

    settings = {
        "shared_buffers": megabytes(memory / 4, 32, 8192),
        "effective_cache_size": megabytes(memory / 2, 64, 1024**2),
        # A build runs several models at once, each with several sorts or hashes, some of them
        # parallel.
        "work_mem": megabytes(memory * 3 / 4 / (8 * max(4, cores)), 8, 256),
        "maintenance_work_mem": megabytes(memory / 16, 64, 1024),
        "max_wal_size": megabytes(disk / 20, 256, 4096),
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "max_worker_processes": str(max(8, cores + 4)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(min(4, max(1, cores // 2))),
        "max_parallel_maintenance_workers": str(min(4, max(1, cores // 2))),
        # A build runs many short statements; compiling them costs more than it saves.
        "jit": "off",
        # A query on a partitioned table takes one lock per partition and index.
        "max_locks_per_transaction": "256",
        "track_io_timing": "on",
        "log_lock_waits": "on",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        # Cancels a query soon after its client has died.
        "client_connection_check_interval": "5s",
    }
    # Parallel queries share memory through /dev/shm, which containers often limit to 64 MB.
    if shared_memory is not None and shared_memory < 512 * mebibyte:
        settings["dynamic_shared_memory_type"] = "mmap"
    if version >= 17:
        settings["summarize_wal"] = "on"  # required for incremental backups
    return settings
