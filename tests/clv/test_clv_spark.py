"""The scores in Spark: the same macros, rendered as Spark SQL, compared with forty digits.

`make test-spark` installs Spark beside the project and runs these tests. The project's macros
select engine-specific SQL with `adapter.dispatch`; here a stand-in selects the SQL for Spark,
without a dbt adapter.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import jinja2
import pytest

from tests.clv.test_clv_scores import CASES, CORNERS, QUERY, SPENDING, check, random_case
from tests.support import dbt_project

sql = pytest.importorskip("pyspark.sql", reason="Spark is installed by make test-spark")
FOLDERS = ("sql", "clv")


def rendered(query: str) -> str:
    """Render a query with the macros of `FOLDERS` as Spark SQL."""
    files = [
        path
        for folder in FOLDERS
        for path in sorted((dbt_project.ROOT / "macros" / folder).rglob("*.sql"))
    ]
    macros = "".join(path.read_text() for path in files)
    known = set(re.findall(r"macro (\w+)\(", macros))

    def chosen(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"spark__{name}" if f"spark__{name}" in known else f"default__{name}"

    macros = re.sub(r"adapter\.dispatch\('(\w+)'\)", chosen, macros)
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # noqa: S701 - no HTML
    return environment.from_string(macros + query).render({"return": str})


class SparkScorer:
    """The macros, rendered once, applied to views of a session."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.query = rendered(QUERY)

    def __call__(
        self,
        histories: Sequence[tuple[float, ...]],
        *,
        weeks: float,
        model: str = "bg-nbd",
        **parameters: float,
    ) -> list[tuple[float, ...]]:
        """Score histories in Spark, as the scorer of test_clv_scores does."""
        assert self.query.count("52.142857142857146::") == 1
        rows = ", ".join(
            f"({number}, {x}, {recency!r}d, {age!r}d, {float(*(mean or [0]))!r}d)"
            for number, (x, recency, age, *mean) in enumerate(histories)
        )
        self.session.sql(
            "create or replace temporary view histories as select number,"
            " repeat_purchases::bigint as repeat_purchases, recency_weeks, age_weeks,"
            f" mean_repeat_amount from values {rows}"
            " as t (number, repeat_purchases, recency_weeks, age_weeks, mean_repeat_amount)"
        )
        given = {**SPENDING, **parameters}
        self.session.sql(
            "create or replace temporary view parameters as select "
            + ", ".join(f"{given[name]!r}d as {name}" for name in sorted(given))
            + f", {int(model == 'mbg-nbd')} as may_leave_at_once, 0.01d as monthly_discount"
        )
        query = self.query.replace("52.142857142857146::", f"{weeks!r}::")
        return [tuple(row)[1:] for row in self.session.sql(query).collect()]


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkScorer]:
    assert shutil.which("java"), "Spark needs Java 17 or newer, and there is no java on the PATH"
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark")))
        .getOrCreate()
    )
    yield SparkScorer(session)
    session.stop()


@pytest.mark.parametrize("given", [*CASES, *CORNERS, *map(random_case, range(3))], ids=str)
def test_scores_of_spark_agree_with_forty_digits(score: SparkScorer, given: dict[str, Any]) -> None:
    year = 365 / 7
    histories = [
        *((0, 0.0, 0.0), (0, 0.0, 38.86), (1, 1.71, 38.86), (2, 30.43, 38.86)),
        *((5, 1.0, 2.0), (20, 9.0, 20.0), (200, 100.0, 143.0), (3, 2.0, 3650 / 7)),
    ]
    check(score, given, histories, year)
