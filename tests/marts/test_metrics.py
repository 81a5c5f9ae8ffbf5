"""MetricFlow reads the semantic models and returns the same numbers as SQL on the marts.

`mf` is installed in its own environment by `make metrics`; without it the tests that call it are
skipped. All tests share one warehouse, which never changes.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.replay.histories import CLV_ESTIMATE
from tests.support import dbt_project
from tests.support.database import new_database

# make metrics runs them too.
pytestmark = pytest.mark.long

ROOT = dbt_project.ROOT
MF = ROOT / ".venv-mf" / "bin" / "mf"

needs_metricflow = pytest.mark.skipif(
    not MF.exists(), reason="MetricFlow is not installed: run make metrics"
)


# Importing mf takes longer than a query, so one process asks all of them.
ASK = """
import json, sys
from dbt_metricflow.cli.main import cli
for arguments in json.load(sys.stdin):
    cli(arguments, standalone_mode=False)
"""


def call(database: Any, *command: str, given: str = "") -> str:
    """Run a command of MetricFlow's environment in the project's folder and return its output.

    A failing command fails the test. `given` is its standard input.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    answer = subprocess.run(
        [str(MF.parent / command[0]), *command[1:]],
        cwd=ROOT,
        env={**kept, **database.environment, "DBT_PROFILES_DIR": str(ROOT), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        input=given,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 0, f"{command}: {answer.stdout[-2000:]}{answer.stderr[-2000:]}"
    return answer.stdout


@pytest.fixture(scope="module")
def parsed(server: Any, sample_warehouse: Any) -> Iterator[Any]:
    """The built sample with predictions, and the semantic manifest in target/ for mf."""
    with new_database(server, template=sample_warehouse.name) as made:
        columns = {**CLV_ESTIMATE, "model": "mbg-nbd", "as_of": "2020-01-01", "users": 1}
        with made.connect() as session:
            session.execute(
                f"insert into ml.clv_parameters ({', '.join(columns)}, repeaters)"
                f" values ({', '.join(['%s'] * len(columns))}, 1)",
                list(columns.values()),
            )
        dbt_project.run(made, "run", "int_clv_parameters", "user_clv")
        call(made, "dbt", "--quiet", "parse")
        yield made


@needs_metricflow
def test_the_configuration_is_valid(parsed: Any) -> None:
    """Also against the database: mf queries each measure, dimension and metric once."""
    said = call(parsed, "mf", "validate-configs")
    found = [line for line in said.splitlines() if "Successfully validated" in line]
    assert len(found) >= 6, said
    assert all("ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0" in line for line in found), said


class Question(NamedTuple):
    """Metrics by some dimensions, and the SQL on the marts that returns the same table."""

    metrics: str
    group_by: str
    sql: str


QUESTIONS = {
    "revenue by month": Question(
        "gross_revenue,orders,refunds,net_revenue,average_order_value",
        "metric_time__month",
        """
        select date_trunc('month', revenue_date)::date, sum(gross_revenue), sum(orders),
            sum(refunds), sum(revenue), sum(revenue) / nullif(sum(orders), 0)
        from marts.daily_revenue group by 1
        """,
    ),
    "revenue by the tier of then": Question(
        "revenue,orders",
        "user_version__subscription_tier",
        """
        select subscription_tier, sum(net_amount), sum(is_revenue::int)
        from marts.fct_orders inner join marts.dim_users using (user_key) group by 1
        """,
    ),
    "active users": Question(
        "daily_active_users,weekly_active_users,monthly_active_users,stickiness,sessions,active_users",
        "metric_time__day",
        """
        select metric_date, daily_active_users, weekly_active_users, monthly_active_users,
            daily_active_users::numeric / monthly_active_users, sessions, daily_active_users
        from marts.active_users
        """,
    ),
    "active users by month": Question(
        "daily_active_users,weekly_active_users,monthly_active_users,stickiness",
        "metric_time__month",
        """
        select distinct on (1) date_trunc('month', metric_date)::date,
            daily_active_users, weekly_active_users, monthly_active_users,
            daily_active_users::numeric / monthly_active_users
        from marts.active_users
        order by 1, metric_date desc
        """,
    ),
    "sessions per user by month": Question(
        "active_users,sessions_per_user",
        "metric_time__month",
        """
        select date_trunc('month', metric_date)::date, count(distinct user_id),
            sum(sessions)::numeric / count(distinct user_id)
        from marts.user_daily_metrics where is_active group by 1
        """,
    ),
    "retention": Question(
        "retained_users,cohort_users,retention_rate,cohort_revenue",
        "cohort__months_since",
        """
        select months_since, sum(active_users), sum(users), sum(active_users) / sum(users),
            sum(revenue)
        from marts.cohort_retention group by 1
        """,
    ),
    "lifetime value by segment": Question(
        "historic_value,valued_users,average_historic_value,predicted_value",
        "user__rfm_segment",
        """
        select rfm_segment, sum(historic_value), count(*), avg(historic_value), sum(predicted_value)
        from marts.user_clv inner join marts.user_segments using (user_id) group by 1
        """,
    ),
    "new users by month": Question(
        "new_users",
        "metric_time__month",
        """
        select date_trunc('month', signup_date)::date, count(*) from marts.user_segments group by 1
        """,
    ),
}


def plain(cell: Any) -> str:
    """Normalize a cell as text: numbers rounded to eight digits, dates without a time of day."""
    text = "" if cell is None else str(cell).removesuffix(" 00:00:00")
    try:
        return str(round(Decimal(text), 8).normalize() + 0)
    except ArithmeticError:
        return text


@pytest.fixture(scope="module")
def answers(parsed: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the answers of mf to `QUESTIONS`, as CSV files."""
    folder = tmp_path_factory.mktemp("answers")
    asked = [
        [
            *("query", "--metrics", question.metrics, "--group-by", question.group_by),
            *("--csv", str(folder / f"{name}.csv")),
        ]
        for name, question in QUESTIONS.items()
    ]
    call(parsed, "python", "-c", ASK, given=json.dumps(asked))
    return folder


@needs_metricflow
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_metric_is_what_the_marts_say(parsed: Any, answers: Path, name: str) -> None:
    question = QUESTIONS[name]
    with (answers / f"{name}.csv").open(newline="") as opened:
        header, *answer = csv.reader(opened)
    names = question.metrics.split(",")
    assert sorted(header[1:]) == sorted(names)
    # mf returns the metrics in its own order.
    places = [0, *(header.index(name) for name in names)]
    with parsed.connect() as session:
        expected = session.execute(question.sql).fetchall()

    assert len(expected) > 1
    assert sorted([plain(row[place]) for place in places] for row in answer) == sorted(
        [plain(cell) for cell in row] for row in expected
    )


def test_every_metric_is_asked_for() -> None:
    """A test compares every metric with SQL."""
    files = (ROOT / "models" / "metrics").glob("sem_*.yml")
    metrics = [
        metric["name"] for file in files for metric in yaml.safe_load(file.read_text())["metrics"]
    ]
    asked = [name for question in QUESTIONS.values() for name in question.metrics.split(",")]
    assert sorted(set(metrics)) == sorted(set(asked))
