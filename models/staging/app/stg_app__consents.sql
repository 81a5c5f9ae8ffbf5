{%- set rules = declare_rules({
    'consent_id_is_present': exclude_when('consent_id is null', 'no consent_id', 'completeness'),
    'user_id_is_present': exclude_when(
        clean_text('user_id') ~ ' is null', 'no user_id', 'completeness'
    ),
    'recorded_at_is_within_calendar': exclude_when(
        not_within_calendar('recorded_at'), 'recorded_at is missing or outside the calendar', 'validity'
    ),
    'consent_id_is_short': exclude_when(
        is_too_long('consent_id'), 'consent_id is too long', 'validity'
    ),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'recorded_at_is_not_in_the_future': flag_when(
        is_in_the_future('recorded_at'), 'recorded_at is more than a day after the load', 'timeliness'
    ),
    'purpose_is_present': flag_when(clean_text('purpose') ~ ' is null', 'no purpose', 'completeness'),
    'is_granted_is_present': flag_when('is_granted is null', 'no is_granted', 'completeness'),
    'user_is_known': flag_when(
        'staged.user_id is not null and users.user_id is null',
        'its user is not in users', 'consistency', {'users': 'user_id'}
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('consents') }}
