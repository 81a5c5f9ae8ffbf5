{%- set reasons = {
    'no order_item_id': 'order_item_id is null',
    'no order_id': 'order_id is null',
    'quantity is missing or no amount': is_amount('quantity') ~ ' is not true',
    'price_at_purchase is missing or no amount': is_amount('price_at_purchase') ~ ' is not true',
    'quantity x price_at_purchase is no amount': is_amount('quantity::numeric * price_at_purchase') ~ ' is not true',
    'order_item_id is too long': is_too_long('order_item_id'),
    'order_id is too long': is_too_long('order_id'),
    'product_id is too long': is_too_long('product_id'),
} %}

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

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('order_items') }}
