"""What `warehouse init` proposes for a schema: right or open, never wrong."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.init.shapes import OPEN, SHAPES, TRUTH
from warehouse import contract as contracts
from warehouse.contract import Contract, Table
from warehouse.errors import WarehouseError
from warehouse.init import catalogue, files, guess
from warehouse.init.command import propose
from warehouse.init.guess import Choices, Proposal

UTC = Choices(time_zone="UTC")


def proposed(
    session: psycopg.Connection, schema: str = "public", choices: Choices = UTC
) -> dict[str, Proposal]:
    """The proposals for the tables that exist or are open."""
    found, _ = propose(session, schema, contracts.read(), choices)
    return {each.table.name: each for each in found if each.relation or each.confidence == "OPEN"}


def column(proposal: Proposal, name: str) -> guess.Guess:
    return next(each for each in proposal.guesses if each.column == name)


def columns_read(expression: str) -> str:
    """The columns of the source in an expression."""
    return " ".join(dict.fromkeys(re.findall(r"(?:source|linked)\.\"?(\w+)\"?", expression)))


def questions(proposal: Proposal) -> set[str]:
    """What is left to a person in a table."""
    name = proposal.table.name
    if proposal.relation is None:
        return {name}
    found = {f"{name}.{each.column}" for each in proposal.guesses if each.confidence == "OPEN"}
    for each in proposal.guesses:
        values = re.findall(r"-- OPEN: ([^,]+),", each.expression)
        found |= {f"{name}.{each.column}: {value}" for value in values}
    rows = re.compile(r"(?:are rows with|rows of which|does) (\w+)")
    found |= {f"{name} {rows.match(question)[1]}" for question, _ in proposal.rows}
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_known_shop_is_mapped_without_an_error(shops: psycopg.Connection, shape: str) -> None:
    found = proposed(shops, shape)
    assert set(found) - {"orders"} == set(TRUTH[shape]) - {"orders"}
    wrong, missed, left = [], [], set()
    for name, proposal in found.items():
        left |= questions(proposal)
        if proposal.relation is None:
            continue
        relation, truth = TRUTH[shape][name]
        truth = {**truth, "xmin": "xmin"}
        assert proposal.relation.name == relation
        taken = {
            each.column: columns_read(each.expression)
            for each in proposal.guesses
            if each.confidence in ("high", "medium")
        }
        wrong += [f"{name}.{key} = {value}" for key, value in taken.items()
                  if truth.get(key) != value]  # fmt: skip
        missed += [f"{name}.{key}" for key in truth if key not in taken]
    assert wrong == []
    assert missed == []
    assert left == OPEN[shape]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_stamped", [False, True])
def test_every_proposed_select_runs(
    shops: psycopg.Connection, shape: str, is_stamped: bool
) -> None:
    """It has the contract's columns with its types, also where choices are open."""
    choices = Choices(time_zone="UTC", is_stamped=is_stamped)
    for name, proposal in proposed(shops, shape, choices).items():
        table = contracts.read().tables[name]
        described = shops.execute(files.render(proposal)).description
        types = {each.name: each.type_display for each in described}
        expected = dict(table.columns) | {"_loaded_at": "timestamptz", "_deleted_at": "timestamptz"}
        types.pop("xmin", None)
        if is_stamped:
            assert set(types) == set(expected)
        assert set(table.columns) <= set(types)
        assert {key: kind for key, kind in types.items() if kind != expected[key]} == {}
        for each in proposal.guesses:
            for choice in each.choices:
                joins = "\n".join(proposal.joins)
                shops.execute(f"select {choice} from {proposal.relation.sql} as source {joins}")


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (Choices(), ["OPEN", "OPEN", "OPEN"]),
        (
            Choices(time_zone="Europe/Berlin", cents=True, currency="EUR"),
            [
                "source.placed_at at time zone 'Europe/Berlin'",
                "source.price / 100.0",
                "'EUR'::text",
            ],
        ),
        (Choices(cents=False), ["OPEN", "source.price::numeric", "OPEN"]),
    ],
)
def test_one_answer_serves_all_columns(
    shop: psycopg.Connection, choices: Choices, expected: list[str]
) -> None:
    """Zones of timestamps, cents and the currency are asked for, not guessed."""
    shop.execute(
        "create table users (id int primary key, email text);"
        "create table orders (id int primary key, user_id int references users, status text,"
        " placed_at timestamp);"
        "create table order_items (id int primary key, order_id int references orders, price int,"
        " quantity int)"
    )
    found = proposed(shop, choices=choices)
    guesses = [
        column(found["orders"], "order_date"),
        column(found["order_items"], "price_at_purchase"),
        column(found["orders"], "currency"),
    ]
    shown = ["OPEN" if each.confidence == "OPEN" else each.expression for each in guesses]
    assert shown == expected


CURRENCIES = """
create table orders (id int primary key, user_id int, status text, placed_at date, {});
insert into orders (id, {}) values (1, {}), (2, {}), (3, null);
"""


@pytest.mark.parametrize(
    ("name", "values", "currency", "confidence", "choices", "reason"),
    [
        ("curr", ("CAD", "cad"), None, "OPEN", 1, "perhaps curr (CAD (1), cad (1), null (1))"),
        ("money", ("CAD", "USD"), None, "OPEN", 1, "perhaps money (CAD (1), USD (1), null (1))"),
        ("curr", ("CAD", "USD"), "USD", "OPEN", 1, "chosen with --currency, but perhaps curr"),
        ("money", ("usd", "USD"), "USD", "high", 0, "chosen with --currency"),
        ("paid_in", ("$", "C$"), None, "OPEN", 1, "run again with --currency EUR"),
        ("note", ("a long text", "USD"), None, "OPEN", 0, "run again with --currency EUR"),
        ("currency", ("CAD", "USD"), "USD", "high", 0, "--currency is not used"),
    ],
)
def test_a_currency_with_another_name_is_offered(
    shop: psycopg.Connection,
    name: str,
    values: tuple[str, str],
    currency: str | None,
    confidence: str,
    choices: int,
    reason: str,
) -> None:
    """One currency for all orders is never the only advice if a column may hold it."""
    literals = [f"'{value}'" for value in values]
    shop.execute(CURRENCIES.format(f"{name} text", name, *literals))
    found = column(proposed(shop, choices=Choices(currency=currency))["orders"], "currency")
    assert (found.confidence, len(found.choices)) == (confidence, choices)
    assert found.choices in ([], [f"source.{name}::text"])
    assert reason in found.reason
    assert currency or ("--currency" in found.reason) == ("perhaps" not in found.reason)


@pytest.mark.parametrize(
    ("cents", "choices"),
    [
        (True, ["source.price / 100.0", "source.unit_price / 100.0"]),
        (False, ["source.price::numeric", "source.unit_price::numeric"]),
    ],
)
def test_choices_of_amounts_are_in_units(
    shop: psycopg.Connection, cents: bool, choices: list[str]
) -> None:
    shop.execute(
        "create table order_items (id int primary key, order_id int, quantity int, price int,"
        " unit_price int)"
    )
    found = proposed(shop, choices=Choices(cents=cents))["order_items"]
    assert column(found, "price_at_purchase").choices == choices
    assert found.options == {"--amounts"}


SEVERAL = """
create table users (id int primary key, email text);
create table customers (id int primary key, email text);
"""


@pytest.mark.parametrize(
    ("orders", "taken"),
    [
        ("customer_id int references customers", "customers"),
        ("customer_id int", "customers"),
        ("user_id int references users, customer_id int references customers", None),
        ("buyer_id int", None),
    ],
)
def test_orders_decide_who_the_users_are(
    shop: psycopg.Connection, orders: str, taken: str | None
) -> None:
    shop.execute(SEVERAL + f"create table orders (id int primary key, placed_at date, {orders})")
    users = proposed(shop)["users"]
    assert (users.relation.name if users.relation else None) == taken
    if taken is None:
        assert "public.customers, public.users could be it" in users.reason
        chosen = Choices(tables={"users": "public.users"})
        assert proposed(shop, choices=chosen)["users"].relation.name == "users"


def test_two_candidates_for_a_column_are_both_shown(shop: psycopg.Connection) -> None:
    shop.execute(
        "create table customers (id int primary key, email text, registered_at timestamptz,"
        " date_joined timestamptz);"
        "create table orders (id int primary key, customer_id int references customers,"
        " gift_customer_id int references customers, seller_id int references customers,"
        " ordered_at timestamptz, purchase_date timestamptz, status text, state text)"
    )
    found = proposed(shop)
    user = column(found["orders"], "user_id")
    assert user.expression == "source.customer_id::text"  # the only one with a name for it
    for table, name in (("orders", "order_date"), ("orders", "order_status"),
                        ("users", "created_at")):  # fmt: skip
        open_column = column(found[table], name)
        assert (open_column.confidence, len(open_column.choices)) == ("OPEN", 2)
        assert open_column.expression.startswith("null::")


def test_codes_and_unknown_statuses_are_left_with_their_values(shop: psycopg.Connection) -> None:
    shop.execute(
        "create table orders (id int primary key, user_id int, status smallint, placed_at date);"
        "insert into orders select n, n, n % 2, now() from generate_series(1, 5) n;"
        "create table payments (id int primary key, order_id int references orders, amount numeric,"
        " status text, paid_at timestamptz);"
        "insert into payments values (1, 1, 1, 'Paid', now()), (2, 1, 1, 'it''s late', now())"
    )
    found = proposed(shop)
    status = column(found["orders"], "order_status")
    assert "when 0 then null -- OPEN: 0, 2 rows: which of seeds/order_statuses.csv?" in (
        status.expression
    )
    paid = column(found["payments"], "payment_status").expression
    assert "when 'it''s late' then 'it''s late' -- OPEN: it's late, 1 rows" in paid
    assert "Paid" not in paid.replace("source.status", "")


def test_a_required_column_that_is_mostly_null_is_open(shop: psycopg.Connection) -> None:
    shop.execute(
        "create table orders (id int primary key, user_id int, status text, placed_at date);"
        "create table order_items (id int primary key, order_id int, quantity int, price numeric);"
        "insert into order_items select n, 1, 1, null from generate_series(1, 9) n"
    )
    price = column(proposed(shop)["order_items"], "price_at_purchase")
    assert (price.confidence, price.expression) == ("OPEN", "null::numeric")
    assert "null in 100% of the rows" in price.reason


def test_a_reference_to_a_key_of_several_columns_is_open(shop: psycopg.Connection) -> None:
    """As of a partitioned table, whose key has the column of the partitions, and which may be
    without partitions."""
    shop.execute(
        "create table orders (id bigint, customer_id int, status text, placed_at timestamptz,"
        " primary key (id, placed_at)) partition by range (placed_at);"
        "create table order_items (id int primary key, order_id bigint, quantity int,"
        " price numeric)"
    )
    order = column(proposed(shop)["order_items"], "order_id")
    assert (order.expression, order.confidence) == ("null::text", "OPEN")
    assert "several columns: id, placed_at" in order.reason


@pytest.mark.parametrize(
    ("users", "orders", "confidence"),
    [
        ("client_no int primary key", "client_no int", "medium"),
        ("no int primary key", "client_no int", "medium"),
        ("client_no int primary key", "client_no text", "OPEN"),  # another type
        ("uid int primary key", "uid int", "OPEN"),  # other tables have it, too
    ],
)
def test_a_column_named_like_a_key_is_a_reference(
    shop: psycopg.Connection, users: str, orders: str, confidence: str
) -> None:
    shop.execute(
        f"create table clients ({users}, email text); create table notes (uid int primary key);"
        f"create table purchases (id int primary key, {orders}, status text, placed_at date)"
    )
    tables = {"users": "public.clients", "orders": "public.purchases"}
    user = column(proposed(shop, choices=Choices(tables=tables))["orders"], "user_id")
    assert user.confidence == confidence
    if confidence == "medium":
        assert user.expression == "source.client_no::text"
        assert user.reason == "named like the key of public.clients; no foreign key"


def test_a_table_of_rates_is_mapped_if_it_is_named(shop: psycopg.Connection) -> None:
    """A rate may be the inverse of ours, so that it stays open."""
    shop.execute(
        "create table fx_rates (currency char(3), day date, rate numeric, mark text,"
        " primary key (currency, day))"
    )
    rates = {"exchange_rates": "public.fx_rates"}
    assert "exchange_rates" not in proposed(shop)
    found = proposed(shop, choices=Choices(tables=rates))["exchange_rates"]
    shop.execute(files.render(found))
    assert [(each.column, each.confidence) for each in found.guesses] == [
        ("exchange_rate_id", "high"),
        ("currency", "high"),
        ("rate_date", "high"),
        ("rate", "OPEN"),
        ("updated_at", "none"),
        ("xmin", "high"),
    ]
    assert column(found, "rate").choices[0] == "source.rate::numeric"
    # One currency is of orders alone.
    shop.execute("alter table fx_rates rename currency to coin")
    found = proposed(shop, choices=Choices(tables=rates, currency="EUR"))["exchange_rates"]
    assert column(found, "currency").expression == "null::text"
    assert "--currency" not in column(found, "currency").reason
    with pytest.raises(
        WarehouseError, match=r"--table exchange_rates=public\.gone: the source has"
    ):
        proposed(shop, choices=Choices(tables={"exchange_rates": "public.gone"}))


def test_a_table_added_to_the_contract_is_mapped_if_it_is_named(
    shop: psycopg.Connection,
) -> None:
    shop.execute("create table marks (id int primary key, colour text, updated_at timestamptz)")
    columns = {"mark_id": "text", "colour": "text", "updated_at": "timestamptz"}
    added = Contract("raw", {"marks": Table("marks", "mark_id", columns, "updated_at")})
    (found,), _ = propose(shop, "public", added, Choices(tables={"marks": "public.marks"}))
    assert [each.confidence for each in found.guesses] == ["high"] * 4
    (found,), _ = propose(shop, "public", added, Choices())
    assert "set --table marks=..." in found.reason


def test_columns_that_are_not_used_are_listed(shop: psycopg.Connection) -> None:
    """A column that is not found may be there under a name of the application's own."""
    shop.execute(
        'create table users (id int primary key, email text, joined timestamptz, "Stand" date);'
        "create table orders (id int primary key, user_id int, status text, placed_at date)"
    )
    found = proposed(shop)
    users = files.render(found["users"])
    assert users.endswith("-- Unused columns of public.users: joined, Stand\n")
    unknown = "not found: none of the names known; unused columns are below"
    assert f"as created_at, -- {unknown}: users without a sign-up date are in no cohort" in users
    assert f"as updated_at, -- {unknown}: each load reads the whole table" in users
    assert "no such column" not in users
    orders = files.render(found["orders"])
    assert "Unused" not in orders
    assert "OPEN: no such column: if all orders have one currency, run again" in orders


def test_a_domain_over_a_domain_is_its_base_type(shop: psycopg.Connection) -> None:
    shop.execute(
        "create domain a_text as text; create domain a_mail as a_text;"
        "create table users (id int primary key, email a_mail, phone a_text)"
    )
    users = proposed(shop)["users"]
    assert [column(users, name).confidence for name in ("email", "phone")] == ["high", "high"]


def test_xmin_is_left_out_if_it_may_not_be_read(shop: psycopg.Connection) -> None:
    shop.execute(
        "create table users (id int primary key, email text, phone text);"
        "create role columns_only; grant select (id, email) on users to columns_only;"
        "set local role columns_only"
    )
    users = proposed(shop)["users"]
    assert "xmin" not in {each.column for each in users.guesses}
    assert column(users, "email").confidence == "high"


@pytest.mark.parametrize("zone", ["UTC+3", "IST", "nowhere"])
def test_a_zone_with_two_meanings_is_refused(shop: psycopg.Connection, zone: str) -> None:
    shop.execute("create table users (id int primary key, email text)")
    with pytest.raises(WarehouseError, match="--time-zone must be UTC, or the name of a region"):
        proposed(shop, choices=Choices(time_zone=zone))


@pytest.mark.parametrize(
    ("columns", "expression", "confidence"),
    [
        ("deleted_at timestamptz", "source.deleted_at", "high"),
        (
            "is_deleted boolean, updated_at timestamptz",
            "case when source.is_deleted then source.updated_at end",
            "medium",
        ),
        ("is_deleted boolean", "null::timestamptz", "OPEN"),
        ("deleted smallint", "null::timestamptz", "OPEN"),
        ("discarded_at timestamptz", "source.discarded_at", "high"),
        # Rows that the application marks, and rows that are deleted.
        (
            "removed_at timestamp, _deleted_at timestamptz",
            "coalesce(source.removed_at at time zone 'UTC', source._deleted_at)",
            "medium",
        ),
        (
            "deleted_at timestamptz, _deleted_at timestamptz",
            "coalesce(source.deleted_at, source._deleted_at)",
            "medium",
        ),
        (
            "is_deleted boolean, updated_at timestamptz, _deleted_at timestamptz",
            "coalesce(case when source.is_deleted then source.updated_at end, source._deleted_at)",
            "medium",
        ),
        ("removed_at bigint, _deleted_at timestamptz", "null::timestamptz", "OPEN"),
        (
            "deleted_at timestamptz, _ab_cdc_deleted_at text",
            "coalesce(source.deleted_at, source._ab_cdc_deleted_at::timestamptz)",
            "medium",
        ),
    ],
)
def test_marks_of_deletion_are_found(
    shop: psycopg.Connection, columns: str, expression: str, confidence: str
) -> None:
    shop.execute(f"create table users (id int primary key, email text, {columns})")
    deleted = column(proposed(shop)["users"], "_deleted_at")
    assert (deleted.expression, deleted.confidence) == (expression, confidence)
    for each in (expression, *deleted.choices):
        shop.execute(f"select {each} from users as source")


@pytest.mark.parametrize(
    ("columns", "expression"),
    [
        ("_airbyte_extracted_at timestamptz, _ab_cdc_deleted_at text",
         ("source._airbyte_extracted_at", "source._ab_cdc_deleted_at::timestamptz")),
        ("_fivetran_synced timestamp, _fivetran_deleted boolean",
         ("source._fivetran_synced::timestamptz",
          "case when source._fivetran_deleted then source._fivetran_synced::timestamptz end")),
        ("_dlt_load_id text",
         ("to_timestamp(source._dlt_load_id::double precision)", "null::timestamptz")),
        ("_loaded_at timestamptz, _deleted_at timestamptz",
         ("source._loaded_at", "source._deleted_at")),
    ],
)  # fmt: skip
def test_stamps_of_common_tools_are_found(
    shop: psycopg.Connection, columns: str, expression: tuple[str, str]
) -> None:
    shop.execute(f"create table users (id int primary key, email text, {columns})")
    users = proposed(shop, choices=Choices(is_stamped=True))["users"]
    stamps = [column(users, name) for name in ("_loaded_at", "_deleted_at", "xmin")]
    assert (stamps[0].expression, stamps[1].expression) == expression
    assert [each.confidence for each in stamps if each.confidence == "OPEN"] == []


def test_other_tables_of_a_name_are_not_taken(shop: psycopg.Connection) -> None:
    """The sessions of a framework, a calendar of events, a table of links."""
    shop.execute(
        "create table sessions (id text primary key, user_id int, payload text, started_at date);"
        "create table events (id int primary key, name text, user_id int, created_at date,"
        " starts_at date, venue text);"
        "create table consents (id int primary key, text text)"
    )
    assert set(proposed(shop)) == {"users", "orders"}  # both open: they are missing


@pytest.mark.parametrize(
    ("columns", "user", "visitor", "confidence"),
    [
        ("user_id int, visitor_token text", "user_id", "visitor_token", "high"),
        ("user_id int, visitor_id bigint", "user_id", "visitor_id", "high"),
        ("user_id int, anonymous_id uuid, device_id text", "user_id", "anonymous_id", "high"),
        ("user_id int, visit_cookie_id text", "user_id", "visit_cookie_id", "medium"),
        ("user_id int, client_id text", "user_id", "client_id", "medium"),
        ("user_id int, visitor_id text, anonymous_id text", "user_id", "", "OPEN"),
        ("user_id int, device_id int references kinds", "user_id", "", "OPEN"),
        ("user_id int, device_id bigint", "user_id", "", "OPEN"),
        # A client is a customer here.
        ("client_id int", "client_id", "", "none"),
        ("client_id int, device_id text", "client_id", "device_id", "medium"),
        ("user_id int, device text", "user_id", "", "none"),
    ],
)
def test_visitors_of_sessions(
    shop: psycopg.Connection, columns: str, user: str, visitor: str, confidence: str
) -> None:
    shop.execute(
        "create table users (id int primary key, email text);"
        "create table kinds (id int primary key, name text);"
        f"create table visits (id int primary key, started_at timestamptz, {columns})"
    )
    sessions = proposed(shop)["user_sessions"]
    found = column(sessions, "visitor_id")
    assert columns_read(column(sessions, "user_id").expression) == user
    assert (columns_read(found.expression), found.confidence) == (visitor, confidence)


def test_what_cannot_be_read_is_said(shop: psycopg.Connection) -> None:
    shop.execute(
        "create table orders (id int primary key, user_id int, status text, placed_at date);"
        "create table customers (id int primary key, email text);"
        "create table users (id int primary key, email text, secret text);"
        "alter table orders enable row level security;"
        "create role init_reader; grant usage on schema public to init_reader;"
        "grant select on orders to init_reader; grant select (id, email) on users to init_reader;"
        "set local role init_reader"
    )
    found, unreadable = propose(shop, "public", contracts.read(), UTC)
    assert unreadable == ("public.customers",)
    orders = next(each for each in found if each.table.name == "orders")
    assert "OPEN: row-level security of public.orders may hide rows" in files.render(orders)
    users = next(each for each in found if each.table.name == "users")
    assert "secret" not in users.relation.columns


def test_names_of_any_kind_are_quoted(shop: psycopg.Connection) -> None:
    shop.execute(
        'create table "Orders" ("orderId" int primary key, "userId" int, "Status" text,'
        ' "createdAt" timestamptz, "order" text);'
        'create table "OrderItems" (id int primary key, "orderId" int references "Orders",'
        ' "unitPrice" numeric, qty int)'
    )
    found = proposed(shop)
    assert column(found["orders"], "user_id").expression == 'source."userId"::text'
    assert column(found["order_items"], "order_id").confidence == "high"
    for each in found.values():
        shop.execute(files.render(each))


def test_an_empty_schema_names_the_others(shop: psycopg.Connection) -> None:
    shop.execute("create schema crm; create table crm.people (id int)")
    with pytest.raises(Exception, match=r"schema public .* has no table.*crm \(1 tables\)"):
        catalogue.read(shop, "public")
