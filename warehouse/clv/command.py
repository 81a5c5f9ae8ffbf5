"""`warehouse clv fit` and `warehouse clv backtest`: the parameters of the predicted lifetime value.

`fit` estimates them and stores them as a version in `ml.clv_parameters`; the next build predicts
with the version of the latest as-of day. `backtest` fits to the orders up to 90 days ago and
compares its predictions, and those of two rules without a model, with the actual purchases.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse import console, private
from warehouse.database.build_lock import build_lock
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.options import moment_of

if TYPE_CHECKING:
    from warehouse.clv.data import Fit

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Fit the predicted lifetime value, and test it on the past.",
)


class Model(StrEnum):
    """The model of when users stop buying."""

    BG_NBD = "bg-nbd"
    MBG_NBD = "mbg-nbd"


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Leave out orders after the end of this day (in time_zone); default now. Statuses,"
        " amounts and the set of users who are not deleted are current.",
    ),
]
Which = Annotated[
    Model,
    typer.Option(
        "--model",
        help="In mbg-nbd, users can leave right after their first purchase; in bg-nbd they cannot.",
    ),
]


@app.command()
def fit(as_of: AsOf = None, model: Which = Model.MBG_NBD) -> None:
    """Estimate the parameters of the predicted lifetime value, by maximum likelihood.

    Stores them as a version in ml.clv_parameters, with standard errors and covariances. A build
    predicts with the version of the latest as-of day that is not after its own. Refuses a fit to
    too few users, or one that did not converge: the refusal is stored as well, and user_clv shows
    the reason if there are no older parameters.
    """
    from warehouse.clv import data

    moment = moment_of(as_of)
    where = settings()
    preflight(where)
    with build_lock(where, wait=False):
        queries = data.compile_queries()
        with connect(where) as session:
            data.check_tables(session, queries)
            purchases, spending = data.read_purchases(session, queries, moment)
            found = data.fit_all(purchases, spending, model.value, moment)
            version = data.write_version(session, queries, found)
    if found.refused_because:
        raise WarehouseError(
            f"The fit was refused: {found.refused_because}. It is version {version} of"
            f" {'.'.join(queries.parameters)}; older parameters, if there are any, stay in use."
            f" {next_step(found)}"
        )
    show_fit(found, version)


@app.command()
def backtest(
    as_of: AsOf = None,
    model: Which = Model.MBG_NBD,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write the tables between the marks of this document."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write the calibration as an SVG file.")
    ] = None,
) -> None:
    """Predict the last 90 days from the orders before them, and compare with the actual purchases.

    Prints the mean absolute error and the calibration by tenths of the users, for the model and two
    naive rules. Writes nothing to the database.
    """
    from warehouse.clv import backtest as backtesting
    from warehouse.clv import chart, data

    moment = moment_of(as_of)
    where = settings()
    preflight(where)
    with build_lock(where, wait=False):
        queries = data.compile_queries()
        scores = backtesting.compile_scores()
        with connect(where) as session:
            data.check_tables(session, queries)
            result = backtesting.run(session, queries, scores, model.value, moment)
            session.rollback()
    console.say(backtesting.as_text(result))
    if markdown is not None:
        backtesting.write_between_marks(markdown, backtesting.as_markdown(result))
    if plot is not None:
        private.write_text(plot, chart.as_svg(result))


def next_step(found: Fit) -> str:
    """What to try after a fit was refused, as sentences."""
    if found.purchases is None:
        return (
            "Load more of the history of orders; check in seeds/order_statuses.csv that every"
            " status of a sale is revenue; or fit again later. Until then, simple_value of"
            " user_clv needs no fit."
        )
    other = next(each for each in Model if each.value != found.model)
    return (
        f"Try `warehouse clv fit --model {other.value}`, or an earlier --as-of. Also look at the"
        " users who buy most often: test accounts and wholesale customers often break a fit."
    )


def show_fit(found: Fit, version: int) -> None:
    """Print the parameters and what to do next."""
    assert found.purchases is not None and found.spending is not None
    console.say(
        f"Version {version}: {found.model} with gamma-gamma, fitted to {found.users:,} users, of"
        f" whom {found.repeaters:,} bought again, as of {found.as_of:%Y-%m-%d %H:%M %Z}."
    )
    console.show_table(
        ("parameter", "estimate", "standard error"),
        [
            (name, f"{value:.4f}", f"{found.standard_errors[name]:.4f}")
            for name, value in found.parameters.items()
        ],
        numbers=("estimate", "standard error"),
    )
    console.say(
        f"Log-likelihood {found.purchases.log_likelihood:,.2f} of the purchases,"
        f" {found.spending.log_likelihood:,.2f} of the spending; all times are in weeks."
    )
    if found.correlation is not None and abs(found.correlation) > 0.3:
        console.say(
            f"Users who buy more often also spend {'more' if found.correlation > 0 else 'less'}"
            f" (correlation {found.correlation:.2f}); gamma-gamma assumes that they are"
            " independent, so predicted values may be off for the most frequent buyers.",
            style="yellow",
        )
    console.say(
        "Run `warehouse build`: it predicts with the version of the latest as-of day, and of the"
        " versions of one day with the newest. A version of an earlier day applies to builds as of"
        " that time."
    )
