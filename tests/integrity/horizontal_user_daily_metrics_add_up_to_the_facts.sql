-- Events and sessions of known users, by user and day, are those of their daily metrics.
{%- set days_to_test = keys_to_test(['user_id', 'date_key'], [
    ref('fct_user_events'), ref('fct_user_sessions'), ref('user_daily_metrics')
], with_nulls=false) %}

with

happenings as (
    select
        user_id,
        date_key,
        1 as events,
        0 as sessions
    from {{ ref('fct_user_events') }}
    where user_key != {{ unknown_key() }} and {{ is_to_test(days_to_test) }}
    union all
    select
        user_id,
        date_key,
        0 as events,
        1 as sessions
    from {{ ref('fct_user_sessions') }}
    where user_key != {{ unknown_key() }} and {{ is_to_test(days_to_test) }}
    union all
    select
        user_id,
        date_key,
        -events as events,
        -sessions as sessions
    from {{ ref('user_daily_metrics') }}
    where {{ is_to_test(days_to_test) }}
),

final as (
    select
        user_id,
        date_key,
        sum(events) as events_missing,
        sum(sessions) as sessions_missing
    from happenings
    group by 1, 2
    having sum(events) != 0 or sum(sessions) != 0
)

select * from final
