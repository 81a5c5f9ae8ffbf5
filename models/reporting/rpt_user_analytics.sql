{{ config(alias='user_analytics') }}

with

user_analytics as (
    select * from {{ published(ref('pub_user_analytics')) }}
),

final as (
    select
        user_id,
        email,
        country,
        subscription_tier,
        total_orders,
        total_spent,
        avg_order_value,
        refunded_orders,
        refunded_amount,
        first_ordered_at,
        last_ordered_at,
        total_sessions,
        avg_session_duration_seconds,
        total_events,
        signed_up_at,
        last_activity_at,
        {{ days_between(local_date('signed_up_at'), local_today()) }} as days_since_signup,
        {{ days_between(local_date('last_activity_at'), local_today()) }}
            as days_since_last_activity,
        user_segment,
        customer_lifetime_value
    from user_analytics
)

select * from final
