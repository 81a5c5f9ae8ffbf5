-- In a session whose time zone is Tokyo, where a day begins nine hours earlier.
with

session_zone as materialized (
    select set_config('timezone', 'Asia/Tokyo', true) as zone_name
),

cases (happened_at, expected_date, expected_date_key, expected_time_key) as (
    values
    ('2026-01-31 23:59:59.999999+00'::timestamptz, '2026-01-31'::date, 20260131, 2359),
    ('2026-02-01 00:00:00+00', '2026-02-01', 20260201, 0),
    ('2026-02-01 01:30:00+02', '2026-01-31', 20260131, 2330),
    ('2024-02-29 09:05:00+00', '2024-02-29', 20240229, 905),
    ('1970-01-01 00:00:00+00', '1970-01-01', 19700101, 0),
    ('2100-12-31 23:59:59.999999+00', '2100-12-31', 21001231, 2359),
    (null, null, null, null)
),

in_tokyo as materialized (
    select
        cases.*,
        session_zone.zone_name
    from session_zone
    cross join cases
),

computed as (
    select
        *,
        current_setting('timezone') as session_zone_name,
        {{ utc_date('happened_at') }} as actual_date,
        {{ date_key(utc_date('happened_at')) }} as actual_date_key,
        {{ date_of_key('expected_date_key') }} as actual_date_of_key,
        {{ time_key('happened_at') }} as actual_time_key,
        {{ start_of_day('expected_date') }} at time zone 'UTC' as actual_start_of_day
    from in_tokyo
),

final as (
    select * from computed
    where session_zone_name is distinct from 'Asia/Tokyo'
        or actual_date is distinct from expected_date
        or actual_date_key is distinct from expected_date_key
        or actual_date_of_key is distinct from expected_date
        or actual_time_key is distinct from expected_time_key
        or actual_start_of_day is distinct from expected_date::timestamp
)

select * from final
