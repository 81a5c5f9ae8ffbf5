{{ config(
    unique_key=['revenue_month', 'category_key'],
    indexes=[
        {'columns': ['category_key'], 'why': 'all months of a category'},
    ],
) }}

{%- set changed_months = changed_keys() %}

with

days as (
    select *
    from {{ ref('int_category_days') }}
    where {{ is_changed(changed_months) }}
),

final as (
    select
        revenue_month,
        category_key,
        sum(orders)::bigint as orders,
        sum(quantity)::{{ amount_type() }} as quantity,
        sum(revenue)::{{ amount_type() }} as revenue
    from days
    group by 1, 2
)

select * from final
