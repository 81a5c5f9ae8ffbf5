-- A month's funnel starts with the known users who have an event of the first step, and counts the users of each step; no step has
-- more users than the previous one. Users are compared with their events, and funnels with the users.
{%- set users_to_test = keys_to_test(
    ['user_id', 'date_key'], [ref('fct_user_events')], with_nulls=false
) %}
{%- set user_and_month = ['user_id', 'date_key / 100'] %}
{%- set months_to_test = keys_to_test(
    'funnel_month', [ref('event_funnel'), ref('int_user_funnel_steps')]
) %}

with

types as (
    select * from {{ ref('event_types') }}
),

events as (
    select * from {{ ref('fct_user_events') }}
),

steps as (
    select * from {{ ref('int_user_funnel_steps') }}
),

first_step as (
    select min(funnel_step) as funnel_step
    from types
),

entered as (
    select distinct
        events.user_id,
        {{ first_day_of('month', local_date('events.event_timestamp')) }} as funnel_month
    from events
    inner join types on events.event_type = types.event_type
    inner join first_step on types.funnel_step = first_step.funnel_step
    where events.user_key != {{ unknown_key() }}
        and {{ is_to_test(
            users_to_test, ['events.user_id', 'events.date_key / 100'], key=user_and_month
        ) }}
),

started as (
    select
        steps.user_id,
        steps.funnel_month
    from steps
    inner join first_step on steps.funnel_step = first_step.funnel_step
    where {{ is_to_test(
        users_to_test, ['steps.user_id', date_key('steps.funnel_month') ~ ' / 100'], key=user_and_month
    ) }}
),

reached as (
    select
        funnel_month,
        funnel_step,
        count(*) as users
    from steps
    where {{ is_to_test(months_to_test) }}
    group by 1, 2
),

funnel as (
    select
        *,
        lag(users) over (partition by funnel_month order by funnel_step) as users_before
    from {{ ref('event_funnel') }}
    where {{ is_to_test(months_to_test) }}
),

final as (
    select
        coalesce(entered.funnel_month, started.funnel_month) as funnel_month,
        first_step.funnel_step
    from entered
    full outer join started
        on entered.user_id = started.user_id and entered.funnel_month = started.funnel_month
    cross join first_step
    where entered.user_id is null or started.user_id is null
    union
    select
        coalesce(funnel.funnel_month, reached.funnel_month) as funnel_month,
        coalesce(funnel.funnel_step, reached.funnel_step) as funnel_step
    from funnel
    full outer join reached
        on funnel.funnel_month = reached.funnel_month and funnel.funnel_step = reached.funnel_step
    where funnel.users is distinct from coalesce(reached.users, 0)
        or funnel.users > funnel.users_before
)

select * from final
