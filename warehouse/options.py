"""Options that several commands share, and the refusal of options that would have no effect."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
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
    """The moment of `--as-of`: the end of that day in the project's `time_zone`, at most now.

    Args:
        as_of: an ISO date; None means now.

    Returns:
        The moment in `time_zone`, so that its date is the day that the models count.

    Raises:
        WarehouseError: it is not a date, or in the future (a wrong clock must not delete data).
    """
    zone = project.time_zone()
    now = datetime.now(zone)
    if as_of is None:
        return now
    given = day(as_of, "--as-of")
    if given > now.date():
        where = project.variable("time_zone", "UTC")
        raise WarehouseError(f"--as-of {as_of} is in the future; today is {now.date()} in {where}.")
    # Not 23:59 of the day, which a clock change may leave out. As in start_of_day of the models, a
    # midnight that comes twice is the first one, and one that does not exist is the clock change.
    tomorrow = given + timedelta(days=1)
    midnight = datetime.combine(tomorrow, clock(), zone)
    readings = [midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    end = min(each for each in readings if each.astimezone(zone).date() >= tomorrow)
    return min(end - timedelta(microseconds=1), now.astimezone(UTC)).astimezone(zone)


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
