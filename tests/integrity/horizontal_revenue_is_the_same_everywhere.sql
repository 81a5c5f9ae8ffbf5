-- Revenue is gross revenue less refunds: by day, by order, and by user with that of unknown users.
with

days as (
    select
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(refunds), 0) as refunds,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('daily_revenue') }}
),

facts as (
    select
        coalesce(sum(is_revenue::int), 0) as orders,
        coalesce(sum(gross_amount), 0) as gross_revenue,
        coalesce(sum(refunded_amount), 0) as refunds,
        coalesce(sum(net_amount), 0) as revenue,
        coalesce(sum(is_revenue::int) filter (where user_key = {{ unknown_key() }}), 0)
            as unknown_orders,
        coalesce(sum(net_amount) filter (where user_key = {{ unknown_key() }}), 0)
            as unknown_revenue
    from {{ ref('fct_orders') }}
),

users as (
    select
        coalesce(sum(purchases), 0) as orders,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('user_daily_metrics') }}
),

final as (
    select
        days.orders,
        facts.orders as fact_orders,
        users.orders + facts.unknown_orders as user_orders,
        days.revenue,
        facts.revenue as fact_revenue,
        users.revenue + facts.unknown_revenue as user_revenue,
        days.gross_revenue,
        facts.gross_revenue as fact_gross_revenue,
        days.refunds,
        facts.refunds as fact_refunds
    from days
    cross join facts
    cross join users
    where days.orders != facts.orders
        or days.revenue != facts.revenue
        or days.gross_revenue != facts.gross_revenue
        or days.refunds != facts.refunds
        or facts.revenue != facts.gross_revenue - facts.refunds
        or facts.orders != users.orders + facts.unknown_orders
        or facts.revenue != users.revenue + facts.unknown_revenue
)

select * from final
