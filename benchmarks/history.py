"""The shop of the benchmarks: 24 months of history, and the days that follow.

Everything is generated inside the server, from numbers and hashes, so every run has the same rows.
Users differ in how active they are (the busiest thousandth creates about one percent of the
events), a fifth of the sessions is anonymous, and keys of facts are hashes, as scattered as a UUID.
Optionally, event keys grow with time, as with UUID version 7 or a sequence.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from warehouse import contract
from warehouse.load import target

START = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
# Long before the days, because a build reads the last day of loads again.
LOADED_AT = dt.datetime(2025, 1, 2, 5, tzinfo=dt.UTC)
# The load time of the users before some of them changed.
FIRST_LOADED_AT = dt.datetime(2024, 12, 1, 5, tzinfo=dt.UTC)
FIRST_DAY = dt.date(2025, 1, 5)

EVENTS_PER_SESSION = 5


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a history, and of the days that follow it.

    `events`, `users`, `orders` and `products` refer to the history; `day_events` are new on a day.
    With `keys_grow`, an event's key begins with its time.
    """

    events: int
    day_events: int
    keys_grow: bool = False

    @property
    def users(self) -> int:
        return max(500, self.events // 50)

    @property
    def orders(self) -> int:
        return max(1_000, self.events // 10)

    @property
    def sessions(self) -> int:
        return self.events // EVENTS_PER_SESSION

    @property
    def products(self) -> int:
        return 2_000

    @property
    def event_id(self) -> str:
        """The expression of an event's key: 32 hex digits, in growing keys 12 of them time."""
        scattered = "md5(session_id || position)"
        if not self.keys_grow:
            return scattered
        milliseconds = f"(extract(epoch from {_EVENT_TIME}) * 1000)::bigint"
        return f"lpad(to_hex({milliseconds}), 12, '0') || substr({scattered}, 13)"


def day(number: int) -> dt.date:
    """The date of the day with this number, counted from 0."""
    return FIRST_DAY + dt.timedelta(days=number)


def stamp(number: int) -> dt.datetime:
    """When the rows of a day are loaded: the next morning."""
    return dt.datetime.combine(day(number + 1), dt.time(5), dt.UTC)


# --- Expressions ------------------------------------------------------------------------------


def _user(number: str) -> str:
    return f"'user-' || lpad(({number})::text, 8, '0')"


_SIGNED_UP = f"timestamptz '{START:%F %T+00}' + bench.uniform({{number}}, 11) * interval '700 days'"
_TIERS = "(array['free', 'free', 'free', 'free', 'basic', 'basic', 'premium'])"
_COUNTRIES = "(array['DE', 'FR', 'GB', 'IT', 'NL', 'PL', 'ES', 'SE'])"


def _user_columns(number: str, updated_at: str, tier_salt: int) -> str:
    signed_up = _SIGNED_UP.format(number=number)
    return f"""
        {_user(number)},
        'person' || {number} || '@example.com',
        'First' || {number} % 900,
        'Last' || {number} % 5000,
        '+49 30 ' || {number},
        date '1950-01-01' + (bench.uniform({number}, 12) * 20000)::int,
        {_COUNTRIES}[1 + floor(bench.uniform({number}, 13) * 8)::int],
        {_TIERS}[1 + floor(bench.uniform({number}, {tier_salt}) * 7)::int],
        {signed_up},
        {updated_at},
        {updated_at}
    """


_USER_NAMES = (
    "user_id, email, first_name, last_name, phone, birth_date, country, subscription_tier,"
    " created_at, updated_at, last_login_at"
)

_EVENT_TIME = "started + position * interval '97 seconds'"

# A random product; some are much more frequent than others.
_PRODUCT = "'product-' || floor(bench.uniform({seed}, {salt}) ^ 2 * {products})::int"


def _events(source: str, size: Size, stamped: dt.datetime) -> str:
    """A query for the events of sessions; `source` has session_id, user_id, started."""
    product = f"floor(bench.uniform(seed, 22) ^ 2 * {size.products})::int"
    return f"""
        select
            {size.event_id} as event_id,
            user_id,
            session_id,
            case
                when position = 0 then 'page_view'
                when depth > 0.65 and position = 2 then 'add_to_cart'
                when depth > 0.80 and position = 3 then 'begin_checkout'
                when depth > 0.90 and position = 4 then 'purchase'
                when choice < 0.45 then 'view_item'
                when choice < 0.70 then 'page_view'
                when choice < 0.85 then 'search'
                else 'click'
            end as event_type,
            {_EVENT_TIME} as event_timestamp,
            'https://shop.example/product/' || {product} as page_url,
            case when choice < 0.5 then 'https://shop.example/category/' || {product} % 60 end
                as referrer_url,
            jsonb_build_object('product_id', 'product-' || {product}, 'position', position)
                as properties,
            timestamptz '{stamped:%F %T+00}' as _loaded_at
        from (
            select
                sessions.*,
                position,
                hashtextextended(session_id, position) as seed,
                bench.uniform(hashtextextended(session_id, 99), 20) as depth,
                bench.uniform(hashtextextended(session_id, position), 21) as choice
            from {source} as sessions
            cross join generate_series(0, {EVENTS_PER_SESSION - 1}) as position
            offset 0
        ) as clicks
    """


_EVENT_NAMES = (
    "event_id, user_id, session_id, event_type, event_timestamp, page_url, referrer_url,"
    " properties, _loaded_at"
)


def _orders(first: int, count: int, prefix: str, size: Size, ordered_at: str) -> str:
    """Statements that create the temporary tables new_orders and new_items."""
    return f"""
        create temporary table new_orders as
        select
            md5('{prefix}order' || number) as order_id,
            {_user("who")} as user_id,
            case
                when luck < 0.85 then 'completed'
                when luck < 0.90 then 'shipped'
                when luck < 0.95 then 'cancelled'
                when luck < 0.98 then 'refunded'
                else 'pending'
            end as order_status,
            {ordered_at} as order_date,
            number
        from (
            select
                number,
                floor({size.users} * bench.uniform(number, 31) ^ 1.5)::int as who,
                bench.uniform(number, 32) as luck
            from generate_series({first}, {first + count - 1}) as number
            offset 0
        ) as orders;

        create temporary table new_items as
        select
            md5(order_id || line) as order_item_id,
            order_id,
            {_PRODUCT.format(seed="seed", salt=33, products=size.products)} as product_id,
            1 + floor(bench.uniform(seed, 34) ^ 2 * 4)::int as quantity,
            round((2 + bench.uniform(seed, 35) ^ 3 * 120)::numeric, 2) as price,
            order_date
        from (
            select *, hashtextextended(order_id, line) as seed
            from new_orders
            cross join generate_series(1, 3) as line
            where line <= 1 + floor(bench.uniform(number, 36) * 3)
            offset 0
        ) as lines;
    """


# --- The history ------------------------------------------------------------------------------


def create(connection: Any, size: Size) -> None:
    """Create the raw tables with their keys and indexes, and fill them.

    Args:
        connection: to an empty database, in autocommit mode.
        size: the size of the history.
    """
    declared = contract.read()
    target.create(connection, declared)
    connection.execute(
        """
        create schema bench;
        create function bench.uniform(number bigint, salt bigint) returns float8
        language sql immutable parallel safe
        return (hashint8extended(number, salt) & 1073741823) / 1073741824.0::float8
        """
    )
    indexes = _take_indexes(connection, list(declared.tables))
    stamped = f"timestamptz '{LOADED_AT:%F %T+00}'"
    statements = f"""
        insert into raw.users ({_USER_NAMES}, _loaded_at)
        select {_user_columns("number", _SIGNED_UP.format(number="number"), 14)},
            timestamptz '{FIRST_LOADED_AT:%F %T+00}'
        from generate_series(0, {size.users - 1}) as number;

        insert into raw.categories (category_id, parent_id, category_name, updated_at, _loaded_at)
        select
            'category-' || number,
            case when number >= 10 then 'category-' || number % 10 end,
            'Category ' || number,
            timestamptz '{START:%F %T+00}',
            {stamped}
        from generate_series(0, 59) as number;

        insert into raw.products (
            product_id, category_id, product_name, description, unit_price, created_at,
            updated_at, _loaded_at
        )
        select
            'product-' || number,
            'category-' || 10 + number % 50,
            'Product ' || number,
            'What there is to say of product ' || number,
            round((2 + bench.uniform(number, 41) * 120)::numeric, 2),
            timestamptz '{START:%F %T+00}',
            timestamptz '{START:%F %T+00}',
            {stamped}
        from generate_series(0, {size.products - 1}) as number;

        {
        _orders(
            0,
            size.orders,
            "",
            size,
            f"least({_SIGNED_UP.format(number='who')}"
            f" + bench.uniform(number, 37) * (timestamptz '{END:%F %T+00}' -"
            f" ({_SIGNED_UP.format(number='who')})), timestamptz '{END:%F %T+00}')",
        )
    }
        {_insert_orders(stamped)}

        insert into raw.user_sessions (
            session_id, user_id, visitor_id, session_start, session_end, device, _loaded_at
        )
        select
            md5('session' || number),
            case when who is not null then {_user("who")} end,
            md5('visitor' || coalesce({_user("who")}, md5('session' || number))),
            signed_up + bench.uniform(number, 3) * (timestamptz '{END:%F %T+00}' - signed_up),
            signed_up + bench.uniform(number, 3) * (timestamptz '{END:%F %T+00}' - signed_up)
                + interval '10 minutes',
            (array['phone', 'phone', 'desktop'])[1 + number % 3],
            {stamped}
        from (
            select
                number,
                who,
                case
                    when who is null then timestamptz '{START:%F %T+00}'
                    else {_SIGNED_UP.format(number="who")}
                end as signed_up
            from (
                select
                    number,
                    case
                        when bench.uniform(number, 1) >= 0.2
                            then floor({size.users} * bench.uniform(number, 2) ^ 1.5)::int
                    end as who
                from generate_series(0, {size.sessions - 1}) as number
                offset 0
            ) as chosen
            offset 0
        ) as sessions;

        insert into raw.events ({_EVENT_NAMES})
        {
        _events(
            "(select session_id, user_id, session_start as started from raw.user_sessions)",
            size,
            LOADED_AT,
        )
    };

        drop table new_orders, new_items
    """
    connection.execute(statements)
    for statement in indexes:
        connection.execute(statement)
    connection.execute("vacuum analyze")


def change_some_users(connection: Any) -> None:
    """Change every fourth user after the first load; run the snapshot before."""
    connection.execute(
        f"""
        update raw.users
        set
            subscription_tier = {_TIERS}[1 + floor(bench.uniform(number, 15) * 7)::int],
            updated_at
                = created_at + bench.uniform(number, 16) * (
                    timestamptz '{END:%F %T+00}' - created_at
                ),
            _loaded_at = timestamptz '{LOADED_AT:%F %T+00}'
        from (
            select user_id as changed_id, substr(user_id, 6)::bigint as number from raw.users
        ) as numbered
        where user_id = changed_id and number % 4 = 0
        """
    )
    connection.execute("vacuum analyze raw.users")


def _insert_orders(stamped: str) -> str:
    return f"""
        insert into raw.orders (order_id, user_id, order_status, currency, order_date, updated_at,
            _loaded_at)
        select order_id, user_id, order_status, 'EUR', order_date, order_date, {stamped}
        from new_orders;

        insert into raw.order_items (order_item_id, order_id, product_id, quantity,
            price_at_purchase, updated_at, _loaded_at)
        select order_item_id, order_id, product_id, quantity, price, order_date, {stamped}
        from new_items;

        insert into raw.payments (payment_id, order_id, payment_method, payment_status, amount,
            paid_at, updated_at, _loaded_at)
        select
            md5('payment' || new_orders.order_id),
            new_orders.order_id,
            'card',
            'paid',
            items.amount,
            new_orders.order_date,
            new_orders.order_date,
            {stamped}
        from new_orders
        inner join (
            select order_id, sum(quantity * price) as amount
            from new_items
            group by 1
        ) as items on new_orders.order_id = items.order_id
        where new_orders.order_status in ('completed', 'shipped', 'refunded');
    """


def _take_indexes(connection: Any, tables: list[str]) -> list[str]:
    """Drop keys and indexes, because filling an indexed table takes longer.

    Returns the statements that create them again.
    """
    rows = connection.execute(
        """
        select
            format('alter table %%s drop constraint %%I', conrelid::regclass, conname),
            format(
                'alter table %%s add constraint %%I %%s',
                conrelid::regclass, conname, pg_get_constraintdef(oid)
            )
        from pg_constraint
        where contype = 'p' and conrelid::regclass::text = any(%(names)s)
        union all
        select
            format('drop index %%s', indexrelid::regclass),
            pg_get_indexdef(indexrelid)
        from pg_index
        where not indisprimary and indrelid::regclass::text = any(%(names)s)
        """,
        {"names": [f"raw.{name}" for name in tables]},
    ).fetchall()
    for drop, _ in rows:
        connection.execute(drop)
    return [make for _, make in rows]


# --- A day ------------------------------------------------------------------------------------


def add_day(connection: Any, size: Size, number: int) -> dict[str, int]:
    """Load a day into the raw tables: the same number of rows for every size of history.

    7 % of the events are late, by up to 200 days. Another 3 % are sent again, half of them
    corrected; a few are deleted. Some users change, a few of them with a date before events that
    are already loaded.

    Args:
        connection: to a database with a history, in autocommit mode.
        size: the size of the history.
        number: the day, counted from 0; each day has different rows.

    Returns:
        The number of rows of each kind.
    """
    sessions = size.day_events // EVENTS_PER_SESSION
    counts = {
        "new events": sessions * EVENTS_PER_SESSION,
        "late events": 0,
        "repeated events": size.day_events * 3 // 100,
        "deleted events": max(1, size.day_events // 1000),
        "changed users": max(5, size.day_events // 140),
        "new users": max(5, size.day_events // 50),
        "new orders": size.day_events // 10,
        "changed orders": size.day_events // 100,
    }
    salt = 1_000 + 10 * number
    noon = f"timestamptz '{day(number)} 12:00:00+00'"
    loaded_at = stamp(number)
    stamped = f"timestamptz '{loaded_at:%F %T+00}'"
    first_user = size.users + number * counts["new users"]
    new_number = f"{first_user} + number"
    with connection.transaction():
        connection.execute(
            f"""
            update raw.users
            set
                subscription_tier = 'tier of {day(number)}',
                updated_at = case when mod(which, 20) = 0 then {noon} - interval '40 days'
                    else {noon} end,
                _loaded_at = {stamped}
            from (
                select
                    which,
                    {_user(f"floor({size.users} * bench.uniform(which, {salt}))::int")}
                        as changed_id
                from generate_series(1, {counts["changed users"]}) as which
                offset 0
            ) as chosen
            where user_id = changed_id;

            insert into raw.users ({_USER_NAMES}, _loaded_at)
            select {_user_columns(f"({new_number})", noon, 14)}, {stamped}
            from generate_series(0, {counts["new users"] - 1}) as number;

            update raw.products
            set unit_price = unit_price + 1, updated_at = {noon}, _loaded_at = {stamped}
            where product_id in ('product-{number}7', 'product-{number}8');

            create temporary table new_sessions as
            select
                md5('day {number} session' || number) as session_id,
                case when bench.uniform(number, {salt + 1}) >= 0.2 then
                    {
                _user(f"floor({size.users} * bench.uniform(number, {salt + 2}) ^ 1.5)::int")
            } end as user_id,
                {noon} + (bench.uniform(number, {salt + 3}) - 0.5) * interval '23 hours'
                    - case
                        when bench.uniform(number, {salt + 4}) < 0.07
                            then bench.uniform(number, {salt + 5}) ^ 2 * interval '200 days'
                        else interval '0'
                    end as started
            from generate_series(0, {sessions - 1}) as number;

            insert into raw.user_sessions (
                session_id, user_id, visitor_id, session_start, session_end, device, _loaded_at
            )
            select
                session_id,
                user_id,
                md5('visitor' || coalesce(user_id, session_id)),
                started,
                started + interval '10 minutes',
                'phone',
                {stamped}
            from new_sessions;

            insert into raw.events ({_EVENT_NAMES})
            {_events("new_sessions", size, loaded_at)};

            with repeated as (
                select event_id, row_number() over (order by md5(event_id)) as place
                from (
                    select event_id
                    from raw.events
                    where _loaded_at < {stamped}
                    order by hashtextextended(event_id, {number}), event_id
                    limit {counts["repeated events"] + counts["deleted events"]}
                ) as chosen
            )
            update raw.events
            set
                _loaded_at = {stamped},
                page_url = page_url || case when mod(place, 2) = 0 then '?corrected' else '' end,
                _deleted_at
                    = case when place > {counts["repeated events"]} then {stamped} end
            from repeated
            where events.event_id = repeated.event_id;

            {
                _orders(
                    10_000 * number,
                    counts["new orders"],
                    f"day {number} ",
                    size,
                    f"{noon} + bench.uniform(number, 38) * interval '11 hours'",
                )
            }
            {_insert_orders(stamped)}

            update raw.orders
            set order_status = 'refunded', updated_at = {noon}, _loaded_at = {stamped}
            where order_id in (
                select order_id
                from raw.orders
                where order_id >= md5('refund {number}') and order_status = 'completed'
                    and _loaded_at < {stamped}
                order by order_id
                limit {counts["changed orders"]}
            );
            """
        )
        late = connection.execute(
            f"select count(*) from new_sessions where started < date '{day(number)}'"
        ).fetchone()[0]
        counts["late events"] = late * EVENTS_PER_SESSION
        connection.execute("drop table new_sessions, new_orders, new_items")
    return counts
