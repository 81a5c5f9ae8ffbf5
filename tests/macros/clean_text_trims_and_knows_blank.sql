with

cases (given, expected) as (
    values
    (' Ann ', 'Ann'),
    ('two  words', 'two  words'),
    (E'\t\n\r\f\x0BAnn\u00A0 ', 'Ann'),
    (E'two\tparts', E'two\tparts'),
    ('', null),
    ('   ', null),
    (E'\t \u00A0\r\n', null),
    (null, null)
),

cleaned as (
    select
        given,
        expected,
        {{ clean_text('given') }} as actual
    from cases
),

final as (
    select * from cleaned
    where actual is distinct from expected
)

select * from final
