{%- set rules = declare_rules({
    'exchange_rate_id_is_present': exclude_when(
        'exchange_rate_id is null', 'no exchange_rate_id', 'completeness'
    ),
    'currency_is_present': exclude_when(
        clean_text('currency') ~ ' is null', 'no currency', 'completeness'
    ),
    'rate_date_is_within_calendar': exclude_when(
        not_within_calendar(start_of_day('rate_date')),
        'rate_date is missing or outside the calendar', 'validity'
    ),
    'rate_is_above_0': exclude_when(
        '(round(rate::numeric, 12) > 0 and rate < 1000000) is not true',
        'rate is not above 0 and below 1,000,000', 'validity'
    ),
    'exchange_rate_id_is_short': exclude_when(
        is_too_long('exchange_rate_id'), 'exchange_rate_id is too long', 'validity'
    ),
    'currency_is_short': exclude_when(is_too_long('currency'), 'currency is too long', 'validity'),
    'rate_date_is_not_in_the_future': flag_when(
        is_in_the_future(start_of_day('rate_date')), 'rate_date is more than a day after the load', 'timeliness'
    ),
    'currency_is_iso_4217': flag_when(
        'staged.currency is not null and currencies.currency is null',
        'currency is not in seeds/currencies.csv', 'validity', {'currencies': 'currency'}
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('exchange_rates') }}
