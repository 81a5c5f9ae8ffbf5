{{ config(
    unique_key='order_id',
    indexes=[
        {'columns': ['user_id', 'date_key'], 'why': 'orders of the users and days that changed'},
        {'columns': ['user_key', 'ordered_at desc'], 'why': 'orders of a user, the latest first'},
        {'columns': ['date_key'], 'why': 'orders of some days'},
    ],
    event_time='ordered_at',
    meta={
        'change_log_keys': ['order_id', 'user_id', 'date_key'],
        'known_values': {'order_status': 'order_statuses'},
        'needed_rows': [
            {
                'where': 'user_key != ' ~ unknown_key(),
                'lack': 'a user of users (orders.user_id), so that no user has an order',
                'stops': true,
            },
            {
                'table': 'order_items',
                'where': 'order_amount != 0',
                'lack': 'an amount (quantity and price_at_purchase of its lines in order_items), so that'
                    ~ ' there is no revenue',
                'stops': true,
            },
        ],
    },
) }}

{%- set changed_orders = changed_keys('order_id', [
    user_versions(),
    upstream(ref('fct_exchange_rates'), columns=['currency', 'date_key'], lookup=this),
]) %}

with

dated_orders as (
    select
        *,
        {{ date_key(local_date('ordered_at')) }} as date_key
    from {{ ref('stg_app__orders') }}
    where {{ is_changed(changed_orders) }} and is_included
),

rates as (
    select * from {{ ref('fct_exchange_rates') }}
),

orders as (
    select
        dated_orders.*,
        {{ exchange_rate_to_report('dated_orders.currency', 'rates.exchange_rate') }}
            as exchange_rate
    from dated_orders
    left join rates
        on dated_orders.currency = rates.currency and dated_orders.date_key = rates.date_key
),

changed_items as (
    select *
    from {{ ref('fct_order_items') }}
    where {{ is_changed(changed_orders) }}
),

-- Each line is converted and rounded, so that categories add up to orders. A line that is converted
-- into more than an amount can be leaves its order without a rate.
items as (
    select
        changed_items.order_id,
        count(*) as item_count,
        sum(changed_items.quantity) as quantity,
        sum(changed_items.line_amount) as order_amount,
        case
            when max(abs(changed_items.line_amount * orders.exchange_rate)) <= 1000000000000
                then sum(round(changed_items.line_amount * orders.exchange_rate, 4))
        end as reported_amount
    from changed_items
    inner join orders on changed_items.order_id = orders.order_id
    group by 1
),

payments as (
    select
        order_id,
        sum(amount) as paid_amount
    from {{ ref('fct_payments') }}
    where {{ is_changed(changed_orders) }} and is_paid
    group by 1
),

users as (
    select * from {{ ref('dim_users') }}
),

statuses as (
    select * from {{ ref('order_statuses') }}
),

joined as (
    select
        orders.order_id,
        coalesce(users.user_key, {{ unknown_key() }}) as user_key,
        orders.date_key,
        {{ time_key('orders.ordered_at') }} as time_key,
        orders.user_id,
        orders.order_status,
        orders.currency,
        coalesce(items.item_count, 0) as item_count,
        coalesce(items.quantity, 0)::{{ amount_type() }} as quantity,
        coalesce(items.order_amount, 0)::{{ amount_type() }} as order_amount,
        case
            when items.order_id is null or items.reported_amount is not null
                then orders.exchange_rate
        end::{{ rate_type() }} as exchange_rate,
        coalesce(items.reported_amount, 0) as reported_amount,
        coalesce(payments.paid_amount, 0)::{{ amount_type() }} as paid_amount,
        coalesce(statuses.is_revenue, false) as has_revenue_status,
        coalesce(statuses.is_refund, false) as has_refund_status,
        orders.ordered_at
    from orders
    left join items on orders.order_id = items.order_id
    left join payments on orders.order_id = payments.order_id
    left join users
        on orders.user_id = users.user_id
            and orders.ordered_at >= users.effective_date
            and orders.ordered_at < users.expiry_date
    left join statuses on orders.order_status = statuses.order_status
),

-- A negative amount gives money back, whatever the status.
counted as (
    select
        *,
        has_revenue_status and order_amount >= 0 as is_revenue,
        has_refund_status or (has_revenue_status and order_amount < 0) as is_refund
    from joined
),

valued as (
    select
        *,
        case
            when is_revenue or is_refund then greatest(reported_amount, 0)
            else 0
        end as gross_amount,
        case
            when is_revenue or (is_refund and order_amount < 0) then reported_amount
            else 0
        end as net_amount
    from counted
),

final as (
    select
        order_id,
        user_key,
        date_key,
        time_key,
        user_id,
        order_status,
        currency,
        item_count,
        quantity,
        order_amount,
        paid_amount,
        exchange_rate,
        is_revenue,
        is_refund,
        gross_amount::{{ amount_type() }} as gross_amount,
        (gross_amount - net_amount)::{{ amount_type() }} as refunded_amount,
        net_amount::{{ amount_type() }} as net_amount,
        ordered_at
    from valued
)

select * from final
