"""The fit finds published parameters, another program's, and those of generated data.

The published numbers are from Fader, Hardie, Lee 2005 for the CDNOW sample (calibration until
1997-09-30, weeks). The others come from the package lifetimes 0.11.3, run once on the same purchase
histories in a separate environment (Python 3.11, numpy 1.26, pandas 2.0, autograd 1.6), as

    BetaGeoFitter(penalizer_coef=0.0).fit(x, t_x, T)
    ModifiedBetaGeoFitter(penalizer_coef=0.0).fit(x, t_x, T)
    GammaGammaFitter(penalizer_coef=0.0).fit(x, m)  # of x > 0 and m > 0

with its default tolerance. For Online Retail, m is the amount before credit notes, also here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.clv.data import data_of
from tests.support import oracle
from tests.support.real_data import SHARED, needs_real_data
from warehouse.clv import data as clv_data
from warehouse.clv import fit as clv_fit
from warehouse.clv.fit import Purchases, Spending

ENDS = {"cdnow_sample": dt.date(1997, 9, 30), "online_retail": dt.date(2011, 12, 9)}
MOMENT = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)

# r, alpha, a, b
OF_LIFETIMES = {
    ("cdnow_sample", "bg-nbd"): (0.2425945434, 4.4136027161, 0.7929218333, 2.4259057287),
    ("cdnow_sample", "mbg-nbd"): (0.5248429031, 6.1830817644, 0.8913595173, 1.6140029312),
    ("online_retail", "bg-nbd"): (0.8264331008, 9.8415254109, 0.0034427095, 6.7493627720),
    ("online_retail", "mbg-nbd"): (0.8273152714, 9.8600731813, 0.0018635549, 11.8941561502),
}
# p, q, v
SPENDING_OF_LIFETIMES = {
    "cdnow_sample": (6.2495722776, 3.7442246748, 15.4435210184),
    "online_retail": (2.1035229833, 3.4499072792, 485.5709377684),
}


def histories_of(name: str, *, with_credits: bool = True) -> list[oracle.Row]:
    """Return the purchase histories of a real data set, computed by the oracle."""
    tables = oracle.read_folder(SHARED / name)
    if not with_credits:
        orders = tables["orders"]
        tables["orders"] = orders.filter(orders["order_status"] != "returned")
    return oracle.purchase_history(tables, ENDS[name])


# --- Published numbers and another program ----------------------------------------------------


class TestRealSets:
    pytestmark = needs_real_data

    def test_cdnow_has_the_published_parameters(self) -> None:
        purchases, spending = data_of(histories_of("cdnow_sample"), ENDS["cdnow_sample"])
        assert (purchases.user_count, purchases.repeater_count) == (2357, 946)

        found = clv_fit.fit_purchases(purchases, "bg-nbd")
        assert found.problem is None
        assert [round(value, 3) for value in found.parameters.values()] == pytest.approx(
            [0.243, 4.414, 0.793, 2.426]
        )
        assert round(found.log_likelihood, 2) == -9582.43

        modified = clv_fit.fit_purchases(purchases, "mbg-nbd")
        assert [round(value, 3) for value in modified.parameters.values()] == pytest.approx(
            [0.525, 6.183, 0.891, 1.614]
        )
        gamma_gamma = clv_fit.fit_spending(spending)
        assert [round(value, 2) for value in gamma_gamma.parameters.values()] == pytest.approx(
            [6.25, 3.74, 15.44], abs=0.011
        )
        assert clv_data.correlation(spending) == pytest.approx(0.114, abs=5e-4)

    @pytest.mark.parametrize("name", ENDS)
    @pytest.mark.parametrize("model", clv_fit.MODELS)
    def test_purchases_agree_with_lifetimes(self, name: str, model: str) -> None:
        purchases, _ = data_of(histories_of(name), ENDS[name])
        found = clv_fit.fit_purchases(purchases, model)

        assert found.problem is None
        assert list(found.parameters.values()) == pytest.approx(OF_LIFETIMES[name, model], rel=5e-5)

    @pytest.mark.parametrize("name", ENDS)
    def test_spending_agrees_with_lifetimes(self, name: str) -> None:
        _, spending = data_of(histories_of(name, with_credits=False), ENDS[name])
        found = clv_fit.fit_spending(spending)

        assert list(found.parameters.values()) == pytest.approx(
            SPENDING_OF_LIFETIMES[name], rel=5e-5
        )

    def test_cdnow_histories_are_those_of_the_literature(self) -> None:
        """All 2,357 match: x, t_x and T in weeks, and the mean amount of repeat purchases."""
        answers = oracle.read_table(
            SHARED / "answer_keys" / "cdnow_sample_purchase_history.csv.gz"
        ).rows_by_key("user_id", named=True, unique=True)
        histories = histories_of("cdnow_sample")

        assert len(histories) == len(answers) == 2357
        for row in histories:
            answer = answers[row["user_id"]]
            age = (ENDS["cdnow_sample"] - row["first_purchase_date"]).days / 7
            assert row["repeat_purchases"] == int(answer["x"])
            assert row["recency_weeks"] == pytest.approx(float(answer["t_x_weeks"]), abs=0.0051)
            assert age == pytest.approx(float(answer["T_weeks"]), abs=0.0051)
            assert float(row["mean_repeat_amount"] or 0) == pytest.approx(
                float(answer["mean_repeat_amount"]), abs=0.0051
            )


# --- Generated data ---------------------------------------------------------------------------


def generate(
    model: str, users: int, seed: int, r: float, alpha: float, a: float, b: float
) -> Purchases:
    """Generate purchase histories by the model, over 104 weeks, with new users in the first 52."""
    chance = np.random.default_rng(seed)
    rows: Counter[tuple[float, float, float]] = Counter()
    for _ in range(users):
        age = round(chance.uniform(52, 104), 2)
        rate, leaving = chance.gamma(r, 1 / alpha), chance.beta(a, b)
        x, last, now = 0, 0.0, 0.0
        alive = model == "bg-nbd" or chance.random() >= leaving
        while alive:
            now += chance.exponential(1 / rate) if rate > 0 else math.inf
            if now > age:
                break
            x, last = x + 1, now
            alive = chance.random() >= leaving
        rows[x, last, age] += 1
    return Purchases(*np.array([(*key, count) for key, count in rows.items()], float).T)


def spend(purchases: Purchases, seed: int, p: float, q: float, v: float) -> Spending:
    """Generate the spending of users with these purchases, by Gamma-Gamma."""
    chance = np.random.default_rng(seed)
    x = np.repeat(purchases.x, purchases.users.astype(int))
    x = x[x > 0]
    rate = chance.gamma(q, 1 / v, len(x))
    return Spending(x, chance.gamma(p * x, 1 / rate) / x, np.ones(len(x)))


@pytest.mark.parametrize("model", clv_fit.MODELS)
def test_generated_parameters_are_found_again(model: str) -> None:
    """Each lies in its 99.9 % confidence interval, which is narrow enough to be meaningful."""
    truth = {"r": 0.8, "alpha": 6.0, "a": 0.8, "b": 2.5}
    purchases = generate(model, 6000, 3, **truth)
    found = clv_fit.fit_purchases(purchases, model)

    assert found.problem is None and found.covariance is not None
    for position, (name, value) in enumerate(truth.items()):
        error = math.sqrt(found.covariance[position, position])
        assert abs(math.log(found.parameters[name] / value)) < 3.3 * error, name
        assert error < 0.25, name

    worth = {"p": 6.0, "q": 4.0, "v": 45.0}
    of_spending = clv_fit.fit_spending(spend(purchases, 4, **worth))
    assert of_spending.problem is None and of_spending.covariance is not None
    for position, (name, value) in enumerate(worth.items()):
        error = math.sqrt(of_spending.covariance[position, position])
        assert abs(math.log(of_spending.parameters[name] / value)) < 3.3 * error, name
        assert error < 0.25, name


def test_counting_equal_users_once_changes_nothing() -> None:
    purchases = generate("bg-nbd", 300, 5, 0.8, 6.0, 0.8, 2.5)
    twice = Purchases(*(np.concatenate([each, each]) for each in
                        (purchases.x, purchases.t_x, purchases.age, purchases.users)))  # fmt: skip
    doubled = Purchases(purchases.x, purchases.t_x, purchases.age, purchases.users * 2)
    at = np.log([0.5, 3.0, 0.7, 2.0])

    one, other = (clv_fit.purchase_likelihood(at, each, False) for each in (twice, doubled))
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    assert one[1] == pytest.approx(other[1], rel=1e-9)


# --- The likelihoods --------------------------------------------------------------------------


def finite_product(
    x: int, t_x: float, age: float, r: float, alpha: float, a: float, b: float, shift: int
) -> float:
    """Return a user's log-likelihood without gamma functions: x is whole, so products suffice."""
    value = sum(math.log(r + k) for k in range(x))
    value += sum(math.log(b + k) - math.log(a + b + k) for k in range(x + shift))
    value += r * math.log(alpha)
    either = (alpha + age) ** -(r + x)
    if x + shift > 0:
        either += a / (b + x + shift - 1) * (alpha + t_x) ** -(r + x)
    return value + math.log(either)


@pytest.mark.parametrize("model", clv_fit.MODELS)
def test_the_likelihood_is_the_product_of_its_factors(model: str) -> None:
    purchases = generate(model, 60, 6, 0.8, 6.0, 0.8, 2.5)
    given = (0.243, 4.414, 0.793, 2.426)
    rows = zip(purchases.x, purchases.t_x, purchases.age, purchases.users, strict=True)
    expected = sum(
        users * finite_product(int(x), t_x, age, *given, int(clv_fit.MODELS[model]))
        for x, t_x, age, users in rows
    )

    value, _ = clv_fit.purchase_likelihood(np.log(given), purchases, clv_fit.MODELS[model])
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("at", [(0.3, 4.0, 0.8, 2.4), (2.0, 0.5, 3.0, 0.2)])
def test_gradients_are_the_slopes(at: tuple[float, ...]) -> None:
    purchases = generate("bg-nbd", 60, 7, 0.8, 6.0, 0.8, 2.5)
    spending = spend(purchases, 8, 6.0, 4.0, 45.0)
    cases: list[tuple[Any, np.ndarray]] = [
        (lambda there: clv_fit.purchase_likelihood(there, purchases, False), np.log(at)),
        (lambda there: clv_fit.purchase_likelihood(there, purchases, True), np.log(at)),
        (lambda there: clv_fit.spending_likelihood(there, spending), np.log(at[:3])),
    ]
    for likelihood, there in cases:
        _, gradient = likelihood(there)
        for position in range(len(there)):
            step = np.zeros(len(there))
            step[position] = 1e-5
            slope = (likelihood(there + step)[0] - likelihood(there - step)[0]) / 2e-5
            assert gradient[position] == pytest.approx(slope, rel=1e-5, abs=1e-4)


# --- Rejected fits ----------------------------------------------------------------------------


def test_few_users_are_refused() -> None:
    purchases = generate("bg-nbd", 499, 9, 0.8, 6.0, 0.8, 2.5)
    found = clv_data.fit_all(purchases, spend(purchases, 1, 6, 4, 45), "bg-nbd", MOMENT)

    assert found.refused_because == "only 499 users have bought, and 500 are needed"
    assert found.parameters == {}


def test_few_repeaters_are_refused() -> None:
    purchases = generate("bg-nbd", 800, 9, 0.1, 50.0, 0.8, 2.5)
    assert 0 < purchases.repeater_count < 100
    found = clv_data.fit_all(purchases, spend(purchases, 1, 6, 4, 45), "bg-nbd", MOMENT)

    reason = f"only {purchases.repeater_count} users have bought again, and 100 are needed"
    assert found.refused_because == reason


def test_an_infinite_mean_is_refused() -> None:
    purchases = generate("bg-nbd", 1500, 10, 0.8, 6.0, 0.8, 2.5)
    found = clv_data.fit_all(purchases, spend(purchases, 2, 6.0, 0.7, 45.0), "bg-nbd", MOMENT)

    assert found.refused_because is not None
    assert found.refused_because.startswith("gamma-gamma: q is 0.")
    assert "infinite" in found.refused_because


def test_a_model_without_a_maximum_is_refused() -> None:
    """Nobody ever leaves, so the likelihood rises as a approaches 0."""
    chance = np.random.default_rng(11)
    rate = chance.gamma(0.8, 1 / 6.0, 3000)
    x = chance.poisson(rate * 80).astype(float)
    t_x = np.where(x > 0, 80 * chance.random(3000) ** (1 / np.maximum(x, 1)), 0.0)
    purchases = Purchases(x, t_x, np.full(3000, 80.0), np.ones(3000))
    found = clv_data.fit_all(purchases, spend(purchases, 2, 6.0, 4.0, 45.0), "bg-nbd", MOMENT)

    assert found.refused_because is not None
    assert found.refused_because.startswith("bg-nbd: the fit did not converge: ")


def test_too_few_who_spent_are_refused() -> None:
    """Many bought again, but few of them spent anything after refunds."""
    purchases = generate("bg-nbd", 1500, 10, 0.8, 6.0, 0.8, 2.5)
    spending = spend(purchases, 2, 6.0, 4.0, 45.0)
    few = Spending(spending.x[:50], spending.m[:50], spending.users[:50])
    found = clv_data.fit_all(purchases, few, "bg-nbd", MOMENT)

    assert purchases.repeater_count > 500
    assert found.refused_because == (
        f"only 50 of {purchases.repeater_count:,} repeat buyers spent anything, net of refunds;"
        " 100 are needed"
    )


def test_users_who_all_buy_alike_are_refused() -> None:
    """The likelihood has a maximum at a large r, where terms of the series would cancel."""
    purchases = generate("mbg-nbd", 4000, 13, 60.0, 60.0, 0.8, 2.5)
    found = clv_data.fit_all(purchases, spend(purchases, 2, 6.0, 4.0, 45.0), "mbg-nbd", MOMENT)

    assert found.purchases is not None and found.purchases.covariance is not None
    assert found.refused_because == (
        "mbg-nbd: users hardly differ in how often they buy:"
        f" r is {found.parameters['r']:.4g}, and above 10 the predictions would not be exact"
    )


@pytest.mark.parametrize(
    ("beyond", "reason"),
    [
        ({"r": 10.1}, "users hardly differ in how often they buy: r is 10.1, and above 10"),
        ({"alpha": 0.019}, "alpha is 0.019 weeks, below 0.02"),
        ({"r": 1.0, "alpha": 0.1}, "users would buy 10 times a week while they stay"),
        ({"a": 101.0}, "users hardly differ in how readily they leave: a is 101, and above 100"),
    ],
)
def test_parameters_beyond_the_bounds_have_a_reason(beyond: dict, reason: str) -> None:
    at = {"r": 10.0, "alpha": 10 / 7, "a": 100.0, "b": 1.0}

    assert clv_fit.out_of_bounds(at) is None
    assert (clv_fit.out_of_bounds({**at, **beyond}) or "").startswith(reason)


def test_purchases_too_close_for_the_series_are_refused() -> None:
    purchases = generate("bg-nbd", 1500, 12, 0.02, 0.003, 0.8, 2.5)
    found = clv_fit.fit_purchases(purchases, "bg-nbd")

    assert found.problem is not None and "below 0.02" in found.problem
