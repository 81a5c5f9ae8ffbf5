-- Events and sessions of known users, summed by day, equal their daily metrics.
with

happenings as (
    select
        date_key,
        1 as events,
        0 as sessions
    from {{ ref('fct_user_events') }}
    where user_key != {{ unknown_key() }}
    union all
    select
        date_key,
        0 as events,
        1 as sessions
    from {{ ref('fct_user_sessions') }}
    where user_key != {{ unknown_key() }}
    union all
    select
        date_key,
        -events as events,
        -sessions as sessions
    from {{ ref('user_daily_metrics') }}
),

final as (
    select
        date_key,
        sum(events) as events_missing,
        sum(sessions) as sessions_missing
    from happenings
    group by 1
    having sum(events) != 0 or sum(sessions) != 0
)

select * from final
