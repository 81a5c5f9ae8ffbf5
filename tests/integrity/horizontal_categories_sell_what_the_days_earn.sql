-- Per month, the revenue of all categories equals the revenue of all days.
with

days as (
    select
        {{ first_day_of('month', 'revenue_date') }} as revenue_month,
        sum(revenue) as revenue
    from {{ ref('daily_revenue') }}
    group by 1
),

categories as (
    select
        revenue_month,
        sum(revenue) as revenue
    from {{ ref('monthly_category_revenue') }}
    group by 1
),

final as (
    select
        coalesce(days.revenue_month, categories.revenue_month) as revenue_month,
        coalesce(days.revenue, 0) as day_revenue,
        coalesce(categories.revenue, 0) as category_revenue
    from days
    full outer join categories on days.revenue_month = categories.revenue_month
    where coalesce(days.revenue, 0) != coalesce(categories.revenue, 0)
)

select * from final
