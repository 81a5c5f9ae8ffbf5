"""Every variable of the project is checked before a build, and all mistakes are listed at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dbt_project
from tests.support.small_project import run, write_project

VARIABLES = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())["vars"]
WRONG = {
    "time_zone": "UTC 3",
    "as_of": "2026-02-30",
    "from": "01/02/2026",
    "to": "tomorrow",
    "sources_present": "users",
    "contract_tables": 5,
    "calendar_start": "19'00-01-01",
    "calendar_end": "2101",
    "reporting_currency": "euro",
    "exchange_rate_valid_days": 0,
    "stitch_sessions": "yes",
    "max_excluded_share": 10,
    "accept_excluded": "yes",
    "max_lost_share": "1/5",
    "accept_volumes": "once",
    "full_refresh_max_loss": "a tenth",
    "allow_loss": 1,
    "load_overlap": "1 day'",
    "whole_tests_every": "week'",
    "min_quality_score": 101,
    "publish_untested": "often",
    "run_results_retention": "year'",
    "archive_store": " ",
    "index_lock_timeout": "soon",
    "replace_lock_timeout": 800,
    "replace_lock_attempts": 0,
    "simple_clv_factor": "1,2",
    "clv_monthly_discount": 2,
    "marketing_purpose": " ",
    "rfm_window_months": "NaN",
    "anomaly_days": 0,
    "anomaly_threshold": "high",
    "known_anomalies": "2026-12-25",
    "dbt_date:time_zone": "Nowhere/Land",
    "exact_schema_targets": "production",
}
# What PostgreSQL judges, and names that do not exist; each run names all of them.
LATER = (
    {
        ("load_overlap", "a while"): "'a while'; it takes an interval from 0",
        ("calendar_start", "2026-13-01"): "'2026-13-01'; it takes a date such as 2026-01-31",
        ("asof", "2026-01-31"): "The variable 'asof' does not exist; did you mean as_of?",
        ("load_overlp", "1 day"): "'load_overlp' does not exist; did you mean load_overlap?",
        ("RFM_window_month", 3): "did you mean rfm_window_months?",
        ("as_off", "2026-01-31"): "did you mean as_of?",
    },
    {
        ("stitch_sessions", True): "stitch_sessions is true, and sources_present lacks 'events'",
        ("sources_present", ("users", "orders")): "lacks 'user_sessions', which it reads",
        ("max_excluded_share", None): "max_excluded_share is 'null'; it takes a share",
        ("full_refresh_max_loss", None): "full_refresh_max_loss is 'null'; it takes a share",
    },
    {("load_overlap", "-1 day"): "'-1 day'; it takes an interval from 0"},
    {("calendar_end", "1899-12-31"): "it takes a day after calendar_start, 1900-01-01"},
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one model."""
    folder = tmp_path_factory.mktemp("variables") / "project"
    return write_project(folder, {"one": "select 1 as id"})


def test_every_wrong_variable_is_named_at_once(database: Any, project: Path) -> None:
    assert [name for name in VARIABLES if name not in WRONG] == []
    with pytest.raises(dbt_project.DbtFailed) as failure:
        run(database, project, variables=WRONG)
    said = str(failure.value)
    expected = [f"The variable {name} is '{value}'; it takes" for name, value in WRONG.items()]
    assert [each for each in expected if each not in said] == [], said


def test_what_only_postgres_knows_and_misspelled_names(database: Any, project: Path) -> None:
    for mistakes in LATER:
        with pytest.raises(dbt_project.DbtFailed) as failure:
            run(database, project, variables=dict(mistakes.keys()))
        assert [each for each in mistakes.values() if each not in str(failure.value)] == []


def test_good_values_are_taken(database: Any, project: Path) -> None:
    """Among them a variable of the user's own."""
    run(database, project, variables=GOOD)


GOOD = {
    "as_of": "2024-02-29T12:00:00.5Z",
    "from": "2024-01-31 12:00+01:30",
    "to": "2024-02-29",
    "calendar_start": "1970-01-01",
    "load_overlap": "P1DT2H",
    "index_lock_timeout": "1h",
    "replace_lock_timeout": "2 s",
    "replace_lock_attempts": "3",
    "max_excluded_share": 0.00001,
    "simple_clv_factor": 0.5,
    "clv_monthly_discount": "1e-3",
    "rfm_window_months": 1200,
    "anomaly_days": 365,
    "anomaly_threshold": 4.5,
    "known_anomalies": [
        {"day": "2026-12-25"},
        {"from": "2026-01-01", "table_name": "orders", "measure": "rows", "column_name": "*"},
    ],
    "dbt_date:time_zone": "Europe/Berlin",
    "exact_schema_targets": ["dev", "prod"],
    "factor": 3,
    "tier": "all",
}
