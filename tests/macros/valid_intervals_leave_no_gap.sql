with

states (what, version_id, said, version_started_at, _loaded_at, dbt_valid_from) as (
    values
    (
        'alone',
        1,
        'a',
        '2026-01-05'::timestamptz,
        '2026-01-06'::timestamptz,
        '2026-01-06'::timestamptz
    ),
    ('told', 1, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('told', 2, 'b', '2026-02-01', '2026-02-02', '2026-02-02'),
    ('untold', 1, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('untold', 2, 'b', '2026-01-05', '2026-01-07', '2026-01-07'),
    ('untold', 3, 'a', '2026-01-01', '2026-01-08', '2026-01-08'),
    -- Version 3 claims an earlier start than the one that version 2 was given.
    ('between', 1, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('between', 2, 'b', '2026-01-02', '2026-01-09', '2026-01-09'),
    ('between', 3, 'c', '2026-01-07', '2026-01-10', '2026-01-10'),
    -- A repeated state is not a version, and neither is a repeated null.
    ('again', 1, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('again', 2, 'a', '2026-02-05', '2026-02-06', '2026-02-06'),
    ('again', 3, null, '2026-03-05', '2026-03-06', '2026-03-06'),
    ('again', 4, null, '2026-04-05', '2026-04-06', '2026-04-06'),
    ('again', 5, 'a', '2026-05-05', '2026-05-06', '2026-05-06'),
    ('silent', 1, null, '2026-01-05', '2026-01-06', '2026-01-06'),
    -- A state with the same _loaded_at corrects the one before it, and all that equal it.
    ('corrected', 1, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('corrected', 2, 'b', '2026-01-05', '2026-01-06', '2026-03-01'),
    ('corrected', 3, 'c', '2026-04-01', '2026-04-02', '2026-04-02'),
    ('imported', 1, 'a', '2020-01-01', '2020-01-01', '2020-01-01'),
    ('imported', 2, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('imported', 3, 'b', '2026-01-05', '2026-01-06', '2026-03-01'),
    ('imported later', 1, 'b', '2020-01-01', '2020-01-01', '2020-01-01'),
    ('imported later', 2, 'a', '2026-01-05', '2026-01-06', '2026-01-06'),
    ('imported later', 3, 'b', '2026-01-05', '2026-01-06', '2026-03-01'),
    -- No state was valid before it was seen, whatever its stamp says.
    ('ahead', 1, 'a', '2100-01-01', '2100-01-01', '2026-01-06'),
    ('ahead', 2, 'b', '2026-02-01', '2026-02-02', '2026-02-02')
),

expected (what, version_id, effective_date, expiry_date) as (
    values
    ('alone', 1, '1900-01-01'::timestamptz, '9999-12-31'::timestamptz),
    ('told', 1, '1900-01-01', '2026-02-01'),
    ('told', 2, '2026-02-01', '9999-12-31'),
    ('untold', 1, '1900-01-01', '2026-01-07'),
    ('untold', 2, '2026-01-07', '2026-01-08'),
    ('untold', 3, '2026-01-08', '9999-12-31'),
    ('between', 1, '1900-01-01', '2026-01-09'),
    ('between', 2, '2026-01-09', '2026-01-09'),
    ('between', 3, '2026-01-09', '9999-12-31'),
    ('again', 1, '1900-01-01', '2026-03-05'),
    ('again', 3, '2026-03-05', '2026-05-05'),
    ('again', 5, '2026-05-05', '9999-12-31'),
    ('silent', 1, '1900-01-01', '9999-12-31'),
    ('corrected', 2, '1900-01-01', '2026-04-01'),
    ('corrected', 3, '2026-04-01', '9999-12-31'),
    ('imported', 3, '1900-01-01', '9999-12-31'),
    ('imported later', 1, '1900-01-01', '9999-12-31'),
    ('ahead', 1, '1900-01-01', '2026-02-01'),
    ('ahead', 2, '2026-02-01', '9999-12-31')
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
