{{ config(
    unique_key='user_id',
    indexes=[
        {
            'name': 'user_analytics_active',
            'columns': ['last_activity_at desc'],
            'where': "user_segment != 'At Risk'",
            'why': 'active users, the latest first',
        },
    ],
) }}

{%- set changed_users = changed_keys('user_id') %}

with

activity as (
    select *
    from {{ ref('int_user_activity') }}
    where {{ is_changed(changed_users) }}
),

segments as (
    select *
    from {{ ref('user_segments') }}
    where {{ is_changed(changed_users) }}
),

users as (
    select *
    from {{ ref('dim_users') }}
    where {{ is_changed(changed_users) }} and is_current
),

final as (
    select
        activity.user_id,
        users.user_key,
        users.country,
        users.subscription_tier,
        activity.total_orders,
        activity.total_spent,
        {{ safe_divide('activity.total_spent', 'activity.total_orders') }}::{{ amount_type() }}
            as avg_order_value,
        activity.refunded_orders,
        activity.refunded_amount,
        activity.first_ordered_at,
        activity.last_ordered_at,
        activity.total_sessions,
        activity.avg_session_duration_seconds,
        activity.total_events,
        activity.signed_up_at,
        activity.last_activity_at,
        segments.user_segment,
        {{ lifetime_value_without_model('activity.total_spent') }} as customer_lifetime_value
    from activity
    inner join users on activity.user_id = users.user_id
    inner join segments on activity.user_id = segments.user_id
)

select * from final
