{% macro local_timestamp(timestamp, zone=none) -%}
    {{ return(adapter.dispatch('local_timestamp')(timestamp, zone or time_zone())) }}
{%- endmacro %}


{% macro default__local_timestamp(timestamp, zone) -%}
    ({{ timestamp }} at time zone '{{ zone }}')
{%- endmacro %}


{% macro spark__local_timestamp(timestamp, zone) -%}
    from_utc_timestamp({{ timestamp }}, '{{ zone }}')
{%- endmacro %}


{% macro start_of_day(date, zone=none) -%}
    {{ return(adapter.dispatch('start_of_day')(date, zone or time_zone())) }}
{%- endmacro %}


{% macro default__start_of_day(date, zone) -%}
    {%- if zone == 'UTC' -%}
        ({{ date }}::timestamp at time zone 'UTC')
    {%- else -%}
        {#- Of a midnight that comes twice PostgreSQL takes the second one, as in Havana every year; the evening before tells the first one. -#}
        {%- set midnight = '(' ~ date ~ "::timestamp at time zone '" ~ zone ~ "')" -%}
        {%- set first_midnight = '((' ~ date ~ "::timestamp - interval '3 hours') at time zone '" ~ zone ~ "' + interval '3 hours')" -%}
        case
            when {{ local_timestamp(first_midnight, zone) }}::date < {{ date }} then {{ midnight }}
            else least({{ midnight }}, {{ first_midnight }})
        end
    {%- endif -%}
{%- endmacro %}


{% macro spark__start_of_day(date, zone) -%}
    to_utc_timestamp(cast({{ date }} as timestamp), '{{ zone }}')
{%- endmacro %}
