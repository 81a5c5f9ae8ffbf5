{%- set orders_to_test = keys_to_test('order_id', [ref('fct_orders'), ref('fct_order_items')]) %}

with

orders as (
    select * from {{ ref('fct_orders') }}
    where {{ is_to_test(orders_to_test) }}
),

items as (
    select
        order_id,
        count(*) as item_count,
        sum(quantity) as quantity,
        sum(line_amount) as order_amount
    from {{ ref('fct_order_items') }}
    where {{ is_to_test(orders_to_test) }}
    group by 1
),

final as (
    select
        coalesce(orders.order_id, items.order_id) as order_id,
        orders.order_amount,
        items.order_amount as items_amount
    from orders
    full outer join items on orders.order_id = items.order_id
    where orders.order_id is null
        or orders.item_count is distinct from coalesce(items.item_count, 0)
        or orders.quantity is distinct from coalesce(items.quantity, 0)
        or orders.order_amount is distinct from coalesce(items.order_amount, 0)
)

select * from final
