-- Revenue is gross revenue less refunds: by day, in the orders of a day, and in its users with the unknown ones.
{%- set days_to_test = keys_to_test(
    'date_key', [ref('fct_orders'), ref('user_daily_metrics')], ignoring=[ref('daily_revenue')]
) %}

with

days as (
    select
        {{ date_key('revenue_date') }} as date_key,
        *
    from {{ ref('daily_revenue') }}
),

amounts as (
    select
        'days' as amounts_of,
        date_key,
        orders,
        gross_revenue,
        refunds,
        revenue
    from days
    where {{ is_to_test(days_to_test) }}
    union all
    select
        'orders' as amounts_of,
        date_key,
        is_revenue::int as orders,
        gross_amount as gross_revenue,
        refunded_amount as refunds,
        net_amount as revenue
    from {{ ref('fct_orders') }}
    where {{ is_to_test(days_to_test) }}
    union all
    select
        'users' as amounts_of,
        date_key,
        purchases as orders,
        null::numeric as gross_revenue,
        null::numeric as refunds,
        revenue
    from {{ ref('user_daily_metrics') }}
    where {{ is_to_test(days_to_test) }}
    union all
    select
        'users' as amounts_of,
        date_key,
        is_revenue::int as orders,
        null::numeric as gross_revenue,
        null::numeric as refunds,
        net_amount as revenue
    from {{ ref('fct_orders') }}
    where user_key = {{ unknown_key() }} and {{ is_to_test(days_to_test) }}
),

sums as (
    select
        amounts_of,
        date_key,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(refunds), 0) as refunds,
        coalesce(sum(revenue), 0) as revenue
    from amounts
    group by 1, 2
),

of_orders as (
    select * from sums
    where amounts_of = 'orders'
),

of_days as (
    select * from sums
    where amounts_of = 'days'
),

of_users as (
    select * from sums
    where amounts_of = 'users'
),

final as (
    select
        coalesce(of_orders.date_key, of_days.date_key, of_users.date_key) as date_key,
        of_orders.revenue as order_revenue,
        of_days.revenue as day_revenue,
        of_users.revenue as user_revenue
    from of_orders
    full outer join of_days on of_orders.date_key = of_days.date_key
    full outer join of_users on coalesce(of_orders.date_key, of_days.date_key) = of_users.date_key
    where coalesce(of_days.orders, 0) != coalesce(of_orders.orders, 0)
        or coalesce(of_days.revenue, 0) != coalesce(of_orders.revenue, 0)
        or coalesce(of_days.gross_revenue, 0) != coalesce(of_orders.gross_revenue, 0)
        or coalesce(of_days.refunds, 0) != coalesce(of_orders.refunds, 0)
        or coalesce(of_orders.revenue, 0)
        != coalesce(of_orders.gross_revenue, 0) - coalesce(of_orders.refunds, 0)
        or coalesce(of_users.orders, 0) != coalesce(of_orders.orders, 0)
        or coalesce(of_users.revenue, 0) != coalesce(of_orders.revenue, 0)
)

select * from final
