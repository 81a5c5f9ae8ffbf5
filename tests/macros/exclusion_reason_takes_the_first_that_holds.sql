with

cases (given, expected) as (
    values
    (null, 'missing'),
    (-1, 'negative'),
    (-100, 'negative'),
    (100, 'large'),
    (1, null)
),

judged as (
    select
        given,
        expected,
        {{ exclusion_reason({
            'missing': 'given is null',
            'negative': 'given < 0',
            'large': 'abs(given) >= 100',
        }) }} as actual
    from cases
),

final as (
    select * from judged
    where actual is distinct from expected
)

select * from final
