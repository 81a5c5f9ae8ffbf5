{{ config(
    unique_key='payment_id',
    indexes=[
        {'columns': ['order_id'], 'why': 'payments of an order'},
    ],
    meta={'tracked_keys': ['order_id']},
) }}

{%- set changed_payments = changed_keys(
    'payment_id', [upstream(ref('stg_app__payments'), dated_by='paid_at')], dated_by='paid_at'
) %}

with

payments as (
    select *
    from {{ ref('stg_app__payments') }}
    where {{ is_in(changed_payments) }} and exclusion_reason is null and not is_deleted
),

final as (
    select
        payment_id,
        order_id,
        {{ date_key(utc_date('paid_at')) }} as date_key,
        payment_method,
        payment_status,
        amount::{{ amount_type() }} as amount,
        coalesce(
            payment_status in ('paid', 'completed', 'succeeded', 'captured', 'settled'), false
        ) as is_paid,
        paid_at
    from payments
)

select * from final
