{%- set rules = declare_rules({
    'event_id_is_present': exclude_when('event_id is null', 'no event_id', 'completeness'),
    'event_timestamp_is_within_calendar': exclude_when(
        not_within_calendar('event_timestamp'),
        'event_timestamp is missing or outside the calendar', 'validity'
    ),
    'event_id_is_short': exclude_when(is_too_long('event_id'), 'event_id is too long', 'validity'),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'session_id_is_short': exclude_when(
        is_too_long('session_id'), 'session_id is too long', 'validity'
    ),
    'event_timestamp_is_not_in_the_future': flag_when(
        is_in_the_future('event_timestamp'),
        'event_timestamp is more than a day after the load', 'timeliness'
    ),
    'event_type_is_known': flag_when(
        'event_types.event_type is null',
        'event_type is not in seeds/event_types.csv', 'validity', {'event_types': 'event_type'}
    ),
    'user_is_known': flag_when(
        'staged.user_id is not null and users.user_id is null',
        'its user is not in users', 'consistency', {'users': 'user_id'}
    ),
    'session_is_known': flag_when(
        'staged.session_id is not null and user_sessions.session_id is null',
        'its session is not in user_sessions', 'consistency', {'user_sessions': 'session_id'}
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('events') }}
