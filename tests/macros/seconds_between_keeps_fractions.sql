with

cases (first_moment, last_moment, expected) as (
    values
    ('2026-01-31 12:00:00+00'::timestamptz, '2026-01-31 12:00:00.25+00'::timestamptz, 0.25),
    ('2026-01-31 23:00:00+00', '2026-02-02 00:00:00+00', 90000),
    ('2026-01-31 12:00:00+00', '2026-01-31 14:00:00+02', 0),
    ('2026-01-31 12:00:01+00', '2026-01-31 12:00:00+00', -1),
    ('2026-01-31 12:00:00+00', null, null)
),

measured as (
    select
        *,
        {{ seconds_between('first_moment', 'last_moment') }} as actual
    from cases
),

final as (
    select * from measured
    where actual is distinct from expected
)

select * from final
