{%- set by_session = [
    {'columns': ['session_id'], 'why': 'events of the sessions whose user may have changed'},
] if var('stitch_sessions') else [] %}
{{ config(
    unique_key='event_id',
    partition_by={
        'fields': ['event_timestamp'],
        'method': 'range',
        'granularity': 'month',
        'default_partition': true,
    },
    indexes=[
        {
            'columns': ['event_id', 'event_timestamp'], 'unique': true,
            'why': 'the key, looked up by builds',
        },
        {
            'columns': ['user_id', 'date_key'], 'include': ['event_timestamp'],
            'why': 'activity of the users and days that changed, from the index alone',
        },
        {'columns': ['user_key', 'date_key'], 'why': 'events of a user on some days'},
        {
            'columns': ['event_timestamp'], 'type': 'brin',
            'why': 'events of some hours out of a month',
        },
    ] + by_session,
    event_time='event_timestamp',
    meta={
        'change_log_keys': ['user_id', 'date_key'],
        'needed_rows': [
            {
                'where': 'user_key != ' ~ unknown_key(),
                'lack': 'a user of users (events.user_id), so that event_funnel is empty and no event'
                    ~ ' counts for a user',
            },
            {
                'of': 'user_key != ' ~ unknown_key(),
                'ref': 'dim_event_types',
                'where': 'event_type in (select event_type from {ref} where funnel_step is not distinct'
                    ~ ' from (select min(funnel_step) from {ref}))',
                'lack': 'an event type of the first funnel_step in seeds/event_types.csv, so that'
                    ~ ' event_funnel is empty',
                'shown': 'event_type',
            },
        ],
    },
) }}

{%- set sessions = [
    upstream(ref('int_session_users'), columns='session_id', lookup=this),
] if var('stitch_sessions') else [] %}
{%- set changed_events = changed_keys('event_id', [
    upstream(ref('dim_event_types'), columns='event_type', lookup=this),
    user_versions(),
] + sessions) %}
{%- if var('stitch_sessions') -%}
    {%- set changed_events = with_siblings(changed_events, ref('stg_app__events'), 'session_id') -%}
{%- endif %}

with

own_events as (
    select *
    from {{ ref('stg_app__events') }}
    where {{ is_changed(changed_events) }}
        and {{ is_retained('event_timestamp') }}
        and is_included
),

{% if var('stitch_sessions') -%}
    session_users as (
        select
            session_id,
            session_user_id,
            user_id as visitor_user_id
        from {{ ref('int_session_users') }}
    ),

    -- All events of a session are in own_events, because they are recomputed together.
    logins as (
        select
            session_id,
            min(user_id) as first_user_id,
            max(user_id) as last_user_id
        from own_events
        where user_id is not null
        group by 1
    ),

    events as (
        select
            own_events.*,
            case
                when own_events.user_id is not null then own_events.user_id
                when session_users.session_user_id is not null then session_users.session_user_id
                when logins.first_user_id = logins.last_user_id then logins.first_user_id
                -- Events that name several users say that the session is shared.
                when logins.first_user_id is null then session_users.visitor_user_id
            end as known_user_id
        from own_events
        left join session_users on own_events.session_id = session_users.session_id
        left join logins on own_events.session_id = logins.session_id
    ),
{%- else -%}
    events as (
        select
            *,
            user_id as known_user_id
        from own_events
    ),
{%- endif %}

users as (
    select * from {{ ref('dim_users') }}
),

event_types as (
    select * from {{ ref('dim_event_types') }}
),

final as (
    select
        events.event_id,
        coalesce(users.user_key, {{ unknown_key() }}) as user_key,
        {{ date_key(local_date('events.event_timestamp')) }} as date_key,
        {{ time_key('events.event_timestamp') }} as time_key,
        coalesce(event_types.event_type_key, {{ unknown_key() }}) as event_type_key,
        events.known_user_id as user_id,
        events.session_id,
        events.event_type,
        events.page_url,
        events.referrer_url,
        events.properties,
        events.event_timestamp
    from events
    left join users
        on events.known_user_id = users.user_id
            and events.event_timestamp >= users.effective_date
            and events.event_timestamp < users.expiry_date
    left join event_types on events.event_type = event_types.event_type
)

select * from final
