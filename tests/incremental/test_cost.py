"""The cost of a build depends on the changes, not on the length of the history.

The tests build the same day on a short and on a long history. The long history is the short one
plus three copies with different keys. Both get exactly the same day, so any rows that a model reads
only on the long one come from the history.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import new_database, wait_for_counts
from warehouse import contract
from warehouse.load import load_folder
from warehouse.sample.command import make_plan
from warehouse.sample.generate import generate
from warehouse.server import Server

# Fewer rows do not do: the planner would read the small tables from the first row to the last.
USERS, DAYS, COPIES = 5_000, 730, 3
END = dt.date(2025, 6, 30)
LOADED_AT = dt.datetime(2025, 6, 20, tzinfo=dt.UTC)
# The first day separates the second one from the history: a build rereads the last day of loads.
FIRST_DAY, SECOND_DAY = dt.date(2025, 7, 1), dt.date(2025, 7, 2)
# The same for all builds, because users who change segment with time would be changes too.
AS_OF = SECOND_DAY

SEEDS = {
    "staging.event_types",
    "staging.order_statuses",
    "staging.payment_statuses",
    "staging.segment_thresholds",
    "staging.rfm_segments",
    "staging.currencies",
}
# Small relations that do not grow with the number of users. A model may read them completely.
LOOKUPS = {
    *SEEDS,
    "raw.categories",
    "raw.products",
    "snapshots.snp_app__products",
    "marts.dim_products",
    "marts.dim_categories",
    "marts.bridge_category_ancestors",
    "marts.dim_date",
    "marts.dim_time",
    "marts.dim_event_types",
}
# What is measured per day.
MEASURED = {
    "marts.dim_users",
    "marts.fct_orders",
    "marts.fct_order_items",
    "marts.fct_payments",
    "marts.fct_user_sessions",
    "marts.fct_user_events",
    "intermediate.int_row_issues",
    "observability.daily_measures",
}
# Relations that a model has to read completely, and why.
READ_WHOLE = {
    # dbt compares all current rows with all rows of staging.
    "snp_app__users": {"raw.users", "snapshots.snp_app__users"},
    # A refresh of the materialized view reads all orders.
    "daily_revenue": {"marts.fct_orders"},
    # Every prediction changes each day: the query searches all users for predictions of other days.
    "user_clv": {"marts.user_clv"},
    # A score is a rank among all users, with one row per user.
    "user_rfm": {"intermediate.int_user_recent_orders", "marts.user_rfm"},
    # dbt compares all segments with all current states; moves are counted from the states.
    "snp_user_segments": {"marts.user_segments", "marts.dim_users", "snapshots.snp_user_segments"},
    "segment_transitions": {"snapshots.snp_user_segments"},
    # No request is loaded on the days, so the last day of loads, read again, is all.
    # The issues are so few for the keys of a day that one pass costs half of what an index does.
    "int_row_issues": {"raw.erasure_requests", "intermediate.int_row_issues"},
    # dbt compares all issues with all current states: one that is missing is resolved.
    "snp_row_issues": {"intermediate.int_row_issues", "snapshots.snp_row_issues"},
    # A snapshot logs no keys: the publication compares all issues as well.
    "publication": {"snapshots.snp_row_issues", "published.row_issues"},
    # These count whole groups: the users of a cohort, of a day and its next one, of a funnel step.
    "cohort_retention": {"intermediate.int_user_months"},
    "int_active_days": {"intermediate.int_user_active_days"},
    "active_users": {"intermediate.int_active_days"},
    "event_funnel": {"intermediate.int_user_funnel_steps"},
    # These count the rows of a day, those of other users too; the test below bounds them.
    "daily_measures": MEASURED,
}
# With more users, more of them are next to a user whose rank changes, and so change rank too.
RELATIVE = {"user_rfm", "user_segments", "snp_user_segments"}
# With more orders, more of the groups that the day writes exist before: replacing a row is a delete
# and an insert. A range of anomalies changes if a late row changes the day.
GROUPS = {"int_category_days", "monthly_category_revenue", "int_active_days", "anomalies"}
# The last models that read the keys logged by those models; their runs prune the log at the end.
READ_RELATIVE = ("user_analytics", "active_users")
# Bookkeeping of the run: one row per model and upstream, and the log of keys.
NOTES = {"observability.watermarks", "observability.key_changes", "observability.audited_tables"}
# What every build records, also one that changes nothing: a few rows each.
RECORDS = {
    "observability.runs",
    "observability.run_results",
    "observability.source_volumes",
    "observability.quality_scores",
    "observability.publications",
}
# A run counts the rows of a raw table with fewer rows (macro counted_volumes).
COUNTED = 200_000
NO_TESTS = dbt_project.NO_TESTS

pytestmark = pytest.mark.long


# --- Short and long histories, and a day of changes -------------------------------------------


def grow(database: Any, copies: int) -> None:
    """Add copies of the application's rows that belong to other users.

    Args:
        database: a database with raw tables.
        copies: the number of copies to add.
    """
    shared = {"product_id", "category_id"}
    with database.connect() as session:
        for name, table in contract.read().tables.items():
            if table.key in shared:
                continue
            columns = [*table.columns, "_loaded_at", "_deleted_at"]
            # With the address of another user, each would be that user's namesake.
            values = [
                f"copy || '-' || {column}"
                if (column.endswith("_id") and column not in shared) or column == "email"
                else column
                for column in columns
            ]
            session.execute(
                f"insert into raw.{name} ({', '.join(columns)}) select {', '.join(values)}"
                f" from raw.{name} cross join generate_series(1, {copies}) as copy"
            )


def rows_of(database: Any, query: str) -> list[dict[str, Any]]:
    """The rows of a query, as dictionaries."""
    with database.connect() as session:
        cursor = session.execute(query)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def day_of_changes(database: Any, day: dt.date) -> dict[str, list[dict[str, Any]]]:
    """The changes in one day of an application with some thousand visits, for the original users.

    Args:
        database: the database whose raw tables contain the existing users, orders and events.
        day: the day of the changes; another day changes other rows.

    Returns:
        The rows by table, each with all columns of the table's file.
    """
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)

    def some(table: str, key: str, count: int) -> list[dict[str, Any]]:
        return rows_of(
            database,
            f"select * from raw.{table} where {key} !~ '^[0-9]-' and trim({key}) != ''"
            f" and _deleted_at is null order by md5({key} || '{day}') limit {count}",
        )

    users = some("users", "user_id", 200)
    changed_users = [
        {**user, "subscription_tier": f"tier of {day}", "updated_at": noon} for user in users[:60]
    ]
    # Some become valid before events that are already loaded, and some are deleted.
    for user in changed_users[:5]:
        user["updated_at"] = noon - dt.timedelta(days=40)
    for user in changed_users[5:8]:
        user["_deleted_at"] = noon
    changed_users += [
        {**user, "user_id": f"new {day} {number}", "created_at": noon, "updated_at": noon}
        for number, user in enumerate(users[60:85])
    ]

    sessions = [
        {
            "session_id": f"session {day} {number}",
            "user_id": user["user_id"],
            "session_start": noon + dt.timedelta(minutes=number),
            "session_end": noon + dt.timedelta(minutes=number + 20),
            "device": "phone",
        }
        for number, user in enumerate(users)
    ]
    events = [
        {
            "event_id": f"event {session['session_id']} {number}",
            "user_id": session["user_id"] if number % 7 else None,
            "session_id": session["session_id"],
            "event_type": "page_view",
            "event_timestamp": session["session_start"]
            + dt.timedelta(minutes=number, days=-9 if number == 3 else 0),
            "page_url": "/",
            "_deleted_at": None,
        }
        for session in sessions
        for number in range(7)
    ]
    events += events[:30]
    events += [
        {**{name: event.get(name) for name in events[0]}, "_deleted_at": noon}
        for event in some("events", "event_id", 20)
    ]

    # Some decide on a purpose on which they have decided before.
    consents = [
        {
            "consent_id": f"consent of {user['user_id']} on {day}",
            "user_id": user["user_id"],
            "purpose": "marketing",
            "is_granted": number % 2 == 0,
            "recorded_at": noon,
        }
        for number, user in enumerate(users[40:80])
    ]

    products = [row["product_id"] for row in some("products", "product_id", 50)]
    orders = [
        {
            "order_id": f"order {day} {number}",
            "user_id": user["user_id"],
            "order_status": "paid",
            "currency": "EUR",
            "order_date": noon,
            "_deleted_at": None,
        }
        for number, user in enumerate(users[:60])
    ]
    items = [
        {
            "order_item_id": f"line {number} of {order['order_id']}",
            "order_id": order["order_id"],
            "product_id": products[number],
            "quantity": number + 1,
            "price_at_purchase": 10,
        }
        for order in orders
        for number in range(2)
    ]
    payments = [
        {
            "payment_id": f"payment of {order['order_id']}",
            "order_id": order["order_id"],
            "payment_status": "paid",
            "amount": 30,
            "paid_at": noon,
        }
        for order in orders
    ]
    for number, order in enumerate(some("orders", "order_id", 40)):
        gone = noon if number < 5 else None
        orders.append(
            {**{name: order[name] for name in orders[0]}, "order_status": "returned"}
            | {"_deleted_at": gone}
        )
    prices = [
        {"product_id": row["product_id"], "category_id": row["category_id"]}
        | {"product_name": row["product_name"], "unit_price": 77, "updated_at": noon}
        for row in some("products", "product_id", 3)
    ]
    return {
        "users": changed_users,
        "user_sessions": sessions,
        "events": events,
        "orders": orders,
        "order_items": items,
        "payments": payments,
        "products": prices,
        "consents": consents,
    }


def load_day(
    database: Any, changes: Mapping[str, Sequence[Mapping[str, Any]]], day: dt.date, folder: Path
) -> None:
    """Load a day of changes, stamped with the morning of the next day."""
    folder.mkdir(exist_ok=True)
    for table, rows in changes.items():
        names = [name for name in rows[0] if name != "_loaded_at"]
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    stamp = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(5), dt.UTC)
    with database.connect() as connection:
        load_folder(folder, connection=connection, loaded_at=stamp)


# --- Rows read and written by a command -------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Rows read and written, by relation; partitions count towards their parent."""

    read: dict[str, int]
    written: dict[str, int]


@dataclass(frozen=True)
class Measured:
    """The cost of a warehouse's builds.

    Attributes: `events`, the number of events before the day; `changes`, the number of rows in the
    day's load; `models`, the cost of each model on that day, in build order; `publication`, the
    cost of a whole build afterwards, which publishes the day; `idle`, the cost of another one,
    which finds no changes.
    """

    events: int
    changes: int
    models: dict[str, Cost]
    publication: Cost
    idle: Cost


def counters(database: Any) -> dict[str, tuple[int, int]]:
    """PostgreSQL's counters: rows read and rows written per table since its creation.

    A row found through an index counts once, also in an index-only scan.
    """
    with database.connect() as session:
        session.autocommit = True
        wait_for_counts(session)
        return {
            name: (int(read), int(written))
            for name, read, written in session.execute(
                """
                select
                    coalesce(pg_partition_root(tables.relid), tables.relid)::regclass::text,
                    sum(tables.seq_tup_read + greatest(
                        coalesce(tables.idx_tup_fetch, 0),
                        (
                            select coalesce(sum(indexes.idx_tup_read), 0)
                            from pg_stat_user_indexes as indexes
                            where indexes.relid = tables.relid
                        )
                    )),
                    sum(tables.n_tup_ins + tables.n_tup_upd + tables.n_tup_del)
                from pg_stat_user_tables as tables
                group by 1
                """
            )
        }


def cost_of(database: Any, command: str, *select: str, **options: Any) -> Cost:
    """Run dbt, and count the rows that it reads and writes."""
    before = counters(database)
    dbt_project.run(database, command, *select, as_of=AS_OF, **options)
    after = counters(database)
    read, written = (
        {
            name: counts[which] - before.get(name, (0, 0))[which]
            for name, counts in after.items()
            if counts[which] > before.get(name, (0, 0))[which]
        }
        for which in (0, 1)
    )
    return Cost(read, written)


def steps(results: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """The command and the name of every table of a build, in build order."""
    for result in results:
        node = result.node
        if node.resource_type == "snapshot":
            yield "snapshot", node.name
        elif node.resource_type == "model" and node.config.materialized != "view":
            yield "run", node.name


def build_first_day(
    database: Any, days: Sequence[Mapping[str, Any]], folder: Path
) -> list[tuple[str, str]]:
    """Build a warehouse with the first day; return its steps in the order of completion."""
    load_day(database, days[0], FIRST_DAY, folder / "first")
    return list(steps(dbt_project.build(database, as_of=AS_OF, options=NO_TESTS)))


def measure_second_day(
    database: Any,
    days: Sequence[Mapping[str, Any]],
    folder: Path,
    order: Sequence[tuple[str, str]],
) -> Measured:
    """Measure the cost of the second day for each model, one after the other."""
    with database.connect() as session:
        session.autocommit = True
        session.execute("analyze")
        events = session.execute("select count(*) from raw.events").fetchone()
    load_day(database, days[1], SECOND_DAY, folder / "second")
    # A run of one model would publish.
    models = {
        name: cost_of(database, command, name, variables={"publish_untested": False})
        for command, name in order
    }
    return Measured(
        events=events[0],
        changes=sum(map(len, days[1].values())),
        models=models,
        publication=cost_of(database, "build", options=NO_TESTS),
        idle=cost_of(database, "build", options=NO_TESTS),
    )


@pytest.fixture(scope="module")
def measured(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Measured, Measured]]:
    """The cost of the same day on a short history and on one that is four times as long."""
    folder = tmp_path_factory.mktemp("cost")
    plan = make_plan(users=USERS, days=DAYS, seed=3, out=folder / "files", end_date=END.isoformat())
    generate(plan)
    with new_database(server) as short:
        with short.connect() as connection:
            load_folder(plan.out, connection=connection, loaded_at=LOADED_AT)
        days = [day_of_changes(short, day) for day in (FIRST_DAY, SECOND_DAY)]
        with new_database(server, template=short.name) as long:
            grow(long, COPIES)
            # The same order for both: the last model to read a logged key deletes it from the log.
            order = build_first_day(short, days, folder)
            assert sorted(build_first_day(long, days, folder)) == sorted(order)
            yield (
                measure_second_day(short, days, folder, order),
                measure_second_day(long, days, folder, order),
            )


def table(costs: tuple[Measured, Measured]) -> str:
    """The costs as a Markdown table: rows read and written per model."""
    short, long = costs
    lines = [
        f"| model | read with {short.events:,} events | with {long.events:,} | written |",
        "|---|---|---|---|",
    ]
    for name in long.models:
        cells = [
            f"{sum(count for what, count in cost.items() if what not in NOTES | RECORDS):,}"
            for cost in (
                short.models[name].read,
                long.models[name].read,
                long.models[name].written,
            )
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


# --- Guarantees -------------------------------------------------------------------------------


def test_the_history_is_long(measured: tuple[Measured, Measured]) -> None:
    short, long = measured
    print(f"\n{table(measured)}")
    assert long.events >= 1_000_000
    assert long.events >= 3.9 * short.events
    assert short.changes == long.changes < 2_500


def test_a_day_reads_what_changed(measured: tuple[Measured, Measured]) -> None:
    """On the long history a model reads at most as many additional rows as there are changes.

    It may also read fewer rows, because the planner uses indexes more on larger tables.
    """
    short, long = measured
    complaints = []
    for name, cost in long.models.items():
        exempt = LOOKUPS | NOTES | READ_WHOLE.get(name, set())
        for relation, rows in cost.read.items():
            on_short = short.models[name].read.get(relation, 0)
            if relation not in exempt and rows > on_short + long.changes:
                complaints.append(f"{name} reads {rows} rows of {relation}, not {on_short}")
        rows = sum(count for relation, count in cost.read.items() if relation not in exempt)
        if rows > 15 * long.changes:
            complaints.append(f"{name} reads {rows} rows for {long.changes} that changed")
    assert not complaints, "\n".join(complaints)


def test_a_day_writes_what_changed(measured: tuple[Measured, Measured]) -> None:
    short, long = measured

    def written(costs: Measured) -> dict[str, dict[str, int]]:
        found = {
            name: dict(cost.written)
            for name, cost in costs.models.items()
            if name not in RELATIVE | GROUPS
        }
        for name in READ_RELATIVE:
            found[name].pop("observability.key_changes")
        return found

    assert written(long) == written(short)
    for name in GROUPS:
        for relation, rows in long.models[name].written.items():
            assert rows <= 2 * short.models[name].written[relation], f"{name} writes {relation}"
    for name, cost in long.models.items():
        for relation, rows in cost.written.items():
            assert rows < 2 * long.changes, f"{name} writes {rows} rows of {relation}"
    assert long.models["fct_user_events"].written["marts.fct_user_events"] > 1_400


def test_a_publication_reads_and_writes_what_changed(measured: tuple[Measured, Measured]) -> None:
    short, long = measured
    for which in ("read", "written"):
        rows, on_short = (
            {
                name: count
                for name, count in getattr(costs.publication, which).items()
                if name.startswith("published.") and name not in READ_WHOLE["publication"]
            }
            for costs in (long, short)
        )
        print(which, rows, on_short)
        assert rows.keys() == {"published.user_analytics", "published.user_rfm"}
        assert sum(rows.values()) < sum(on_short.values()) + long.changes
    assert 0 < long.publication.written["published.row_issues"] < long.changes


def test_measures_read_the_days_that_changed(measured: tuple[Measured, Measured]) -> None:
    """With four times as many rows a day they read four times as many, and no other days."""
    short, long = measured
    for relation in MEASURED:
        rows = long.models["daily_measures"].read.get(relation, 0)
        on_short = short.models["daily_measures"].read.get(relation, 0)
        # A BRIN index finds the pages of a day, whose other rows are read too.
        times = 8 if relation == "marts.fct_user_events" else 4
        assert rows <= times * on_short + long.changes, f"{relation}: {rows} rows, not {on_short}"
    users = long.models["daily_measures"].read.get("marts.dim_users", 0)
    assert users <= long.changes, f"{users} users"
    events = long.models["daily_measures"].read["marts.fct_user_events"]
    days = 28 + 84
    assert 0 < events < 2 * long.events * days / DAYS, f"{events} of {long.events} events"
    # What is judged does not depend on the history.
    assert sum(long.models["anomalies"].read.values()) < 60_000


def test_a_build_without_changes_writes_nothing_and_reads_little(
    measured: tuple[Measured, Measured],
) -> None:
    short, long = measured
    # dbt reloads seeds, and every build updates its bookkeeping.
    assert set(long.idle.written) <= {*SEEDS, *NOTES, *RECORDS}
    for relation in RECORDS:
        rows = long.idle.written.get(relation, 0)
        assert rows == short.idle.written.get(relation, 0), relation
    exempt = LOOKUPS | NOTES | set().union(*READ_WHOLE.values())
    assert len(long.idle.read) > 10
    for relation, rows in long.idle.read.items():
        is_counted = relation.startswith("raw.") and rows < COUNTED
        if relation not in exempt and not is_counted:
            assert rows <= short.idle.read.get(relation, 0) + 50, relation
            # The overlap: every model rereads the loads of the last day.
            readers = 2 if relation == "raw.events" else 1  # fct_user_events and int_row_issues
            assert rows <= readers * 2 * long.changes, f"{rows} rows of {relation}"
