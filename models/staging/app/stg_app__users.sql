{%- set rules = declare_rules({
    'user_id_is_present': exclude_when('user_id is null', 'no user_id', 'completeness'),
    'user_id_is_short': exclude_when(is_too_long('user_id'), 'user_id is too long', 'validity'),
    'email_is_short': flag_when(is_too_long('email'), 'email is too long', 'validity'),
    'email_is_an_address': flag_when(
        'not ' ~ is_too_long('email') ~ ' and not ' ~ is_email(clean_text('email')),
        'email is no e-mail address', 'validity'
    ),
    'email_is_of_one_user': flag_when(
        'namesakes.user_id is not null', 'another user has the same email',
        'uniqueness', {'namesakes': 'email'}
    ),
    'age_at_sign_up_is_13_to_120': flag_when(
        'not ' ~ is_age_between('birth_date', 'created_at', 13, 120),
        'the user was younger than 13 or older than 120 at the sign-up', 'validity'
    ),
    'created_at_is_within_calendar': flag_when(
        'not ' ~ is_within_calendar('created_at'), 'created_at is outside the calendar', 'validity'
    ),
    'created_at_is_not_in_the_future': flag_when(
        is_in_the_future('created_at'), 'created_at is more than a day after the load', 'timeliness'
    ),
}) %}

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
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('users') }}
