{{ config(
    unique_key='payment_id',
    indexes=[
        {'columns': ['order_id'], 'why': 'payments of an order'},
        {'columns': ['date_key'], 'why': 'payments of some days'},
    ],
    event_time='paid_at',
    meta={
        'change_log_keys': ['order_id', 'date_key'],
        'known_values': {'payment_status': 'payment_statuses'},
        'needed_rows': [
            {
                'where': 'order_id is not null',
                'lack': 'an order (payments.order_id), so that no order is paid',
            },
        ],
    },
) }}

{%- set changed_payments = changed_keys('payment_id') %}

with

payments as (
    select *
    from {{ ref('stg_app__payments') }}
    where {{ is_changed(changed_payments) }} and is_included
),

statuses as (
    select * from {{ ref('payment_statuses') }}
),

final as (
    select
        payments.payment_id,
        payments.order_id,
        {{ date_key(local_date('payments.paid_at')) }} as date_key,
        payments.payment_method,
        payments.payment_status,
        payments.amount::{{ amount_type() }} as amount,
        coalesce(statuses.is_paid, false) as is_paid,
        payments.paid_at
    from payments
    left join statuses on payments.payment_status = statuses.payment_status
)

select * from final
