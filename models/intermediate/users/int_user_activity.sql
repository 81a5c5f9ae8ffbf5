{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['next_activity_at'], 'why': 'users who are due by the clock'},
    ],
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='next_activity_at <= ' ~ as_of()
) %}

with

users as (
    select *
    from {{ ref('stg_app__users') }}
    where {{ is_changed(changed_users) }} and is_included
),

orders as (
    select
        user_id,
        count(*) filter (where is_revenue and ordered_at <= {{ as_of() }}) as total_orders,
        sum(net_amount) filter (where ordered_at <= {{ as_of() }}) as total_spent,
        count(*) filter (where is_refund and ordered_at <= {{ as_of() }}) as refunded_orders,
        sum(refunded_amount) filter (where ordered_at <= {{ as_of() }}) as refunded_amount,
        min(ordered_at) filter (where is_revenue and ordered_at <= {{ as_of() }})
            as first_ordered_at,
        max(ordered_at) filter (where is_revenue and ordered_at <= {{ as_of() }})
            as last_ordered_at,
        min(ordered_at) filter (where ordered_at > {{ as_of() }}) as next_ordered_at
    from {{ ref('fct_orders') }}
    where {{ is_changed(changed_users) }}
    group by 1
),

sessions as (
    select
        user_id,
        count(*) filter (where started_at <= {{ as_of() }}) as total_sessions,
        avg(duration_seconds) filter (where started_at <= {{ as_of() }})
            as avg_session_duration_seconds,
        max(started_at) filter (where started_at <= {{ as_of() }}) as last_session_at,
        min(started_at) filter (where started_at > {{ as_of() }}) as next_session_at
    from {{ ref('fct_user_sessions') }}
    where {{ is_changed(changed_users) }}
    group by 1
),

events as (
    select
        user_id,
        count(*) filter (where event_timestamp <= {{ as_of() }}) as total_events,
        max(event_timestamp) filter (where event_timestamp <= {{ as_of() }}) as last_event_at,
        min(event_timestamp) filter (where event_timestamp > {{ as_of() }}) as next_event_at
    from {{ ref('fct_user_events') }}
    where {{ is_changed_in_partitions(changed_users) }}
    group by 1
),

final as (
    select
        users.user_id,
        users.signed_up_at,
        coalesce(orders.total_orders, 0) as total_orders,
        coalesce(orders.total_spent, 0)::{{ amount_type() }} as total_spent,
        coalesce(orders.refunded_orders, 0) as refunded_orders,
        coalesce(orders.refunded_amount, 0)::{{ amount_type() }} as refunded_amount,
        orders.first_ordered_at,
        orders.last_ordered_at,
        coalesce(sessions.total_sessions, 0) as total_sessions,
        round(sessions.avg_session_duration_seconds, 2)::{{ amount_type() }}
            as avg_session_duration_seconds,
        coalesce(events.total_events, 0) as total_events,
        coalesce(
            greatest(orders.last_ordered_at, sessions.last_session_at, events.last_event_at),
            users.signed_up_at
        ) as last_activity_at,
        least(orders.next_ordered_at, sessions.next_session_at, events.next_event_at)
            as next_activity_at
    from users
    left join orders on users.user_id = orders.user_id
    left join sessions on users.user_id = sessions.user_id
    left join events on users.user_id = events.user_id
)

select * from final
