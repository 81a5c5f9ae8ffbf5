{{ config(alias='next_user_analytics', unique_key='user_id') }}

with

user_analytics as (
    select * from {{ ref('user_analytics') }}
),

users as (
    select * from {{ ref('dim_users') }}
),

final as (
    select
        user_analytics.user_id,
        {{ mask_email('users.email') }} as email,
        user_analytics.country,
        user_analytics.subscription_tier,
        user_analytics.total_orders,
        user_analytics.total_spent,
        user_analytics.avg_order_value,
        user_analytics.refunded_orders,
        user_analytics.refunded_amount,
        user_analytics.first_ordered_at,
        user_analytics.last_ordered_at,
        user_analytics.total_sessions,
        user_analytics.avg_session_duration_seconds,
        user_analytics.total_events,
        user_analytics.signed_up_at,
        user_analytics.last_activity_at,
        user_analytics.user_segment,
        user_analytics.customer_lifetime_value
    from user_analytics
    inner join users on user_analytics.user_key = users.user_key
)

select * from final
