"""Read the purchase histories, fit the parameters of lifetime value to them, and store the fit.

The purchase histories come from the model int_user_purchase_history: dbt compiles it, so that its
SQL exists once, and the database aggregates it, so that few rows are transferred.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse import dbt
from warehouse.clv.fit import (
    FEWEST_REPEATERS,
    FEWEST_USERS,
    Estimate,
    Purchases,
    Spending,
    fit_purchases,
    fit_spending,
)
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

MODEL = "int_user_purchase_history"
# Compiled as the value of as_of, then replaced by a parameter of the query.
PLACEHOLDER = "1901-02-03 04:05:06.070809+00"


@dataclasses.dataclass(frozen=True)
class Queries:
    """The project's SQL.

    Attributes:
        history: the query of the purchase histories, with the parameter `as_of`.
        parameters: the schema and name of the table of parameters.
    """

    history: str
    parameters: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Fit:
    """The result of one fit; `refused_because` is None if the fit can be used."""

    model: str
    as_of: datetime
    users: int
    repeaters: int
    purchases: Estimate | None
    spending: Estimate | None
    correlation: float | None
    refused_because: str | None

    @property
    def parameters(self) -> dict[str, float]:
        """The estimated parameters, by name."""
        return {
            name: value
            for estimate in (self.purchases, self.spending)
            if estimate is not None
            for name, value in estimate.parameters.items()
        }

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard errors, by parameter; a parameter without one is missing."""
        return {
            name: value
            for estimate in (self.purchases, self.spending)
            if estimate is not None and estimate.standard_errors is not None
            for name, value in estimate.standard_errors.items()
        }

    @property
    def covariances(self) -> dict[str, float]:
        """The covariances of the logarithms, by the name of their column, such as cov_alpha_r."""
        found = {}
        for estimate in (self.purchases, self.spending):
            if estimate is None or estimate.covariance is None:
                continue
            names = list(estimate.parameters)
            for row, name in enumerate(names):
                for column, other in enumerate(names[: row + 1]):
                    found[f"cov_{name}_{other}"] = float(estimate.covariance[row, column])
        return found


# --- From dbt ---------------------------------------------------------------------------------


def compile_queries() -> Queries:
    """The SQL of the purchase histories, as dbt compiles it.

    Raises:
        WarehouseError: dbt could not compile the project.
    """
    node = dbt.compile_node(["--select", MODEL], {"as_of": PLACEHOLDER})
    every_user = node.compiled_code.replace("%", "%%")
    if f"'{PLACEHOLDER}'" not in every_user:
        raise WarehouseError(f"The model {MODEL} no longer uses the variable as_of.")
    history = f"select * from ({every_user}) as every_user where first_purchase_date is not null"
    prefix = node.schema.removesuffix(node.config.schema or "")
    return Queries(
        history.replace(f"'{PLACEHOLDER}'", "%(as_of)s"), (f"{prefix}ml", "clv_parameters")
    )


# --- From the database ------------------------------------------------------------------------


def check_tables(session: psycopg.Connection[Any], queries: Queries) -> None:
    """Raise WarehouseError if the database has not been built yet."""
    relation = ".".join(f'"{part}"' for part in queries.parameters)
    if session.execute("select to_regclass(%s) is null", [relation]).fetchone() == (True,):
        name = ".".join(queries.parameters)
        raise WarehouseError(f"There is no {name} yet: run `warehouse build` first.")


def read_purchases(
    session: psycopg.Connection[Any], queries: Queries, as_of: datetime
) -> tuple[Purchases, Spending]:
    """The purchase histories as of a moment, aggregated: one entry per distinct history.

    Args:
        session: a connection; its time zone becomes UTC.
        queries: the project's SQL.
        as_of: the end of the observation, in the project's `time_zone`; later orders are left out.
            Statuses, amounts and the set of users who are not deleted are current.

    Returns:
        How often users bought, and what repeat buyers spent.
    """
    session.execute("set timezone = 'UTC'")
    given = {"as_of": as_of, "day": as_of.date()}
    histories = session.execute(
        f"""
        select
            repeat_purchases::float8,
            recency_weeks,
            (%(day)s::date - first_purchase_date) / 7.0::float8 as age_weeks,
            count(*)::float8
        from ({queries.history}) as histories
        group by 1, 2, 3
        order by 1, 2, 3
        """,
        given,
    ).fetchall()
    spending = session.execute(
        f"""
        select repeat_purchases::float8, mean_repeat_amount::float8, count(*)::float8
        from ({queries.history}) as histories
        where repeat_purchases > 0 and mean_repeat_amount > 0
        group by 1, 2
        order by 1, 2
        """,
        given,
    ).fetchall()
    return (
        Purchases(*np.array(histories, float).reshape(-1, 4).T),
        Spending(*np.array(spending, float).reshape(-1, 3).T),
    )


def write_version(session: psycopg.Connection[Any], queries: Queries, fit: Fit) -> int:
    """Store a fit as a new version, refused or not.

    Returns:
        The number of the version.
    """
    from psycopg import sql

    row: dict[str, Any] = {
        "model": fit.model,
        "as_of": fit.as_of,
        "refused_because": fit.refused_because,
        "users": fit.users,
        "repeaters": fit.repeaters,
        **fit.parameters,
        **{f"{name}_standard_error": error for name, error in fit.standard_errors.items()},
        **fit.covariances,
        "purchase_log_likelihood": fit.purchases.log_likelihood if fit.purchases else None,
        "spending_log_likelihood": fit.spending.log_likelihood if fit.spending else None,
        "spending_correlation": fit.correlation,
    }
    query = sql.SQL("insert into {} ({}) values ({}) returning version").format(
        sql.Identifier(*queries.parameters),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() for _ in row),
    )
    version = session.execute(query, list(row.values())).fetchone()
    assert version is not None
    session.commit()
    return int(version[0])


# --- Fitting ----------------------------------------------------------------------------------


def fit_all(purchases: Purchases, spending: Spending, model: str, as_of: datetime) -> Fit:
    """Fit both models, and check the fit.

    Args:
        purchases: how often users bought.
        spending: what repeat buyers spent.
        model: bg-nbd or mbg-nbd.
        as_of: the end of the observation, to store with the fit.

    Returns:
        The fit; estimates may be missing if `refused_because` is set.
    """
    counts = {"users": purchases.user_count, "repeaters": purchases.repeater_count}
    empty = Fit(model, as_of, **counts, purchases=None, spending=None, correlation=None,
                refused_because=None)  # fmt: skip
    if counts["users"] < FEWEST_USERS:
        reason = f"only {counts['users']} users have bought, and {FEWEST_USERS} are needed"
        return dataclasses.replace(empty, refused_because=reason)
    repeaters, spenders = counts["repeaters"], int(spending.users.sum())
    if repeaters < FEWEST_REPEATERS:
        reason = f"only {repeaters} users have bought again, and {FEWEST_REPEATERS} are needed"
        return dataclasses.replace(empty, refused_because=reason)
    if spenders < FEWEST_REPEATERS:
        reason = (
            f"only {spenders:,} of {repeaters:,} repeat buyers spent anything, net of refunds;"
            f" {FEWEST_REPEATERS} are needed"
        )
        return dataclasses.replace(empty, refused_because=reason)
    of_purchases, of_spending = fit_purchases(purchases, model), fit_spending(spending)
    problems = [
        f"{what}: {estimate.problem}"
        for what, estimate in ((model, of_purchases), ("gamma-gamma", of_spending))
        if estimate.problem
    ]
    return dataclasses.replace(
        empty,
        purchases=of_purchases,
        spending=of_spending,
        correlation=correlation(spending),
        refused_because="; ".join(problems) or None,
    )


def correlation(spending: Spending) -> float | None:
    """The correlation of number and mean amount of repeat purchases; None if one is constant.

    Gamma-Gamma assumes that they are independent; a value far from 0 contradicts that assumption.
    """
    covariance = np.cov(spending.x, spending.m, aweights=spending.users, bias=True)
    scale = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1] / scale) if scale > 0 else None
