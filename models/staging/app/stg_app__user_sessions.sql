{%- set rules = declare_rules({
    'session_id_is_present': exclude_when('session_id is null', 'no session_id', 'completeness'),
    'session_start_is_within_calendar': exclude_when(
        not_within_calendar('session_start'),
        'session_start is missing or outside the calendar', 'validity'
    ),
    'session_id_is_short': exclude_when(
        is_too_long('session_id'), 'session_id is too long', 'validity'
    ),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'visitor_id_is_short': exclude_when(
        is_too_long('visitor_id'), 'visitor_id is too long', 'validity'
    ),
    'session_start_is_not_in_the_future': flag_when(
        is_in_the_future('session_start'), 'session_start is more than a day after the load', 'timeliness'
    ),
    'session_end_is_not_before_its_start': flag_when(
        'session_end < session_start', 'session_end is before session_start', 'consistency'
    ),
    'session_lasts_a_day_at_most': flag_when(
        calendar_timestamp('session_end') ~ ' - ' ~ calendar_timestamp('session_start') ~ " > interval '1 day'",
        'the session is longer than a day', 'validity'
    ),
    'user_is_known': flag_when(
        'staged.user_id is not null and users.user_id is null',
        'its user is not in users', 'consistency', {'users': 'user_id'}
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('user_sessions') }}
