with

cases (first_date, months, expected) as (
    values
    ('2026-01-31'::date, 1, '2026-02-28'::date),
    ('2024-01-31', 1, '2024-02-29'),
    ('2024-02-29', 12, '2025-02-28'),
    ('2025-02-28', -12, '2024-02-28'),
    ('2026-12-01', 1, '2027-01-01'),
    ('2026-01-15', -1, '2025-12-15'),
    ('2026-01-15', 0, '2026-01-15'),
    (null, 1, null)
),

counted as (
    select
        *,
        {{ add_months('first_date', 'months') }} as actual,
        {{ months_between('first_date', 'expected') }} as actual_months
    from cases
),

final as (
    select * from counted
    where actual is distinct from expected
        or (expected is not null and actual_months is distinct from months)
)

select * from final
