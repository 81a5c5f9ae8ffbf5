{% macro is_backfill() -%}
    {%- if var('to', none) is not none and var('from', none) is none -%}
        {{ exceptions.raise_compiler_error(
            "The variable to is '" ~ var('to') ~ "' and from is missing: a backfill needs its first day, such as from: 2026-01-01."
        ) }}
    {%- endif -%}
    {{ return(var('from', none) is not none) }}
{%- endmacro %}


{% macro is_in_backfill(column) -%}
    {%- set first_moment = moment_of_variable('from', at_end_of_day=false) | trim -%}
    {%- set last_moment = (moment_of_variable('to', at_end_of_day=true) if var('to', none) is not none else as_of_timestamp()) | trim -%}
    {%- if execute and run_query("select '" ~ first_moment ~ "'::timestamptz > '" ~ last_moment ~ "'::timestamptz")[0][0] -%}
        {{ exceptions.raise_compiler_error(
            "The variable from is '" ~ var('from') ~ "', which lies after the end of the backfill, " ~ last_moment ~ '. The end is the variable to, or else as_of.'
        ) }}
    {%- endif -%}
    {%- if column == 'date_key' -%}
        date_key between {{ date_key(utc_date("'" ~ first_moment ~ "'::timestamptz")) }}
        and {{ date_key(utc_date("'" ~ last_moment ~ "'::timestamptz")) }}
    {%- else -%}
        {{ column }} between '{{ first_moment }}'::timestamptz and '{{ last_moment }}'::timestamptz
    {%- endif -%}
{%- endmacro %}
