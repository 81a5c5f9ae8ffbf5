{%- set rules = declare_rules({
    'request_id_is_present': exclude_when('request_id is null', 'no request_id', 'completeness'),
    'user_id_is_present': exclude_when(
        clean_text('user_id') ~ ' is null', 'no user_id', 'completeness'
    ),
    'request_id_is_short': exclude_when(
        is_too_long('request_id'), 'request_id is too long', 'validity'
    ),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'requested_at_is_present': flag_when('requested_at is null', 'no requested_at', 'completeness'),
    'requested_at_is_not_in_the_future': flag_when(
        is_in_the_future('requested_at'), 'requested_at is more than a day after the load', 'timeliness'
    ),
    'user_is_known': flag_when(
        'staged.user_id is not null and users.user_id is null',
        'its user is not in users', 'consistency', {'users': 'user_id'}
    ),
}) %}

select
    -- ids
    request_id::{{ text_type() }} as request_id,
    {{ foreign_key('user_id') }} as user_id,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    requested_at,

    -- load
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('erasure_requests') }}
