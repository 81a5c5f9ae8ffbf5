"""Where the warehouse's database is: what dbt's profile says.

dbt and every command here read the same profile, so that both always use the same database. The
profile is chosen by dbt's own rules:

    DBT_PROFILES_DIR   the folder of profiles.yml (default: the project's folder)
    DBT_PROFILE        the profile's name (default: `profile` in dbt_project.yml)
    DBT_TARGET         the target (default: `target` in the profile); the commands' --target sets it

The project's own profile connects to the embedded server, unless PGHOST (or PGHOSTADDR, or
PGSERVICE) names a server; then it also reads PGPORT, PGUSER, PGDATABASE, and
DBT_ENV_SECRET_PG_PASSWORD or PGPASSWORD.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from warehouse import project
from warehouse.errors import WarehouseError
from warehouse.server import PORT, check_server_variables, socket_folder

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

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Variable -> least and greatest value.
_NUMBERS = {
    "PGPORT": (1, 65_535),
    "PGCONNECT_TIMEOUT": (0, 86_400),
    "DBT_THREADS": (1, 1_000),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the database is.

    Attributes:
        parameters: the parameters of libpq, the password included.
        embedded: whether it is the server of `warehouse up`.
        source: the profile and target they come from, in words.
        role: the role that dbt switches to after connecting; None if there is none.
        target: the name of dbt's target.
    """

    parameters: dict[str, str] = dataclasses.field(repr=False)  # holds the password
    embedded: bool
    source: str
    role: str | None = None
    target: str = ""

    @property
    def description(self) -> str:
        """The server, database and user, in words; never the password."""
        get = self.parameters.get
        if self.embedded:
            return f"the embedded server in {project.home()}, database {get('dbname')}"
        return (
            f"PostgreSQL on {get('host') or 'the local socket'}, port {get('port', '5432')}, "
            f"database {get('dbname')}, user {get('user')}"
        )

    @property
    def sentence(self) -> str:
        """The description, as the beginning of a sentence."""
        return self.description[0].upper() + self.description[1:]

    @property
    def schema_prefix(self) -> str:
        """What the target puts before the names of its schemas, as generate_schema_name does."""
        exact = project.variable("exact_schema_targets")
        return "" if self.target in exact else f"{self.target}_"


def settings() -> Settings:
    """Where the database is, by dbt's profile and the variables (see the top of this file).

    Raises:
        WarehouseError: a variable has a value that is not allowed, the profile cannot be read, or
            its target is not of type postgres.
    """
    check_variables()
    # PGTZ would override the session's time zone, which is UTC in the warehouse.
    os.environ.pop("PGTZ", None)
    if os.environ.get("PGSERVICE"):
        _export_service()
    folder, file = _profiles_file()
    profile, target = _profile_and_target(folder, file)
    output = _render(target.output, folder, file, target.name)
    source = f"profile {profile}, target {target.name} in {file}"
    if output.get("type") != "postgres":
        raise WarehouseError(
            f"The {source} is of type {output.get('type')!r}: this command needs PostgreSQL. "
            "Set DBT_TARGET to a target of type postgres."
        )
    parameters = {
        _PARAMETERS[key]: str(value)
        for key, value in output.items()
        # dbt omits these if they are empty, except the password.
        if key in _PARAMETERS and (value not in (None, "", 0, "0") or key in ("pass", "password"))
    }
    # As dbt does; profiles.yml explains which other options it carries, after tabs.
    search_path = str(output.get("search_path") or "")
    if search_path:
        parameters["options"] = "-c search_path=" + search_path.replace(" ", "\\ ")
    host, socket = parameters.get("host", ""), socket_folder(project.home())
    # Another port in the folder is another server's, and an address overrides the host.
    embedded = (
        host.startswith("/")
        and not os.environ.get("PGHOSTADDR")
        and Path(host).resolve() == socket.resolve()
        and parameters.get("port", str(PORT)) == str(PORT)
    )
    return Settings(parameters, embedded, source, output.get("role") or None, target.name)


def check_variables() -> None:
    """Check the values of the variables that profiles.yml and the embedded server read.

    Raises:
        WarehouseError: one of them is not allowed; names it, its value, and what is allowed.
    """
    get = os.environ.get
    for name, (least, greatest) in _NUMBERS.items():
        value = get(name, "")
        # Without a host, the profile ignores the port.
        is_read = name != "PGPORT" or get("PGHOST") or get("PGHOSTADDR")
        if value and is_read and not project.whole_number(value, least, greatest):
            raise WarehouseError(
                f"{name} is {value!r}: it must be a whole number from {least} to {greatest}."
            )
    mode = get("PGSSLMODE", "")
    if mode and mode not in _SSL_MODES:
        raise WarehouseError(f"PGSSLMODE is {mode!r}: it must be one of {', '.join(_SSL_MODES)}.")
    check_server_variables()


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
            "DBT_TARGET or --target."
        )
    return name, _Target(target, outputs[target])


def _project_profile() -> str:
    import yaml

    file = project.root() / "dbt_project.yml"
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise WarehouseError(f"{file} cannot be read: {' '.join(str(error).split())}.") from None
    return str(content.get("profile") or "analytics_warehouse")


def _render(values: dict[str, Any], folder: Path, file: Path, target: str = "") -> dict[str, Any]:
    """The values with their Jinja rendered, as dbt does for a profile; a test compares the two.

    Importing dbt takes seconds, too long for `warehouse psql`.
    """
    import jinja2

    def env_var(name: str, default: str | None = None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            needs = f"The target {target} of {file}" if target else str(file)
            raise WarehouseError(f"{needs} needs a variable that is not set: {name}.")
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
            raise WarehouseError(f"Cannot read {file}, at `{key}`: {error}") from error
    return rendered


def _export_service() -> None:
    """Replace PGSERVICE in our environment by the variables that the service defines.

    dbt cannot read a service; it reads these variables.
    """
    from psycopg import pq

    service = os.environ["PGSERVICE"]
    # No socket can be in this folder: libpq only reads the service's definition.
    problem = pq.PGconn.connect_start(b"host=/nonexistent hostaddr=''").error_message.decode()
    if "service" in problem:
        raise WarehouseError(
            f"PGSERVICE is {service!r}, which cannot be read: {first_line(problem)}. "
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


def first_line(message: str) -> str:
    """The first line of an error message of libpq, without its introduction."""
    return message.strip().splitlines()[0].removeprefix("connection failed: ") if message else "?"
