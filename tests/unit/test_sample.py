"""The arguments of the sample generator."""

from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.errors import WarehouseError
from warehouse.sample.command import make_plan

SMALL = {"users": 600, "days": 90, "seed": 7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": 0}, "--users must be from 1"),
        ({"users": -5}, "got -5"),
        ({"users": 10**9}, "--users must be from 1"),
        ({"days": 0}, "--days must be from 1"),
        ({"seed": -1}, "--seed must be 0 or more, got -1"),
        ({"kind": "xlsx"}, "parquet, csv, csv.gz, jsonl, got 'xlsx'"),
        ({"loads": 0}, "--loads must be from 1"),
        ({"loads": 91}, "number of days (90), got 91"),
        ({"dirty": -0.1}, "--dirty is a share from 0 to 0.2, got -0.1"),
        ({"dirty": 1.0}, "--dirty is a share"),
        ({"dirty": float("nan")}, "--dirty is a share"),
        ({"events_per_session": 0}, "--events-per-session must be from 1"),
        ({"end_date": "31.10.2026"}, "--end-date must be a date such as 2026-10-31"),
        ({"start_date": "2026-13-01"}, "--start-date must be a date"),
        ({"start_date": "2026-01-01", "end_date": "2026-02-01"}, "not both"),
        ({"end_date": "0001-01-02"}, "does not fit"),
        ({"end_date": "2500-01-02"}, "between 1900 and 2200"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        make_plan(**{**SMALL, "out": tmp_path, **arguments})
    assert message in str(caught.value)
