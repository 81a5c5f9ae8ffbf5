with

cases (given, expected) as (
    values
    ('user@domain.com', 'u***@domain.com'),
    ('u@domain.com', 'u***@domain.com'),
    ('élise@domain.com', 'é***@domain.com'),
    ('user@sub.domain.co.uk', 'u***@sub.domain.co.uk'),
    ('user', '***'),
    ('user@domain', '***'),
    ('user@secret@domain.com', '***'),
    (' user@domain.com', '***'),
    ('', '***'),
    (null, null)
),

masked as (
    select
        given,
        expected,
        {{ mask_email('given') }} as actual
    from cases
),

final as (
    select * from masked
    where actual is distinct from expected
)

select * from final
