"""The day from which retention counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from warehouse import options
from warehouse.errors import WarehouseError


def test_the_day_to_count_from_is_checked() -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    with pytest.raises(WarehouseError, match="is in the future"):
        options.moment_of(tomorrow.isoformat())
    with pytest.raises(WarehouseError, match="must be a date such as 2026-10-31, got 'soon'"):
        options.moment_of("soon")
    assert options.moment_of("2026-01-31").date().isoformat() == "2026-01-31"
