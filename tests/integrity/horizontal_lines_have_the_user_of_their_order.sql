{%- set orders_to_test = keys_to_test('order_id', [ref('fct_orders'), ref('fct_order_items')]) %}

with

orders as (
    select * from {{ ref('fct_orders') }}
    where {{ is_to_test(orders_to_test) }}
),

items as (
    select * from {{ ref('fct_order_items') }}
    where {{ is_to_test(orders_to_test) }}
),

final as (
    select
        items.order_item_id,
        items.user_key,
        orders.user_key as user_key_of_order
    from items
    inner join orders on items.order_id = orders.order_id
    where (items.user_key, items.user_id, items.ordered_at)
        is distinct from (orders.user_key, orders.user_id, orders.ordered_at)
)

select * from final
