"""The dbt project: its folder, its variables, and the folder of the embedded server."""

from __future__ import annotations

import os
import re
import zoneinfo
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from warehouse.errors import WarehouseError

HOME_VARIABLE = "WAREHOUSE_HOME"


def root() -> Path:
    """The folder of the dbt project: the nearest one at or above the working directory that has
    a `dbt_project.yml`, else the checkout that this package is installed from.

    Raises:
        WarehouseError: there is none.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "dbt_project.yml").is_file():
            return folder
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "dbt_project.yml").is_file():
        return checkout
    raise WarehouseError(
        "There is no dbt_project.yml here or above: run this in the project's folder."
    )


def home() -> Path:
    """The folder of the embedded server: `WAREHOUSE_HOME`, relative to the project's folder as in
    profiles.yml; default `.warehouse`.

    Raises:
        WarehouseError: another user made it a link.
    """
    named = root() / Path(os.environ.get(HOME_VARIABLE) or ".warehouse").expanduser()
    if named.is_symlink() and named.lstat().st_uid not in (os.geteuid(), 0):
        raise WarehouseError(
            f"{named} is a link of another user (id {named.lstat().st_uid}): remove it, or set "
            f"{HOME_VARIABLE} to a folder of yours."
        )
    return named.resolve()


def is_set(name: str) -> bool:
    """Whether an environment variable switches something on: not if it is empty, 0, false or no."""
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no")


def whole_number(text: str, least: int, greatest: int) -> bool:
    """Whether a text is a whole number in these bounds, in ASCII digits."""
    return bool(re.fullmatch("[0-9]{1,9}", text)) and least <= int(text) <= greatest


def variable(name: str, default: Any = None) -> Any:
    """A variable of the project, from dbt_project.yml; ignores `--vars` of dbt.

    Args:
        name: the name of the variable.
        default: the value of a variable that dbt_project.yml does not have; None refuses it.

    Raises:
        WarehouseError: dbt_project.yml does not have it, and there is no default.
    """
    import yaml

    file = root() / "dbt_project.yml"
    try:
        given = (yaml.safe_load(file.read_text()) or {}).get("vars") or {}
    except (yaml.YAMLError, ValueError) as error:  # such as the date 2026-11-31
        raise WarehouseError(f"{file} cannot be read: {' '.join(str(error).split())}.") from None
    if name not in given and default is not None:
        return default
    if name not in given:
        raise WarehouseError(f"The variable {name} is missing in dbt_project.yml, under vars.")
    return given[name]


def time_zone() -> tzinfo:
    """The zone of the variable `time_zone`, whose days the models count.

    Raises:
        WarehouseError: Python's database of time zones does not have it.
    """
    name = variable("time_zone", "UTC")
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise WarehouseError(
            f"The variable time_zone in dbt_project.yml is {name!r}; it takes UTC, or the name of a"
            " region and city that the system's tzdata has, such as America/New_York."
        ) from None
