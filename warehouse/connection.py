"""Where the warehouse's database is, and a connection to it.

dbt's profile decides, for dbt and for every command here, so that both always talk to the same
database. Which profile that is follows dbt's own rules:

    DBT_PROFILES_DIR   the folder of profiles.yml (default: the project's folder)
    DBT_PROFILE        the profile's name (default: `profile` in dbt_project.yml)
    DBT_TARGET         the target (default: `target` in the profile)

The project's own profile leads to the embedded server, unless PGHOST (or PGHOSTADDR, or PGSERVICE)
names a server; then PGPORT, PGUSER, PGDATABASE, and DBT_ENV_SECRET_PG_PASSWORD or PGPASSWORD count
too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from warehouse import project
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

OLDEST_VERSION = 16
APPLICATION_NAME = "warehouse"

# Profile key -> libpq parameter. The keys with two names are dbt's aliases.
_PARAMETERS = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "pass": "password",
    "dbname": "dbname",
    "database": "dbname",
    "connect_timeout": "connect_timeout",
    "keepalives_idle": "keepalives_idle",
    "sslmode": "sslmode",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslrootcert": "sslrootcert",
}

# libpq parameter -> variable, for the programs that we start.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
}

# Variables that a program would follow away from the embedded server, or refuse it for.
_FOREIGN = {
    "PGHOSTADDR",
    "PGSERVICE",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the database is.

    `parameters` are libpq's, `embedded` says whether it is the server of `warehouse up`, `source`
    names the profile and target they come from, `role` is the role that dbt takes on after
    connecting, `target` is the name of dbt's target.
    """

    parameters: dict[str, str] = dataclasses.field(repr=False)  # holds the password
    embedded: bool
    source: str
    role: str | None = None
    target: str = ""

    @property
    def description(self) -> str:
        """The server, database and user, in words; never the password."""
        if self.embedded:
            return "the embedded server"
        get = self.parameters.get
        return (
            f"PostgreSQL on {get('host') or 'the local socket'}, port {get('port', '5432')}, "
            f"database {get('dbname')}, user {get('user')}"
        )

    def environment(self) -> dict[str, str]:
        """The variables that lead another program (psql, pg_dump) to the same database: add them to
        nothing, or use `child_environment`. The session options of profiles.yml are left out."""
        return {
            _VARIABLES[key]: value for key, value in self.parameters.items() if key in _VARIABLES
        }


def child_environment(settings: Settings) -> dict[str, str]:
    """The whole environment for a PostgreSQL program: ours, with this database's variables."""
    inherited = dict(os.environ)
    if settings.embedded:
        inherited = {name: value for name, value in inherited.items() if name not in _FOREIGN}
    return {**inherited, **settings.environment()}


def settings() -> Settings:
    """Where the database is, as dbt's profile and the variables say (see the top of this file)."""
    # It would win over the session's time zone, which is UTC in the warehouse.
    os.environ.pop("PGTZ", None)
    if os.environ.get("PGSERVICE"):
        _export_service()
    folder, file = _profiles_file()
    profile, target = _profile_and_target(folder, file)
    output = _render(target.output, folder, file)
    source = f"profile {profile}, target {target.name} in {file}"
    if output.get("type") != "postgres":
        raise WarehouseError(
            f"The {source} is of type {output.get('type')!r}: this command needs PostgreSQL. "
            "Set DBT_TARGET to a target of type postgres."
        )
    parameters = {
        _PARAMETERS[key]: str(value)
        for key, value in output.items()
        # dbt leaves these out when they are empty, but not the password.
        if key in _PARAMETERS and (value not in (None, "", 0, "0") or key in ("pass", "password"))
    }
    # As dbt does it; profiles.yml says what else travels in it, behind tabs.
    search_path = str(output.get("search_path") or "")
    if search_path:
        parameters["options"] = "-c search_path=" + search_path.replace(" ", "\\ ")
    from warehouse.server import Server

    host, socket = parameters.get("host", ""), Server().socket
    embedded = host.startswith("/") and Path(host).resolve() == socket.resolve()
    return Settings(parameters, embedded, source, output.get("role") or None, target.name)


def connect(
    where: Settings | None = None, *, start: bool = True, autocommit: bool = False
) -> psycopg.Connection[Any]:
    """A new connection to the warehouse's database.

    `where` defaults to `settings()`. The embedded server is started when it is not running, unless
    `start` is false. Raises WarehouseError with one sentence that says what to do.
    """
    import psycopg

    where = where or settings()
    if where.embedded:
        ensure_running(start=start)
    try:
        connection = psycopg.connect(
            **where.parameters, application_name=APPLICATION_NAME, autocommit=autocommit
        )
    except psycopg.Error as error:
        raise WarehouseError(explain(str(error), where)) from error
    if where.role:
        from psycopg import sql

        try:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(where.role)))
            if not autocommit:
                connection.commit()
        except psycopg.Error as error:
            connection.close()
            raise WarehouseError(
                f"The user {where.parameters.get('user')} may not take on the role {where.role} "
                f"that the "
                f"{where.source} asks for: grant it, or change `role` there."
            ) from error
    return connection


def ensure_running(*, start: bool = True) -> None:
    """Start the embedded server when it is not running (with `start` false: refuse with a
    sentence)."""
    from warehouse.server import Server

    server = Server()
    if server.pid() is not None:
        return
    if not start:
        raise WarehouseError("The embedded server is not running: `warehouse up` starts it.")
    from rich.console import Console

    Console(stderr=True).print("Starting the embedded server.", style="dim")
    server.up()


def preflight(where: Settings | None = None, *, start: bool = True) -> None:
    """Check what every build needs, before anything is changed.

    The server answers, is 16 or newer, takes writes, stores UTF-8, and lets this user make schemas.
    Raises WarehouseError with the first thing amiss.
    """
    where = where or settings()
    with connect(where, start=start) as connection:
        row = connection.execute(
            "select current_setting('server_version_num')::int, current_setting('server_version'),"
            " pg_is_in_recovery(), current_setting('server_encoding'),"
            " has_database_privilege(current_database(), 'create')"
        ).fetchone()
    assert row is not None
    number, version, is_replica, encoding, may_create = row
    check_version(number, version, where)
    database, user = where.parameters.get("dbname"), where.role or where.parameters.get("user")
    if is_replica:
        raise WarehouseError(f"{_sentence(where)} is a read-only replica: connect to its primary.")
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database {database} is encoded in {encoding}: make one with "
            f"`create database {database} encoding 'UTF8' template template0`."
        )
    if not may_create:
        raise WarehouseError(
            f"The user {user} may not make schemas in the database {database}: its owner must run "
            f"`grant create on database {database} to {user}`."
        )


def check_version(number: int, version: str, where: Settings) -> None:
    """Refuse a server older than PostgreSQL 16; `number` is its server_version_num (160004 is
    16.4)."""
    if number < OLDEST_VERSION * 10000:
        raise WarehouseError(
            f"{_sentence(where)} is version {version}: the warehouse needs {OLDEST_VERSION} or "
            f"newer. "
            "Upgrade it, or unset PGHOST and use the embedded server."
        )


def explain(message: str, where: Settings) -> str:
    """One sentence for a failed connection: what is wrong, which server and user, what to do."""
    get = where.parameters.get
    host, port = get("host") or "the local socket", get("port", "5432")
    user, database = get("user"), get("dbname")
    place = f"{host}, port {port}"
    if where.embedded:
        return (
            f"The embedded server does not let the user {user} into the database {database}: "
            f"{_first_line(message)}. `warehouse up` makes what is missing."
        )
    rules = [
        (
            "password authentication failed",
            f"The server at {place} refused the password of the user {user}: "
            "correct DBT_ENV_SECRET_PG_PASSWORD, PGPASSWORD or ~/.pgpass.",
        ),
        (
            "no password supplied",
            f"The server at {place} asks for a password of the user {user}: "
            "set DBT_ENV_SECRET_PG_PASSWORD or PGPASSWORD, or add it to ~/.pgpass.",
        ),
        (
            r'database ".*" does not exist',
            f"The server at {place} has no database {database}: make it with "
            f"`createdb {database}`, or set PGDATABASE to another one.",
        ),
        (
            r'role ".*" does not exist',
            f"The server at {place} has no user {user}: make it, or set PGUSER to another one.",
        ),
        (
            "permission denied for database|not permitted to log in",
            f"The user {user} may not connect to the database {database} on {place}: its owner "
            f"must run "
            f"`grant connect, create on database {database} to {user}` and allow the login.",
        ),
        (
            "pg_hba.conf|authentication failed",
            f"The server at {place} does not let the user {user} in from here (its pg_hba.conf): "
            f"ask its "
            "administrator, or correct PGUSER, PGDATABASE or PGSSLMODE.",
        ),
        (
            "Connection refused|No such file or directory",
            f"No PostgreSQL answers at {place} (user {user}): start it, or correct PGHOST and "
            f"PGPORT.",
        ),
        (
            "could not translate host|Name or service not known|resolve|No address associated"
            "|nodename nor servname",
            f"The host {host} (user {user}) is not known: correct PGHOST.",
        ),
        (
            "timeout|timed out|unreachable|No route",
            f"The host {host}, port {port} (user {user}) does not answer: check PGHOST, PGPORT, "
            f"the "
            "network and its firewall.",
        ),
        (
            "SSL|certificate",
            f"The server at {place} and the user {user}'s settings do not agree on encryption: "
            f"correct "
            f"PGSSLMODE and PGSSLROOTCERT ({_first_line(message)}).",
        ),
        (
            "invalid (port number|integer value)",
            f"The port {port} for the host {host} (user {user}) is no port number: correct PGPORT.",
        ),
        (
            "too many (clients|connections)|remaining connection slots",
            f"The server at {place} takes no more connections of the user {user}: try again later, "
            f"or "
            "set fewer threads with DBT_THREADS.",
        ),
        (
            "starting up|shutting down|recovery mode",
            f"The server at {place} is starting or stopping: try again in a moment.",
        ),
        (
            "unsupported startup parameter|unrecognized configuration parameter"
            "|invalid (command-line argument|value for parameter)",
            f"The server at {place} refuses session options ({_first_line(message)}): correct "
            "PGOPTIONS, or, for a connection pooler, set WAREHOUSE_SESSION_OPTIONS to nothing.",
        ),
    ]
    for pattern, sentence in rules:
        if re.search(pattern, message):
            return sentence
    return (
        f"The connection to {place} as the user {user} failed: {_first_line(message)}. "
        f"It follows the {where.source}."
    )


def _sentence(where: Settings) -> str:
    description = where.description
    return description[0].upper() + description[1:]


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0].removeprefix("connection failed: ") if message else "?"


# --- Reading the profile
# ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Target:
    name: str
    output: dict[str, Any]


def _profiles_file() -> tuple[Path, Path]:
    named = os.environ.get("DBT_PROFILES_DIR")
    folder = Path(named).expanduser().absolute() if named else project.root()
    file = folder / "profiles.yml"
    if not file.is_file():
        raise WarehouseError(f"There is no profiles.yml in {folder}: correct DBT_PROFILES_DIR.")
    return folder, file


def _profile_and_target(folder: Path, file: Path) -> tuple[str, _Target]:
    import yaml

    try:
        profiles = yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        raise WarehouseError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    name = os.environ.get("DBT_PROFILE") or _project_profile()
    if not isinstance(profiles, dict) or not isinstance(profiles.get(name), dict):
        known = ", ".join(sorted(map(str, profiles))) if isinstance(profiles, dict) else "nothing"
        raise WarehouseError(
            f"{file} has no profile {name}, but {known}: set DBT_PROFILE, or DBT_PROFILES_DIR."
        )
    profile = profiles[name]
    outputs = profile.get("outputs") or {}
    default = _render({"target": profile.get("target", "default")}, folder, file)["target"]
    target = os.environ.get("DBT_TARGET") or default
    if not isinstance(outputs.get(target), dict):
        raise WarehouseError(
            f"The profile {name} in {file} has no target {target}, but {', '.join(outputs)}: set "
            f"DBT_TARGET."
        )
    return name, _Target(target, outputs[target])


def _project_profile() -> str:
    import yaml

    content = yaml.safe_load((project.root() / "dbt_project.yml").read_text()) or {}
    return str(content.get("profile") or "analytics_warehouse")


def _render(values: dict[str, Any], folder: Path, file: Path) -> dict[str, Any]:
    """The values with their Jinja done, as dbt does it for a profile (a test holds the two
    together).

    dbt itself takes seconds to import, too long for `warehouse psql`.
    """
    import jinja2

    def env_var(name: str, default: str | None = None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            raise WarehouseError(f"{file} needs a variable that is not set: {name}.")
        return value

    def local_md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def unchanged(value: Any) -> Any:
        return value

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    for name in ("as_bool", "as_native", "as_number", "as_text"):
        environment.filters[name] = unchanged
    context = {
        "env_var": env_var,
        "local_md5": local_md5,
        "flags": SimpleNamespace(PROFILES_DIR=str(folder), PROJECT_DIR=str(project.root())),
    }
    rendered = {}
    for key, value in values.items():
        try:
            rendered[key] = (
                environment.from_string(value).render(context) if isinstance(value, str) else value
            )
        except jinja2.TemplateError as error:
            raise WarehouseError(f"{file} cannot be read, at `{key}`: {error}") from error
    return rendered


def _export_service() -> None:
    """Put what PGSERVICE stands for into the other variables of our own environment, and drop
    PGSERVICE.

    dbt cannot read a service by itself; the dbt that a command starts inherits these variables.
    """
    from psycopg import pq

    service = os.environ["PGSERVICE"]
    # A folder that cannot hold a socket: only the service's definition is looked for, nobody is
    # called.
    problem = pq.PGconn.connect_start(b"host=/nonexistent hostaddr=''").error_message.decode()
    if "service" in problem:
        raise WarehouseError(
            f"PGSERVICE is {service!r}, which cannot be read: {_first_line(problem)}. "
            "Correct it in ~/.pg_service.conf or in the file that PGSERVICEFILE names."
        )
    for option in pq.Conninfo.get_defaults():
        if option.val and option.envvar and option.val != option.compiled:
            os.environ[option.envvar.decode()] = option.val.decode()
    del os.environ["PGSERVICE"]
    if not (os.environ.get("PGHOST") or os.environ.get("PGHOSTADDR")):
        raise WarehouseError(
            f"The service {service!r} (PGSERVICE) names no host: add `host=...` to its definition."
        )
