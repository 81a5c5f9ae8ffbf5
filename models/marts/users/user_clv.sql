{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['user_id'], 'unique': true, 'why': 'the key, looked up by builds'},
    ],
    meta={'tracked_keys': ['user_id']},
) }}

{%- set changed_users = changed_keys('user_id', [ref('int_user_activity')]) %}

with

activity as (
    select *
    from {{ ref('int_user_activity') }}
    where {{ is_in(changed_users) }}
),

final as (
    select
        user_id,
        total_orders,
        {{ safe_divide('total_spent', 'total_orders') }}::{{ amount_type() }} as avg_order_value,
        total_spent as historic_value,
        -- avg_order_value x total_orders is total_spent, without the rounding of the average.
        round(total_spent * {{ var('simple_clv_factor') }}, 2)::{{ amount_type() }} as simple_value
    from activity
)

select * from final
