with

cases (first_date, last_date, expected) as (
    values
    ('2026-01-31'::date, '2026-01-31'::date, 0),
    ('2026-01-31', '2026-02-01', 1),
    ('2024-02-28', '2024-03-01', 2),
    ('2025-12-31', '2026-12-31', 365),
    ('2026-02-01', '2026-01-31', -1),
    (null, '2026-01-31', null),
    ('2026-01-31', null, null)
),

counted as (
    select
        *,
        {{ days_between('first_date', 'last_date') }} as actual,
        {{ add_days('first_date', 'expected') }} as added
    from cases
),

final as (
    select * from counted
    where actual is distinct from expected
        or (expected is not null and added is distinct from last_date)
)

select * from final
