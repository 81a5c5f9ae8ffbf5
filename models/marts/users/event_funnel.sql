{{ config(
    unique_key=['funnel_month', 'funnel_step'],
) }}

{%- set changed_months = changed_keys('funnel_month') %}

with

reached as (
    select
        funnel_month,
        funnel_step,
        count(*) as users
    from {{ ref('int_user_funnel_steps') }}
    where {{ is_changed(changed_months) }}
    group by 1, 2
),

months as (
    select distinct funnel_month from reached
),

steps as (
    select
        funnel_step,
        {{ text_list('event_type') }} as event_types
    from {{ ref('event_types') }}
    where funnel_step is not null
    group by 1
),

counted as (
    select
        months.funnel_month,
        steps.funnel_step,
        steps.event_types,
        coalesce(reached.users, 0) as users
    from months
    cross join steps
    left join reached
        on months.funnel_month = reached.funnel_month and steps.funnel_step = reached.funnel_step
),

compared as (
    select
        *,
        first_value(users) over month_steps as users_at_start,
        lag(users) over month_steps as users_before
    from counted
    window month_steps as (partition by funnel_month order by funnel_step)
),

final as (
    select
        funnel_month,
        funnel_step,
        event_types,
        users,
        {{ safe_divide('users::numeric', 'users_at_start', digits=4) }}::{{ amount_type() }}
            as conversion_from_start,
        {{ safe_divide(
            'users::numeric', 'coalesce(users_before, users)', digits=4
        ) }}::{{ amount_type() }} as conversion_from_previous
    from compared
)

select * from final
