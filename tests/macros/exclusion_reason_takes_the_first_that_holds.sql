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
            'is_there': exclude_when('given is null', 'missing', 'completeness'),
            'is_small': flag_when('given is not null', 'flagged', 'validity'),
            'is_positive': exclude_when('given < 0', 'negative', 'validity'),
            'is_joined': exclude_when('nowhere.given > 0', 'joined', 'validity', {'users': 'given'}),
            'is_not_large': exclude_when('abs(given) >= 100', 'large', 'validity'),
        }) }} as actual
    from cases
),

final as (
    select * from judged
    where actual is distinct from expected
)

select * from final
