{%- set orders_to_test = keys_to_test(
    'order_id', [ref('fct_orders'), ref('fct_payments')], with_nulls=false
) %}

with

orders as (
    select * from {{ ref('fct_orders') }}
    where {{ is_to_test(orders_to_test) }}
),

paid as (
    select
        order_id,
        sum(case when is_paid then amount else 0 end) as paid_amount
    from {{ ref('fct_payments') }}
    where {{ is_to_test(orders_to_test) }}
    group by 1
),

final as (
    select
        orders.order_id,
        orders.paid_amount,
        paid.paid_amount as payments_amount
    from orders
    left join paid on orders.order_id = paid.order_id
    where orders.paid_amount is distinct from coalesce(paid.paid_amount, 0)
)

select * from final
