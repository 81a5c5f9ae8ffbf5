{{ config(
    unique_key='metric_date',
) }}

{%- do skip_unless_changed() %}

-- Without changed_keys: a few rows per day, and a day changes those of the 29 days after it.
with

counted as (
    select * from {{ ref('int_active_days') }}
),

-- A user counts once per window: from an active day until the next one, or until the window ends.
changes as (
    select
        metric_date,
        users as weekly_change,
        users as monthly_change
    from counted
    union all
    select
        {{ add_days('metric_date', 'least(days_until_next, 7)') }} as metric_date,
        -users as weekly_change,
        0 as monthly_change
    from counted
    union all
    select
        {{ add_days('metric_date', 'days_until_next') }} as metric_date,
        0 as weekly_change,
        -users as monthly_change
    from counted
),

changes_by_day as (
    select
        metric_date,
        sum(weekly_change) as weekly_change,
        sum(monthly_change) as monthly_change
    from changes
    group by 1
),

added_up as (
    select
        metric_date,
        sum(weekly_change) over (order by metric_date) as weekly_active_users,
        sum(monthly_change) over (order by metric_date) as monthly_active_users
    from changes_by_day
),

daily as (
    select
        metric_date,
        sum(users)::bigint as daily_active_users,
        sum(sessions) as sessions
    from counted
    group by 1
),

final as (
    select
        daily.metric_date,
        daily.daily_active_users,
        added_up.weekly_active_users::bigint as weekly_active_users,
        added_up.monthly_active_users::bigint as monthly_active_users,
        {{ safe_divide(
            'daily.daily_active_users', 'added_up.monthly_active_users', digits=4
        ) }}::{{ amount_type() }} as stickiness,
        daily.sessions::bigint as sessions,
        {{ safe_divide('daily.sessions', 'daily.daily_active_users') }}::{{ amount_type() }}
            as sessions_per_user
    from daily
    inner join added_up on daily.metric_date = added_up.metric_date
)

select * from final
