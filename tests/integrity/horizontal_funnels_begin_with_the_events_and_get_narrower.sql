-- A month's funnel starts with all known users who have an event of the first step; no step has more users than the previous one.
{%- set days_to_test = keys_to_test('date_key', [ref('fct_user_events')]) %}
{%- set month = first_day_of('month', local_date('events.event_timestamp')) %}
{%- set months_to_test = keys_to_test('funnel_month', [ref('event_funnel')]) %}

with

types as (
    select * from {{ ref('event_types') }}
),

events as (
    select * from {{ ref('fct_user_events') }}
),

first_step as (
    select min(funnel_step) as funnel_step
    from types
),

entered as (
    select
        {{ first_day_of('month', local_date('events.event_timestamp')) }} as funnel_month,
        count(distinct events.user_id) as users
    from events
    inner join types on events.event_type = types.event_type
    inner join first_step on types.funnel_step = first_step.funnel_step
    where events.user_key != {{ unknown_key() }}
        and (
            {{ is_to_test(days_to_test, 'events.date_key / 100', key='date_key / 100') }}
            or {{ is_to_test(months_to_test, month) }}
        )
    group by 1
),

funnel as (
    select
        *,
        lag(users) over (partition by funnel_month order by funnel_step) as users_before
    from {{ ref('event_funnel') }}
    where {{ is_to_test(days_to_test, date_key('funnel_month') ~ ' / 100', key='date_key / 100') }}
        or {{ is_to_test(months_to_test) }}
),

final as (
    select
        coalesce(funnel.funnel_month, entered.funnel_month) as funnel_month,
        funnel.funnel_step
    from funnel
    full outer join entered on funnel.funnel_month = entered.funnel_month
    where entered.users is null
        or funnel.users is null
        or (funnel.users_before is null and funnel.users != entered.users)
        or funnel.users > funnel.users_before
)

select * from final
