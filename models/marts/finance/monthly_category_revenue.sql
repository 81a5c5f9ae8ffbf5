{{ config(
    materialized='materialized_view',
    indexes=[
        {
            'columns': ['revenue_month', 'category_key'],
            'unique': true,
            'why': 'the key, needed to refresh beside readers',
        },
        {'columns': ['category_key'], 'why': 'all months of a category'},
    ],
) }}

with

orders as (
    select * from {{ ref('fct_orders') }}
    where is_revenue
),

items as (
    select * from {{ ref('fct_order_items') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

dates as (
    select * from {{ ref('dim_date') }}
),

final as (
    select
        dates.month_start_date as revenue_month,
        products.category_key,
        count(distinct items.order_id) as orders,
        sum(items.quantity)::{{ amount_type() }} as quantity,
        sum(items.line_amount)::{{ amount_type() }} as revenue
    from items
    inner join orders on items.order_id = orders.order_id
    inner join products on items.product_key = products.product_key
    inner join dates on orders.date_key = dates.date_key
    group by 1, 2
)

select * from final
