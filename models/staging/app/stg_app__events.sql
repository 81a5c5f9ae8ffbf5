{%- set reasons = {
    'no event_id': 'event_id is null',
    'event_timestamp is missing or outside the calendar': not_within_calendar('event_timestamp'),
    'event_id is too long': is_too_long('event_id'),
    'user_id is too long': is_too_long('user_id'),
    'session_id is too long': is_too_long('session_id'),
} %}

select
    -- ids
    event_id::{{ text_type() }} as event_id,
    {{ foreign_key('user_id') }} as user_id,
    {{ foreign_key('session_id') }} as session_id,

    -- strings
    lower({{ clean_text('event_type') }}) as event_type,
    {{ clean_text('page_url') }} as page_url,
    {{ clean_text('referrer_url') }} as referrer_url,

    -- semi-structured
    properties,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    event_timestamp,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('events') }}
