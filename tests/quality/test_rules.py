"""Each rule finds the rows that fail it in the build that reads them, and forgets repaired ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do, fetch
from tests.support.documents import blocks
from tests.support.files import load_csv
from tests.support.relations import contents

NO_TESTS = dbt_project.NO_TESTS
WITH_TESTS = dbt_project.NO_UNIT_TESTS
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
LONG = "x" * 2001
# Every table has rows that fail no rule.
CLEAN = {
    "users": """\
user_id,email,birth_date,created_at,updated_at
u1,ada@example.org,1990-01-01,2026-01-01,2026-01-01
u2,bob@example.org,2013-01-01,2026-01-01,2026-01-01
u3,,,2026-01-01,2026-01-01
""",
    "categories": "category_id,parent_id,category_name\nc1,,All\nc2,c1,Some\n",
    "products": "product_id,category_id,product_name,unit_price\np1,c2,One,10\np2,,Two,0\n",
    "orders": """\
order_id,user_id,order_status,currency,order_date
o1,u1,paid,EUR,2026-02-01
o2,u2,returned,,2026-02-02
o3,,pending,EUR,2026-02-03
o4,u3,adjustment,EUR,2026-02-04
""",
    "order_items": """\
order_item_id,order_id,product_id,quantity,price_at_purchase
i1,o1,p1,2,10
i2,o2,p1,-1,10
i3,o3,,1,0
i4,o4,p2,-1,5
""",
    "payments": """\
payment_id,order_id,payment_method,payment_status,amount,paid_at
y1,o1,card,paid,20,2026-02-01
y2,,card,pending,0,
""",
    "user_sessions": """\
session_id,user_id,session_start,session_end
s1,u1,2026-02-01 10:00,2026-02-01 11:00
s2,,2026-02-01 10:00,
""",
    "events": """\
event_id,user_id,session_id,event_type,event_timestamp
e1,u1,s1,page_view,2026-02-01 10:00
e2,,,purchase,2026-02-01 10:05
""",
    "consents": """\
consent_id,user_id,purpose,is_granted,recorded_at
n1,u1,marketing,true,2026-02-01
""",
    "erasure_requests": "request_id,user_id,requested_at\nr1,u2,2026-02-20\n",
    "exchange_rates": "exchange_rate_id,currency,rate_date,rate\nx1,USD,2026-01-01,0.9\n",
}
FUTURE = "2026-09-01"
# Rows that no mart takes: by table, the columns, and for each row its values and rule.
EXCLUDED: dict[str, tuple[str, dict[str, str]]] = {
    "orders": (
        "order_id,user_id,order_status,currency,order_date",
        {
            "bad1,u1,paid,EUR,": "order_date_is_within_calendar",
            "bad2,u1,paid,EUR,1812-01-01": "order_date_is_within_calendar",
        },
    ),
    "order_items": (
        "order_item_id,order_id,product_id,quantity,price_at_purchase",
        {
            "bad1,,p1,1,10": "order_id_is_present",
            "bad2,o1,p1,,10": "quantity_is_an_amount",
            "bad3,o1,p1,1,": "price_is_an_amount",
            "bad4,o1,p1,900000000000,10": "line_amount_is_an_amount",
            "bad5,nowhere,p1,1,10": "order_is_known",
        },
    ),
    "payments": (
        "payment_id,order_id,payment_method,payment_status,amount,paid_at",
        {"bad1,o1,card,paid,,2026-02-01": "amount_is_an_amount"},
    ),
    "user_sessions": (
        "session_id,user_id,session_start,session_end",
        {"bad1,u1,,2026-02-01": "session_start_is_within_calendar"},
    ),
    "events": (
        "event_id,user_id,session_id,event_type,event_timestamp",
        {"bad1,u1,s1,page_view,": "event_timestamp_is_within_calendar"},
    ),
    "consents": (
        "consent_id,user_id,purpose,is_granted,recorded_at",
        {
            "bad1,,marketing,true,2026-02-01": "user_id_is_present",
            "bad2,u1,marketing,true,": "recorded_at_is_within_calendar",
        },
    ),
    "erasure_requests": (
        "request_id,user_id,requested_at",
        {"bad1,,2026-02-01": "user_id_is_present"},
    ),
    "exchange_rates": (
        "exchange_rate_id,currency,rate_date,rate",
        {
            "bad1,,2026-01-02,1": "currency_is_present",
            "bad2,GBP,,1": "rate_date_is_within_calendar",
            "bad3,GBP,2026-01-02,0": "rate_is_above_0",
        },
    ),
}
# Rows that the marts take.
FLAGGED: dict[str, tuple[str, dict[str, str]]] = {
    "users": (
        "user_id,email,birth_date,created_at,updated_at",
        {
            "odd1,no address,,2026-01-01,2026-01-01": "email_is_an_address",
            "odd2,Ada@Example.org,,2026-01-01,2026-01-01": "email_is_of_one_user",
            "odd3,,2013-01-02,2026-01-01,2026-01-01": "age_at_sign_up_is_13_to_120",
            "odd4,,1905-01-01,2026-01-01,2026-01-01": "age_at_sign_up_is_13_to_120",
            "odd5,,,1812-01-01,2026-01-01": "created_at_is_within_calendar",
            f"odd6,,,{FUTURE},2026-01-01": "created_at_is_not_in_the_future",
        },
    ),
    "categories": ("category_id,parent_id,category_name", {"odd1,nowhere,Odd": "parent_is_known"}),
    "products": (
        "product_id,category_id,product_name,unit_price",
        {
            "odd1,c1,Odd,-1": "unit_price_is_not_negative",
            "odd2,c1,Odd,1000000000000": "unit_price_is_an_amount",
            "odd3,nowhere,Odd,1": "category_is_known",
        },
    ),
    "orders": (
        "order_id,user_id,order_status,currency,order_date",
        {
            f"odd1,u1,pending,EUR,{FUTURE}": "order_date_is_not_in_the_future",
            "odd2,nobody,pending,EUR,2026-02-01": "user_is_known",
            "odd3,u1,pending,EUR,2025-12-31": "order_date_is_not_before_sign_up",
            "odd4,u1,unheard of,EUR,2026-02-01": "order_status_is_known",
            "odd5,u1,pending,EURO,2026-02-01": "currency_is_iso_4217",
            "odd6,u1,paid,EUR,2026-02-01": "order_is_paid_in_full",
        },
    ),
    "order_items": (
        "order_item_id,order_id,product_id,quantity,price_at_purchase",
        {
            "odd1,o3,p1,1,-10": "price_is_not_negative",
            "odd2,o3,p1,0,10": "quantity_is_not_zero",
            "odd3,o3,p1,-1,10": "quantity_is_positive_in_sales",
            "odd4,o3,nothing,1,10": "product_is_known",
            "odd5,odd6,p1,1,10": "",
        },
    ),
    "payments": (
        "payment_id,order_id,payment_method,payment_status,amount,paid_at",
        {
            "odd1,o3,card,paid,-1,2026-02-01": "amount_is_not_negative",
            "odd2,o3,card,paid,1,1812-01-01": "paid_at_is_within_calendar",
            f"odd3,o3,card,paid,1,{FUTURE}": "paid_at_is_not_in_the_future",
            "odd4,nowhere,card,paid,1,2026-02-01": "order_is_known",
            "odd5,o3,card,unheard of,1,2026-02-01": "payment_status_is_known",
        },
    ),
    "user_sessions": (
        "session_id,user_id,session_start,session_end",
        {
            f"odd1,u1,{FUTURE},": "session_start_is_not_in_the_future",
            "odd2,u1,2026-02-01 10:00,2026-02-01 09:59": "session_end_is_not_before_its_start",
            "odd3,u1,2026-02-01 10:00,2026-02-02 10:01": "session_lasts_a_day_at_most",
            "odd4,nobody,2026-02-01 10:00,": "user_is_known",
        },
    ),
    "events": (
        "event_id,user_id,session_id,event_type,event_timestamp",
        {
            f"odd1,u1,s1,page_view,{FUTURE}": "event_timestamp_is_not_in_the_future",
            "odd2,u1,s1,unheard of,2026-02-01": "event_type_is_known",
            "odd3,nobody,,page_view,2026-02-01": "user_is_known",
            "odd4,u1,nowhere,page_view,2026-02-01": "session_is_known",
        },
    ),
    "consents": (
        "consent_id,user_id,purpose,is_granted,recorded_at",
        {
            f"odd1,u1,marketing,true,{FUTURE}": "recorded_at_is_not_in_the_future",
            "odd2,u1,,true,2026-02-01": "purpose_is_present",
            "odd3,nobody,marketing,true,2026-02-01": "user_is_known",
        },
    ),
    "erasure_requests": (
        "request_id,user_id,requested_at",
        {
            "odd1,u1,": "requested_at_is_present",
            f"odd2,u1,{FUTURE}": "requested_at_is_not_in_the_future",
            "odd3,nobody,2026-02-01": "user_is_known",
        },
    ),
    "exchange_rates": (
        "exchange_rate_id,currency,rate_date,rate",
        {
            f"odd1,USD,{FUTURE},1": "rate_date_is_not_in_the_future",
            "odd2,XTS,2026-01-02,1": "currency_is_iso_4217",
        },
    ),
}
ALL_TABLES = {
    "sources_present": [*CLEAN],
}
Issues = set[tuple[str, str, str]]


def issues(database: Any, where: str = "resolved_at is null") -> Issues:
    """Table, key and rule of the issues in the quarantine."""
    query = f"select table_name, row_key, rule_name from quarantine.row_issues where {where}"
    return {tuple(row) for row in fetch(database, query)}


def build(database: Any, *select: str, **options: Any) -> None:
    """Build everything as of a day after all loads, without tests."""
    given = {"options": NO_TESTS, "as_of": "2026-03-31", "variables": ALL_TABLES, **options}
    dbt_project.build(database, *select, **given)


def load(database: Any, folder: Path, day: int, **tables: str) -> None:
    load_csv(database, folder, START + dt.timedelta(days=day), **tables)


def delete(database: Any, table: str, where: str, at: str = "now()") -> None:
    """Let the application delete rows."""
    do(
        database,
        f"update raw.{table} set _deleted_at = {at}, _loaded_at = {at} where {where}",
    )


def as_csv(rows: dict[str, tuple[str, dict[str, str]]]) -> dict[str, str]:
    return {table: "\n".join((columns, *lines)) + "\n" for table, (columns, lines) in rows.items()}


def expected(rows: dict[str, tuple[str, dict[str, str]]]) -> Issues:
    return {
        (table, line.split(",")[0], rule)
        for table, (_, lines) in rows.items()
        for line, rule in lines.items()
        if rule
    }


def rows_of_marts(database: Any) -> dict[str, tuple[int, str]]:
    """The marts' contents."""
    return contents(database, ("marts",))


@pytest.fixture
def clean(database: Database, tmp_path: Path) -> Database:
    """A built shop whose rows fail no rule."""
    load(database, tmp_path, 0, **CLEAN)
    build(database)
    assert issues(database, "true") == set()
    return database


def test_planted_rows_are_found_and_repaired_rows_are_forgotten(
    clean: Database, tmp_path: Path
) -> None:
    kinds = {
        rule
        for rows in (EXCLUDED, FLAGGED)
        for _, lines in rows.values()
        for rule in lines.values()
    }
    assert len(kinds - {""}) >= 30
    before = rows_of_marts(clean)

    load(clean, tmp_path, 1, **as_csv(EXCLUDED))
    build(clean)
    assert issues(clean) == expected(EXCLUDED)
    assert issues(clean, "effect != 'exclude'") == set()
    assert rows_of_marts(clean) == before

    load(clean, tmp_path, 2, **as_csv(FLAGGED))
    build(clean)
    # The namesake of the odd user is flagged too.
    assert issues(clean) == expected(EXCLUDED) | expected(FLAGGED) | {
        ("users", "u1", "email_is_of_one_user")
    }
    assert ask(clean, "select count(*) from marts.fct_orders where order_id like 'odd%'") == 6
    found = contents(clean, ("intermediate",))
    build(clean, full_refresh=True)
    assert contents(clean, ("intermediate",)) == found

    # What the source repairs, here by deleting it, disappears from the open issues.
    planted = {table: rows for part in (EXCLUDED, FLAGGED) for table, rows in part.items()}
    keys = {
        source.name: source.config.meta["primary_key"]
        for source in dbt_project.parsed().sources.values()
        if source.source_name == "app"
    }
    for table in planted:
        delete(clean, table, f"{keys[table]} ~ '^(bad|odd)'")
    build(clean)
    assert issues(clean) == set()
    assert (
        len(issues(clean, "resolved_at > first_seen_at"))
        == len(expected(EXCLUDED) | expected(FLAGGED)) + 1
    )


def test_a_row_waits_for_the_row_that_it_refers_to(clean: Database, tmp_path: Path) -> None:
    load(
        clean,
        tmp_path,
        1,
        orders="order_id,user_id,order_status,order_date\nw1,late,pending,2026-02-01\n",
        order_items="order_item_id,order_id,product_id,quantity,price_at_purchase\n"
        "w2,w9,p1,1,10\nw3,o3,late,1,10\n",
        payments="payment_id,order_id,payment_status,amount\nw4,w9,pending,10\n",
        user_sessions="session_id,user_id,session_start\nw5,late,2026-02-01\n",
        events="event_id,user_id,session_id,event_type,event_timestamp\n"
        "w6,late,w10,page_view,2026-02-01\n",
        categories="category_id,parent_id,category_name\nw7,late,Late\n",
        products="product_id,category_id,product_name\nw8,late,Late\n",
    )
    build(clean)
    waiting = {
        ("orders", "w1", "user_is_known"),
        ("order_items", "w2", "order_is_known"),
        ("order_items", "w3", "product_is_known"),
        ("payments", "w4", "order_is_known"),
        ("user_sessions", "w5", "user_is_known"),
        ("events", "w6", "user_is_known"),
        ("events", "w6", "session_is_known"),
        ("categories", "w7", "parent_is_known"),
        ("products", "w8", "category_is_known"),
    }
    assert issues(clean) == waiting
    related = "select related_table, related_key from quarantine.row_issues where row_key = 'w6'"
    assert set(fetch(clean, related)) == {("user_sessions", "w10"), ("users", "late")}
    # Its own row is loaded long before its order, so no later build reads it as loaded.
    age = "update raw.{} set _loaded_at = _loaded_at - interval '20 days'"
    do(clean, *(age.format(table) for table in ("orders", "order_items", "payments", "events")))
    load(
        clean,
        tmp_path,
        5,
        users="user_id,created_at,updated_at\nlate,2026-01-01,2026-01-01\n",
        orders="order_id,user_id,order_status,order_date\nw9,u1,pending,2026-02-01\n",
        products="product_id,product_name\nlate,Late\n",
        user_sessions="session_id,user_id,session_start\nw10,late,2026-02-01\n",
        categories="category_id,category_name\nlate,Late\n",
    )
    build(clean)
    assert issues(clean) == set()
    assert len(issues(clean, "resolved_at is not null")) == len(waiting)
    assert ask(clean, "select count(*) from marts.fct_order_items where order_id = 'w9'") == 1


def test_related_rows_that_change_are_judged_again(clean: Database, tmp_path: Path) -> None:
    """The row with the issue itself is not loaded again."""

    def build_and_find() -> Issues:
        build(clean)
        return issues(clean)

    namesakes = {("users", user, "email_is_of_one_user") for user in ("u1", "n1")}
    users = "user_id,email,created_at,updated_at\n"
    load(clean, tmp_path, 1, users=users + "n1,ADA@example.org,2026-01-01,2026-01-01\n")
    assert build_and_find() == namesakes
    load(clean, tmp_path, 2, users=users + "n1,other@example.org,2026-01-01,2026-01-02\n")
    assert build_and_find() == set()
    load(clean, tmp_path, 3, users=users + "n1,ada@example.org,2026-01-01,2026-01-03\n")
    assert build_and_find() == namesakes
    delete(clean, "users", "user_id = 'n1'", at="'2026-03-05'")
    assert build_and_find() == set()

    # The user signed up later than was said; the order is paid; it becomes a return; it is deleted.
    load(
        clean,
        tmp_path,
        5,
        users="user_id,email,created_at,updated_at\nu1,ada@example.org,2026-02-02,2026-02-02\n",
    )
    assert build_and_find() == {("orders", "o1", "order_date_is_not_before_sign_up")}
    load(
        clean,
        tmp_path,
        6,
        users="user_id,email,created_at,updated_at\nu1,ada@example.org,2026-01-02,2026-02-03\n",
    )
    assert build_and_find() == set()
    payment = "payment_id,order_id,payment_status,amount,paid_at\ny1,o1,{},20,2026-02-01\n"
    load(clean, tmp_path, 7, payments=payment.format("pending"))
    assert build_and_find() == {("orders", "o1", "order_is_paid_in_full")}
    load(clean, tmp_path, 8, payments=payment.format("paid"))
    assert build_and_find() == set()
    order = "order_id,user_id,order_status,order_date\no2,u2,{},2026-02-02\n"
    load(clean, tmp_path, 9, orders=order.format("pending"))
    assert build_and_find() == {("order_items", "i2", "quantity_is_positive_in_sales")}
    load(clean, tmp_path, 10, orders=order.format("returned"))
    assert build_and_find() == set()
    delete(clean, "orders", "order_id = 'o1'", at="'2026-03-12'")
    assert build_and_find() == {
        ("order_items", "i1", "order_is_known"),
        ("payments", "y1", "order_is_known"),
    }
    found = contents(clean, ("intermediate",))
    build(clean, full_refresh=True)
    assert contents(clean, ("intermediate",)) == found


def test_a_changed_rule_applies_to_old_rows(clean: Database, tmp_path: Path) -> None:
    project = dbt_project.copy_project(tmp_path / "project")
    dbt_project.parse_in_parts(project)
    lines = project / "models" / "staging" / "app" / "stg_app__order_items.sql"
    text = lines.read_text()
    zero = "'quantity_is_not_zero': flag_when('quantity = 0', 'quantity is 0', 'validity'),"
    assert zero in text
    load(
        clean,
        tmp_path,
        1,
        order_items="order_item_id,order_id,product_id,quantity,price_at_purchase\nz,o3,p1,0,10\n",
    )
    build(clean, project=project)
    taken = "select count(*) from marts.fct_order_items where order_item_id = 'z'"
    effects = (
        "select effect, resolved_at is null from quarantine.row_issues where row_key = 'z'"
        " order by first_seen_at"
    )
    assert (ask(clean, taken), fetch(clean, effects)) == (1, [("flag", True)])

    def change(rule: str) -> None:
        lines.write_text(text.replace(zero, rule))
        dbt_project.forget(project)
        build(clean, project=project)

    change(zero.replace("flag_when", "exclude_when"))
    assert (ask(clean, taken), fetch(clean, effects)) == (0, [("flag", False), ("exclude", True)])
    assert ask(clean, "select exclusion_reason from quarantine.excluded_rows") == "quantity is 0"
    change("")
    assert (ask(clean, taken), fetch(clean, effects)) == (1, [("flag", False), ("exclude", False)])
    rule = (
        zero + "\n    'quantity_is_odd': flag_when(\n"
        "        'staged.quantity = {}', 'odd', 'validity', {{'orders': 'order_id'}}\n    ),"
    )
    change(rule.format(1))
    of_zero = ("order_items", "z", "quantity_is_not_zero")
    assert issues(clean) == {of_zero, ("order_items", "i3", "quantity_is_odd")}
    # Staging does not evaluate this rule, so its view stays the same.
    change(rule.format(2))
    assert issues(clean) == {of_zero, ("order_items", "i1", "quantity_is_odd")}

    rule = (
        zero + "\n    'is_no_event': flag_when(\n        'event_types.event_type is not null',"
        " 'odd', 'validity', {{'event_types': '{}'}}\n    ),"
    )
    load(
        clean,
        tmp_path,
        2,
        order_items="order_item_id,order_id,product_id,quantity,price_at_purchase\n"
        "click,o3,p1,1,10\n",
    )
    change(rule.format("product_id"))
    assert issues(clean) == {of_zero}
    # Nothing changes but what the rule joins.
    change(rule.format("order_item_id"))
    assert issues(clean) == {of_zero, ("order_items", "click", "is_no_event")}


def test_a_column_that_is_personal_from_now_on(clean: Database, tmp_path: Path) -> None:
    project = dbt_project.copy_project(tmp_path / "project")
    dbt_project.parse_in_parts(project)
    header = "user_id,email,country,created_at\n"
    load(clean, tmp_path, 1, users=header + "q,none,NO,2026-01-01\nr,none,SE,2026-01-01\n")
    build(clean, project=project)
    load(clean, tmp_path, 2, users=header + "q,q@example.org,NO,2026-01-01\n")
    build(clean, project=project)
    data = (
        "select row_key, resolved_at is null, row_data->>'country' from quarantine.row_issues"
        " where rule_name = 'email_is_an_address' order by 1"
    )
    assert fetch(clean, data) == [("q", False, "NO"), ("r", True, "SE")]

    sources = project / "models" / "staging" / "app" / "_app__sources.yml"
    text = sources.read_text()
    plain = "          - name: country\n"
    assert text.count(plain) == 1
    sources.write_text(text.replace(plain, plain + "            config: {meta: {pii: country}}\n"))
    dbt_project.forget(project)
    build(clean, project=project)
    assert fetch(clean, data) == [("q", False, None), ("r", True, None)]
    of_table = (
        "select row_data->>'country', personal_data->>'country' from intermediate.int_row_issues"
        " where rule_name = 'email_is_an_address'"
    )
    assert fetch(clean, of_table) == [(None, "SE")]


def test_a_backfill_judges_rows_that_left_its_window_without_a_trace(
    clean: Database, tmp_path: Path
) -> None:
    load(
        clean,
        tmp_path,
        1,
        events="event_id,user_id,session_id,event_type,event_timestamp\n"
        "w6,late,w10,page_view,2026-02-01\n",
        user_sessions="session_id,user_id,session_start\nw7,u1,2026-02-01\n",
    )
    build(clean)
    assert issues(clean) == {
        ("events", "w6", "user_is_known"),
        ("events", "w6", "session_is_known"),
    }
    do(
        clean,
        "delete from raw.events where event_id = 'w6'",
        "update raw.user_sessions set session_start = '2027-02-01' where session_id = 'w7'",
    )
    build(clean, variables={**ALL_TABLES, "from": "2026-02-01", "to": "2026-02-02"})
    assert issues(clean) == {("user_sessions", "w7", "session_start_is_not_in_the_future")}


def test_users_who_shared_an_address_for_a_moment_are_both_forgotten(
    clean: Database, tmp_path: Path
) -> None:
    """No version of the user has the shared address in the end: it was valid for no time."""
    shared = "(select email from raw.users where user_id = 'u1')"
    first, second = (START + dt.timedelta(days=day) for day in (1, 2))
    do(
        clean,
        f"update raw.users set email = {shared}, _loaded_at = '{first}' where user_id = 'u2'",
    )
    build(clean)
    rule = "email_is_of_one_user"
    assert issues(clean) == {("users", "u1", rule), ("users", "u2", rule)}
    do(
        clean,
        "update raw.users set email = 'own@example.org',"
        f" updated_at = '{first - dt.timedelta(hours=1)}', _loaded_at = '{second}'"
        " where user_id = 'u2'",
    )
    build(clean)
    assert issues(clean) == set()


def test_personal_data_stays_in_the_quarantine(clean: Database, tmp_path: Path) -> None:
    load(
        clean,
        tmp_path,
        1,
        users="user_id,email,first_name,country,created_at\nq,no address,Quentin,NO,2026-01-01\n",
    )
    build(clean)
    assert fetch(
        clean,
        "select row_data->>'country', row_data ?| array['email', 'first_name', 'phone'],"
        " personal_data->>'first_name', personal_data->>'email' from quarantine.row_issues",
    ) == [("NO", False, "Quentin", "no address")]
    assert "Quentin" not in str(fetch(clean, "select row_issues::text from reporting.row_issues"))
    assert ask(clean, "select count(*) from reporting.row_issues") == 1


def test_a_row_without_a_key_is_listed_while_it_is_there(clean: Database) -> None:
    do(
        clean,
        "alter table raw.events drop constraint events_pkey",
        "alter table raw.events alter event_id drop not null",
        "insert into raw.events (event_type, event_timestamp, _loaded_at)"
        " select 'page_view', '2026-02-01', now() from generate_series(1, 2)",
    )
    build(clean)
    assert issues(clean) == set()
    query = "select table_name, row_key, exclusion_reason from quarantine.excluded_rows"
    assert fetch(clean, query) == [("events", None, "no event_id")] * 2
    assert ask(clean, "select count(*) from marts.fct_user_events") == 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("'Odd Name': flag_when('true', 'odd', 'validity')", "the rule Odd Name has no valid name"),
        (
            "'odd': flag_when('true', 'odd', 'beauty')",
            "the rule odd has the dimension 'beauty'; it takes comp",
        ),
        (
            "'odd': exclude_when('users.email is null', 'odd', 'validity', {'users': 'user_id'})",
            "the rule odd is exclude_when and joins users; staging excludes rows by their own",
        ),
        (
            "'odd': flag_when('users.email is null', 'odd', 'validity', {'users': 'user_id'})",
            "the rule odd compares columns of users, whose changes do not find the rows of con",
        ),
        ("'odd': flag_when('true', '', 'validity')", 'the rule odd says ""; it takes a text'),
        ("'odd': 'true'", "the rule odd is 'true'; it takes exclude_when("),
        ("'odd': flag_when('', 'odd', 'validity')", "it takes exclude_when("),
        (
            "'odd': flag_when('true', 'odd', 'validity', {'cats': 'user_id'})",
            "stg_app__consents: the rule odd joins 'cats'; rules may join users, namesakes,",
        ),
        (
            "'odd': flag_when('true', 'odd', 'validity', {'users': 'purpose'})",
            "the rule user_is_known joins users by user_id, and another rule by purpose.",
        ),
    ],
)
def test_a_wrong_rule_stops_with_its_name(
    database: Database, tmp_path: Path, rule: str, said: str
) -> None:
    project = dbt_project.copy_project(tmp_path / "project")
    consents = project / "models" / "staging" / "app" / "stg_app__consents.sql"
    before = consents.read_text()
    consents.write_text(before.replace("declare_rules({", f"declare_rules({{\n    {rule},", 1))
    with pytest.raises(dbt_project.DbtFailed) as failure:
        build(database, "int_quality_rules", "int_row_issues", project=project)
    assert said in " ".join(str(failure.value).split())


@pytest.mark.parametrize("name", ["int_row_issues", "excluded_rows"])
def test_the_keys_are_those_of_the_contract(name: str) -> None:
    project = dbt_project.parsed()
    (model,) = (node for node in project.nodes.values() if node.name == name)
    for source in project.sources.values():
        # Lines have a query of their own in excluded_rows.
        if source.source_name == "app" and (name, source.name) != ("excluded_rows", "order_items"):
            key = source.config.meta["primary_key"]
            assert f"'{source.name}': '{key}'," in model.raw_code


def test_the_queries_of_the_guide_find_the_planted_order(clean: Database, tmp_path: Path) -> None:
    load(
        clean,
        tmp_path,
        1,
        orders="order_id,user_id,order_status,order_date\nearly,u1,paid,2025-12-31\n",
        order_items="order_item_id,order_id,product_id,quantity,price_at_purchase\nl,early,p1,1,7\n",
    )
    build(clean)
    rules, issues_by_rule, revenue, *others = blocks(dbt_project.ROOT / "docs" / "quality.md")
    assert len(fetch(clean, rules)) >= 60
    assert ("orders", "order_date_is_not_before_sign_up") in [
        row[:2] for row in fetch(clean, issues_by_rule)
    ]
    # 20 of o1, and -10 of the return o2.
    assert [row[1] for row in fetch(clean, revenue)] == [10]
    answers = [fetch(clean, query) for query in others]
    assert len(answers) >= 6 and all(answers[:3])
    (by_hand,) = [
        rows for query, rows in zip(others, answers, strict=True) if "with latest" in query
    ]
    assert by_hand == fetch(
        clean, "select quality_score from observability.runs order by finished_at desc limit 1"
    )
