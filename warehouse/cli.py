"""The `warehouse` command: the list of its commands, and what a person sees when one fails.

The bigger commands live in modules of their own, which are imported only when they are called, so
that `warehouse --help` answers at once.

Exit codes: 0 done, 1 refused or failed (with a sentence), 2 wrong usage, 130 interrupted; a command
may add its own. `WAREHOUSE_DEBUG=1` shows the traceback of a failure.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import shutil
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from warehouse.errors import WarehouseError

DEBUG_VARIABLE = "WAREHOUSE_DEBUG"


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A command that lives elsewhere: `attribute` of `module` is its function, or a Typer with
    commands below it; `help` is its line in the list."""

    module: str
    attribute: str
    help: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


# Name -> where it lives; a command whose module does not exist is left out.
LAZY = {
    "sample": Lazy("warehouse.sample", "sample", "Write sample data, as files to load."),
    "load": Lazy("warehouse.load", "load", "Load files or another database into the raw tables."),
    "build": Lazy(
        "warehouse.build",
        "build",
        "Run dbt build, then list the marts.",
        {"context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False}},
    ),
    "retain": Lazy("warehouse.retain", "retain", "Take away partitions that have expired."),
    "clv": Lazy("warehouse.clv", "app", "Fit the predicted lifetime value, and check it."),
    "marts": Lazy("warehouse.build", "marts", "List the marts and what they answer."),
}


class _Commands(TyperGroup):
    """The commands of this file, and those of LAZY."""

    resolving = False

    def list_commands(self, ctx: Any) -> list[str]:
        lazy = [name for name, command in LAZY.items() if importlib.util.find_spec(command.module)]
        return [*super().list_commands(ctx), *lazy]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        lazy = LAZY.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        if importlib.util.find_spec(lazy.module) is None:
            return None
        if not self.resolving:
            return TyperCommand(cmd_name, help=lazy.help)  # only its line in the list is wanted
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
            # Typer would say "Aborted" and hide it from main().
            _say("Interrupted.", stderr=True)
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


def _say(text: str, *, style: str | None = None, stderr: bool = False) -> None:
    from rich.console import Console

    Console(stderr=stderr, highlight=False, soft_wrap=True).print(text, style=style, markup=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"warehouse {version('warehouse')}")
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

    Everything that dbt does is left to dbt: `dbt build`, `dbt test`, `dbt docs serve` work as
    usual.
    """


@app.command()
def up() -> None:
    """Start the embedded PostgreSQL; make it first when there is none.

    It runs until `warehouse down`, listens on a Unix socket only, and keeps its data in
    WAREHOUSE_HOME (default `.warehouse` in the project). Running it again is harmless; after a
    crash or a reboot it repairs what was left behind. Its settings follow the machine's memory and
    cores.

    WAREHOUSE_POSTGRES=16 makes a server of version 16 instead of 18 (existing data keep theirs).
    WAREHOUSE_START_SECONDS is how long to wait for it (default 300).
    """
    from warehouse import connection
    from warehouse.server import Server

    where = connection.settings()
    if not where.embedded:
        connection.preflight(where)
        _say(f"Your own server is used, nothing to start: {where.description}.")
        return
    server = Server()
    started = server.up()
    status = server.status()
    assert status is not None
    state = "is now running" if started else "is running already"
    _say(f"PostgreSQL {status.version} {state}: {status.connection}")


@app.command()
def down() -> None:
    """Stop the embedded PostgreSQL.

    Running statements are cancelled and rolled back; the data stay. It is no error when none runs.
    """
    from warehouse.server import Server

    if Server().down():
        _say("The embedded server is stopped.")
    else:
        _say("The embedded server was not running.")


@app.command()
def status() -> None:
    """Say where the database is, and how it is: version, size, uptime, connection string.

    Exit code 1 when the embedded server does not run, or your own server does not answer.
    """
    from warehouse import connection

    where = connection.settings()
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
        with connection.connect(where) as session:
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
        _say(f"{name:<11} {value}")


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],  # psql has an -h of its own
    }
)
def psql(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Passed to psql as they are: -c 'select 1', -f file.sql."),
    ] = None,
) -> None:
    """Open psql on the warehouse's database, starting the embedded server when needed.

    Its exit code is psql's. With your own server the psql on your PATH is used when there is one.
    """
    from warehouse import connection
    from warehouse.server import DEFAULT_VERSION, Server, programs

    where = connection.settings()
    if where.embedded:
        connection.ensure_running()
        program = str(Server().bin / "psql")
    else:
        program = shutil.which("psql") or str(programs(DEFAULT_VERSION) / "psql")
    sys.stdout.flush()
    # In our place, so that the terminal and its signals are psql's.
    os.execve(program, ["psql", *(arguments or [])], connection.child_environment(where))  # noqa: S606


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
    """The entry point: run the command, and turn what goes wrong into a line or two on stderr."""
    try:
        app(standalone_mode=True)
    except WarehouseError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _say(f"Error: {error}", style="red", stderr=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # before a command was chosen, or after it was done
        _say("Interrupted.", stderr=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, for example `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _say(
            f"This is a bug in warehouse: {type(error).__name__}: {error}\n"
            f"Please report it with the traceback that {DEBUG_VARIABLE}=1 shows.",
            style="red",
            stderr=True,
        )
        sys.exit(70)


if __name__ == "__main__":
    main()
