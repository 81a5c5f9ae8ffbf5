{%- set reasons = {
    'no payment_id': 'payment_id is null',
    'amount is missing or no amount': is_amount('amount') ~ ' is not true',
    'payment_id is too long': is_too_long('payment_id'),
    'order_id is too long': is_too_long('order_id'),
} %}

select
    -- ids
    payment_id::{{ text_type() }} as payment_id,
    {{ foreign_key('order_id') }} as order_id,

    -- strings
    lower({{ clean_text('payment_method') }}) as payment_method,
    lower({{ clean_text('payment_status') }}) as payment_status,

    -- numerics
    amount::numeric as amount,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    {{ calendar_timestamp('paid_at') }} as paid_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('payments') }}
