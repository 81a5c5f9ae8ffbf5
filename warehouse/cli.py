"""The `warehouse` command: the list of its commands, and the message when one fails.

A command is imported only when it is called, so that `warehouse --help` answers at once.

Exit codes: 0 done, 1 refused or failed (with a message), 2 wrong usage, 130 interrupted; a command
may add others. `WAREHOUSE_DEBUG=1` prints the traceback of a failure.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from warehouse import console, redaction
from warehouse.errors import WarehouseError
from warehouse.project import is_set

DEBUG_VARIABLE = "WAREHOUSE_DEBUG"
ARGUMENTS_VARIABLE = "WAREHOUSE_ARGUMENTS"


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
    "check": Lazy(
        "warehouse.build.check", "check", "Compare the raw tables with the source contract."
    ),
    "build": Lazy(
        "warehouse.build.command",
        "build",
        "Run dbt build, then list the marts.",
        {"context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False}},
    ),
    "publish": Lazy(
        "warehouse.build.publish", "publish", "Let the reporting views show what was built."
    ),
    "retain": Lazy(
        "warehouse.retention.command", "retain", "Move, archive and delete rows by their age."
    ),
    "recall": Lazy("warehouse.retention.recall", "recall", "Bring archived months back."),
    "roles": Lazy(
        "warehouse.privacy.roles_command", "roles", "Create the roles, and grant what they need."
    ),
    "erase": Lazy(
        "warehouse.privacy.erase_command", "erase", "Erase persons, and keep them erased."
    ),
    "export": Lazy(
        "warehouse.privacy.export_command", "export", "Write what is held of a person to a zip."
    ),
    "hold": Lazy("warehouse.privacy.hold_command", "app", "Stop the erasure of a person."),
    "audit": Lazy(
        "warehouse.privacy.audit_command", "app", "Show and verify the trail of erasures."
    ),
    "pii": Lazy("warehouse.privacy.command", "app", "Show where personal data is."),
    "clv": Lazy("warehouse.clv.command", "app", "Fit the predicted lifetime value, and test it."),
    "metrics": Lazy(
        "warehouse.metrics.command", "metrics", "Serve metrics of the warehouse for Prometheus."
    ),
    "marts": Lazy(
        "warehouse.build.marts", "marts", "List the marts and the questions that they answer."
    ),
}


# Commands that need no database of a target, and `build`, which passes dbt's own --target on.
WITHOUT_TARGET = {"down", "sample", "build"}
# Variables that choose the database.
CHOOSING = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "DBT_TARGET", "DBT_PROFILE", "DBT_PROFILES_DIR")
# Commands whose arguments may be an address with a password.
TAKE_ADDRESSES = {"load", "init"}


def _add_target(command: Any) -> None:
    """Give a command, or each command of a group, the option --target, as dbt has it."""
    for each in getattr(command, "commands", {}).values():
        _add_target(each)
    if hasattr(command, "commands") or any("--target" in each.opts for each in command.params):
        return
    donor = typer.Typer(add_completion=False)
    donor.command()(_takes_target)
    command.params += [
        each for each in typer.main.get_command(donor).params if "--target" in each.opts
    ]


def _choose_target(name: str | None) -> None:
    if name is not None:
        # profile.py, dbt and the programs that a command starts read it there.
        os.environ["DBT_TARGET"] = name


def _takes_target(
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="NAME",
            expose_value=False,
            callback=_choose_target,
            help="The target of profiles.yml, such as prod; default DBT_TARGET, else dev.",
        ),
    ] = None,
) -> None:
    """Typer makes the option from this signature."""


@contextmanager
def _without_passwords() -> Iterator[None]:
    """Hide passwords in the messages about wrong usage, which quote arguments."""
    try:
        yield
    except Exception as error:
        for name in ("message", "option_name"):
            if isinstance(value := getattr(error, name, None), str):
                setattr(error, name, redaction.redact(value))
        raise


def _refuse_passwords(context: Any, command: str, arguments: Sequence[str]) -> None:
    """Stop if a command that needs no password gets one.

    dbt would write it to its log and to target/, psql would quote it, and all users see it in the
    list of processes.
    """
    if command in TAKE_ADDRESSES:
        return
    if command == "psql":
        arguments = _without_sql(arguments)
    if redaction.passwords_of(arguments):
        context.fail(
            f"An argument of `warehouse {command}` seems to hold a password, and is not passed on: "
            "set the password in DBT_ENV_SECRET_PG_PASSWORD or ~/.pgpass, and the server in PGHOST."
        )


def _without_sql(arguments: Sequence[str]) -> list[str]:
    """The arguments of psql without its statements and the values of its variables."""
    kept, is_value = [], False
    for argument in arguments:
        takes_value = argument in ("-c", "--command", "-v", "--set", "--variable")
        if not (is_value or argument.startswith(("-c", "-v", "--command=", "--set=", "--var"))):
            kept.append(argument)
        is_value = takes_value
    return kept


class _Commands(TyperGroup):
    """The commands of this file, and those of LAZY."""

    resolving = False

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LAZY]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        lazy = LAZY.get(cmd_name)
        if lazy is None:
            own = super().get_command(ctx, cmd_name)
            if own is not None and cmd_name not in WITHOUT_TARGET:
                _add_target(own)
            return own
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
        if cmd_name not in WITHOUT_TARGET:
            _add_target(command)
        return command

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _without_passwords():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _without_passwords():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            # Typer would print "Aborted" and hide the interrupt from main().
            console.say("Interrupted.", stderr=True)
            sys.exit(130)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.resolving = True
        try:
            name, command, rest = super().resolve_command(ctx, args)
        finally:
            self.resolving = False
        if name is not None:
            _refuse_passwords(ctx, name, rest)
        return name, command, rest


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
def up(
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded", help="Refuse if the variables or the profile choose another server."
        ),
    ] = False,
) -> None:
    """Start the embedded PostgreSQL; create it if it is missing.

    It runs until `warehouse down`, listens only on a Unix socket, and keeps its data in
    WAREHOUSE_HOME (default `.warehouse` in the project). Does nothing if it is running; recovers
    after a crash or a reboot. Its settings are sized from the machine's memory and cores.

    WAREHOUSE_POSTGRES=16 creates version 16 instead of 18 (existing data keep their version).
    WAREHOUSE_START_SECONDS is how long to wait for the server (default 300).
    """
    from warehouse.database.preflight import check
    from warehouse.database.profile import settings
    from warehouse.server import Server

    given = {name for name in CHOOSING if os.environ.get(name)}
    where = settings()
    if not where.embedded:
        if embedded:
            raise WarehouseError(_not_embedded(where, [name for name in CHOOSING if name in given]))
        check(where)
        console.say(f"Using your own server, nothing to start: {where.description}.")
        return
    server = Server()
    started = server.up()
    status = server.status()
    assert status is not None
    state = "is now running" if started else "is already running"
    console.say(f"PostgreSQL {status.version} {state}: {status.connection}")


def _not_embedded(where: Any, chosen: list[str]) -> str:
    """Why the demo does not run: what chooses another server, and how to run it without."""
    remedy = f"env {' '.join(f'-u {name}' for name in chosen)} make demo"
    return (
        f"The demo runs on the embedded server only, but {', '.join(chosen) or 'the profile'} "
        f"chose {where.description} ({where.source}). Nothing was written. "
        + (f"Run it without: {remedy}" if chosen else "Use the project's own profiles.yml.")
    )


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

    Exit code 1 if the embedded server is not running, if your own server does not answer, or if a
    build would refuse it: its version, its encoding, the rights of the user.
    """
    from warehouse.database.connection import connect
    from warehouse.database.preflight import check
    from warehouse.database.profile import settings

    where = settings()
    get = where.parameters.get
    if where.embedded:
        from warehouse.server import Server

        server = Server()
        found = server.status()
        if found is None:
            raise WarehouseError("The embedded server is not running: `warehouse up` starts it.")
        rows = {
            "server": f"embedded, process {found.pid}",
            "version": f"PostgreSQL {found.version}",
            "size": _bytes(found.size),
            "uptime": _duration(found.uptime.total_seconds()),
            "started": found.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "data": str(found.home),
            "connection": server.uri(get("dbname", ""), get("user", "")),
        }
    else:
        with connect(where) as session:
            row = session.execute(
                "select current_setting('server_version'), pg_database_size(current_database()),"
                " extract(epoch from now() - pg_postmaster_start_time())::float8"
            ).fetchone()
        assert row is not None
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
    check(where)


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
    role: Annotated[
        str | None,
        typer.Option("--role", help="Work as a role of the warehouse, such as analyst."),
    ] = None,
) -> None:
    """Open psql on the warehouse's database; starts the embedded server if needed.

    The exit code is psql's. With your own server, it runs the psql on your PATH if there is one.
    """
    from warehouse.database.connection import child_environment, connect, ensure_running
    from warehouse.database.preflight import announce
    from warehouse.database.profile import settings
    from warehouse.privacy.roles import name_of
    from warehouse.server import Server, programs

    options = f" -c role={name_of(role)}" if role is not None else ""
    where = settings()
    announce(where, quiet=any(each in ("-q", "--quiet") for each in arguments or []))
    if where.embedded:
        ensure_running()
    if not arguments:  # arguments may choose another database
        connect(where).close()  # says in a sentence why it does not answer
    if where.embedded:
        program = str(Server().bin / "psql")
    else:
        own = shutil.which("psql")
        program = own or str(programs.folder_of(programs.DEFAULT_VERSION) / "psql")
    sys.stdout.flush()
    environment = child_environment(where)
    environment["PGOPTIONS"] = environment.get("PGOPTIONS", "") + options
    # psql replaces this process, so that it gets the terminal and its signals.
    os.execve(program, ["psql", *(arguments or [])], environment)  # noqa: S606


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


def _quiet_database() -> str:
    """The line about the database that `--quiet` left out, for a command that failed."""
    preflight = sys.modules.get("warehouse.database.preflight")
    return (preflight and preflight.database_of_error()) or ""


def _print_traceback(kind: Any, error: Any, trace: Any) -> None:
    console.say("".join(traceback.format_exception(kind, error, trace)).rstrip(), stderr=True)


def _leave_process_list() -> None:
    """Start again without the passwords that all users see in the list of processes.

    The arguments come back in a variable, which only this user can read.
    """
    given = os.environ.pop(ARGUMENTS_VARIABLE, None)
    if given is not None:
        sys.argv[1:] = json.loads(given)
        return
    arguments = sys.argv[1:]
    program = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
    if redaction.passwords_of(arguments) and [*program, *arguments] == sys.orig_argv:
        redaction.watch(arguments, {})
        shown = [*program, *map(redaction.redact, arguments)]
        variables = {**os.environ, ARGUMENTS_VARIABLE: json.dumps(arguments)}
        os.execve(sys.executable, shown, variables)  # noqa: S606


def main() -> None:
    """The entry point: run the command, and print errors as a line or two on stderr."""
    _leave_process_list()
    redaction.watch(sys.argv[1:])
    try:
        app(standalone_mode=True)
    except WarehouseError as error:
        if is_set(DEBUG_VARIABLE):
            sys.excepthook = _print_traceback  # Typer has set its own
            raise
        console.say(f"Error: {error}", style="red", stderr=True)
        if _quiet_database():
            console.say(_quiet_database(), stderr=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # before or after the command ran
        console.say("Interrupted.", stderr=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has closed it, for example `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a folder that may not be entered, a disk that is full
        if is_set(DEBUG_VARIABLE):
            sys.excepthook = _print_traceback  # Typer has set its own
            raise
        named = f": {os.fsdecode(error.filename)}" if error.filename else ""
        console.say(f"Error: {error.strerror or error}{named}", style="red", stderr=True)
        sys.exit(1)
    except Exception as error:
        if is_set(DEBUG_VARIABLE):
            sys.excepthook = _print_traceback  # Typer has set its own
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
