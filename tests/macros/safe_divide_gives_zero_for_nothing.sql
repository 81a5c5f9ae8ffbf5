with

cases (numerator, denominator, expected, expected_whole) as (
    values
    (10::numeric, 3, 3.33, 3),
    (0.01, 2, 0.01, 0),
    (-0.01, 2, -0.01, 0),
    (5, 2, 2.50, 3),
    (-5, 2, -2.50, -3),
    (10, 0, 0, 0),
    (10, null, 0, 0),
    (null, 3, 0, 0)
),

divided as (
    select
        *,
        {{ safe_divide('numerator', 'denominator') }} as actual,
        {{ safe_divide('numerator', 'denominator', digits=0) }} as actual_whole
    from cases
),

final as (
    select * from divided
    where actual is distinct from expected
        or actual_whole is distinct from expected_whole
)

select * from final
