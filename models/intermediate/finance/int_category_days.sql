{{ config(
    unique_key=['date_key', 'category_key'],
    indexes=[
        {
            'columns': ['revenue_month', 'category_key'],
            'why': 'the days of the months and categories that changed',
        },
    ],
    meta={'change_log_keys': ['revenue_month', 'category_key']},
) }}

{%- set changed_days = changed_keys(upstreams=[
    upstream(ref('fct_orders'), columns='order_id', lookup=ref('fct_order_items')),
]) %}

with

items as (
    select *
    from {{ ref('fct_order_items') }}
    where {{ is_changed(changed_days) }}
),

orders as (
    select * from {{ ref('fct_orders') }}
    where is_revenue or net_amount != 0
),

final as (
    select
        items.date_key,
        items.category_key,
        {{ first_day_of('month', date_of_key('items.date_key')) }} as revenue_month,
        count(distinct items.order_id) filter (where orders.is_revenue) as orders,
        coalesce(sum(items.quantity) filter (where orders.is_revenue), 0)::{{ amount_type() }}
            as quantity,
        coalesce(sum(round(items.line_amount * orders.exchange_rate, 4)), 0)::{{ amount_type() }}
            as revenue
    from items
    inner join orders on items.order_id = orders.order_id
    group by 1, 2
)

select * from final
