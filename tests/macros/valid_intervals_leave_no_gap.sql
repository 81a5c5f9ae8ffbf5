with

states (what, version_id, said, version_started_at, _loaded_at, dbt_valid_from) as (
    values
    (
        'alone',
        1,
        'a',
        '2026-01-05 00:00Z'::timestamptz,
        '2026-01-06 00:00Z'::timestamptz,
        '2026-01-06 00:00Z'::timestamptz
    ),
    ('told', 1, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('told', 2, 'b', '2026-02-01 00:00Z', '2026-02-02 00:00Z', '2026-02-02 00:00Z'),
    ('untold', 1, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('untold', 2, 'b', '2026-01-05 00:00Z', '2026-01-07 00:00Z', '2026-01-07 00:00Z'),
    ('untold', 3, 'a', '2026-01-01 00:00Z', '2026-01-08 00:00Z', '2026-01-08 00:00Z'),
    -- Version 3 claims an earlier start than the one that version 2 was given.
    ('between', 1, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('between', 2, 'b', '2026-01-02 00:00Z', '2026-01-09 00:00Z', '2026-01-09 00:00Z'),
    ('between', 3, 'c', '2026-01-07 00:00Z', '2026-01-10 00:00Z', '2026-01-10 00:00Z'),
    -- A repeated state is not a version, and neither is a repeated null.
    ('again', 1, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('again', 2, 'a', '2026-02-05 00:00Z', '2026-02-06 00:00Z', '2026-02-06 00:00Z'),
    ('again', 3, null, '2026-03-05 00:00Z', '2026-03-06 00:00Z', '2026-03-06 00:00Z'),
    ('again', 4, null, '2026-04-05 00:00Z', '2026-04-06 00:00Z', '2026-04-06 00:00Z'),
    ('again', 5, 'a', '2026-05-05 00:00Z', '2026-05-06 00:00Z', '2026-05-06 00:00Z'),
    ('silent', 1, null, '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    -- A state with the same _loaded_at corrects the one before it, and all that equal it.
    ('corrected', 1, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('corrected', 2, 'b', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-03-01 00:00Z'),
    ('corrected', 3, 'c', '2026-04-01 00:00Z', '2026-04-02 00:00Z', '2026-04-02 00:00Z'),
    ('imported', 1, 'a', '2020-01-01 00:00Z', '2020-01-01 00:00Z', '2020-01-01 00:00Z'),
    ('imported', 2, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('imported', 3, 'b', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-03-01 00:00Z'),
    ('imported later', 1, 'b', '2020-01-01 00:00Z', '2020-01-01 00:00Z', '2020-01-01 00:00Z'),
    ('imported later', 2, 'a', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-01-06 00:00Z'),
    ('imported later', 3, 'b', '2026-01-05 00:00Z', '2026-01-06 00:00Z', '2026-03-01 00:00Z'),
    -- No state was valid before it was seen, whatever its stamp says.
    ('ahead', 1, 'a', '2100-01-01 00:00Z', '2100-01-01 00:00Z', '2026-01-06 00:00Z'),
    ('ahead', 2, 'b', '2026-02-01 00:00Z', '2026-02-02 00:00Z', '2026-02-02 00:00Z')
),

expected (what, version_id, effective_date, expiry_date) as (
    values
    ('alone', 1, '1900-01-01 00:00Z'::timestamptz, '9999-12-31 00:00Z'::timestamptz),
    ('told', 1, '1900-01-01 00:00Z', '2026-02-01 00:00Z'),
    ('told', 2, '2026-02-01 00:00Z', '9999-12-31 00:00Z'),
    ('untold', 1, '1900-01-01 00:00Z', '2026-01-07 00:00Z'),
    ('untold', 2, '2026-01-07 00:00Z', '2026-01-08 00:00Z'),
    ('untold', 3, '2026-01-08 00:00Z', '9999-12-31 00:00Z'),
    ('between', 1, '1900-01-01 00:00Z', '2026-01-09 00:00Z'),
    ('between', 2, '2026-01-09 00:00Z', '2026-01-09 00:00Z'),
    ('between', 3, '2026-01-09 00:00Z', '9999-12-31 00:00Z'),
    ('again', 1, '1900-01-01 00:00Z', '2026-03-05 00:00Z'),
    ('again', 3, '2026-03-05 00:00Z', '2026-05-05 00:00Z'),
    ('again', 5, '2026-05-05 00:00Z', '9999-12-31 00:00Z'),
    ('silent', 1, '1900-01-01 00:00Z', '9999-12-31 00:00Z'),
    ('corrected', 2, '1900-01-01 00:00Z', '2026-04-01 00:00Z'),
    ('corrected', 3, '2026-04-01 00:00Z', '9999-12-31 00:00Z'),
    ('imported', 3, '1900-01-01 00:00Z', '9999-12-31 00:00Z'),
    ('imported later', 1, '1900-01-01 00:00Z', '9999-12-31 00:00Z'),
    ('ahead', 1, '1900-01-01 00:00Z', '2026-02-01 00:00Z'),
    ('ahead', 2, '2026-02-01 00:00Z', '9999-12-31 00:00Z')
),

actual as (
    {{ valid_intervals('states', 'what', attributes=['said']) }}
),

final as (
    select
        coalesce(expected.what, actual.what) as what,
        coalesce(expected.version_id, actual.version_id) as version_id,
        expected.effective_date,
        expected.expiry_date,
        actual.effective_date as actual_effective_date,
        actual.expiry_date as actual_expiry_date
    from expected
    full join actual
        on expected.what = actual.what
            and expected.version_id = actual.version_id
    where actual.effective_date is distinct from expected.effective_date
        or actual.expiry_date is distinct from expected.expiry_date
)

select * from final
