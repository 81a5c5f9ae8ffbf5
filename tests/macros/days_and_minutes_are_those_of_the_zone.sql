-- In a session whose time zone is Tokyo, where a day begins nine hours earlier than in UTC.
with

session_zone as materialized (
    select set_config('timezone', 'Asia/Tokyo', true) as zone_name
),

cases (zone, happened_at, expected_date, expected_date_key, expected_time_key) as (
    values
    ('UTC', '2026-01-31 23:59:59.999999+00'::timestamptz, '2026-01-31'::date, 20260131, 2359),
    ('UTC', '2026-02-01 00:00:00+00', '2026-02-01', 20260201, 0),
    ('UTC', '2026-02-01 01:30:00+02', '2026-01-31', 20260131, 2330),
    ('UTC', '2024-02-29 09:05:00+00', '2024-02-29', 20240229, 905),
    ('UTC', '1970-01-01 00:00:00+00', '1970-01-01', 19700101, 0),
    ('UTC', '2100-12-31 23:59:59.999999+00', '2100-12-31', 21001231, 2359),
    ('America/New_York', '2024-03-10 04:30:00+00', '2024-03-09', 20240309, 2330),
    ('America/New_York', '2024-03-10 07:00:00+00', '2024-03-10', 20240310, 300),
    ('America/New_York', '2024-03-11 03:59:59+00', '2024-03-10', 20240310, 2359),
    ('America/New_York', '2024-11-03 05:30:00+00', '2024-11-03', 20241103, 130),
    ('America/New_York', '2024-11-03 06:30:00+00', '2024-11-03', 20241103, 130),
    ('Asia/Kolkata', '2024-03-31 18:30:00+00', '2024-04-01', 20240401, 0),
    ('Pacific/Kiritimati', '2024-12-31 10:00:00+00', '2025-01-01', 20250101, 0),
    ('Pacific/Apia', '2011-12-30 09:59:59+00', '2011-12-29', 20111229, 2359),
    ('Pacific/Apia', '2011-12-30 10:00:00+00', '2011-12-31', 20111231, 0),
    ('Australia/Lord_Howe', '2024-04-06 15:00:00+00', '2024-04-07', 20240407, 130),
    ('America/Sao_Paulo', '2018-11-04 02:59:59+00', '2018-11-03', 20181103, 2359),
    ('America/Sao_Paulo', '2018-11-04 03:00:00+00', '2018-11-04', 20181104, 100),
    ('UTC', null, null, null, null)
),

days (zone, date_day, expected_start) as (
    values
    ('UTC', '2026-02-01'::date, '2026-02-01 00:00:00+00'::timestamptz),
    ('America/New_York', '2024-03-10', '2024-03-10 05:00:00+00'),
    ('America/New_York', '2024-03-11', '2024-03-11 04:00:00+00'),
    ('Pacific/Apia', '2011-12-30', '2011-12-30 10:00:00+00'),
    ('Pacific/Apia', '2011-12-31', '2011-12-30 10:00:00+00'),
    ('America/Havana', '2022-11-06', '2022-11-06 04:00:00+00'),
    ('America/Havana', '2022-11-07', '2022-11-07 05:00:00+00'),
    ('America/Nuuk', '2024-03-31', '2024-03-31 01:00:00+00'),
    ('America/Sao_Paulo', '2018-02-18', '2018-02-18 03:00:00+00'),
    ('America/Sao_Paulo', '2018-11-04', '2018-11-04 03:00:00+00'),
    ('UTC', null, null)
),

in_tokyo as materialized (
    select
        cases.*,
        session_zone.zone_name
    from session_zone
    cross join cases
),

computed as (
    {%- set zones = [
        'UTC', 'America/New_York', 'Asia/Kolkata', 'Pacific/Kiritimati', 'Pacific/Apia', 'Australia/Lord_Howe',
        'America/Havana', 'America/Nuuk', 'America/Sao_Paulo'
    ] %}
    {%- for zone in zones %}
        select
            *,
            current_setting('timezone') as session_zone_name,
            {{ local_date('happened_at', zone) }} as actual_date,
            {{ date_key(local_date('happened_at', zone)) }} as actual_date_key,
            {{ date_of_key('expected_date_key') }} as actual_date_of_key,
            {{ time_key('happened_at', zone) }} as actual_time_key
        from in_tokyo
        where zone = '{{ zone }}'
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

started as (
    {%- for zone in zones %}
        select
            *,
            {{ start_of_day('date_day', zone) }} as actual_start
        from days
        where zone = '{{ zone }}'
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

final as (
    select
        zone,
        happened_at::text as given
    from computed
    where session_zone_name is distinct from 'Asia/Tokyo'
        or actual_date is distinct from expected_date
        or actual_date_key is distinct from expected_date_key
        or actual_date_of_key is distinct from expected_date
        or actual_time_key is distinct from expected_time_key
    union all
    select
        zone,
        date_day::text as given
    from started
    where actual_start is distinct from expected_start
)

select * from final
