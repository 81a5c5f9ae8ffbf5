{% macro as_of_timestamp() -%}
    {%- if var('as_of', none) is none -%}
        {{ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}+00
    {%- else -%}
        {{ moment_of_variable('as_of', at_end_of_day=true) }}
    {%- endif -%}
{%- endmacro %}


{% macro moment_of_variable(name, at_end_of_day) -%}
    {%- set text = (var(name) | string | trim).replace('T', ' ') -%}
    {%- set re = modules.re -%}
    {%- set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' -%}
    {%- set time = '[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?' -%}
    {%- set zone = '(Z|[+-][0-9]{2}(:?[0-9]{2})?)' -%}
    {%- if re.fullmatch(day, text) -%}
        {{ text }} {{ '23:59:59.999999+00' if at_end_of_day else '00:00:00+00' }}
    {%- elif re.fullmatch(day ~ ' ' ~ time ~ zone ~ '?', text) -%}
        {{ text.replace('Z', '+00') if re.search(zone ~ '$', text[11:]) else text ~ '+00' }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            'The variable ' ~ name ~ " is '" ~ var(name) ~ "'; it takes a date such as 2026-01-31, meaning its "
            ~ ('end' if at_end_of_day else 'start') ~ " in UTC, or a timestamp such as '2026-01-31 12:00:00+00'."
        ) }}
    {%- endif -%}
{%- endmacro %}
