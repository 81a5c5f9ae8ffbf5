{%- set rules = declare_rules({
    'payment_id_is_present': exclude_when('payment_id is null', 'no payment_id', 'completeness'),
    'amount_is_an_amount': exclude_when(
        is_amount('amount') ~ ' is not true', 'amount is missing or no amount', 'validity'
    ),
    'payment_id_is_short': exclude_when(
        is_too_long('payment_id'), 'payment_id is too long', 'validity'
    ),
    'order_id_is_short': exclude_when(is_too_long('order_id'), 'order_id is too long', 'validity'),
    'amount_is_not_negative': flag_when('amount < 0', 'amount is below 0', 'validity'),
    'paid_at_is_within_calendar': flag_when(
        'not ' ~ is_within_calendar('paid_at'), 'paid_at is outside the calendar', 'validity'
    ),
    'paid_at_is_not_in_the_future': flag_when(
        is_in_the_future('paid_at'), 'paid_at is more than a day after the load', 'timeliness'
    ),
    'order_is_known': flag_when(
        'staged.order_id is not null and orders.order_id is null',
        'its order is in no mart', 'consistency', {'orders': 'order_id'}
    ),
    'payment_status_is_known': flag_when(
        'payment_statuses.payment_status is null',
        'payment_status is not in seeds/payment_statuses.csv',
        'validity', {'payment_statuses': 'payment_status'}
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('payments') }}
