-- Currencies whose amounts the marts add up as they are, or leave out because no rate converts them.
{{ config(severity='warn') }}

{%- do tell_of_currencies(ref('daily_revenue_by_currency')) %}

with

currencies as (
    select
        currency,
        sum(orders) as orders,
        sum(orders_without_rate) as orders_without_rate,
        count(*) over () as currencies
    from {{ ref('daily_revenue_by_currency') }}
    group by 1
),

final as (
    select
        currency,
        orders,
        orders_without_rate
    from currencies
    where {{ 'orders_without_rate > 0' if reporting_currency() else 'currencies > 1' }}
)

select * from final
