{{ config(
    unique_key=['user_id', 'funnel_month', 'funnel_step'],
    indexes=[
        {
            'columns': ['funnel_month', 'funnel_step'],
            'why': 'the months that changed, for event_funnel, from the index alone',
        },
    ],
    meta={'change_log_keys': ['funnel_month']},
) }}

{%- set changed_months = changed_keys(['user_id', 'funnel_month'], [
    upstream(
        ref('fct_user_events'),
        columns=['user_id', 'date_key'],
        key=['user_id', first_day_of('month', date_of_key('date_key'))],
    ),
]) %}

with recursive

steps as (
    select
        event_type,
        funnel_step,
        dense_rank() over (order by funnel_step) as step_number
    from {{ ref('event_types') }}
    where funnel_step is not null
),

events as (
    select
        user_id,
        event_type,
        event_timestamp,
        {{ first_day_of('month', local_date('event_timestamp')) }} as funnel_month
    from {{ rows_of_changed_months(
        changed_months, ref('fct_user_events'), month='funnel_month', dated_by='event_timestamp'
    ) }}
    where user_key != {{ unknown_key() }}
),

moments as (
    select distinct
        events.user_id,
        events.funnel_month,
        steps.step_number,
        events.event_timestamp
    from events
    inner join steps on events.event_type = steps.event_type
),

-- Each moment ends the path from the previous step and starts the path to the next one.
ends as (
    select
        user_id,
        funnel_month,
        step_number,
        event_timestamp,
        true as is_start,
        null::{{ timestamp_type() }} as arrived_at
    from moments
    union all
    select
        user_id,
        funnel_month,
        step_number - 1 as step_number,
        event_timestamp,
        false as is_start,
        event_timestamp as arrived_at
    from moments
),

ways as (
    select
        user_id,
        funnel_month,
        step_number,
        event_timestamp,
        is_start,
        min(arrived_at) over (
            partition by user_id, funnel_month, step_number
            order by event_timestamp desc
            range between unbounded preceding and current row
        ) as next_arrived_at
    from ends
),

-- Read twice below, so that the paths are computed once, not once per step.
starts as (
    select
        user_id,
        funnel_month,
        step_number,
        event_timestamp,
        next_arrived_at
    from ways
    where is_start
),

-- The first time of each step at or after the first time of the previous step.
reached as (
    select
        user_id,
        funnel_month,
        1::bigint as step_number,
        min(event_timestamp) as reached_at
    from starts
    where step_number = 1
    group by 1, 2

    union all

    select
        reached.user_id,
        reached.funnel_month,
        reached.step_number + 1 as step_number,
        starts.next_arrived_at as reached_at
    from reached
    inner join starts
        on reached.user_id = starts.user_id
            and reached.funnel_month = starts.funnel_month
            and reached.step_number = starts.step_number
            and reached.reached_at = starts.event_timestamp
    where starts.next_arrived_at is not null
),

numbers as (
    select distinct
        step_number,
        funnel_step
    from steps
),

final as (
    select
        reached.user_id,
        reached.funnel_month,
        numbers.funnel_step,
        reached.reached_at
    from reached
    inner join numbers on reached.step_number = numbers.step_number
)

select * from final
