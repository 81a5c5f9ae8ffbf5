"""`warehouse check`: compare the raw tables with the source contract, without building."""

from __future__ import annotations

from warehouse import console, dbt
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings


def check() -> None:
    """Compare the raw tables with the source contract, and list all differences at once.

    Checks the tables in the variable sources_present: that they exist and may be read, and that
    their columns have the contract's types. Warns of other tables of the contract that have rows.
    Every build does this first.
    """
    preflight(settings())
    console.say(dbt.run_operation("check_sources"))
