{{ config(
    unique_key=['metric_date', 'days_until_next'],
) }}

{%- set changed_days = changed_keys() %}

with

user_days as (
    select *
    from {{ ref('int_user_active_days') }}
    where {{ is_changed(changed_days) }}
),

final as (
    select
        metric_date,
        days_until_next,
        count(*) as users,
        sum(sessions)::bigint as sessions
    from user_days
    group by 1, 2
)

select * from final
