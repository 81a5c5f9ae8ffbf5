-- Customers and repeat customers by segment, and their spending.
with

user_analytics as (
    select * from {{ ref('user_analytics') }}
),

final as (
    select
        user_segment,
        count(*) as users,
        count(*) filter (where total_orders > 0) as customers,
        count(*) filter (where total_orders > 1) as repeat_customers,
        sum(total_spent) as total_spent,
        {{ safe_divide('sum(total_spent)', 'count(*) filter (where total_orders > 0)') }}
            as spent_per_customer
    from user_analytics
    group by 1
)

select * from final
