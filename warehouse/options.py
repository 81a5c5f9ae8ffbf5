"""Options that several commands share, and the refusal of options that would have no effect."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from typing import Any

from warehouse import project
from warehouse.errors import WarehouseError

# Options of dbt that choose the database or the files of a run -> dbt's variables for them.
_DBT_VARIABLES = {
    "--target": "DBT_TARGET",
    "--profile": "DBT_PROFILE",
    "--profiles-dir": "DBT_PROFILES_DIR",
    "--target-path": "DBT_TARGET_PATH",
}
# One-letter flags can precede -t in one word: -xt prod, -tprod.
_SHORT_TARGET = re.compile("-[dxqf]*t(?P<value>.*)")


def day(text: str, option: str) -> date:
    """The day in an option.

    Raises:
        WarehouseError: it is not an ISO date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WarehouseError(f"{option} must be a date such as 2026-10-31, got {text!r}.") from None


def moment_of(as_of: str | None) -> datetime:
    """The moment of `--as-of`: the end of that day in UTC, at most now.

    Args:
        as_of: an ISO date; None means now.

    Raises:
        WarehouseError: it is not a date, or in the future (a wrong clock must not delete data).
    """
    now = datetime.now(UTC)
    if as_of is None:
        return now
    end = datetime.combine(day(as_of, "--as-of"), clock.max, UTC)
    if end.date() > now.date():
        raise WarehouseError(f"--as-of {as_of} is in the future; today is {now.date()} in UTC.")
    return min(end, now)


def refuse_unused(given: Mapping[str, Any], needed: str) -> None:
    """Refuse options that would have no effect in combination with the others.

    Args:
        given: option -> its value; None or False if the user did not give it.
        needed: when the options are allowed, to complete "is allowed only ...".

    Raises:
        WarehouseError: one of them was given.
    """
    used = [
        option
        if value is True
        else f"{option} {value:g}"
        if isinstance(value, float)
        else f"{option} {value}"
        for option, value in given.items()
        if value is not None and value is not False
    ]
    if used:
        verb = "is" if len(used) == 1 else "are"
        raise WarehouseError(f"{', '.join(used)} {verb} allowed only {needed}.")


def follow_dbt(arguments: Sequence[str]) -> None:
    """Let options of dbt that choose the database or the files of a run apply to this command too.

    Args:
        arguments: the arguments that are passed to dbt.

    Raises:
        WarehouseError: they choose another project than that of this command.
    """
    for position, argument in enumerate(arguments):
        name, has_value, value = argument.partition("=")
        short = _SHORT_TARGET.fullmatch(argument)
        if short:
            name, value = "--target", short["value"].removeprefix("=")
            has_value = value
        if not has_value:
            value = next(iter(arguments[position + 1 : position + 2]), "")
        if not value:
            continue
        if name in _DBT_VARIABLES:
            os.environ[_DBT_VARIABLES[name]] = value
        elif name == "--project-dir" and Path(value).resolve() != project.root().resolve():
            raise WarehouseError(
                f"--project-dir {value} is not the project of this command ({project.root()}): "
                "run the command in the folder of the other project."
            )
