"""The rates of the anomalies are measured as docs/anomalies.md says."""

from __future__ import annotations

import datetime as dt

import pytest

from benchmarks import anomalies
from tests.support.planted_faults import KINDS, SHOP, Fault
from warehouse.server import Server


@pytest.mark.long
def test_a_small_sample_is_measured(server: Server) -> None:
    trial = anomalies.Trial(server, "sample", anomalies.THRESHOLD, users=4_000, days=90)
    trial.run(rounds=1, seed=1)
    rates = trial.rates
    assert rates.planted.total() >= 5 and rates.found.total() >= 0.8 * rates.planted.total()
    assert rates.shop_planted.total() >= 5
    assert rates.wrong <= anomalies.WRONG_AT_MOST * rates.values and rates.values > 3_000
    assert len(rates.missed) == rates.planted.total() - rates.found.total()


def test_the_numbers_are_written_as_tables() -> None:
    rates = anomalies.Rates(values=1000, wrong=3, days=40, wrong_days=2)
    rates.planted.update({kind: 10 for kind in KINDS})
    rates.found.update({kind: 9 for kind in KINDS})
    rates.shop_planted.update(halved=4)
    rates.missed.append(Fault("halved", SHOP, dt.date(2026, 1, 1)))
    text = anomalies.as_markdown({"sample": rates})
    assert "| half of the rows missing | 9 of 10 |" in text
    assert "| found | **90.0 %** of 60 |" in text
    assert "| half of the orders missing | 0 of 4 |" in text
    assert "| called anomalous | 3 (**0.3 %**) |" in text
    assert "| days with any anomaly | 2 (5.0 %) |" in text
