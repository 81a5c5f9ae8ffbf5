"""The scores in SQL, compared with published numbers and with 40-digit arithmetic."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from tests.support import dbt_project, oracle
from tests.support.database import new_database
from tests.support.real_data import SHARED, needs_real_data
from warehouse import dbt
from warehouse.clv import fit as clv_fit
from warehouse.clv.fit import Purchases

CDNOW = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
CDNOW_MODIFIED = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
SPENDING = {"p": 6.25, "q": 3.74, "v": 15.44}


def close(value: float, right: Any) -> bool:
    """Whether a value is within 1e-9: relative above 1, absolute below."""
    return abs(value - right) <= 1e-9 * max(abs(right), 1)


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
    scores.by_r, scores.by_alpha, scores.by_a, scores.by_b,
    {{ expected_order_value('odds.repeat_purchases', 'odds.mean_repeat_amount') }}
from odds
cross join parameters
inner join scores
    on odds.repeat_purchases = scores.repeat_purchases and odds.age_weeks = scores.age_weeks
order by odds.number
"""


class Scorer:
    """The macros, compiled once, applied to tables of a session."""

    def __init__(self, database: Any) -> None:
        results = dbt_project.run(database, "compile", options=("--inline", QUERY))
        self.query = dbt.compiled(results).compiled_code
        self.database = database

    def __call__(
        self,
        histories: Sequence[tuple[float, ...]],
        *,
        model: str = "bg-nbd",
        weeks: float | None = None,
        **parameters: float,
    ) -> list[tuple[float, ...]]:
        """Score histories of (x, t_x, T), or of (x, t_x, T, mean amount).

        Args:
            histories: the histories to score.
            model: bg-nbd or mbg-nbd.
            weeks: a horizon that replaces 365 days.
            parameters: r, alpha, a, b.

        Returns:
            Per history P(alive), the orders expected if alive, and the expected value of an order.
        """
        parameters = {**SPENDING, **parameters}
        query = self.query
        if weeks is not None:
            assert query.count("52.142857142857146::") == 1
            query = query.replace("52.142857142857146::", f"{weeks}::")
        with self.database.connect() as session:
            session.execute(
                "create temporary table histories (number int, repeat_purchases bigint,"
                " recency_weeks float8, age_weeks float8, mean_repeat_amount float8)"
            )
            with session.cursor().copy("copy histories from stdin") as copy:
                for number, (x, recency, age, *mean) in enumerate(histories):
                    copy.write_row((number, x, recency, age, *(mean or [0.0])))
            session.execute(
                "create temporary table parameters as select %s::float8 as r, %s::float8 as alpha,"
                " %s::float8 as a, %s::float8 as b, %s::float8 as p, %s::float8 as q,"
                " %s::float8 as v, %s::int as may_leave_at_once, 0.01::float8 as monthly_discount",
                [
                    *(parameters[name] for name in ("r", "alpha", "a", "b", "p", "q", "v")),
                    model == "mbg-nbd",
                ],
            )
            return [row[1:] for row in session.execute(query).fetchall()]


@pytest.fixture(scope="module")
def score(server: Any) -> Iterator[Scorer]:
    with new_database(server) as database:
        yield Scorer(database)


# --- Published numbers ------------------------------------------------------------------------


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
    """The first is published as 1.226; the others were computed once with other software.

    The others have z up to 0.99 and x up to 200.
    """
    ((alive, _, _, found, *_),) = score([history], weeks=weeks, **CDNOW)

    assert alive == pytest.approx(p_alive, abs=5.1e-9)
    assert alive * found == pytest.approx(orders, abs=5.1e-9)
    assert close(alive, exact_p_alive(*history, "bg-nbd", **CDNOW))
    assert close(found, exact(history[0], history[2], weeks, "bg-nbd", **CDNOW))


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
    assert close(alive, exact_p_alive(*history, "mbg-nbd", **CDNOW_MODIFIED))
    assert close(found, exact(history[0], history[2], 39, "mbg-nbd", **CDNOW_MODIFIED))


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
    ((alive, _, _, _, discounted, *_, order_value),) = score([(*history, mean)], **CDNOW)

    assert alive * discounted * order_value == pytest.approx(value, abs=5.1e-6)


@pytest.mark.parametrize(
    ("weeks", "orders"),
    [
        (0.1429, 0.007828),
        (1, 0.053268),
        (3, 0.150865),
        (31.8571, 1.041996),
        (32, 1.045243),
        (39, 1.196723),
        (78, 1.860519),
    ],
)
def test_a_new_user_of_the_literature(score: Scorer, weeks: float, orders: float) -> None:
    """A user who has just bought for the first time has the expectation without a history."""
    ((alive, _, _, found, *_),) = score([(0, 0.0, 0.0)], weeks=weeks, **CDNOW)

    assert alive == 1
    assert found == pytest.approx(orders, abs=5.1e-7)


def test_order_values_of_the_literature(score: Scorer) -> None:
    """The first ten customers of CDNOW, published for unrounded parameters, and computed values."""
    once, never = (1, 11.77), (0, 0.0)
    ten = [(2, 22.35), once, never, never, never, (7, 73.74), once, never, (2, 25.55), never]
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    computed = {0: 24.66371, 1: 18.91685, 2: 35.21898, 5: 71.46967}
    found = [row[-1] for row in score([(x, 0.0, 1.0, mean) for x, mean in ten], **CDNOW)]

    assert found == pytest.approx(published, abs=0.1)
    assert {place: found[place] for place in computed} == pytest.approx(computed, abs=5.1e-6)
    assert found[8] == pytest.approx(27.29, abs=5.1e-3)


class TestRealSets:
    pytestmark = needs_real_data

    @pytest.fixture
    def histories(self) -> list[tuple[int, float, float]]:
        """The CDNOW cohort as published, with times to two decimals of a week."""
        file = SHARED / "answer_keys" / "cdnow_sample_purchase_history.csv.gz"
        rows = oracle.read_table(file).iter_rows(named=True)
        return [(int(row["x"]), float(row["t_x_weeks"]), float(row["T_weeks"])) for row in rows]

    def test_the_next_39_weeks_of_cdnow(self, score: Scorer, histories: list) -> None:
        """The expected purchases of its 2,357 users; they made 1,882."""
        found = score(histories, weeks=39, **CDNOW)

        assert len(found) == 2357
        assert sum(row[0] for row in found) / 2357 == pytest.approx(0.813414, abs=5.1e-7)
        assert sum(row[0] * row[3] for row in found) == pytest.approx(1653.95, abs=5.1e-3)

    def test_cohort_totals_of_cdnow(self, score: Scorer, histories: list) -> None:
        """The expected purchases of new users until the end of observation and 39 weeks later."""
        ages = Counter(age for _, _, age in histories)
        for later, total in ((0, 2497.56), (39, 4166.37)):
            expected = 0.0
            for age, users in ages.items():
                ((_, _, _, orders, *_),) = score([(0, 0.0, 0.0)], weeks=age + later, **CDNOW)
                expected += users * orders
            assert expected == pytest.approx(total, abs=5.1e-3)

    def test_users_of_cdnow_who_buy_once(self, histories: list) -> None:
        """The likelihood of no repeat purchase is its probability; 1,411 users made none."""
        assert chance_of_none(np.array([age for _, _, age in histories])).sum() == pytest.approx(
            1406.5, abs=0.051
        )


def chance_of_none(ages: np.ndarray) -> np.ndarray:
    """Return the probability that a new user of CDNOW buys nothing for so many weeks."""
    at = np.log([CDNOW[name] for name in ("r", "alpha", "a", "b")])
    one, none = np.ones(1), np.zeros(1)
    likelihoods = [
        clv_fit.purchase_likelihood(at, Purchases(none, none, np.array([age]), one), False)[0]
        for age in ages
    ]
    return np.exp(likelihoods)


def test_no_purchase_in_39_weeks() -> None:
    assert chance_of_none(np.array([39.0])) == pytest.approx([0.5737864], abs=5.1e-8)


# --- Forty digits -----------------------------------------------------------------------------


def exact(x: int, age: float, weeks: Any, model: str, **given: float) -> mpmath.mpf:
    """Return the expected orders of a user who is alive, by the textbook formula."""
    r, alpha, a, b = (mpmath.mpf(given[name]) for name in ("r", "alpha", "a", "b"))
    b += model == "mbg-nbd"
    if abs(a - 1) < mpmath.mpf(10) ** -12:
        a += mpmath.mpf(10) ** -20
    until = alpha + age + weeks
    series = mpmath.hyp2f1(r + x, b + x, a + b + x - 1, weeks / until)
    return (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / until) ** (r + x) * series)


def exact_p_alive(x: int, recency: float, age: float, model: str, **given: float) -> mpmath.mpf:
    """Return the probability that a user has not left."""
    r, alpha, a, b = (mpmath.mpf(given[name]) for name in ("r", "alpha", "a", "b"))
    chances = x + (model == "mbg-nbd")
    if chances == 0:
        return mpmath.mpf(1)
    odds = a / (b + chances - 1) * ((alpha + age) / (alpha + recency)) ** (r + x)
    return 1 / (1 + odds)


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
    {"model": "bg-nbd", "r": 0.8, "alpha": 6.0, "a": 0.25, "b": 0.75 + 1e-12},  # C is 0 for x = 0
]

# The corners of the bounds of ml.clv_parameters: with a large r, terms of both signs cancel.
LARGEST = {"r": clv_fit.LARGEST_R, "alpha": clv_fit.LARGEST_R / clv_fit.LARGEST_RATE}
CORNERS = [
    {"model": model, **LARGEST, "a": a, "b": b}
    for model, a, b in (
        ("bg-nbd", 3e-4, 1e-6),
        ("bg-nbd", 0.4, 0.01),
        ("mbg-nbd", 0.826, 2.515),
        ("mbg-nbd", clv_fit.LARGEST_A, 300.0),
    )
] + [
    {"model": "bg-nbd", "r": 0.14, "alpha": clv_fit.SMALLEST_ALPHA, "a": a, "b": b}
    for a, b in ((3e-4, 1e-6), (0.8, 2.5))
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


def check(score: Scorer, given: dict[str, Any], histories: list, weeks: float) -> None:
    """Compare all scores of the histories with forty digits, also the orders of `weeks` weeks."""
    found = score(histories, weeks=weeks, **given)

    with mpmath.workdps(40):
        month = mpmath.mpf("4.345")
        horizons = (mpmath.mpf(30) / 7, mpmath.mpf(90) / 7, mpmath.mpf(weeks))
        for (x, recency, age), (alive, *orders, discounted, _, _, _, _, _) in zip(
            histories, found, strict=True
        ):
            for horizon, value in zip(horizons, orders, strict=True):
                assert close(value, exact(x, age, horizon, **given)), (x, age, horizon)
            months = [exact(x, age, month * n, **given) for n in range(13)]
            right = sum((months[n] - months[n - 1]) / mpmath.mpf("1.01") ** n for n in range(1, 13))
            assert close(discounted, right), (x, age)
            assert close(alive, exact_p_alive(x, recency, age, **given)), (x, recency, age)


@pytest.mark.parametrize("given", [*CASES, *map(random_case, range(6))], ids=str)
def test_scores_agree_with_forty_digits(score: Scorer, given: dict[str, Any]) -> None:
    """Tested for z from 0.04 to 0.99 in equal steps, each with several x up to 200."""
    chance = random.Random(str(given))  # noqa: S311 - test data
    weeks = max(365 / 7, 99 * given["alpha"])  # so that T = 0 has z = 0.99
    histories = [(200, 100.0, 143.0)]
    for step in range(1, 26):
        z = 0.99 * step / 25
        age = max(weeks * (1 / z - 1) - given["alpha"], 0.0)
        for x in (chance.choice((0, 1, 2)), chance.randint(3, 200)):
            histories.append((x, chance.uniform(0, age) if x else 0.0, age))
    zs = [weeks / (given["alpha"] + age + weeks) for _, _, age in histories]
    assert min(zs) < 0.05 and max(zs) > 0.989

    check(score, given, histories, weeks)


@pytest.mark.parametrize("given", CORNERS, ids=str)
def test_scores_at_the_bounds_agree_with_forty_digits(score: Scorer, given: dict[str, Any]) -> None:
    """The youngest users have the longest series, and the largest terms."""
    assert clv_fit.out_of_bounds(given) is None
    histories = [(0, 0.0, 0.0), (0, 0.0, 1 / 7), (1, 1 / 7, 1 / 7), (5, 1.0, 2.0), (20, 9.0, 20.0)]

    check(score, given, [*histories, (200, 100.0, 143.0), (3, 2.0, 3650 / 7)], 365 / 7)


@pytest.mark.parametrize(
    "given",
    [
        {"model": "mbg-nbd", "r": 480.8, "alpha": 480.8, "a": 0.826, "b": 2.515},
        {"model": "bg-nbd", "r": 60.0, "alpha": 30.0, "a": 0.5, "b": 0.5},
        {"model": "bg-nbd", "r": 1e-6, "alpha": 1e6, "a": 2.0, "b": 3.0},
        {"model": "bg-nbd", "r": 0.8, "alpha": 6.0, "a": 0.25, "b": 0.75},
    ],
    ids=str,
)
def test_no_parameters_stop_a_build(score: Scorer, given: dict[str, Any]) -> None:
    """Outside the bounds scores may be wrong, but the query succeeds and none is negative."""
    histories = [(0, 0.0, 0.0), (0, 0.0, 60.0), (30, 50.0, 52.0), (200, 100.0, 143.0)]
    found = score(histories, **given)

    assert len(found) == len(histories)
    assert all(value >= 0 for row in found for value in row[:5])


@pytest.mark.parametrize("given", [CASES[0], CASES[1], CASES[4], random_case(3)], ids=str)
def test_elasticities_are_those_of_a_year(score: Scorer, given: dict[str, Any]) -> None:
    """The elasticity of the orders of 12 months by parameter."""
    histories = [(0, 0.0, 20.0), (1, 3.0, 40.0), (12, 30.0, 33.0)]
    found = score(histories, **given)

    with mpmath.workdps(40):
        weeks = mpmath.mpf("4.345") * 12
        for (x, _, age), (*_, by_r, by_alpha, by_a, by_b, _) in zip(histories, found, strict=True):
            for name, slope in zip(
                ("r", "alpha", "a", "b"), (by_r, by_alpha, by_a, by_b), strict=True
            ):

                def logarithm(value: Any, name: str = name, x: int = x, age: float = age) -> Any:
                    changed = {**given, name: mpmath.exp(value)}
                    return mpmath.log(exact(x, age, weeks, **changed))

                right = mpmath.diff(logarithm, mpmath.log(given[name]))
                assert slope == pytest.approx(float(right), abs=2e-6), (name, x)


def test_a_user_who_is_surely_gone_stops_no_build(score: Scorer) -> None:
    """The odds exceed the range of the type; the probability is 0."""
    ((alive, *orders, _, _, _, _, _, _),) = score([(200, 0.1, 500.0)], **CDNOW)

    assert alive == 0
    assert len(orders) == 3
    assert all(value > 0 for value in orders)


def test_scores_do_not_depend_on_who_else_is_scored(score: Scorer) -> None:
    """They agree to the last digit; otherwise incremental and full builds would differ."""
    chance = random.Random(5)  # noqa: S311 - test data
    histories = [(chance.randint(0, 40), 0.0, chance.randint(0, 700) / 7) for _ in range(400)]
    together = score(histories, **CDNOW)

    assert [score([history], **CDNOW)[0] for history in histories[:25]] == together[:25]
    assert score(histories[::-1], **CDNOW) == together[::-1]
