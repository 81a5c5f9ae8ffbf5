-- Values and scores recomputed from the orders in the window as of the last build, with integer ranks.
with

user_rfm as (
    select * from {{ ref('user_rfm') }}
),

orders as (
    select * from {{ ref('fct_orders') }}
),

build as (
    select
        max(as_of) as as_of,
        {{ add_months(local_date('max(as_of)'), '-' ~ rfm_window_months()) }} as day_before_window
    from {{ state_relation('watermarks') }}
    where model_name = 'int_user_recent_orders'
),

added_up as (
    select
        orders.user_id,
        max({{ local_date('orders.ordered_at') }}) filter (where orders.is_revenue)
            as last_order_date,
        count(*) filter (where orders.is_revenue) as frequency,
        sum(orders.net_amount) as monetary
    from orders
    inner join user_rfm on orders.user_id = user_rfm.user_id
    inner join build
        on orders.ordered_at <= build.as_of
            and {{ local_date('orders.ordered_at') }} > build.day_before_window
    where orders.is_revenue or orders.net_amount != 0
    group by 1
),

ranked as (
    select
        *,
        rank() over (order by last_order_date) - 1 as less_recent,
        rank() over (order by frequency) - 1 as less_often,
        rank() over (order by monetary) - 1 as for_less,
        greatest(count(*) over () - 1, 1) as others
    from added_up
    where frequency > 0
),

scored as (
    select
        *,
        least(5, 1 + 5 * less_recent / others) as recency_score,
        least(5, 1 + 5 * less_often / others) as frequency_score,
        least(5, 1 + 5 * for_less / others) as monetary_score
    from ranked
),

final as (
    select user_rfm.user_id
    from user_rfm
    left join added_up on user_rfm.user_id = added_up.user_id
    left join scored on user_rfm.user_id = scored.user_id
    where (
        user_rfm.last_order_date,
        user_rfm.frequency,
        user_rfm.monetary,
        user_rfm.recency_score,
        user_rfm.frequency_score,
        user_rfm.monetary_score,
        user_rfm.fm_score
    ) is distinct from (
        scored.last_order_date,
        coalesce(scored.frequency, 0),
        coalesce(added_up.monetary, 0),
        scored.recency_score,
        scored.frequency_score,
        scored.monetary_score,
        (scored.frequency_score + scored.monetary_score + 1) / 2
    )
)

select * from final
