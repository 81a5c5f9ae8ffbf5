{%- set rules = declare_rules({
    'order_item_id_is_present': exclude_when(
        'order_item_id is null', 'no order_item_id', 'completeness'
    ),
    'order_id_is_present': exclude_when('order_id is null', 'no order_id', 'completeness'),
    'quantity_is_an_amount': exclude_when(
        is_amount('quantity') ~ ' is not true', 'quantity is missing or no amount', 'validity'
    ),
    'price_is_an_amount': exclude_when(
        is_amount('price_at_purchase') ~ ' is not true',
        'price_at_purchase is missing or no amount', 'validity'
    ),
    'line_amount_is_an_amount': exclude_when(
        is_amount('quantity') ~ ' and ' ~ is_amount('price_at_purchase')
            ~ ' and not ' ~ is_amount('quantity::numeric * price_at_purchase'),
        'quantity x price_at_purchase is no amount', 'validity'
    ),
    'order_item_id_is_short': exclude_when(
        is_too_long('order_item_id'), 'order_item_id is too long', 'validity'
    ),
    'order_id_is_short': exclude_when(is_too_long('order_id'), 'order_id is too long', 'validity'),
    'product_id_is_short': exclude_when(
        is_too_long('product_id'), 'product_id is too long', 'validity'
    ),
    'price_is_not_negative': flag_when(
        'price_at_purchase < 0', 'price_at_purchase is below 0', 'validity'
    ),
    'quantity_is_not_zero': flag_when('quantity = 0', 'quantity is 0', 'validity'),
    'order_is_known': exclude_when(
        'staged.order_id is not null and orders.order_id is null',
        'its order is in no mart', 'consistency', {'orders': 'order_id'},
        left_out_by='fct_order_items'
    ),
    'quantity_is_positive_in_sales': flag_when(
        'staged.quantity < 0 and not order_statuses.is_refund and order_statuses.order_status != \'adjustment\'',
        'quantity is below 0 in an order that is no return or adjustment',
        'validity', {'orders': 'order_id', 'order_statuses': 'orders.order_status'}
    ),
    'product_is_known': flag_when(
        'staged.product_id is not null and products.product_id is null',
        'its product is not in products', 'consistency', {'products': 'product_id'}
    ),
}) %}

select
    -- ids
    order_item_id::{{ text_type() }} as order_item_id,
    order_id::{{ text_type() }} as order_id,
    {{ foreign_key('product_id') }} as product_id,

    -- numerics
    quantity::numeric as quantity,
    price_at_purchase::numeric as price_at_purchase,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    {{ calendar_timestamp('updated_at') }} as updated_at,

    -- load
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('order_items') }}
