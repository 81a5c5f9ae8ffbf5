{% macro is_backfill() -%}
    {%- if var('to', none) is not none and var('from', none) is none -%}
        {{ exceptions.raise_compiler_error(
            "The variable to is '" ~ var('to') ~ "' and from is missing: a backfill needs its first day, such as from: 2026-01-01."
        ) }}
    {%- elif var('from', none) is not none and event_time_flag('start') -%}
        {{ exceptions.raise_compiler_error(
            "The variable from is '" ~ var('from') ~ "', and --event-time-start is " ~ event_time_flag('start') ~ ': give the window of a backfill once.'
        ) }}
    {%- endif -%}
    {{ return(var('from', none) is not none or event_time_flag('start') is not none) }}
{%- endmacro %}


{% macro event_time_flag(name) -%}
    {#- dbt does not offer these options among its flags. It asks for both, in UTC. -#}
    {{ return(invocation_args_dict.get('event_time_' ~ name)) }}
{%- endmacro %}


{% macro is_in_backfill(column, is_date=false) -%}
    {%- set is_by_flags = event_time_flag('start') is not none -%}
    {%- if is_by_flags -%}
        {%- set first_moment = "'" ~ event_time_flag('start') ~ "+00'::timestamptz" -%}
        {#- This end is excluded, as in dbt. -#}
        {%- set last_moment = "('" ~ event_time_flag('end') ~ "+00'::timestamptz - interval '1 microsecond')" -%}
    {%- else -%}
        {%- set first_moment = moment_of_variable('from', at_end_of_day=false) | trim -%}
        {%- set last_moment = (moment_of_variable('to', at_end_of_day=true) if var('to', none) is not none else as_of()) | trim -%}
        {%- if execute -%}
            {%- set window = run_query(
                'select ' ~ first_moment ~ ' > ' ~ last_moment ~ ' as is_empty, ' ~ local_timestamp(last_moment) ~ '::text as ends_at'
            )[0] -%}
            {%- if window['is_empty'] -%}
                {{ exceptions.raise_compiler_error(
                    "The variable from is '" ~ var('from') ~ "', which lies after the end of the backfill, " ~ window['ends_at'] ~ ' ' ~ time_zone() ~ '. The end is the variable to, or else as_of.'
                ) }}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
    {%- if column == 'date_key' -%}
        date_key between {{ date_key(local_date(first_moment)) }} and {{ date_key(local_date(last_moment)) }}
    {%- elif is_date -%}
        {{ column }} between {{ local_date(first_moment) }} and {{ local_date(last_moment) }}
    {%- else -%}
        {{ column }} between {{ first_moment }} and {{ last_moment }}
    {%- endif -%}
{%- endmacro %}
