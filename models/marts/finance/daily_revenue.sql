{{ config(
    materialized='materialized_view',
    indexes=[
        {
            'columns': ['revenue_date'],
            'unique': true,
            'why': 'the key, needed to refresh beside readers',
        },
    ],
) }}

with

orders as (
    select * from {{ ref('fct_orders') }}
    where is_revenue or is_refund
),

dates as (
    select * from {{ ref('dim_date') }}
),

daily as (
    select
        date_key,
        count(*) filter (where is_revenue) as orders,
        sum(gross_amount) as gross_revenue,
        sum(refunded_amount) as refunds,
        sum(net_amount) as revenue
    from orders
    group by 1
),

final as (
    select
        dates.date_day as revenue_date,
        daily.orders,
        daily.gross_revenue::{{ amount_type() }} as gross_revenue,
        daily.refunds::{{ amount_type() }} as refunds,
        daily.revenue::{{ amount_type() }} as revenue,
        {{ safe_divide('daily.revenue', 'daily.orders') }}::{{ amount_type() }} as avg_order_value
    from daily
    inner join dates on daily.date_key = dates.date_key
)

select * from final
