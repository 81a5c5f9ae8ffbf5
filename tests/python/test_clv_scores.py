"""The scores in plain SQL: the literature's numbers, and a random grid against 40 digits."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import dbt_project
import mpmath
import pytest
from conftest import new_database

from warehouse import clv_data

pytestmark = pytest.mark.dbt

CDNOW = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
CDNOW_MODIFIED = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
CLOSE = 1e-9

QUERY = """
with

pairs as (select distinct repeat_purchases, age_weeks from histories),

scores as ({{ score_purchase_histories('pairs', 'parameters') }}),

odds as (
    select histories.*, {{ log_odds_of_having_left() }} as log_odds
    from histories
    cross join parameters
)

select
    odds.number,
    {{ p_alive('odds.log_odds') }},
    scores.orders_30d, scores.orders_90d, scores.orders_365d, scores.discounted_orders,
    scores.by_r, scores.by_alpha, scores.by_a, scores.by_b
from odds
inner join scores
    on odds.repeat_purchases = scores.repeat_purchases and odds.age_weeks = scores.age_weeks
order by odds.number
"""


class Scorer:
    """The macros, compiled once, over tables of a session."""

    def __init__(self, database: Any) -> None:
        results = dbt_project.run(database, "compile", options=("--inline", QUERY))
        self.query = clv_data.compiled(results).compiled_code
        self.database = database

    def __call__(
        self,
        histories: Sequence[tuple[int, float, float]],
        *,
        model: str = "bg-nbd",
        weeks: float | None = None,
        **parameters: float,
    ) -> list[tuple[float, ...]]:
        """Score histories of (x, t_x, T).

        Args:
            histories: what to score.
            model: bg-nbd or mbg-nbd.
            weeks: a horizon that takes the place of 365 days.
            parameters: r, alpha, a, b.

        Returns:
            Per history P(alive), then what is expected while alive.
        """
        query = self.query
        if weeks is not None:
            assert query.count("52.142857142857146::") == 1
            query = query.replace("52.142857142857146::", f"{weeks}::")
        with self.database.connect() as session:
            session.execute(
                "create temporary table histories (number int, repeat_purchases bigint,"
                " recency_weeks float8, age_weeks float8)"
            )
            with session.cursor().copy("copy histories from stdin") as copy:
                for number, row in enumerate(histories):
                    copy.write_row((number, *row))
            session.execute(
                "create temporary table parameters as select %s::float8 as r, %s::float8 as alpha,"
                " %s::float8 as a, %s::float8 as b, %s::int as may_leave_at_once,"
                " 0.01::float8 as monthly_discount",
                [*(parameters[name] for name in ("r", "alpha", "a", "b")), model == "mbg-nbd"],
            )
            return [row[1:] for row in session.execute(query).fetchall()]


@pytest.fixture(scope="module")
def score(server: Any) -> Iterator[Scorer]:
    with new_database(server) as database:
        yield Scorer(database)


# --- The literature ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weeks", "history", "p_alive", "orders"),
    [
        (39, (2, 30.43, 38.86), 0.72657857, 1.22602817),
        (39, (0, 0, 38.86), 1, 0.19509805),
        (39, (1, 1.71, 38.86), 0.21210099, 0.20318699),
        (52, (10, 35, 38.86), 0.84694141, 7.73889200),
        (52, (29, 38, 39), 0.95100337, 24.16145088),
        (104, (200, 38, 39), 0.70495305, 197.03011916),
        (520, (1, 0.5, 1), 0.73061189, 11.84455732),
    ],
)
def test_bg_nbd_of_the_literature(
    score: Scorer, weeks: float, history: tuple, p_alive: float, orders: float
) -> None:
    """The first is published as 1.226; the others have z up to 0.99 and x up to 200."""
    ((alive, _, _, found, *_),) = score([history], weeks=weeks, **CDNOW)

    assert alive == pytest.approx(p_alive, abs=5.1e-9)
    assert alive * found == pytest.approx(orders, abs=5.1e-9)


@pytest.mark.parametrize(
    ("history", "p_alive", "orders"),
    [
        ((2, 30.43, 38.86), 0.70620227, 1.26296062),
        ((0, 0, 38.86), 0.38973508, 0.15401275),
        ((1, 1.71, 38.86), 0.17083648, 0.18883654),
    ],
)
def test_mbg_nbd_of_the_literature(
    score: Scorer, history: tuple, p_alive: float, orders: float
) -> None:
    ((alive, _, _, found, *_),) = score([history], model="mbg-nbd", weeks=39, **CDNOW_MODIFIED)

    assert alive == pytest.approx(p_alive, abs=5.1e-9)
    assert alive * found == pytest.approx(orders, abs=5.1e-9)


@pytest.mark.parametrize(
    ("history", "mean", "value"),
    [
        ((2, 30.43, 38.86), 22.35, 36.28921),
        ((1, 1.71, 38.86), 11.77, 4.63729),
        ((0, 0, 38.86), 0.0, 8.36900),
    ],
)
def test_lifetime_value_of_the_literature(
    score: Scorer, history: tuple, mean: float, value: float
) -> None:
    """Months of 4.345 weeks, 1 % a month, Gamma-Gamma with p 6.25, q 3.74, v 15.44."""
    ((alive, _, _, _, discounted, *_),) = score([history], **CDNOW)
    x = history[0]
    order_value = 6.25 * (15.44 + x * mean) / (6.25 * x + 3.74 - 1)

    assert alive * discounted * order_value == pytest.approx(value, abs=5.1e-6)


# --- Forty digits -----------------------------------------------------------------------------


def exact(x: int, age: float, weeks: Any, model: str, **given: float) -> mpmath.mpf:
    """What the textbook's form gives for who is alive."""
    r, alpha, a, b = (mpmath.mpf(given[name]) for name in ("r", "alpha", "a", "b"))
    b += model == "mbg-nbd"
    if abs(a - 1) < mpmath.mpf(10) ** -12:
        a += mpmath.mpf(10) ** -20
    until = alpha + age + weeks
    series = mpmath.hyp2f1(r + x, b + x, a + b + x - 1, weeks / until)
    return (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / until) ** (r + x) * series)


CASES = [
    {"model": "bg-nbd", **CDNOW},
    {"model": "mbg-nbd", **CDNOW_MODIFIED},
    {"model": "bg-nbd", "r": 0.5, "alpha": 0.53, "a": 1.0, "b": 2.0},  # z up to 0.99
    {"model": "bg-nbd", "r": 0.5, "alpha": 0.53, "a": 1 + 1e-9, "b": 2.0},
    {"model": "mbg-nbd", "r": 3.0, "alpha": 0.53, "a": 0.2, "b": 0.3},  # terms of both signs
    {"model": "bg-nbd", "r": 1.3, "alpha": 2.0, "a": 0.8, "b": 0.5},
    {"model": "bg-nbd", "r": 1.5, "alpha": 2.0, "a": 1.5, "b": 1.0},  # a series that ends
    {"model": "bg-nbd", "r": 2.5, "alpha": 1.0, "a": 4.0, "b": 3.0},
    {"model": "bg-nbd", "r": 0.826, "alpha": 9.84, "a": 0.00344, "b": 6.749},
]


def random_case(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)  # noqa: S311 - test data
    return {
        "model": chance.choice(("bg-nbd", "mbg-nbd")),
        "r": chance.uniform(0.05, 4),
        "alpha": 10 ** chance.uniform(-0.27, 1.5),
        "a": 10 ** chance.uniform(-2, 0.6),
        "b": 10 ** chance.uniform(-1, 1.5),
    }


@pytest.mark.parametrize("given", [*CASES, *map(random_case, range(6))], ids=str)
def test_scores_agree_with_forty_digits(score: Scorer, given: dict[str, Any]) -> None:
    chance = random.Random(str(given))  # noqa: S311 - test data
    histories = [(0, 0.0, 0.0), (200, 1.0, 1.0), (200, 100.0, 143.0)]
    for _ in range(25):
        x, age = chance.choice((0, 1, 2, chance.randint(3, 200))), chance.randint(0, 1000) / 7
        histories.append((x, chance.uniform(0, age) if x else 0.0, age))
    found = score(histories, **given)

    with mpmath.workdps(40):
        month = mpmath.mpf("4.345")
        for (x, recency, age), (alive, *orders, discounted, _, _, _, _) in zip(
            histories, found, strict=True
        ):
            for days, value in zip((30, 90, 365), orders, strict=True):
                right = exact(x, age, mpmath.mpf(days) / 7, **given)
                assert abs(value - right) <= CLOSE * max(right, 1), (x, age, days)
            months = [exact(x, age, month * n, **given) for n in range(13)]
            right = sum((months[n] - months[n - 1]) / mpmath.mpf("1.01") ** n for n in range(1, 13))
            assert abs(discounted - right) <= CLOSE * max(right, 1), (x, age)
            shift = given["model"] == "mbg-nbd"
            odds = mpmath.mpf(0)
            if x + shift > 0:
                odds = given["a"] / mpmath.mpf(given["b"] + x + shift - 1)
                odds *= ((given["alpha"] + mpmath.mpf(age)) / (given["alpha"] + recency)) ** (
                    given["r"] + x
                )
            assert abs(alive - 1 / (1 + odds)) <= CLOSE, (x, recency, age)


@pytest.mark.parametrize("given", [CASES[0], CASES[1], CASES[4], random_case(3)], ids=str)
def test_elasticities_are_those_of_a_year(score: Scorer, given: dict[str, Any]) -> None:
    """By how many per cent the orders of 12 months rise when a parameter rises by one."""
    histories = [(0, 0.0, 20.0), (1, 3.0, 40.0), (12, 30.0, 33.0)]
    found = score(histories, **given)

    with mpmath.workdps(40):
        weeks = mpmath.mpf("4.345") * 12
        for (x, _, age), (*_, by_r, by_alpha, by_a, by_b) in zip(histories, found, strict=True):
            for name, slope in zip(
                ("r", "alpha", "a", "b"), (by_r, by_alpha, by_a, by_b), strict=True
            ):

                def logarithm(value: Any, name: str = name, x: int = x, age: float = age) -> Any:
                    changed = {**given, name: mpmath.exp(value)}
                    return mpmath.log(exact(x, age, weeks, **changed))

                right = mpmath.diff(logarithm, mpmath.log(given[name]))
                assert slope == pytest.approx(float(right), abs=2e-6), (name, x)


def test_a_user_who_is_surely_gone_stops_no_build(score: Scorer) -> None:
    """The odds have more digits than the type; their probability is 0."""
    ((alive, *orders, _, _, _, _, _),) = score([(200, 0.1, 500.0)], **CDNOW)

    assert alive == 0
    assert all(value > 0 for value in orders)


def test_scores_do_not_depend_on_who_else_is_scored(score: Scorer) -> None:
    """To the last digit, or an incremental build would differ from a full one."""
    chance = random.Random(5)  # noqa: S311 - test data
    histories = [(chance.randint(0, 40), 0.0, chance.randint(0, 700) / 7) for _ in range(400)]
    together = score(histories, **CDNOW)

    assert [score([history], **CDNOW)[0] for history in histories[:25]] == together[:25]
    assert score(histories[::-1], **CDNOW) == together[::-1]
