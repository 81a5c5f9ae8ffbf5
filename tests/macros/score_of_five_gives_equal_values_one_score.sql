-- Compared with the definition in integers: five times the number of lower values, divided by the number of other values.
with

numbers as (
    {{ whole_numbers(101) }}
),

cases as (
    select
        n,
        n * n % 37 as score_of
    from numbers
),

scored as (
    select
        n,
        score_of,
        {{ score_of_five('score_of') }} as actual
    from cases
),

counted as (
    select
        scored.n,
        scored.actual,
        least(
            1 + 5 * count(*) filter (where others.score_of < scored.score_of) / 100, 5
        ) as expected
    from scored
    cross join cases as others
    group by 1, 2
),

final as (
    select * from counted
    where actual is distinct from expected
)

select * from final
