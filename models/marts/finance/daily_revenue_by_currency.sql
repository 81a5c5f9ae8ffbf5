{{ config(
    unique_key=['date_key', 'currency'],
) }}

{%- set changed_days = changed_keys('date_key') %}

with

orders as (
    select
        *,
        coalesce(currency, '(none)') as known_currency,
        case when is_refund then abs(order_amount) else 0 end as refund,
        case when is_revenue or order_amount < 0 then order_amount else 0 end as net
    from {{ ref('fct_orders') }}
    where {{ is_changed(changed_days) }} and (is_revenue or is_refund)
),

final as (
    select
        date_key,
        known_currency as currency,
        {{ date_of_key('date_key') }} as revenue_date,
        count(*) filter (where is_revenue) as orders,
        sum(greatest(order_amount, 0))::{{ amount_type() }} as gross_revenue,
        sum(refund)::{{ amount_type() }} as refunds,
        sum(net)::{{ amount_type() }} as revenue,
        count(*) filter (where exchange_rate is null) as orders_without_rate
    from orders
    group by 1, 2, 3
)

select * from final
