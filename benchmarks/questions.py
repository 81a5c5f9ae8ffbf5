"""Ten questions of analysts, as queries on the marts and on the raw tables with the same result.

`ask` fills in `{today}`, `{month}`, `{cohort}`, `{user}` and `{email}`. The raw query about tiers
reads the snapshot, because the application's table does not keep earlier tiers.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

# The statuses of the shop that the seed order_statuses counts as revenue.
_REVENUE = "('completed', 'shipped')"


@dataclasses.dataclass(frozen=True)
class Question:
    """A question and its two queries, which return the same rows in the same order."""

    name: str
    marts: str
    raw: str


QUESTIONS = (
    Question(
        "revenue by month",
        """
        select date_trunc('month', revenue_date)::date as month, sum(revenue) as revenue
        from marts.daily_revenue
        group by 1
        order by 1
        """,
        f"""
        select
            date_trunc('month', orders.order_date at time zone 'UTC')::date as month,
            sum(items.quantity * items.price_at_purchase) as revenue
        from raw.orders as orders
        inner join raw.order_items as items on orders.order_id = items.order_id
        where orders.order_status in {_REVENUE}
        group by 1
        order by 1
        """,
    ),
    Question(
        "revenue by category and month",
        """
        select
            dim_categories.category_name,
            monthly.revenue_month as month,
            sum(monthly.revenue) as revenue
        from marts.monthly_category_revenue as monthly
        inner join marts.dim_categories as dim_categories
            on monthly.category_key = dim_categories.category_key
        group by 1, 2
        order by 1, 2
        """,
        f"""
        select
            categories.category_name,
            date_trunc('month', orders.order_date at time zone 'UTC')::date as month,
            sum(items.quantity * items.price_at_purchase) as revenue
        from raw.order_items as items
        inner join raw.orders as orders on items.order_id = orders.order_id
        inner join raw.products as products on items.product_id = products.product_id
        inner join raw.categories as categories on products.category_id = categories.category_id
        where orders.order_status in {_REVENUE}
        group by 1, 2
        order by 1, 2
        """,
    ),
    Question(
        "the 20 most valuable users",
        """
        select user_id, total_orders, simple_value
        from marts.user_clv
        order by simple_value desc, user_id
        limit 20
        """,
        f"""
        select
            orders.user_id,
            count(distinct orders.order_id) as total_orders,
            round(sum(items.quantity * items.price_at_purchase) * 1.2, 2) as simple_value
        from raw.orders as orders
        inner join raw.order_items as items on orders.order_id = items.order_id
        where orders.order_status in {_REVENUE}
        group by 1
        order by 3 desc, 1
        limit 20
        """,
    ),
    Question(
        "users by segment",
        """
        select user_segment, count(*) as users
        from marts.user_segments
        group by 1
        order by 1
        """,
        f"""
        with

        spent as (
            select orders.user_id, sum(items.quantity * items.price_at_purchase) as total_spent,
                max(orders.order_date) as last_ordered_at
            from raw.orders as orders
            inner join raw.order_items as items on orders.order_id = items.order_id
            where orders.order_status in {_REVENUE}
            group by 1
        ),

        visits as (
            select user_id, max(session_start) as last_session_at
            from raw.user_sessions
            group by 1
        ),

        clicks as (
            select user_id, max(event_timestamp) as last_event_at
            from raw.events
            where _deleted_at is null
            group by 1
        ),

        activity as (
            select
                users.created_at,
                coalesce(spent.total_spent, 0) as total_spent,
                coalesce(
                    greatest(
                        spent.last_ordered_at, visits.last_session_at, clicks.last_event_at
                    ),
                    users.created_at
                ) as last_activity_at
            from raw.users as users
            left join spent on users.user_id = spent.user_id
            left join visits on users.user_id = visits.user_id
            left join clicks on users.user_id = clicks.user_id
        )

        select
            case
                when total_spent > 1000 then 'High Value'
                when date '{{today}}' - (created_at at time zone 'UTC')::date < 30 then 'New'
                when date '{{today}}' - (last_activity_at at time zone 'UTC')::date > 60
                    then 'At Risk'
                else 'Regular'
            end as user_segment,
            count(*) as users
        from activity
        group by 1
        order by 1
        """,
    ),
    Question(
        "active users on each of the last 30 days",
        """
        select metric_date, count(*) as users
        from marts.user_daily_metrics
        where date_key >= to_char(date '{today}' - 30, 'YYYYMMDD')::int and events > 0
        group by 1
        order by 1
        """,
        """
        select
            (event_timestamp at time zone 'UTC')::date as metric_date,
            count(distinct user_id) as users
        from raw.events
        where event_timestamp >= (date '{today}' - 30)::timestamp at time zone 'UTC'
            and user_id is not null
            and _deleted_at is null
        group by 1
        order by 1
        """,
    ),
    Question(
        "the funnel of one month",
        """
        select types.funnel_step, count(distinct events.session_id) as sessions
        from marts.fct_user_events as events
        inner join marts.dim_event_types as types on events.event_type_key = types.event_type_key
        where events.event_timestamp >= '{month}-01 00:00:00+00'::timestamptz
            and events.event_timestamp
                < '{month}-01 00:00:00+00'::timestamptz + interval '1 month'
            and types.funnel_step is not null
        group by 1
        order by 1
        """,
        """
        select
            case event_type
                when 'page_view' then 1
                when 'view_item' then 2
                when 'add_to_cart' then 3
                when 'begin_checkout' then 4
                when 'purchase' then 5
            end as funnel_step,
            count(distinct session_id) as sessions
        from raw.events
        where event_timestamp >= '{month}-01 00:00:00+00'::timestamptz
            and event_timestamp < '{month}-01 00:00:00+00'::timestamptz + interval '1 month'
            and event_type in (
                'page_view', 'view_item', 'add_to_cart', 'begin_checkout', 'purchase'
            )
            and _deleted_at is null
        group by 1
        order by 1
        """,
    ),
    Question(
        "the orders of one user",
        """
        select order_id, order_status, order_amount
        from marts.fct_orders
        where user_id = '{user}'
        order by ordered_at desc, order_id
        """,
        """
        select
            orders.order_id,
            orders.order_status,
            sum(items.quantity * items.price_at_purchase) as order_amount
        from raw.orders as orders
        left join raw.order_items as items on orders.order_id = items.order_id
        where orders.user_id = '{user}'
        group by 1, 2, orders.order_date
        order by orders.order_date desc, 1
        """,
    ),
    Question(
        "a user by e-mail",
        """
        select user_id, subscription_tier
        from marts.dim_users
        where email = '{email}' and is_current
        """,
        """
        select user_id, subscription_tier
        from raw.users
        where lower(email) = '{email}' and _deleted_at is null
        """,
    ),
    Question(
        "retention of one month's new users, by month",
        """
        select
            date_trunc('month', metrics.metric_date)::date as month,
            count(distinct metrics.user_id) as users
        from marts.user_daily_metrics as metrics
        inner join marts.user_analytics as users on metrics.user_id = users.user_id
        where users.signed_up_at >= '{cohort}-01 00:00:00+00'::timestamptz
            and users.signed_up_at < '{cohort}-01 00:00:00+00'::timestamptz + interval '1 month'
            and metrics.events > 0
        group by 1
        order by 1
        """,
        """
        select
            date_trunc('month', events.event_timestamp at time zone 'UTC')::date as month,
            count(distinct events.user_id) as users
        from raw.events as events
        inner join raw.users as users on events.user_id = users.user_id
        where users.created_at >= '{cohort}-01 00:00:00+00'::timestamptz
            and users.created_at < '{cohort}-01 00:00:00+00'::timestamptz + interval '1 month'
            and events._deleted_at is null
        group by 1
        order by 1
        """,
    ),
    Question(
        "average order by tier at the time of the order",
        """
        select users.subscription_tier, round(avg(orders.order_amount), 4) as mean
        from marts.fct_orders as orders
        inner join marts.dim_users as users on orders.user_key = users.user_key
        where orders.is_revenue
        group by 1
        order by 1
        """,
        f"""
        with

        states as (
            select
                user_id,
                subscription_tier,
                case
                    when
                        row_number() over (partition by user_id order by dbt_valid_from) = 1
                        then '-infinity'
                    else started_at
                end as valid_from,
                lead(started_at, 1, 'infinity')
                    over (partition by user_id order by dbt_valid_from) as valid_to
            from (
                select
                    *,
                    -- Without a usable time of the change, use the load time.
                    case
                        when version_started_at <= max(version_started_at) over (
                            partition by user_id
                            order by dbt_valid_from
                            rows between unbounded preceding and 1 preceding
                        ) then _loaded_at
                        else version_started_at
                    end as started_at
                from snapshots.snp_app__users
            ) as claimed
        ),

        amounts as (
            select
                orders.order_id,
                orders.user_id,
                orders.order_date,
                sum(items.quantity * items.price_at_purchase) as amount
            from raw.orders as orders
            inner join raw.order_items as items on orders.order_id = items.order_id
            where orders.order_status in {_REVENUE}
            group by 1, 2, 3
        )

        select states.subscription_tier, round(avg(amounts.amount), 4) as mean
        from amounts
        inner join states
            on amounts.user_id = states.user_id
                and amounts.order_date >= states.valid_from
                and amounts.order_date < states.valid_to
        group by 1
        order by 1
        """,
    ),
)


def ask(connection: Any, today: str, runs: int) -> list[dict[str, Any]]:
    """Run the queries of every question, once to warm up and then `runs` times in turn.

    Args:
        connection: to a built warehouse.
        today: the `as_of` of the build.
        runs: number of timed runs of each query.

    Returns:
        For each question, its name and the seconds of each run on `marts` and on `raw`.

    Raises:
        SystemExit: the two queries of a question return different rows.
    """
    filled = {
        "today": today,
        "month": "2024-12",
        "cohort": "2024-03",
        "user": "user-00000100",
        "email": "person100@example.com",
    }
    measured = []
    for question in QUESTIONS:
        queries = {"marts": question.marts, "raw": question.raw}
        queries = {side: query.format(**filled) for side, query in queries.items()}
        answers = {side: connection.execute(query).fetchall() for side, query in queries.items()}
        if answers["marts"] != answers["raw"] or not answers["marts"]:
            differing = [
                pair for pair in zip(answers["marts"], answers["raw"], strict=False)
                if pair[0] != pair[1]
            ]  # fmt: skip
            raise SystemExit(
                f"'{question.name}' has {len(answers['marts'])} rows on the marts and"
                f" {len(answers['raw'])} on the raw tables; first differences: {differing[:2]}"
            )
        seconds: dict[str, list[float]] = {"marts": [], "raw": []}
        for _ in range(runs):
            for side, query in queries.items():
                began = time.perf_counter()
                connection.execute(query).fetchall()
                seconds[side].append(time.perf_counter() - began)
        measured.append({"name": question.name, **seconds})
    return measured
