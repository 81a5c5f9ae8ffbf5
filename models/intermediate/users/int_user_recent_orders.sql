{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['next_change_at'], 'why': 'users who are due by the clock'},
    ],
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='next_change_at <= ' ~ as_of()
) %}

with

users as (
    select *
    from {{ ref('stg_app__users') }}
    where {{ is_changed(changed_users) }} and is_included
),

orders as (
    select
        *,
        {{ local_date('ordered_at') }} as order_date
    from {{ ref('fct_orders') }}
    where {{ is_changed(changed_users) }} and (is_revenue or net_amount != 0)
),

orders_in_window as (
    select
        user_id,
        max(order_date) filter (where is_revenue) as last_order_date,
        count(*) filter (where is_revenue) as frequency,
        sum(net_amount) as monetary,
        -- The day on which the oldest order leaves the window; a few days early at the end of a month, which is harmless.
        {{ start_of_day(add_months('min(order_date)', rfm_window_months())) }} as next_leaves_at
    from orders
    where {{ is_in_rfm_window('order_date') }} and ordered_at <= {{ as_of() }}
    group by 1
),

orders_to_come as (
    select
        user_id,
        min(ordered_at) as next_ordered_at
    from orders
    where ordered_at > {{ as_of() }}
    group by 1
),

final as (
    select
        users.user_id,
        orders_in_window.last_order_date,
        coalesce(orders_in_window.frequency, 0) as frequency,
        coalesce(orders_in_window.monetary, 0)::{{ amount_type() }} as monetary,
        least(orders_in_window.next_leaves_at, orders_to_come.next_ordered_at) as next_change_at
    from users
    left join orders_in_window on users.user_id = orders_in_window.user_id
    left join orders_to_come on users.user_id = orders_to_come.user_id
)

select * from final
