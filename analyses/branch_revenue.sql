-- Revenue of whole branches of the category tree: each line counts for every ancestor of its category.
with

order_items as (
    select * from {{ ref('fct_order_items') }}
),

orders as (
    select * from {{ ref('fct_orders') }}
    where is_revenue or net_amount != 0
),

products as (
    select * from {{ ref('dim_products') }}
),

ancestors as (
    select * from {{ ref('bridge_category_ancestors') }}
),

categories as (
    select * from {{ ref('dim_categories') }}
),

final as (
    select
        categories.category_path,
        categories.depth,
        count(distinct order_items.order_id) filter (where orders.is_revenue) as orders,
        sum(round(order_items.line_amount * orders.exchange_rate, 4)) as revenue
    from order_items
    inner join orders on order_items.order_id = orders.order_id
    inner join products on order_items.product_key = products.product_key
    inner join ancestors on products.category_key = ancestors.category_key
    inner join categories on ancestors.ancestor_category_key = categories.category_key
    group by 1, 2
)

select * from final
