{%- set rules = declare_rules({
    'order_id_is_present': exclude_when('order_id is null', 'no order_id', 'completeness'),
    'order_date_is_within_calendar': exclude_when(
        not_within_calendar('order_date'), 'order_date is missing or outside the calendar', 'validity'
    ),
    'order_id_is_short': exclude_when(is_too_long('order_id'), 'order_id is too long', 'validity'),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'currency_is_short': exclude_when(is_too_long('currency'), 'currency is too long', 'validity'),
    'order_date_is_not_in_the_future': flag_when(
        is_in_the_future('order_date'), 'order_date is more than a day after the load', 'timeliness'
    ),
    'user_is_known': flag_when(
        'staged.user_id is not null and users.user_id is null',
        'its user is not in users', 'consistency', {'users': 'user_id'}
    ),
    'order_date_is_not_before_sign_up': flag_when(
        'staged.ordered_at < users.signed_up_at',
        'order_date is before the sign-up of its user', 'consistency', {'users': 'user_id'}
    ),
    'order_status_is_known': flag_when(
        'order_statuses.order_status is null',
        'order_status is not in seeds/order_statuses.csv', 'validity', {'order_statuses': 'order_status'}
    ),
    'currency_is_iso_4217': flag_when(
        'staged.currency is not null and currencies.currency is null',
        'currency is not in seeds/currencies.csv', 'validity', {'currencies': 'currency'}
    ),
    'order_is_paid_in_full': flag_when(
        'orders.is_revenue and orders.paid_amount != orders.order_amount',
        'the amount paid is not that of the order', 'consistency',
        {'orders': 'order_id'}, needs=['payments']
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('orders') }}
