-- Daily users of every day; weekly and monthly users, counted distinct, of the 30 days up to the last active day.
{%- set days_to_test = keys_to_test('date_key', [ref('user_daily_metrics')]) %}
{%- set dates_to_test = keys_to_test('metric_date', [ref('active_users')]) %}
{%- set metric_date = 'coalesce(active_users.metric_date, daily.metric_date)' %}

with

user_days as (
    select * from {{ ref('user_daily_metrics') }}
    where is_active
),

active_users as (
    select * from {{ ref('active_users') }}
),

daily as (
    select
        metric_date,
        count(*) as users,
        sum(sessions) as sessions
    from user_days
    where {{ is_to_test(days_to_test) }} or {{ is_to_test(dates_to_test) }}
    group by 1
),

last_day as (
    select max(metric_date) as metric_date
    from active_users
    where metric_date <= {{ local_date(as_of()) }}
),

recent_days as (
    select active_users.metric_date
    from active_users
    inner join last_day
        on active_users.metric_date <= last_day.metric_date
            and active_users.metric_date > {{ add_days('last_day.metric_date', -30) }}
),

recent_user_days as {{ materialized_cte() }} (
    select
        user_days.metric_date,
        user_days.user_id
    from user_days
    inner join last_day on user_days.metric_date > {{ add_days('last_day.metric_date', -60) }}
),

windows as (
    select
        recent_days.metric_date,
        count(distinct recent.user_id) as monthly,
        count(distinct recent.user_id) filter (
            where recent.metric_date > {{ add_days('recent_days.metric_date', -7) }}
        ) as weekly
    from recent_days
    left join recent_user_days as recent
        on recent_days.metric_date >= recent.metric_date
            and recent_days.metric_date < {{ add_days('recent.metric_date', 30) }}
    group by 1
),

final as (
    select coalesce(active_users.metric_date, daily.metric_date) as metric_date
    from active_users
    full outer join daily on active_users.metric_date = daily.metric_date
    left join windows on active_users.metric_date = windows.metric_date
    where (
        (
            {{ is_to_test(days_to_test, date_key(metric_date)) }}
            or {{ is_to_test(dates_to_test, metric_date) }}
        )
        and (
            active_users.daily_active_users is distinct from daily.users
            or active_users.sessions is distinct from daily.sessions
        )
    )
    or (
        windows.metric_date is not null
        and (
            active_users.weekly_active_users is distinct from windows.weekly
            or active_users.monthly_active_users is distinct from windows.monthly
        )
    )
)

select * from final
