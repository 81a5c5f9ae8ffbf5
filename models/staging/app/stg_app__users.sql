{%- set reasons = {
    'no user_id': 'user_id is null',
    'user_id is too long': is_too_long('user_id'),
} %}

select
    -- ids
    user_id::{{ text_type() }} as user_id,

    -- strings
    case when not {{ is_too_long('email') }} then lower({{ clean_text('email') }}) end as email,
    {{ clean_text('first_name') }} as first_name,
    {{ clean_text('last_name') }} as last_name,
    {{ clean_text('phone') }} as phone,
    {{ clean_text('country') }} as country,
    {{ clean_text('subscription_tier') }} as subscription_tier,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- dates
    birth_date,

    -- timestamps
    {{ calendar_timestamp('created_at') }} as signed_up_at,
    {{ calendar_timestamp('last_login_at') }} as last_login_at,
    {{ version_started_at() }} as version_started_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('users') }}
