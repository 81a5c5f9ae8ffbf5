with

cases (given, expected) as (
    values
    ('user@domain.com', true),
    ('first.last+tag@sub.domain.co', true),
    ('user@domain', false),
    ('user@domain.', false),
    ('@domain.com', false),
    ('user@.', false),
    ('user@@domain.com', false),
    ('user@other@domain.com', false),
    ('us er@domain.com', false),
    ('user@do main.com', false),
    (e'user@domain.com\n', false),
    ('user at domain.com', false),
    ('', false),
    (null, null)
),

judged as (
    select
        given,
        expected,
        {{ is_email('given') }} as actual
    from cases
),

final as (
    select * from judged
    where actual is distinct from expected
)

select * from final
