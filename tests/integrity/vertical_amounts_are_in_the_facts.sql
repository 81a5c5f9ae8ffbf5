-- The amount of each staged line and payment in a fact is that of the fact; another test checks that no row is missing.
-- Values that are no amounts have none. Staging shows what was loaded since; a build of a part of the facts cannot be compared with it.
{%- set lines_to_test = keys_to_test(
    'order_item_id', [ref('stg_app__order_items')], with_nulls=false
) %}
{%- set orders_to_test = keys_to_test(
    'order_id', [ref('fct_order_items'), ref('fct_payments')], with_nulls=false
) %}
{%- set payments_to_test = keys_to_test(
    'payment_id', [ref('stg_app__payments')], with_nulls=false
) %}

with

lines as (
    select
        order_item_id,
        (quantity * price_at_purchase)::{{ amount_type() }} as amount
    from {{ ref('stg_app__order_items') }}
    where ({{ is_to_test(lines_to_test) }} or {{ is_to_test(orders_to_test) }})
        and {{ is_amount('quantity') }}
        and {{ is_amount('price_at_purchase') }}
        and {{ is_amount('quantity * price_at_purchase') }}
),

payments as (
    select
        payment_id,
        amount::{{ amount_type() }} as amount
    from {{ ref('stg_app__payments') }}
    where ({{ is_to_test(payments_to_test) }} or {{ is_to_test(orders_to_test) }})
        and {{ is_amount('amount') }}
),

items as (
    select * from {{ ref('fct_order_items') }}
),

facts as (
    select * from {{ ref('fct_payments') }}
),

amounts as (
    select
        'order_items' as table_name,
        lines.order_item_id as row_key,
        lines.amount as staged_amount,
        items.line_amount as taken_amount
    from lines
    inner join items on lines.order_item_id = items.order_item_id
    union all
    select
        'payments' as table_name,
        payments.payment_id as row_key,
        payments.amount as staged_amount,
        facts.amount as taken_amount
    from payments
    inner join facts on payments.payment_id = facts.payment_id
),

final as (
    select * from amounts
    where staged_amount is distinct from taken_amount
        and {{ were_built_together() }}
)

select * from final
