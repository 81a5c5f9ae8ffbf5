{{ config(
    unique_key=['currency', 'date_key'],
) }}

{%- do skip_unless_changed() %}

-- Without changed_keys: a rate changes the days until the next one, and there are few rows.
with

numbers as (
    {{ whole_numbers(exchange_rate_valid_days() | int) }}
),

ordered as (
    select
        *,
        row_number() over (
            partition by currency, rate_date
            order by updated_at desc nulls last, exchange_rate_id desc
        ) as place
    from {{ ref('stg_app__exchange_rates') }}
    where is_included
),

rates as (
    select
        currency,
        rate,
        rate_date,
        lead(rate_date) over (partition by currency order by rate_date) as next_rate_date
    from ordered
    where place = 1
),

days as (
    select
        rates.currency,
        rates.rate,
        rates.next_rate_date,
        {{ add_days('rates.rate_date', 'numbers.n') }} as date_day
    from rates
    cross join numbers
),

final as (
    select
        currency,
        {{ date_key('date_day') }} as date_key,
        rate::{{ rate_type() }} as exchange_rate
    from days
    where (next_rate_date is null or date_day < next_rate_date)
        -- Days that dim_date has.
        and date_day < '{{ var("calendar_end") }}'::date
)

select * from final
