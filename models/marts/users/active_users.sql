{%- set days_that_follow -%}
    (
        select
            date_key,
            {{ add_days('date_day', 'n') }} as metric_date
        from {{ ref('dim_date') }}
        cross join ({{ whole_numbers(30) }}) as numbers
    )
{%- endset -%}

{{ config(
    unique_key='metric_date',
) }}

-- A day that changes counts in its own row and in those of the 29 days after it.
{%- set changed_days = changed_keys('metric_date', [
    upstream(ref('user_daily_metrics'), columns='date_key', lookup=days_that_follow),
], ignoring=[ref('dim_date')]) %}

with

numbers as (
    {{ whole_numbers(30) }}
),

days as (
    select distinct metric_date
    from {{ ref('user_daily_metrics') }}
    where {{ is_changed(changed_days) }}
),

days_to_read as (
    select distinct {{ add_days('days.metric_date', '-numbers.n') }} as metric_date
    from days
    cross join numbers
),

metrics as (
    select * from {{ ref('user_daily_metrics') }}
),

user_days as (
    select
        metrics.*,
        lead(metrics.metric_date) over (
            partition by metrics.user_id
            order by metrics.metric_date
        ) as next_date
    from metrics
    inner join days_to_read on metrics.metric_date = days_to_read.metric_date
),

-- A user counts once per window: from an active day until the next one, or until the window ends.
changes as (
    select
        metric_date,
        count(*) as weekly_change,
        count(*) as monthly_change
    from user_days
    group by 1
    union all
    select
        least({{ add_days('metric_date', 7) }}, next_date) as metric_date,
        -count(*) as weekly_change,
        0 as monthly_change
    from user_days
    group by 1
    union all
    select
        least({{ add_days('metric_date', 30) }}, next_date) as metric_date,
        0 as weekly_change,
        -count(*) as monthly_change
    from user_days
    group by 1
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
        count(*) as daily_active_users,
        sum(sessions) as sessions
    from user_days
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
