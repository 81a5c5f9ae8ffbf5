"""Lifetime value: writing the result of a backtest into a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.clv import backtest as clv_backtest
from warehouse.errors import WarehouseError


@pytest.mark.parametrize("held", ["", "no marks", "{1}\n{0}", "{0}"])
def test_a_document_without_marks_is_refused(tmp_path: Path, held: str) -> None:
    document = tmp_path / "page.md"
    document.write_text(held.format(*clv_backtest.MARKS))
    with pytest.raises(WarehouseError, match="needs these two lines"):
        clv_backtest.write_between_marks(document, "text")
