"""`warehouse clv fit` and `warehouse clv backtest`: the parameters of the predicted lifetime value.

`fit` estimates them and writes a version of them to `ml.clv_parameters`; the next build predicts
with the one that is fitted to the latest day. `backtest` fits to the orders until 90 days ago and
compares what it predicts with what came, beside two rules that need no model.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from warehouse import connection
from warehouse.errors import WarehouseError
from warehouse.lock import build_lock
from warehouse.retain import moment_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Fit the predicted lifetime value, and check it on the past.",
)


class Model(StrEnum):
    """How users are thought to stop buying."""

    BG_NBD = "bg-nbd"
    MBG_NBD = "mbg-nbd"


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Leave out orders from after the end of this day (UTC); default now. Statuses,"
        " amounts and the set of living users are those of now.",
    ),
]
Which = Annotated[
    Model,
    typer.Option(
        "--model",
        help="mbg-nbd lets users leave right after their first purchase as well, bg-nbd does not.",
    ),
]


@app.command()
def fit(as_of: AsOf = None, model: Which = Model.MBG_NBD) -> None:
    """Estimate the parameters of the predicted lifetime value, by maximum likelihood.

    A version of them goes to ml.clv_parameters, with standard errors and covariances. A build
    predicts with the version that is fitted to the latest day, up to its own. Too few users, or a
    fit that is not to be trusted, are refused: that is written down as well, and user_clv gives the
    reason where it has no older parameters.
    """
    from warehouse import clv_data

    moment = moment_of(as_of)
    where = connection.settings()
    connection.preflight(where)
    with build_lock(where, wait=False):
        queries = clv_data.compile_queries()
        with connection.connect(where) as session:
            clv_data.check_tables(session, queries)
            purchases, spending = clv_data.read_purchases(session, queries, moment)
            found = clv_data.fit_all(purchases, spending, model.value, moment)
            version = clv_data.write_version(session, queries, found)
    if found.refused_because:
        raise WarehouseError(
            f"The fit was refused: {found.refused_because}. It is version {version} of"
            f" {'.'.join(queries.parameters)}; older parameters, if there are any, stay in use."
        )
    show_fit(found, version)


@app.command()
def backtest(
    as_of: AsOf = None,
    model: Which = Model.MBG_NBD,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write the tables between the marks in this document."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write the calibration as an SVG file.")
    ] = None,
) -> None:
    """Predict the last 90 days from the orders before, and compare with what came.

    Shows the mean absolute error and the calibration by tenths of the users, beside two naive
    rules. Nothing is written to the database.
    """
    from warehouse import clv_backtest, clv_data

    moment = moment_of(as_of)
    where = connection.settings()
    connection.preflight(where)
    with build_lock(where, wait=False):
        queries = clv_data.compile_queries()
        scores = clv_backtest.compile_scores()
        with connection.connect(where) as session:
            clv_data.check_tables(session, queries)
            result = clv_backtest.run(session, queries, scores, model.value, moment)
            session.rollback()
    _print(clv_backtest.as_text(result))
    if markdown is not None:
        clv_backtest.write_between_marks(markdown, clv_backtest.as_markdown(result))
    if plot is not None:
        plot.write_text(clv_backtest.as_svg(result), encoding="utf-8")


def show_fit(found: Any, version: int) -> None:
    """Print the parameters and what to do next."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("parameter", "left"),
        ("estimate", "right"),
        ("standard error", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, value in found.parameters.items():
        table.add_row(name, f"{value:.4f}", f"{found.standard_errors[name]:.4f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"Version {version}: {found.model} with gamma-gamma, fitted to {found.users:,} users, of"
        f" whom {found.repeaters:,} bought again, as of {found.as_of:%Y-%m-%d %H:%M} UTC."
    )
    console.print(table)
    console.print(
        f"Log-likelihood {found.purchases.log_likelihood:,.2f} of the purchases,"
        f" {found.spending.log_likelihood:,.2f} of the spending; all times are in weeks."
    )
    if found.correlation is not None and abs(found.correlation) > 0.3:
        console.print(
            f"Who buys more often also spends {'more' if found.correlation > 0 else 'less'}"
            f" (correlation {found.correlation:.2f}); gamma-gamma supposes that they are"
            " independent, so predicted values may be off for the most frequent buyers.",
            style="yellow",
        )
    console.print(
        "Run `warehouse build`: it predicts with the version that is fitted to the latest day, of"
        " one day the newest. A version of an earlier day counts for builds as of back then."
    )


def _print(text: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text, markup=False)
