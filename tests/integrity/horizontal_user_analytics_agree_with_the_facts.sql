-- Recomputed from one list of all orders, sessions and events up to the as_of of the last build.
{%- set users_to_test = keys_to_test('user_id', [
    ref('user_analytics'), ref('fct_orders'), ref('fct_user_sessions'), ref('fct_user_events')
], with_nulls=false) %}

with

user_analytics as (
    select * from {{ ref('user_analytics') }}
    where {{ is_to_test(users_to_test) }}
),

build as (
    select max(as_of) as as_of
    from {{ state_relation('watermarks') }}
    where model_name = 'int_user_activity'
),

happenings as (
    select
        user_id,
        case
            when is_revenue then 'order'
            when is_refund then 'refund'
            else 'other order'
        end as what,
        ordered_at as happened_at,
        net_amount as number,
        refunded_amount as refunded
    from {{ ref('fct_orders') }}
    where {{ is_to_test(users_to_test) }}
    union all
    select
        user_id,
        'session' as what,
        started_at as happened_at,
        duration_seconds as number,
        null::numeric as refunded
    from {{ ref('fct_user_sessions') }}
    where {{ is_to_test(users_to_test) }}
    union all
    select
        user_id,
        'event' as what,
        event_timestamp as happened_at,
        null::numeric as number,
        null::numeric as refunded
    from {{ ref('fct_user_events') }}
    where {{ is_to_test(users_to_test) }}
),

added_up as (
    select
        happenings.user_id,
        count(*) filter (where happenings.what = 'order') as total_orders,
        sum(happenings.number) filter (where happenings.what in ('order', 'refund'))
            as total_spent,
        count(*) filter (where happenings.what = 'refund') as refunded_orders,
        sum(happenings.refunded) as refunded_amount,
        min(happenings.happened_at) filter (where happenings.what = 'order') as first_ordered_at,
        max(happenings.happened_at) filter (where happenings.what = 'order') as last_ordered_at,
        count(*) filter (where happenings.what = 'session') as total_sessions,
        avg(happenings.number) filter (where happenings.what = 'session') as seconds,
        count(*) filter (where happenings.what = 'event') as total_events,
        max(happenings.happened_at) filter (where happenings.what in ('order', 'session', 'event'))
            as last_activity_at
    from happenings
    inner join build on happenings.happened_at <= build.as_of
    group by 1
),

final as (
    select user_analytics.user_id
    from user_analytics
    left join added_up on user_analytics.user_id = added_up.user_id
    where (
        user_analytics.total_orders,
        user_analytics.total_spent,
        user_analytics.refunded_orders,
        user_analytics.refunded_amount,
        user_analytics.first_ordered_at,
        user_analytics.last_ordered_at,
        user_analytics.total_sessions,
        user_analytics.avg_session_duration_seconds,
        user_analytics.total_events,
        user_analytics.last_activity_at
    ) is distinct from (
        coalesce(added_up.total_orders, 0),
        coalesce(added_up.total_spent, 0),
        coalesce(added_up.refunded_orders, 0),
        coalesce(added_up.refunded_amount, 0),
        added_up.first_ordered_at,
        added_up.last_ordered_at,
        coalesce(added_up.total_sessions, 0),
        round(added_up.seconds, 2),
        coalesce(added_up.total_events, 0),
        coalesce(added_up.last_activity_at, user_analytics.signed_up_at)
    )
)

select * from final
