{%- set reasons = {
    'no exchange_rate_id': 'exchange_rate_id is null',
    'no currency': clean_text('currency') ~ ' is null',
    'rate_date is missing or outside the calendar': not_within_calendar(start_of_day('rate_date')),
    'rate is not above 0 and below 1,000,000': '(round(rate::numeric, 12) > 0 and rate < 1000000) is not true',
    'exchange_rate_id is too long': is_too_long('exchange_rate_id'),
    'currency is too long': is_too_long('currency'),
} %}

select
    -- ids
    exchange_rate_id::{{ text_type() }} as exchange_rate_id,

    -- strings
    upper({{ clean_text('currency') }}) as currency,

    -- numerics
    rate::numeric as rate,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- dates
    rate_date,

    -- timestamps
    updated_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('exchange_rates') }}
