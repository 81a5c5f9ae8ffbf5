{% macro local_date(timestamp, zone=none) -%}
    {{ local_timestamp(timestamp, zone) }}::date
{%- endmacro %}


{% macro local_today() -%}
    {{ local_date('current_timestamp') }}
{%- endmacro %}


{% macro utc_date(timestamp) -%}
    {%- do warn_of_former_name('utc_date', 'local_date') -%}
    {{ local_date(timestamp) }}
{%- endmacro %}


{% macro utc_today() -%}
    {%- do warn_of_former_name('utc_today', 'local_today') -%}
    {{ local_today() }}
{%- endmacro %}


{% macro days_between(first_date, last_date) -%}
    ({{ last_date }} - {{ first_date }})
{%- endmacro %}


{% macro weeks_between(first_date, last_date) -%}
    ({{ days_between(first_date, last_date) }} / 7.0::{{ float_type() }})
{%- endmacro %}


{% macro add_days(date, days) -%}
    ({{ date }} + {{ days }})
{%- endmacro %}


{% macro add_months(date, months) -%}
    ({{ date }} + interval '1 month' * {{ months }})::date
{%- endmacro %}


{% macro months_between(first_date, last_date) -%}
    (
        (extract(year from {{ last_date }}) - extract(year from {{ first_date }})) * 12
        + extract(month from {{ last_date }}) - extract(month from {{ first_date }})
    )::int
{%- endmacro %}


{% macro seconds_between(first_timestamp, last_timestamp) -%}
    extract(epoch from ({{ last_timestamp }} - {{ first_timestamp }}))
{%- endmacro %}


{% macro date_key(date) -%}
    (
        extract(year from {{ date }}) * 10000
        + extract(month from {{ date }}) * 100
        + extract(day from {{ date }})
    )::int
{%- endmacro %}


{% macro date_of_key(date_key) -%}
    make_date(
        floor({{ date_key }} / 10000)::int,
        mod(floor({{ date_key }} / 100)::int, 100),
        mod({{ date_key }}, 100)
    )
{%- endmacro %}


{% macro time_key(timestamp, zone=none) -%}
    (
        extract(hour from {{ local_timestamp(timestamp, zone) }}) * 100
        + extract(minute from {{ local_timestamp(timestamp, zone) }})
    )::int
{%- endmacro %}


{% macro beginning_of_time() -%}
    '1900-01-01 00:00:00+00'::{{ timestamp_type() }}
{%- endmacro %}


{% macro end_of_time() -%}
    '9999-12-31 00:00:00+00'::{{ timestamp_type() }}
{%- endmacro %}


{% macro is_within_calendar(timestamp) -%}
    (
        {{ timestamp }} >= '{{ var("calendar_start") }} 00:00:00{{ offset_of_literals() }}'::{{ timestamp_type() }}
        and {{ timestamp }} < '{{ var("calendar_end") }} 00:00:00{{ offset_of_literals() }}'::{{ timestamp_type() }}
    )
{%- endmacro %}


{% macro not_within_calendar(column) -%}
    ({{ is_within_calendar(column) }} is not true)
{%- endmacro %}


{% macro calendar_timestamp(column) -%}
    case when {{ is_within_calendar(column) }} then {{ column }} end
{%- endmacro %}


{% macro is_in_the_future(timestamp) -%}
    ({{ timestamp }} > _loaded_at + interval '1 day')
{%- endmacro %}


{% macro is_age_between(birth_date, timestamp, youngest, oldest) -%}
    {#- Computed from a moment of the calendar: a date of birth may be any date, which no interval may be added to. -#}
    {%- set date = local_date('(' ~ calendar_timestamp(timestamp) ~ ')') -%}
    ({{ birth_date }} <= {{ add_months(date, -12 * youngest) }} and {{ birth_date }} > {{ add_months(date, -12 * (oldest + 1)) }})
{%- endmacro %}
