{{ config(
    unique_key='date_key',
    indexes=[
        {'columns': ['date_day'], 'unique': true, 'why': 'a day by its date'},
    ],
) }}

{%- do skip_unless_changed() %}

with

days as (
    {{ dbt_utils.date_spine(
        datepart='day',
        start_date="'" ~ var('calendar_start') ~ "'::date",
        end_date="'" ~ var('calendar_end') ~ "'::date",
    ) }}
),

dates as (
    select date_day::date as date_day
    from days
),

final as (
    select
        {{ date_key('date_day') }} as date_key,
        date_day,
        extract(year from date_day)::int as year_number,
        extract(quarter from date_day)::int as quarter_of_year,
        extract(month from date_day)::int as month_of_year,
        extract(week from date_day)::int as iso_week_of_year,
        extract(day from date_day)::int as day_of_month,
        {{ iso_day_of_week('date_day') }} as iso_day_of_week,
        extract(doy from date_day)::int as day_of_year,
        {{ month_name('date_day') }} as month_name,
        {{ day_name('date_day') }} as day_name,
        {{ first_day_of('week', 'date_day') }} as week_start_date,
        {{ first_day_of('month', 'date_day') }} as month_start_date,
        {{ first_day_of('quarter', 'date_day') }} as quarter_start_date,
        {{ iso_day_of_week('date_day') }} > 5 as is_weekend
    from dates
)

select * from final
