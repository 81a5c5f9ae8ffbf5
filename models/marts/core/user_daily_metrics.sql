{{ config(
    unique_key=['user_id', 'date_key'],
    indexes=[
        {
            'columns': ['user_id', 'date_key'], 'unique': true,
            'include': ['metric_date', 'sessions', 'is_active'],
            'why': 'the key, and the active days of each user from the index alone',
        },
        {'columns': ['metric_date'], 'why': 'all users of some days'},
    ],
    event_time='metric_date',
) }}

{%- set changed_days = changed_keys(['user_id', 'date_key']) %}

with

events as (
    select
        user_id,
        date_key,
        count(*) as events
    from {{ rows_of_changed_days(
        changed_days, ref('fct_user_events'), dated_by='event_timestamp'
    ) }}
    where user_key != {{ unknown_key() }}
    group by 1, 2
),

sessions as (
    select
        user_id,
        date_key,
        count(*) as sessions
    from {{ ref('fct_user_sessions') }}
    where {{ is_changed(changed_days) }} and user_key != {{ unknown_key() }}
    group by 1, 2
),

orders as (
    select
        user_id,
        date_key,
        count(*) filter (where is_revenue) as purchases,
        sum(net_amount) as revenue
    from {{ ref('fct_orders') }}
    where {{ is_changed(changed_days) }} and user_key != {{ unknown_key() }}
        and (is_revenue or net_amount != 0)
    group by 1, 2
),

user_days as (
    select
        user_id,
        date_key
    from events
    union distinct
    select
        user_id,
        date_key
    from sessions
    union distinct
    select
        user_id,
        date_key
    from orders
),

final as (
    select
        user_days.user_id,
        user_days.date_key,
        {{ date_of_key('user_days.date_key') }} as metric_date,
        coalesce(events.events, 0) as events,
        coalesce(sessions.sessions, 0) as sessions,
        coalesce(orders.purchases, 0) as purchases,
        coalesce(orders.revenue, 0)::{{ amount_type() }} as revenue,
        coalesce(events.events, 0) + coalesce(sessions.sessions, 0) + coalesce(orders.purchases, 0)
        > 0 as is_active
    from user_days
    left join events
        on user_days.user_id = events.user_id and user_days.date_key = events.date_key
    left join sessions
        on user_days.user_id = sessions.user_id and user_days.date_key = sessions.date_key
    left join orders
        on user_days.user_id = orders.user_id and user_days.date_key = orders.date_key
)

select * from final
