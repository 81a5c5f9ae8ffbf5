-- A rate of the reporting currency other than 1 says that the rates are in another currency.
with

rates as (
    select * from {{ ref('fct_exchange_rates') }}
),

final as (
    select
        currency,
        date_key,
        exchange_rate
    from rates
    where currency = '{{ reporting_currency() or "" }}' and exchange_rate != 1
)

select * from final
