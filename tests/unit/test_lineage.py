"""Values are followed through SQL, and conditions are not."""

from __future__ import annotations

import pytest

from warehouse.errors import WarehouseError
from warehouse.privacy.lineage import Column, columns_of, masks_of

KNOWN = {
    ("raw", "users"): ("user_id", "email", "phone", "country", "born_on"),
    ("raw", "orders"): ("order_id", "user_id", "note"),
}
MASKS = [
    *masks_of(
        "select left(email, 1) || '***@' || split_part(email, '@', 2) as email from e"
    ).values()
]
EMAIL = Column("raw", "users", "email")

FLOWS = {
    "rename": "select email as contact from raw.users",
    "cast": "select email::varchar(10) as c from raw.users",
    "concatenation": "select 'x' || lower(email) as c from raw.users",
    "format": "select format('%s', email) as c from raw.users",
    "coalesce": "select coalesce(phone, email) as c from raw.users",
    "branch": "select case when country = 'DE' then 'a' else email end as c from raw.users",
    "nullif": "select nullif(email, '') as c from raw.users",
    "aggregate": "select string_agg(email, ',' order by phone) as c from raw.users",
    "filtered": "select max(email) filter (where phone is null) as c from raw.users",
    "window": "select first_value(email) over (partition by phone order by born_on) as c"
    " from raw.users",
    "hash": "select md5(email) as c from raw.users",
    "json": "select jsonb_build_object('a', email) as c from raw.users",
    "whole row": "with u as (select email, country from raw.users) select to_jsonb(u) as c from u",
    "array": "select array[country, email] as c from raw.users",
    "union": "select note as c from raw.orders union all select email from raw.users",
    "star": "with u as (select * from raw.users) select email as c from u",
    "derived table": "select c from (select email as c from raw.users) as u",
    "scalar subquery": "select (select u.email from raw.users as u"
    " where u.user_id = o.user_id) as c from raw.orders as o",
    "lateral": "select l.c from raw.orders as o cross join lateral (select u.email as c"
    " from raw.users as u where u.user_id = o.user_id) as l",
    "unnest": "select part as c from raw.users, unnest(string_to_array(email, '@')) as t (part)",
    "recursion": "with recursive w (a, c) as (select user_id, country from raw.users union all"
    " select w.a, u.email from w join raw.users as u on u.user_id = w.a) select c from w",
    "half a mask": "select left(email, 1) || '***@' || split_part(phone, '@', 2) as c"
    " from raw.users",
    "quoted": 'select "email" as "C" from "raw"."users"',
    "another database": 'select email as c from "some"."raw"."users"',
}
STOPS = {
    "comparison": "select email = 'a' as c from raw.users",
    "condition": "select case when email is null then 'a' else 'b' end as c from raw.users",
    "count": "select count(distinct email) as c from raw.users",
    "length": "select octet_length(email) + length(email) as c from raw.users",
    "existence": "select exists (select email from raw.users) as c",
    "join": "select o.note as c from raw.orders as o join raw.users as u on o.note = u.email",
    "where": "select country as c from raw.users where email like 'a%'",
    "partition": "select row_number() over (partition by email order by email) as c from raw.users",
    "system column": "select xmin::text as c from raw.users",
}


def origins(query: str) -> tuple[set[Column], set[Column]]:
    (found,) = columns_of(query, KNOWN, MASKS).values()
    return found.values, found.masked


@pytest.mark.parametrize("kind", FLOWS)
def test_values_flow(kind: str) -> None:
    assert EMAIL in origins(FLOWS[kind])[0]


@pytest.mark.parametrize("kind", STOPS)
def test_conditions_do_not(kind: str) -> None:
    values, masked = origins(STOPS[kind])
    assert EMAIL not in values | masked


@pytest.mark.parametrize("value", ["email", "u.email", "lower(u.email)"])
def test_a_mask_is_recognized(value: str) -> None:
    query = (
        f"select left({value}, 1) || '***@' || split_part({value}, '@', 2) as c from raw.users as u"
    )
    assert origins(query) == (set(), {EMAIL})


def test_a_mask_beside_the_value_does_not_hide_it() -> None:
    query = (
        "select left(email, 1) || '***@' || split_part(email, '@', 2) || email as c from raw.users"
    )
    assert EMAIL in origins(query)[0]


def test_columns_keep_their_order_and_origins() -> None:
    query = "with a as (select * from raw.orders) select note, order_id, 1 as one from a"
    assert {
        name: {each.name for each in found.values}
        for name, found in columns_of(query, KNOWN).items()
    } == {"note": {"note"}, "order_id": {"order_id"}, "one": set()}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("select * from raw.unknown", "whose columns are not known"),
        ("select a.x from raw.users as u", "whose relation is not known"),
        ("select from where", "cannot be parsed"),
        ("", "cannot be parsed"),
    ],
)
def test_what_cannot_be_followed_is_named(query: str, reason: str) -> None:
    with pytest.raises(WarehouseError, match=reason):
        columns_of(query, KNOWN)
