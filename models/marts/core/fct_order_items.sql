{{ config(
    unique_key='order_item_id',
    indexes=[
        {'columns': ['order_id'], 'why': 'lines of an order'},
        {'columns': ['user_id'], 'why': 'lines of users with a new version'},
        {'columns': ['product_id'], 'why': 'lines of products with a new version'},
        {'columns': ['date_key', 'category_key'], 'why': 'what a category sold on a day'},
    ],
    event_time='ordered_at',
    meta={'change_log_keys': ['order_id', 'date_key', 'category_key']},
) }}

{%- set changed_items = changed_keys('order_item_id', [
    upstream(ref('stg_app__orders'), columns='order_id', lookup=ref('stg_app__order_items')),
    upstream(
        ref('dim_products'), columns='product_id', lookup=this, except_when=has_product_at('ordered_at')
    ),
    user_versions(),
]) %}

with

items as (
    select *
    from {{ ref('stg_app__order_items') }}
    where {{ is_changed(changed_items) }} and is_included
),

orders as (
    select *
    from {{ ref('stg_app__orders') }}
    where is_included
),

users as (
    select * from {{ ref('dim_users') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

final as (
    select
        items.order_item_id,
        items.order_id,
        coalesce(users.user_key, {{ unknown_key() }}) as user_key,
        coalesce(products.product_key, {{ unknown_key() }}) as product_key,
        coalesce(products.category_key, {{ unknown_key() }}) as category_key,
        {{ date_key(local_date('orders.ordered_at')) }} as date_key,
        {{ time_key('orders.ordered_at') }} as time_key,
        orders.user_id,
        items.product_id,
        items.quantity::{{ amount_type() }} as quantity,
        items.price_at_purchase::{{ amount_type() }} as price_at_purchase,
        (items.quantity * items.price_at_purchase)::{{ amount_type() }} as line_amount,
        orders.ordered_at
    from items
    inner join orders on items.order_id = orders.order_id
    left join users
        on orders.user_id = users.user_id
            and orders.ordered_at >= users.effective_date
            and orders.ordered_at < users.expiry_date
    left join products
        on items.product_id = products.product_id
            and orders.ordered_at >= products.effective_date
            and orders.ordered_at < products.expiry_date
)

select * from final
