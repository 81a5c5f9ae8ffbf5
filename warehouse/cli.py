"""The `warehouse` command: the list of its commands, and the message when one fails.

A command is imported only when it is called, so that `warehouse --help` answers at once.

Exit codes: 0 done, 1 refused or failed (with a message), 2 wrong usage, 130 interrupted; a command
may add others. `WAREHOUSE_DEBUG=1` prints the traceback of a failure.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from warehouse import console
from warehouse.errors import WarehouseError
from warehouse.project import is_set

DEBUG_VARIABLE = "WAREHOUSE_DEBUG"


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A command in another module.

    Attributes:
        module: the module.
        attribute: the name of its function, or of its Typer if it has subcommands.
        help: its line in the list of commands.
        settings: arguments for Typer.
    """

    module: str
    attribute: str
    help: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


LAZY = {
    "init": Lazy(
        "warehouse.init.command", "init", "Map your application's tables to the warehouse's."
    ),
    "sample": Lazy("warehouse.sample.command", "sample", "Generate sample data, as files to load."),
    "load": Lazy(
        "warehouse.load.command", "load", "Load files or a source database into the raw tables."
    ),
    "build": Lazy(
        "warehouse.build.command",
        "build",
        "Run dbt build, then list the marts.",
        {"context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False}},
    ),
    "retain": Lazy("warehouse.retention.command", "retain", "Drop expired partitions."),
    "clv": Lazy("warehouse.clv.command", "app", "Fit the predicted lifetime value, and test it."),
    "marts": Lazy(
        "warehouse.build.marts", "marts", "List the marts and the questions that they answer."
    ),
}


class _Commands(TyperGroup):
    """The commands of this file, and those of LAZY."""

    resolving = False

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LAZY]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        lazy = LAZY.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        if not self.resolving:
            return TyperCommand(cmd_name, help=lazy.help)  # for its line in the list
        target = getattr(importlib.import_module(lazy.module), lazy.attribute)
        if isinstance(target, typer.Typer):
            command: Any = typer.main.get_group(target)
        else:
            single = typer.Typer(add_completion=False)
            single.command(cmd_name, **lazy.settings)(target)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Typer would print "Aborted" and hide the interrupt from main().
            console.say("Interrupted.", stderr=True)
            sys.exit(130)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.resolving = True
        try:
            return super().resolve_command(ctx, args)
        finally:
            self.resolving = False


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Your own PostgreSQL 16 or newer: set PGHOST, PGUSER, PGDATABASE and PGPASSWORD. "
        "WAREHOUSE_HOME is the folder of the embedded server (default .warehouse in the project), "
        "WAREHOUSE_DEBUG=1 shows tracebacks."
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.say(f"warehouse {version('warehouse')}")
        raise typer.Exit


@app.callback()
def warehouse(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The analytics warehouse on PostgreSQL: its server, its loads and its builds.

    dbt works as usual beside it: `dbt build`, `dbt test`, `dbt docs serve`.
    """


@app.command()
def up() -> None:
    """Start the embedded PostgreSQL; create it if it is missing.

    It runs until `warehouse down`, listens only on a Unix socket, and keeps its data in
    WAREHOUSE_HOME (default `.warehouse` in the project). Does nothing if it is running; recovers
    after a crash or a reboot. Its settings are sized from the machine's memory and cores.

    WAREHOUSE_POSTGRES=16 creates version 16 instead of 18 (existing data keep their version).
    WAREHOUSE_START_SECONDS is how long to wait for the server (default 300).
    """
    from warehouse.database.preflight import preflight
    from warehouse.database.profile import settings
    from warehouse.server import Server

    where = settings()
    if not where.embedded:
        preflight(where)
        console.say(f"Using your own server, nothing to start: {where.description}.")
        return
    server = Server()
    started = server.up()
    status = server.status()
    assert status is not None
    state = "is now running" if started else "is already running"
    console.say(f"PostgreSQL {status.version} {state}: {status.connection}")


@app.command()
def down() -> None:
    """Stop the embedded PostgreSQL.

    Cancels running statements and rolls them back; keeps the data. Does nothing if the server is
    not running.
    """
    from warehouse.server import Server

    if Server().down():
        console.say("Stopped the embedded server.")
    else:
        console.say("The embedded server was not running.")


@app.command()
def status() -> None:
    """Print where the database is, its version, size, uptime and connection string.

    Exit code 1 if the embedded server is not running, or your own server does not answer.
    """
    from warehouse.database.connection import connect
    from warehouse.database.profile import settings

    where = settings()
    if where.embedded:
        from warehouse.server import Server

        found = Server().status()
        if found is None:
            raise WarehouseError("The embedded server is not running: `warehouse up` starts it.")
        rows = {
            "server": f"embedded, process {found.pid}",
            "version": f"PostgreSQL {found.version}",
            "size": _bytes(found.size),
            "uptime": _duration(found.uptime.total_seconds()),
            "started": found.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "data": str(found.home),
            "connection": found.connection,
        }
    else:
        with connect(where) as session:
            row = session.execute(
                "select current_setting('server_version'), pg_database_size(current_database()),"
                " extract(epoch from now() - pg_postmaster_start_time())::float8"
            ).fetchone()
        assert row is not None
        get = where.parameters.get
        rows = {
            "server": "your own",
            "version": f"PostgreSQL {row[0]}",
            "size": f"{_bytes(row[1])} (this database)",
            "uptime": _duration(row[2]),
            "connection": " ".join(
                f"{key}={get(key)}" for key in ("host", "port", "user", "dbname") if get(key)
            ),
        }
    rows["chosen by"] = where.source
    for name, value in rows.items():
        console.say(f"{name:<11} {value}")


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],  # psql has its own -h
    }
)
def psql(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Passed to psql unchanged: -c 'select 1', -f file.sql."),
    ] = None,
) -> None:
    """Open psql on the warehouse's database; starts the embedded server if needed.

    The exit code is psql's. With your own server, it runs the psql on your PATH if there is one.
    """
    from warehouse.database.connection import child_environment, ensure_running
    from warehouse.database.profile import settings
    from warehouse.server import Server, programs

    where = settings()
    if where.embedded:
        ensure_running()
        program = str(Server().bin / "psql")
    else:
        own = shutil.which("psql")
        program = own or str(programs.folder_of(programs.DEFAULT_VERSION) / "psql")
    sys.stdout.flush()
    # psql replaces this process, so that it gets the terminal and its signals.
    os.execve(program, ["psql", *(arguments or [])], child_environment(where))  # noqa: S606


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    text = f"{hours:d}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{days} days {text}" if days else text


def main() -> None:
    """The entry point: run the command, and print errors as a line or two on stderr."""
    try:
        app(standalone_mode=True)
    except WarehouseError as error:
        if is_set(DEBUG_VARIABLE):
            raise
        console.say(f"Error: {error}", style="red", stderr=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # before or after the command ran
        console.say("Interrupted.", stderr=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has closed it, for example `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if is_set(DEBUG_VARIABLE):
            raise
        console.say(
            f"This is a bug in warehouse: {type(error).__name__}: {error}\n"
            f"Please report it with the traceback that {DEBUG_VARIABLE}=1 prints.",
            style="red",
            stderr=True,
        )
        sys.exit(70)


if __name__ == "__main__":
    main()
