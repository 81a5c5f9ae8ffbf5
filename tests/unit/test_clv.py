"""Lifetime value: the document of a backtest, and what to try after a refused fit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from warehouse.clv import backtest as clv_backtest
from warehouse.clv.command import next_step
from warehouse.clv.data import Fit
from warehouse.clv.fit import Estimate
from warehouse.errors import WarehouseError


@pytest.mark.parametrize("held", ["", "no marks", "{1}\n{0}", "{0}"])
def test_a_document_without_marks_is_refused(tmp_path: Path, held: str) -> None:
    document = tmp_path / "page.md"
    document.write_text(held.format(*clv_backtest.MARKS))
    with pytest.raises(WarehouseError, match="needs these two lines"):
        clv_backtest.write_between_marks(document, "text")


@pytest.mark.parametrize(
    ("model", "estimate", "said"),
    [
        ("mbg-nbd", None, "simple_value of user_clv needs no fit"),
        ("mbg-nbd", Estimate, "--model bg-nbd"),
        ("bg-nbd", Estimate, "--model mbg-nbd"),
    ],
)
def test_a_refused_fit_says_what_to_try(model: str, estimate: Any, said: str) -> None:
    found = Fit(model, datetime(2026, 1, 1, tzinfo=UTC), 900, 300, estimate, None, None, "reason")
    assert said in next_step(found)
