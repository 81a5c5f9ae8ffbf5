"""The command line: help, errors and interrupts."""

from __future__ import annotations

import importlib.machinery
import os
import resource
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import psutil
import pytest

from tests.support.command import warehouse
from warehouse import cli

CHECKOUT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "warehouse.cli", *arguments]


def test_help_is_quick_and_complete() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = warehouse(None, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # About 0.4 s. CPU time, because other tests may share the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    for name in ("up", "down", "status", "psql"):
        assert f"│ {name} " in said.stdout
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, warehouse.cli; print(*sorted(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for slow in ("dbt", "duckdb", "pyarrow", "psycopg", "numpy"):
        assert slow not in loaded


def test_interrupt_is_no_traceback(short_path: Path) -> None:
    home = short_path / ".warehouse"
    # Another process holds the lock, so that `up` waits at a known point.
    home.mkdir(mode=0o700)
    with (home / "lock").open("w") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        process = subprocess.Popen(
            command("up"),
            cwd=CHECKOUT,
            env={**os.environ, "WAREHOUSE_HOME": str(home)},
            stderr=subprocess.PIPE,
            text=True,
        )
        waits = psutil.Process(process.pid)
        deadline = time.monotonic() + 30
        while not any(found.path == str(home / "lock") for found in waits.open_files()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "Interrupted.\n")


def test_unexpected_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(cli, "app", lambda **_: broken())
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 70
    assert said.startswith("This is a bug in warehouse: ZeroDivisionError: by nothing\n")
    assert "WAREHOUSE_DEBUG=1" in said
    assert "Traceback" not in said
    monkeypatch.setenv("WAREHOUSE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "mapping/users.sql"),
         "Error: Permission denied: mapping/users.sql\n"),
        (OSError(28, "No space left on device"), "Error: No space left on device\n"),
    ],
)  # fmt: skip
def test_an_error_of_the_file_system_is_no_bug(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    message: str,
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli, "app", lambda **_: broken())
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert (stopped.value.code, capsys.readouterr().err) == (1, message)


def test_commands_of_other_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.LAZY, "echo", cli.Lazy("echoing_module", "echo", "Say it again."))
    module = types.ModuleType("echoing_module")
    module.__spec__ = importlib.machinery.ModuleSpec("echoing_module", None)
    module.echo = lambda word: print(f"{word} {word}")
    module.echo.__annotations__ = {"word": str}
    monkeypatch.setitem(sys.modules, "echoing_module", module)
    for arguments, code, output in [
        (["echo", "hello"], 0, "hello hello"),
        (["--help"], 0, "Say it again."),
        (["gone"], 2, "No such command 'gone'"),
        (["--version"], 0, "warehouse "),
    ]:
        monkeypatch.setattr(sys, "argv", ["warehouse", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        assert (stopped.value.code or 0) == code
        assert output in said.out + said.err


def test_a_closed_pipe_ends_neither_a_command_nor_its_threads() -> None:
    """A build prints in threads of dbt, and waited forever for one that a closed pipe had ended."""
    program = (
        "import sys, threading\n"
        "from warehouse import console\n"
        "sys.stdin.read()\n"
        "def work():\n"
        "    console.say('first'); console.say('second'); console.say('worked', stderr=True)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "console.show_table(('title',), [('row',)])\n"
        "console.say('left', stderr=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        process.stdin.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "worked\nleft\n")
