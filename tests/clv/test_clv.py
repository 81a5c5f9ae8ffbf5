"""`warehouse clv` and user_clv: fit, predictions across days and versions, backtest."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row
from scipy.special import hyp2f1

from tests.clv.data import data_of
from tests.support import compare, dbt_project, oracle
from tests.support.command import warehouse as run_warehouse
from tests.support.database import Database, new_database
from tests.support.dbt_project import NO_TESTS
from tests.support.relations import contents, row_versions
from warehouse import dbt
from warehouse.clv import backtest as clv_backtest
from warehouse.clv import chart
from warehouse.clv import data as clv_data
from warehouse.clv import fit as clv_fit
from warehouse.errors import WarehouseError
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate

DAY = dt.date(2026, 10, 31)
MOMENT = oracle.end_of_day(DAY)
MODELS = ("+user_clv", "+user_analytics")
# What reads the parameters of a fit; the rest of the shop is built as of DAY.
PREDICTIONS = ("int_clv_parameters", "user_clv")


@dataclasses.dataclass(frozen=True)
class Shop:
    """A generated shop of 5,000 users, loaded and built as of its last day. Read-only."""

    database: Database
    folder: Path
    queries: clv_data.Queries
    scores: str

    @property
    def truth(self) -> dict[str, Any]:
        return json.loads((self.folder / "truth.json").read_text())


def compiling(database: Any) -> Callable[[list[str], dict[str, str]], Any]:
    """Return a compile_node that uses the tests' dbt, which has already parsed the project."""

    def compile_node(arguments: list[str], variables: dict[str, str]) -> Any:
        if arguments[0] == "--select":
            results = dbt_project.run(database, "compile", *arguments[1:], **variables)
        else:
            results = dbt_project.run(database, "compile", options=arguments)
        return dbt.compiled(results)

    return compile_node


@pytest.fixture(scope="module")
def shop(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("clv") / "sample"
    generate(
        make_plan(
            users=5000,
            days=500,
            seed=42,
            out=folder,
            end_date=str(DAY),
            dirty=0.0,
            events_per_session=1.0,
        )
    )
    with new_database(server) as made:
        with made.connect() as session:
            load_folder(folder, connection=session)
        dbt_project.build(made, *MODELS, as_of=DAY, options=NO_TESTS)
        patch = pytest.MonkeyPatch()
        patch.setattr(dbt, "compile_node", compiling(made))
        queries, scores = clv_data.compile_queries(), clv_backtest.compile_scores()
        patch.undo()
        yield Shop(made, folder, queries, scores)


@pytest.fixture
def copy(server: Any, shop: Shop) -> Iterator[Database]:
    """A copy of the shop that one test may change, named like `built` so that dbt reuses parses."""
    with new_database(server, template=shop.database.name, name="built") as made:
        yield made


def in_copy(query: str, shop: Shop, copy: Database) -> str:
    return query.replace(f'"{shop.database.name}".', f'"{copy.name}".')


def fit(database: Database, shop: Shop, model: str = "bg-nbd", as_of: dt.datetime = MOMENT) -> int:
    """Fit and store a version, as the command does."""
    queries = dataclasses.replace(
        shop.queries, history=in_copy(shop.queries.history, shop, database)
    )
    with database.connect() as session:
        found = clv_data.fit_all(*clv_data.read_purchases(session, queries, as_of), model, as_of)
        return clv_data.write_version(session, queries, found)


def versions(database: Any) -> list[dict[str, Any]]:
    with database.connect() as session:
        session.execute("set timezone = 'UTC'")
        cursor = session.cursor(row_factory=dict_row)
        return cursor.execute("select * from ml.clv_parameters order by version").fetchall()


def command(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `warehouse clv ...` in the project's folder."""
    return run_warehouse(database, "clv", *arguments)


def ask(database: Any, query: str) -> Any:
    with database.connect() as session:
        return session.execute(query).fetchone()


# --- The fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [DAY, DAY - dt.timedelta(days=90)])
def test_the_database_counts_what_the_oracle_counts(shop: Shop, day: dt.date) -> None:
    """Also as of a day other than that of the build."""
    tables = oracle.latest([oracle.read_folder(shop.folder)])
    histories = oracle.purchase_history(tables, day)
    expected = data_of(histories, day)
    with shop.database.connect() as session:
        found = clv_data.read_purchases(session, shop.queries, oracle.end_of_day(day))

    assert found[0].user_count == len(histories) > 1000
    for mine, theirs in zip(found, expected, strict=True):
        columns = [sorted(zip(*dataclasses.astuple(each), strict=True)) for each in (mine, theirs)]
        assert columns[0] == columns[1]


def test_the_truth_of_the_sample_is_found_again(shop: Shop) -> None:
    """Every parameter that the generator used lies in its 95 % confidence interval.

    A larger sample would show a bias: the fit counts days with purchases, so two purchases on one
    day count once, which raises alpha by a few per cent.
    """
    truth = shop.truth["models"]
    with shop.database.connect() as session:
        found = clv_data.fit_all(
            *clv_data.read_purchases(session, shop.queries, MOMENT), "bg-nbd", MOMENT
        )

    assert found.refused_because is None
    for group, names in (("bg_nbd", ("r", "alpha", "a", "b")), ("gamma_gamma", ("p", "q", "v"))):
        for name in names:
            error = math.sqrt(found.covariances[f"cov_{name}_{name}"])
            distance = math.log(found.parameters[name] / truth[group][name])
            assert abs(distance) < 1.96 * error, (name, found.parameters[name], error)


def test_a_version_is_written_down_whole(shop: Shop, copy: Database) -> None:
    number = fit(copy, shop)
    (row,) = versions(copy)

    assert (row["version"], row["model"], row["unit"]) == (number, "bg-nbd", "week")
    assert row["as_of"] == MOMENT
    assert row["refused_because"] is None
    assert row["users"] > row["repeaters"] > 500
    assert [name for name, value in row.items() if value is None] == ["refused_because"]
    for name in ("r", "alpha", "a", "b", "p", "q", "v"):
        error = row[name] * math.sqrt(row[f"cov_{name}_{name}"])
        assert row[f"{name}_standard_error"] == pytest.approx(error)


@pytest.mark.parametrize(
    "wrong",
    [
        *("alpha = null", "q = 1", "r = -1", "cov_b_a = null", "model = 'x'"),
        # Just outside each bound of the fit, within all others.
        f"r = 0.1, alpha = {clv_fit.SMALLEST_ALPHA} - 1e-9",
        f"r = {clv_fit.LARGEST_R} + 1e-9, alpha = 100",
        f"r = 1, alpha = 1 / ({clv_fit.LARGEST_RATE} + 1e-9)",
        f"a = {clv_fit.LARGEST_A} + 1e-9",
    ],
)
def test_no_trusted_version_is_half_filled(shop: Shop, copy: Database, wrong: str) -> None:
    """A check constraint ensures it, as the mart relies on complete versions."""
    fit(copy, shop)
    with copy.connect() as session, pytest.raises(psycopg.errors.CheckViolation):
        session.execute(f"update ml.clv_parameters set {wrong}")


def test_a_trusted_version_may_lie_at_the_bounds(shop: Shop, copy: Database) -> None:
    """The table and the fit have the same bounds."""
    fit(copy, shop)
    with copy.connect() as session:
        for at in (
            f"r = {clv_fit.LARGEST_R}, alpha = {clv_fit.LARGEST_R} / {clv_fit.LARGEST_RATE}",
            f"r = 0.1, alpha = {clv_fit.SMALLEST_ALPHA}, a = {clv_fit.LARGEST_A}",
        ):
            session.execute(f"update ml.clv_parameters set {at}")


# --- The mart ---------------------------------------------------------------------------------


def check_mart(database: Database, shop: Shop, day: dt.date, every: int = 40) -> None:
    """Compare user_clv with the oracle for one in `every` users; forty digits are slow."""
    tables = oracle.latest([oracle.read_folder(shop.folder)])
    analytics = oracle.user_analytics(tables, day)[::every]
    histories = oracle.purchase_history(tables, day)
    expected = oracle.user_clv(analytics, histories, day, versions(database))
    names = list(expected[0])
    wanted = {row["user_id"] for row in expected}
    rows = [
        row for row in compare.fetch(database, "marts.user_clv", names) if row["user_id"] in wanted
    ]
    compare.assert_same(rows, expected, ["user_id"], "marts.user_clv")


@pytest.mark.long
@pytest.mark.parametrize("model", clv_fit.MODELS)
def test_predictions_are_those_of_the_oracle(shop: Shop, copy: Database, model: str) -> None:
    fit(copy, shop, model)
    dbt_project.build(copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS)

    check_mart(copy, shop, DAY)
    row = ask(
        copy,
        # The value of a user who has almost surely left rounds to 0 in the type of amounts.
        "select count(*) filter (where predicted_value > 0 or p_alive < 1e-5),"
        " count(*) filter (where no_prediction_because = 'the user has not bought yet'),"
        " count(*) from marts.user_clv",
    )
    assert row[0] > 1000
    assert row[0] + row[1] == row[2]


def test_without_parameters_every_row_says_so(shop: Shop) -> None:
    assert ask(
        shop.database,
        "select count(*) > 0, count(p_alive), count(predicted_value), count(predicted_on),"
        " min(no_prediction_because), max(no_prediction_because) from marts.user_clv",
    ) == (True, 0, 0, 0, *["there are no parameters yet: warehouse clv fit makes them"] * 2)


@pytest.mark.long
def test_incremental_equals_full_with_parameters(shop: Shop, copy: Database) -> None:
    """Over several days, with new versions and a late order, each build uses only earlier data."""
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    fit(copy, shop, "bg-nbd", MOMENT - dt.timedelta(days=30))
    steps: list[tuple[dt.date, Callable[[], Any]]] = [
        (DAY, lambda: None),
        (DAY + dt.timedelta(days=1), lambda: None),
        (DAY + dt.timedelta(days=2), lambda: fit(copy, shop, "mbg-nbd")),
        (DAY - dt.timedelta(days=10), lambda: None),
        (DAY + dt.timedelta(days=3), lambda: buy(copy)),
    ]
    used = []
    for day, before in steps:
        before()
        dbt_project.build(copy, *MODELS, as_of=day, options=NO_TESTS)
        incremental = contents(copy)
        used.append(ask(copy, "select max(parameters_version) from marts.user_clv")[0])
        assert ask(copy, "select min(predicted_on), max(predicted_on) from marts.user_clv") == (
            (day, day)
        )
        check_mart(copy, shop, day, every=400) if day != steps[-1][0] else None
    dbt_project.build(copy, *MODELS, as_of=day, options=NO_TESTS, full_refresh=True)

    assert contents(copy) == incremental
    assert used == [1, 1, 2, 1, 2]  # the second version is newer than the earlier day


@pytest.mark.long
def test_an_order_that_moves_between_others_reaches_the_prediction(
    shop: Shop, copy: Database
) -> None:
    """The activity of its user stays the same; only the purchase history shows the change."""
    fit(copy, shop)
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    user_id = move_between(copy)
    facts = (
        "select repeat_purchases, p_alive, expected_orders_90d,"
        " (select to_jsonb(a) from intermediate.int_user_activity as a"
        f" where user_id = '{user_id}')"
        " from intermediate.int_user_purchase_history inner join marts.user_clv using (user_id)"
        f" where user_id = '{user_id}'"
    )
    before = ask(copy, facts)
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    incremental, after = contents(copy), ask(copy, facts)

    assert after[0] == before[0] - 1
    assert after[1] != before[1] and after[2] != before[2]
    assert after[3] == before[3]
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS, full_refresh=True)
    assert contents(copy) == incremental


def move_between(database: Database) -> str:
    """Move a user's second order to the time of the first, and return the user's id.

    The user has three orders.
    """
    (user_id,) = ask(
        database,
        """
        with ordered as (
            select
                user_id,
                order_id,
                ordered_at,
                row_number() over user_orders as number,
                count(*) over (partition by user_id) as orders,
                min(ordered_at) over (partition by user_id) as first_ordered_at
            from marts.fct_orders
            where is_revenue
            window user_orders as (partition by user_id order by ordered_at)
        ),
        moved as (
            update raw.orders as orders
            set order_date = ordered.first_ordered_at, _loaded_at = clock_timestamp()
            from ordered
            where orders.order_id = ordered.order_id
                and ordered.order_id = (
                    select order_id from ordered
                    where number = 2 and orders = 3
                        and ordered_at::date > first_ordered_at::date
                    order by user_id
                    limit 1
                )
            returning ordered.user_id
        )
        select user_id from moved
        """,
    )
    return user_id


def buy(database: Database) -> None:
    """Insert a second order, dated some days ago, for a user who had bought once."""
    with database.connect() as session:
        session.execute(
            """
            insert into raw.orders (order_id, user_id, order_status, order_date, _loaded_at)
            select 'late', user_id, 'paid', '2026-10-28 10:00:00+00', clock_timestamp()
            from intermediate.int_user_purchase_history
            where repeat_purchases = 0
            order by user_id
            limit 1
            """
        )


@pytest.mark.long
def test_an_earlier_clock_than_that_of_the_histories_stops_nothing(
    shop: Shop, copy: Database
) -> None:
    """As when two builds overlap: some users bought first after its day."""
    fit(copy, shop)
    with copy.connect() as session:
        session.execute("update ml.clv_parameters set as_of = '2020-01-01'")
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    dbt_project.run(copy, "run", *PREDICTIONS, as_of=DAY - dt.timedelta(days=200))
    assert ask(copy, "select count(*) from marts.user_clv where p_alive is not null")[0] > 1000
    dbt_project.run(copy, "run", *PREDICTIONS, as_of=DAY)
    found = contents(copy)
    dbt_project.run(copy, "run", *PREDICTIONS, as_of=DAY, full_refresh=True)
    assert contents(copy) == found


def test_the_data_tests_see_predictions(shop: Shop, copy: Database) -> None:
    """Before a fit there are no predictions, so the tests would always pass."""
    fit(copy, shop)
    dbt_project.build(copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS)
    names = ("user_clv_lies_within_its_percentiles", "user_clv_expects_more_orders_in_more_days")
    dbt_project.run(copy, "test", *names, as_of=DAY)

    with copy.connect() as session:
        session.execute(
            "update marts.user_clv set predicted_value_p10 = null, expected_orders_30d = null"
            " where user_id = (select min(user_id) from marts.user_clv where p_alive is not null)"
        )
    with pytest.raises(dbt_project.DbtFailed, match=r"2 of \d+ nodes failed"):
        dbt_project.run(copy, "test", *names, as_of=DAY)


@pytest.mark.long
def test_a_new_version_reaches_everyone_by_an_incremental_build(shop: Shop, copy: Database) -> None:
    """A second build on the same day writes nothing, one on the next day only predictions."""
    fit(copy, shop)
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    before = row_versions(copy)
    dbt_project.build(copy, *MODELS, as_of=DAY, options=NO_TESTS)
    assert row_versions(copy) == before

    next_day = DAY + dt.timedelta(days=1)
    dbt_project.build(copy, "int_clv_parameters", "user_clv", "user_analytics", as_of=next_day,
                      options=NO_TESTS)  # fmt: skip
    after = row_versions(copy)
    assert {name for name in after if after[name] != before[name]} == {"marts.user_clv"}

    fit(copy, shop, "mbg-nbd")
    dbt_project.build(copy, *MODELS, as_of=next_day, options=NO_TESTS)
    assert ask(
        copy, "select min(parameters_version), max(parameters_version) from marts.user_clv"
    ) == (2, 2)


@pytest.mark.long
def test_another_discount_reaches_everyone(shop: Shop, copy: Database) -> None:
    fit(copy, shop)
    dbt_project.build(copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS)
    (value,) = ask(copy, "select sum(predicted_value) from marts.user_clv")
    dbt_project.build(
        copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS, variables={"clv_monthly_discount": 0}
    )
    (undiscounted,) = ask(copy, "select sum(predicted_value) from marts.user_clv")

    assert 1.05 < undiscounted / value < 1.09


@pytest.mark.long
def test_percentiles_are_those_of_drawn_parameters(shop: Shop, copy: Database) -> None:
    """P10 and P90 match 300 draws from the distribution of the estimates, for some users."""
    fit(copy, shop, "mbg-nbd")
    dbt_project.build(copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS)
    (given,) = versions(copy)
    names = ("r", "alpha", "a", "b", "p", "q", "v")
    covariance = np.zeros((7, 7))
    for row, name in enumerate(names):
        for column, other in enumerate(names[: row + 1]):
            cell = given.get(f"cov_{name}_{other}") or 0.0
            covariance[row, column] = covariance[column, row] = cell
    draws = np.exp(
        np.random.default_rng(1).multivariate_normal(
            np.log([given[name] for name in names]), covariance, size=300
        )
    )
    users = {}
    for repeats in (0, 1, 5):
        users[repeats] = ask(
            copy,
            "select user_id, recency_weeks, first_purchase_date,"
            " coalesce(mean_repeat_amount, 0)::float8, predicted_value_p10::float8,"
            " predicted_value::float8, predicted_value_p90::float8"
            " from intermediate.int_user_purchase_history inner join marts.user_clv using (user_id)"
            f" where repeat_purchases = {repeats} order by user_id limit 1",
        )
    for repeats, (_, recency, first, mean, p10, value, p90) in users.items():
        age = (DAY - first).days / 7
        drawn = [
            oracle.predicted_value(
                repeats, recency, age, mean,
                {"model": given["model"], **dict(zip(names, map(float, draw), strict=True))},
            )
            for draw in draws
        ]  # fmt: skip
        low, high = np.quantile(drawn, [0.1, 0.9])
        # With 300 draws the error of a percentile is about a sixth of the distance.
        assert p10 == pytest.approx(low, abs=0.25 * (value - p10))
        assert p90 == pytest.approx(high, abs=0.25 * (p90 - value))


# --- The command ------------------------------------------------------------------------------


def test_fit_as_a_person_would(shop: Shop, copy: Database) -> None:
    answer = command(copy, "fit", "--as-of", str(DAY), "--model", "bg-nbd")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Version 1: bg-nbd with gamma-gamma" in answer.stdout
    assert "as of 2026-10-31 23:59 UTC" in answer.stdout
    (row,) = versions(copy)
    assert f"{row['r']:.4f}" in answer.stdout
    assert f"{row['v_standard_error']:.4f}" in answer.stdout

    with shop.database.connect() as session:
        expected = clv_data.fit_all(
            *clv_data.read_purchases(session, shop.queries, MOMENT), "bg-nbd", MOMENT
        )
    assert {name: row[name] for name in expected.parameters} == pytest.approx(expected.parameters)


@pytest.mark.long
def test_a_refused_fit_says_why_and_so_does_the_mart(built: Database) -> None:
    """The small sample has fewer than 500 buyers."""
    answer = command(built, "fit")
    dbt_project.build(built, *PREDICTIONS, options=NO_TESTS)
    (row,) = versions(built)

    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert row["refused_because"] in answer.stderr
    assert "users have bought, and 500 are needed" in row["refused_because"]
    reason = f"the fit was refused: {row['refused_because']}"
    assert ask(
        built, "select min(no_prediction_because), max(no_prediction_because) from marts.user_clv"
    ) == (reason, reason)


def test_a_refused_fit_takes_no_parameters_away(shop: Shop, copy: Database) -> None:
    fit(copy, shop)
    with copy.connect() as session:
        found = clv_data.fit_all(
            clv_fit.Purchases(*np.ones((4, 1))), clv_fit.Spending(*np.ones((3, 1))),
            "bg-nbd", MOMENT,
        )  # fmt: skip
        clv_data.write_version(session, shop.queries, found)
    dbt_project.build(copy, *PREDICTIONS, as_of=DAY, options=NO_TESTS)

    assert [row["refused_because"] is None for row in versions(copy)] == [True, False]
    assert ask(copy, "select max(parameters_version), count(*) > 0 from marts.user_clv") == (
        (1, True)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "--as-of", "yesterday"], "--as-of must be a date such as 2026-10-31"),
        (["fit", "--as-of", "2999-01-01"], "is in the future"),
        (["backtest", "--as-of", "soon"], "--as-of must be a date such as 2026-10-31"),
        (["fit", "--model", "pareto"], "'bg-nbd', 'mbg-nbd'"),
    ],
)
def test_a_wrong_option_is_named(database: Database, arguments: list[str], sentence: str) -> None:
    answer = command(database, *arguments)

    assert answer.returncode in (1, 2)
    assert sentence in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


def test_a_database_that_was_not_built_is_refused(database: Database) -> None:
    queries = clv_data.Queries("select 1", ("ml", "clv_parameters"))
    with (
        database.connect() as session,
        pytest.raises(WarehouseError, match=r"no ml\.clv_parameters yet: run `warehouse build`"),
    ):
        clv_data.check_tables(session, queries)


# --- The backtest -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backtest(shop: Shop) -> clv_backtest.Backtest:
    with shop.database.connect() as session:
        return clv_backtest.run(session, shop.queries, shop.scores, "bg-nbd", MOMENT)


def test_the_model_beats_both_naive_rules(backtest: clv_backtest.Backtest) -> None:
    for measure in (backtest.mean_absolute_error, backtest.calibration_error):
        assert measure["model"] < min(measure["same again"], measure["own rate"])
    assert backtest.total["model"] == pytest.approx(backtest.came, rel=0.1)
    assert sum(tenth.users for tenth in backtest.tenths) == backtest.users


def test_the_backtest_counts_what_the_oracle_counts(
    shop: Shop, backtest: clv_backtest.Backtest
) -> None:
    tables = oracle.latest([oracle.read_folder(shop.folder)])
    quarter = dt.timedelta(days=clv_backtest.DAYS)
    before, known, after = (
        {row["user_id"]: row for row in oracle.purchase_history(tables, day)}
        for day in (DAY - 2 * quarter, DAY - quarter, DAY)
    )
    r, alpha, a, b = (backtest.fit.parameters[name] for name in ("r", "alpha", "a", "b"))
    came, again, own, model = [], [], [], []
    for user_id, row in known.items():
        x, first = row["repeat_purchases"], row["first_purchase_date"]
        age = (DAY - quarter - first).days / 7
        came.append(after[user_id]["repeat_purchases"] - x)
        earlier = before[user_id]["repeat_purchases"] + 1 if user_id in before else 0
        again.append(x + 1 - earlier)
        own.append(x / (age * 7) * 90 if age else 0.0)
        # The textbook formula; double precision is enough for the short horizon.
        until = alpha + age + 90 / 7
        series = hyp2f1(r + x, b + x, a + b + x - 1, 90 / 7 / until)
        alive = ((alpha + age) / (alpha + row["recency_weeks"])) ** (r + x)
        alive = 1 / (1 + (a / (b + x - 1) * alive if x else 0))
        stays = ((alpha + age) / until) ** (r + x)
        model.append((a + b + x - 1) / (a - 1) * (1 - stays * series) * alive)

    assert backtest.users == len(known)
    assert backtest.came == sum(came)
    for rule, predicted in (("same again", again), ("own rate", own), ("model", model)):
        assert backtest.total[rule] == pytest.approx(sum(predicted))
        assert backtest.mean_absolute_error[rule] == pytest.approx(
            np.abs(np.array(predicted) - came).mean()
        )


@pytest.mark.long
def test_the_backtest_writes_nothing(shop: Shop, copy: Database) -> None:
    answer = command(copy, "backtest", "--as-of", str(DAY), "--model", "bg-nbd")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "mean absolute error" in answer.stdout
    assert versions(copy) == []


def test_a_backtest_without_a_fit_says_so(shop: Shop) -> None:
    early = MOMENT - dt.timedelta(days=400)
    with (
        shop.database.connect() as session,
        pytest.raises(
            WarehouseError, match=r"the fit is refused: only .* There is nothing to compare"
        ),
    ):
        clv_backtest.run(session, shop.queries, shop.scores, "bg-nbd", early)


def test_the_tables_and_the_plot(backtest: clv_backtest.Backtest, tmp_path: Path) -> None:
    text, markdown = clv_backtest.as_text(backtest), clv_backtest.as_markdown(backtest)
    for said in (f"{backtest.mean_absolute_error['model']:.4f}", f"{backtest.tenths[9].came:.3f}"):
        assert said in text and said in markdown

    picture = ET.fromstring(chart.as_svg(backtest))  # noqa: S314 - our own output
    space = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f"{space}polyline")) == len(clv_backtest.RULES)
    assert len(picture.findall(f"{space}circle")) == 3 * clv_backtest.TENTHS
    heights = [float(circle.get("cy", "nan")) for circle in picture.findall(f"{space}circle")]
    assert all(0 < height < 400 for height in heights)

    document = tmp_path / "page.md"
    document.write_text("before\n{}\nold\n{}\nafter\n".format(*clv_backtest.MARKS))
    clv_backtest.write_between_marks(document, markdown)
    held = document.read_text()
    assert held.startswith("before\n") and held.endswith("\nafter\n")
    assert markdown in held and "old" not in held
