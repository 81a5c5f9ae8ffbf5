"""The input of the fit, derived from purchase histories."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np

from tests.support import oracle
from warehouse.clv.fit import Purchases, Spending


def data_of(histories: list[oracle.Row], end: dt.date) -> tuple[Purchases, Spending]:
    """Return the input of the fit, computed in Python instead of the database."""
    bought = Counter(
        (row["repeat_purchases"], row["recency_weeks"], (end - row["first_purchase_date"]).days / 7)
        for row in histories
    )
    spent = Counter(
        (row["repeat_purchases"], float(row["mean_repeat_amount"]))
        for row in histories
        if row["mean_repeat_amount"]
    )
    return (
        Purchases(*np.array([(*key, users) for key, users in bought.items()], float).T),
        Spending(*np.array([(*key, users) for key, users in spent.items()], float).T),
    )
