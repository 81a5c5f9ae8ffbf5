{{ config(
    unique_key='time_key',
) }}

{%- do skip_unless_changed() %}

with

hours as (
    {{ whole_numbers(24) }}
),

minutes as (
    {{ whole_numbers(60) }}
),

final as (
    select
        hours.n * 100 + minutes.n as time_key,
        hours.n as hour_of_day,
        minutes.n as minute_of_hour,
        hours.n * 60 + minutes.n as minute_of_day,
        case
            when hours.n < 6 then 'night'
            when hours.n < 12 then 'morning'
            when hours.n < 18 then 'afternoon'
            else 'evening'
        end as part_of_day
    from hours
    cross join minutes
)

select * from final
