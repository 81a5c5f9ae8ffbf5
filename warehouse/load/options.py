"""The options of a load."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warehouse.contract import Contract
from warehouse.errors import WarehouseError

# The loads of this many days may delete this share of a table, in percent, or this many rows.
MAX_DELETES = 10.0
DELETES_DAYS = 30
FEW_DELETES = 3


@dataclass(frozen=True)
class Options:
    """The options of a load, as the user sets them.

    Attributes:
        complete: the source has the whole table: delete the rows that are missing from it.
        loaded_at: the time to stamp the rows with; None means now.
        max_deletes: how many of a table's rows the loads of the last days may delete, in percent;
            None means MAX_DELETES.
        accept_deletes: let this load delete more than that.
        max_rejected: how many of a file's rows may be unreadable, in percent.
        allow_empty: let `complete` read an empty file as an empty table.
        tables: the tables to load; all if empty.
    """

    complete: bool = False
    loaded_at: datetime | None = None
    max_deletes: float | None = None
    accept_deletes: bool = False
    max_rejected: float = 10.0
    allow_empty: bool = False
    tables: tuple[str, ...] = ()

    def check_tables(self, contract: Contract) -> None:
        """Raise WarehouseError if one of `tables` is not in the contract."""
        unknown = [name for name in self.tables if name not in contract.tables]
        if unknown:
            verb = "is not a table" if len(unknown) == 1 else "are not tables"
            raise WarehouseError(
                f"--tables: {', '.join(unknown)} {verb} of the contract; allowed: "
                f"{', '.join(contract.tables)}."
            )
