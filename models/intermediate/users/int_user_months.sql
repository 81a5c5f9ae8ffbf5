{{ config(
    unique_key=['user_id', 'activity_month'],
    indexes=[
        {'columns': ['next_change_at'], 'why': 'users who are due by the clock'},
    ],
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='next_change_at <= ' ~ as_of()
) %}

with

users as (
    select
        user_id,
        {{ local_date('signed_up_at') }} as signup_date
    from {{ ref('stg_app__users') }}
    where {{ is_changed(changed_users) }} and is_included
),

user_days as (
    select *
    from {{ ref('user_daily_metrics') }}
    where {{ is_changed(changed_users) }}
),

-- The sign-up adds a row too, so that a cohort is counted even if none of its users returned.
happenings as (
    select
        user_id,
        signup_date as happened_on,
        true as is_sign_up,
        0 as active_days,
        0 as orders,
        0 as revenue
    from users
    where signup_date is not null
    union all
    select
        user_id,
        metric_date as happened_on,
        false as is_sign_up,
        case when is_active then 1 else 0 end as active_days,
        purchases as orders,
        revenue
    from user_days
),

dated as (
    select
        happenings.*,
        -- A user whose sign-up is after as_of belongs to no cohort, active or not.
        case
            when users.signup_date <= {{ local_date(as_of()) }}
                then {{ first_day_of('month', 'users.signup_date') }}
        end as cohort_month,
        happenings.happened_on <= {{ local_date(as_of()) }} as has_come
    from happenings
    inner join users on happenings.user_id = users.user_id
),

final as (
    select
        user_id,
        {{ first_day_of('month', 'happened_on') }} as activity_month,
        cohort_month,
        coalesce(bool_or(is_sign_up) filter (where has_come), false) as has_signed_up,
        coalesce(sum(active_days) filter (where has_come), 0) as active_days,
        coalesce(sum(orders) filter (where has_come), 0)::bigint as orders,
        coalesce(sum(revenue) filter (where has_come), 0)::{{ amount_type() }} as revenue,
        {{ start_of_day('min(happened_on) filter (where not has_come)') }} as next_change_at
    from dated
    group by 1, 2, 3
)

select * from final
