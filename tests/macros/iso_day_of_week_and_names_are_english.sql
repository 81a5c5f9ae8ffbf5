with

cases (given, expected_day_of_week, expected_day_name, expected_month_name) as (
    values
    ('2026-06-01'::date, 1, 'Monday', 'June'),
    ('2026-07-05', 7, 'Sunday', 'July'),
    ('2024-02-29', 4, 'Thursday', 'February'),
    ('2026-09-30', 3, 'Wednesday', 'September')
),

named as (
    select
        *,
        {{ iso_day_of_week('given') }} as actual_day_of_week,
        {{ day_name('given') }} as actual_day_name,
        {{ month_name('given') }} as actual_month_name
    from cases
),

final as (
    select * from named
    where actual_day_of_week is distinct from expected_day_of_week
        or actual_day_name is distinct from expected_day_name
        or actual_month_name is distinct from expected_month_name
)

select * from final
