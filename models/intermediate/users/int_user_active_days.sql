{{ config(
    unique_key=['user_id', 'metric_date'],
    indexes=[
        {
            'columns': ['metric_date', 'days_until_next'], 'include': ['sessions'],
            'why': 'the users of int_active_days, from the index alone',
        },
    ],
    meta={'change_log_keys': ['metric_date', 'days_until_next']},
) }}

{%- set changed_users = changed_keys('user_id') %}

with

user_days as (
    select
        user_id,
        metric_date,
        sessions,
        lead(metric_date) over (partition by user_id order by date_key) as next_date
    from {{ ref('user_daily_metrics') }}
    where {{ is_changed(changed_users) }} and is_active
),

-- `least` skips the null of a user's last day.
final as (
    select
        user_id,
        metric_date,
        least({{ days_between('metric_date', 'next_date') }}, 30) as days_until_next,
        sessions
    from user_days
)

select * from final
