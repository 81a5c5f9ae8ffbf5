{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['next_ordered_at'], 'why': 'users who are due by the clock'},
    ],
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='next_ordered_at <= ' ~ as_of()
) %}

with

users as (
    select user_id
    from {{ ref('stg_app__users') }}
    where {{ is_changed(changed_users) }} and is_included
),

all_orders as (
    select
        *,
        {{ local_date('ordered_at') }} as purchase_date
    from {{ ref('fct_orders') }}
    where {{ is_changed(changed_users) }}
),

orders as (
    select *
    from all_orders
    where ordered_at <= {{ as_of() }}
),

orders_to_come as (
    select
        user_id,
        min(ordered_at) as next_ordered_at
    from all_orders
    where ordered_at > {{ as_of() }}
    group by 1
),

purchase_days as (
    select
        user_id,
        purchase_date,
        sum(net_amount) as amount,
        min(purchase_date) over (partition by user_id) as first_purchase_date
    from orders
    where is_revenue
    group by 1, 2
),

purchases as (
    select
        user_id,
        first_purchase_date,
        max(purchase_date) as last_purchase_date,
        count(*) - 1 as repeat_purchases,
        sum(amount) as amount,
        coalesce(sum(amount) filter (where purchase_date > first_purchase_date), 0)
            as repeat_amount
    from purchase_days
    group by 1, 2
),

-- A returned order is no longer revenue. A credit note is an order of its own and reduces nothing yet.
credit_notes as (
    select
        user_id,
        sum(net_amount) as amount
    from orders
    where is_refund and net_amount < 0
    group by 1
),

final as (
    select
        users.user_id,
        purchases.first_purchase_date,
        purchases.last_purchase_date,
        purchases.repeat_purchases,
        {{ weeks_between('purchases.first_purchase_date', 'purchases.last_purchase_date') }}
            as recency_weeks,
        -- A credit note does not name its purchase, so it takes the same share off every purchase.
        case
            when coalesce(purchases.repeat_purchases, 0) = 0 then null
            when purchases.amount > 0
                then
                    greatest(
                        round(
                            purchases.repeat_amount
                            * greatest(purchases.amount + coalesce(credit_notes.amount, 0), 0)
                            / (purchases.amount * purchases.repeat_purchases),
                            4
                        ),
                        0
                    )
            else 0
        end::{{ amount_type() }} as mean_repeat_amount,
        orders_to_come.next_ordered_at
    from users
    left join purchases on users.user_id = purchases.user_id
    left join credit_notes on users.user_id = credit_notes.user_id
    left join orders_to_come on users.user_id = orders_to_come.user_id
    where purchases.user_id is not null or orders_to_come.user_id is not null
)

select * from final
