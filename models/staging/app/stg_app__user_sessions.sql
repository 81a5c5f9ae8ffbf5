{%- set reasons = {
    'no session_id': 'session_id is null',
    'session_start is missing or outside the calendar': not_within_calendar('session_start'),
    'session_id is too long': is_too_long('session_id'),
    'user_id is too long': is_too_long('user_id'),
    'visitor_id is too long': is_too_long('visitor_id'),
} %}

select
    -- ids
    session_id::{{ text_type() }} as session_id,
    {{ foreign_key('user_id') }} as user_id,
    {{ foreign_key('visitor_id') }} as visitor_id,

    -- strings
    lower({{ clean_text('device') }}) as device,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    session_start as started_at,
    {{ calendar_timestamp('session_end') }} as ended_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('user_sessions') }}
