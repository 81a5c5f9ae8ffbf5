{{ config(
    unique_key='session_id',
    indexes=[
        {'columns': ['user_id', 'date_key'], 'why': 'sessions of the users and days that changed'},
        {'columns': ['date_key'], 'why': 'sessions of some days'},
    ],
    event_time='started_at',
    meta={
        'change_log_keys': ['user_id', 'date_key'],
        'needed_rows': [
            {
                'where': 'user_key != ' ~ unknown_key(),
                'lack': 'a user of users (user_sessions.user_id), so that no session counts for a user',
            },
        ],
    },
) }}

{%- set changed_sessions = changed_keys('session_id', [user_versions()]) %}

with

sessions as (
    select *
    from {{ ref('stg_app__user_sessions') }}
    where {{ is_changed(changed_sessions) }} and is_included
),

users as (
    select * from {{ ref('dim_users') }}
),

final as (
    select
        sessions.session_id,
        coalesce(users.user_key, {{ unknown_key() }}) as user_key,
        {{ date_key(local_date('sessions.started_at')) }} as date_key,
        {{ time_key('sessions.started_at') }} as time_key,
        sessions.user_id,
        sessions.device,
        -- A session that ends before it starts has no length.
        (
            case
                when sessions.ended_at >= sessions.started_at
                    then {{ seconds_between('sessions.started_at', 'sessions.ended_at') }}
            end
        )::numeric(20, 6) as duration_seconds,
        sessions.started_at,
        sessions.ended_at
    from sessions
    left join users
        on sessions.user_id = users.user_id
            and sessions.started_at >= users.effective_date
            and sessions.started_at < users.expiry_date
)

select * from final
