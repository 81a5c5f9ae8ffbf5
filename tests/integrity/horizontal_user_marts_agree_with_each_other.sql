-- Segment, spending and lifetime value of a user are the same in all three tables.
with

user_analytics as (
    select * from {{ ref('user_analytics') }}
),

user_segments as (
    select * from {{ ref('user_segments') }}
),

user_clv as (
    select * from {{ ref('user_clv') }}
),

final as (
    select
        user_analytics.user_id,
        user_segments.user_id as segmented_user_id,
        user_clv.user_id as valued_user_id
    from user_analytics
    full outer join user_segments on user_analytics.user_id = user_segments.user_id
    full outer join user_clv
        on coalesce(user_analytics.user_id, user_segments.user_id) = user_clv.user_id
    where user_analytics.user_segment is distinct from user_segments.user_segment
        or user_analytics.total_spent is distinct from user_segments.total_spent
        or user_analytics.total_spent is distinct from user_clv.historic_value
        or user_analytics.total_orders is distinct from user_clv.total_orders
        or user_analytics.customer_lifetime_value is distinct from user_clv.simple_value
)

select * from final
