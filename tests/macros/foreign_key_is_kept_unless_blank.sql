with

cases (given, expected) as (
    values
    ('a', 'a'),
    (' a ', ' a '),
    ('', null),
    (E' \t\u00A0', null),
    (null, null)
),

kept as (
    select
        given,
        expected,
        {{ foreign_key('given') }} as actual
    from cases
),

final as (
    select * from kept
    where actual is distinct from expected
)

select * from final
