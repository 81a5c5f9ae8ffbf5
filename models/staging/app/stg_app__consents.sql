{%- set reasons = {
    'no consent_id': 'consent_id is null',
    'no user_id': clean_text('user_id') ~ ' is null',
    'recorded_at is missing or outside the calendar': not_within_calendar('recorded_at'),
    'consent_id is too long': is_too_long('consent_id'),
    'user_id is too long': is_too_long('user_id'),
} %}

select
    -- ids
    consent_id::{{ text_type() }} as consent_id,
    {{ foreign_key('user_id') }} as user_id,

    -- strings
    lower({{ clean_text('purpose') }}) as purpose,

    -- booleans
    is_granted,
    _deleted_at is not null as is_deleted,

    -- timestamps
    recorded_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('consents') }}
