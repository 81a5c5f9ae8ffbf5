{%- set reasons = {
    'no order_id': 'order_id is null',
    'order_date is missing or outside the calendar': not_within_calendar('order_date'),
    'order_id is too long': is_too_long('order_id'),
    'user_id is too long': is_too_long('user_id'),
    'currency is too long': is_too_long('currency'),
} %}

select
    -- ids
    order_id::{{ text_type() }} as order_id,
    {{ foreign_key('user_id') }} as user_id,

    -- strings
    lower({{ clean_text('order_status') }}) as order_status,
    upper({{ clean_text('currency') }}) as currency,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    order_date as ordered_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('orders') }}
