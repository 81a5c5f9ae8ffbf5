"""Maximum likelihood for the models of the predicted lifetime value.

How often users buy, and when they stop:

    BG/NBD    Fader, Hardie, Lee 2005, https://doi.org/10.1287/mksc.1040.0098
    MBG/NBD   the same, but a user may also leave right after the first purchase
              (Batislam, Denizel, Filiztekin 2007, https://doi.org/10.1016/j.ijresmar.2006.12.005)

and what they spend on a purchase: Gamma-Gamma, http://brucehardie.com/notes/025/

All times are in weeks. The likelihoods are maximized over the logarithms of the parameters, which
are positive; covariances are those of the logarithms too.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln

# Name of a model -> whether a user may leave right after the first purchase.
MODELS = {"bg-nbd": False, "mbg-nbd": True}

FEWEST_USERS = 500
FEWEST_REPEATERS = 100

# The bounds of the logarithms; an estimate near a bound is rejected.
LOWEST, HIGHEST = np.log(1e-6), np.log(1e6)
# Within these bounds the series of the scoring is exact and short enough; the table of parameters
# has the same bounds. 0.02 weeks are three and a half hours.
SMALLEST_ALPHA = 0.02
LARGEST_R = 10.0
LARGEST_A = 100.0
# Purchases per week, r / alpha: a day counts once.
LARGEST_RATE = 7.0
# The largest gradient of the mean log-likelihood of a user that counts as a maximum.
FLAT = 1e-6

STARTS_OF_PURCHASES = tuple(itertools.product((0.3, 1.5), (0.5, 2.0), (0.5, 3.0)))
STARTS_OF_SPENDING = ((1.0, 2.0), (5.0, 4.0), (2.0, 10.0))


@dataclasses.dataclass(frozen=True)
class Purchases:
    """The purchase histories, one entry per distinct history.

    Attributes:
        x: the number of repeat purchases.
        t_x: weeks from the first to the last purchase.
        age: weeks from the first purchase to the end of the observation.
        users: how many users have this history.
    """

    x: np.ndarray
    t_x: np.ndarray
    age: np.ndarray
    users: np.ndarray

    @property
    def user_count(self) -> int:
        return int(self.users.sum())

    @property
    def repeater_count(self) -> int:
        return int(self.users[self.x > 0].sum())


@dataclasses.dataclass(frozen=True)
class Spending:
    """The mean value `m` of `x` repeat purchases, for `users` users; only x > 0 and m > 0."""

    x: np.ndarray
    m: np.ndarray
    users: np.ndarray


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Parameters by name, the covariance of their logarithms, and whether they can be used.

    `covariance` is None if the likelihood has no proper maximum. `problem` says why the parameters
    cannot be used; None if they can.
    """

    parameters: dict[str, float]
    log_likelihood: float
    covariance: np.ndarray | None
    problem: str | None

    @property
    def standard_errors(self) -> dict[str, float] | None:
        """By the delta method: the parameter times the standard error of its logarithm."""
        if self.covariance is None:
            return None
        errors = np.sqrt(np.diag(self.covariance))
        return {
            name: float(value * error)
            for (name, value), error in zip(self.parameters.items(), errors, strict=True)
        }


# --- Likelihoods ------------------------------------------------------------------------------


def purchase_likelihood(
    log_parameters: np.ndarray, data: Purchases, may_leave_at_once: bool
) -> tuple[float, np.ndarray]:
    """The log-likelihood of BG/NBD or MBG/NBD, and its gradient.

    Args:
        log_parameters: the logarithms of r, alpha, a and b.
        data: the purchase histories.
        may_leave_at_once: MBG/NBD instead of BG/NBD.

    Returns:
        The sum over all users, and its derivatives by the logarithms.
    """
    r, alpha, a, b = np.exp(log_parameters)
    x, t_x, age, users = data.x, data.t_x, data.age, data.users
    chances = x + may_leave_at_once  # how often a user could have left until the last purchase
    can_have_left = chances > 0
    # Alive at the end, or gone after the last purchase; the second relative to the first.
    alive = -(r + x) * np.log(alpha + age)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(a) - np.log(b + chances - 1) - (r + x) * np.log(alpha + t_x)
        gone = np.where(can_have_left, odds, -np.inf)
    either = np.logaddexp(alive, gone)
    value = (
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        + betaln(a, b + chances)
        - betaln(a, b)
        + either
    )
    share_gone = np.exp(gone - either)
    share_alive = 1 - share_gone
    by_r = (
        digamma(r + x)
        - digamma(r)
        + np.log(alpha)
        - share_alive * np.log(alpha + age)
        - share_gone * np.log(alpha + t_x)
    )
    by_alpha = r / alpha - (r + x) * (share_alive / (alpha + age) + share_gone / (alpha + t_x))
    by_a = digamma(a + b) - digamma(a + b + chances) + share_gone / a
    with np.errstate(divide="ignore", invalid="ignore"):
        leaving = np.where(can_have_left, share_gone / (b + chances - 1), 0.0)
    by_b = digamma(b + chances) - digamma(b) + digamma(a + b) - digamma(a + b + chances) - leaving
    gradient = np.array([np.sum(users * each) for each in (by_r, by_alpha, by_a, by_b)])
    return float(np.sum(users * value)), gradient * np.exp(log_parameters)


def spending_likelihood(log_parameters: np.ndarray, data: Spending) -> tuple[float, np.ndarray]:
    """The log-likelihood of Gamma-Gamma, and its gradient.

    Args:
        log_parameters: the logarithms of p, q and v.
        data: what the users spent.

    Returns:
        The sum over all users, and its derivatives by the logarithms.
    """
    p, q, v = np.exp(log_parameters)
    x, m, users = data.x, data.m, data.users
    total = v + x * m
    value = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1) * np.log(m)
        + p * x * np.log(x)
        - (p * x + q) * np.log(total)
    )
    by_p = x * (digamma(p * x + q) - digamma(p * x) + np.log(m) + np.log(x) - np.log(total))
    by_q = digamma(p * x + q) - digamma(q) + np.log(v) - np.log(total)
    by_v = q / v - (p * x + q) / total
    gradient = np.array([np.sum(users * each) for each in (by_p, by_q, by_v)])
    return float(np.sum(users * value)), gradient * np.exp(log_parameters)


# --- Fitting ----------------------------------------------------------------------------------


def fit_purchases(data: Purchases, model: str) -> Estimate:
    """Fit BG/NBD or MBG/NBD.

    Args:
        data: the purchase histories of all users who bought, those without a repeat included.
        model: a key of MODELS.

    Returns:
        r, alpha, a and b; `problem` is set if they are outside the bounds of the scoring.
    """
    typical = max(float(np.average(data.age, weights=data.users)), 1.0)
    starts = [np.log([r, typical * r, a, b]) for r, a, b in STARTS_OF_PURCHASES]
    found = _maximize(
        lambda at: purchase_likelihood(at, data, MODELS[model]),
        ("r", "alpha", "a", "b"),
        starts,
        data.user_count,
    )
    if found.problem is None:
        return dataclasses.replace(found, problem=out_of_bounds(found.parameters))
    return found


def out_of_bounds(parameters: dict[str, float]) -> str | None:
    """Why the scoring cannot use these parameters, in words; None if it can.

    Args:
        parameters: r, alpha (weeks) and a.
    """
    r, alpha, a = (parameters[name] for name in ("r", "alpha", "a"))
    if r > LARGEST_R:
        return (
            f"users hardly differ in how often they buy: r is {r:.4g}, and above {LARGEST_R:g}"
            " the predictions would not be exact"
        )
    if alpha < SMALLEST_ALPHA:
        return f"alpha is {alpha:.3g} weeks, below {SMALLEST_ALPHA}"
    if r > LARGEST_RATE * alpha:
        return (
            f"users would buy {r / alpha:.3g} times a week while they stay (r / alpha), and"
            f" {LARGEST_RATE:g} is the most, because a day counts once"
        )
    if a > LARGEST_A:
        return (
            f"users hardly differ in how readily they leave: a is {a:.4g}, and above"
            f" {LARGEST_A:g} the predictions would take too long"
        )
    return None


def fit_spending(data: Spending) -> Estimate:
    """Fit Gamma-Gamma.

    Args:
        data: what repeat buyers spent.

    Returns:
        p, q and v; `problem` is set if q is at most 1, because then no mean value exists.
    """
    typical = float(np.average(data.m, weights=data.users))
    starts = [np.log([p, q, typical * (q - 1) / p]) for p, q in STARTS_OF_SPENDING]
    found = _maximize(
        lambda at: spending_likelihood(at, data), ("p", "q", "v"), starts, int(data.users.sum())
    )
    if found.parameters["q"] <= 1:
        problem = f"q is {found.parameters['q']:.4g}, so the mean value of an order is infinite"
        return dataclasses.replace(found, problem=problem)
    return found


def _maximize(
    likelihood: Callable[[np.ndarray], tuple[float, np.ndarray]],
    names: Sequence[str],
    starts: Sequence[np.ndarray],
    user_count: int,
) -> Estimate:
    """The best maximum from all starts, refined by Newton's method, with its curvature."""

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(at)
        return -value / user_count, -gradient / user_count

    bounds = [(LOWEST, HIGHEST)] * len(names)
    options = {"maxiter": 2000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9}
    runs: list[Any] = [
        minimize(loss, np.clip(start, LOWEST, HIGHEST), jac=True, method="L-BFGS-B",
                 bounds=bounds, options=options)
        for start in starts
    ]  # fmt: skip
    at = min(runs, key=lambda run: run.fun).x
    for _ in range(5):
        hessian = _hessian(loss, at)
        if np.linalg.eigvalsh(hessian)[0] <= 0:
            break
        step = np.linalg.solve(hessian, loss(at)[1])
        if np.abs(step).max() > 0.5 or loss(at - step)[0] > loss(at)[0]:
            break
        at = at - step
    value, gradient = loss(at)
    parameters = {name: float(each) for name, each in zip(names, np.exp(at), strict=True)}
    problem, covariance = _judge(names, at, gradient, _hessian(loss, at) * user_count)
    return Estimate(parameters, -value * user_count, covariance, problem)


def _judge(
    names: Sequence[str], at: np.ndarray, gradient: np.ndarray, information: np.ndarray
) -> tuple[str | None, np.ndarray | None]:
    """The problem of a maximum (None if it has none), and its covariance."""
    margin = 0.01
    lost = [
        name
        for name, each in zip(names, at, strict=True)
        if each < LOWEST + margin or each > HIGHEST - margin
    ]
    if lost:
        return f"the fit did not converge: {', '.join(lost)} ran away", None
    if np.abs(gradient).max() > FLAT:
        return "the fit did not converge: the likelihood still rises", None
    if np.linalg.eigvalsh(information)[0] <= 0:
        return "the fit did not converge: the likelihood has no proper maximum", None
    covariance = np.linalg.inv(information)
    return None, (covariance + covariance.T) / 2


def _hessian(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], at: np.ndarray, step: float = 1e-4
) -> np.ndarray:
    """Second derivatives, by central differences of the gradient."""
    rows = []
    for position in range(len(at)):
        shift = np.zeros(len(at))
        shift[position] = step
        rows.append((loss(at + shift)[1] - loss(at - shift)[1]) / (2 * step))
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2
