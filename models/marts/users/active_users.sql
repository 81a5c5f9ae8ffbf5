{{ config(
    unique_key='metric_date',
) }}

{#- A day that changes counts in its own row and in those of the 29 days after it. -#}
{%- set days_that_follow = add_days(date_of_key('date_key'), each_whole_number(30)) %}
{%- set changed_days = changed_keys('metric_date', [
    upstream(ref('user_daily_metrics'), columns='date_key', key=days_that_follow),
    upstream(ref('dim_date'), columns='date_key', key=days_that_follow),
]) %}

with

numbers as (
    {{ whole_numbers(30) }}
),

dates as (
    select * from {{ ref('dim_date') }}
),

known_days as (
    select
        min(metric_date) as first_date,
        max(metric_date) as last_date
    from {{ ref('user_daily_metrics') }}
),

days as (
    select dates.date_day as metric_date
    from dates
    inner join known_days
        on dates.date_day >= known_days.first_date and dates.date_day <= known_days.last_date
    where {{ is_changed(changed_days, columns='dates.date_day') }}
),

days_to_read as (
    select distinct {{ add_days('days.metric_date', '-numbers.n') }} as read_date
    from days
    cross join numbers
),

user_days as (
    select
        metric_date,
        sessions,
        lead(metric_date) over (partition by user_id order by date_key) as next_date
    from {{ ref('user_daily_metrics') }}
    -- With `is true` a filter, not a join, which would lose the order of the index.
    where (metric_date in (select days_to_read.read_date from days_to_read)) is true
        and is_active
),

-- All that follows reads one row per day and number of days until the next visit.
counted as (
    select
        metric_date,
        least({{ days_between('metric_date', 'next_date') }}, 30) as days_until_next,
        count(*) as users,
        sum(sessions) as sessions
    from user_days
    group by 1, 2
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
    inner join days on daily.metric_date = days.metric_date
    inner join added_up on daily.metric_date = added_up.metric_date
)

select * from final
